//! k3s without k3d: the program itself in namespaces of its own, or in one container.

mod namespaces;

use std::time::Duration;

use embedded::Profile;

use crate::command::Command;
use crate::images_lock::ImagesLock;
use crate::k3d::server_arguments;
use crate::plan::{Action, Background, Condition, ContainerStep, Expectation, OWNER_LABEL, Plan, Task};
use crate::real::{Home, ImageSource, Plans, Provider, RealError, RealName, RealRequest, Stamp};
use crate::tool::{DOCKER, K3S, ask_daemon};
use crate::{balancer, calico, dns};

/// How long a question to Docker may take.
const QUESTION: Duration = Duration::from_secs(60);
/// How long saving one image may take.
const SAVE: Duration = Duration::from_secs(300);
/// How k3s calls its only context.
const CONTEXT: &str = "default";

/// What every k3s of ours is asked to be: one node.
fn check(request: &RealRequest) -> Result<(), RealError> {
    if request.agents > 0 {
        return Err(RealError::Asked(format!(
            "{} has one node; leave out --agents, or say --cluster k3d",
            request.provider
        )));
    }
    match (request.provider, request.api.address, request.ports.iter().find_map(|port| port.address)) {
        (Provider::K3sContainer, Some(_), _) => Err(not_here(request, "--host-address")),
        (Provider::K3sContainer, None, Some(address)) => {
            Err(not_here(request, &format!("the address {address} of --port")))
        }
        _ => Ok(()),
    }
}

/// Docker publishes what has no address of its own on every address of the host, and a container through its API has none.
fn not_here(request: &RealRequest, what: &str) -> RealError {
    RealError::Asked(format!(
        "{} publishes its ports on every address of this machine; leave out {what}, or say --cluster k3d",
        request.provider
    ))
}

/// A k3s of this machine has a network of its own, or one that k3s itself leads out of.
fn check_binary(request: &RealRequest) -> Result<(), RealError> {
    let asked = [(request.api.address.is_some(), "--host-address"), (!request.ports.is_empty(), "--port")];
    match asked.into_iter().find(|(asked, _)| *asked) {
        None => Ok(()),
        Some((_, option)) => Err(RealError::Asked(format!(
            "k3s as a program cannot be told {option}: nothing of its node is published here; leave it out, or say --cluster \
             k3d"
        ))),
    }
}

/// Whether the port of its API is one of the host, and nobody has chosen it: another k3s may have the usual one.
pub(crate) fn needs_port(request: &RealRequest) -> bool {
    let on_host =
        request.provider == Provider::K3s && namespaces::privilege() == namespaces::Privilege::Rootless;
    on_host && request.api.port.is_none()
}

/// What follows once k3s has begun.
fn become_ready(up: &mut Plan, request: &RealRequest, home: &Home, lock: &ImagesLock, inside: Command) {
    up.wait("reach its API server", Condition::ApiReady, request.limit);
    if request.network == Profile::Calico {
        calico::install(up, lock, request, home);
    }
    up.wait("have the node Ready", Condition::NodesReady(1), request.limit);
    let images: Vec<String> = sources(request)
        .iter()
        .flat_map(|source| match source {
            ImageSource::Docker(image) => vec![image.clone()],
            ImageSource::Archive { images, .. } => images.clone(),
        })
        .collect();
    if !images.is_empty() {
        up.wait("see the images on the node", Condition::NodesHaveImages(images), request.limit);
    }
    dns::see_it_answer(up, [inside], request.limit);
    if request.network == Profile::Calico {
        calico::see_it_bite(up, &lock.probe, request.limit);
    }
    if let Some(addresses) = &request.balancer {
        balancer::install(up, lock, addresses, request, home);
    }
}

fn sources(request: &RealRequest) -> Vec<ImageSource> {
    let mirrored = request.mirror.as_deref().map(|mirror| crate::mirror::archives(mirror, request));
    request.images.iter().cloned().chain(mirrored.into_iter().flatten()).collect()
}

/// Puts archives where k3s looks for them when it starts.
fn lay_out_images(up: &mut Plan, request: &RealRequest, home: &Home) {
    let directory = home.file("k3s/agent/images");
    let mut tasks = Vec::new();
    if let Some(mirror) = &request.mirror {
        let archive = crate::mirror::k3s_archive(mirror);
        tasks.push(Command::new("cp").arg(archive).arg(directory.join("k3s.tar.zst")));
    }
    for (index, source) in sources(request).iter().enumerate() {
        let file = directory.join(format!("{index}.tar"));
        tasks.push(match source {
            ImageSource::Docker(image) => {
                Command::new("docker").args(["save", "--output"]).arg(file).arg(image)
            }
            ImageSource::Archive { file: from, .. } => Command::new("cp").arg(from).arg(file),
        });
    }
    if tasks.is_empty() {
        return;
    }
    let make = Command::new("mkdir").arg("-p").arg(&directory).within(QUESTION);
    up.run("make the directory of images", Task::new(make));
    let tasks = tasks.into_iter().map(|command| Task::new(command.within(SAVE))).collect();
    up.push("lay out the images", Action::Together(tasks));
}

/// How a k3s of this machine begins and ends.
pub(crate) fn binary_plans(
    request: &RealRequest,
    home: &Home,
    lock: &ImagesLock,
) -> Result<Plans, RealError> {
    check(request)?;
    check_binary(request)?;
    let name = &request.name;
    let mut up = Plan::new();
    up.run("see which k3s there is", Task::look(K3S.ask()).expecting(Expectation::Version(&K3S)));
    lay_out_images(&mut up, request, home);
    let port = request.api.port.map(|port| port.to_string());
    let busybox = home.file("k3s/data/current/bin/busybox");
    let (command, inside) = match namespaces::privilege() {
        namespaces::Privilege::Root => {
            namespaces::make(&mut up, request, home);
            let port = port.unwrap_or_else(|| "6443".into());
            let command =
                namespaces::enter(home).args(server(request, home, &namespaces::inside(home), port));
            (command, namespaces::beside(home).arg(busybox))
        }
        namespaces::Privilege::Rootless if request.network == Profile::Calico => {
            return Err(RealError::Asked(
                "Calico does not run on a k3s without root: run as root, or say --cni flannel".into(),
            ));
        }
        namespaces::Privilege::Rootless => {
            up.run("see that cgroups can be delegated", Task::look(namespaces::see_cgroups()));
            // A dry run does not know which is free.
            let port = port.unwrap_or_else(|| "PORT".into());
            let command =
                namespaces::delegate(name).arg("k3s").args(server(request, home, "127.0.0.1", port));
            (command.arg("--rootless"), namespaces::beside_rootless(home).arg(busybox))
        }
    };
    let background = Background { command, log: home.file("k3s.log"), pid_file: home.file("k3s.pid") };
    up.push("start k3s", Action::Begin(background));
    become_ready(&mut up, request, home, lock, inside);
    Ok(Plans { up, down: binary_down(name, home), context: CONTEXT.into(), kubeconfig: home.kubeconfig() })
}

/// The server's command line, from `server` on.
fn server(request: &RealRequest, home: &Home, address: &str, port: String) -> Vec<String> {
    let mut words = vec!["server".to_owned(), "--data-dir".into(), home.file("k3s").display().to_string()];
    let name = request.name.to_string();
    let kubeconfig = home.kubeconfig().display().to_string();
    let pairs = [
        ("--node-name", name),
        ("--write-kubeconfig", kubeconfig),
        ("--write-kubeconfig-mode", "600".into()),
    ];
    words.extend(pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
    words.extend(["--bind-address".into(), address.to_owned(), "--https-listen-port".into(), port]);
    words.extend(server_arguments(request.network));
    words
}

/// How such a k3s ends, whoever started it.
pub(crate) fn binary_down(name: &RealName, home: &Home) -> Plan {
    match namespaces::privilege() {
        namespaces::Privilege::Root => namespaces::remove(home),
        namespaces::Privilege::Rootless => {
            let mut plan = Plan::new();
            plan.run("end k3s", Task::new(namespaces::undelegate(name)));
            plan
        }
    }
}

/// How k3s in a container begins and ends.
pub(crate) fn container_plans(
    request: &RealRequest,
    home: &Home,
    stamp: &Stamp,
    lock: &ImagesLock,
) -> Result<Plans, RealError> {
    check(request)?;
    let name = &request.name;
    let mut up = Plan::new();
    up.run("see which docker there is", Task::look(DOCKER.ask()).expecting(Expectation::Version(&DOCKER)));
    up.run("reach the Docker daemon", Task::look(ask_daemon()));
    let free = Task::look(list_containers(name, "{{.ID}}")).expecting(Expectation::Nothing);
    up.run(format!("see that the name {name} is free"), free);
    lay_out_images(&mut up, request, home);
    crate::mirror::load(&mut up, request.mirror.as_deref(), &[request.k3s_image(lock)]);
    let images = (home.file("k3s/agent/images"), "/var/lib/rancher/k3s/agent/images".to_owned());
    let laid_out = !sources(request).is_empty() || request.mirror.is_some();
    let image = request.k3s_image(lock);
    let reference = request.reference(&image);
    let tag = reference.strip_prefix(&format!("{}:", image.name)).unwrap_or(&image.tag).to_owned();
    up.push(
        "start the container",
        Action::Container(Box::new(ContainerStep {
            kubeconfig: home.kubeconfig(),
            container: containers::Container {
                name: container_name(name),
                tag,
                image: image.name,
                arguments: std::iter::once("server".to_owned())
                    .chain(server_arguments(request.network))
                    .collect(),
                api_port: request.api.port.unwrap_or(0),
                ports: request.ports.iter().map(|port| (port.inside, port.outside)).collect(),
                labels: stamp.labels().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
                mounts: laid_out.then_some(images).into_iter().collect(),
                limit: request.limit,
            },
        })),
    );
    let inside = Command::new("docker").args(["exec", &container_name(name), "busybox"]);
    become_ready(&mut up, request, home, lock, inside);
    Ok(Plans {
        up,
        down: container_down(name, stamp.owner()),
        context: CONTEXT.into(),
        kubeconfig: home.kubeconfig(),
    })
}

fn container_name(name: &RealName) -> String {
    format!("k3s-{name}")
}

fn list_containers(name: &RealName, format: &str) -> Command {
    let filter = format!("name=^{}$", container_name(name));
    Command::new("docker")
        .args(["container", "ls", "--all", "--filter", &filter, "--format", format])
        .within(QUESTION)
}

/// How such a container ends.
pub(crate) fn container_down(name: &RealName, owner: &str) -> Plan {
    let mut plan = Plan::new();
    let whose = list_containers(name, &format!("{{{{.Label \"{OWNER_LABEL}\"}}}}"));
    let ours = Expectation::OnlyOf(owner.to_owned());
    plan.run("see whose container it is", Task::look(whose).expecting(ours));
    let remove = Command::new("docker").args(["rm", "--force", "--volumes"]).arg(container_name(name));
    let gone = vec![(list_containers(name, "{{.ID}}"), Expectation::Nothing)];
    plan.run("remove the container", Task::new(remove.within(QUESTION)).proved_by(gone, 2));
    plan
}
