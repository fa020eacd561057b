//! Policy: what NetworkPolicies take from a mesh, and how it says so.

use crate::prelude::*;

/// A policy on 9004 between the controller and its scheduler, and no other flow.
pub(crate) fn denies_controller(cause: &Cause) -> bool {
    matches!(cause, Cause::PolicyDenies { policies, from, to, port: 9004 }
        if from == "controller" && to == "scheduler"
            && policies.len() == 1 && policies[0].ends_with("/scheduler-without-its-api"))
}

/// A controller cut off from its scheduler says so on the Model, in the words of the network.
///
/// Broken: a policy in the tenant's namespace admits nobody to the scheduler's port 9004.
/// Seen:   ModelProgressing with the dial's error, refused or timed out; no server pod appears.
/// Fix:    admit the controller's namespace, beside the policy that denies.
pub(crate) async fn controller_cut_off(world: &World) -> Result {
    let mesh = world.install(Mesh::cluster_wide("financial-inference").without_server()).await?;
    world
        .eventually(policy::dial_ends(
            &mesh.controller(),
            &mesh.scheduler_name(),
            9004,
            &[OutcomeClass::Open],
        ))
        .await?;

    let denied = world.inject(policy::deny_scheduler_api(world, &mesh)).await?;
    world.apply_server(&mesh).await?;
    let model = world.apply(&mesh, iris("baseline-predictor")).await?;
    let words = world.denied_dial(&mesh).await?;
    world.eventually(model.is_not_ready_in_words("ModelProgressing", &words)).await?;
    world.eventually(mesh.server_says(&words)).await?;
    world.still(mesh.has_no_server_pod()).await?;
    world.names(&mesh, "the policy on 9004", denies_controller).await?;

    world.admit_controller(&mesh).await?;
    denied.is_repaired_by("the controller's namespace is admitted").await?;
    world.eventually(model.is_ready()).await?;
    world.eventually(mesh.infer("baseline-predictor").answers_200_in_a_row(5)).await?;
    Ok(())
}

/// A policy that comes under an open connection changes nothing until the controller starts anew.
///
/// Broken: the same policy, on a mesh that serves.
/// Seen:   new Models become Ready; after a restart every Model tells of the dial's error, and still answers 200.
/// Fix:    take the policy away.
pub(crate) async fn live_connection_outlives_policy(world: &World) -> Result {
    let mesh = world.install(Mesh::cluster_wide("financial-ml")).await?;
    let first = world.apply(&mesh, iris("iris")).await?;
    world.eventually(first.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200()).await?;

    let denied = world.inject(policy::deny_scheduler_api(world, &mesh)).await?;
    let second = world.apply(&mesh, iris("iris-two")).await?;
    world.eventually(second.is_ready()).await?;
    world.eventually(mesh.infer("iris-two").answers_200_in_a_row(5)).await?;
    world.restart_controller(&mesh).await?;
    let words = world.denied_dial(&mesh).await?;
    for model in [&first, &second] {
        world.eventually(model.is_not_ready_in_words("ModelProgressing", &words)).await?;
    }
    world.eventually(mesh.server_says(&words)).await?;
    world.names(&mesh, "the policy on 9004", denies_controller).await?;
    world.eventually(mesh.infer("iris").answers_200_in_a_row(5)).await?;

    denied.fix().await?;
    world.eventually(first.is_ready()).await?;
    world.eventually(second.is_ready()).await?;
    world.eventually(mesh.server_is_ready()).await?;
    world.eventually(mesh.infer("iris-two").answers_200_in_a_row(5)).await?;
    Ok(())
}

/// The same policy on a mesh that somebody lends: it is named before anybody feels it.
///
/// Broken: the same policy; connections that are open stay so.
/// Seen:   a dial from the controller's pod, and the diagnosis; the owner's Models stay Ready.
/// Fix:    take the policy away.
pub(crate) async fn policy_nobody_feels_yet(world: &World) -> Result {
    let mesh = world.adopt().await?;
    world.can_look_from(&mesh.controller()).await?;
    world.nobody_guards_the_scheduler(&mesh).await?;
    world
        .eventually(policy::dial_ends(
            &mesh.controller(),
            &mesh.scheduler_name(),
            9004,
            &[OutcomeClass::Open],
        ))
        .await?;

    let denied = world.inject(policy::deny_scheduler_api(world, &mesh)).await?;
    world.names(&mesh, "the policy on 9004", denies_controller).await?;
    world.still(mesh.owners_models_are_ready()).await?;

    denied.fix().await?;
    world.still(mesh.owners_models_are_ready()).await?;
    Ok(())
}

/// DNS allowed to a label that no namespace carries is DNS denied.
///
/// Broken: the controller's namespace may ask for names only in namespaces labelled `name=kube-system`.
/// Seen:   look-ups fail, each program's in its own words; ModelProgressing with the controller's.
/// Fix:    give the namespace the label; or, once that is gone again, ask for the label that every namespace carries.
pub(crate) async fn dns_to_a_label_nobody_has(world: &World) -> Result {
    let mesh = world.install(Mesh::cluster_wide("financial-ml").without_server()).await?;
    world.resolves_scheduler(&mesh).await?;

    let denied = world.inject(policy::dns_allowed_to_a_label_nobody_has(world, &mesh).await?).await?;
    for style in DnsStyle::ALL {
        world.eventually(world.look_up_is_denied(&mesh, style)).await?;
    }
    world.apply_server(&mesh).await?;
    let model = world.apply(&mesh, iris("iris")).await?;
    let words = world.denied_look_up(&mesh);
    world.eventually(model.is_not_ready_in_words("ModelProgressing", &words)).await?;
    let unmatched = |cause: &Cause| matches!(cause, Cause::PolicyDeniesNames { unmatched_label: Some(label), .. } if label == "name=kube-system");
    world.names(&mesh, "the DNS rule's label", unmatched).await?;

    world.label_kube_system(&mesh).await?;
    world.repaired_by_manifest("kube-system carries the label name", model.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200_in_a_row(5)).await?;

    // The controller's open connection needs no names: only a new one shows the denial, and the other repair.
    world.unlabel_kube_system(&mesh).await?;
    world.restart_controller(&mesh).await?;
    world
        .broken_by_manifest("the label is gone", model.is_not_ready_in_words("ModelProgressing", &words))
        .await?;
    world.allow_dns_by_the_right_label(&mesh).await?;
    denied.is_repaired_by("the selector asks for kubernetes.io/metadata.name").await?;
    world.eventually(model.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200_in_a_row(5)).await?;
    Ok(())
}
