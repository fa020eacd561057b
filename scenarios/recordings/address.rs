//! The scheduler's name in a tenant without a scheduler: what a dial to each kind of address says.

use harness::World;
use harness::fault::address::Behind;
use harness::mesh::Mesh;
use harness::model::iris;

use crate::expected::Recording;

/// The Model is changed at each step, so that the controller dials anew.
pub(crate) async fn dialled(world: &World) -> anyhow::Result<()> {
    let recording = Recording::of("address")?;
    let mesh = world.install(Mesh::cluster_wide("financial-ml").watching(&["team-b"])).await?;
    let healthy = world.apply(&mesh, iris("iris")).await?;
    world.eventually(healthy.is_ready()).await?;
    let tenant = mesh.neighbour("team-b");

    world.apply(&tenant, iris("iris-teamb").with_memory("200Ki")).await?;
    recording.statuses(world, "no-name.json").await?;
    let steps = [
        (Behind::Nothing, "300Ki", "no-endpoint.json"),
        (Behind::ClosedPort, "400Ki", "closed-port.json"),
        (Behind::Silence, "500Ki", "silence.json"),
        (Behind::SchedulerOf("financial-ml"), "3100Ki", "alias.json"),
    ];
    for (behind, memory, document) in steps {
        world.lead_scheduler_name(&tenant, behind).await?;
        world.apply(&tenant, iris("iris-teamb").with_memory(memory)).await?;
        recording.statuses(world, document).await?;
    }
    world.eventually(mesh.infer("iris-teamb").answers_200()).await?;
    recording
        .log_about(
            world,
            "controller.log",
            &mesh.controller(),
            &["\"team-b\"", "seldon-scheduler.team-b", "iris-teamb"],
        )
        .await?;
    recording.verdict()
}
