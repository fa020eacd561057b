//! Processes that this house started.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Asks process `pid` to end (SIGTERM); one that has ended already is fine.
///
/// # Errors
/// The kernel's, such as a process of somebody else.
pub fn end_process(pid: u32) -> std::io::Result<()> {
    let pid = i32::try_from(pid).map_err(std::io::Error::other)?;
    match kill(Pid::from_raw(pid), Signal::SIGTERM) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Blocks until nobody can read any more what is written into the pipe `writer`.
///
/// # Errors
/// The kernel's.
pub fn wait_until_unread(writer: impl AsFd) -> std::io::Result<()> {
    // No event is asked for: the end of the last reader is always reported.
    let mut watched = [PollFd::new(writer.as_fd(), PollFlags::empty())];
    loop {
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_reader_is_seen() {
        let (reader, writer) = std::io::pipe().unwrap();
        let watcher = std::thread::spawn(move || wait_until_unread(writer));
        assert!(!watcher.is_finished());
        drop(reader);
        watcher.join().unwrap().unwrap();
    }
}
