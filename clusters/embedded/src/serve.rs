//! The supervisor's side of the conversation with the harness, whatever kind of cluster it runs.

use std::any::Any;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::bail;
use outside::Upstream;
use serde::de::DeserializeOwned;
use tracing::info;

use crate::levers::{Connections, Levers};
use crate::wire::{Access, Command, Reply, Wire};

/// How long the node may take to do what it is told.
const ORDER: Duration = Duration::from_secs(30);

/// A booted cluster, as its supervisor holds it. Its processes end with the supervisor.
pub struct Booted {
    /// How to reach it.
    pub access: Access,
    /// The name server outside it.
    pub upstream: Upstream,
    /// What its node can be told.
    pub levers: Box<dyn Levers>,
    /// Whatever must live as long as the cluster.
    pub parts: Box<dyn Any>,
}

/// Everything was started, and it does not become Ready. The log may know more.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotUp(pub String);

/// Does what the node is told, of which nobody hears anything else until it is done.
async fn obeyed<T>(order: impl Future<Output = anyhow::Result<T>>, done: impl FnOnce(T) -> Reply) -> Reply {
    match tokio::time::timeout(ORDER, order).await {
        Ok(Ok(answer)) => done(answer),
        Ok(Err(error)) => Reply::Failed(format!("{error:#}")),
        Err(_) => Reply::Failed(format!("the node did not do it within {} s", ORDER.as_secs())),
    }
}

/// A node that tracks no such connection has done nothing.
fn forgotten(count: usize, connections: &Connections) -> Reply {
    match count {
        0 => Reply::Failed(format!("the node tracks no {connections}")),
        _ => Reply::Done,
    }
}

/// Boots the cluster that the harness describes over `control`, and serves the harness until it says stop or is gone.
///
/// # Errors
/// Why there is no cluster; the harness was told. The end of the harness during the boot.
pub async fn serve<S: DeserializeOwned>(
    control: UnixStream,
    boot: impl AsyncFnOnce(&S) -> anyhow::Result<Booted>,
) -> anyhow::Result<()> {
    let mut wire = Wire::new(control)?;
    let Some(Command::Start(spec)) = wire.receive::<Command<S>>().await? else {
        bail!("the first command must be Start")
    };
    let booted = tokio::select! {
        booted = boot(&spec) => booted,
        // Nothing is asked before Ready: whatever ends this read is the harness's end.
        _ = wire.receive::<Command<()>>() => bail!("the harness went away during the boot"),
    };
    let running = match booted {
        Ok(running) => running,
        Err(error) => {
            let reply = match error.downcast_ref::<NotUp>() {
                Some(NotUp(why)) => Reply::NotUp(why.clone()),
                None => Reply::Failed(format!("{error:#}")),
            };
            wire.send(&reply).await?;
            return Err(error);
        }
    };
    wire.send(&Reply::Ready(running.access.clone())).await?;
    while let Some(command) = wire.receive::<Command<S>>().await? {
        let reply = match command {
            Command::Start(_) => Reply::Failed("the cluster runs already".into()),
            Command::Upstream(mode) => {
                running.upstream.set_mode(mode);
                Reply::Done
            }
            Command::UpstreamQuestions => Reply::Questions(running.upstream.questions()),
            Command::Kill(container) => obeyed(running.levers.kill(&container), |()| Reply::Done).await,
            Command::Link(pod, state) => obeyed(running.levers.set_link(&pod, state), |()| Reply::Done).await,
            Command::Forget(connections) => {
                obeyed(running.levers.forget(&connections), |count| forgotten(count, &connections)).await
            }
            Command::Firewall(drops) => {
                obeyed(running.levers.set_firewall(drops.as_ref()), |()| Reply::Done).await
            }
            Command::LostPackets => obeyed(running.levers.lost_packets(), Reply::LostPackets).await,
            Command::DeniedPackets => obeyed(running.levers.denials(), Reply::DeniedPackets).await,
            Command::Stop => {
                wire.send(&Reply::Done).await?;
                break;
            }
        };
        wire.send(&reply).await?;
    }
    info!("the harness is done with this cluster");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_does_not_obey_is_not_waited_for() {
        let reply = obeyed(std::future::pending::<anyhow::Result<()>>(), |()| Reply::Done).await;
        assert!(matches!(reply, Reply::Failed(why) if why == "the node did not do it within 30 s"));
    }

    #[tokio::test]
    async fn why_a_node_does_not_obey_is_passed_on() {
        let refused = async { Err::<(), _>(anyhow::anyhow!("no such task")) };
        assert!(
            matches!(obeyed(refused, |()| Reply::Done).await, Reply::Failed(why) if why == "no such task")
        );
        assert!(matches!(obeyed(async { Ok(()) }, |()| Reply::Done).await, Reply::Done));
    }
}
