//! What starting such a cluster does, as text: for dry runs. The scripts are those that are carried out.

use std::path::Path;

use kubernetes::{Action, Script, Sign, Step, boot_script, loading_script, supervisor};

use super::{KubernetesRequest, Loaded, STATES, images_of, loaded_name};
use crate::cache::Cache;
use crate::command::{Command, quoted};
use crate::plan::{feed, write_file};
use crate::rehearsal::{ClusterTranscript, image_comments, ourselves};

/// Stands for what `new_name` gives.
const NAME: &str = "PROCESS-0";
/// Stands for the fingerprint of images.
const DIGEST: &str = "DIGEST";

/// What [`super::KubernetesCluster::start`] would do with `request`, and what is done at the cluster's end. Nothing is
/// touched, and no program needs to be there.
///
/// # Errors
/// That Calico's programs are not named.
pub fn rehearse_kubernetes(
    request: &KubernetesRequest<'_>,
    cache: &Cache,
) -> anyhow::Result<ClusterTranscript> {
    let state = cache.directory().join(STATES).join(NAME);
    let spec = request.describe(NAME.into(), state.clone(), cache.future_mountpoint(), cache)?;
    let steps = [
        images(request, cache, &state),
        format!(
            "# start the supervisor: mount, pid, uts, ipc and network namespaces of its own, in which all that follows \
             happens\n{} > {} 2>&1 &\n",
            ourselves(&supervisor(&spec)),
            shown(&request.supervisor_log()),
        ),
        format!(
            "# by itself it makes: the node's links and those to an outside that answers nothing; /run, /var/lib and \
             /var/log of the\n# node's own; a tmpfs over {}; keys, certificates and kubeconfigs in {}; cgroup {}\n",
            spec.mountpoint.display(),
            spec.mountpoint.join("pki").display(),
            kubernetes::cgroups::of(&spec.name),
        ),
        script(&boot_script(&spec)?),
    ];
    let down = [
        "# end the supervisor, and with the first process of its pid namespace every other one\n".to_owned(),
        format!(
            "# remove its cgroup in every hierarchy\nfind /sys/fs/cgroup -depth -type d -path '*{}*' -exec rmdir {{}} +\n",
            kubernetes::cgroups::of(&spec.name),
        ),
        format!("# remove its state\nrm -r {}\n", shown(&state)),
    ];
    Ok(ClusterTranscript { up: steps.join("\n"), down: down.join("\n") })
}

/// How its images come into containerd.
fn images(request: &KubernetesRequest<'_>, cache: &Cache, state: &Path) -> String {
    let name = loaded_name(DIGEST);
    let being_made = Loaded::at(&cache.workplace(&name));
    let loaded = Loaded::at(&cache.directory().join(&name));
    let load = loading_script(&request.programs.node, &[being_made.archive], &being_made.root);
    [
        format!(
            "# make images of the provisioned programs; this and the next steps are left out where {} is there\n{}",
            loaded.root.display(),
            image_comments(&request.node_images()),
        ),
        format!(
            "# load them, in namespaces of their own\n{} < ORDER\n",
            ourselves(&[kubernetes::LOADER.to_owned()])
        ),
        script(&load),
        format!(
            "# copy them: links, but for containerd's databases\ncp --recursive --link {} {}\n",
            shown(&loaded.root),
            shown(&images_of(state)),
        ),
    ]
    .join("\n")
}

fn script(script: &Script) -> String {
    let variables: Vec<String> =
        script.environment.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    let environment = format!(
        "# all of this may take {} s; every program has this environment, and no other variable\nexport {}\n",
        script.limit.as_secs(),
        variables.join(" ")
    );
    let steps = script.steps.iter().map(|one| step(one, script));
    std::iter::once(environment).chain(steps).collect::<Vec<_>>().join("\n")
}

fn step(step: &Step, script: &Script) -> String {
    let text = match &step.action {
        Action::Write { file, text } => write_file(file, text),
        Action::Link { to, name } => format!("ln -s {} {}", shown(to), shown(name)),
        Action::Begin(name, program) => {
            format!("{} > {} 2>&1 &", line(program), shown(&script.logs.join(format!("{name}.log"))))
        }
        Action::Run(name, program) => {
            format!("{} > {} 2>&1", line(program), shown(&script.logs.join(format!("{name}.log"))))
        }
        Action::End(name) => format!("kill -TERM {name}"),
        Action::Create(objects) => feed("kubectl create --filename -", objects),
        Action::Define(directory) => format!("kubectl create --filename {}", shown(directory)),
        Action::Label { node, labels } => Command::new("kubectl")
            .args(["label", "node", node])
            .args(labels.iter().map(|(name, value)| format!("{name}={value}")))
            .to_string(),
        Action::Await(sign) => format!("# ... until {}", seen(sign)),
    };
    let through = match &step.action {
        Action::Create(_) | Action::Define(_) | Action::Label { .. } => " (through the API, as this would)",
        Action::Write { .. }
        | Action::Link { .. }
        | Action::Begin(..)
        | Action::Run(..)
        | Action::End(_)
        | Action::Await(_) => "",
    };
    format!("# {}{through}\n{text}\n", step.what)
}

fn line(program: &kubernetes::Program) -> Command {
    let line = Command::new(program.program.display().to_string()).args(&program.arguments);
    program.environment.iter().fold(line, |line, (name, value)| line.env(name, value))
}

fn seen(sign: &Sign) -> String {
    match sign {
        Sign::ApiReady => "the API server answers /readyz".into(),
        Sign::Succeeds(program) => format!("`{}` succeeds", line(program)),
        Sign::NodeRegistered(name) => format!("the kubelet has made Node {name}"),
        Sign::DefinitionsServed(directory) => {
            format!("every definition in {} is Established", directory.display())
        }
        Sign::Answers { port, path } => format!("127.0.0.1:{port}{path} answers 200"),
        Sign::NodeAndDnsReady(name) => {
            format!("Node {name} is Ready, and Service kube-system/kube-dns has an address that answers")
        }
    }
}

fn shown(path: &Path) -> String {
    quoted(&path.display().to_string())
}
