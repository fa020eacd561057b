//! Probes and observations, as they are said and printed.

use std::fmt;
use std::net::IpAddr;

use netmodel::OutcomeClass;
use serde::{Deserialize, Serialize};

/// Which program's look-up habits a DNS probe has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsStyle {
    /// Go's own resolver, which Seldon's programs use.
    Go,
    /// glibc's `getaddrinfo`: Python, Java, curl.
    Glibc,
    /// musl's `getaddrinfo`: Alpine images.
    Musl,
    /// busybox's `nslookup`, which people use.
    BusyboxNslookup,
}

impl DnsStyle {
    /// All of them.
    pub const ALL: [DnsStyle; 4] = [DnsStyle::Go, DnsStyle::Glibc, DnsStyle::Musl, DnsStyle::BusyboxNslookup];
}

/// Something to look at from inside a pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "probe", rename_all = "snake_case")]
pub enum Probe {
    /// Opens a TCP connection and closes it.
    TcpConnect {
        /// Name (looked up as Go does) or address.
        host: String,
        /// Port.
        port: u16,
        /// Gives up after this many milliseconds.
        limit_ms: u64,
    },
    /// Sends one datagram and waits for one back.
    Udp {
        /// Name (looked up as Go does) or address.
        host: String,
        /// Port.
        port: u16,
        /// What is sent.
        payload: String,
        /// Gives up after this many milliseconds.
        limit_ms: u64,
    },
    /// `ServerLive` of the Open Inference Protocol.
    GrpcServerLive {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// Gives up after this many milliseconds.
        limit_ms: u64,
    },
    /// One HTTP/1.1 request on a connection of its own.
    Http {
        /// `GET`, `POST`, `HEAD`.
        method: String,
        /// `http://host:port/path`.
        url: String,
        /// Headers.
        headers: Vec<(String, String)>,
        /// Body.
        body: Option<String>,
        /// Gives up after this many milliseconds.
        limit_ms: u64,
    },
    /// One `ModelInfer` of the Open Inference Protocol with an FP32 tensor of one row.
    GrpcInfer {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
        /// Metadata.
        headers: Vec<(String, String)>,
        /// `model_name` of the request.
        model: String,
        /// The row.
        input: Vec<f32>,
        /// Gives up after this many milliseconds.
        limit_ms: u64,
    },
    /// A name.
    Dns {
        /// Whose habits.
        style: DnsStyle,
        /// The name as a person types it.
        name: String,
    },
    /// A name as it stands, asked of one name server.
    Ask {
        /// Its address.
        server: IpAddr,
        /// The name.
        name: String,
    },
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// Its class.
    pub class: OutcomeClass,
    /// The kernel's number, where it gave one.
    pub errno: Option<i32>,
    /// How long it took.
    pub elapsed_ms: u64,
    /// In the words of the program that is mimicked.
    pub text: String,
    /// What else there is to tell.
    pub detail: Detail,
}

/// What is peculiar to a kind of probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Detail {
    /// Nothing.
    None,
    /// An HTTP answer.
    Http {
        /// Status code.
        status: u16,
        /// Headers in order.
        headers: Vec<(String, String)>,
        /// Body, lossily decoded.
        body: String,
    },
    /// A gRPC answer.
    Grpc {
        /// Status code's number.
        code: i32,
        /// Status message.
        message: String,
        /// `model_name` of the answer.
        model_name: String,
    },
    /// A look-up.
    Dns {
        /// Addresses found.
        addresses: Vec<IpAddr>,
        /// What the program exits with.
        exit_code: u8,
    },
}

impl Observation {
    /// HTTP status, if there was an HTTP answer.
    pub fn status(&self) -> Option<u16> {
        match &self.detail {
            Detail::Http { status, .. } => Some(*status),
            Detail::None | Detail::Grpc { .. } | Detail::Dns { .. } => None,
        }
    }

    /// Addresses, if names were looked up.
    pub fn addresses(&self) -> &[IpAddr] {
        match &self.detail {
            Detail::Dns { addresses, .. } => addresses,
            Detail::None | Detail::Grpc { .. } | Detail::Http { .. } => &[],
        }
    }

    /// Value of an HTTP answer's header.
    pub fn header(&self, wanted: &str) -> Option<&str> {
        match &self.detail {
            Detail::Http { headers, .. } => headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.as_str()),
            Detail::None | Detail::Grpc { .. } | Detail::Dns { .. } => None,
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Probe::TcpConnect { host, port, .. } => write!(formatter, "dial {host}:{port}"),
            Probe::Udp { host, port, .. } => write!(formatter, "datagram to {host}:{port}"),
            Probe::GrpcServerLive { host, port, .. } => write!(formatter, "ServerLive at {host}:{port}"),
            Probe::Http { method, url, .. } => write!(formatter, "{method} {url}"),
            Probe::GrpcInfer { host, port, model, .. } => {
                write!(formatter, "ModelInfer {model} at {host}:{port}")
            }
            Probe::Dns { style: DnsStyle::BusyboxNslookup, name } => write!(formatter, "nslookup {name}"),
            Probe::Ask { server, name } => write!(formatter, "nslookup {name} {server}"),
            Probe::Dns { style, name } => write!(formatter, "look-up ({style:?}) of {name}"),
        }
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text.trim_end().replace('\n', " | ");
        write!(formatter, "{:?}: {text} ({} ms)", self.class, self.elapsed_ms)
    }
}
