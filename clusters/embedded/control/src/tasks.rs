//! Tasks that end together.

use tokio_util::sync::CancellationToken;

/// Starts tasks that end with a token.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    stop: CancellationToken,
    listed: CancellationToken,
}

impl Tasks {
    pub(crate) fn until(stop: CancellationToken) -> Tasks {
        Tasks { stop, listed: CancellationToken::new() }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        tokio::spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Starts a controller's work once all first lists are in: whoever acted before would make everything twice.
    pub(crate) fn control(&self, work: impl Future<Output = ()> + Send + 'static) {
        let listed = self.listed.clone();
        self.spawn(async move {
            listed.cancelled().await;
            work.await;
        });
    }

    /// Says that the first lists are in.
    pub(crate) fn mark_listed(&self) {
        self.listed.cancel();
    }
}
