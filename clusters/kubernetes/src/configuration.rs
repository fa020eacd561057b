//! Configuration files of containerd, the CNI plugins and the kubelet, as k3s 1.33 sets them up.

use std::path::Path;

use serde_json::{Value, json};

use crate::cgroups;
use crate::pki::PkiFiles;
use crate::spec::{
    CLUSTER_CIDR, CLUSTER_DNS, CLUSTER_DOMAIN, NODE_NAME, NodeSpec, PAUSE_IMAGE, POD_CIDR, POD_MTU,
};

/// Where containerd listens, inside the node.
pub(crate) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// Whether this process may lower a program's `oom_score_adj`. Where it may not, runc must be told not to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OomScores {
    Free,
    Restricted,
}

impl OomScores {
    /// As the capability CAP_SYS_RESOURCE says.
    pub(crate) fn of_this_process() -> OomScores {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        OomScores::of(&status)
    }

    fn of(status: &str) -> OomScores {
        const CAP_SYS_RESOURCE: u64 = 1 << 24;
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let bits = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
        if bits & CAP_SYS_RESOURCE == 0 { OomScores::Restricted } else { OomScores::Free }
    }
}

/// containerd's configuration. `root` is where images are, `cni` the directory of its network configuration. With no
/// kubelet beside it (`cni` is none) it only imports images.
pub(crate) fn containerd(root: &Path, scores: OomScores, cni: Option<(&Path, &Path)>) -> String {
    let network = cni.map_or(String::new(), |(programs, configuration)| {
        format!(
            "  [plugins.\"io.containerd.grpc.v1.cri\".cni]\n    bin_dir = {programs:?}\n    conf_dir = {configuration:?}\n"
        )
    });
    format!(
        "version = 2\nroot = {root:?}\nstate = \"/run/containerd\"\ndisabled_plugins = []\n[grpc]\n  address = \
         \"{CONTAINERD_SOCKET}\"\n[plugins.\"io.containerd.internal.v1.opt\"]\n  path = \"/run/containerd/opt\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"{PAUSE_IMAGE}\"\n  enable_unprivileged_ports = true\n  \
         enable_unprivileged_icmp = true\n  disable_apparmor = true\n  restrict_oom_score_adj = {}\n  \
         [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n    snapshotter = \"overlayfs\"\n    \
         default_runtime_name = \"runc\"\n    [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n      \
         runtime_type = \"io.containerd.runc.v2\"\n      \
         [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n        SystemdCgroup = false\n{network}",
        scores == OomScores::Restricted,
    )
}

/// The chain of CNI plugins that flannel's own would write: a bridge with host-local addresses.
pub(crate) fn flannel() -> Value {
    json!({
        "name": "cbr0",
        "cniVersion": "1.0.0",
        "plugins": [
            {
                "type": "bridge", "name": "cbr0", "bridge": "cni0", "mtu": POD_MTU, "ipMasq": false,
                "isGateway": true, "isDefaultGateway": true, "hairpinMode": true, "forceAddress": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": "/run/cni",
                    "ranges": [[{"subnet": POD_CIDR}]],
                    "routes": [{"dst": CLUSTER_CIDR}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
            {"type": "bandwidth", "capabilities": {"bandwidth": true}},
        ],
    })
}

/// The kubelet's configuration. Changes of ConfigMaps reach their volumes with the next look at a pod: every second here,
/// where the default is a minute.
pub(crate) fn kubelet(spec: &NodeSpec, pki: &PkiFiles, resolv_conf: &Path) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki.file("client-ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroups::of(&spec.name),
        "failCgroupV1": false,
        "clusterDNS": [CLUSTER_DNS],
        "clusterDomain": CLUSTER_DOMAIN,
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "resolvConf": resolv_conf,
        "eventRecordQPS": 0,
        "evictionHard": {"imagefs.available": "1%", "nodefs.available": "1%"},
        "failSwapOn": false,
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "readOnlyPort": 0,
        "registerNode": true,
        "serializeImagePulls": false,
        "syncFrequency": "1s",
        "tlsCertFile": pki.file("kubelet-serving.crt"),
        "tlsPrivateKeyFile": pki.file("kubelet-serving.key"),
        "volumePluginDir": spec.state.join("volume-plugins"),
    })
}

/// The node's name, as an argument of kubelet and kube-proxy.
pub(crate) fn node_name_argument() -> String {
    format!("--hostname-override={NODE_NAME}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::all("Name:\tx\nCapEff:\t000001ffffffffff\n", OomScores::Free)]
    #[case::without_sys_resource("CapEff:\t000001fffeffffff\n", OomScores::Restricted)]
    #[case::unreadable("", OomScores::Restricted)]
    fn oom_scores(#[case] status: &str, #[case] expected: OomScores) {
        assert_eq!(OomScores::of(status), expected);
    }

    #[test]
    fn containerd_is_told_of_its_network_only_where_there_is_one() {
        let root = Path::new("/state/containerd");
        let alone = containerd(root, OomScores::Free, None);
        assert!(alone.contains("restrict_oom_score_adj = false") && !alone.contains(".cni]"), "{alone}");
        let with = containerd(root, OomScores::Restricted, Some((Path::new("/cni"), Path::new("/etc/cni"))));
        assert!(
            with.contains("restrict_oom_score_adj = true") && with.contains("bin_dir = \"/cni\""),
            "{with}"
        );
        assert!(with.contains("root = \"/state/containerd\""), "{with}");
    }
}
