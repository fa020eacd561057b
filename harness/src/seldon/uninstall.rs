//! Taking charts away again, in an order that hangs on nothing.
//!
//! Seldon's objects have finalizers that its controller takes off: they go first, while it lives. What a controller does
//! not let go of in time, because it is cut off or gone, loses its finalizers. Then the releases go, last one first.

use clusters::{Command, HelmTarget};
use kube::Client;

use super::Charts;
use super::release::Chart;
use super::values::Layout;
use crate::given::empty;
use crate::patience::given::{HOOKS, UNINSTALLING};

/// One thing to take away.
#[derive(Debug, Clone)]
pub enum Removal {
    /// Seldon's objects in a namespace, and policies that might keep a controller from letting go of them.
    Objects {
        /// The namespace.
        namespace: String,
    },
    /// A release.
    Release(Command),
}

/// What is done to take `charts` of `layout` away, in order.
pub fn uninstall_steps(
    source: &Charts,
    charts: &[Chart],
    layout: &Layout,
    target: &HelmTarget,
) -> Vec<Removal> {
    let releases = charts.iter().rev().map(|chart| {
        let words = ["uninstall", chart.name(), "--namespace", chart.namespace(layout), "--ignore-not-found"];
        Removal::Release(source.helm().on(target, words, HOOKS))
    });
    std::iter::once(Removal::Objects { namespace: layout.tenant.clone() }).chain(releases).collect()
}

/// Does it. What cannot be taken away does not keep the rest from it.
///
/// # Errors
/// All that could not be taken away, and why.
pub async fn uninstall(client: &Client, steps: &[Removal]) -> anyhow::Result<()> {
    let mut errors = Vec::new();
    for step in steps {
        let ended = match step {
            Removal::Objects { namespace } => empty(client, namespace).await,
            Removal::Release(command) => match tokio::time::timeout(UNINSTALLING, command.awaited()).await {
                Ok(ended) => ended.map(drop).map_err(anyhow::Error::from),
                Err(_) => Err(anyhow::anyhow!("`{command}` did not end within {} s", UNINSTALLING.as_secs())),
            },
        };
        errors.extend(ended.err().map(|error| format!("{error:#}")));
    }
    anyhow::ensure!(errors.is_empty(), "{}", errors.join("; "));
    Ok(())
}
