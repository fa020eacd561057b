//! DNS: what a hijacking upstream does to a mesh, and to the person who looks.

use crate::prelude::*;

/// A hijacking upstream misleads nslookup, and the controller only before the Service exists.
///
/// Broken: every unknown name is answered with one public address.
/// Seen:   nslookup shows it for the scheduler's name; the controller gets the ClusterIP; a Server that is applied
///         before the Service exists makes the controller dial the public address once.
/// Fix:    none is needed: the next attempt succeeds.
pub(crate) async fn hijacking_upstream_misleads_nslookup(world: &World) -> Result {
    let mesh = world.install(Mesh::cluster_wide("financial-ml").without_runtime()).await?;
    world.eventually(mesh.nslookup_finds_nothing()).await?;

    let hijack = world.inject(dns::hijacking_upstream(&mesh)).await?;
    world.apply_server(&mesh).await?;
    world.eventually(mesh.server_tells_of(&format!("dial tcp {}:9004: i/o timeout", dns::HIJACKER))).await?;
    world
        .names(&mesh, "the foreign address", |cause| matches!(cause, Cause::ForeignAddressDialled { .. }))
        .await?;

    world.apply_runtime(&mesh).await?;
    let model = world.apply(&mesh, iris("baseline-predictor")).await?;
    world.eventually(model.is_ready()).await?;
    world.eventually(mesh.infer("baseline-predictor").answers_200_in_a_row(5)).await?;
    world.eventually(mesh.nslookup_shows_the_hijacker()).await?;
    world.resolves_scheduler(&mesh).await?;
    world
        .names(&mesh, "the misleading look-up", |cause| matches!(cause, Cause::MisleadingLookup { .. }))
        .await?;
    let docs = "/seldon/financial-ml/baseline-predictor/v2/docs";
    world.explains_request(&mesh, docs, |cause| matches!(cause, Cause::NoSuchRoute { .. })).await?;

    hijack.fix().await?;
    world.eventually(mesh.infer("baseline-predictor").answers_200_in_a_row(5)).await?;
    Ok(())
}
