//! The server under the real `kubectl`, where it is installed.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use embedded_api::{ApiServer, Config, TlsIdentity};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::echo_node;

const WIDGETS: &str = include_str!("widgets.yaml");
const WORKLOADS: &str = include_str!("workloads.yaml");

/// A served cluster and a directory with its kubeconfig.
struct Cluster {
    server: ApiServer,
    directory: tempfile::TempDir,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.server.stop();
    }
}

/// `None` (with a line that says so) where there is no `kubectl`.
async fn cluster(test: &str) -> Option<Cluster> {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("kubectl").is_file()));
    if !found {
        eprintln!("{test}: skipped, kubectl is not on PATH");
        return None;
    }
    let tls = TlsIdentity::generate(&["127.0.0.1"]).unwrap();
    let server = ApiServer::new(Config { ca_pem: tls.ca_pem().to_owned(), ..Config::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ca.crt"), tls.ca_pem()).unwrap();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'https://{}', certificate-authority: ca.crt}}}}]\n\
         users: [{{name: u, user: {{token: '{}'}}}}]\n",
        listener.local_addr().unwrap(),
        server.admin_token()
    );
    std::fs::write(directory.path().join("kubeconfig"), kubeconfig).unwrap();
    std::fs::write(directory.path().join("widgets.yaml"), WIDGETS).unwrap();
    std::fs::write(directory.path().join("workloads.yaml"), WORKLOADS).unwrap();
    tokio::spawn(echo_node::serve(server.node_requests().unwrap()));
    let serving = server.clone();
    tokio::spawn(async move { serving.serve(listener, tls).await });
    Some(Cluster { server, directory })
}

impl Cluster {
    fn command(&self, line: &str) -> Command {
        command(self.directory.path(), line)
    }

    async fn output(&self, line: &str) -> Output {
        let output = tokio::time::timeout(Duration::from_secs(30), self.command(line).output()).await;
        output.unwrap_or_else(|_| panic!("kubectl {line} did not end")).unwrap()
    }

    /// The output of a command that succeeds.
    async fn ok(&self, line: &str) -> String {
        let output = self.output(line).await;
        let (stdout, stderr) = texts(&output);
        assert!(output.status.success(), "kubectl {line}: {stdout}{stderr}");
        stdout
    }

    /// The error output of a command that fails.
    async fn refused(&self, line: &str) -> String {
        let output = self.output(line).await;
        let (stdout, stderr) = texts(&output);
        assert!(!output.status.success(), "kubectl {line} succeeded: {stdout}");
        stderr
    }
}

fn command(directory: &Path, line: &str) -> Command {
    let mut command = Command::new("kubectl");
    command
        .args(line.split_whitespace())
        .current_dir(directory)
        .env("KUBECONFIG", directory.join("kubeconfig"));
    command
        .env("HOME", directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The cells of a printed table, without the last column, which is an age.
fn ageless(table: &str) -> Vec<String> {
    table
        .lines()
        .map(|line| {
            let mut words: Vec<&str> = line.split_whitespace().collect();
            words.pop();
            words.join(" ")
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_and_help() {
    let Some(cluster) = cluster("discovery_and_help").await else { return };
    assert!(cluster.ok("version").await.contains("Server Version: v1.33.1+k3s1"));
    cluster.ok("apply -f widgets.yaml").await;
    cluster.ok("wait --for=condition=Established crd/widgets.example.com --timeout=5s").await;
    let resources = cluster.ok("api-resources").await;
    for expected in [
        "networkpolicies netpol networking.k8s.io/v1 true NetworkPolicy",
        "widgets wd example.com/v1 true Widget",
    ] {
        assert!(
            resources.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") == expected),
            "{resources}"
        );
    }
    assert!(cluster.ok("api-versions").await.contains("apps/v1\n"));
    assert!(
        cluster.ok("explain pod.spec.containers.livenessProbe").await.contains("httpGet\t<HTTPGetAction>")
    );
    let explained = cluster.ok("explain widget.spec").await;
    assert!(explained.contains("color\t<string>\n  enum: red, blue"), "{explained}");
    assert!(cluster.ok("get --raw /readyz").await.contains("ok"));
    assert_eq!(cluster.ok("auth can-i create pods").await, "yes\n");
    assert!(cluster.ok("auth whoami").await.contains("system:admin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_come_change_and_go() {
    let Some(cluster) = cluster("workloads_come_change_and_go").await else { return };
    let created = cluster.ok("apply -f workloads.yaml").await;
    assert_eq!(
        created,
        "namespace/x created\nserviceaccount/default created\nconfigmap/settings created\nservice/web created\n\
         networkpolicy.networking.k8s.io/deny created\ndeployment.apps/web created\npod/p created\n"
    );
    assert!(cluster.ok("apply -f workloads.yaml").await.lines().all(|line| line.ends_with(" unchanged")));
    assert!(
        cluster
            .ok("apply --server-side --force-conflicts -f workloads.yaml")
            .await
            .contains("pod/p serverside-applied")
    );
    assert_eq!(
        ageless(&cluster.ok("get pods -n x").await),
        ["NAME READY STATUS RESTARTS", "p 0/1 Pending 0"]
    );
    assert_eq!(
        ageless(&cluster.ok("get deploy -n x").await),
        ["NAME READY UP-TO-DATE AVAILABLE", "web 0/2 0 0"]
    );
    assert_eq!(ageless(&cluster.ok("get netpol -n x").await), ["NAME POD-SELECTOR", "deny app=web"]);
    let services = cluster.ok("get svc -n x").await;
    assert!(services.contains("ClusterIP   10.43.") && services.contains("80/TCP"), "{services}");
    assert!(cluster.ok("get all -A -o wide").await.contains("deployment.apps/web"));
    assert!(cluster.ok("describe pod p -n x").await.contains("Service Account:  default"));
    assert!(cluster.ok("describe deployment web -n x").await.contains("2 desired | 0 updated"));
    assert!(cluster.ok("describe netpol deny -n x").await.contains("Allowing ingress traffic:"));
    cluster.ok("scale deployment web --replicas=4 -n x").await;
    cluster.ok("wait --for=jsonpath={.spec.replicas}=4 deployment/web -n x --timeout=5s").await;
    cluster.ok("set image deployment/web c=nginx:2 -n x").await;
    cluster.ok("rollout restart deployment/web -n x").await;
    cluster.ok("label pod p tier=front -n x").await;
    cluster.ok("annotate pod p note=1 -n x").await;
    assert_eq!(ageless(&cluster.ok("get pods -n x -l tier=front --no-headers").await), ["p 0/1 Pending 0"]);
    assert_eq!(cluster.ok("get pods -A --field-selector=metadata.name=p -o name").await, "pod/p\n");
    cluster.ok("patch configmap settings -n x --type=json -p [{\"op\":\"add\",\"path\":\"/data/b\",\"value\":\"2\"}]").await;
    cluster.ok("patch configmap settings -n x --type=merge -p {\"data\":{\"c\":\"3\"}}").await;
    assert_eq!(
        cluster.ok("get configmap settings -n x -o jsonpath={.data}").await,
        r#"{"a":"1","b":"2","c":"3"}"#
    );
    cluster.ok("create namespace y").await;
    cluster.ok("create configmap made -n y --from-literal=k=v").await;
    cluster.ok("create secret generic hidden -n y --from-literal=k=v").await;
    cluster.ok("create serviceaccount worker -n y").await;
    cluster.ok("create deployment made -n y --image=nginx --replicas=3").await;
    assert_eq!(cluster.ok("get deployment made -n y -o jsonpath={.spec.replicas}").await, "3");
    assert_eq!(cluster.ok("create token worker -n y").await.split('.').count(), 3);
    cluster.ok("create clusterrole reader --verb=get,list --resource=pods").await;
    cluster.ok("create service clusterip made -n y --tcp=80:8080").await;
    cluster.ok("expose deployment made -n y --port=81 --name=exposed").await;
    assert_eq!(cluster.ok("delete pod p -n x").await, "pod \"p\" deleted\n");
    cluster.ok("wait --for=delete pod/p -n x --timeout=5s").await;
    cluster.ok("delete -f workloads.yaml --ignore-not-found --wait=false").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_kinds_have_tables_and_validation() {
    let Some(cluster) = cluster("custom_kinds_have_tables_and_validation").await else { return };
    cluster.ok("apply -f widgets.yaml").await;
    let write = |name: &str, text: &str| std::fs::write(cluster.directory.path().join(name), text).unwrap();
    write(
        "a.yaml",
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a, namespace: default}\nspec: {color: red}\n",
    );
    assert_eq!(cluster.ok("apply -f a.yaml").await, "widget.example.com/a created\n");
    assert_eq!(cluster.ok("apply -f a.yaml").await, "widget.example.com/a unchanged\n");
    assert_eq!(ageless(&cluster.ok("get wd").await), ["NAME SIZE READY", "a 3"]);
    cluster.ok("patch widget a --subresource=status --type=merge -p {\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}").await;
    cluster.ok("wait --for=condition=Ready widget/a --timeout=5s").await;
    assert_eq!(ageless(&cluster.ok("get wd").await), ["NAME SIZE READY", "a 3 True"]);
    assert!(cluster.ok("describe widget a").await.contains("Color:  red"));
    cluster.ok("scale widget a --replicas=7").await;
    assert_eq!(cluster.ok("get widget a -o jsonpath={.spec.size}").await, "7");
    write(
        "b.yaml",
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: b, namespace: default}\nspec: {colour: red}\n",
    );
    let refused = cluster.refused("apply -f b.yaml").await;
    assert!(refused.contains("strict decoding error: unknown field \"spec.colour\""), "{refused}");
    write(
        "c.yaml",
        "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: c, namespace: default}\nspec: {color: green}\n",
    );
    let refused = cluster.refused("apply -f c.yaml").await;
    assert_eq!(
        refused,
        "The Widget \"c\" is invalid: spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\"\n"
    );
    assert!(
        cluster
            .refused("get widget missing")
            .await
            .contains("Error from server (NotFound): widgets.example.com \"missing\" not found")
    );
    cluster.ok("delete crd widgets.example.com").await;
    let refused = cluster.refused("get widgets").await;
    assert!(refused.contains("the server could not find the requested resource"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_prints_changes_as_they_come() {
    let Some(cluster) = cluster("a_watch_prints_changes_as_they_come").await else { return };
    let mut watch = cluster.command("get configmaps -w --no-headers").spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let name = async |lines: &mut tokio::io::Lines<_>| {
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line())
            .await
            .expect("a line")
            .unwrap()
            .unwrap();
        line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    cluster.ok("create configmap one").await;
    assert_eq!(name(&mut lines).await, "one 0");
    cluster.ok("patch configmap one -p {\"data\":{\"k\":\"v\"}}").await;
    assert_eq!(name(&mut lines).await, "one 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_and_exec() {
    let Some(cluster) = cluster("logs_and_exec").await else { return };
    cluster.ok("create serviceaccount default").await;
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {nodeName: node-0, containers: [{name: c, image: i}]}\n";
    std::fs::write(cluster.directory.path().join("pod.yaml"), pod).unwrap();
    cluster.ok("apply -f pod.yaml").await;
    assert_eq!(cluster.ok("logs p").await, "first\nsecond\n");
    assert_eq!(cluster.ok("logs p -c c --tail=1 -f").await, "second\n");
    assert_eq!(cluster.ok("exec p -- echo a b").await, "a b\n");
    let failed = cluster.output("exec p -- false").await;
    assert_eq!(failed.status.code(), Some(3), "{}", texts(&failed).1);
    assert_eq!(texts(&failed).1, "no\ncommand terminated with exit code 3\n");
    let mut cat = cluster.command("exec -i p -- cat").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = cat.stdin.take().unwrap();
    stdin.write_all(b"typed").await.unwrap();
    drop(stdin);
    let output = tokio::time::timeout(Duration::from_secs(20), cat.wait_with_output())
        .await
        .expect("cat ends")
        .unwrap();
    assert_eq!(texts(&output).0, "typed");
    let refused = cluster.refused("exec p -- nothing").await;
    assert!(refused.contains("Internal error occurred: exec: no such program"), "{refused}");
    assert!(cluster.refused("logs p -c x").await.contains("container x is not valid for pod p"));
}
