//! A node and an API server in namespaces of their own.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use embedded_api::{ApiServer, Config};
use embedded_node::{Node, NodeSettings, Program, ProgramImage};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use netmodel::Profile;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, getgid, getuid};
use pace::Pace;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cases;

const NONE: Option<&str> = None;
/// Longer than anything here takes; a case that reaches it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Why kernel cases cannot run on this machine.
pub(crate) fn obstacle() -> Option<String> {
    let status = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--mount", "true"])
        .status();
    match status {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("user namespaces are not usable ({status})")),
        Err(error) => Some(format!("cannot run unshare: {error}")),
    }
}

/// Enters fresh namespaces and runs the case as process 1's only task.
#[expect(unsafe_code, reason = "a fork before any thread exists")]
pub(crate) fn run_case(name: &str) -> ExitCode {
    let (uid, gid) = (getuid(), getgid());
    let flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC;
    unshare(flags).unwrap();
    std::fs::write("/proc/self/setgroups", "deny").unwrap();
    std::fs::write("/proc/self/uid_map", format!("0 {uid} 1")).unwrap();
    std::fs::write("/proc/self/gid_map", format!("0 {gid} 1")).unwrap();
    // SAFETY: one thread so far.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => match waitpid(child, None).unwrap() {
            WaitStatus::Exited(_, 0) => ExitCode::SUCCESS,
            other => {
                eprintln!("{other:?}");
                ExitCode::FAILURE
            }
        },
        ForkResult::Child => {
            mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).unwrap();
            mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), NONE).unwrap();
            inside(name)
        }
    }
}

/// Runs a case where the namespaces are made.
pub(crate) fn inside(name: &str) -> ExitCode {
    let (_, case) = cases::CASES.iter().find(|(it, _)| *it == name).expect("a known case");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), case()).await.expect("the case ends within a minute")
    });
    ExitCode::SUCCESS
}

/// A cluster of one node.
pub(crate) struct World {
    pub(crate) client: kube::Client,
    pub(crate) node: Node,
    _server: ApiServer,
    _state: TempDir,
}

fn image(reference: &str, command: &[&str]) -> ProgramImage {
    ProgramImage {
        reference: reference.to_owned(),
        command: command.iter().map(|it| (*it).to_owned()).collect(),
        programs: [("/bin/show".to_owned(), Program::Builtin("show".to_owned()))].into_iter().collect(),
        files: [("/etc/image-file".to_owned(), "from the image\n".to_owned())].into_iter().collect(),
        ..ProgramImage::default()
    }
}

impl World {
    pub(crate) async fn start(profile: Profile) -> World {
        World::start_at(profile, Pace::FAST).await
    }

    pub(crate) async fn start_at(profile: Profile, pace: Pace) -> World {
        // A tmpfs of this mount namespace: it goes when the case ends, however that may be.
        mount(Some("tmpfs"), "/mnt", Some("tmpfs"), MsFlags::empty(), NONE).unwrap();
        let state = tempfile::tempdir_in("/mnt").unwrap();
        let server = ApiServer::new(Config { ca_pem: "CA".to_owned(), ..Config::default() });
        let tokens = server.clone();
        let settings = NodeSettings {
            name: "node-0".to_owned(),
            pace,
            profile,
            images: vec![image("busybox:1.36", &["/bin/sh", "-c", "sleep 600"])],
            nft: nft(),
            state_dir: state.path().to_owned(),
            visible: Vec::new(),
            cluster_dns: [10, 43, 0, 10].into(),
            cluster_domain: "cluster.local".to_owned(),
            service_cidr: "10.43.0.0/16".parse().unwrap(),
            node_resolv_conf: "nameserver 192.168.50.10\n".to_owned(),
            token_issuer: Arc::new(move |namespace, account| tokens.token_for(namespace, account)),
            api_port: 6443,
        };
        create(
            &server.client(),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}),
        )
        .await;
        let certificate = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "CA"}});
        create(&server.client(), certificate).await;
        let requests = server.node_requests().unwrap();
        let node = Node::start(settings, server.client(), requests).await.unwrap();
        let world = World { client: server.client(), _server: server, node, _state: state };
        world.node.rules().wait_for(|it| it.generation > 0).await.unwrap();
        world
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// Creates a pod bound to the node.
    pub(crate) async fn create(&self, name: &str, mut spec: Value) -> Pod {
        spec["nodeName"] = json!("node-0");
        let labels = json!({"app": name});
        let pod = json!({"metadata": {"name": name, "labels": labels}, "spec": spec});
        self.pods().create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap()
    }

    /// Creates a pod that runs one shell script.
    pub(crate) async fn shell(&self, name: &str, script: &str) -> Pod {
        self.create(name, json!({"containers": [container("main", script)]})).await
    }

    /// Waits until `condition` holds for the pod's object as JSON.
    pub(crate) async fn wait(&self, name: &str, condition: impl Fn(&Value) -> bool + Send) -> Value {
        let met = |pod: Option<&Pod>| pod.is_some_and(|it| condition(&serde_json::to_value(it).unwrap()));
        match tokio::time::timeout(PATIENCE, await_condition(self.pods(), name, met)).await {
            Ok(pod) => serde_json::to_value(pod.unwrap()).unwrap(),
            Err(_) => {
                let pod = self.pods().get_opt(name).await.unwrap();
                panic!(
                    "{name} never got there: {}\n{:#?}",
                    serde_json::to_string_pretty(&pod).unwrap(),
                    self.events(name).await
                );
            }
        }
    }

    pub(crate) async fn ready(&self, name: &str) -> Value {
        self.wait(name, is_ready).await
    }

    pub(crate) async fn ended(&self, name: &str) -> Value {
        self.wait(name, |it| matches!(it["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))).await
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.pods().delete(name, &DeleteParams::default()).await.unwrap();
    }

    pub(crate) async fn gone(&self, name: &str) {
        let absent = |pod: Option<&Pod>| pod.is_none();
        tokio::time::timeout(PATIENCE, await_condition(self.pods(), name, absent))
            .await
            .expect("the pod goes")
            .unwrap();
    }

    pub(crate) async fn logs(&self, name: &str) -> String {
        self.pods().logs(name, &kube::api::LogParams::default()).await.unwrap()
    }

    /// Waits until the pod's log contains `part`.
    pub(crate) async fn log_with(&self, name: &str, part: &str) {
        let began = tokio::time::Instant::now();
        loop {
            let log = self.pods().logs(name, &kube::api::LogParams::default()).await.unwrap_or_default();
            if log.contains(part) {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{name} never wrote {part:?}: {log}\n{:#?}",
                self.events(name).await
            );
            tokio::task::yield_now().await;
        }
    }

    /// Runs a shell script in the pod's container; exit code text and output.
    pub(crate) async fn exec(&self, name: &str, script: &str) -> String {
        let parameters = kube::api::AttachParams::default().stdout(true).stderr(false);
        let mut process = self.pods().exec(name, ["/bin/sh", "-c", script], &parameters).await.unwrap();
        let mut text = String::new();
        let mut stdout = process.stdout().unwrap();
        tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut text).await.unwrap();
        process.join().await.unwrap();
        text
    }

    /// Events about a pod as `Type Reason Message`.
    pub(crate) async fn events(&self, name: &str) -> Vec<String> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), "default");
        let mut events = api.list(&ListParams::default()).await.unwrap().items;
        events.retain(|it| it.involved_object.name.as_deref() == Some(name));
        events.sort_by_key(|it| it.metadata.name.clone());
        let text = |it: &Option<String>| it.clone().unwrap_or_default();
        events
            .iter()
            .map(|it| format!("{} {} {}", text(&it.type_), text(&it.reason), text(&it.message)))
            .collect()
    }

    /// Waits for an event whose line contains `part`.
    pub(crate) async fn event(&self, name: &str, part: &str) -> String {
        let began = tokio::time::Instant::now();
        loop {
            let events = self.events(name).await;
            if let Some(line) = events.iter().find(|it| it.contains(part)) {
                return line.clone();
            }
            assert!(began.elapsed() < PATIENCE, "no event {part:?} of {name}: {events:#?}");
            tokio::task::yield_now().await;
        }
    }
}

/// Creates an object in `default`.
pub(crate) async fn create(client: &kube::Client, object: Value) {
    let object: kube::core::DynamicObject = serde_json::from_value(object).unwrap();
    let types = object.types.clone().unwrap();
    let kind = kube::core::GroupVersionKind::try_from(&types).unwrap();
    let resource = kube::core::ApiResource::from_gvk(&kind);
    let api: Api<kube::core::DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
    api.create(&PostParams::default(), &object).await.unwrap();
}

fn nft() -> PathBuf {
    let known = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];
    known.iter().map(PathBuf::from).find(|it| it.exists()).unwrap_or_else(|| "nft".into())
}

/// A container that runs a shell script.
pub(crate) fn container(name: &str, script: &str) -> Value {
    json!({"name": name, "image": "busybox:1.36", "command": ["/bin/sh", "-c", script]})
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|it| it.iter().any(|it| it["type"] == "Ready" && it["status"] == "True"))
}
