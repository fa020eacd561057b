//! Node: what a mesh survives when its node ends one of its programs.

use crate::prelude::*;

/// A scheduler that is killed comes back by itself, and nobody who asks for a prediction notices.
///
/// Broken: the scheduler's process is killed on its node.
/// Seen:   requests are answered all the while.
/// Fix:    none is needed: the kubelet starts it again, agent and controller subscribe anew, new Models are loaded.
pub(crate) async fn killed_scheduler_comes_back(world: &World) -> Result {
    let mesh = world.install(Mesh::cluster_wide("financial-ml")).await?;
    let first = world.apply(&mesh, iris("iris")).await?;
    world.eventually(first.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200_in_a_row(5)).await?;

    let kill = node::killed(world, &mesh.scheduler()).await?;
    let killed = world.inject_while(mesh.infer("iris").answers_200(), kill).await?;
    killed.is_repaired_by("the kubelet started it again").await?;

    world.still(mesh.infer("iris").answers_200()).await?;
    let second = world.apply(&mesh, iris("iris-two")).await?;
    world.eventually(second.is_ready()).await?;
    world.eventually(mesh.infer("iris-two").answers_200_in_a_row(5)).await?;
    world.eventually(first.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200_in_a_row(5)).await?;
    Ok(())
}
