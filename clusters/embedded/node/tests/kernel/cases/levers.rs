//! What the node does to a pod's packets when it is told to.

use std::net::SocketAddrV4;

use embedded_node::LinkState;
use netmodel::Profile;
use serde_json::json;

use super::packets::{dial, expose, in_force, policy, reaches, serving};
use crate::world::{World, container, create};

/// Says every word that it hears back, on one connection.
const ECHO: &str = "exec python3 -u -c '
import socket
s = socket.socket(); s.bind((\"0.0.0.0\", 9005)); s.listen(1)
print(\"up\")
c, a = s.accept()
while True: c.sendall(c.recv(64))'";

/// Holds one connection to that pod's Service open, and passes words on to it and back; or how that failed.
const HOLDER: &str = "exec python3 -u -c '
import socket, time
s = None
while not s:
    try: s = socket.create_connection((\"10.43.7.8\", 80), 1)
    except OSError: time.sleep(0.1)
s.settimeout(3)
l = socket.socket(); l.bind((\"127.0.0.1\", 7000)); l.listen(1)
while True:
    c, a = l.accept()
    try: s.sendall(c.recv(64)); c.sendall(s.recv(64))
    except OSError as e: c.sendall(str(e).encode())
    c.close()'";

/// Says a word on the connection that is held, and what comes back.
async fn say(world: &World, word: &str) -> String {
    let script = format!(
        "python3 -c '
import socket, time
c = None
while not c:
    try: c = socket.create_connection((\"127.0.0.1\", 7000))
    except OSError: time.sleep(0.1)
c.sendall(b\"{word}\"); print(c.recv(64).decode(), end=\"\")'"
    );
    world.exec("holder", &script).await
}

/// A link that is down takes its pod off the network until it is up again.
async fn link_goes_down_and_up(profile: Profile) {
    let (world, server) = serving(profile).await;
    let client = world.ready("client").await["status"]["podIP"].as_str().unwrap().to_owned();
    assert_eq!(dial(&world, "client", &server, 9004).await, client);
    assert_eq!(world.node.set_link("default", "nobody", LinkState::Down).await.unwrap(), None);
    for _ in 0..2 {
        set_link(&world, LinkState::Down).await;
        assert_eq!(dial(&world, "client", &server, 9004).await, "timeout", "its link is down");
        set_link(&world, LinkState::Up).await;
        assert_eq!(reaches(&world, "client", &server, 9004).await, client, "its link is up again");
    }
    // Up is up, however often it is said.
    set_link(&world, LinkState::Up).await;
    assert_eq!(dial(&world, "client", &server, 9004).await, client);
    let node = tokio::net::TcpStream::connect((server.as_str(), 9004)).await;
    assert!(node.is_ok(), "the node reaches the pod again: {node:?}");
}

async fn set_link(world: &World, state: LinkState) {
    assert_eq!(world.node.set_link("default", "server", state).await.unwrap(), Some(()));
}

pub(crate) async fn flannel_link_goes_down_and_up() {
    link_goes_down_and_up(Profile::Flannel).await;
}

pub(crate) async fn calico_link_goes_down_and_up() {
    link_goes_down_and_up(Profile::Calico).await;
}

/// A connection goes on when the node forgets it, and when a policy comes that denies it, but not after both.
async fn forgotten_connection_meets_the_policy(profile: Profile) {
    let world = World::start(profile).await;
    world.create("echo", json!({"containers": [container("main", ECHO)]})).await;
    world.shell("holder", HOLDER).await;
    world.log_with("echo", "up").await;
    let address = world.ready("echo").await["status"]["podIP"].as_str().unwrap().to_owned();
    expose(&world, "echo", "10.43.7.8", &address, 9005).await;
    world.ready("holder").await;
    assert_eq!(say(&world, "one").await, "one");
    assert_eq!(forget(&world, "nobody", 9005).await, None);
    assert_eq!(forget(&world, "echo", 9004).await, Some(0), "a port that nobody has dialled");
    assert_eq!(forget(&world, "echo", 9005).await, Some(1));
    assert_eq!(say(&world, "two").await, "two", "nothing denies it");

    create(&world.client, policy("echo")).await;
    in_force(&world, "deny", true).await;
    assert_eq!(say(&world, "three").await, "three", "it was admitted before");
    assert_eq!(forget(&world, "echo", 9005).await, Some(1));
    assert_eq!(say(&world, "four").await, "timed out", "nobody knows that it was admitted");
    let denials = world.node.denials().await.unwrap();
    let [(rule, packets)] = denials.as_slice() else { panic!("{denials:?}") };
    assert_eq!(rule, "denied ingress of default/echo: default/deny");
    assert!(*packets > 0, "the connection's next packets are denied");
    assert_eq!(forget(&world, "echo", 9005).await, Some(0), "a packet that is denied is not remembered");
}

async fn forget(world: &World, pod: &str, port: u16) -> Option<usize> {
    world.node.forget("default", pod, port).await.unwrap()
}

pub(crate) async fn flannel_forgotten_connection_meets_the_policy() {
    forgotten_connection_meets_the_policy(Profile::Flannel).await;
}

pub(crate) async fn calico_forgotten_connection_meets_the_policy() {
    forgotten_connection_meets_the_policy(Profile::Calico).await;
}

/// What a firewall of the node's stops is lost on the node, by the address that was dialled; and nothing else.
async fn stopped_packets_are_counted(profile: Profile) {
    let (world, server) = serving(profile).await;
    let client = world.ready("client").await["status"]["podIP"].as_str().unwrap().to_owned();
    let lost = async |to: &str, port: u16| {
        let lost = world.node.lost_packets().await.unwrap();
        let of_client = lost.iter().filter(|it| it.sent.from.to_string() == client);
        let there = of_client.filter(|it| (it.sent.to.to_string(), it.sent.port) == (to.to_owned(), port));
        there.map(|it| it.packets).sum::<u64>()
    };
    let service = "10.43.7.7";
    reaches(&world, "client", service, 80).await;
    // It may have been dialled before it led anywhere.
    let early = lost(service, 80).await;
    assert_eq!(dial(&world, "client", &server, 9004).await, client);
    assert_eq!(
        dial(&world, "client", "203.0.113.1", 80).await,
        "timeout",
        "nobody has it, and the packet went out"
    );
    assert_eq!((lost(&server, 9004).await, lost("203.0.113.1", 80).await), (0, 0));

    let to = SocketAddrV4::new(server.parse().unwrap(), 9004);
    world.node.set_firewall(Some(to)).await.unwrap();
    for (address, port) in [(server.as_str(), 9004), (service, 80)] {
        assert_eq!(dial(&world, "client", address, port).await, "timeout", "{address}:{port}");
    }
    let stopped = (lost(&server, 9004).await, lost(service, 80).await);
    assert!(stopped.0 > 0 && stopped.1 > early, "{stopped:?}");
    world.node.set_firewall(None).await.unwrap();
    for (address, port) in [(server.as_str(), 9004), (service, 80)] {
        assert_eq!(dial(&world, "client", address, port).await, client, "{address}:{port}");
    }
    assert_eq!((lost(&server, 9004).await, lost(service, 80).await), stopped, "these went on");
}

pub(crate) async fn flannel_stopped_packets_are_counted() {
    stopped_packets_are_counted(Profile::Flannel).await;
}

pub(crate) async fn calico_stopped_packets_are_counted() {
    stopped_packets_are_counted(Profile::Calico).await;
}
