//! Scheduling: Models that no server can take.

use crate::prelude::*;

/// Requirements that no server offers are not a network problem, whatever else is changed.
///
/// Broken: a Model requires `mlflow, torch, numpy, scikit-learn`.
/// Seen:   ScheduleFailed; the scheduler's "Empty server" line; the agent is healthy. A policy that allows everything
///         and `SELDON_SERVER_HOST` change nothing.
/// Fix:    require what the server offers.
pub(crate) async fn requirements_no_server_offers(world: &World) -> Result {
    let mesh = world.install(Mesh::new(world.topology(), "financial-ml")).await?;
    let healthy = world.apply(&mesh, iris("iris")).await?;
    world.eventually(healthy.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200()).await?;

    let wrong = ["mlflow", "torch", "numpy", "scikit-learn"];
    let model = world.apply(&mesh, iris("test-model-simple").requiring(&wrong)).await?;
    let unscheduled = || {
        model.is_not_ready("ScheduleFailed", "Failed to schedule model as no matching servers are available")
    };
    world.broken_by_manifest("requirements that no server offers", unscheduled()).await?;
    world.eventually(mesh.scheduler_logs("Empty server for test-model-simple:1 so ignoring event")).await?;
    world.eventually(mesh.infer("iris").answers_200_in_a_row(5)).await?;
    let unmet = |cause: &Cause| matches!(cause, Cause::RequirementsUnmet { missing, .. } if missing[..] == wrong[1..]);
    world.names(&mesh, "the unmet requirements", unmet).await?;

    world.allow_within_namespace(&mesh).await?;
    world.set_server_host_on_the_agent(&mesh).await?;
    world.still(unscheduled()).await?;

    world.apply(&mesh, iris("test-model-simple").requiring(&["sklearn"])).await?;
    world.repaired_by_manifest("requirements that the server offers", model.is_ready()).await?;
    world.eventually(mesh.infer("test-model-simple").answers_200_in_a_row(5)).await?;
    Ok(())
}

/// The same on a mesh that somebody lends: a Model of ours beside the owner's.
///
/// Broken: the Model requires `torch, numpy, scikit-learn`.
/// Seen:   ScheduleFailed, and the diagnosis; the owner's Models stay Ready.
/// Fix:    delete the Model.
pub(crate) async fn unmet_requirements_beside_others(world: &World) -> Result {
    let mesh = world.adopt().await?;
    let wrong = ["torch", "numpy", "scikit-learn"];
    let model = world.apply(&mesh, iris("conformance-unmet").requiring(&wrong)).await?;
    let unscheduled =
        model.is_not_ready("ScheduleFailed", "Failed to schedule model as no matching servers are available");
    world.broken_by_manifest("requirements that no server offers", unscheduled).await?;
    let unmet = |cause: &Cause| matches!(cause, Cause::RequirementsUnmet { model, .. } if model.ends_with("/conformance-unmet"));
    world.names(&mesh, "the unmet requirements", unmet).await?;
    world.still(mesh.owners_models_are_ready()).await?;

    world.take_away(&model).await?;
    world.still(mesh.owners_models_are_ready()).await?;
    Ok(())
}
