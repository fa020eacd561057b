//! Serving: what a healthy mesh does.

use crate::prelude::*;

/// A Model that is Ready answers 200, over HTTP and gRPC, again and again; one that nobody has is 404.
///
/// Nothing is broken. Ready comes before routable: the gap between the two is recorded.
pub(crate) async fn ready_model_answers(world: &World) -> Result {
    let mesh = world.install(Mesh::new(world.topology(), "seldon-mesh")).await?;
    let iris = world.apply(&mesh, iris("iris")).await?;

    world.eventually(iris.is_ready()).await?;
    world.eventually(mesh.infer("iris").answers_200()).await?;
    world.eventually(mesh.infer("iris").answers_200_in_a_row(5)).await?;
    world.eventually(mesh.infer("iris").answers_over_grpc()).await?;
    world.eventually(mesh.infer("a-model-nobody-has").answers(404)).await?;
    Ok(())
}
