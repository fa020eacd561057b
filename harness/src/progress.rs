//! What the runner tells whoever watches, while it happens.

use std::sync::Arc;

/// Called with what is waited for now; cheap to clone.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(&str) + Send + Sync>);

impl Progress {
    /// Calls `tell` with each thing that is done or waited for.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Progress {
        Progress(Arc::new(tell))
    }

    /// Tells nobody.
    pub fn silent() -> Progress {
        Progress::new(|_| {})
    }

    pub(crate) fn waiting_for(&self, what: &str) {
        (self.0)(what);
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Progress")
    }
}
