//! What is said of clusters that cannot be used.

use super::*;
use rstest::rstest;

#[rstest]
#[case::k3s("1", "33", false)]
#[case::oldest("1", "27", false)]
#[case::older("1", "26", true)]
#[case::managed("1", "26+", true)]
#[case::own_build("", "", false)]
fn old_clusters_are_told_from_others(#[case] major: &str, #[case] minor: &str, #[case] old: bool) {
    assert_eq!(is_too_old(major, minor), old);
}

fn kubeconfig(server: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: prod\nclusters:\n- name: c\n  cluster: {{server: '{server}'}}\n\
         users:\n- name: u\n  user: {{token: t}}\ncontexts:\n- name: prod\n  context: {{cluster: c, user: u}}\n\
         - name: test\n  context: {{cluster: c, user: u}}\n- name: broken\n  context: {{cluster: nowhere, user: u}}\n"
    );
    std::fs::write(file.path(), text).unwrap();
    file
}

#[rstest]
#[case::unknown("staging", &["no context \"staging\"; it has: prod, test, broken"])]
#[case::silent("test", &["the API server http://127.0.0.1:1/ of context \"test\" does not answer", "refused"])]
#[case::without_cluster("broken", &["context \"broken\" cannot be used", "nowhere"])]
#[tokio::test]
async fn what_is_wrong_is_named(#[case] context: &str, #[case] said: &[&str]) {
    let file = kubeconfig("http://127.0.0.1:1");
    let error = GivenCluster::connect(Some(file.path()), context).await.unwrap_err().to_string();
    assert!(said.iter().all(|part| error.contains(part)), "{error}");
}

#[tokio::test]
async fn a_file_that_is_none_is_named() {
    let missing = Path::new("/nowhere/kubeconfig");
    let error = GivenCluster::connect(Some(missing), "c").await.unwrap_err().to_string();
    assert!(error.starts_with("cannot read /nowhere/kubeconfig: "), "{error}");
    assert!(error.ends_with("; name another with --kubeconfig or KUBECONFIG"), "{error}");
}

/// A server on this machine whose certificate was valid until 2021; the kubeconfig for it.
async fn outdated() -> tempfile::NamedTempFile {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca_pem = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let mut own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    (own.not_before, own.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let key = KeyPair::generate().unwrap();
    let chain = vec![own.signed_by(&key, &issuer).unwrap().der().clone()];
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The client hangs up when it has seen the certificate.
            let _ = acceptor.accept(stream).await;
        }
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    let access = embedded::Access { server, ca_pem, token: "t".into() };
    std::fs::write(file.path(), crate::kubeconfig("old", &access)).unwrap();
    file
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_named() {
    let file = outdated().await;
    let error = GivenCluster::connect(Some(file.path()), "old").await.unwrap_err().to_string();
    assert!(error.contains("of context \"old\" is not valid now: "), "{error}");
    assert!(error.contains("have it renewed"), "{error}");
}

/// The clock of this test goes on by itself when nothing happens.
#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_not_waited_for_long() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let file = kubeconfig(&format!("http://{}", listener.local_addr().unwrap()));
    let error = GivenCluster::connect(Some(file.path()), "test").await.unwrap_err().to_string();
    assert!(error.ends_with("does not answer: no answer within 15 s"), "{error}");
}

/// An API server that tells this version, and nothing else.
async fn of_version(minor: &str) -> tempfile::NamedTempFile {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let file = kubeconfig(&format!("http://{}", listener.local_addr().unwrap()));
    let body = format!(
        r#"{{"major":"1","minor":"{minor}","gitVersion":"v1.{minor}.9","gitCommit":"","gitTreeState":"","buildDate":"",
            "goVersion":"","compiler":"","platform":""}}"#
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let reply = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
    });
    file
}

#[tokio::test]
async fn an_old_cluster_is_told_what_is_needed() {
    let file = of_version("26").await;
    let error = GivenCluster::connect(Some(file.path()), "test").await.unwrap_err().to_string();
    assert_eq!(error, "the cluster of context \"test\" runs Kubernetes v1.26.9; 1.27 or later is needed");
    let file = of_version("27").await;
    assert_eq!(GivenCluster::connect(Some(file.path()), "test").await.unwrap().version(), "v1.27.9");
}
