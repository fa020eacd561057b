//! The programs of the node: their command lines, set up as k3s 1.33 sets its own up.

use std::path::Path;

use embedded::supervision::NODE_ADDRESS;

use crate::configuration::{CONTAINERD_SOCKET, node_name_argument};
use crate::pki::PkiFiles;
use crate::spec::{API_PORT, CLUSTER_CIDR, CLUSTER_DOMAIN, NodeSpec, SERVICE_CIDR};
use crate::step::Program;

const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";

/// Makes the command lines of one cluster's programs.
pub(crate) struct Parts<'a> {
    pub(crate) spec: &'a NodeSpec,
    pub(crate) pki: &'a PkiFiles,
}

impl Parts<'_> {
    fn kube(&self, program: &str) -> Program {
        Program::new(&self.spec.programs.kube).args([program])
    }

    /// The store. Nothing of it survives the cluster, so it need not wait for a disk.
    pub(crate) fn etcd(&self, directory: &Path) -> Program {
        self.kube("etcd")
            .args(["--name=node-0", "--log-level=warn", "--unsafe-no-fsync"])
            .path("--data-dir", directory)
            .args([
                format!("--listen-client-urls={ETCD}"),
                format!("--advertise-client-urls={ETCD}"),
                format!("--listen-peer-urls={ETCD_PEER}"),
                format!("--initial-advertise-peer-urls={ETCD_PEER}"),
                format!("--initial-cluster=node-0={ETCD_PEER}"),
            ])
    }

    pub(crate) fn api_server(&self) -> Program {
        let pki = self.pki;
        let issuer = format!("https://kubernetes.default.svc.{CLUSTER_DOMAIN}");
        self.kube("kube-apiserver")
            .args(["--bind-address=0.0.0.0", "--allow-privileged=true", "--anonymous-auth=false"])
            .args(["--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"])
            .args(["--profiling=false", "--service-node-port-range=30000-32767"])
            .args([
                format!("--secure-port={API_PORT}"),
                format!("--advertise-address={NODE_ADDRESS}"),
                format!("--etcd-servers={ETCD}"),
                format!("--client-ca-file={}", pki.file("client-ca.crt")),
                format!("--tls-cert-file={}", pki.file("kube-apiserver.crt")),
                format!("--tls-private-key-file={}", pki.file("kube-apiserver.key")),
                format!("--token-auth-file={}", pki.file("tokens.csv")),
                format!("--kubelet-client-certificate={}", pki.file("apiserver-kubelet.crt")),
                format!("--kubelet-client-key={}", pki.file("apiserver-kubelet.key")),
                format!("--kubelet-certificate-authority={}", pki.file("server-ca.crt")),
                format!("--requestheader-client-ca-file={}", pki.file("request-header-ca.crt")),
                format!("--proxy-client-cert-file={}", pki.file("auth-proxy.crt")),
                format!("--proxy-client-key-file={}", pki.file("auth-proxy.key")),
                format!("--service-account-issuer={issuer}"),
                format!("--api-audiences={issuer},k3s"),
                format!("--service-account-key-file={}", pki.file("service-account.pub")),
                format!("--service-account-signing-key-file={}", pki.file("service-account.key")),
                format!("--service-cluster-ip-range={SERVICE_CIDR}"),
            ])
            .args(["--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname"])
            .args(["--requestheader-allowed-names=system:auth-proxy"])
            .args(["--requestheader-extra-headers-prefix=X-Remote-Extra-"])
            .args(["--requestheader-group-headers=X-Remote-Group"])
            .args(["--requestheader-username-headers=X-Remote-User"])
    }

    pub(crate) fn controller_manager(&self) -> Program {
        let pki = self.pki;
        self.component("kube-controller-manager")
            .args(["--allocate-node-cidrs=true", "--configure-cloud-routes=false"])
            .args(["--use-service-account-credentials=true"])
            // Emptying a namespace asks for every kind there is; cases wait for that.
            .args(["--kube-api-qps=200", "--kube-api-burst=400"])
            .args([
                format!("--cluster-cidr={CLUSTER_CIDR}"),
                format!("--service-cluster-ip-range={SERVICE_CIDR}"),
                format!("--root-ca-file={}", pki.file("server-ca.crt")),
                format!("--service-account-private-key-file={}", pki.file("service-account.key")),
                format!("--cluster-signing-cert-file={}", pki.file("client-ca.crt")),
                format!("--cluster-signing-key-file={}", pki.file("client-ca.key")),
            ])
    }

    pub(crate) fn scheduler(&self) -> Program {
        self.component("kube-scheduler")
    }

    fn component(&self, name: &str) -> Program {
        let kubeconfig = self.pki.file(&format!("{name}.kubeconfig"));
        let options = ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"];
        self.kube(name)
            .args(["--bind-address=127.0.0.1", "--profiling=false", "--leader-elect=false"])
            .args(options.map(|option| format!("--{option}={kubeconfig}")))
    }

    pub(crate) fn kubelet(&self, configuration: &Path) -> Program {
        self.kube("kubelet")
            .path("--config", configuration)
            .path("--root-dir", self.spec.state.join("kubelet"))
            .args([
                format!("--kubeconfig={}", self.pki.file("kubelet.kubeconfig")),
                node_name_argument(),
                format!("--node-ip={NODE_ADDRESS}"),
                "--node-labels=node.kubernetes.io/instance-type=k3s".to_owned(),
            ])
    }

    /// By options, as k3s does: given a configuration file, kube-proxy ends itself when that is written anew.
    pub(crate) fn proxy(&self) -> Program {
        self.kube("kube-proxy").args([
            "--proxy-mode=iptables".to_owned(),
            format!("--cluster-cidr={CLUSTER_CIDR}"),
            node_name_argument(),
            format!("--kubeconfig={}", self.pki.file("kube-proxy.kubeconfig")),
            "--healthz-bind-address=127.0.0.1".to_owned(),
            "--conntrack-max-per-core=0".to_owned(),
            "--conntrack-tcp-timeout-established=0s".to_owned(),
            "--conntrack-tcp-timeout-close-wait=0s".to_owned(),
        ])
    }
}

pub(crate) fn containerd(configuration: &Path) -> Program {
    Program::new("containerd").path("--config", configuration)
}

/// containerd's client, on the node's images.
pub(crate) fn ctr() -> Program {
    Program::new("ctr").args(["--address", CONTAINERD_SOCKET, "--namespace", "k8s.io"])
}
