//! Running a program from asynchronous code.

use std::process::Stdio;

use super::{Command, CommandError, Output};

impl Command {
    /// Runs the program to its end. It is killed when nobody waits for that any more: who gives up on it can rely on its
    /// changing nothing from then on.
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

    #[tokio::test]
    async fn who_gives_up_on_it_has_killed_it() {
        let (writer, mut reader) = tokio::net::unix::pipe::pipe().unwrap();
        let writer = writer.into_blocking_fd().unwrap();
        let handle = std::os::fd::AsRawFd::as_raw_fd(&writer);
        let path = format!("/proc/{}/fd/{handle}", std::process::id());
        // The program holds the pipe open for as long as it lives.
        let script = format!("exec 3>{path}; echo up >&3; exec tail -f /dev/null");
        let command = Command::new("sh").args(["-c", &script]);
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
