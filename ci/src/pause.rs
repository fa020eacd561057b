//! The one place of this crate that waits for time to pass.

use std::time::{Duration, Instant};

/// Between two looks at something that cannot be watched.
const INTERVAL: Duration = Duration::from_millis(20);

/// Looks until `done` or until `limit` has passed; whether it was done.
pub(crate) fn until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if done() {
            return true;
        }
        if began.elapsed() >= limit {
            return false;
        }
        pause(INTERVAL);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "other processes are looked at from outside; nothing tells when they end"
)]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
