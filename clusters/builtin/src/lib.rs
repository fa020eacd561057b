//! How one executable is many programs.
//!
//! A built-in program is run in one of two ways: by a re-execution of the executable with two leading arguments, `builtin
//! NAME`; or, in an image that holds the executable, by a path that [`IMAGE_PROGRAMS`] gives a name to. A binary calls
//! [`intercept`] as the first thing in its `main`, before it starts a thread.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod pause;

use std::process::{Command, ExitCode};

/// First argument that marks a re-execution.
const MARK: &str = "builtin";

/// In an image that holds the executable: which built-in program it is by which path, a line each, path first.
pub const IMAGE_PROGRAMS: &str = "/etc/conformance/programs";

/// A program that lives in an executable.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// Name by which images and re-executions ask for it.
    pub name: &'static str,
    /// Entry point; receives the program's arguments without its name.
    pub main: fn(Vec<String>) -> ExitCode,
}

/// The process that holds a pod's namespaces, where a real kubelet wants one.
pub const PAUSE: Builtin = Builtin { name: "pause", main: pause::main };

/// Runs the one of `programs` that this process was started as; `None` when it was started as itself.
///
/// Must be called before any thread exists: some of them unshare namespaces and fork.
pub fn intercept<'a>(programs: impl IntoIterator<Item = &'a Builtin>) -> Option<ExitCode> {
    let mut arguments = std::env::args();
    let called = arguments.next().unwrap_or_default();
    let table = std::fs::read_to_string(IMAGE_PROGRAMS).unwrap_or_default();
    let name = match program_of_image(&table, &called) {
        Some(name) => name.to_owned(),
        None if arguments.next().as_deref() == Some(MARK) => arguments.next().unwrap_or_default(),
        None => return None,
    };
    let Some(program) = programs.into_iter().find(|program| program.name == name) else {
        eprintln!("this executable has no built-in program named {name:?}");
        return Some(ExitCode::from(127));
    };
    Some((program.main)(arguments.collect()))
}

/// The built-in program that an executable is when it is `called` so, in the image whose table this is.
fn program_of_image<'a>(table: &'a str, called: &str) -> Option<&'a str> {
    table.lines().find_map(|line| {
        let (path, name) = line.rsplit_once(' ')?;
        (path == called).then_some(name)
    })
}

/// The command that re-executes this process as a built-in program: its name and its arguments.
pub fn command(program: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(MARK).args(program);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::by_path("/manager", Some("standin-controller"))]
    #[case::by_another_path("/bin/agent", Some("standin-agent"))]
    #[case::by_a_name("tool", Some("toolbox"))]
    #[case::unknown("/usr/local/bin/conformance", None)]
    #[case::part_of_a_path("agent", None)]
    fn in_an_image_the_path_says_which_program(#[case] called: &str, #[case] name: Option<&str>) {
        let table = "/manager standin-controller\n/bin/agent standin-agent\ntool toolbox\n";
        assert_eq!(program_of_image(table, called), name);
    }

    #[test]
    fn elsewhere_there_is_no_table() {
        assert_eq!(program_of_image("", "/manager"), None);
    }
}
