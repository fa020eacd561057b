//! A SeldonRuntime that is deleted and made again.

use harness::World;
use harness::claim::Claim;
use harness::look::{Look, Seen};
use harness::mesh::Mesh;
use harness::model::iris;
use harness::object::{Kind, ObjectRef};

use crate::expected::{Recording, logged};

/// With a Server the deletion hangs and everything serves; without it all goes; made again, it serves again, and the
/// handlers of the old connection go on telling that it is closing.
pub(crate) async fn recreated(world: &World) -> anyhow::Result<()> {
    let recording = Recording::of("runtime-recreated")?;
    let mesh = world.install(Mesh::per_namespace("seldon-mesh")).await?;
    let model = world.apply(&mesh, iris("iris")).await?;
    world.eventually(model.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200()).await?;

    let runtime = ObjectRef::new(Kind::SeldonRuntime, mesh.tenant(), "seldon");
    let before = logged(world, &mesh.controller()).await;
    world.begin_to_delete(&runtime).await?;
    world.eventually(mesh.controller_logs("Runtime is being deleted but servers still running")).await?;
    recording.statuses(world, "deleting.json").await?;
    world.eventually(mesh.infer("iris").answers_200()).await?;

    world.begin_to_delete(&mesh.server()).await?;
    let gone =
        Claim::new("the SeldonRuntime is gone", Look::Object(runtime), |seen| matches!(seen, Seen::Absent));
    world.eventually(gone).await?;
    recording.statuses(world, "deleted.json").await?;

    world.apply_server(&mesh).await?;
    world.eventually(mesh.server_tells_of("produced zero addresses")).await?;
    world.apply_runtime(&mesh).await?;
    recording.statuses(world, "statuses.json").await?;
    for (document, kind) in
        [("models.txt", Kind::Model), ("servers.txt", Kind::Server), ("runtimes.txt", Kind::SeldonRuntime)]
    {
        recording.table(world, document, Look::Table { kind, namespace: mesh.tenant().into() }).await?;
    }
    world.eventually(mesh.infer("iris").answers_200()).await?;
    recording.log_after(world, "controller.log", &mesh.controller(), before).await?;
    recording.verdict()
}
