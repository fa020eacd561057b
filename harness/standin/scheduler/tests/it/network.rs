//! A network of its own for a test.

use std::process::Command;

const INSIDE: &str = "STANDIN_SCHEDULER_OWN_NETWORK";

/// Runs the body in a network of its own, by running this very test again below `unshare`.
pub(crate) fn in_own_network(test: &str, body: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_none() {
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        // A name that no test has would run none of them, successfully.
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{test} in its own network: {}\n{said}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
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
