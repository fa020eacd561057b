//! The programs of the node: their command lines, set up as k3s 1.33 sets its own up.

use std::path::Path;

use embedded::supervision::NODE_ADDRESS;
use tokio::process::Command;

use crate::configuration::{CONTAINERD_SOCKET, node_name_argument};
use crate::pki::Pki;
use crate::process::Launcher;
use crate::spec::{API_PORT, CLUSTER_CIDR, CLUSTER_DOMAIN, NodeSpec, SERVICE_CIDR};

const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEER: &str = "http://127.0.0.1:2380";

/// Makes the command lines of one cluster's programs.
pub(crate) struct Parts<'a> {
    pub(crate) spec: &'a NodeSpec,
    pub(crate) launcher: &'a Launcher,
    pub(crate) pki: &'a Pki,
}

impl Parts<'_> {
    fn kube(&self, program: &str) -> Command {
        let mut command = self.launcher.command(&self.spec.programs.kube);
        command.arg(program);
        command
    }

    pub(crate) fn containerd(&self, configuration: &Path) -> Command {
        let mut command = self.launcher.command("containerd");
        command.arg("--config").arg(configuration);
        command
    }

    /// The store. Nothing of it survives the cluster, so it need not wait for a disk.
    pub(crate) fn etcd(&self, directory: &Path) -> Command {
        let mut command = self.kube("etcd");
        command.args(["--name=node-0", "--log-level=warn", "--unsafe-no-fsync"]);
        command.arg("--data-dir").arg(directory);
        command.arg(format!("--listen-client-urls={ETCD}")).arg(format!("--advertise-client-urls={ETCD}"));
        command.arg(format!("--listen-peer-urls={ETCD_PEER}"));
        command.arg(format!("--initial-advertise-peer-urls={ETCD_PEER}"));
        command.arg(format!("--initial-cluster=node-0={ETCD_PEER}"));
        command
    }

    pub(crate) fn api_server(&self) -> Command {
        let pki = self.pki;
        let issuer = format!("https://kubernetes.default.svc.{CLUSTER_DOMAIN}");
        let mut command = self.kube("kube-apiserver");
        command.args(["--bind-address=0.0.0.0", "--allow-privileged=true", "--anonymous-auth=false"]);
        command.args(["--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"]);
        command.args(["--profiling=false", "--service-node-port-range=30000-32767"]);
        command.args([
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
        ]);
        command.args(["--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname"]);
        command.args(["--requestheader-allowed-names=system:auth-proxy"]);
        command.args(["--requestheader-extra-headers-prefix=X-Remote-Extra-"]);
        command.args(["--requestheader-group-headers=X-Remote-Group"]);
        command.args(["--requestheader-username-headers=X-Remote-User"]);
        command
    }

    pub(crate) fn controller_manager(&self) -> Command {
        let pki = self.pki;
        let mut command = self.kube("kube-controller-manager");
        self.component(&mut command, "kube-controller-manager");
        command.args(["--allocate-node-cidrs=true", "--configure-cloud-routes=false"]);
        command.args(["--use-service-account-credentials=true"]);
        // Emptying a namespace asks for every kind there is; cases wait for that.
        command.args(["--kube-api-qps=200", "--kube-api-burst=400"]);
        command.args([
            format!("--cluster-cidr={CLUSTER_CIDR}"),
            format!("--service-cluster-ip-range={SERVICE_CIDR}"),
            format!("--root-ca-file={}", pki.file("server-ca.crt")),
            format!("--service-account-private-key-file={}", pki.file("service-account.key")),
            format!("--cluster-signing-cert-file={}", pki.file("client-ca.crt")),
            format!("--cluster-signing-key-file={}", pki.file("client-ca.key")),
        ]);
        command
    }

    pub(crate) fn scheduler(&self) -> Command {
        let mut command = self.kube("kube-scheduler");
        self.component(&mut command, "kube-scheduler");
        command
    }

    fn component(&self, command: &mut Command, name: &str) {
        let kubeconfig = self.pki.file(&format!("{name}.kubeconfig"));
        command.args(["--bind-address=127.0.0.1", "--profiling=false", "--leader-elect=false"]);
        for option in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
            command.arg(format!("--{option}={kubeconfig}"));
        }
    }

    pub(crate) fn kubelet(&self, configuration: &Path) -> Command {
        let mut command = self.kube("kubelet");
        command.arg("--config").arg(configuration);
        command.arg("--root-dir").arg(self.spec.state.join("kubelet"));
        command.args([
            format!("--kubeconfig={}", self.pki.file("kubelet.kubeconfig")),
            node_name_argument(),
            format!("--node-ip={NODE_ADDRESS}"),
            "--node-labels=node.kubernetes.io/instance-type=k3s".to_owned(),
        ]);
        command
    }

    /// By options, as k3s does: given a configuration file, kube-proxy ends itself when that is written anew.
    pub(crate) fn proxy(&self) -> Command {
        let mut command = self.kube("kube-proxy");
        command.args([
            "--proxy-mode=iptables".to_owned(),
            format!("--cluster-cidr={CLUSTER_CIDR}"),
            node_name_argument(),
            format!("--kubeconfig={}", self.pki.file("kube-proxy.kubeconfig")),
            "--healthz-bind-address=127.0.0.1".to_owned(),
            "--conntrack-max-per-core=0".to_owned(),
            "--conntrack-tcp-timeout-established=0s".to_owned(),
            "--conntrack-tcp-timeout-close-wait=0s".to_owned(),
        ]);
        command
    }
}

/// A command of containerd's client, on the node's images.
pub(crate) fn ctr(launcher: &Launcher) -> Command {
    let mut command = launcher.command("ctr");
    command.args(["--address", CONTAINERD_SOCKET, "--namespace", "k8s.io"]);
    command
}
