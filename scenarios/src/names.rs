//! Names: the scheduler answers to one name only.

use crate::prelude::*;

/// A scheduler behind another Service name is not found; no variable helps, an alias does.
///
/// Broken: scheduler and Envoy come from manifests without a SeldonRuntime, the Service is `seldon-system-scheduler`.
/// Seen:   "produced zero addresses"; `SELDON_SCHEDULER_HOST` on the controller changes nothing.
/// Fix:    an ExternalName Service called `seldon-scheduler`.
pub(crate) async fn scheduler_under_another_name(world: &World) -> Result {
    let mesh =
        world.install(Mesh::new(world.topology(), "seldon-system").rendered_by_other_tooling()).await?;
    world.apply_server(&mesh).await?;
    let model = world.apply(&mesh, iris("baseline-predictor")).await?;
    let unfound = || model.is_not_ready("ModelProgressing", "name resolver error: produced zero addresses");
    world.broken_by_manifest("the scheduler's Service has another name", unfound()).await?;
    let absent = |cause: &Cause| matches!(cause, Cause::SchedulerNameAbsent { lookalikes, .. } if lookalikes[..] == ["seldon-system-scheduler"]);
    world.names(&mesh, "the absent name", absent).await?;

    world.set_scheduler_host_on_the_controller(&mesh).await?;
    world.still(unfound()).await?;

    world.alias_the_scheduler(&mesh).await?;
    world.repaired_by_manifest("an ExternalName alias", model.is_ready()).await?;
    world.eventually(mesh.infer("baseline-predictor").answers_200_in_a_row(5)).await?;
    Ok(())
}

/// "The client connection is closing" tells of a deleted SeldonRuntime, not of a name.
///
/// Broken: the SeldonRuntime is deleted (its Server first) and made again.
/// Seen:   the mesh serves again, and the controller goes on logging the line.
/// Fix:    restart the controller.
pub(crate) async fn runtime_deleted_and_made_again(world: &World) -> Result {
    let mesh = world.install(Mesh::new(world.topology(), "seldon-mesh")).await?;
    let model = world.apply(&mesh, iris("iris")).await?;
    world.eventually(model.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200()).await?;

    let line = "rpc error: code = Canceled desc = grpc: the client connection is closing";
    world.delete_server(&mesh).await?;
    world.eventually(model.is_not_ready("ScheduleFailed", "no matching servers are available")).await?;
    world.delete_runtime(&mesh).await?;
    world.broken_by_manifest("the SeldonRuntime is deleted", mesh.controller_logs(line)).await?;
    world.apply_runtime(&mesh).await?;
    world.apply_server(&mesh).await?;
    world.eventually(model.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200_in_a_row(5)).await?;
    world.goes_on_logging(&mesh, line).await?;
    world.names(&mesh, "the deleted runtime", |cause| matches!(cause, Cause::RuntimeWasDeleted)).await?;

    world.restart_controller(&mesh).await?;
    world.eventually(mesh.controller_has_dialled()).await?;
    world.still(mesh.controller_is_silent_about(line)).await?;
    world.repaired_by_manifest("a restart of the controller", mesh.controller_is_silent_about(line)).await?;
    world.eventually(mesh.infer("iris").answers_200_in_a_row(5)).await?;
    Ok(())
}
