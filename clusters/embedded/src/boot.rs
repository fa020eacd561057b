//! Boot: the parts of a cluster, started in the order in which they need each other, and the levers afterwards.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use embedded_api::{ApiServer, Authorization, Config, TlsIdentity};
use embedded_dns::Denials;
use embedded_node::{
    CONTAINER_INIT, LinkState, NFT_ARGUMENTS, Node, NodeSettings, Program, ProgramImage, first_rules,
    packet_log_rules,
};
use futures::future::BoxFuture;
use netmodel::LostPackets;
use outside::Upstream;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::border::Border;
use crate::levers::{Connections, ContainerName, DeniedPackets, Levers, PodName};
use crate::readiness::{self, until_ready};
use crate::serve::Booted;
use crate::wire::{Access, ClusterSpec, HostPorts};
use crate::{namespaces, node_ports, objects};

/// The node's name and address on its LAN.
const NODE_NAME: &str = "node-0";
const NODE_ADDRESS: Ipv4Addr = embedded_node::NODE_ADDRESS;
const API_PORT: u16 = 6443;
const CLUSTER_DNS: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 10);
const CLUSTER_DOMAIN: &str = "cluster.local";

/// Starts every part; returns when the cluster is of use.
pub(crate) async fn boot(spec: &ClusterSpec, border: Border) -> anyhow::Result<Booted> {
    let began = Instant::now();
    namespaces::mount_state(&spec.mountpoint)?;
    let listener = border.listen_for_api(spec.host_address, spec.api_port)?;
    let server = format!("https://{}", listener.local_addr()?);
    let host = spec.host_address.to_string();
    let node = NODE_ADDRESS.to_string();
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "localhost",
        "10.43.0.1",
        &node,
        &host,
    ];
    let identity = TlsIdentity::generate(&names)?;
    let api = ApiServer::new(api_config(identity.ca_pem().into()));
    let stop = CancellationToken::new();
    let client = api.client();
    let node = Node::start(node_settings(spec, &api), client.clone(), node_requests(&api)?).await?;
    rules_in_force(&node, &spec.nft).await?;
    let upstream = Upstream::bind(SocketAddr::from((NODE_ADDRESS, 53)), spec.upstream.clone())
        .await
        .context("cannot serve the outside's names on the node's address")?;
    let inside = TcpListener::bind((Ipv4Addr::UNSPECIFIED, API_PORT))
        .await
        .context("cannot listen inside the node")?;
    for listener in [inside, TcpListener::from_std(listener)?] {
        let (api, identity) = (api.clone(), identity.clone());
        tokio::spawn(async move { api.serve(listener, identity).await });
    }
    let settings = embedded_control::Settings { pace: spec.pace, ca_pem: identity.ca_pem().into() };
    tokio::spawn(embedded_control::run(client.clone(), settings, stop.clone()));
    if spec.host_ports == HostPorts::NodePorts {
        tokio::spawn(node_ports::forward(client.clone(), border, spec.host_address, NODE_ADDRESS));
    }
    objects::create(&client, &own_objects()?).await?;
    until_ready(&client, NODE_NAME).await?;
    info!("booted in {} ms", began.elapsed().as_millis());
    let access = Access { server, ca_pem: identity.ca_pem().into(), token: api.admin_token().into() };
    Ok(Booted { access, upstream, levers: Box::new(node), parts: Box::new(stop.drop_guard()) })
}

impl Levers for Node {
    fn kill<'a>(&'a self, container: &'a ContainerName) -> BoxFuture<'a, anyhow::Result<()>> {
        let ContainerName { namespace, pod, container } = container;
        let killed = self.kill(namespace, pod, container);
        Box::pin(async move {
            killed.with_context(|| format!("container {container} of {namespace}/{pod} does not run"))
        })
    }

    fn set_link<'a>(&'a self, pod: &'a PodName, state: LinkState) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            match (self.set_link(&pod.namespace, &pod.pod, state).await?, state) {
                (Some(()), _) | (None, LinkState::Up) => Ok(()),
                (None, LinkState::Down) => bail!("pod {pod} has no link on the node"),
            }
        })
    }

    fn forget<'a>(&'a self, connections: &'a Connections) -> BoxFuture<'a, anyhow::Result<usize>> {
        Box::pin(async move {
            let Connections { to, port } = connections;
            let forgotten = self.forget(&to.namespace, &to.pod, *port).await?;
            forgotten.with_context(|| format!("pod {to} is not on the node"))
        })
    }

    fn set_firewall<'a>(&'a self, drops: Option<&'a Connections>) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            let drops = match drops {
                Some(Connections { to, port }) => {
                    let address = self.address(&to.namespace, &to.pod);
                    let address = address.with_context(|| format!("pod {to} is not on the node"))?;
                    Some(SocketAddrV4::new(address, *port))
                }
                None => None,
            };
            Ok(self.set_firewall(drops).await?)
        })
    }

    fn lost_packets(&self) -> BoxFuture<'_, anyhow::Result<Vec<LostPackets>>> {
        Box::pin(async move { self.lost_packets().await.map_err(|why| anyhow!(why)) })
    }

    fn denials(&self) -> BoxFuture<'_, anyhow::Result<Vec<DeniedPackets>>> {
        Box::pin(async move {
            let counted = self.denials().await?;
            Ok(counted.into_iter().map(|(rule, packets)| DeniedPackets { rule, packets }).collect())
        })
    }
}

fn api_config(ca_pem: String) -> Config {
    Config {
        endpoint: Some((NODE_ADDRESS, API_PORT)),
        ca_pem,
        authorization: Authorization::Rbac,
        ..Config::default()
    }
}

/// What a cluster is made of, without making it: for dry runs.
#[derive(Debug, Clone)]
pub struct Ingredients {
    /// The built-in program that is its supervisor.
    pub supervisor: &'static str,
    /// The built-in program by which each container is made.
    pub container: &'static str,
    /// What its API server begins with, by kind and name.
    pub initial: Vec<String>,
    /// The arguments with which `nft` loads packet rules.
    pub nft_arguments: &'static [&'static str],
    /// The rules by which its node logs packets, loaded before any other.
    pub logging: String,
    /// The rules of its node before there is any Service, pod or policy.
    pub rules: String,
    /// The images of its node.
    pub images: Vec<ProgramImage>,
    /// What is created during the boot, in order.
    pub objects: Vec<Value>,
    /// The node.
    pub node: &'static str,
}

/// What the cluster that `spec` describes is made of.
///
/// # Errors
/// serde_json's; Kubernetes types always serialise.
pub fn ingredients(spec: &ClusterSpec) -> serde_json::Result<Ingredients> {
    Ok(Ingredients {
        supervisor: crate::dispatch::SUPERVISOR,
        container: CONTAINER_INIT,
        initial: embedded_api::initial_objects(&api_config("of its own".into())),
        nft_arguments: &NFT_ARGUMENTS,
        logging: packet_log_rules(),
        rules: first_rules(spec.profile, NODE_NAME, netmodel_service_cidr()),
        images: node_images(spec),
        objects: own_objects()?,
        node: NODE_NAME,
    })
}

/// What the boot creates beside what every API server has: CoreDNS and the default storage class.
fn own_objects() -> serde_json::Result<Vec<Value>> {
    let mut all = objects::dns_objects(NODE_NAME, NODE_ADDRESS, Denials::AsK3s)?;
    all.push(objects::storage_class());
    Ok(all)
}

/// Waits until the node's first packet rules are loaded; a program that cannot load them is the end of the boot.
async fn rules_in_force(node: &Node, nft: &std::path::Path) -> anyhow::Result<()> {
    let mut states = node.rules();
    let first = states.wait_for(|state| state.generation > 0 || state.error.is_some());
    let state = tokio::time::timeout(readiness::BOOT_LIMIT, first).await.with_context(|| {
        format!(
            "{} has not loaded the packet rules after {} s",
            nft.display(),
            readiness::BOOT_LIMIT.as_secs()
        )
    })??;
    match &state.error {
        None => Ok(()),
        Some(error) => bail!(
            "{} cannot load packet rules: {error}; install nftables (`apt-get install nftables`)",
            nft.display()
        ),
    }
}

fn node_requests(api: &ApiServer) -> anyhow::Result<tokio::sync::mpsc::Receiver<embedded_api::NodeRequest>> {
    api.node_requests().context("the node's requests were taken already")
}

fn node_settings(spec: &ClusterSpec, api: &ApiServer) -> NodeSettings {
    let issuer = api.clone();
    NodeSettings {
        name: NODE_NAME.into(),
        pace: spec.pace,
        profile: spec.profile,
        images: node_images(spec),
        nft: spec.nft.clone(),
        state_dir: spec.mountpoint.clone(),
        visible: visible(spec),
        cluster_dns: CLUSTER_DNS,
        cluster_domain: CLUSTER_DOMAIN.into(),
        service_cidr: netmodel_service_cidr(),
        node_resolv_conf: format!("nameserver {NODE_ADDRESS}\n"),
        token_issuer: Arc::new(move |namespace, account| issuer.token_for(namespace, account)),
        api_port: API_PORT,
    }
}

fn netmodel_service_cidr() -> ipnet::Ipv4Net {
    // 16 is a prefix length.
    ipnet::Ipv4Net::new(Ipv4Addr::new(10, 43, 0, 0), 16).unwrap_or_default()
}

/// Directories of the host that programs of images live in.
fn visible(spec: &ClusterSpec) -> Vec<PathBuf> {
    let programs = spec.images.iter().flat_map(|image| image.programs.values());
    let mut directories: Vec<PathBuf> = programs
        .filter_map(|program| match program {
            Program::Host(path) => path.parent().map(PathBuf::from),
            Program::Builtin(_) => None,
        })
        .chain(spec.images.iter().flat_map(|image| image.trees.iter().cloned()))
        .collect();
    directories.sort();
    directories.dedup();
    directories
}

/// The table's, and CoreDNS's.
fn node_images(spec: &ClusterSpec) -> Vec<ProgramImage> {
    let mut images = spec.images.clone();
    images.push(coredns_image(spec));
    images
}

fn coredns_image(spec: &ClusterSpec) -> ProgramImage {
    let mut image = ProgramImage {
        reference: "rancher/mirrored-coredns-coredns:1.12.1".into(),
        entrypoint: vec!["/coredns".into()],
        ..ProgramImage::default()
    };
    image.env.insert(pace::VARIABLE.into(), spec.pace.factor().to_string());
    image.programs.insert("/coredns".into(), Program::Builtin("coredns".into()));
    image
}
