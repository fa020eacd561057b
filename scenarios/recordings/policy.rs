//! NetworkPolicies on a mesh that serves.

use harness::World;
use harness::fault::policy;
use harness::look::Look;
use harness::mesh::{InstalledMesh, Mesh};
use harness::model::iris;
use harness::object::Kind;

use crate::expected::Recording;

async fn serving(world: &World) -> anyhow::Result<InstalledMesh> {
    let mesh = world.install(Mesh::cluster_wide("financial-ml").watching(&["team-b"])).await?;
    let model = world.apply(&mesh, iris("iris")).await?;
    world.eventually(model.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200()).await?;
    Ok(mesh)
}

async fn tables(recording: &Recording, world: &World, mesh: &InstalledMesh) -> anyhow::Result<()> {
    for (document, kind) in
        [("models.txt", Kind::Model), ("servers.txt", Kind::Server), ("runtimes.txt", Kind::SeldonRuntime)]
    {
        recording.table(world, document, Look::Table { kind, namespace: mesh.tenant().into() }).await?;
    }
    Ok(())
}

/// Only the tenant's pods reach the scheduler: nothing changes until the controller restarts; then all Models tell
/// of the refusal and go on serving; without the policy all is well.
pub(crate) async fn scheduler_api_denied(world: &World) -> anyhow::Result<()> {
    let recording = Recording::of("scheduler-api-denied")?;
    let mesh = serving(world).await?;
    let denied = world.inject(policy::scheduler_for_its_namespace_only(world, &mesh)).await?;
    world.apply(&mesh, iris("e2a")).await?;
    recording.statuses(world, "live.json").await?;
    world.eventually(mesh.infer("e2a").answers_200()).await?;

    world.replace_pod(&mesh.controller()).await?;
    recording.statuses(world, "broken.json").await?;
    world.apply(&mesh, iris("e2b")).await?;
    world.eventually(mesh.infer("iris").answers_200()).await?;
    world.eventually(mesh.infer("e2b").answers(404)).await?;

    denied.fix().await?;
    recording.statuses(world, "statuses.json").await?;
    tables(&recording, world, &mesh).await?;
    world.eventually(mesh.infer("e2b").answers_200()).await?;
    recording.log(world, "controller.log", &mesh.controller()).await?;
    recording.verdict()
}

/// Nobody may ask for names: a new Model waits for its artefact; once restarted, controller and agent tell of the
/// look-up; without the policies all is well.
pub(crate) async fn names_denied(world: &World) -> anyhow::Result<()> {
    let recording = Recording::of("dns-denied")?;
    let mesh = serving(world).await?;
    // The tenant's own visitor cannot ask for names either.
    let outside = mesh.visited_from("team-b");
    let denied = world.inject(policy::no_names(&mesh)).await?;
    // rclone keeps the connection over which it fetched the first Model for 90 s, and needs no name to use it.
    world.replace_pod(&mesh.store()).await?;
    world.apply(&mesh, iris("e6a")).await?;
    recording.statuses(world, "live.json").await?;
    world.eventually(outside.infer("iris").answers_200()).await?;
    world.eventually(outside.infer("e6a").answers(404)).await?;

    for pod in [mesh.controller(), mesh.envoy(), mesh.agent()] {
        world.replace_pod(&pod).await?;
    }
    recording.statuses(world, "broken.json").await?;
    recording.log_about(world, "agent-broken.log", &mesh.agent(), &["Scheduler not ready"]).await?;

    denied.fix().await?;
    recording.statuses(world, "statuses.json").await?;
    tables(&recording, world, &mesh).await?;
    world.eventually(outside.infer("e6a").answers_200()).await?;
    recording.log(world, "controller.log", &mesh.controller()).await?;
    recording.verdict()
}
