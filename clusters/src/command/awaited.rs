//! Running a program from asynchronous code.

use std::process::Stdio;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;

use super::{Command, CommandError, Output, die_with_us};

impl Command {
    /// Runs the program to its end, or to the end of its time. It and what it started are killed when nobody waits for that
    /// any more, and it with this process: who gives up on it can rely on its changing nothing from then on.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub async fn awaited(&self) -> Result<Output, CommandError> {
        let start = |source| self.cannot_start(source);
        let mut prepared = self.prepared();
        prepared.stdin(Stdio::null());
        die_with_us(&mut prepared);
        let mut child = tokio::process::Command::from(prepared).kill_on_drop(true).spawn().map_err(start)?;
        let mut group = Group::of(child.id());
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
        let ended = tokio::time::timeout(self.time(), async {
            tokio::join!(drain(&mut stdout, &mut out), drain(&mut stderr, &mut err));
            let ended = child.wait().await;
            group.forget();
            ended
        });
        let ended = ended.await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match ended {
            Ok(status) => self.judged(status.map_err(start)?, text(&out), text(&err)),
            Err(_) => {
                drop(group);
                Err(CommandError::Expired {
                    command: self.to_string(),
                    limit: self.time(),
                    stdout: text(&out),
                    stderr: text(&err),
                })
            }
        }
    }
}

/// What was read before an error is still worth showing.
async fn drain(pipe: &mut Option<impl AsyncReadExt + Unpin>, to: &mut Vec<u8>) {
    if let Some(pipe) = pipe {
        let _ = pipe.read_to_end(to).await;
    }
}

/// A program's process group, killed when this is dropped. As long as nobody has waited for the program, the number is
/// nobody else's.
struct Group(Option<Pid>);

impl Group {
    fn of(id: Option<u32>) -> Group {
        Group(id.and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    /// Somebody has waited for the program.
    fn forget(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // That nothing of the group is left is no failure.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_ends_as_the_blocking_way_does() {
        let shell = |script: &str| Command::new("sh").args(["-c", script]);
        let output = shell("echo one; echo bad >&2").awaited().await.unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("one\n", "bad\n"));
        let (one, other) = (shell("echo no >&2; exit 7").awaited().await, shell("echo no >&2; exit 7").run());
        assert_eq!(one.unwrap_err().to_string(), other.unwrap_err().to_string());
    }

    #[tokio::test]
    async fn time_that_is_over_ends_it_with_what_it_started() {
        let (writer, mut reader) = tokio::net::unix::pipe::pipe().unwrap();
        let writer = writer.into_blocking_fd().unwrap();
        let path = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&writer));
        // The grandchild holds the pipe.
        let script = format!("echo begun; exec 3>{path}; tail -f /dev/null & wait");
        let command = Command::new("sh").args(["-c", &script]).within(std::time::Duration::from_millis(500));
        let error = command.awaited().await.unwrap_err().to_string();
        assert!(error.contains("did not end within 0.5 s and was killed; it had said: begun"), "{error}");
        drop(writer);
        assert_eq!(reader.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    }

    /// A program that holds a pipe open for as long as it lives, and says that it does.
    fn holding(writer: &std::os::fd::OwnedFd) -> Command {
        let handle = std::os::fd::AsRawFd::as_raw_fd(writer);
        let path = format!("/proc/{}/fd/{handle}", std::process::id());
        let script = format!("exec 3>{path}; echo up >&3; exec tail -f /dev/null");
        Command::new("sh").args(["-c", &script])
    }

    #[test]
    fn it_does_not_outlive_who_started_it() {
        use std::io::Read;
        let (mut reader, writer) = std::io::pipe().unwrap();
        let writer = std::os::fd::OwnedFd::from(writer);
        let command = holding(&writer);
        let mut heard = reader.try_clone().unwrap();
        let starter = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let mut running = Box::pin(async move { command.awaited().await });
                let up = tokio::task::spawn_blocking(move || heard.read_exact(&mut [0; 3]).unwrap());
                tokio::select! {
                    ended = &mut running => panic!("{ended:?}"),
                    told = up => told.unwrap(),
                }
                // Nobody is left who could kill it but the kernel.
                std::mem::forget(running);
            });
        });
        starter.join().unwrap();
        drop(writer);
        assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 0);
    }

    #[tokio::test]
    async fn who_gives_up_on_it_has_killed_it() {
        let (writer, mut reader) = tokio::net::unix::pipe::pipe().unwrap();
        let writer = writer.into_blocking_fd().unwrap();
        let command = holding(&writer);
        let mut running = Box::pin(command.awaited());
        let mut up = [0; 3];
        tokio::select! {
            ended = &mut running => panic!("{ended:?}"),
            read = reader.read_exact(&mut up) => assert_eq!(read.unwrap(), 3),
        }
        drop(running);
        drop(writer);
        assert_eq!(reader.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    }
}
