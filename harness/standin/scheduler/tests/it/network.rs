//! A network of its own for a test.

use std::process::Command;

const INSIDE: &str = "STANDIN_SCHEDULER_OWN_NETWORK";

/// Runs the body in a network of its own, by running this very test again below `unshare`.
pub(crate) fn in_own_network(test: &str, body: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_none() {
        let status = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, "1")
            .status()
            .unwrap();
        assert!(status.success(), "{test} failed in its own network: {status}");
        return;
    }
    loopback("up");
    tokio::runtime::Runtime::new().unwrap().block_on(body);
}

/// Sets the loopback interface up or down.
pub(crate) fn loopback(state: &str) {
    let done = Command::new("ip").args(["link", "set", "lo", state]).status().unwrap();
    assert!(done.success(), "cannot set the loopback interface {state}");
}
