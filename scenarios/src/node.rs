//! Node: what becomes of a mesh when its node ends a program, takes a link down, forgets a connection or drops packets.

use crate::policy::denies_controller;
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

/// Who asks Envoy while its pod has no link is turned away; once the link is up again nobody has to do anything.
///
/// Broken: the link of Envoy's pod is taken down on its node.
/// Seen:   the node's probes fail, the Service has no endpoint and refuses; Models are Ready all the same, new ones too.
/// Fix:    the link is taken up.
pub(crate) async fn envoy_loses_its_link(world: &World) -> Result {
    let mesh = world.install(Mesh::cluster_wide("financial-ml")).await?;
    let first = world.apply(&mesh, iris("iris")).await?;
    world.eventually(first.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200_in_a_row(5)).await?;

    let down = world.inject(node::link_down(world, &mesh.envoy()).await?).await?;
    world.eventually(node::visitors_are_refused(&mesh)).await?;
    let second = world.apply(&mesh, iris("iris-two")).await?;
    world.eventually(second.is_ready()).await?;
    world.still(node::visitors_are_refused(&mesh)).await?;
    world.still(first.is_ready()).await?;

    down.fix().await?;
    world.eventually(mesh.infer("iris").answers_200_in_a_row(5)).await?;
    world.eventually(mesh.infer("iris-two").answers_200_in_a_row(5)).await?;
    Ok(())
}

/// A firewall of the node's own cuts the controller off as a policy would, and no policy is blamed for it.
///
/// Broken: a rule on the node drops what is sent to the scheduler's port 9004; no object of the cluster tells of it.
/// Seen:   ModelProgressing with the dial's time-out, on either network; packets come to the node and go no further.
/// Fix:    take the rule away.
pub(crate) async fn firewall_cuts_controller_off(world: &World) -> Result {
    let mesh = world.install(Mesh::cluster_wide("financial-ml").without_server()).await?;
    world.resolves_scheduler(&mesh).await?;

    let dropped = world.inject(node::firewall(world, &mesh).await?).await?;
    world.apply_server(&mesh).await?;
    let model = world.apply(&mesh, iris("iris")).await?;
    let words = world.unanswered_dial(&mesh).await?;
    world.eventually(model.is_not_ready_in_words("ModelProgressing", &words)).await?;
    world.still(mesh.has_no_server_pod()).await?;
    let by_the_node = |cause: &Cause| matches!(cause, Cause::NodeDrops { from, to, port: 9004 } if from == "controller" && to == "scheduler");
    world.names(&mesh, "the node, and no policy", by_the_node).await?;

    dropped.fix().await?;
    world.eventually(model.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200_in_a_row(5)).await?;
    Ok(())
}

/// A connection that outlived a policy does not outlive the node's memory of it.
///
/// Broken: a policy on 9004 under an open connection, which goes on; then the node forgets its connections to 9004.
/// Seen:   the controller's pings are not answered, and new Models hear nothing; what is Ready stays so and answers 200.
/// Fix:    take the policy away.
pub(crate) async fn forgotten_connection_meets_a_policy(world: &World) -> Result {
    let mesh = world.install(Mesh::cluster_wide("financial-ml")).await?;
    let first = world.apply(&mesh, iris("iris")).await?;
    world.eventually(first.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200()).await?;

    let denied = world.inject(policy::deny_scheduler_api(world, &mesh)).await?;
    let second = world.apply(&mesh, iris("iris-two")).await?;
    world.eventually(second.is_ready()).await?;
    let forgotten = world.inject(node::forgotten(world, &mesh).await?).await?;
    let third = world.apply(&mesh, iris("iris-three")).await?;
    world.still(third.has_no_condition()).await?;
    world.still(first.is_ready()).await?;
    world.still(mesh.infer("iris").answers_200()).await?;
    world.names(&mesh, "the policy on 9004", denies_controller).await?;

    denied.fix().await?;
    forgotten.is_repaired_by("the policy is gone").await?;
    world.eventually(third.is_ready()).await?;
    world.eventually(mesh.infer("iris-three").answers_200_in_a_row(5)).await?;
    Ok(())
}
