//! Models that no server can take.

use harness::World;
use harness::look::Look;
use harness::mesh::Mesh;
use harness::model::iris;
use harness::object::Kind;

use crate::expected::Recording;

/// Beside a Model that serves: wrong requirements, wrong servers, too much memory, too many replicas, a wrong name.
pub(crate) async fn unschedulable(world: &World) -> anyhow::Result<()> {
    let recording = Recording::of("mismatch")?;
    let mesh = world.install(Mesh::per_namespace("seldon-mesh")).await?;
    let healthy = world.apply(&mesh, iris("iris")).await?;
    world.eventually(healthy.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200()).await?;
    for model in [
        iris("badreq").requiring(&["torch", "numpy", "scikit-learn"]).without_memory(),
        iris("mlflowreq").requiring(&["mlflow", "torch", "numpy", "scikit-learn"]),
        iris("servernope").on_server("nope").without_memory(),
        iris("othernsserver").on_server("seldon-system/mlserver").without_memory(),
        iris("hugemem").with_memory("10Gi"),
        iris("tworeplicas").with_replicas(2),
        iris("dotted.name").without_memory(),
    ] {
        world.apply(&mesh, model).await?;
    }
    recording.statuses(world, "statuses.json").await?;
    for (document, kind) in [("models.txt", Kind::Model), ("servers.txt", Kind::Server)] {
        recording.table(world, document, Look::Table { kind, namespace: mesh.tenant().into() }).await?;
    }
    for model in ["badreq", "mlflowreq"] {
        world.eventually(mesh.infer(model).answers(404)).await?;
    }
    recording.log_about(world, "controller.log", &mesh.controller(), &["badreq", "mlflowreq"]).await?;
    recording.log_about(world, "scheduler.log", &mesh.scheduler(), &["badreq", "mlflowreq"]).await?;
    recording.verdict()
}
