//! The scripts by which clusters come up and images are loaded. They need nothing but what describes them.

use std::path::{Path, PathBuf};

use embedded::supervision::{Denials, NODE_ADDRESS, dns_objects, storage_class};

use crate::configuration::{self, OomScores};
use crate::parts::{Parts, containerd, ctr};
use crate::pki::PkiFiles;
use crate::process::environment;
use crate::spec::{BOOT_LIMIT, CNI_PLUGINS, LOADING, NODE_NAME, Network, NodePrograms, NodeSpec};
use crate::step::{Action, Script, Sign, Step};
use crate::{calico, flannel, packet_log};

/// What k3s labels its server with.
const LABELS: [(&str, &str); 2] =
    [("node-role.kubernetes.io/control-plane", "true"), ("node-role.kubernetes.io/master", "true")];

/// Where the node's files are, below its tmpfs.
struct Places {
    etcd: PathBuf,
    network: PathBuf,
    plugins: PathBuf,
    resolv_conf: PathBuf,
    containerd: PathBuf,
    kubelet: PathBuf,
}

/// Where the keys of the cluster that `spec` describes are.
pub(crate) fn pki_files(spec: &NodeSpec) -> PkiFiles {
    PkiFiles::in_directory(spec.mountpoint.join("pki"))
}

/// Directories of the cluster that `spec` describes which are there before its script begins.
pub(crate) fn directories(spec: &NodeSpec) -> [PathBuf; 3] {
    let places = Places::below(&spec.mountpoint);
    [places.etcd, places.network, places.plugins]
}

impl Places {
    fn below(directory: &Path) -> Places {
        let at = |name: &str| directory.join(name);
        Places {
            etcd: at("etcd"),
            network: at("cni"),
            plugins: at("cni-plugins"),
            resolv_conf: at("resolv.conf"),
            containerd: at("containerd.toml"),
            kubelet: at("kubelet.json"),
        }
    }
}

/// Every step from nothing to a node that is Ready and names that resolve, in the order in which the parts need each other.
///
/// # Errors
/// serde_json's; Kubernetes types always serialise.
pub fn boot_script(spec: &NodeSpec) -> anyhow::Result<Script> {
    let (pki, places) = (pki_files(spec), Places::below(&spec.mountpoint));
    let parts = Parts { spec, pki: &pki };
    let mut steps = configuration_steps(spec, &places, &pki);
    steps.extend(packet_log::logging().steps());
    steps.extend(control_plane(&parts, &places));
    steps.extend(node(&parts, &places));
    match &spec.network {
        Network::Flannel => steps.extend(flannel::flannels().steps()),
        Network::Calico(programs) => {
            let chain = places.network.join("10-calico.conflist");
            steps.extend(calico::steps(programs, &pki, &spec.logs, chain));
        }
    }
    steps.push(Step::new("create the storage class", Action::Create(vec![storage_class()])));
    let dns = dns_objects(NODE_NAME, NODE_ADDRESS, Denials::remembered_at(spec.pace))?;
    steps.push(Step::new("create the cluster's DNS", Action::Create(dns)));
    steps.push(Step::new("see the node registered", Action::Await(Sign::NodeRegistered(NODE_NAME))));
    steps.push(Step::new("label the node", Action::Label { node: NODE_NAME, labels: &LABELS }));
    let up = Action::Await(Sign::NodeAndDnsReady(NODE_NAME));
    steps.push(Step::new("have the node and the cluster's DNS Ready", up));
    Ok(Script {
        environment: environment(&spec.programs),
        logs: spec.logs.clone(),
        kubeconfig: Some(pki.file("admin.kubeconfig").into()),
        limit: BOOT_LIMIT,
        steps,
    })
}

/// What the programs read.
fn configuration_steps(spec: &NodeSpec, places: &Places, pki: &PkiFiles) -> Vec<Step> {
    let write = |what: &str, file: &Path, text: String| {
        Step::new(format!("write {what}"), Action::Write { file: file.to_owned(), text })
    };
    let network = Some((places.plugins.as_path(), places.network.as_path()));
    let root = spec.state.join("containerd");
    let engine = configuration::containerd(&root, OomScores::of_this_process(), network);
    let kubelet = format!("{:#}\n", configuration::kubelet(spec, pki, &places.resolv_conf));
    let mut steps = vec![
        write("the node's resolv.conf", &places.resolv_conf, format!("nameserver {NODE_ADDRESS}\n")),
        write("containerd's configuration", &places.containerd, engine),
        write("the kubelet's configuration", &places.kubelet, kubelet),
    ];
    steps.extend(CNI_PLUGINS.map(|name| {
        let action = Action::Link { to: spec.programs.cni.join(name), name: places.plugins.join(name) };
        Step::new(format!("link the CNI plugin {name}"), action)
    }));
    match &spec.network {
        Network::Flannel => steps.push(write(
            "the CNI plugins' configuration",
            &places.network.join("10-flannel.conflist"),
            format!("{:#}\n", configuration::flannel()),
        )),
        Network::Calico(programs) => steps.extend(calico::links(programs, &places.plugins)),
    }
    steps
}

fn control_plane(parts: &Parts<'_>, places: &Places) -> Vec<Step> {
    let begin = |name, program| Step::new(format!("start {name}"), Action::Begin(name, program));
    vec![
        begin("etcd", parts.etcd(&places.etcd)),
        begin("kube-apiserver", parts.api_server()),
        begin("containerd", containerd(&places.containerd)),
        Step::new("reach the API server", Action::Await(Sign::ApiReady)),
    ]
}

/// What needs the API server.
fn node(parts: &Parts<'_>, places: &Places) -> Vec<Step> {
    let begin = |name, program| Step::new(format!("start {name}"), Action::Begin(name, program));
    vec![
        begin("kube-controller-manager", parts.controller_manager()),
        begin("kube-scheduler", parts.scheduler()),
        begin("kubelet", parts.kubelet(&places.kubelet)),
        begin("kube-proxy", parts.proxy()),
    ]
}

/// Every step by which `archives` come into containerd's directory `root`.
pub fn loading_script(programs: &NodePrograms, archives: &[PathBuf], root: &Path) -> Script {
    let file = Path::new("/run/containerd.toml");
    let text = configuration::containerd(root, OomScores::of_this_process(), None);
    let mut steps = vec![
        Step::new("write containerd's configuration", Action::Write { file: file.to_owned(), text }),
        Step::new("start containerd", Action::Begin("containerd", containerd(file))),
        Step::new("have containerd answer", Action::Await(Sign::Succeeds(ctr().args(["version"])))),
    ];
    steps.extend(archives.iter().map(|archive| {
        let import = ctr().args(["images", "import", "--all-platforms"]);
        let import = import.args([archive.display().to_string()]);
        Step::new(format!("import {}", archive.display()), Action::Run("import", import))
    }));
    // Its databases are whole when it has ended in order.
    steps.push(Step::new("end containerd", Action::End("containerd")));
    Script {
        environment: environment(programs),
        logs: "/run".into(),
        kubeconfig: None,
        limit: LOADING,
        steps,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use embedded::{HostPorts, UpstreamMode};
    use pace::Pace;

    use super::*;
    use crate::spec::CalicoPrograms;

    fn spec(network: Network) -> NodeSpec {
        NodeSpec {
            name: "7-0".into(),
            state: "/state".into(),
            logs: "/logs".into(),
            mountpoint: "/mount".into(),
            programs: NodePrograms {
                kube: "/programs/kube".into(),
                path: vec!["/programs/bin".into()],
                libraries: Vec::new(),
                xtables: None,
                cni: "/programs/cni".into(),
            },
            network,
            visible: Vec::new(),
            host_address: Ipv4Addr::LOCALHOST,
            api_port: 0,
            host_ports: HostPorts::Closed,
            upstream: UpstreamMode::honest(),
            pace: Pace::FAST,
        }
    }

    /// What is begun or run, in order.
    fn programs(script: &Script) -> Vec<&'static str> {
        let name = |step: &Step| match &step.action {
            Action::Begin(name, _) | Action::Run(name, _) => Some(*name),
            _ => None,
        };
        script.steps.iter().filter_map(name).collect()
    }

    #[test]
    fn the_parts_come_in_the_order_in_which_they_need_each_other() {
        let common = ["packet-log", "packet-log-check", "etcd", "kube-apiserver", "containerd"];
        let node = ["kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"];
        let flannel = programs(&boot_script(&spec(Network::Flannel)).unwrap());
        assert_eq!(flannel, [&common[..], &node, &["flannel-rules", "flannel-rules-check"]].concat());
        let network =
            CalicoPrograms { calico: "/programs/calico".into(), definitions: "/programs/definitions".into() };
        let script = boot_script(&spec(Network::Calico(network))).unwrap();
        let calico = ["calico-startup", "calico-tunnel-addresses", "felix"];
        assert_eq!(programs(&script), [&common[..], &node, &calico].concat());
        // A pod that comes before felix's pool fails: nothing of a pod's network is there until then.
        let place = |wanted: &str| script.steps.iter().position(|step| step.what.contains(wanted)).unwrap();
        assert!(place("address pool") < place("write the CNI plugins' configuration"));
        assert!(place("reach the API server") < place("start kubelet"));
    }

    #[test]
    fn containerd_ends_in_order_after_the_last_import() {
        let programs = spec(Network::Flannel).programs;
        let script = loading_script(&programs, &["/a.tar".into(), "/b.tar".into()], Path::new("/root"));
        assert_eq!(self::programs(&script), ["containerd", "import", "import"]);
        assert_eq!(script.steps.last().unwrap().action, Action::End("containerd"));
    }
}
