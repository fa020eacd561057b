//! The server as its owner holds it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::authentication::{Claims, Tokens, User};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::node_requests::NodeRequest;
use crate::state::State;
use crate::store::Store;
use crate::tls::TlsIdentity;
use crate::{bootstrap, in_process, router, serving};

/// How many requests may wait for a node that is busy.
const NODE_QUEUE: usize = 64;
/// The life of a token from [`ApiServer::token_for`], in seconds: a year, as k3s's kubelet is given.
const TOKEN_SECONDS: i64 = 365 * 24 * 3600;

/// A Kubernetes 1.33 API server with its store. Clones are the same server.
#[derive(Debug, Clone)]
pub struct ApiServer {
    state: Arc<State>,
    node_requests: Arc<Mutex<Option<mpsc::Receiver<NodeRequest>>>>,
}

impl ApiServer {
    /// A server with the objects every new cluster has: the namespaces `default`, `kube-system`, `kube-public` and
    /// `kube-node-lease`, and the Service `default/kubernetes` at the first address of the Service network.
    pub fn new(config: Config) -> ApiServer {
        let (node, requests) = mpsc::channel(NODE_QUEUE);
        let state = Arc::new(State {
            store: Store::new(config.watch_window),
            config,
            catalog: Catalog::builtin(),
            tokens: Tokens::new(),
            addresses: Mutex::new(()),
            node,
            stop: CancellationToken::new(),
        });
        bootstrap::populate(&state);
        ApiServer { state, node_requests: Arc::new(Mutex::new(Some(requests))) }
    }

    /// A client inside this process, as admin, without sockets or TLS. `exec`, `attach` and `portforward` work, too.
    ///
    /// Must be called within a tokio runtime.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(in_process::Service::new(self.state.clone(), User::admin()), "default")
    }

    /// A client inside this process that acts as a service account.
    ///
    /// Must be called within a tokio runtime.
    pub fn client_as(&self, namespace: &str, service_account: &str) -> kube::Client {
        let user = User::service_account(namespace, service_account, "");
        kube::Client::new(in_process::Service::new(self.state.clone(), user), namespace)
    }

    /// The whole server as an axum router; callers authenticate with bearer tokens.
    pub fn router(&self) -> axum::Router {
        router::router(self.state.clone())
    }

    /// Serves HTTPS (HTTP/2 and HTTP/1.1 by ALPN) until [`ApiServer::stop`].
    ///
    /// # Errors
    /// The listener's, when it fails for good.
    pub async fn serve(&self, listener: TcpListener, tls: TlsIdentity) -> std::io::Result<()> {
        serving::serve(self.state.clone(), listener, tls).await
    }

    /// Ends [`ApiServer::serve`] and every stream (watches, logs, exec). What is stored stays.
    pub fn stop(&self) {
        self.state.stop.cancel();
    }

    /// What is asked of the node. `None` for all but the first caller.
    pub fn node_requests(&self) -> Option<mpsc::Receiver<NodeRequest>> {
        self.node_requests.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The bearer token of the administrator, for a kubeconfig.
    pub fn admin_token(&self) -> &str {
        &self.state.tokens.admin
    }

    /// Issues a token for a service account, good for a year. The account need not exist yet; the token of one that
    /// exists ends with it.
    pub fn token_for(&self, namespace: &str, service_account: &str) -> String {
        let account = self.state.store.get("/serviceaccounts", namespace, service_account);
        let uid = account.as_ref().map(|entry| crate::object::uid(&entry.value)).unwrap_or_default();
        let issuer = &self.state.config.issuer;
        self.state.tokens.issue(&Claims {
            namespace,
            account: service_account,
            account_uid: uid,
            pod: None,
            issuer,
            audiences: vec![issuer.clone(), "k3s".to_owned()],
            seconds: TOKEN_SECONDS,
        })
    }

    /// The objects of every kind, counted: `("/pods", 3)`, `("apps/deployments", 1)`.
    pub fn object_counts(&self) -> Vec<(String, usize)> {
        self.state.store.counts().into_iter().map(|(shelf, count)| (shelf.to_string(), count)).collect()
    }
}
