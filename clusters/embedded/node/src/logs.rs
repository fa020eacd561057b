//! Container logs: one file for each run, in the format of the container runtime interface
//! (`2026-01-02T03:04:05.000000006Z stdout F text`).

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};

mod lines;
pub(crate) use lines::{Filter, Line, Timestamps};

/// How long an entry's text may be; a longer line becomes several entries (containerd's
/// `max_container_log_line_size`).
const LONGEST: usize = 16 * 1024;

/// How much of a run's log is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    bytes: u64,
    open_streams: u8,
}

/// One run's log.
#[derive(Debug, Clone)]
pub(crate) struct RunLog {
    path: PathBuf,
    progress: watch::Receiver<Progress>,
}

/// The logs of one container: the present run's and the one before.
#[derive(Debug, Clone)]
pub(crate) struct ContainerLogs {
    directory: PathBuf,
    runs: Arc<Mutex<Vec<RunLog>>>,
}

/// Whether the present or the previous run is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    Present,
    Previous,
}

impl ContainerLogs {
    pub(crate) fn new(directory: PathBuf) -> ContainerLogs {
        ContainerLogs { directory, runs: Arc::default() }
    }

    /// Begins the log of a new run; the ends to be given to its process as stdout and stderr.
    pub(crate) fn begin(&self, number: u32) -> io::Result<(OwnedFd, OwnedFd)> {
        std::fs::create_dir_all(&self.directory)?;
        let path = self.directory.join(format!("{number}.log"));
        let file = Arc::new(Mutex::new(File::create(&path)?));
        let progress = watch::Sender::new(Progress { bytes: 0, open_streams: 2 });
        let (out_sender, out) = pipe::pipe()?;
        let (err_sender, err) = pipe::pipe()?;
        let receiver = progress.subscribe();
        let progress = Arc::new(progress);
        tokio::spawn(copy(out, "stdout", file.clone(), progress.clone()));
        tokio::spawn(copy(err, "stderr", file, progress));
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.push(RunLog { path, progress: receiver });
        if runs.len() > 2 {
            // As the kubelet keeps one dead container.
            let _ = std::fs::remove_file(runs.remove(0).path);
        }
        Ok((out_sender.into_blocking_fd()?, err_sender.into_blocking_fd()?))
    }

    pub(crate) fn run(&self, run: Run) -> Option<RunLog> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        match run {
            Run::Present => runs.last().cloned(),
            Run::Previous => runs.iter().rev().nth(1).cloned(),
        }
    }

    /// The last lines of the present run, for a termination message.
    pub(crate) fn last_lines(&self, lines: u64, bytes: usize) -> Option<String> {
        let text = std::fs::read(self.run(Run::Present)?.path).ok()?;
        let filter = Filter { tail: Some(lines), ..Filter::default() };
        let text: Vec<u8> = filter.apply(&text, Timestamp::now()).into_iter().flatten().collect();
        let start = text.len().saturating_sub(bytes);
        Some(String::from_utf8_lossy(&text[start..]).into_owned())
    }
}

/// Copies a stream to the log, line by line, until the last holder of its other end is gone.
async fn copy(
    stream: pipe::Receiver,
    name: &str,
    file: Arc<Mutex<File>>,
    progress: Arc<watch::Sender<Progress>>,
) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        let room = LONGEST + 1 - line.len();
        let read = (&mut stream).take(room as u64).read_until(b'\n', &mut line).await.unwrap_or_default();
        if read == 0 && line.is_empty() {
            break;
        }
        let end = if line.ends_with(b"\n") { line.len() } else { line.len().min(LONGEST) };
        let entry = lines::encode(Timestamp::now(), name, &line[..end]);
        line.drain(..end);
        // A full disk loses log lines and nothing else.
        let written = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&entry).is_ok();
        if written {
            progress.send_modify(|it| it.bytes += entry.len() as u64);
        }
    }
    progress.send_modify(|it| it.open_streams -= 1);
}

impl RunLog {
    /// Sends the log's lines as `filter` wants them, and with `follow` those written later, until the run's log is complete or the
    /// receiver is gone.
    pub(crate) async fn send(mut self, filter: Filter, follow: Follow, to: mpsc::Sender<Bytes>) {
        let mut budget = filter.limit;
        let mut progress = *self.progress.borrow_and_update();
        let Ok(text) = read_from(&self.path, 0, progress.bytes) else { return };
        let mut position = progress.bytes;
        let mut pending = filter.apply(&text, Timestamp::now());
        let following = filter.for_following();
        loop {
            for piece in pending.drain(..) {
                let piece = match &mut budget {
                    Some(left) => {
                        let piece = &piece[..piece.len().min(usize::try_from(*left).unwrap_or(usize::MAX))];
                        *left -= piece.len() as u64;
                        Bytes::copy_from_slice(piece)
                    }
                    None => Bytes::from(piece),
                };
                if piece.is_empty() || to.send(piece).await.is_err() {
                    return;
                }
            }
            if follow == Follow::No || progress.open_streams == 0 {
                return;
            }
            tokio::select! {
                () = to.closed() => return,
                changed = self.progress.changed() => if changed.is_err() { return },
            }
            progress = *self.progress.borrow_and_update();
            let Ok(text) = read_from(&self.path, position, progress.bytes) else { return };
            position = progress.bytes;
            pending = following.apply(&text, Timestamp::now());
        }
    }

    /// The lines written from now on, decoded, until the run's log is complete.
    pub(crate) async fn send_new_lines(mut self, to: mpsc::Sender<Line>) {
        let mut position = self.progress.borrow_and_update().bytes;
        loop {
            let progress = *self.progress.borrow_and_update();
            let Ok(text) = read_from(&self.path, position, progress.bytes) else { return };
            position = progress.bytes;
            for line in lines::decode(&text) {
                if to.send(line).await.is_err() {
                    return;
                }
            }
            if progress.open_streams == 0 || self.progress.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Whether a reader stays for what is written later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    Yes,
    No,
}

fn read_from(path: &Path, start: u64, end: u64) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; usize::try_from(end - start).unwrap_or_default()];
    File::open(path)?.read_exact_at(&mut buffer, start)?;
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// The entries of what a process writes to stdout, as tag and length of the text.
    #[rstest]
    #[case::short(b"one\ntwo".to_vec(), &[("F", 3), ("P", 3)])]
    #[case::longest([vec![b'x'; LONGEST], b"\n".to_vec()].concat(), &[("F", LONGEST)])]
    #[case::longer([vec![b'x'; LONGEST + 1], b"\n".to_vec()].concat(), &[("P", LONGEST), ("F", 1)])]
    #[case::endless(vec![b'x'; 2 * LONGEST + 1], &[("P", LONGEST), ("P", LONGEST), ("P", 1)])]
    #[tokio::test]
    async fn a_long_line_is_several_entries(#[case] written: Vec<u8>, #[case] expected: &[(&str, usize)]) {
        let directory = tempfile::tempdir().unwrap();
        let logs = ContainerLogs::new(directory.path().to_owned());
        let (out, _) = logs.begin(0).unwrap();
        let writing = tokio::task::spawn_blocking(move || File::from(out).write_all(&written).unwrap());
        let mut run = logs.run(Run::Present).unwrap();
        writing.await.unwrap();
        run.progress.wait_for(|it| it.open_streams == 0).await.unwrap();
        let text = std::fs::read_to_string(run.path).unwrap();
        let entry = |line: &'_ str| -> (String, usize) {
            let parts: Vec<&str> = line.splitn(4, ' ').collect();
            (parts[2].to_owned(), parts[3].len())
        };
        let entries: Vec<_> = text.lines().map(entry).collect();
        let expected: Vec<_> = expected.iter().map(|(tag, length)| ((*tag).to_owned(), *length)).collect();
        assert_eq!(entries, expected);
    }
}
