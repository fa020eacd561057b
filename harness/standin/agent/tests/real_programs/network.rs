//! A network of its own for a test.

use std::process::Command;

use crate::processes::programs;

const INSIDE: &str = "STANDIN_AGENT_OWN_NETWORK";

/// Runs the body in a network of its own, by running this very test again below `unshare`.
pub(crate) fn in_own_network(test: &str, body: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_none() {
        // Out here, where there is a network to fetch them over.
        programs();
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
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
    assert!(up.success(), "cannot set the loopback interface up");
    tokio::runtime::Runtime::new().unwrap().block_on(body);
}
