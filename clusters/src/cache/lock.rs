//! One installer at a time.

use std::fs::{self, File, TryLockError};
use std::io;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use super::{Cache, CacheError};
use crate::onlooker::Onlooker;

/// How often somebody's wish to stop is looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// Holding this means being the only installer on this cache.
#[derive(Debug)]
pub struct Guard {
    _file: File,
}

impl Cache {
    /// Waits for other installers, then lets this one work until the guard is dropped; `onlooker` is told when there is one
    /// to wait for.
    ///
    /// # Errors
    /// [`CacheError::Unwritable`], and that the onlooker waits no longer.
    pub fn lock(&self, onlooker: &Onlooker<'_>) -> Result<Guard, CacheError> {
        let open = || {
            fs::create_dir_all(&self.directory)?;
            File::options().create(true).truncate(false).write(true).open(self.directory.join("lock"))
        };
        let file = open().map_err(|source| self.unwritable(source))?;
        match file.try_lock() {
            Ok(()) => Ok(Guard { _file: file }),
            Err(TryLockError::WouldBlock) => {
                onlooker.tell("waiting for another run that provisions programs");
                self.wait(file, onlooker)
            }
            Err(TryLockError::Error(error)) => Err(self.unwritable(error)),
        }
    }

    fn wait(&self, file: File, onlooker: &Onlooker<'_>) -> Result<Guard, CacheError> {
        let (tell, told) = sync_channel(1);
        // Nothing ends that wait but the lock, which it then gives back when nobody is there any more to be told.
        thread::spawn(move || tell.send(file.lock().map(|()| file)));
        loop {
            onlooker.go_on()?;
            match told.recv_timeout(GLANCE) {
                Ok(locked) => return Ok(Guard { _file: locked.map_err(|source| self.unwritable(source))? }),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.unwritable(io::Error::other("the wait for its lock ended")));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_installer_says_that_it_waits() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let nobody = |_: &str| panic!("nobody is before the first");
        let first = cache.lock(&Onlooker::patient(&nobody)).unwrap();
        let (told, heard) = std::sync::mpsc::channel();
        let second = std::thread::spawn({
            let cache = cache.clone();
            move || {
                let hear = |line: &str| told.send(line.to_owned()).unwrap();
                cache.lock(&Onlooker::patient(&hear)).map(drop)
            }
        });
        heard.recv().unwrap();
        assert!(!second.is_finished());
        drop(first);
        second.join().unwrap().unwrap();
    }

    #[test]
    fn an_installer_that_waits_can_be_told_to_stop() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path().to_owned());
        let first = cache.lock(&Onlooker::patient(&|_| {})).unwrap();
        let waits = std::cell::Cell::new(false);
        let (hear, stop) = (|_: &str| waits.set(true), || waits.get());
        let error = cache.lock(&Onlooker::new(&hear, &stop)).unwrap_err();
        assert!(matches!(error, CacheError::Interrupted(_)), "{error}");
        // Whoever waited for it no more does not keep it, either.
        drop(first);
        cache.lock(&Onlooker::patient(&|_| {})).unwrap();
    }
}
