//! Logs, exec, attach and port-forward through `kube`, in process and over TLS.

use std::time::Duration;

use embedded_api::{ApiServer, Config, TlsIdentity};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, AttachParams, AttachedProcess, LogParams, PostParams, TerminalSize, WatchParams};
use rstest::rstest;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::echo_node;

/// How a client reaches the server.
#[derive(Debug, Clone, Copy)]
enum Way {
    InProcess,
    Tls,
}

async fn pods(way: Way) -> (ApiServer, Api<Pod>) {
    let tls = TlsIdentity::generate(&["127.0.0.1"]).unwrap();
    let server = ApiServer::new(Config::default());
    tokio::spawn(echo_node::serve(server.node_requests().unwrap()));
    let client = match way {
        Way::InProcess => server.client(),
        Way::Tls => {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("https://{}", listener.local_addr().unwrap());
            let mut config = kube::Config::new(url.parse().unwrap());
            let pem = tls.ca_pem().lines().filter(|line| !line.starts_with("-----")).collect::<String>();
            let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, pem).unwrap();
            config.root_cert = Some(vec![der]);
            config.auth_info.token = Some(server.admin_token().to_owned().into());
            let serving = server.clone();
            tokio::spawn(async move { serving.serve(listener, tls).await });
            kube::Client::try_from(config).unwrap()
        }
    };
    let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
    Api::default_namespaced(client.clone()).create(&PostParams::default(), &account).await.unwrap();
    let api: Api<Pod> = Api::default_namespaced(client);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}});
    api.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    (server, api)
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("it should have happened by now")
}

async fn all(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut text = String::new();
    stream.expect("the stream was asked for").read_to_string(&mut text).await.unwrap();
    text
}

#[rstest]
#[tokio::test]
async fn logs(#[values(Way::InProcess, Way::Tls)] way: Way) {
    let (_server, api) = pods(way).await;
    assert_eq!(api.logs("p", &LogParams::default()).await.unwrap(), "first\nsecond\n");
    let tail = LogParams { tail_lines: Some(1), container: Some("c".to_owned()), ..LogParams::default() };
    assert_eq!(api.logs("p", &tail).await.unwrap(), "second\n");
    let other = LogParams { container: Some("x".to_owned()), ..LogParams::default() };
    let refused = api.logs("p", &other).await.unwrap_err();
    assert!(refused.to_string().contains("container x is not valid for pod p"), "{refused}");
    let previous = LogParams { previous: true, ..LogParams::default() };
    let refused = api.logs("p", &previous).await.unwrap_err();
    assert!(
        refused.to_string().contains("previous terminated container \"c\" in pod \"p\" not found"),
        "{refused}"
    );
}

#[rstest]
#[tokio::test]
async fn exec_tells_output_and_exit_code(#[values(Way::InProcess, Way::Tls)] way: Way) {
    let (_server, api) = pods(way).await;
    let mut echo: AttachedProcess =
        api.exec("p", ["echo", "a", "b"], &AttachParams::default()).await.unwrap();
    let status = echo.take_status().unwrap();
    assert_eq!(soon(all(echo.stdout())).await, "a b\n");
    assert_eq!(soon(status).await.unwrap().status.as_deref(), Some("Success"));
    let mut fails = api.exec("p", ["false"], &AttachParams::default()).await.unwrap();
    let status = fails.take_status().unwrap();
    assert_eq!(soon(all(fails.stderr())).await, "no\n");
    let status = soon(status).await.unwrap();
    assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"));
    assert_eq!(status.details.unwrap().causes.unwrap()[0].message.as_deref(), Some("3"));
    let mut missing = api.exec("p", ["nothing"], &AttachParams::default()).await.unwrap();
    let status = soon(missing.take_status().unwrap()).await.unwrap();
    assert_eq!(status.message.as_deref(), Some("Internal error occurred: exec: no such program"));
}

/// What a bare WebSocket hears from `echo`: how long after the call, in milliseconds, and what.
async fn heard(agent: Option<&str>) -> Vec<(u128, String)> {
    let (_server, api) = pods(Way::InProcess).await;
    let mut request =
        http::Request::get("/api/v1/namespaces/default/pods/p/exec?command=echo&command=a&stdout=true");
    if let Some(agent) = agent {
        request = request.header(http::header::USER_AGENT, agent);
    }
    let start = tokio::time::Instant::now();
    let connection = api.into_client().connect(request.body(Vec::new()).unwrap()).await.unwrap();
    let mut messages = connection.into_stream();
    let mut heard = Vec::new();
    while let Some(Ok(message)) = messages.next().await {
        let text = match &message {
            message if message.is_ping() => "ping".to_owned(),
            message if message.is_close() => "close".to_owned(),
            message => String::from_utf8_lossy(&message.clone().into_data()).into_owned(),
        };
        heard.push((start.elapsed().as_millis(), text));
    }
    heard
}

const SUCCESS: &str = "\u{3}{\"metadata\":{},\"status\":\"Success\"}";

/// Time stands still while anything can happen, so these milliseconds are exact.
#[rstest]
#[case::of_itself(None, &[(0, "\u{1}"), (0, "\u{1}a\n"), (0, SUCCESS), (0, "close")])]
#[case::another(Some("curl/8"), &[(0, "\u{1}"), (0, "\u{1}a\n"), (0, SUCCESS), (0, "close")])]
#[case::kubectl(
    Some("kubectl/v1.32.4 (linux/amd64) kubernetes/59526cd"),
    &[(0, "ping"), (50, "\u{1}"), (50, "\u{1}a\n"), (50, SUCCESS), (50, "close")]
)]
#[tokio::test(start_paused = true)]
async fn a_go_client_hears_nothing_before_it_can_have_made_its_streams(
    #[case] agent: Option<&str>,
    #[case] expected: &[(u128, &str)],
) {
    let heard = heard(agent).await;
    let heard: Vec<_> = heard.iter().map(|(time, text)| (*time, text.as_str())).collect();
    assert_eq!(heard, expected);
}

#[rstest]
#[tokio::test]
async fn exec_takes_input_until_it_ends(#[values(Way::InProcess, Way::Tls)] way: Way) {
    let (_server, api) = pods(way).await;
    let mut cat = api.exec("p", ["cat"], &AttachParams::default().stdin(true)).await.unwrap();
    let mut stdin = cat.stdin().unwrap();
    stdin.write_all(b"to and fro").await.unwrap();
    stdin.shutdown().await.unwrap();
    drop(stdin);
    assert_eq!(soon(all(cat.stdout())).await, "to and fro");
}

#[tokio::test]
async fn a_terminal_has_a_size() {
    let (_server, api) = pods(Way::InProcess).await;
    let mut size = api.exec("p", ["size"], &AttachParams::interactive_tty()).await.unwrap();
    let mut terminal = size.terminal_size().unwrap();
    futures::SinkExt::send(&mut terminal, TerminalSize { width: 80, height: 25 }).await.unwrap();
    assert_eq!(soon(all(size.stdout())).await, "80x25");
}

#[tokio::test]
async fn attach_shows_the_container() {
    let (_server, api) = pods(Way::InProcess).await;
    let mut attached = api.attach("p", &AttachParams::default()).await.unwrap();
    assert_eq!(soon(all(attached.stdout())).await, "attached\n");
}

#[rstest]
#[tokio::test]
async fn ports_are_forwarded(#[values(Way::InProcess, Way::Tls)] way: Way) {
    let (_server, api) = pods(way).await;
    let mut forwarder = api.portforward("p", &[80, 81]).await.unwrap();
    let mut stream = forwarder.take_stream(80).unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut answer = [0; 5];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HELLO");
    let error = soon(forwarder.take_error(81).unwrap()).await.unwrap();
    assert!(error.contains("connection refused"), "{error}");
}

#[rstest]
#[tokio::test]
async fn a_stop_ends_watches(#[values(Way::InProcess, Way::Tls)] way: Way) {
    let (server, api) = pods(way).await;
    let watch = api.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    server.stop();
    soon(watch.for_each(|_| async {})).await;
}
