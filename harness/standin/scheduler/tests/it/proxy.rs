//! The real Envoy in a network of its own, something behind it, and a client in front.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::mesh::PATIENCE;
use crate::network::in_own_network;

/// Where clients come in.
pub(crate) const FRONT: &str = "127.0.0.1:9000";
const ADMIN: &str = "127.0.0.1:9901";

/// Runs a test that needs Envoy: its ports are fixed, so it gets a network of its own.
pub(crate) fn with_envoy(test: &str, body: impl Future<Output = ()>) {
    // Out here, where there is a network to fetch it over.
    program();
    in_own_network(test, body);
}

/// Envoy, fetched into the cache when it is not there yet.
fn program() -> PathBuf {
    clusters::provision(
        &clusters::Cache::from_environment().unwrap(),
        &clusters::Onlooker::patient(&|line| eprintln!("{line}")),
    )
    .unwrap()
    .envoy
}

/// A running Envoy.
pub(crate) struct Envoy {
    _process: Child,
    _folder: tempfile::TempDir,
}

impl Envoy {
    /// Starts Envoy with Seldon's bootstrap, except for the address of xDS and a shorter wait for the runtime layer
    /// that nobody serves, and waits until it listens.
    pub(crate) async fn start(xds: &str) -> Envoy {
        let folder = tempfile::tempdir().unwrap();
        let (host, port) = xds.split_once(':').unwrap();
        let config = include_str!("envoy.yaml").replace("XDS_HOST", host).replace("XDS_PORT", port);
        let path = folder.path().join("envoy.yaml");
        std::fs::write(&path, config).unwrap();
        let process = Command::new(program())
            .arg("--config-path")
            .arg(&path)
            .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let envoy = Envoy { _process: process, _folder: folder };
        let mut turns = tokio::time::interval(Duration::from_millis(10));
        let listening = async {
            while TcpStream::connect(FRONT).await.is_err() {
                turns.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, listening).await.expect("Envoy never listened");
        envoy
    }

    /// What Envoy has been configured with.
    pub(crate) async fn config(&self) -> serde_json::Value {
        let answer = Request::get("/config_dump").send_to(ADMIN).await;
        serde_json::from_str(&answer.body).unwrap()
    }
}

/// A request to send.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Request {
        let headers = vec![("host".to_owned(), "seldon-mesh".to_owned())];
        Request { method: method.to_owned(), path: path.to_owned(), headers, body: String::new() }
    }

    pub(crate) fn get(path: &str) -> Request {
        Request::new("GET", path)
    }

    /// An inference request.
    pub(crate) fn infer(path: &str) -> Request {
        let mut request = Request::new("POST", path).header("content-type", "application/json");
        request.body = r#"{"inputs":[]}"#.to_owned();
        request
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) async fn send(self) -> Answer {
        self.send_to(FRONT).await
    }

    async fn send_to(self, address: &str) -> Answer {
        let exchange = async {
            let stream = TcpStream::connect(address).await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
            for (name, value) in &self.headers {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            if !self.body.is_empty() {
                text.push_str(&format!("content-length: {}\r\n", self.body.len()));
            }
            text.push_str(&format!("\r\n{}", self.body));
            stream.write_all(text.as_bytes()).await.unwrap();
            let (first, headers) = read_head(&mut stream).await.unwrap();
            let status = first.split(' ').nth(1).unwrap().parse().unwrap();
            let body =
                if self.method == "HEAD" { String::new() } else { read_body(&mut stream, &headers).await };
            Answer { status, headers, body }
        };
        tokio::time::timeout(PATIENCE, exchange).await.expect("no answer")
    }
}

/// An answer received.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn header_names(&self) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).collect()
    }
}

async fn read_head(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<(String, String)>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let header =
        |line: &String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers = lines[1..].iter().filter_map(header).collect();
    Some((lines.remove(0), headers))
}

async fn read_body(stream: &mut BufReader<TcpStream>, headers: &[(String, String)]) -> String {
    let value = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let mut body = Vec::new();
    if value("transfer-encoding") == Some("chunked") {
        loop {
            let mut size = String::new();
            stream.read_line(&mut size).await.unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).await.unwrap();
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                break;
            }
        }
    } else {
        body.resize(value("content-length").map_or(0, |length| length.parse().unwrap()), 0);
        stream.read_exact(&mut body).await.unwrap();
    }
    String::from_utf8(body).unwrap()
}

/// What an agent's proxy was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) path: String,
    /// Value of `seldon-internal-model`.
    pub(crate) internal: Vec<String>,
    /// Value of `seldon-model`.
    pub(crate) model: Vec<String>,
    pub(crate) authority: String,
}

/// Something that answers 200 to everything, as an agent's HTTP proxy might, and remembers what it saw.
pub(crate) struct Backend {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Backend {
    pub(crate) async fn start() -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let memory = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(BufReader::new(stream), memory.clone()));
            }
        });
        Backend { port, seen }
    }

    /// What was asked since the last call.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// Waits until so many requests for that path have come, and returns them.
    pub(crate) async fn saw(&self, count: usize, path: &str) -> Vec<Seen> {
        let mut turns = tokio::time::interval(Duration::from_millis(2));
        let waiting = async {
            loop {
                let seen: Vec<Seen> =
                    self.seen.lock().unwrap().iter().filter(|seen| seen.path == path).cloned().collect();
                if seen.len() >= count {
                    return seen;
                }
                turns.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("fewer requests than expected")
    }
}

async fn answer(mut stream: BufReader<TcpStream>, memory: Arc<Mutex<Vec<Seen>>>) {
    while let Some((first, headers)) = read_head(&mut stream).await {
        read_body(&mut stream, &headers).await;
        let all = |name: &str| {
            headers
                .iter()
                .filter(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
                .collect::<Vec<_>>()
        };
        let seen = Seen {
            path: first.split(' ').nth(1).unwrap_or_default().to_owned(),
            internal: all("seldon-internal-model"),
            model: all("seldon-model"),
            authority: all("host").concat(),
        };
        memory.lock().unwrap().push(seen);
        let head = first.starts_with("HEAD");
        let body = if head { "" } else { "{}" };
        let text =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{body}");
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}
