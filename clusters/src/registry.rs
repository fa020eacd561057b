//! Images on their way to a registry, for clusters whose nodes get them from one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bytes::Bytes;
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use futures::{Stream, StreamExt};
use http::{HeaderValue, StatusCode};
use image::{ArchivedImage, Blob, ImageError, parse_reference, read_archive};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OCI_IMAGE_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

/// A registry, and where in it: `registry.example.com:5000/team`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryPlace {
    host: String,
    /// With a slash before it; empty at the top.
    path: String,
}

/// A text names no registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no registry; say HOST[:PORT][/PATH], as in registry.example.com/team")]
pub struct NotARegistry(String);

impl FromStr for RegistryPlace {
    type Err = NotARegistry;

    fn from_str(text: &str) -> Result<RegistryPlace, NotARegistry> {
        let (host, path) = text.split_once('/').map_or((text, ""), |(host, path)| (host, path));
        let place = RegistryPlace {
            host: host.to_owned(),
            path: if path.is_empty() { String::new() } else { format!("/{path}") },
        };
        // What a container engine reads as another registry's, or not at all, is none.
        let name = place.name_of("image:1");
        let fits = !text.ends_with('/') && parse_reference(&name).as_deref() == Some(name.as_str());
        if fits { Ok(place) } else { Err(NotARegistry(text.to_owned())) }
    }
}

impl fmt::Display for RegistryPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.host, self.path)
    }
}

impl RegistryPlace {
    /// What `image`, a name without a registry, is called there.
    pub fn name_of(&self, image: &str) -> String {
        format!("{self}/{image}")
    }
}

/// How a registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// As registries are, with a certificate that this machine trusts.
    Https,
    /// In the clear.
    PlainHttp,
}

/// Why images are not in a registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The archive is at fault.
    #[error(transparent)]
    Archive(#[from] ImageError),
    /// A file of images became unreadable on the way.
    #[error("cannot read {}: {source}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// What Docker keeps for this registry cannot be had.
    #[error("cannot get what `docker login {host}` has kept: {why}")]
    Credential {
        /// The registry.
        host: String,
        /// Why.
        why: String,
    },
    /// The registry refused, or was not reached.
    #[error("cannot push {image}: {why}{}", .remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default())]
    Push {
        /// The image.
        image: String,
        /// In its words.
        why: String,
        /// What helps, where that is known.
        remedy: Option<&'static str>,
    },
}

/// Puts the images of `archive` into a registry, each under its name at `place`; `progress` is told of each. What is
/// there already is not sent again. The registry is spoken to as whom Docker was logged in there, if it was.
///
/// # Errors
/// [`RegistryError`], naming the image. Those before it are there.
pub async fn push_images(
    archive: &Path,
    place: &RegistryPlace,
    transport: Transport,
    progress: &dyn Fn(&str),
) -> Result<(), RegistryError> {
    let config = docker_config();
    let who = credential(&place.host, config.as_deref())?;
    push_as(&who, archive, place, transport, progress).await
}

/// Where Docker keeps what it logged in with.
fn docker_config() -> Option<PathBuf> {
    let own = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let of_home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker"));
    Some(own.or_else(of_home)?.join("config.json"))
}

async fn push_as(
    who: &RegistryAuth,
    archive: &Path,
    place: &RegistryPlace,
    transport: Transport,
    progress: &dyn Fn(&str),
) -> Result<(), RegistryError> {
    let images = read_archive(archive)?;
    // Another part of the program may have chosen it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let protocol = match transport {
        Transport::Https => ClientProtocol::Https,
        Transport::PlainHttp => ClientProtocol::Http,
    };
    // Otherwise every few kilobytes of a stream are a request of their own.
    let whole = ClientConfig { protocol, use_monolithic_push: true, ..ClientConfig::default() };
    let client = Client::new(whole);
    let mut push = Push { client, who, archive, transport, there: BTreeMap::new() };
    for image in images {
        let name = place.name_of(image.reference.trim_start_matches("docker.io/"));
        progress(&format!("pushing {name}"));
        push.image(&image, &name).await?;
    }
    Ok(())
}

/// What Docker's credential helpers print of a registry at which nobody has logged in.
const NEVER_LOGGED_IN: &str = "credentials not found";

/// Whom Docker is logged in as, by its file `config`.
fn credential(host: &str, config: Option<&Path>) -> Result<RegistryAuth, RegistryError> {
    let unknown = |why: String| RegistryError::Credential { host: host.to_owned(), why };
    let Some(config) = config else { return Ok(RegistryAuth::Anonymous) };
    let kept = match std::fs::File::open(config) {
        Ok(kept) => kept,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(RegistryAuth::Anonymous),
        Err(error) => return Err(unknown(format!("{}: {error}", config.display()))),
    };
    let server = if host == "docker.io" { "https://index.docker.io/v1/" } else { host };
    kept_login(get_credential_from_reader(kept, server))
        .map_err(|why| unknown(format!("{}: {why}", config.display())))
}

/// Who logs in with what Docker has kept; the reason, when that cannot be used.
fn kept_login(kept: Result<DockerCredential, CredentialRetrievalError>) -> Result<RegistryAuth, String> {
    match kept {
        Ok(DockerCredential::UsernamePassword(name, word)) => Ok(RegistryAuth::Basic(name, word)),
        // It would have to be exchanged for one that the registry takes.
        Ok(DockerCredential::IdentityToken(_)) => {
            Err("it is an identity token; log in with a name and a password".into())
        }
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(RegistryAuth::Anonymous),
        Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.contains(NEVER_LOGGED_IN) => {
            Ok(RegistryAuth::Anonymous)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Images on their way, one after the other.
struct Push<'a> {
    client: Client,
    who: &'a RegistryAuth,
    archive: &'a Path,
    transport: Transport,
    /// Blobs by their digests, and a repository that has them by now.
    there: BTreeMap<String, Reference>,
}

impl Push<'_> {
    async fn image(&mut self, image: &ArchivedImage, name: &str) -> Result<(), RegistryError> {
        let transport = self.transport;
        let refused = |error: OciDistributionError| RegistryError::Push {
            image: name.to_owned(),
            why: words(&error),
            remedy: remedy(&error, transport),
        };
        let reference: Reference = name.parse().map_err(|error: oci_client::ParseError| {
            RegistryError::Push { image: name.to_owned(), why: error.to_string(), remedy: None }
        })?;
        for operation in [RegistryOperation::Push, RegistryOperation::Pull] {
            self.client.auth(&reference, self.who, operation).await.map_err(refused)?;
        }
        for blob in &image.blobs {
            if !self.client.blob_exists(&reference, &blob.digest).await.map_err(refused)?
                && !self.is_mounted(&reference, &blob.digest).await
            {
                let stream = stream(self.archive, blob).await?;
                let pushed = self.client.push_blob_stream(&reference, stream, &blob.digest, Some(blob.size));
                pushed.await.map_err(refused)?;
            }
            self.there.insert(blob.digest.clone(), reference.clone());
        }
        let kind = HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE);
        self.client.push_manifest_raw(&reference, image.manifest.clone(), kind).await.map_err(refused)?;
        Ok(())
    }

    /// Whether the registry has given `to` a blob of another repository's. It need not, and is sent it then.
    async fn is_mounted(&self, to: &Reference, digest: &str) -> bool {
        match self.there.get(digest) {
            Some(from) => self.client.mount_blob(to, from, digest).await.is_ok(),
            None => false,
        }
    }
}

/// A part of a file.
async fn stream(
    file: &Path,
    blob: &Blob,
) -> Result<impl Stream<Item = Result<Bytes, OciDistributionError>> + use<>, RegistryError> {
    let unreadable = |source| RegistryError::Read { file: file.to_owned(), source };
    let mut archive = File::open(file).await.map_err(unreadable)?;
    archive.seek(std::io::SeekFrom::Start(blob.offset)).await.map_err(unreadable)?;
    Ok(ReaderStream::new(archive.take(blob.size)).map(|bytes| Ok(bytes?)))
}

/// The error with all that it stands for.
fn words(error: &OciDistributionError) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        let more = deeper.to_string();
        if !words.contains(&more) {
            words.push_str(&format!(": {more}"));
        }
        cause = deeper.source();
    }
    words
}

fn remedy(error: &OciDistributionError, transport: Transport) -> Option<&'static str> {
    const LOG_IN: &str = "`docker login` there first, as somebody who may push";
    let refused = |status| matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    match error {
        OciDistributionError::UnauthorizedError { .. }
        | OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::ServerError { code: 401 | 403, .. } => Some(LOG_IN),
        OciDistributionError::RequestError(error) if error.status().is_some_and(refused) => Some(LOG_IN),
        OciDistributionError::RequestError(error) if error.is_connect() => Some(match transport {
            Transport::Https => "is that its address? A registry without TLS wants --plain-http",
            Transport::PlainHttp => "is that its address?",
        }),
        _ => None,
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
