//! k3d's own file format for a cluster.

use std::net::Ipv4Addr;

use embedded::Profile;
use serde::Serialize;

use crate::images_lock::ImagesLock;
use crate::real::{HostPort, RealRequest, Stamp};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SimpleConfig {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    servers: u8,
    agents: u8,
    #[serde(rename = "kubeAPI")]
    kube_api: KubeApi,
    image: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<Volume>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<Port>,
    options: Options,
}

#[derive(Serialize)]
struct Metadata {
    name: String,
}

#[derive(Serialize)]
struct KubeApi {
    #[serde(rename = "hostIP")]
    host_ip: String,
    #[serde(rename = "hostPort", skip_serializing_if = "Option::is_none")]
    host_port: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    volume: String,
    node_filters: [&'static str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    port: String,
    node_filters: [&'static str; 1],
}

#[derive(Serialize)]
struct Options {
    k3d: K3dOptions,
    k3s: K3sOptions,
    kubeconfig: KubeconfigOptions,
    runtime: Runtime,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct K3dOptions {
    wait: bool,
    timeout: String,
    disable_loadbalancer: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct K3sOptions {
    extra_args: Vec<ExtraArgument>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtraArgument {
    arg: String,
    node_filters: [&'static str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KubeconfigOptions {
    update_default_kubeconfig: bool,
    switch_current_context: bool,
}

#[derive(Serialize)]
struct Runtime {
    labels: Vec<Label>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Label {
    label: String,
    node_filters: [&'static str; 1],
}

/// What every server of ours is told.
pub(crate) fn server_arguments(network: Profile) -> Vec<String> {
    let mut arguments = vec!["--disable=traefik,servicelb,metrics-server".to_owned()];
    if network == Profile::Calico {
        let foreign = ["--flannel-backend=none", "--disable-network-policy", "--cluster-cidr=10.42.0.0/16"];
        arguments.extend(foreign.map(str::to_owned));
    }
    arguments
}

/// The file for `request`. Without a load balancer the ports are the server's own.
pub(super) fn text(request: &RealRequest, stamp: &Stamp, lock: &ImagesLock) -> String {
    let address = request.api.address.unwrap_or(Ipv4Addr::LOCALHOST);
    let port = |port: &HostPort| Port {
        port: HostPort { address: port.address.or(Some(address)), ..*port }.to_string(),
        node_filters: ["server:0:direct"],
    };
    let argument = |arg: String| ExtraArgument { arg, node_filters: ["server:*"] };
    let label =
        |(name, value): (&str, String)| Label { label: format!("{name}={value}"), node_filters: ["all"] };
    let archive = request.mirror.as_deref().map(|mirror| Volume {
        volume: format!(
            "{}:/var/lib/rancher/k3s/agent/images/k3s.tar.zst",
            crate::mirror::k3s_archive(mirror).display()
        ),
        node_filters: ["all"],
    });
    let config = SimpleConfig {
        api_version: "k3d.io/v1alpha5",
        kind: "Simple",
        metadata: Metadata { name: request.name.to_string() },
        servers: 1,
        agents: request.agents,
        kube_api: KubeApi {
            host_ip: address.to_string(),
            host_port: request.api.port.map(|port| port.to_string()),
        },
        image: request.reference(&request.k3s_image(lock)),
        volumes: archive.into_iter().collect(),
        ports: request.ports.iter().map(port).collect(),
        options: Options {
            k3d: K3dOptions {
                wait: false,
                timeout: format!("{}s", request.limit.as_secs()),
                disable_loadbalancer: true,
            },
            k3s: K3sOptions {
                extra_args: server_arguments(request.network).into_iter().map(argument).collect(),
            },
            kubeconfig: KubeconfigOptions { update_default_kubeconfig: false, switch_current_context: false },
            runtime: Runtime { labels: stamp.labels().into_iter().map(label).collect() },
        },
    };
    // Every field is a word, a number or a list of these.
    serde_saphyr::to_string(&config).unwrap_or_default()
}
