//! The binary under test, in a place of its own.

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::machine::until;
use crate::place::Place;

/// How long a command may take to get to a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// What a command that ran to its end left.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Answer {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Answer { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Answer {
    /// Runs `command` to its end.
    pub(crate) fn of(command: &mut Command) -> Answer {
        command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}")).into()
    }

    /// Panics with everything that was said unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Answer {
        assert_eq!(self.code, Some(code), "\nstdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The one line of standard error that begins with `error: `, without it.
    #[track_caller]
    pub(crate) fn sentence(&self) -> &str {
        let mut said = self.err.lines().filter_map(|line| line.strip_prefix("error: "));
        let sentence = said.next().unwrap_or_else(|| panic!("no error was said:\n{}", self.err));
        assert_eq!(said.next(), None, "more than one error was said:\n{}", self.err);
        sentence
    }
}

/// The binary with `arguments`, at home in `place`.
pub(crate) fn binary(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seldon-conformance"));
    command.args(arguments);
    at_home(&mut command, place);
    command
}

/// The binary as a terminal starts it: it heeds an interruption even where the tester, as a job in the background, is
/// made to ignore it.
pub(crate) fn from_terminal(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_seldon-conformance")]).args(arguments);
    at_home(&mut command, place);
    command
}

/// The binary inside `wrapper`, a shell script that ends with `exec "$@"`, in namespaces of its own where the tester
/// is root.
pub(crate) fn wrapped(place: &Place, wrapper: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-ec", wrapper, "sh"]);
    command.arg(env!("CARGO_BIN_EXE_seldon-conformance")).args(arguments);
    at_home(&mut command, place);
    command
}

/// The binary as an ordinary user whose place this then is; `None`, and said why, unless the tester is root.
pub(crate) fn as_nobody(place: &Place, arguments: &[&str]) -> Option<Command> {
    const NOBODY: u32 = 65534;
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return None;
    }
    for path in [place.directory().to_owned(), place.cache(), place.temporary()] {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    // The build's directory may be closed to others. A file that this process wrote itself might still be open for
    // writing in what another test is just starting, and is not run then.
    let copy = place.directory().join("seldon-conformance");
    if !copy.exists() {
        let status =
            Command::new("cp").arg(env!("CARGO_BIN_EXE_seldon-conformance")).arg(&copy).status().unwrap();
        assert!(status.success());
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(copy).args(arguments);
    at_home(&mut command, place);
    command.env_remove("HOME").env("PATH", "/usr/local/bin:/usr/bin:/bin");
    Some(command)
}

fn at_home(command: &mut Command, place: &Place) {
    command.env("SELDON_CONFORMANCE_CACHE", place.cache()).env("TMPDIR", place.temporary());
    command.current_dir(place.directory()).env_remove("CONFORMANCE_PATIENCE").stdin(Stdio::null());
}

/// Starts `command` and keeps what it says for [`finish`].
pub(crate) fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Starts `command` and waits until `there`, which is given its number.
///
/// # Panics
/// With everything that it said, when it ends before or does not get there.
#[track_caller]
pub(crate) fn start_until(command: Command, what: &str, mut there: impl FnMut(u32) -> bool) -> Child {
    let mut child = start(command);
    let (id, mut ended) = (child.id(), false);
    let came = until(PATIENCE, || {
        ended = child.try_wait().unwrap().is_some();
        ended || there(id)
    });
    if came && !ended {
        return child;
    }
    child.kill().unwrap();
    let Answer { code, out, err } = finish(child);
    panic!("not seen: {what}; exit code {code:?}\nstdout:\n{out}\nstderr:\n{err}");
}

/// Waits for the end of a command that was started.
pub(crate) fn finish(child: Child) -> Answer {
    child.wait_with_output().unwrap().into()
}

/// Whether the tester insists on what `need` names: then its absence fails a test instead of leaving it out.
pub(crate) fn required(need: &str) -> bool {
    std::env::var("CONFORMANCE_REQUIRE").unwrap_or_default().split(',').any(|required| required == need)
}
