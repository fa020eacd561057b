//! Pods' packets: routes, Services, policies.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::DeleteParams;
use netmodel::Profile;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{World, container, create};

/// Answers each connection with the caller's address.
const SERVER: &str = "exec python3 -u -c '
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((\"0.0.0.0\", 9004)); s.listen(16)
print(\"up\")
while True:
    c, a = s.accept(); c.sendall(a[0].encode()); c.close()'";

/// Dials once, with a second's patience: the address seen, or the errno's name.
pub(super) async fn dial(world: &World, from: &str, address: &str, port: u16) -> String {
    let script = format!(
        "python3 -c '
import socket, errno
s = socket.socket(); s.settimeout(1.5)
try:
    s.connect((\"{address}\", {port})); print(s.recv(64).decode(), end=\"\")
except socket.timeout: print(\"timeout\", end=\"\")
except OSError as e: print(errno.errorcode[e.errno], end=\"\")'"
    );
    world.exec(from, &script).await
}

pub(super) async fn serving(profile: Profile) -> (World, String) {
    let world = World::start(profile).await;
    let server = json!({"containers": [container("main", SERVER)]});
    world.create("server", server).await;
    world.shell("client", "exec sleep 600").await;
    world.log_with("server", "up").await;
    let address = world.ready("server").await["status"]["podIP"].as_str().unwrap().to_owned();
    world.ready("client").await;
    expose(&world, "server", "10.43.7.7", &address, 9004).await;
    (world, address)
}

/// Gives the pod `app` a Service, whose port 80 leads to `port` of the pod.
pub(super) async fn expose(world: &World, app: &str, service: &str, address: &str, port: u16) {
    create(&world.client, json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": app},
        "spec": {"clusterIP": service, "ports": [{"port": 80, "targetPort": port}], "selector": {"app": app}}})).await;
    create(&world.client, json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{app}-1"), "labels": {"kubernetes.io/service-name": app}},
        "endpoints": [{"addresses": [address], "conditions": {"ready": true, "serving": true, "terminating": false}}],
        "ports": [{"port": port, "protocol": "TCP"}]})).await;
}

/// Waits until the policy (or its absence) is in the kernel.
pub(super) async fn in_force(world: &World, name: &str, wanted: bool) {
    let key = format!("default/{name}");
    let mut rules = world.node.rules();
    let state = tokio::time::timeout(
        crate::world::PATIENCE,
        rules.wait_for(|it| it.error.is_some() || it.policies.contains_key(&key) == wanted),
    );
    assert_eq!(state.await.expect("rules are applied").unwrap().error, None);
}

pub(super) async fn reaches(world: &World, from: &str, address: &str, port: u16) -> String {
    // The Service counts a few milliseconds after its endpoints were written.
    for _ in 0..50 {
        let seen = dial(world, from, address, port).await;
        if seen.starts_with("10.") || seen.starts_with("192.") {
            return seen;
        }
    }
    panic!("{from} never reached {address}:{port}")
}

async fn polices(profile: Profile, denied: &str) {
    let (world, server) = serving(profile).await;
    if profile == Profile::Flannel {
        let switch = std::path::Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables").exists();
        assert_eq!(world.node.bridging(), if switch { "br_netfilter" } else { "isolated ports" });
    }
    let client = world.ready("client").await["status"]["podIP"].as_str().unwrap().to_owned();
    assert_eq!(dial(&world, "client", &server, 9004).await, client, "pod to pod");
    assert_eq!(reaches(&world, "client", "10.43.7.7", 80).await, client, "pod to Service");
    assert_eq!(dial(&world, "client", &server, 9999).await, "ECONNREFUSED", "a closed port");
    assert_eq!(dial(&world, "client", "203.0.113.1", 80).await, "timeout", "an address that nobody has");
    let own = reaches(&world, "server", "10.43.7.7", 80).await;
    assert!(own == "10.42.0.1" || own == "192.168.50.10", "hairpin is masqueraded, seen {own}");
    let mut stream = tokio::net::TcpStream::connect((server.as_str(), 9004)).await.unwrap();
    let mut seen = String::new();
    stream.read_to_string(&mut seen).await.unwrap();
    assert_eq!(seen, if profile == Profile::Flannel { "10.42.0.1" } else { "192.168.50.10" }, "node to pod");

    create(&world.client, policy("server")).await;
    in_force(&world, "deny", true).await;
    assert_eq!(dial(&world, "client", &server, 9004).await, denied);
    assert_eq!(dial(&world, "client", "10.43.7.7", 80).await, denied);
    let denials = world.node.denials().await.unwrap();
    let [(rule, packets)] = denials.as_slice() else { panic!("{denials:?}") };
    assert_eq!(rule, "denied ingress of default/server: default/deny");
    assert!(*packets >= 2, "two dials were denied, {packets} packets were counted");
    let lost = world.node.lost_packets().await.unwrap();
    for address in [server.as_str(), "10.43.7.7"] {
        assert!(lost.iter().any(|it| it.sent.to.to_string() == address), "{address} in {lost:?}");
    }
    assert!(
        tokio::net::TcpStream::connect((server.as_str(), 9004)).await.is_ok(),
        "the node is never policed"
    );
    let policies: Api<NetworkPolicy> = Api::namespaced(world.client.clone(), "default");
    policies.delete("deny", &DeleteParams::default()).await.unwrap();
    in_force(&world, "deny", false).await;
    assert_eq!(dial(&world, "client", &server, 9004).await, client, "repaired");
}

/// Nobody is admitted to the pod `app`.
pub(super) fn policy(app: &str) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"},
        "spec": {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"]}})
}

pub(crate) async fn flannel_routes_and_polices() {
    polices(Profile::Flannel, "ECONNREFUSED").await;
}

/// A kernel without br_netfilter shows no such directory; here it is hidden, so that setting the switch fails.
pub(crate) async fn flannel_routes_and_polices_without_br_netfilter() {
    let flags = nix::mount::MsFlags::empty();
    let hidden = nix::mount::mount(Some("tmpfs"), "/proc/sys/net/bridge", Some("tmpfs"), flags, None::<&str>);
    if hidden.is_ok() || !std::path::Path::new("/proc/sys/net/bridge").exists() {
        polices(Profile::Flannel, "ECONNREFUSED").await;
    }
}

pub(crate) async fn calico_routes_and_polices() {
    polices(Profile::Calico, "timeout").await;
}

/// Hears a word on one connection before it answers: closing with bytes unread would reset the connection.
const ECHO: &str = "exec python3 -u -c '
import socket
s = socket.socket(); s.bind((\"0.0.0.0\", 9004)); s.listen(1)
print(\"up\")
c, a = s.accept(); c.sendall(c.recv(16) + b\" from \" + a[0].encode()); c.close()'";

pub(crate) async fn a_port_is_forwarded() {
    let world = World::start(Profile::Flannel).await;
    world.create("server", json!({"containers": [container("main", ECHO)]})).await;
    world.log_with("server", "up").await;
    let mut forwarder = world.pods().portforward("server", &[9004]).await.unwrap();
    let mut stream = forwarder.take_stream(9004).unwrap();
    let mut seen = String::new();
    stream.write_all(b"x").await.unwrap();
    stream.read_to_string(&mut seen).await.unwrap();
    assert_eq!(seen, "x from 127.0.0.1");
}
