//! Boot: from an empty machine to a node that is Ready, by the script of the cluster.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use embedded::supervision::{
    Booted, Border, NODE_ADDRESS, NodeLan, PacketLog, Upstream, forward_node_ports, mount_state,
};
use embedded::{Access, HostPorts};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tracing::{info, warn};

use crate::crew::Crew;
use crate::levers::NodeLevers;
use crate::pki::Pki;
use crate::process::Launcher;
use crate::script::{boot_script, directories, pki_files};
use crate::spec::{API_PORT, NodeSpec};
use crate::{cgroups, machine, volumes};

/// Between two tries to take a connection.
const LOOK: Duration = Duration::from_millis(50);

/// Starts every part; returns when the node is Ready and names resolve.
pub(crate) async fn boot(spec: &NodeSpec, border: Border) -> anyhow::Result<Booted> {
    let began = Instant::now();
    let lan = prepare_machine(spec)?;
    for made in directories(spec) {
        std::fs::create_dir_all(&made).with_context(|| format!("cannot make {}", made.display()))?;
    }
    let listener = border.listen_for_api(spec.host_address, spec.api_port)?;
    let server = format!("https://{}", listener.local_addr()?);
    let pki = Pki::generate(&pki_files(spec), &[NODE_ADDRESS.to_string(), spec.host_address.to_string()])?;
    let upstream = Upstream::bind(SocketAddr::from((NODE_ADDRESS, 53)), spec.upstream.clone())
        .await
        .context("cannot serve the outside's names on the node's address")?;
    let packet_log = PacketLog::open().await?;
    let script = boot_script(spec)?;
    let crew = Crew::carry_out(&script).await?;
    info!("booted in {} ms", began.elapsed().as_millis());
    let client = crew.client().await?;
    tokio::spawn(carry(TcpListener::from_std(listener)?));
    tokio::spawn(volumes::provision(client.clone(), spec.state.join("storage")));
    if spec.host_ports == HostPorts::NodePorts {
        tokio::spawn(forward_node_ports(client.clone(), border, spec.host_address, NODE_ADDRESS));
    }
    let launcher = Launcher::new(&script.environment, &script.logs);
    let levers = NodeLevers::of(client, launcher, &spec.network, packet_log);
    // Without one of its programs it is no cluster: the harness sees this process end, and the kernel ends the others.
    let watch = tokio::spawn(async move {
        warn!("{}", crew.first_to_end().await);
        std::process::exit(1)
    });
    let access = Access { server, ca_pem: pki.server_ca().into(), token: pki.token().into() };
    Ok(Booted { access, upstream, levers: Box::new(levers), parts: Box::new((lan, watch)) })
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
