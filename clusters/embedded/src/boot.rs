//! Boot: the parts of a cluster, started in the order in which they need each other, and the levers afterwards.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use embedded_api::{ApiServer, Config, TlsIdentity};
use embedded_dns::{Manifests, NodeHost, Upstream};
use embedded_node::{Node, NodeSettings, Program, ProgramImage};
use k8s_openapi::api::core::v1::{Endpoints, Event, Node as NodeObject, Pod};
use kube::api::{ListParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::border::Border;
use crate::wire::{Access, ClusterSpec, Command, HostPorts, Reply, Wire};
use crate::{namespaces, node_ports, obstacles};

/// The node's name and address on its LAN.
const NODE_NAME: &str = "node-0";
const NODE_ADDRESS: Ipv4Addr = embedded_node::NODE_ADDRESS;
const API_PORT: u16 = 6443;
const CLUSTER_DNS: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 10);
const CLUSTER_DOMAIN: &str = "cluster.local";
/// A boot takes half a second; one that takes this long never ends.
const BOOT_LIMIT: Duration = Duration::from_secs(120);
/// How often a boot under way is looked at for what cannot heal.
const LOOK: Duration = Duration::from_millis(500);

/// A booted cluster, as the supervisor holds it. Dropping it ends its tasks; the processes end with the supervisor.
struct Running {
    access: Access,
    upstream: Upstream,
    _node: Node,
    _stop: tokio_util::sync::DropGuard,
}

/// Everything was started, and it does not become Ready. The log may know more.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotUp(String);

/// Serves the harness over `control` until it says stop or is gone.
pub(crate) async fn serve(control: UnixStream, border: Border) -> anyhow::Result<()> {
    let mut wire = Wire::new(control)?;
    let Some(Command::Start(spec)) = wire.receive().await? else { bail!("the first command must be Start") };
    let booted = tokio::select! {
        booted = boot(&spec, border) => booted,
        // Nothing is asked before Ready: whatever ends this read is the harness's end.
        _ = wire.receive::<Command>() => bail!("the harness went away during the boot"),
    };
    let running = match booted {
        Ok(running) => running,
        Err(error) => {
            let reply = match error.downcast_ref::<NotUp>() {
                Some(NotUp(why)) => Reply::NotUp(why.clone()),
                None => Reply::Failed(format!("{error:#}")),
            };
            wire.send(&reply).await?;
            return Err(error);
        }
    };
    wire.send(&Reply::Ready(running.access.clone())).await?;
    while let Some(command) = wire.receive().await? {
        let reply = match command {
            Command::Start(_) => Reply::Failed("the cluster runs already".into()),
            Command::Upstream(mode) => {
                running.upstream.set_mode(mode);
                Reply::Done
            }
            Command::UpstreamQuestions => Reply::Questions(running.upstream.questions()),
            Command::Stop => {
                wire.send(&Reply::Done).await?;
                break;
            }
        };
        wire.send(&reply).await?;
    }
    info!("the harness is done with this cluster");
    Ok(())
}

async fn boot(spec: &ClusterSpec, border: Border) -> anyhow::Result<Running> {
    let began = Instant::now();
    namespaces::mount_state(&spec.mountpoint)?;
    let listener =
        border.listen(SocketAddr::from((spec.host_address, spec.api_port))).with_context(|| {
            format!(
                "cannot listen on {}:{} for the API server; name another address or port",
                spec.host_address, spec.api_port
            )
        })?;
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
    let api = ApiServer::new(Config {
        endpoint: Some((NODE_ADDRESS, API_PORT)),
        ca_pem: identity.ca_pem().into(),
        ..Config::default()
    });
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
    create_dns(&client).await.context("cannot create the cluster's DNS")?;
    ready(&client).await?;
    info!("booted in {} ms", began.elapsed().as_millis());
    let access = Access { server, ca_pem: identity.ca_pem().into(), token: api.admin_token().into() };
    Ok(Running { access, upstream, _node: node, _stop: stop.drop_guard() })
}

/// Waits until the node's first packet rules are loaded; a program that cannot load them is the end of the boot.
async fn rules_in_force(node: &Node, nft: &std::path::Path) -> anyhow::Result<()> {
    let mut states = node.rules();
    let first = states.wait_for(|state| state.generation > 0 || state.error.is_some());
    let state = tokio::time::timeout(BOOT_LIMIT, first).await.with_context(|| {
        format!("{} has not loaded the packet rules after {} s", nft.display(), BOOT_LIMIT.as_secs())
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
    let mut images = spec.images.clone();
    images.push(coredns_image(spec));
    NodeSettings {
        name: NODE_NAME.into(),
        pace: spec.pace,
        profile: spec.profile,
        images,
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
        .chain(spec.visible.iter().cloned())
        .collect();
    directories.sort();
    directories.dedup();
    directories
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

async fn create_dns(client: &Client) -> kube::Result<()> {
    let Manifests { service_account, cluster_role, cluster_role_binding, config_map, deployment, service } =
        embedded_dns::manifests(&[NodeHost { address: NODE_ADDRESS.into(), name: NODE_NAME.into() }]);
    let parameters = PostParams::default();
    let system = "kube-system";
    // The namespace's default account may exist already; this one is CoreDNS's own.
    Api::namespaced(client.clone(), system).create(&parameters, &service_account).await?;
    Api::all(client.clone()).create(&parameters, &cluster_role).await?;
    Api::all(client.clone()).create(&parameters, &cluster_role_binding).await?;
    Api::namespaced(client.clone(), system).create(&parameters, &config_map).await?;
    Api::namespaced(client.clone(), system).create(&parameters, &service).await?;
    Api::namespaced(client.clone(), system).create(&parameters, &deployment).await?;
    Ok(())
}

/// Waits until the node is Ready and the DNS Service has an address that answers, or until that is hopeless.
async fn ready(client: &Client) -> anyhow::Result<()> {
    let reached = async {
        node_ready(client).await?;
        dns_ready(client).await
    };
    tokio::select! {
        reached = tokio::time::timeout(BOOT_LIMIT, reached) => match reached {
            Ok(reached) => reached,
            Err(_) => {
                let why = waits_for(client).await;
                Err(NotUp(format!("the cluster was not up after {} s: {why}", BOOT_LIMIT.as_secs())).into())
            }
        },
        why = watch_for_the_hopeless(client) => Err(NotUp(format!("the cluster cannot come up: {why}")).into()),
    }
}

async fn node_ready(client: &Client) -> anyhow::Result<()> {
    let nodes: Api<NodeObject> = Api::all(client.clone());
    await_condition(nodes, NODE_NAME, |node: Option<&NodeObject>| {
        let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
    })
    .await
    .context("the node did not become Ready")?;
    Ok(())
}

async fn dns_ready(client: &Client) -> anyhow::Result<()> {
    let endpoints: Api<Endpoints> = Api::namespaced(client.clone(), "kube-system");
    await_condition(endpoints, "kube-dns", |endpoints: Option<&Endpoints>| {
        let subsets = endpoints.and_then(|endpoints| endpoints.subsets.as_ref());
        subsets.is_some_and(|all| {
            all.iter().any(|subset| subset.addresses.as_ref().is_some_and(|a| !a.is_empty()))
        })
    })
    .await
    .context("the DNS server did not become Ready")?;
    Ok(())
}

/// The cluster's own pods and what was said about them.
async fn look(client: &Client) -> kube::Result<(Vec<Pod>, Vec<Event>)> {
    let everything = ListParams::default();
    let pods = Api::namespaced(client.clone(), "kube-system").list(&everything).await?;
    let events = Api::namespaced(client.clone(), "kube-system").list(&everything).await?;
    Ok((pods.items, events.items))
}

/// Returns when a pod of the cluster's own will not become Ready, with the reason.
async fn watch_for_the_hopeless(client: &Client) -> String {
    loop {
        tokio::time::sleep(LOOK).await;
        // A server that does not answer is the limit's business.
        let Ok((pods, events)) = look(client).await else { continue };
        if let Some(why) = obstacles::hopeless(&pods, &events) {
            return why;
        }
    }
}

async fn waits_for(client: &Client) -> String {
    match look(client).await {
        Ok((pods, events)) => match obstacles::all(&pods, &events) {
            none if none.is_empty() => "nothing says why".to_owned(),
            some => some.join("; "),
        },
        Err(error) => format!("its pods cannot be listed: {error}"),
    }
}
