//! The Kubernetes 1.33 API server of the embedded cluster: store, discovery, verbs, admission, watches, streams.
//!
//! [`ApiServer::client`] is a `kube::Client` that calls the server as a function; [`ApiServer::serve`] is the same
//! server over TLS for `kubectl`, pods and anyone else. What documents mean (kinds, defaults, validity, patches) is the
//! business of `embedded_machinery`; what they are for is nobody's here.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use embedded_api::{ApiServer, Config};
//! use k8s_openapi::api::core::v1::Namespace;
//!
//! let server = ApiServer::new(Config::default());
//! let namespaces: kube::Api<Namespace> = kube::Api::all(server.client());
//! assert_eq!(namespaces.get("default").await?.metadata.name.as_deref(), Some("default"));
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admission;
mod authentication;
mod authorization;
mod bootstrap;
mod catalog;
mod config;
mod definitions;
mod discovery;
mod documents;
mod event_groups;
mod failure;
mod in_process;
mod media;
mod node_requests;
mod object;
mod openapi;
mod options;
mod path;
mod reply;
mod router;
mod server;
mod serving;
mod site;
mod state;
mod store;
mod streams;
mod subresources;
mod tls;
mod verbs;
mod view;
mod wire;

pub use bootstrap::initial_objects;
pub use config::{Authorization, Config};
pub use node_requests::{ExecExit, ExecOutput, NodeError, NodeRequest, TerminalSize};
pub use server::ApiServer;
pub use tls::TlsIdentity;
