//! Clusters in Docker, by the program k3d.
//!
//! What k3d says is never the proof that something was done. It calls a cluster created before its nodes are Ready; an
//! import whose node refused it ends with exit code 0, or never; a creation that failed early leaves a network and a
//! volume that `k3d cluster delete` then does not see. Whose a cluster is, Docker says: k3d lists no labels but its own.
//! Its side effects are kept in the cluster's own directory: it would write to the person's kubeconfig even when it
//! deletes, and leaves temporary files.

mod simple_config;

use std::time::Duration;

use embedded::Profile;

use crate::command::Command;
use crate::images_lock::ImagesLock;
use crate::plan::{Action, Condition, Expectation, OWNER_LABEL, Plan, Task};
use crate::real::{Home, ImageSource, Plans, RealName, RealRequest, Stamp};
use crate::tool::{DOCKER, K3D, ask_daemon};
use crate::{balancer, calico, dns};

pub(crate) use simple_config::server_arguments;

/// How long k3d may take for a question.
const QUESTION: Duration = Duration::from_secs(60);
/// How long k3d may take to import one image.
const IMPORT: Duration = Duration::from_secs(300);
/// How long k3d may take to delete a cluster.
const DELETE: Duration = Duration::from_secs(120);
/// How much longer k3d is waited for than it is told to take: it has to clean up.
const CLEAN_UP: Duration = Duration::from_secs(60);
/// How often an import is tried that says it succeeded and did not.
const ATTEMPTS: u8 = 3;

/// k3d, kept from writing anywhere but into `home`.
fn k3d(home: &Home) -> Command {
    Command::new("k3d")
        .env("LOG_COLORS", "false")
        .env("TMPDIR", home.directory())
        .env("XDG_CONFIG_HOME", home.directory())
        .env("KUBECONFIG", home.file("k3d-default-kubeconfig"))
}

/// Prints the owner of each of a cluster's containers.
fn owners(name: &RealName) -> Command {
    let filter = format!("label=k3d.cluster={name}");
    let format = format!("{{{{.Label \"{OWNER_LABEL}\"}}}}");
    Command::new("docker")
        .args(["container", "ls", "--all", "--filter", &filter, "--format", &format])
        .within(QUESTION)
}

fn network(name: &RealName) -> Command {
    let filter = format!("name=^k3d-{name}$");
    Command::new("docker").args(["network", "ls", "--quiet", "--filter", &filter]).within(QUESTION)
}

fn volume(name: &RealName) -> Command {
    let filter = format!("name=^k3d-{name}-images$");
    Command::new("docker").args(["volume", "ls", "--quiet", "--filter", &filter]).within(QUESTION)
}

/// The containers that are the nodes of a cluster.
fn nodes(name: &RealName, agents: u8) -> Vec<String> {
    let agents = (0..agents).map(|index| format!("k3d-{name}-agent-{index}"));
    std::iter::once(format!("k3d-{name}-server-0")).chain(agents).collect()
}

/// How a cluster begins and ends.
pub(crate) fn plans(request: &RealRequest, home: &Home, stamp: &Stamp, lock: &ImagesLock) -> Plans {
    let name = &request.name;
    let mut up = Plan::new();
    up.run("see which k3d there is", Task::look(K3D.ask()).expecting(Expectation::Version(&K3D)));
    up.run("see which docker there is", Task::look(DOCKER.ask()).expecting(Expectation::Version(&DOCKER)));
    up.run("reach the Docker daemon", Task::look(ask_daemon()));
    let free = Task::look(owners(name)).expecting(Expectation::NameIsFree(name.to_string()));
    up.run(format!("see that the name {name} is free"), free);
    up.run("see that its network is free", Task::look(network(name)).expecting(Expectation::Nothing));
    up.run("see that its volume is free", Task::look(volume(name)).expecting(Expectation::Nothing));
    crate::mirror::load(
        &mut up,
        request.mirror.as_deref(),
        &[request.k3s_image(lock), lock.k3d_tools.clone()],
    );
    let config = home.file("k3d.yaml");
    up.write("write the cluster's configuration", &config, simple_config::text(request, stamp, lock));
    up.run("create the cluster", Task::new(create(request, home, lock)));
    let kubeconfig = home.kubeconfig();
    let get = k3d(home).args(["kubeconfig", "get", name.as_str()]).within(QUESTION);
    up.run("take its kubeconfig", Task::new(get).into_file(&kubeconfig));
    up.wait("reach its API server", Condition::ApiReady, request.limit);
    import(&mut up, request, home);
    if request.network == Profile::Calico {
        calico::install(&mut up, lock, request, home);
    }
    let count = 1 + usize::from(request.agents);
    up.wait("have every node Ready", Condition::NodesReady(count), request.limit);
    let inside = |node: &String| Command::new("docker").args(["exec", node, "busybox"]);
    dns::see_it_answer(&mut up, nodes(name, request.agents).iter().map(inside), request.limit);
    if request.network == Profile::Calico {
        calico::see_it_bite(&mut up, &lock.probe, request.limit);
    }
    if let Some(addresses) = &request.balancer {
        balancer::install(&mut up, lock, addresses, request, home);
    }
    Plans { up, down: down(name, home, stamp.owner()), context: format!("k3d-{name}"), kubeconfig }
}

fn create(request: &RealRequest, home: &Home, lock: &ImagesLock) -> Command {
    k3d(home)
        .env("K3D_IMAGE_TOOLS", request.reference(&lock.k3d_tools))
        .args(["cluster", "create", "--config"])
        .arg(home.file("k3d.yaml"))
        .arg("--timeout")
        .arg(format!("{}s", request.limit.as_secs()))
        .args(["--wait=false", "--kubeconfig-update-default=false", "--kubeconfig-switch-context=false"])
        .within(request.limit + CLEAN_UP)
}

/// Imports side by side; each is seen in every node.
fn import(up: &mut Plan, request: &RealRequest, home: &Home) {
    let mirrored = request.mirror.as_deref().map(|mirror| crate::mirror::archives(mirror, request));
    let all: Vec<&ImageSource> = request.images.iter().chain(mirrored.iter().flatten()).collect();
    if all.is_empty() {
        return;
    }
    let tasks = all.into_iter().map(|source| {
        let (what, images) = match source {
            ImageSource::Docker(image) => (image.clone(), vec![image.clone()]),
            ImageSource::Archive { file, images } => (file.display().to_string(), images.clone()),
        };
        let name = request.name.as_str();
        let import = k3d(home).args(["image", "import", "--mode", "direct", "--cluster", name]).arg(what);
        let looks = nodes(&request.name, request.agents).into_iter().map(|node| {
            let look = Command::new("docker").args(["exec", &node, "crictl", "images", "--output", "json"]);
            (look.within(QUESTION), Expectation::ListsImages(images.clone()))
        });
        Task::new(import.within(IMPORT)).proved_by(looks.collect(), ATTEMPTS)
    });
    up.push("import the images into every node", Action::Together(tasks.collect()));
}

/// How a cluster ends.
pub(crate) fn down(name: &RealName, home: &Home, owner: &str) -> Plan {
    let mut plan = Plan::new();
    let ours = Expectation::OnlyOf(owner.to_owned());
    plan.run("see whose cluster it is", Task::look(owners(name)).expecting(ours));
    let delete = k3d(home).args(["cluster", "delete", name.as_str()]).within(DELETE);
    let gone = vec![(owners(name), Expectation::Nothing)];
    plan.run("delete the cluster", Task::new(delete).proved_by(gone, 2));
    let remove = |what: &str, kind: &str, look: Command| {
        let line = format!("docker {kind} ls --quiet --filter name=^{what}$ | xargs -r docker {kind} rm");
        let remove = Command::new("sh").args(["-c", &line]).within(QUESTION);
        Task::new(remove).proved_by(vec![(look, Expectation::Nothing)], 2)
    };
    plan.run("remove a network that it left", remove(&format!("k3d-{name}"), "network", network(name)));
    plan.run("remove a volume that it left", remove(&format!("k3d-{name}-images"), "volume", volume(name)));
    plan
}
