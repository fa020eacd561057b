//! Lookups against a scripted name server on loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gonet::{ConnectOptions, Resolver, connect};
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};
use pace::Pace;
use tokio::net::UdpSocket;

const LIMIT: Duration = Duration::from_secs(30);

/// What the server does with a question.
#[derive(Clone, Copy)]
enum Answer {
    Address(Ipv4Addr),
    Code(ResponseCode),
    Empty,
    Lame,
    Silence,
}

struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(script: impl Fn(&str, RecordType) -> Answer + Send + 'static) -> Server {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let question = query.queries[0].clone();
                let name = question.name.to_string();
                log.lock().unwrap().push(format!("{} {name}", question.query_type));
                let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
                answer.metadata.message_type = MessageType::Response;
                answer.metadata.authoritative = true;
                answer.add_query(question.clone());
                match script(&name, question.query_type) {
                    Answer::Silence => continue,
                    Answer::Empty => {}
                    Answer::Lame => answer.metadata.authoritative = false,
                    Answer::Code(code) => answer.metadata.response_code = code,
                    Answer::Address(ip) => {
                        answer.add_answer(Record::from_rdata(question.name, 5, RData::A(A(ip))));
                    }
                }
                socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
            }
        });
        Server { address, asked }
    }

    fn resolver(&self) -> Resolver {
        let text = format!(
            "search apps.svc.cluster.local svc.cluster.local cluster.local\nnameserver {}\noptions ndots:5\n",
            self.address.ip()
        );
        Resolver::from_resolv_conf(&text, Pace::FAST).with_port(self.address.port())
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_two_label_name_is_found_through_the_search_list() {
    let server = Server::start(|name, record| match (name, record) {
        ("seldon-scheduler.ml.svc.cluster.local.", RecordType::A) => {
            Answer::Address(Ipv4Addr::new(10, 43, 0, 7))
        }
        ("seldon-scheduler.ml.svc.cluster.local.", _) => Answer::Empty,
        _ => Answer::Code(ResponseCode::NXDomain),
    })
    .await;
    let found = server.resolver().lookup_host("seldon-scheduler.ml", LIMIT).await.unwrap();
    assert_eq!(found, [ip("10.43.0.7")]);
    let asked = server.asked.lock().unwrap();
    assert!(
        !asked.iter().any(|line| line.ends_with(" seldon-scheduler.ml.")),
        "asked the bare name: {asked:?}"
    );
}

#[tokio::test]
async fn an_absent_name_is_no_such_host_and_zero_addresses_to_grpc() {
    let server = Server::start(|_, _| Answer::Code(ResponseCode::NXDomain)).await;
    let error = server.resolver().lookup_host("nope.ml", LIMIT).await.unwrap_err();
    assert_eq!(error.to_string(), format!("lookup nope.ml on {}: no such host", server.address));
    assert!(error.is_not_found() && !error.is_temporary());
    let options = ConnectOptions::new(Pace::FAST).with_resolver(server.resolver());
    let status = connect("nope.ml", 9004, &options).await.unwrap_err();
    assert_eq!(
        status.to_string(),
        "rpc error: code = Unavailable desc = name resolver error: produced zero addresses"
    );
}

#[tokio::test]
async fn servfail_on_the_first_suffix_does_not_stop_the_search() {
    let server = Server::start(|name, record| match (name, record) {
        ("x.ml.apps.svc.cluster.local.", _) => Answer::Code(ResponseCode::ServFail),
        ("x.ml.svc.cluster.local.", RecordType::A) => Answer::Address(Ipv4Addr::new(10, 43, 0, 8)),
        _ => Answer::Code(ResponseCode::NXDomain),
    })
    .await;
    assert_eq!(server.resolver().lookup_host("x.ml", LIMIT).await.unwrap(), [ip("10.43.0.8")]);
}

#[tokio::test]
async fn servfail_everywhere_is_server_misbehaving() {
    let server = Server::start(|_, _| Answer::Code(ResponseCode::ServFail)).await;
    let error = server.resolver().lookup_host("x", LIMIT).await.unwrap_err();
    assert_eq!(error.to_string(), format!("lookup x on {}: server misbehaving", server.address));
    assert!(error.is_temporary() && !error.is_timeout());
}

#[tokio::test]
async fn an_empty_answer_without_authority_is_lame() {
    let server = Server::start(|_, _| Answer::Lame).await;
    let error = server.resolver().lookup_host("x.", LIMIT).await.unwrap_err();
    assert_eq!(error.to_string(), format!("lookup x. on {}: lame referral", server.address));
}

#[tokio::test]
async fn a_good_a_survives_a_dead_aaaa() {
    let server = Server::start(|_, record| match record {
        RecordType::A => Answer::Address(Ipv4Addr::new(10, 43, 0, 9)),
        _ => Answer::Silence,
    })
    .await;
    assert_eq!(server.resolver().lookup_host("x.", LIMIT).await.unwrap(), [ip("10.43.0.9")]);
}

#[tokio::test]
async fn silence_is_a_read_timeout_when_the_list_ends_and_a_dial_timeout_when_the_caller_does() {
    let server = Server::start(|_, _| Answer::Silence).await;
    let full = server.resolver().lookup_host("x.", LIMIT).await.unwrap_err().to_string();
    assert!(full.starts_with(&format!("lookup x. on {}: read udp 127.0.0.1:", server.address)), "{full}");
    assert!(full.ends_with(&format!("->{}: i/o timeout", server.address)), "{full}");
    let short = server.resolver().lookup_host("x", Duration::from_millis(700)).await.unwrap_err();
    let text = short.to_string();
    assert_eq!(text, format!("lookup x on {0}: dial udp {0}: i/o timeout", server.address));
    assert!(short.is_timeout());
}

#[tokio::test]
async fn a_refused_server_is_named_with_both_ends() {
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let resolver = Resolver::from_resolv_conf("nameserver 127.0.0.1\n", Pace::FAST).with_port(closed.port());
    let error = resolver.lookup_host("x", LIMIT).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("lookup x on {closed}: read udp 127.0.0.1:")), "{text}");
    assert!(text.ends_with(&format!("->{closed}: read: connection refused")), "{text}");
    let options = ConnectOptions::new(Pace::FAST).with_resolver(resolver);
    let status = connect("x", 9004, &options).await.unwrap_err().desc;
    assert!(
        status.starts_with(&format!("dns: A record lookup error: lookup x on {closed}: read udp")),
        "{status}"
    );
}

#[tokio::test]
async fn grpc_asks_for_its_service_configuration_once_the_name_is_known() {
    let server = Server::start(|name, record| match (name, record) {
        ("x.ml.svc.cluster.local.", RecordType::A) => Answer::Address(Ipv4Addr::LOCALHOST),
        ("_grpc_config.x.ml.apps.svc.cluster.local.", _) => Answer::Code(ResponseCode::ServFail),
        _ => Answer::Code(ResponseCode::NXDomain),
    })
    .await;
    // Bound and not listening: refused, and nobody else's.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = socket.local_addr().unwrap();
    let options = ConnectOptions::new(Pace::FAST).with_resolver(server.resolver());
    connect("x.ml", closed.port(), &options).await.unwrap_err();
    let asked = server.asked.lock().unwrap();
    let text: Vec<&str> =
        asked.iter().filter_map(|line| line.strip_prefix("TXT _grpc_config.x.ml.")).collect();
    let first = "apps.svc.cluster.local.";
    assert_eq!(text, [first, first, "svc.cluster.local.", "cluster.local.", ""]);
}
