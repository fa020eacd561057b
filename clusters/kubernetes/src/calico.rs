//! Calico: felix and the CNI plugin with the Kubernetes datastore, told what the shipped manifest tells them.

use std::path::Path;

use anyhow::Context;
use embedded::supervision::NODE_ADDRESS;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PostParams;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::pki::Pki;
use crate::process::{Launcher, Running};
use crate::spec::{CLUSTER_CIDR, CalicoPrograms, NODE_NAME, POD_MTU};

/// The chain of CNI plugins of Calico's manifest, with the forwarding that k3s asks for.
pub(crate) fn plugins(pki: &Pki, logs: &Path) -> Value {
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

/// Creates Calico's definitions, records the node and its address pool, and starts felix. The node must be registered.
pub(crate) async fn start(
    programs: &CalicoPrograms,
    launcher: &Launcher,
    pki: &Pki,
    client: &Client,
) -> anyhow::Result<Running> {
    create_definitions(&programs.definitions, client).await?;
    let command = |what: &str| {
        let mut command = launcher.command(&programs.calico);
        command.arg(what).envs(environment(pki));
        command
    };
    launcher.run("calico-startup", command("startup")).await?;
    launcher.run("calico-tunnel-addresses", command("tunnel-addrs")).await?;
    launcher.start("felix", command("felix"))
}

/// What the shipped manifest sets on calico-node, for one node without a second one to tunnel to.
fn environment(pki: &Pki) -> Vec<(&'static str, String)> {
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

async fn create_definitions(directory: &Path, client: &Client) -> anyhow::Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let unreadable = || format!("cannot read Calico's definitions in {}", directory.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let text = std::fs::read_to_string(&path).with_context(unreadable)?;
        let definition: CustomResourceDefinition =
            serde_saphyr::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
        definitions
            .create(&PostParams::default(), &definition)
            .await
            .with_context(|| format!("cannot create {}", definition.name_any()))?;
        names.push(definition.name_any());
    }
    for name in names {
        await_condition(definitions.clone(), &name, conditions::is_crd_established())
            .await
            .with_context(|| format!("{name} is not served"))?;
    }
    Ok(())
}

/// Whether felix says that the rules it knows of are in the kernel.
pub(crate) async fn felix_is_ready() -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", 9099)).await?;
        stream.write_all(b"GET /readiness HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<String, std::io::Error>(answer)
    };
    let answered = ask.await;
    answered.is_ok_and(|answer| answer.split(' ').nth(1) == Some("200"))
}

/// Where the CNI plugins of Calico are expected: their names in a directory with the others'.
pub(crate) fn link_plugins(programs: &CalicoPrograms, plugins: &Path) -> anyhow::Result<()> {
    for name in ["calico", "calico-ipam"] {
        std::os::unix::fs::symlink(&programs.calico, plugins.join(name))
            .with_context(|| format!("cannot link the CNI plugin {name}"))?;
    }
    Ok(())
}
