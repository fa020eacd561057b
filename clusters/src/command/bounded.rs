//! A program in a process group of its own, killed when its time is over.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::{Command, CommandError, Output, die_with_us};

/// How often somebody's wish to stop is looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// How long what a killed program had said may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What happens to a running program.
enum Event {
    Out(Vec<u8>),
    Err(Vec<u8>),
    /// One of the two outputs has ended.
    Silent,
    Ended,
}

/// How a program is attended while it runs.
pub(super) struct Attendance<'a> {
    /// Its standard input, for the sake of its lock.
    pub(super) held: Option<&'a File>,
    /// Whether it is to be killed.
    pub(super) stop: &'a dyn Fn() -> bool,
    /// Is given each line as it comes.
    pub(super) line: &'a mut dyn FnMut(&str),
}

/// What came of one output, and how much of it was shown.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    shown: usize,
}

impl Stream {
    fn take(&mut self, bytes: &[u8], line: &mut dyn FnMut(&str)) {
        self.bytes.extend(bytes);
        while let Some(length) = self.bytes[self.shown..].iter().position(|&byte| byte == b'\n') {
            line(&String::from_utf8_lossy(&self.bytes[self.shown..self.shown + length]));
            self.shown += length + 1;
        }
    }

    /// Shows a last line that was not ended.
    fn end(&self, line: &mut dyn FnMut(&str)) {
        if self.shown < self.bytes.len() {
            line(&String::from_utf8_lossy(&self.bytes[self.shown..]));
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// What is known of a running program.
#[derive(Default)]
struct Seen {
    out: Stream,
    err: Stream,
    silent: u8,
    ended: bool,
}

impl Seen {
    fn take(&mut self, event: Event, line: &mut dyn FnMut(&str)) {
        match event {
            Event::Out(bytes) => self.out.take(&bytes, line),
            Event::Err(bytes) => self.err.take(&bytes, line),
            Event::Silent => self.silent += 1,
            Event::Ended => self.ended = true,
        }
    }

    /// It has ended, and nobody it started can say anything any more.
    fn is_over(&self) -> bool {
        self.silent == 2 && self.ended
    }
}

/// Why a program was killed.
enum Why {
    Time(Duration),
    Wish,
}

pub(super) fn run(command: &Command, mut attendance: Attendance<'_>) -> Result<Output, CommandError> {
    let held = attendance.held;
    let start = |source| command.cannot_start(source);
    let input = match (&command.input, held) {
        (Some(_), _) => Stdio::piped(),
        (None, Some(file)) => Stdio::from(file.try_clone().map_err(start)?),
        (None, None) => Stdio::null(),
    };
    let mut prepared = command.prepared();
    if held.is_none() {
        die_with_us(&mut prepared);
    }
    let mut child = prepared.stdin(input).spawn().map_err(start)?;
    let group = Pid::from_raw(i32::try_from(child.id()).map_err(std::io::Error::other).map_err(start)?);
    let (tell, told) = channel();
    if let (Some(mut pipe), Some(text)) = (child.stdin.take(), command.input.clone()) {
        // A program that does not read all of it says why by itself.
        thread::spawn(move || drop(pipe.write_all(text.as_bytes())));
    }
    if let Some(pipe) = child.stdout.take() {
        listen(pipe, tell.clone(), Event::Out);
    }
    if let Some(pipe) = child.stderr.take() {
        listen(pipe, tell.clone(), Event::Err);
    }
    // Only looked at: as long as nobody has waited for it, its number and its group's are nobody else's.
    thread::spawn(move || {
        let _ = waitid(Id::Pid(group), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        tell.send(Event::Ended)
    });
    let mut seen = Seen::default();
    let killed = watch(&told, &mut seen, command.time(), &mut attendance);
    let line = attendance.line;
    if killed.is_some() {
        // What it started is left when it has ended itself. That nothing of the group is left is no failure.
        let _ = killpg(group, Signal::SIGKILL);
        let until = Instant::now() + LAST_WORDS;
        while !seen.is_over() {
            let Ok(event) = told.recv_timeout(until.saturating_duration_since(Instant::now())) else { break };
            seen.take(event, line);
        }
    }
    seen.out.end(line);
    seen.err.end(line);
    let (stdout, stderr) = (seen.out.text(), seen.err.text());
    let line = || command.to_string();
    let status = child.wait().map_err(start)?;
    match killed {
        Some(Why::Time(limit)) => Err(CommandError::Expired { command: line(), limit, stdout, stderr }),
        Some(Why::Wish) => Err(CommandError::Interrupted { command: line() }),
        None => command.judged(status, stdout, stderr),
    }
}

/// Takes in what happens until the program is over; `Some` when it must be killed.
fn watch(
    told: &Receiver<Event>,
    seen: &mut Seen,
    limit: Duration,
    attendance: &mut Attendance<'_>,
) -> Option<Why> {
    let began = Instant::now();
    while !seen.is_over() {
        if (attendance.stop)() {
            return Some(Why::Wish);
        }
        // Also of a program that never stops talking.
        let left = limit.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Some(Why::Time(limit));
        }
        match told.recv_timeout(left.min(GLANCE)) {
            Ok(event) => seen.take(event, attendance.line),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    None
}

fn listen(mut pipe: impl Read + Send + 'static, tell: Sender<Event>, event: fn(Vec<u8>) -> Event) {
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 14];
        while let Ok(read @ 1..) = pipe.read(&mut buffer) {
            // Nobody listens any more once the program was given up.
            if tell.send(event(buffer[..read].to_vec())).is_err() {
                return;
            }
        }
        let _ = tell.send(Event::Silent);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onlooker::Onlooker;

    fn shell(script: &str) -> Command {
        Command::new("sh").arg("-c").arg(script)
    }

    fn never() -> bool {
        false
    }

    #[test]
    fn what_is_fed_is_read_and_both_outputs_are_kept() {
        let output = Command::new("sh").arg("-c").arg("cat; echo bad >&2").input("fed\n");
        let output = output.within(Duration::from_secs(60)).run_bounded(None, &never).unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("fed\n", "bad\n"));
    }

    #[test]
    fn a_failure_names_the_status() {
        let error = shell("echo why >&2; exit 7").run_bounded(None, &never).unwrap_err();
        assert!(error.to_string().contains("exit status: 7") && error.stderr() == "why\n", "{error}");
    }

    #[test]
    fn time_that_is_over_ends_the_whole_group() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("mark");
        // The grandchild would take a minute, and keeps both outputs and the mark open.
        let script = format!("exec 9>{}; flock 9; echo begun; sleep 60 & wait", mark.display());
        let began = Instant::now();
        let error = shell(&script).within(Duration::from_millis(500)).run_bounded(None, &never).unwrap_err();
        assert!(matches!(&error, CommandError::Expired { stdout, .. } if stdout == "begun\n"), "{error}");
        assert!(
            error.to_string().contains("did not end within 0.5 s and was killed; it had said: begun"),
            "{error}"
        );
        // Only the end of every process of the group gives the lock back.
        File::open(mark).unwrap().lock().unwrap();
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn what_a_program_left_behind_is_ended_with_its_time() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("mark");
        // It ends at once; what it started keeps both outputs and the mark open.
        let script = format!("exec 9>{}; flock 9; sleep 60 & echo begun", mark.display());
        let began = Instant::now();
        let error = shell(&script).within(Duration::from_millis(500)).run_bounded(None, &never).unwrap_err();
        assert!(matches!(&error, CommandError::Expired { stdout, .. } if stdout == "begun\n"), "{error}");
        File::open(mark).unwrap().lock().unwrap();
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_program_that_never_stops_talking_is_ended_with_its_time() {
        let limit = Duration::from_millis(300);
        let error = shell("while :; do echo on; done").within(limit).run().unwrap_err();
        assert!(
            error.to_string().contains("did not end within 0.3 s and was killed; it had said: on"),
            "{error}"
        );
    }

    #[test]
    fn a_wish_to_stop_is_heeded() {
        let error = shell("sleep 60").run_bounded(None, &|| true).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c 'sleep 60'` was interrupted");
    }

    #[test]
    fn who_waits_sees_lines_while_it_runs_and_can_end_it_by_them() {
        let seen = std::cell::Cell::new(0);
        let stop = || seen.get() == 2;
        let onlooker = Onlooker::new(&|_| {}, &stop);
        let error =
            shell("echo out; echo err >&2; sleep 60").run_with(&onlooker, |_| seen.set(seen.get() + 1));
        assert!(matches!(error, Err(CommandError::Interrupted { .. })), "{error:?}");
    }

    #[test]
    fn what_is_held_is_open_in_the_program() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let output = shell("readlink /proc/self/fd/0").run_bounded(Some(file.as_file()), &never).unwrap();
        assert_eq!(output.stdout.trim_end(), file.path().to_str().unwrap());
    }
}
