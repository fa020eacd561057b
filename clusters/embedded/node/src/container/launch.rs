//! From a container's command line to a running program.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};
use nix::sys::stat::Mode;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, execve, execveat};

use super::spec::{Command, Program, Terminal};

/// What a container searches when its environment has no `PATH`, as containerd does.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Our own executable, open: it can be run where its path is not visible.
pub(super) struct OwnExecutable(OwnedFd);

impl OwnExecutable {
    pub(super) fn open() -> anyhow::Result<OwnExecutable> {
        nix::fcntl::open("/proc/self/exe", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
            .map(OwnExecutable)
            .context("open /proc/self/exe")
    }
}

/// Puts the process's standard streams in place: `given` as all three when they are a terminal, as stdin otherwise.
/// Without it stdin is `/dev/null`; stdout and stderr are those of this process.
pub(super) fn take_streams(given: Option<OwnedFd>, terminal: Terminal) -> anyhow::Result<()> {
    let input = match given {
        Some(input) => input,
        None => nix::fcntl::open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
            .context("open /dev/null")?,
    };
    dup2_stdin(input.as_fd())?;
    if terminal == Terminal::Controlling {
        dup2_stdout(input.as_fd())?;
        dup2_stderr(input.as_fd())?;
        take_terminal().context("make the terminal the controlling one")?;
    }
    Ok(())
}

#[expect(unsafe_code, reason = "nix has no wrapper for TIOCSCTTY")]
fn take_terminal() -> nix::Result<()> {
    // SAFETY: descriptor 0 is the terminal; the request takes an integer.
    Errno::result(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) }).map(drop)
}

/// Replaces this process by the command. Returns only a failure, worded as runc words it.
pub(super) fn run(command: &Command, ourselves: &OwnExecutable) -> anyhow::Result<Infallible> {
    reset_signals()?;
    nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
    let directory = if command.working_dir.is_empty() { "/" } else { &command.working_dir };
    // A directory that cannot be made shows in the next step.
    let _ = std::fs::create_dir_all(directory);
    std::env::set_current_dir(directory)
        .with_context(|| format!("chdir to cwd ({directory:?}) set in config.json failed"))?;
    let name = command.arguments.first().ok_or_else(|| anyhow!("no command specified"))?;
    let environment = texts(command.environment.iter().map(|(name, value)| format!("{name}={value}")))?;
    let rest = command.arguments.iter().skip(1).cloned();
    let errno = match find_program(&command.programs, name) {
        Some(Program::Builtin(builtin)) => {
            let line = [name.clone(), "builtin".to_owned(), builtin.clone()].into_iter().chain(rest);
            let Err(errno) =
                execveat(ourselves.0.as_fd(), c"", &texts(line)?, &environment, AtFlags::AT_EMPTY_PATH);
            errno
        }
        Some(Program::Host(path)) => {
            let line = std::iter::once(path.to_string_lossy().into_owned()).chain(rest);
            let Err(errno) = execve(&text(path.to_string_lossy().into_owned())?, &texts(line)?, &environment);
            errno
        }
        None => {
            let search = command.environment.get("PATH").map_or(DEFAULT_PATH, String::as_str);
            let path = find_in_path(name, search)?;
            let line = std::iter::once(name.clone()).chain(rest);
            let Err(errno) = execve(&text(path.to_string_lossy().into_owned())?, &texts(line)?, &environment);
            errno
        }
    };
    Err(anyhow!("exec {name}: {}", go_words(errno)))
}

/// A program of the image by the very text of the command line, or by its file name when the command has no slash.
fn find_program<'a>(programs: &'a indexmap::IndexMap<String, Program>, name: &str) -> Option<&'a Program> {
    programs.get(name).or_else(|| {
        let by_file_name =
            |path: &&String| Path::new(path.as_str()).file_name().is_some_and(|file| file == name);
        let path = (!name.contains('/')).then(|| programs.keys().find(by_file_name)).flatten()?;
        programs.get(path)
    })
}

/// Go's `exec.LookPath`, with its words.
fn find_in_path(name: &str, search: &str) -> anyhow::Result<PathBuf> {
    if name.contains('/') {
        let metadata = std::fs::metadata(name).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => anyhow!("exec: {name:?}: stat {name}: no such file or directory"),
            _ => anyhow!("exec: {name:?}: {error}"),
        })?;
        if metadata.is_dir() {
            return Err(anyhow!("exec: {name:?}: is a directory"));
        }
        if metadata.permissions().mode() & 0o111 == 0 {
            return Err(anyhow!("exec: {name:?}: permission denied"));
        }
        return Ok(PathBuf::from(name));
    }
    search
        .split(':')
        .map(|directory| Path::new(if directory.is_empty() { "." } else { directory }).join(name))
        .find(|path| {
            std::fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
        })
        .ok_or_else(|| anyhow!("exec: {name:?}: executable file not found in $PATH"))
}

/// Rust programs ignore SIGPIPE and this one blocks SIGCHLD; a container's process starts with neither.
fn reset_signals() -> nix::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    #[expect(
        unsafe_code,
        reason = "setting a signal's disposition is unsafe in nix; the default one runs no code"
    )]
    // SAFETY: SIG_DFL installs no handler.
    unsafe {
        sigaction(Signal::SIGPIPE, &default)?
    };
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

fn text(value: String) -> anyhow::Result<CString> {
    CString::new(value).context("a command line or variable contains a zero byte")
}

fn texts(values: impl Iterator<Item = String>) -> anyhow::Result<Vec<CString>> {
    values.map(text).collect()
}

fn go_words(errno: Errno) -> String {
    match errno {
        Errno::ENOENT => "no such file or directory".to_owned(),
        Errno::EACCES => "permission denied".to_owned(),
        Errno::ENOEXEC => "exec format error".to_owned(),
        other => other.desc().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::bare("nosuch", r#"exec: "nosuch": executable file not found in $PATH"#)]
    #[case::path("/no/such", r#"exec: "/no/such": stat /no/such: no such file or directory"#)]
    #[case::directory("/usr", r#"exec: "/usr": is a directory"#)]
    #[case::not_executable("/etc/passwd", r#"exec: "/etc/passwd": permission denied"#)]
    fn words_of_runc(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(find_in_path(name, DEFAULT_PATH).unwrap_err().to_string(), expected);
    }

    #[rstest]
    #[case::as_written("/bin/agent", Some("agent"))]
    #[case::by_file_name("agent", Some("agent"))]
    #[case::other_directory("/usr/bin/agent", None)]
    #[case::unknown("scheduler", None)]
    fn programs_of_the_image(#[case] name: &str, #[case] expected: Option<&str>) {
        let programs =
            [("/bin/agent".to_owned(), Program::Builtin("agent".to_owned()))].into_iter().collect();
        let expected = expected.map(|it| Program::Builtin(it.to_owned()));
        assert_eq!(find_program(&programs, name), expected.as_ref());
    }
}
