//! A SeldonRuntime that is deleted and made again.

use harness::claim::Claim;
use harness::look::{Look, PodQuery, Seen};
use harness::mesh::{InstalledMesh, Mesh};
use harness::model::iris;
use harness::object::{Kind, ObjectRef};
use harness::{DnsStyle, World};

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
    for claim in nothing_is_left(&mesh) {
        world.eventually(claim).await?;
    }

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

/// As it was when the recorded runtime was made again, ten seconds later: otherwise the controller reaches a scheduler
/// that is about to end, and tries it again for as long as a reconcile may last.
fn nothing_is_left(mesh: &InstalledMesh) -> [Claim; 3] {
    let gone = |PodQuery { namespace, labels, name, .. }: PodQuery| {
        let look = Look::Objects { kind: Kind::Pod, namespace, labels };
        Claim::new(
            format!("{name} has ended"),
            look,
            |seen| matches!(seen, Seen::Objects(pods) if pods.is_empty()),
        )
    };
    let look = mesh.look_up(DnsStyle::Go, &mesh.scheduler_name());
    let forgotten = Claim::new(
        "the scheduler's name is forgotten",
        look,
        |seen| matches!(seen, Seen::Observed(observation) if observation.addresses().is_empty()),
    );
    [gone(mesh.agent()), gone(mesh.scheduler()), forgotten]
}
