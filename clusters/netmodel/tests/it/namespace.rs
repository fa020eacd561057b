//! Runs the body of a test in user, network and mount namespaces of its own, as root there.
//!
//! The test executable starts itself again through `unshare`, for the one test. Where that or
//! `nft` is not to be had the test says why and passes; with `CONFORMANCE_REQUIRE=kernel` it
//! fails instead.
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Set in the inner process.
const INSIDE: &str = "NETMODEL_INSIDE_NAMESPACE";

const UNSHARE: [&str; 5] = ["--user", "--map-root-user", "--net", "--mount", "--fork"];

/// Runs `body` in fresh namespaces. `test` is the test's own path, as libtest prints it.
pub(crate) fn run(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    if let Err(reason) = possible() {
        let required = std::env::var("CONFORMANCE_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|need| need == "kernel"), "{test} cannot run: {reason}");
        println!("skipped {test}: {reason}");
        return;
    }
    let own = std::env::current_exe().expect("the test's own path");
    let mut inner = program("unshare");
    inner.args(UNSHARE).arg("--").arg(own).args(["--exact", test, "--nocapture"]);
    let output = inner.env(INSIDE, "1").output().expect("unshare starts");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "inside the namespace:\n{text}");
    assert!(text.contains("1 passed"), "the test did not run inside the namespace:\n{text}");
}

fn possible() -> Result<(), String> {
    let tried = |command: &mut Command, what: &str| {
        let output = command.output().map_err(|error| format!("{what} does not start: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        output.status.success().then_some(()).ok_or_else(|| format!("{what} failed: {said}"))
    };
    tried(program("nft").arg("--version"), "nft")?;
    tried(program("ip").arg("-V"), "ip")?;
    let table = ["--", "nft", "add table ip probe"];
    tried(program("unshare").args(UNSHARE).args(table), "nft in a user namespace")
}

/// A program, also where an ordinary user's `PATH` does not look; what it starts looks there, too.
fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin");
    command
}

/// Runs `nft` with `input`, and gives what it printed.
pub(crate) fn nft(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("nft");
    command.args(arguments);
    let output = feed(&mut command, input);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "nft {arguments:?}: {said}\n{input}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command to its end with `input` on its standard input.
pub(crate) fn feed(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A program that stops reading closes the pipe; its status says more than this write.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}
