//! NodePorts on the host: `curl 127.0.0.1:30080` reaches the cluster's node.
//!
//! The host has no link to the node's network namespace, so bytes are carried: a listener made at the border, a
//! connection to the node made inside. The node sees its own address as the client's.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Service;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tracing::warn;

use crate::border::Border;

/// Opens and closes listeners as Services come and go, for ever: a watch that ends is begun again.
pub async fn forward(client: Client, border: Border, host: Ipv4Addr, node: Ipv4Addr) {
    let services: Api<Service> = Api::all(client);
    let mut open: BTreeMap<String, Vec<(u16, JoinHandle<()>)>> = BTreeMap::new();
    let mut events = std::pin::pin!(watcher(services, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                warn!("NodePorts are not followed for a moment: {error}");
                continue;
            }
        };
        match event {
            watcher::Event::Apply(service) | watcher::Event::InitApply(service) => {
                let listeners = open.entry(key(&service)).or_default();
                reconcile(listeners, &tcp_node_ports(&service), &border, host, node);
            }
            watcher::Event::Delete(service) => {
                for (_, listener) in open.remove(&key(&service)).unwrap_or_default() {
                    listener.abort();
                }
            }
            watcher::Event::Init | watcher::Event::InitDone => {}
        }
    }
}

fn key(service: &Service) -> String {
    let meta = &service.metadata;
    format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

/// The NodePorts of `service` that carry TCP.
fn tcp_node_ports(service: &Service) -> Vec<u16> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    ports
        .filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP")
        .filter_map(|port| u16::try_from(port.node_port?).ok())
        .collect()
}

fn reconcile(
    listeners: &mut Vec<(u16, JoinHandle<()>)>,
    wanted: &[u16],
    border: &Border,
    host: Ipv4Addr,
    node: Ipv4Addr,
) {
    listeners.retain(|(port, listener)| {
        let keep = wanted.contains(port);
        if !keep {
            listener.abort();
        }
        keep
    });
    for &port in wanted {
        if listeners.iter().any(|(open, _)| *open == port) {
            continue;
        }
        let address = SocketAddr::from((host, port));
        match border.listen(address).and_then(TcpListener::from_std) {
            Ok(listener) => {
                listeners.push((port, tokio::spawn(accept(listener, SocketAddr::from((node, port))))))
            }
            Err(error) => warn!("NodePort {port} cannot be opened on {address} of the host: {error}"),
        }
    }
}

async fn accept(listener: TcpListener, target: SocketAddr) {
    loop {
        let Ok((mut outside, _)) = listener.accept().await else { return };
        tokio::spawn(async move {
            // A refused or reset connection ends the outside one too, which is all the outside could see.
            if let Ok(mut inside) = TcpStream::connect(target).await {
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::none(json!([{"port": 80}]), &[])]
    #[case::tcp_by_default(json!([{"port": 80, "nodePort": 30080}]), &[30080])]
    #[case::udp_is_left_out(json!([{"port": 53, "nodePort": 30053, "protocol": "UDP"}]), &[])]
    fn finds_tcp_node_ports(#[case] ports: serde_json::Value, #[case] expected: &[u16]) {
        let service: Service =
            serde_json::from_value(json!({"metadata": {"name": "s"}, "spec": {"ports": ports}})).unwrap();
        assert_eq!(tcp_node_ports(&service), expected);
    }
}
