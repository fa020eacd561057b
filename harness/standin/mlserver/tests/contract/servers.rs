//! Both servers as processes, over one repository.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clusters::Programs;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::http;

const PATIENCE: Duration = Duration::from_secs(120);

fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let cache = clusters::Cache::from_environment().unwrap();
        clusters::provision(&cache, &clusters::Onlooker::patient(&|line| eprintln!("{line}"))).unwrap()
    })
}

/// A running server.
pub(crate) struct Server {
    pub(crate) http: u16,
    pub(crate) grpc: u16,
    process: Child,
    log: PathBuf,
}

/// MLServer and the stand-in.
pub(crate) struct Servers {
    pub(crate) real: Server,
    pub(crate) standin: Server,
    _folder: TempDir,
}

impl Servers {
    /// Starts both, and waits until they are live.
    pub(crate) async fn start() -> Servers {
        let programs = programs();
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path().join("models");
        stock(&models, &programs.artefacts);
        let mut mlserver = Command::new(&programs.mlserver);
        mlserver.arg("start").arg(&models).env("PYTHONPATH", &programs.mlserver_packages);
        let mut real = spawn(mlserver, folder.path(), "mlserver.log");
        let mut standin = Server::standin(folder.path(), &models);
        real.until_live().await;
        standin.until_live().await;
        Servers { real, standin, _folder: folder }
    }
}

impl Server {
    /// Starts the stand-in alone.
    pub(crate) fn standin(folder: &Path, models: &Path) -> Server {
        let mut standin = Command::new(example());
        standin.env("MLSERVER_MODELS_DIR", models);
        spawn(standin, folder, "standin.log")
    }

    /// Waits until it answers; one that ends instead is told with what it said.
    pub(crate) async fn until_live(&mut self) {
        let began = Instant::now();
        let mut interval = tokio::time::interval(Duration::from_millis(20));
        while !http::is_live(self.http).await {
            let said = || fs::read_to_string(&self.log).unwrap();
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("it ended with {status}: {}", said());
            }
            assert!(began.elapsed() < PATIENCE, "it does not become live: {}", said());
            interval.tick().await;
        }
    }

    /// Ends it as a kubelet does; its exit code.
    pub(crate) async fn end(&mut self) -> Option<i32> {
        let id = self.process.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        tokio::time::timeout(PATIENCE, self.process.wait()).await.expect("it goes on").unwrap().code()
    }
}

fn spawn(mut command: Command, folder: &Path, log: &str) -> Server {
    // All at once, so that no two are the same.
    let free: Vec<std::net::TcpListener> =
        (0..3).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<u16> = free.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    drop(free);
    for (name, port) in ["HTTP_PORT", "GRPC_PORT", "METRICS_PORT"].iter().zip(&ports) {
        command.env(format!("MLSERVER_{name}"), port.to_string());
    }
    let said = folder.join(log);
    let log = File::create(&said).unwrap();
    let process = command
        .env("MLSERVER_HOST", "127.0.0.1")
        .env("MLSERVER_PARALLEL_WORKERS", "0")
        .env("MLSERVER_LOAD_MODELS_AT_STARTUP", "false")
        .env("MLSERVER_MODEL_PARALLEL_WORKERS", "1")
        .env("MLSERVER_GRPC_MAX_MESSAGE_LENGTH", "1048576000")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(folder)
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    Server { http: ports[0], grpc: ports[1], process, log: said }
}

/// The stand-in as a program: cargo builds the package's examples together with its tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples/mlserver")
}

/// A repository as the agent lays it out: a model that is whole, and every way of not being so.
fn stock(models: &Path, artefacts: &Path) {
    let sklearn = "mlserver_sklearn.SKLearnModel";
    let model = |name: &str, implementation: &str, artefact: Option<&[u8]>| {
        let folder = models.join(name).join("1");
        fs::create_dir_all(&folder).unwrap();
        let settings = format!(
            r#"{{"name":"{name}","implementation":"{implementation}","parameters":{{"uri":"./model.joblib","version":"1"}}}}"#
        );
        fs::write(folder.join("model-settings.json"), settings).unwrap();
        if let Some(artefact) = artefact {
            fs::write(folder.join("model.joblib"), artefact).unwrap();
        }
    };
    let iris = fs::read(artefacts.join("models/iris/model.joblib")).unwrap();
    model("iris_1", sklearn, Some(&iris));
    model("missing_1", sklearn, None);
    model("corrupt_1", sklearn, Some(b"no model at all\n"));
    model("boosted_1", "mlserver_xgboost.XGBoostModel", Some(&iris));
    fs::create_dir_all(models.join("broken_1")).unwrap();
    fs::write(models.join("broken_1/model-settings.json"), "{").unwrap();
}
