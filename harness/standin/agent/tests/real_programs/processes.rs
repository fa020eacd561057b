//! The three containers of a server pod as processes on loopback.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use clusters::Programs;
use regex::Regex;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::INFER;
use crate::api;
use crate::scheduler::Scheduler;

const PATIENCE: Duration = Duration::from_secs(60);

/// The real programs.
pub(crate) fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        clusters::provision(
            &clusters::Cache::from_environment().unwrap(),
            &clusters::Onlooker::patient(&|line| eprintln!("{line}")),
        )
        .unwrap()
    })
}

/// A running server pod with its scheduler and API server.
pub(crate) struct Pod {
    pub(crate) folder: TempDir,
    pub(crate) scheduler: Scheduler,
    pub(crate) http_port: u16,
    pub(crate) grpc_port: u16,
    pub(crate) rclone_port: u16,
    drainer_port: u16,
    readiness_port: u16,
    mlserver_ports: [u16; 3],
    agent: Child,
    _rclone: Child,
    mlserver: Child,
}

impl Pod {
    pub(crate) async fn start(programs: &Programs, memory: u64) -> Pod {
        Pod::start_with_secrets(programs, memory, &["store"]).await
    }

    pub(crate) async fn start_with_secrets(programs: &Programs, memory: u64, secrets: &[&str]) -> Pod {
        let folder = tempfile::tempdir().unwrap();
        make_iris(programs, &folder.path().join("iris")).await;
        let [http_port, grpc_port, metrics_port, drainer_port, readiness_port] =
            [9001, 9501, 9006, 9007, 9008];
        let rclone_port = 5572;
        let rclone = start_rclone(programs, folder.path(), rclone_port);
        let mlserver_ports = [9000, 9500, 8082];
        let mlserver = spawn_mlserver(programs, folder.path(), mlserver_ports);
        let scheduler = Scheduler::start().await;
        let secrets: String = secrets.iter().map(|name| format!("\n  - {name}")).collect();
        let configuration = format!("rclone:\n  config_secrets:{secrets}\n");
        fs::create_dir(folder.path().join("config")).unwrap();
        fs::write(folder.path().join("config/agent.yaml"), &configuration).unwrap();
        let kubeconfig = kubeconfig(folder.path(), api::start(configuration).await);
        let path = |name: &str| folder.path().join(name).display().to_string();
        let flags = [
            ("scheduler-host", "127.0.0.1".to_owned()),
            ("scheduler-port", scheduler.port.to_string()),
            ("rclone-host", "127.0.0.1".to_owned()),
            ("rclone-port", rclone_port.to_string()),
            ("inference-host", "127.0.0.1".to_owned()),
            ("inference-http-port", mlserver_ports[0].to_string()),
            ("inference-grpc-port", mlserver_ports[1].to_string()),
            ("reverse-proxy-http-port", http_port.to_string()),
            ("reverse-proxy-grpc-port", grpc_port.to_string()),
            ("metrics-port", metrics_port.to_string()),
            ("drainer-port", drainer_port.to_string()),
            ("readiness-port", readiness_port.to_string()),
            ("namespace", "mesh".to_owned()),
            ("agent-folder", path("agent")),
            ("config-path", path("config")),
            ("memory-bytes", memory.to_string()),
            ("over-commit-percentage", "10".to_owned()),
            ("log-level", "info".to_owned()),
        ];
        let log = File::create(folder.path().join("agent.log")).unwrap();
        let agent = Command::new(example())
            .args(flags.iter().map(|(name, value)| format!("--{name}={value}")))
            .env("POD_NAME", "mlserver-0")
            .env("KUBECONFIG", kubeconfig)
            .env(pace::VARIABLE, "0.02")
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Pod {
            folder,
            scheduler,
            http_port,
            grpc_port,
            rclone_port,
            drainer_port,
            readiness_port,
            mlserver_ports,
            agent,
            _rclone: rclone,
            mlserver,
        }
    }

    /// Where the model lies that everything is tried with.
    pub(crate) fn iris(&self) -> String {
        self.folder.path().join("iris").display().to_string()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("agent.log")).unwrap()
    }

    /// Status, headers and body of an inference.
    pub(crate) async fn infer(&self, internal: Option<&str>) -> (u16, String, String) {
        let length = INFER.len();
        let header = internal.map(|name| format!("seldon-internal-model: {name}\r\n")).unwrap_or_default();
        let request = format!(
            "POST /v2/models/any/infer HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{header}\
             content-length: {length}\r\nconnection: close\r\n\r\n{INFER}"
        );
        exchange(self.http_port, &request).await.expect("the proxy does not listen")
    }

    pub(crate) async fn get(&self, path: &str, internal: Option<&str>) -> (u16, String, String) {
        let header = internal.map(|name| format!("seldon-internal-model: {name}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{header}connection: close\r\n\r\n");
        exchange(self.http_port, &request).await.expect("the proxy does not listen")
    }

    pub(crate) async fn terminate(&self) -> (u16, String) {
        let request = "GET /terminate HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let (status, _, body) =
            exchange(self.drainer_port, request).await.expect("the drainer does not listen");
        (status, body)
    }

    pub(crate) async fn readiness(&self) -> u16 {
        let request = "GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        exchange(self.readiness_port, request).await.map_or(0, |answer| answer.0)
    }

    pub(crate) async fn until_ready(&self) {
        until("the agent is ready", async || self.readiness().await == 200).await;
    }

    pub(crate) async fn kill_mlserver(&mut self) {
        self.mlserver.kill().await.unwrap();
    }

    pub(crate) async fn start_mlserver(&mut self, programs: &Programs) {
        self.mlserver = spawn_mlserver(programs, self.folder.path(), self.mlserver_ports);
        let request = "GET /v2/health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let port = self.mlserver_ports[0];
        until("MLServer is live", async || {
            exchange(port, request).await.is_some_and(|answer| answer.0 == 200)
        })
        .await;
    }

    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        tokio::time::timeout(PATIENCE, self.agent.wait()).await.expect("the agent goes on").unwrap().code()
    }

    /// Ends the agent as the kubelet does; it must leave with 0.
    pub(crate) async fn end_with_signal(mut self) {
        let process = self.agent.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &process]).status().await.unwrap().success());
        assert_eq!(self.exit_code().await, Some(0));
        assert!(self.log().contains("msg=\"shutting down due to SIGTERM or SIGINT\""), "{}", self.log());
    }
}

/// Looks at short intervals, for as long as a loaded machine may need.
pub(crate) async fn until(what: &str, look: impl AsyncFn() -> bool) {
    let mut interval = tokio::time::interval(Duration::from_millis(20));
    let looking = async {
        while !look().await {
            interval.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("never: {what}"));
}

async fn exchange(port: u16, request: &str) -> Option<(u16, String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, head.to_owned(), body.to_owned()))
}

/// The stand-in as a program: cargo builds the package's examples together with its tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples/agent")
}

fn start_rclone(programs: &Programs, folder: &Path, port: u16) -> Child {
    Command::new(&programs.rclone)
        .args(["rcd", "--rc-no-auth", "--verbose"])
        .arg(format!("--config={}", folder.join("rclone.conf").display()))
        .arg(format!("--rc-addr=127.0.0.1:{port}"))
        .stderr(File::create(folder.join("rclone.log")).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn spawn_mlserver(programs: &Programs, folder: &Path, ports: [u16; 3]) -> Child {
    let models = folder.join("agent/models");
    fs::create_dir_all(&models).unwrap();
    let log = File::options().create(true).append(true).open(folder.join("mlserver.log")).unwrap();
    let mut command = Command::new(&programs.mlserver);
    command.arg("start").arg(&models).current_dir(folder);
    for (name, port) in ["HTTP_PORT", "GRPC_PORT", "METRICS_PORT"].iter().zip(ports) {
        command.env(format!("MLSERVER_{name}"), port.to_string());
    }
    command
        .env("PYTHONPATH", &programs.mlserver_packages)
        .env("MLSERVER_HOST", "127.0.0.1")
        .env("MLSERVER_PARALLEL_WORKERS", "0")
        .env("MLSERVER_LOAD_MODELS_AT_STARTUP", "false")
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Trains the smallest useful model with the Python that runs MLServer.
async fn make_iris(programs: &Programs, folder: &Path) {
    const SCRIPT: &str = "import sys, joblib\n\
        from sklearn.datasets import load_iris\n\
        from sklearn.linear_model import LogisticRegression\n\
        x, y = load_iris(return_X_y=True)\n\
        joblib.dump(LogisticRegression(max_iter=200).fit(x, y), sys.argv[1])\n";
    fs::create_dir_all(folder).unwrap();
    let made = Command::new(&programs.python)
        .env("PYTHONPATH", &programs.mlserver_packages)
        .args(["-c", SCRIPT])
        .arg(folder.join("model.joblib"))
        .stdout(Stdio::null())
        .status()
        .await;
    assert!(made.unwrap().success());
}

fn kubeconfig(folder: &Path, port: u16) -> PathBuf {
    let path = folder.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster:\n    server: \
         http://127.0.0.1:{port}\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\nusers:\n- name: u\n  \
         user: {{}}\n"
    );
    fs::write(&path, text).unwrap();
    path
}

/// The text with the number of a download directory replaced by `N`.
pub(crate) fn without_number(text: &str) -> String {
    Regex::new(r"rclone/\d+").unwrap().replace(text, "rclone/N").into_owned()
}
