//! Calico: felix and the CNI plugin with the Kubernetes datastore, told what the shipped manifest tells them.

use std::path::{Path, PathBuf};

use embedded::supervision::NODE_ADDRESS;
use serde_json::{Value, json};

use crate::pki::PkiFiles;
use crate::spec::{CLUSTER_CIDR, CalicoPrograms, NODE_NAME, POD_MTU};
use crate::step::{Action, Program, Sign, Step};

/// The chain of CNI plugins of Calico's manifest, with the forwarding that k3s asks for.
fn plugins(pki: &PkiFiles, logs: &Path) -> Value {
    json!({
        "name": "k8s-pod-network",
        "cniVersion": "0.3.1",
        "plugins": [
            {
                "type": "calico", "log_level": "info", "log_file_path": logs.join("cni.log"),
                "datastore_type": "kubernetes", "nodename": NODE_NAME, "mtu": POD_MTU,
                "ipam": {"type": "calico-ipam"}, "policy": {"type": "k8s"},
                "container_settings": {"allow_ip_forwarding": true},
                "kubernetes": {"kubeconfig": pki.file("admin.kubeconfig")},
            },
            {"type": "portmap", "snat": true, "capabilities": {"portMappings": true}},
            {"type": "bandwidth", "capabilities": {"bandwidth": true}},
        ],
    })
}

/// Creates Calico's definitions, records the node and its address pool, starts felix, and writes the CNI plugins' `chain`:
/// a plugin that comes before the pool fails.
pub(crate) fn steps(programs: &CalicoPrograms, pki: &PkiFiles, logs: &Path, chain: PathBuf) -> Vec<Step> {
    let calico = |what: &str| Program::new(&programs.calico).args([what]).envs(environment(pki));
    let definitions = programs.definitions.clone();
    let text = format!("{:#}\n", plugins(pki, logs));
    vec![
        Step::new("see the node registered", Action::Await(Sign::NodeRegistered(NODE_NAME))),
        Step::new("create Calico's definitions", Action::Define(definitions.clone())),
        Step::new("see Calico's definitions served", Action::Await(Sign::DefinitionsServed(definitions))),
        Step::new("record the node and its address pool", Action::Run("calico-startup", calico("startup"))),
        Step::new(
            "record the addresses of tunnels",
            Action::Run("calico-tunnel-addresses", calico("tunnel-addrs")),
        ),
        Step::new("start felix", Action::Begin("felix", calico("felix"))),
        Step::new("write the CNI plugins' configuration", Action::Write { file: chain, text }),
        // It says so when the rules it knows of are in the kernel.
        Step::new("have felix ready", Action::Await(Sign::Answers { port: 9099, path: "/readiness" })),
    ]
}

/// What the shipped manifest sets on calico-node, for one node without a second one to tunnel to.
fn environment(pki: &PkiFiles) -> Vec<(&'static str, String)> {
    let kubeconfig = pki.file("admin.kubeconfig");
    let fixed = [
        ("DATASTORE_TYPE", "kubernetes"),
        ("NODENAME", NODE_NAME),
        ("WAIT_FOR_DATASTORE", "true"),
        ("CLUSTER_TYPE", "k8s"),
        ("CALICO_NETWORKING_BACKEND", "vxlan"),
        ("CALICO_IPV4POOL_CIDR", CLUSTER_CIDR),
        ("CALICO_IPV4POOL_IPIP", "Never"),
        ("CALICO_IPV4POOL_VXLAN", "CrossSubnet"),
        ("FELIX_FELIXHOSTNAME", NODE_NAME),
        ("FELIX_DATASTORETYPE", "kubernetes"),
        ("FELIX_DEFAULTENDPOINTTOHOSTACTION", "ACCEPT"),
        ("FELIX_IPV6SUPPORT", "false"),
        ("FELIX_HEALTHENABLED", "true"),
        ("FELIX_IPTABLESBACKEND", "NFT"),
        ("FELIX_LOGFILEPATH", "none"),
        ("FELIX_LOGSEVERITYFILE", "none"),
        ("FELIX_LOGSEVERITYSYS", "none"),
        ("FELIX_LOGSEVERITYSCREEN", "info"),
        ("FELIX_USAGEREPORTINGENABLED", "false"),
    ];
    let mut all: Vec<(&str, String)> = fixed.map(|(name, value)| (name, value.to_owned())).into();
    all.push(("KUBECONFIG", kubeconfig));
    all.push(("IP", format!("{NODE_ADDRESS}/24")));
    all.push(("FELIX_VXLANMTU", POD_MTU.to_string()));
    all
}

/// Where the CNI plugins of Calico are expected: their names in a directory with the others'.
pub(crate) fn links(programs: &CalicoPrograms, plugins: &Path) -> Vec<Step> {
    let link = |name: &str| {
        let action = Action::Link { to: programs.calico.clone(), name: plugins.join(name) };
        Step::new(format!("link the CNI plugin {name}"), action)
    };
    ["calico", "calico-ipam"].map(link).into()
}
