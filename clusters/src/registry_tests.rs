//! Against a pretended registry that demands what the OCI distribution specification 1.1 does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use image::{Entry, Image, Layer, write_archive};
use rstest::rstest;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use super::*;

/// Whom a pretended registry lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    /// To who wants to read, and to nobody else.
    ForReaders,
    Closed,
}

#[derive(Debug, Default)]
struct Shelves {
    /// Begun uploads.
    uploads: Vec<Vec<u8>>,
    /// By repository and digest.
    blobs: BTreeMap<String, Vec<u8>>,
    /// By repository and tag.
    manifests: BTreeMap<String, Vec<u8>>,
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

impl Shelves {
    fn answer(&mut self, asked: &Parts, body: &[u8]) -> (StatusCode, String) {
        let (method, query) = (&asked.method, asked.uri.query().unwrap_or_default());
        let Some(path) = asked.uri.path().strip_prefix("/v2/").filter(|path| !path.is_empty()) else {
            return (StatusCode::OK, String::new());
        };
        if let Some((repository, tag)) = path.split_once("/manifests/") {
            let manifest: Value = serde_json::from_slice(body).unwrap();
            let layers = manifest["layers"].as_array().unwrap();
            let known = |part: &Value| {
                self.blobs.contains_key(&format!("{repository}@{}", part["digest"].as_str().unwrap()))
            };
            // Distribution 3.0.0 refuses one that is said to be something else.
            let told = asked.headers["content-type"].to_str().unwrap();
            if told != manifest["mediaType"] || !layers.iter().chain([&manifest["config"]]).all(known) {
                return (StatusCode::BAD_REQUEST, String::new());
            }
            self.manifests.insert(format!("{repository}:{tag}"), body.to_vec());
            return (StatusCode::CREATED, format!("/v2/{repository}/manifests/{}", digest(body)));
        }
        let (repository, rest) = path.split_once("/blobs/").unwrap();
        let Some(upload) = rest.strip_prefix("uploads/") else {
            let known = self.blobs.contains_key(&format!("{repository}@{rest}"));
            return (if known { StatusCode::OK } else { StatusCode::NOT_FOUND }, String::new());
        };
        if let Some(other) = query.split('&').find_map(|part| part.strip_prefix("from=")) {
            let named = query.split('&').find_map(|part| part.strip_prefix("mount=")).unwrap();
            let (other, named) = (other.replace("%2F", "/"), named.replace("%3A", ":"));
            let blob = self.blobs[&format!("{other}@{named}")].clone();
            self.blobs.insert(format!("{repository}@{named}"), blob);
            return (StatusCode::CREATED, format!("/v2/{repository}/blobs/{named}"));
        }
        if method == Method::POST {
            self.uploads.push(Vec::new());
            let place = format!("/v2/{repository}/blobs/uploads/{}", self.uploads.len() - 1);
            return (StatusCode::ACCEPTED, place);
        }
        if method != Method::PUT {
            // A blob is sent in one request.
            return (StatusCode::METHOD_NOT_ALLOWED, String::new());
        }
        let upload: usize = upload.parse().unwrap();
        self.uploads[upload].extend(body);
        let whole = std::mem::take(&mut self.uploads[upload]);
        let named = query.strip_prefix("digest=").unwrap().replace("%3A", ":");
        if digest(&whole) != named {
            return (StatusCode::BAD_REQUEST, String::new());
        }
        self.blobs.insert(format!("{repository}@{named}"), whole);
        (StatusCode::CREATED, format!("/v2/{repository}/blobs/{named}"))
    }
}

/// A registry on a port of its own, until the test ends.
async fn registry(door: Door) -> (SocketAddr, Arc<Mutex<Shelves>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shelves = Arc::new(Mutex::new(Shelves::default()));
    let kept = shelves.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let kept = kept.clone();
            let serve = service_fn(move |request: Request<Incoming>| {
                let kept = kept.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    let response = Response::builder();
                    if door == Door::Closed {
                        let response =
                            response.status(401).header("www-authenticate", "Basic realm=\"shelves\"");
                        return Ok::<_, hyper::Error>(response.body(Full::default()).unwrap());
                    }
                    if door == Door::ForReaders && !matches!(parts.method, Method::GET | Method::HEAD) {
                        return Ok(response.status(403).body(Full::default()).unwrap());
                    }
                    let answer = kept.lock().unwrap().answer(&parts, &body);
                    let response = response.status(answer.0).header("location", answer.1);
                    Ok(response.header("range", "0-0").body(Full::<Bytes>::default()).unwrap())
                }
            });
            tokio::spawn(async move {
                let connection = Builder::new(TokioExecutor::new());
                // A client that goes away is nobody's failure.
                let _ = connection.serve_connection(TokioIo::new(stream), serve).await;
            });
        }
    });
    (address, shelves)
}

/// An archive of two images that share a layer, which is longer than what is sent at once.
fn archive(place: &Path) -> PathBuf {
    let (mut common, mut own) = (Layer::default(), Layer::default());
    common.add("/etc/large", Entry::Text("0123456789".repeat(1_000_000)));
    own.add("/etc/hostname", Entry::Text("b".into()));
    let image = |name: &str, layers: Vec<Layer>| Image {
        reference: format!("docker.io/ours/{name}:1"),
        layers,
        ..Image::default()
    };
    let file = place.join("images.tar");
    write_archive(&[image("a", vec![common.clone()]), image("b", vec![common, own])], &file).unwrap();
    file
}

#[tokio::test]
async fn what_is_pushed_is_whole_and_is_sent_once() {
    let place = tempfile::tempdir().unwrap();
    let file = archive(place.path());
    let (address, shelves) = registry(Door::Open).await;
    let to: RegistryPlace = format!("{address}/team").parse().unwrap();
    push_as(&RegistryAuth::Anonymous, &file, &to, Transport::PlainHttp, &|_| {}).await.unwrap();
    let (uploads, manifests) = {
        let shelves = shelves.lock().unwrap();
        (shelves.uploads.len(), shelves.manifests.clone())
    };
    assert_eq!(manifests.keys().collect::<Vec<_>>(), ["team/ours/a:1", "team/ours/b:1"]);
    let written = read_archive(&file).unwrap();
    assert_eq!(manifests["team/ours/b:1"], written[1].manifest);
    let digests: BTreeSet<&str> =
        written.iter().flat_map(|image| &image.blobs).map(|blob| blob.digest.as_str()).collect();
    assert_eq!(uploads, digests.len(), "what two images share is sent once");

    push_as(&RegistryAuth::Anonymous, &file, &to, Transport::PlainHttp, &|_| {}).await.unwrap();
    assert_eq!(shelves.lock().unwrap().uploads.len(), uploads, "it was there already");
}

#[rstest]
#[case::nobody(Door::Closed)]
#[case::readers(Door::ForReaders)]
#[tokio::test]
async fn a_registry_that_lets_others_in_says_so(#[case] door: Door) {
    let place = tempfile::tempdir().unwrap();
    let (address, _) = registry(door).await;
    let to = address.to_string().parse().unwrap();
    let error = push_as(&RegistryAuth::Anonymous, &archive(place.path()), &to, Transport::PlainHttp, &|_| {})
        .await
        .unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with(&format!("cannot push {address}/ours/a:1: ")), "{said}");
    assert!(said.ends_with("; `docker login` there first, as somebody who may push"), "{said}");
}

#[rstest]
#[case(Transport::Https, "; is that its address? A registry without TLS wants --plain-http")]
#[case(Transport::PlainHttp, "; is that its address?")]
#[tokio::test]
async fn a_registry_that_is_not_there_is_named(#[case] transport: Transport, #[case] remedy: &str) {
    let place = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let to = address.to_string().parse().unwrap();
    let file = archive(place.path());
    let error = push_as(&RegistryAuth::Anonymous, &file, &to, transport, &|_| {}).await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("onnection refused") && said.ends_with(remedy), "{said}");
}

#[rstest]
#[case("registry.example.com", "registry.example.com/image:1")]
#[case("registry.example.com:5000/team/a", "registry.example.com:5000/team/a/image:1")]
#[case("localhost:5000", "localhost:5000/image:1")]
fn a_registry_is_a_host_and_a_path(#[case] text: &str, #[case] name: &str) {
    let place: RegistryPlace = text.parse().unwrap();
    assert_eq!((place.to_string().as_str(), place.name_of("image:1").as_str()), (text, name));
}

#[rstest]
#[case::of_docker_hub("team")]
#[case::ends_early("registry.example.com/")]
#[case::address("https://registry.example.com")]
#[case::capitals("registry.example.com/Team")]
#[case::nothing("")]
fn what_is_no_registry_is_said(#[case] text: &str) {
    let error = text.parse::<RegistryPlace>().unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{text:?} names no registry; say HOST[:PORT][/PATH], as in registry.example.com/team")
    );
}

#[rstest]
#[case::login(r#"{"auths": {"r.example.com": {"auth": "YW5uYTp3b3Jk"}}}"#, RegistryAuth::Basic("anna".into(), "word".into()))]
#[case::of_another(r#"{"auths": {"q.example.com": {"auth": "YW5uYTp3b3Jk"}}}"#, RegistryAuth::Anonymous)]
fn whom_docker_is_logged_in_as(#[case] kept: &str, #[case] expected: RegistryAuth) {
    let place = tempfile::tempdir().unwrap();
    let config = place.path().join("config.json");
    assert_eq!(credential("r.example.com", Some(&config)).unwrap(), RegistryAuth::Anonymous);
    std::fs::write(&config, kept).unwrap();
    assert_eq!(credential("r.example.com", Some(&config)).unwrap(), expected);
    std::fs::write(&config, "{").unwrap();
    let said = credential("r.example.com", Some(&config)).unwrap_err().to_string();
    assert!(said.starts_with("cannot get what `docker login r.example.com` has kept: "), "{said}");
}

fn helper_says(stdout: &str) -> Result<DockerCredential, CredentialRetrievalError> {
    let (stdout, stderr) = (stdout.to_owned(), String::new());
    Err(CredentialRetrievalError::HelperFailure { helper: "pass".into(), stdout, stderr })
}

#[rstest]
#[case::never_logged_in_there(
    helper_says("credentials not found in native keychain\n"),
    Ok(RegistryAuth::Anonymous)
)]
#[case::locked(helper_says("the keychain is locked\n"), Err("the keychain is locked"))]
#[case::to_be_exchanged(Ok(DockerCredential::IdentityToken("t".into())), Err("log in with a name and a password"))]
fn what_a_credential_helper_says(
    #[case] said: Result<DockerCredential, CredentialRetrievalError>,
    #[case] expected: Result<RegistryAuth, &str>,
) {
    match (kept_login(said), expected) {
        (Ok(login), expected) => assert_eq!(Ok(login), expected),
        (Err(why), expected) => assert!(why.contains(expected.unwrap_err()), "{why}"),
    }
}
