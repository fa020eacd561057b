//! Boot: the node's programs, started in the order in which they need each other.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use embedded::supervision::{
    Booted, Border, NODE_ADDRESS, NodeLan, NotUp, Upstream, create_dns, forward_node_ports, mount_state,
    until_ready,
};
use embedded::{Access, HostPorts};
use futures::future::select_all;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Config};
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tracing::{info, warn};

use crate::configuration::{self, OomScores};
use crate::parts::Parts;
use crate::pki::Pki;
use crate::process::{Launcher, Running};
use crate::spec::{API_PORT, CalicoPrograms, NODE_NAME, Network, NodeSpec};
use crate::{calico, cgroups, flannel, machine, volumes};

/// A boot takes ten seconds on two processors; one that takes this long never ends.
const BOOT_LIMIT: Duration = Duration::from_secs(180);
/// Between two looks at something that cannot be watched.
const LOOK: Duration = Duration::from_millis(50);

/// Where the node's files are, below its tmpfs.
struct Places {
    pki: PathBuf,
    etcd: PathBuf,
    network: PathBuf,
    plugins: PathBuf,
    resolv_conf: PathBuf,
    containerd: PathBuf,
    kubelet: PathBuf,
}

impl Places {
    fn below(directory: &Path) -> anyhow::Result<Places> {
        let at = |name: &str| directory.join(name);
        let places = Places {
            pki: at("pki"),
            etcd: at("etcd"),
            network: at("cni"),
            plugins: at("cni-plugins"),
            resolv_conf: at("resolv.conf"),
            containerd: at("containerd.toml"),
            kubelet: at("kubelet.json"),
        };
        for made in [&places.etcd, &places.network, &places.plugins] {
            fs::create_dir_all(made).with_context(|| format!("cannot make {}", made.display()))?;
        }
        Ok(places)
    }
}

/// Starts every part; returns when the node is Ready and names resolve.
pub(crate) async fn boot(spec: &NodeSpec, border: Border) -> anyhow::Result<Booted> {
    let began = Instant::now();
    let lan = prepare_machine(spec)?;
    let places = Places::below(&spec.mountpoint)?;
    let listener = border.listen_for_api(spec.host_address, spec.api_port)?;
    let server = format!("https://{}", listener.local_addr()?);
    let pki = Pki::generate(&places.pki, &[NODE_ADDRESS.to_string(), spec.host_address.to_string()])?;
    let launcher = Launcher::over(&spec.programs, &spec.logs);
    let parts = Parts { spec, launcher: &launcher, pki: &pki };
    let upstream = Upstream::bind(SocketAddr::from((NODE_ADDRESS, 53)), spec.upstream.clone())
        .await
        .context("cannot serve the outside's names on the node's address")?;
    write_configuration(spec, &places, &pki)?;
    let mut running = start_control_plane(&parts, &places)?;
    let boot = async {
        let client = api_client(&pki).await?;
        info!("the API server is ready after {} ms", began.elapsed().as_millis());
        let late = start_node(&parts, &places, &client).await?;
        volumes::create_class(&client).await?;
        create_dns(&client, NODE_NAME).await.context("cannot create the cluster's DNS")?;
        label_node(&client).await?;
        until_ready(&client, NODE_NAME).await?;
        Ok::<_, anyhow::Error>((client, late))
    };
    let (client, late) = tokio::select! {
        booted = tokio::time::timeout(BOOT_LIMIT, boot) => match booted {
            Ok(booted) => booted?,
            Err(_) => return Err(NotUp(format!("the cluster was not up after {} s", BOOT_LIMIT.as_secs())).into()),
        },
        why = first_to_end(&mut running) => return Err(NotUp(why).into()),
    };
    running.extend(late);
    info!("booted in {} ms", began.elapsed().as_millis());
    tokio::spawn(carry(TcpListener::from_std(listener)?));
    tokio::spawn(volumes::provision(client.clone(), spec.state.join("storage")));
    if spec.host_ports == HostPorts::NodePorts {
        tokio::spawn(forward_node_ports(client, border, spec.host_address, NODE_ADDRESS));
    }
    let watch = tokio::spawn(async move { warn!("{}", first_to_end(&mut running).await) });
    let access = Access { server, ca_pem: pki.server_ca().into(), token: pki.token().into() };
    Ok(Booted { access, upstream, parts: Box::new((lan, watch)) })
}

fn prepare_machine(spec: &NodeSpec) -> anyhow::Result<NodeLan> {
    let lan = NodeLan::set_up().context("cannot set up the node's links")?;
    let mut visible = spec.visible.clone();
    visible.extend([
        spec.state.clone(),
        spec.logs.clone(),
        spec.mountpoint.clone(),
        spec.programs.cni.clone(),
    ]);
    visible.extend(spec.programs.path.iter().cloned());
    machine::set_up(&visible)?;
    mount_state(&spec.mountpoint)?;
    cgroups::make(&spec.name).context("cannot make the cluster's cgroups")?;
    Ok(lan)
}

fn write_configuration(spec: &NodeSpec, places: &Places, pki: &Pki) -> anyhow::Result<()> {
    let write = |path: &Path, text: String| {
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write(&places.resolv_conf, format!("nameserver {NODE_ADDRESS}\n"))?;
    let network = Some((places.plugins.as_path(), places.network.as_path()));
    let root = spec.state.join("containerd");
    write(&places.containerd, configuration::containerd(&root, OomScores::of_this_process(), network))?;
    write(&places.kubelet, configuration::kubelet(spec, pki, &places.resolv_conf).to_string())?;
    for plugin in fs::read_dir(&spec.programs.cni).context("cannot read the CNI plugins' directory")? {
        let plugin = plugin?;
        std::os::unix::fs::symlink(plugin.path(), places.plugins.join(plugin.file_name()))
            .with_context(|| format!("cannot link {}", plugin.path().display()))?;
    }
    match &spec.network {
        Network::Flannel => {
            write(&places.network.join("10-flannel.conflist"), configuration::flannel().to_string())
        }
        // Its own is written when the node and its address pool are recorded: a plugin that comes first fails.
        Network::Calico(programs) => calico::link_plugins(programs, &places.plugins),
    }
}

fn start_control_plane(parts: &Parts<'_>, places: &Places) -> anyhow::Result<Vec<Running>> {
    let start = |name, command| parts.launcher.start(name, command);
    Ok(vec![
        start("etcd", parts.etcd(&places.etcd))?,
        start("kube-apiserver", parts.api_server())?,
        start("containerd", parts.containerd(&places.containerd))?,
    ])
}

/// A client of the API server inside, when that is ready to answer.
async fn api_client(pki: &Pki) -> anyhow::Result<Client> {
    let document = Kubeconfig::read_from(pki.file("admin.kubeconfig"))?;
    let config = Config::from_custom_kubeconfig(document, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    loop {
        let ready = http_get(&client, "/readyz").await;
        if ready {
            return Ok(client);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn http_get(client: &Client, path: &str) -> bool {
    let Ok(request) = http::Request::get(path).body(Vec::new()) else { return false };
    client.request_text(request).await.is_ok_and(|text| text == "ok")
}

/// Starts what needs the API server; with Calico, also its part, when the node is registered.
async fn start_node(parts: &Parts<'_>, places: &Places, client: &Client) -> anyhow::Result<Vec<Running>> {
    let start = |name, command| parts.launcher.start(name, command);
    let mut running = vec![
        start("kube-controller-manager", parts.controller_manager())?,
        start("kube-scheduler", parts.scheduler())?,
        start("kubelet", parts.kubelet(&places.kubelet))?,
        start("kube-proxy", parts.proxy())?,
    ];
    match &parts.spec.network {
        Network::Flannel => flannel::make_rules(parts.launcher).await?,
        Network::Calico(programs) => running.push(start_calico(programs, parts, places, client).await?),
    }
    Ok(running)
}

async fn start_calico(
    programs: &CalicoPrograms,
    parts: &Parts<'_>,
    places: &Places,
    client: &Client,
) -> anyhow::Result<Running> {
    let nodes: Api<Node> = Api::all(client.clone());
    await_condition(nodes, NODE_NAME, |node: Option<&Node>| node.is_some())
        .await
        .context("the node is not registered")?;
    let felix = calico::start(programs, parts.launcher, parts.pki, client).await?;
    let plugins = calico::plugins(parts.pki, &parts.spec.logs).to_string();
    fs::write(places.network.join("10-calico.conflist"), plugins)
        .context("cannot write Calico's CNI configuration")?;
    while !calico::felix_is_ready().await {
        tokio::time::sleep(LOOK).await;
    }
    Ok(felix)
}

/// What k3s labels its server with, when the kubelet has registered it.
async fn label_node(client: &Client) -> anyhow::Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    await_condition(nodes.clone(), NODE_NAME, |node: Option<&Node>| node.is_some()).await?;
    let labels = json!({"metadata": {"labels": {
        "node-role.kubernetes.io/control-plane": "true",
        "node-role.kubernetes.io/master": "true",
    }}});
    nodes
        .patch(NODE_NAME, &PatchParams::default(), &Patch::Merge(labels))
        .await
        .map(drop)
        .context("cannot label the node")
}

/// Returns when one of them has ended, with what it said.
async fn first_to_end(running: &mut [Running]) -> String {
    let ends = running.iter_mut().map(|program| Box::pin(program.ended()));
    select_all(ends).await.0
}

/// Carries connections from the host to the API server inside.
async fn carry(listener: TcpListener) {
    loop {
        let Ok((mut outside, _)) = listener.accept().await else {
            tokio::time::sleep(LOOK).await;
            continue;
        };
        tokio::spawn(async move {
            if let Ok(mut inside) = TcpStream::connect(("127.0.0.1", API_PORT)).await {
                // Either side may go at any time.
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            }
        });
    }
}
