//! `kubectl exec`: a command beside a container's process, with pipes or a terminal.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use bytes::{Buf as _, Bytes};
use embedded_api::{ExecExit, ExecOutput, NodeError, TerminalSize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use crate::container::{Process, Stdio, Terminal};
use crate::kubelet::{KillOnDrop, Running, exec_request};

/// What a terminal reads as the end of its input.
const END_OF_FILE: Bytes = Bytes::from_static(&[4]);

fn failed(error: impl std::fmt::Display) -> NodeError {
    NodeError::Internal(format!("error executing command in container: failed to exec in container: {error}"))
}

fn not_started(error: impl std::fmt::Display) -> NodeError {
    let why = format!(
        "failed to start exec: OCI runtime exec failed: exec failed: unable to start container process: {error}: unknown"
    );
    failed(why)
}

/// Runs a command with pipes for its streams.
pub(super) async fn with_pipes(
    running: &Running,
    command: Vec<String>,
    stdin: Option<mpsc::Receiver<Bytes>>,
    output: mpsc::Sender<ExecOutput>,
) -> Result<ExecExit, NodeError> {
    let (out_sender, out) = pipe::pipe().map_err(failed)?;
    let (err_sender, err) = pipe::pipe().map_err(failed)?;
    let input = match stdin {
        Some(stdin) => {
            let (sender, receiver) = pipe::pipe().map_err(failed)?;
            tokio::spawn(feed(stdin, sender));
            Some(receiver.into_blocking_fd().map_err(failed)?)
        }
        None => None,
    };
    let streams = Stdio {
        input,
        output: out_sender.into_blocking_fd().map_err(failed)?,
        error: err_sender.into_blocking_fd().map_err(failed)?,
    };
    let request = exec_request(running, command, Terminal::None);
    let process = Process::start(request, None, streams).await.map_err(not_started)?;
    let guard = KillOnDrop(&process);
    let (sent_out, sent_err) =
        tokio::join!(pump(out, &output, ExecOutput::Stdout), pump(err, &output, ExecOutput::Stderr));
    if sent_out.and(sent_err).is_err() {
        return Err(failed("the caller has left"));
    }
    let code = process.ended().await;
    std::mem::forget(guard);
    Ok(ExecExit { code })
}

/// What the caller types; the pipe closes when the caller's input ends.
async fn feed(mut stdin: mpsc::Receiver<Bytes>, mut to: pipe::Sender) {
    while let Some(bytes) = stdin.recv().await {
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// The caller has left.
struct Left;

async fn pump(
    mut from: pipe::Receiver,
    to: &mpsc::Sender<ExecOutput>,
    wrap: fn(Bytes) -> ExecOutput,
) -> Result<(), Left> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            () = to.closed() => return Err(Left),
            read = from.read(&mut buffer) => read,
        };
        match read {
            Ok(0) | Err(_) => return Ok(()),
            Ok(length) => to.send(wrap(Bytes::copy_from_slice(&buffer[..length]))).await.map_err(|_| Left)?,
        }
    }
}

/// Runs a command in a terminal of its own.
pub(super) async fn in_terminal(
    running: &Running,
    command: Vec<String>,
    stdin: Option<mpsc::Receiver<Bytes>>,
    output: mpsc::Sender<ExecOutput>,
    resize: mpsc::Receiver<TerminalSize>,
) -> Result<ExecExit, NodeError> {
    let pair = nix::pty::openpty(None, None).map_err(failed)?;
    let slave = pair.slave;
    let streams = Stdio {
        output: slave.try_clone().map_err(failed)?,
        error: slave.try_clone().map_err(failed)?,
        input: Some(slave),
    };
    let master = watch(pair.master)?;
    let request = exec_request(running, command, Terminal::Controlling);
    let process = Process::start(request, None, streams).await.map_err(not_started)?;
    let guard = KillOnDrop(&process);
    carry(&master, stdin, output, resize).await?;
    let code = process.ended().await;
    std::mem::forget(guard);
    Ok(ExecExit { code })
}

/// Carries bytes both ways until the last process has left the terminal.
async fn carry(
    master: &AsyncFd<OwnedFd>,
    mut stdin: Option<mpsc::Receiver<Bytes>>,
    output: mpsc::Sender<ExecOutput>,
    mut resize: mpsc::Receiver<TerminalSize>,
) -> Result<(), NodeError> {
    let mut buffer = vec![0; 16 * 1024];
    let mut resizes = true;
    // What is typed and not yet taken. Whoever waits for room must go on reading: the terminal echoes.
    let mut ahead = Bytes::new();
    loop {
        tokio::select! {
            () = output.closed() => return Err(failed("the caller has left")),
            read = read(master, &mut buffer) => match read {
                // A terminal whose last process has left reads as an error.
                Ok(0) | Err(_) => return Ok(()),
                Ok(length) => {
                    let piece = ExecOutput::Stdout(Bytes::copy_from_slice(&buffer[..length]));
                    output.send(piece).await.map_err(|_| failed("the caller has left"))?;
                }
            },
            typed = typed(&mut stdin), if ahead.is_empty() => match typed {
                Some(bytes) => ahead = bytes,
                None => {
                    stdin = None;
                    ahead = END_OF_FILE;
                }
            },
            written = write(master, &ahead), if !ahead.is_empty() => ahead.advance(written.map_err(failed)?),
            size = resize.recv(), if resizes => match size {
                Some(size) => set_size(master.get_ref(), size),
                None => resizes = false,
            },
        }
    }
}

#[expect(unsafe_code, reason = "AsyncFd wants a promise about the descriptor's life that OwnedFd keeps")]
fn watch(fd: OwnedFd) -> Result<AsyncFd<OwnedFd>, NodeError> {
    set_nonblocking(&fd).map_err(failed)?;
    // SAFETY: the value owns its descriptor, and nothing closes or replaces it while the AsyncFd holds it.
    unsafe { AsyncFd::register(fd) }.map_err(failed)
}

async fn typed(stdin: &mut Option<mpsc::Receiver<Bytes>>) -> Option<Bytes> {
    match stdin {
        Some(stdin) => stdin.recv().await,
        None => std::future::pending().await,
    }
}

async fn read(master: &AsyncFd<OwnedFd>, buffer: &mut [u8]) -> io::Result<usize> {
    master
        .async_io(tokio::io::Interest::READABLE, |fd| nix::unistd::read(fd, buffer).map_err(Into::into))
        .await
}

async fn write(master: &AsyncFd<OwnedFd>, bytes: &[u8]) -> io::Result<usize> {
    master
        .async_io(tokio::io::Interest::WRITABLE, |fd| nix::unistd::write(fd, bytes).map_err(Into::into))
        .await
}

fn set_nonblocking(fd: &OwnedFd) -> nix::Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop)
}

#[expect(unsafe_code, reason = "nix has no wrapper for TIOCSWINSZ")]
fn set_size(master: &OwnedFd, size: TerminalSize) {
    let size = libc::winsize { ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open and the structure lives through the call. A refusal leaves the old size.
    unsafe {
        libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The terminal echoes and the program answers while more is typed than fits on the way.
    #[tokio::test]
    async fn a_terminal_takes_all_that_is_typed() {
        const LINE: &[u8] = b"a line of some forty characters, typed in\n";
        const LINES: usize = 5000;
        let pair = nix::pty::openpty(None, None).unwrap();
        let master = watch(pair.master).unwrap();
        let mut tr = std::process::Command::new("tr");
        let streams = tr.args(["a-z", "A-Z"]).stdin(pair.slave.try_clone().unwrap()).stdout(pair.slave);
        let mut program = streams.spawn().unwrap();
        // It holds the terminal open.
        drop(tr);
        let (typing, stdin) = mpsc::channel(2);
        let (output, mut heard) = mpsc::channel(2);
        let (_, resize) = mpsc::channel(1);
        typing.try_send(Bytes::from(LINE.repeat(LINES))).unwrap();
        drop(typing);
        let hearing = async {
            let mut letters = 0;
            while let Some(ExecOutput::Stdout(bytes)) = heard.recv().await {
                // The echo is in small letters.
                letters += bytes.iter().filter(|byte| byte.is_ascii_uppercase()).count();
            }
            letters
        };
        let both = async { tokio::join!(carry(&master, Some(stdin), output, resize), hearing) };
        let both = tokio::time::timeout(Duration::from_secs(20), both);
        let (carried, letters) = both.await.expect("reading goes on while writing waits");
        carried.unwrap();
        assert_eq!(letters, LINES * LINE.iter().filter(|byte| byte.is_ascii_alphabetic()).count());
        assert!(program.wait().unwrap().success());
    }
}
