//! Running a program from asynchronous code.

use std::process::Stdio;

use nix::sys::signal::Signal;

use super::{Command, CommandError, Output};

impl Command {
    /// Runs the program to its end. It is killed when nobody waits for that any more, and with this process: who gives up
    /// on it can rely on its changing nothing from then on.
    ///
    /// # Errors
    /// As [`Command::run`].
    pub async fn awaited(&self) -> Result<Output, CommandError> {
        let start = |source| CommandError::Start { command: self.to_string(), source };
        let mut command = tokio::process::Command::new(&self.program);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        die_with_us(&mut command);
        let ended = command.output().await.map_err(start)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&ended.stdout), text(&ended.stderr));
        if ended.status.success() {
            Ok(Output { stdout, stderr })
        } else {
            Err(CommandError::Failed { command: self.to_string(), status: ended.status, stdout, stderr })
        }
    }
}

/// The kernel kills the program when the thread that starts it is gone, which a kill of this process is, too.
#[expect(
    unsafe_code,
    reason = "a closure between fork and exec; it makes one system call and allocates nothing"
)]
fn die_with_us(command: &mut tokio::process::Command) {
    let ask = || nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from);
    // SAFETY: prctl is safe to call there, and an errno becomes an error without allocation.
    unsafe { command.pre_exec(ask) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn it_ends_as_the_blocking_way_does() {
        let shell = |script: &str| Command::new("sh").args(["-c", script]);
        let output = shell("echo one; echo bad >&2").awaited().await.unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("one\n", "bad\n"));
        let (one, other) = (shell("echo no >&2; exit 7").awaited().await, shell("echo no >&2; exit 7").run());
        assert_eq!(one.unwrap_err().to_string(), other.unwrap_err().to_string());
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
