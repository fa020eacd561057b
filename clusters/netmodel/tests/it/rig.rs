//! One node with four pods and a machine outside, in network namespaces of the kernel.
//!
//! Only for the inner process of [`crate::namespace::run`].

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use netmodel::policy::Protocol;
use netmodel::{OutcomeClass, Profile};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// How long a dial waits. Everything is on one machine, so an answer takes a millisecond.
const LIMIT: Duration = Duration::from_millis(900);

pub(crate) const PODS: [(&str, &str); 4] = [
    ("np-client", "10.42.0.5"),
    ("np-server", "10.42.0.6"),
    ("far-client", "10.42.0.7"),
    ("far-server", "10.42.0.8"),
];

/// On top of [`build`]: refusals limited as on any node, one a second and client after six.
pub(crate) fn limit_refusals() {
    set("net/ipv4/icmp_ratelimit", "1000");
}

/// On top of [`build`] for flannel: what a node does that cannot have its bridge filtered.
pub(crate) fn route_between_bridge_ports() {
    set("net/bridge/bridge-nf-call-iptables", "0");
    set("net/ipv4/conf/cni0/proxy_arp_pvlan", "1");
    set("net/ipv4/conf/cni0/send_redirects", "0");
    set("net/ipv4/conf/all/send_redirects", "0");
    set("net/ipv4/neigh/cni0/proxy_delay", "0");
    for index in 0..PODS.len() {
        sh(&format!("ip link set veth{index} type bridge_slave isolated on"));
    }
}

/// Lays the node out as `profile` attaches pods. Everything ends with the process.
pub(crate) fn build(profile: Profile) {
    sh("mount -t tmpfs tmpfs /run");
    sh("ip link set lo up");
    set("net/ipv4/ip_forward", "1");
    // The tests count verdicts, not refusals: without the limit each denial is answered.
    set("net/ipv4/icmp_ratelimit", "0");
    link("outside", "up0");
    sh("ip addr add 192.168.50.10/24 dev up0");
    sh("ip -n outside addr add 192.168.50.77/24 dev eth0");
    // It forwards nothing: what leaves by the default route is lost without a word.
    sh("ip route add default via 192.168.50.77");
    match profile {
        Profile::Flannel => {
            bridge();
            set("net/bridge/bridge-nf-call-iptables", "1");
        }
        Profile::Calico => routed(),
    }
}

fn bridge() {
    sh("ip link add cni0 type bridge forward_delay 0");
    sh("ip addr add 10.42.0.1/24 dev cni0");
    sh("ip link set cni0 up");
    for (index, (pod, address)) in PODS.iter().enumerate() {
        let port = format!("veth{index}");
        link(pod, &port);
        sh(&format!("ip link set {port} master cni0"));
        sh(&format!("ip link set {port} type bridge_slave hairpin on"));
        sh(&format!("ip -n {pod} addr add {address}/24 dev eth0"));
        sh(&format!("ip -n {pod} route add default via 10.42.0.1"));
    }
}

fn routed() {
    for (index, (pod, address)) in PODS.iter().enumerate() {
        let port = format!("cali{index}");
        link(pod, &port);
        set(&format!("net/ipv4/conf/{port}/proxy_arp"), "1");
        set(&format!("net/ipv4/neigh/{port}/proxy_delay"), "0");
        sh(&format!("ip route add {address}/32 dev {port}"));
        sh(&format!("ip -n {pod} addr add {address}/32 dev eth0"));
        sh(&format!("ip -n {pod} route add 169.254.1.1 dev eth0"));
        sh(&format!("ip -n {pod} route add default via 169.254.1.1 dev eth0"));
    }
}

/// A namespace whose `eth0` meets `port` of the node.
fn link(namespace: &str, port: &str) {
    sh(&format!("ip netns add {namespace}"));
    sh(&format!("ip link add {port} type veth peer name eth0 netns {namespace}"));
    sh(&format!("ip link set {port} up"));
    sh(&format!("ip -n {namespace} link set eth0 up"));
    sh(&format!("ip -n {namespace} link set lo up"));
}

fn sh(line: &str) {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    let output = command.args(words).output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{line}: {said}");
}

fn set(key: &str, value: &str) {
    let path = format!("/proc/sys/{key}");
    fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// Runs `body` in a thread inside a namespace; `node` is where the test itself runs.
pub(crate) fn within<T: Send + 'static>(
    namespace: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let path = (namespace != "node").then(|| format!("/run/netns/{namespace}"));
    thread::spawn(move || {
        if let Some(path) = path {
            let namespace = fs::File::open(path).expect("the namespace");
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("to enter it");
        }
        body()
    })
}

/// Serves TCP: says who the peer is on a line, then echoes. Returns when it listens.
pub(crate) fn serve_tcp(namespace: &str, port: u16) {
    let (ready, listening) = mpsc::channel();
    within(namespace, move || {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("the port");
        ready.send(()).expect("the test waits");
        for stream in listener.incoming().flatten() {
            thread::spawn(move || greet(stream));
        }
    });
    listening.recv().expect("the server listens");
}

fn greet(mut stream: TcpStream) -> io::Result<()> {
    let peer = stream.peer_addr()?.ip();
    writeln!(stream, "{peer}")?;
    let mut buffer = [0; 64];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count])?,
        }
    }
}

/// Serves UDP: answers with who the peer is.
pub(crate) fn serve_udp(namespace: &str, port: u16) {
    let (ready, listening) = mpsc::channel();
    within(namespace, move || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).expect("the port");
        ready.send(()).expect("the test waits");
        let mut buffer = [0; 64];
        while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(peer.ip().to_string().as_bytes(), peer);
        }
    });
    listening.recv().expect("the server listens");
}

/// What a client in this thread's namespace sees, and the address the server saw.
pub(crate) fn look(target: SocketAddr, protocol: Protocol) -> (OutcomeClass, Option<IpAddr>) {
    let seen = match protocol {
        Protocol::Ping => echo(target.ip()),
        Protocol::Udp => ask(target),
        Protocol::Tcp | Protocol::Sctp => dial(target).map(|(_, seen)| seen),
    };
    match seen {
        Ok(seen) => (OutcomeClass::Open, Some(seen)),
        Err(error) => (class(&error), None),
    }
}

/// Connects and reads the greeting.
pub(crate) fn dial(target: SocketAddr) -> io::Result<(TcpStream, IpAddr)> {
    let stream = TcpStream::connect_timeout(&target, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    Ok((stream, line.trim().parse().map_err(io::Error::other)?))
}

fn ask(target: SocketAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.connect(target)?;
    socket.send(b"?")?;
    let mut buffer = [0; 64];
    let count = socket.recv(&mut buffer)?;
    String::from_utf8_lossy(&buffer[..count]).parse().map_err(io::Error::other)
}

fn class(error: &io::Error) -> OutcomeClass {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => OutcomeClass::Refused,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => OutcomeClass::Timeout,
        io::ErrorKind::HostUnreachable => OutcomeClass::NoRoute,
        io::ErrorKind::NetworkUnreachable => OutcomeClass::NetUnreachable,
        io::ErrorKind::PermissionDenied => OutcomeClass::NotPermitted,
        io::ErrorKind::ConnectionReset => OutcomeClass::Reset,
        other => panic!("an end without a class: {other:?}: {error}"),
    }
}

/// Sends one echo request. A refusal of it is an ICMP error, which a raw socket passes over, so a
/// denial is `Timeout` whatever the profile.
fn echo(target: IpAddr) -> io::Result<IpAddr> {
    let IpAddr::V4(address) = target else { return Err(io::ErrorKind::Unsupported.into()) };
    let flags = SockFlag::empty();
    let socket = socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Icmp)?;
    let limit = TimeVal::milliseconds(i64::try_from(LIMIT.as_millis()).map_err(io::Error::other)?);
    setsockopt(&socket, sockopt::ReceiveTimeout, &limit)?;
    // Another identifier each time: one that was answered before belongs to a standing flow.
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let identifier = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    // Type 8, code 0, checksum of the rest, identifier, sequence 1.
    let word = |high: u8, low: u8| u32::from(u16::from_be_bytes([high, low]));
    let sum = word(8, 0) + word(identifier[0], identifier[1]) + 1;
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).map_err(io::Error::other)?;
    let [high, low] = sum.to_be_bytes();
    let request = [8, 0, high, low, identifier[0], identifier[1], 0, 1];
    sendto(
        socket.as_raw_fd(),
        &request,
        &SockaddrIn::from(SocketAddrV4::new(address, 0)),
        MsgFlags::empty(),
    )?;
    let mut packet = [0; 128];
    loop {
        let count = recv(socket.as_raw_fd(), &mut packet, MsgFlags::empty())?;
        // Behind the IP header: an echo reply (type 0) from the peer.
        if count >= 28 && packet[20] == 0 && packet[12..16] == address.octets() {
            return Ok(target);
        }
    }
}
