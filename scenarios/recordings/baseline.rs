//! A healthy mesh in one namespace.

use harness::World;
use harness::look::Look;
use harness::mesh::Mesh;
use harness::model::iris;
use harness::object::Kind;

use crate::expected::Recording;
use crate::http;

/// Server and Model come before the SeldonRuntime, as they do from one manifest: the first dials find no name.
pub(crate) async fn healthy(world: &World) -> anyhow::Result<()> {
    let recording = Recording::of("baseline")?;
    let mesh = world.install(Mesh::per_namespace("seldon-mesh").without_runtime()).await?;
    world.apply_server(&mesh).await?;
    let model = world.apply(&mesh, iris("iris")).await?;
    world.eventually(mesh.server_tells_of("produced zero addresses")).await?;
    world.eventually(model.is_not_ready("ModelProgressing", "produced zero addresses")).await?;
    world.apply_runtime(&mesh).await?;
    world.eventually(model.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200()).await?;

    recording.statuses(world, "statuses.json").await?;
    let tables = [
        ("models.txt", Kind::Model),
        ("servers.txt", Kind::Server),
        ("runtimes.txt", Kind::SeldonRuntime),
        ("pods.txt", Kind::Pod),
    ];
    for (document, kind) in tables {
        recording.table(world, document, Look::Table { kind, namespace: mesh.tenant().into() }).await?;
    }
    recording.log(world, "controller.log", &mesh.controller()).await?;
    recording.log(world, "scheduler.log", &mesh.scheduler()).await?;
    recording.log(world, "agent.log", &mesh.agent()).await?;
    let recorded = recording.read("http.txt")?;
    recording.compare("http.txt", http::replay(world, &mesh, &recorded).await?)?;
    recording.verdict()
}
