//! A cluster that exists already, named by a context of a kubeconfig.

use std::path::{Path, PathBuf};
use std::time::Duration;

use embedded::Access;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::util::AndThenLayer;

use crate::cluster::kubeconfig;
use crate::refusals::Refusals;

/// How long the first answer of its API server may take.
const FIRST_ANSWER: Duration = Duration::from_secs(15);

/// How long it may say nothing later on. Longer than any command that is run in a pod.
const SILENCE: Duration = Duration::from_secs(360);

/// The oldest minor version of Kubernetes 1 whose API has all that is used here.
const OLDEST_MINOR: u32 = 27;

/// Why a given cluster cannot be used. Nothing was changed on it.
#[derive(Debug, thiserror::Error)]
pub enum GivenError {
    /// The kubeconfig cannot be read.
    #[error("cannot read {}: {why}; name another with --kubeconfig or KUBECONFIG", .file.as_deref().map_or_else(|| "the kubeconfig".into(), |file| file.display().to_string()))]
    Kubeconfig {
        /// The file that was named, if one was.
        file: Option<PathBuf>,
        /// Why.
        why: String,
    },
    /// It has no such context.
    #[error("the kubeconfig has no context {context:?}; it has: {known}")]
    Context {
        /// The one that was asked for.
        context: String,
        /// Those that there are.
        known: String,
    },
    /// The context's data make no client.
    #[error("context {context:?} cannot be used: {why}")]
    Unusable {
        /// The context.
        context: String,
        /// Why.
        why: String,
    },
    /// The API server does not answer.
    #[error("the API server {server} of context {context:?} does not answer: {why}")]
    Silent {
        /// The context.
        context: String,
        /// Its address.
        server: String,
        /// Why.
        why: String,
    },
    /// It does not know who is asking.
    #[error(
        "the API server {server} does not know the user of context {context:?}: {why}; the token or certificate in the \
         kubeconfig may have expired: log in again"
    )]
    Unknown {
        /// The context.
        context: String,
        /// Its address.
        server: String,
        /// What it said.
        why: String,
    },
    /// Its certificate, or the kubeconfig's, is out of its time.
    #[error(
        "the certificate of the API server {server} of context {context:?} is not valid now: {why}; have it renewed (k3s \
         does so when it is restarted), and see that this machine's clock is right"
    )]
    Expired {
        /// The context.
        context: String,
        /// Its address.
        server: String,
        /// What was said of it.
        why: String,
    },
    /// It is too old.
    #[error(
        "the cluster of context {context:?} runs Kubernetes {version}; 1.{OLDEST_MINOR} or later is needed"
    )]
    TooOld {
        /// The context.
        context: String,
        /// Its version.
        version: String,
    },
}

/// A cluster of somebody else.
#[derive(Debug, Clone)]
pub struct GivenCluster {
    context: String,
    kubeconfig: Option<PathBuf>,
    version: String,
    config: Box<Config>,
    refusals: Refusals,
}

impl GivenCluster {
    /// The cluster of `context` in `kubeconfig`, or, without one, in the files of `KUBECONFIG` or `~/.kube/config`. The
    /// current context is never assumed. Its API server has answered.
    ///
    /// # Errors
    /// [`GivenError`], with what to do.
    pub async fn connect(kubeconfig: Option<&Path>, context: &str) -> Result<GivenCluster, GivenError> {
        let read = match kubeconfig {
            Some(file) => Kubeconfig::read_from(file),
            None => Kubeconfig::read(),
        };
        let document = read.map_err(|error| GivenError::Kubeconfig {
            file: kubeconfig.map(Path::to_owned),
            why: chain(&error),
        })?;
        let cluster = GivenCluster::of_document(document, context).await?;
        Ok(GivenCluster { kubeconfig: kubeconfig.map(Path::to_owned), ..cluster })
    }

    /// The cluster of this program's own that `access` leads to; its context is called `name`.
    ///
    /// # Errors
    /// [`GivenError`]: it does not answer.
    pub async fn of_access(name: &str, access: &Access) -> Result<GivenCluster, GivenError> {
        let unusable = |why: String| GivenError::Unusable { context: name.to_owned(), why };
        let document =
            Kubeconfig::from_yaml(&kubeconfig(name, access)).map_err(|error| unusable(chain(&error)))?;
        GivenCluster::of_document(document, name).await
    }

    async fn of_document(document: Kubeconfig, context: &str) -> Result<GivenCluster, GivenError> {
        let known: Vec<&str> = document.contexts.iter().map(|known| known.name.as_str()).collect();
        if !known.contains(&context) {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(GivenError::Context { context: context.to_owned(), known });
        }
        let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
        let unusable = |why: String| GivenError::Unusable { context: context.to_owned(), why };
        let mut config = Config::from_custom_kubeconfig(document, &options)
            .await
            .map_err(|error| unusable(chain(&error)))?;
        (config.read_timeout, config.write_timeout) = (Some(SILENCE), Some(SILENCE));
        let client = Client::try_from(config.clone()).map_err(|error| unusable(chain(&error)))?;
        let silent = |why: String| GivenError::Silent {
            context: context.to_owned(),
            server: config.cluster_url.to_string(),
            why,
        };
        let version = match tokio::time::timeout(FIRST_ANSWER, client.apiserver_version()).await {
            Ok(Ok(version)) => version,
            Ok(Err(error)) => return Err(failed(silent(chain(&error)))),
            Err(_) => return Err(silent(format!("no answer within {} s", FIRST_ANSWER.as_secs()))),
        };
        if is_too_old(&version.major, &version.minor) {
            return Err(GivenError::TooOld { context: context.to_owned(), version: version.git_version });
        }
        Ok(GivenCluster {
            context: context.to_owned(),
            kubeconfig: None,
            version: version.git_version,
            config: Box::new(config),
            refusals: Refusals::default(),
        })
    }

    /// The context's name.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The kubeconfig that was named; without one it is the machine's.
    pub fn kubeconfig(&self) -> Option<&Path> {
        self.kubeconfig.as_deref()
    }

    /// Kubernetes' version, such as `v1.33.1+k3s1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Address of the API server.
    pub fn server(&self) -> String {
        self.config.cluster_url.to_string()
    }

    /// A client that lives on the runtime it is made on.
    ///
    /// # Errors
    /// kube's.
    pub fn client(&self) -> kube::Result<Client> {
        let refusals = self.refusals.clone();
        let heeding = AndThenLayer::new(move |answer| refusals.clone().heed(answer));
        Ok(ClientBuilder::try_from(Config::clone(&self.config))?.with_layer(&heeding).build())
    }

    /// What the API server has said to any of these clients, since this was asked last, that the user may not do.
    pub fn take_refusals(&self) -> Vec<String> {
        self.refusals.take()
    }
}

/// What kind of silence it is.
fn failed(silent: GivenError) -> GivenError {
    match silent {
        GivenError::Silent { context, server, why } if why.contains("Unauthorized") => {
            GivenError::Unknown { context, server, why }
        }
        GivenError::Silent { context, server, why }
            if ["expired", "Expired", "not valid yet", "NotValidYet"]
                .iter()
                .any(|word| why.contains(word)) =>
        {
            GivenError::Expired { context, server, why }
        }
        other => other,
    }
}

/// Versions that are no numbers are somebody's own build: they are given the benefit of the doubt.
fn is_too_old(major: &str, minor: &str) -> bool {
    let digits = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().ok();
    matches!((digits(major), digits(minor)), (Some(1), Some(minor)) if minor < OLDEST_MINOR)
}

/// An error with its causes: kube's own text often leaves out the telling one.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
#[path = "given_cluster_tests.rs"]
mod tests;
