//! Files by which real clusters are found again, whatever becomes of the process that started them.
//!
//! Each cluster has a directory with a ledger file, written before anything of the cluster exists. Whoever uses the
//! cluster holds a lock on that file, and so does every program that is run for it: a ledger that can be locked belongs
//! to nobody any more, however that came.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use embedded::Profile;
use serde::{Deserialize, Serialize};

use super::{Home, Provider, RealName};
use crate::cache::Cache;
use crate::plan::OWNER_LABEL;

/// Below the cache directory.
const DIRECTORY: &str = "real-clusters";
/// In a cluster's directory.
const FILE: &str = "ledger.json";

/// The directory of all real clusters of a cache.
pub fn real_clusters(cache: &Cache) -> PathBuf {
    cache.directory().join(DIRECTORY)
}

/// What is known of a real cluster before it exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) name: RealName,
    /// Who started it.
    pub(crate) provider: Provider,
    /// Its label: another cluster of that name is left alone.
    pub(crate) owner: String,
    /// Its network; older ledgers do not say.
    #[serde(default)]
    pub(crate) network: Option<Profile>,
    /// What it was asked to be, for those who would reuse it.
    pub(crate) shape: String,
    /// When nobody may use it any more: seconds since 1970. None: it ends with its user.
    pub(crate) idle_until: Option<u64>,
    /// How far it has come.
    pub(crate) state: State,
}

impl Entry {
    /// Whether it is up, and not idle for too long.
    pub(crate) fn is_kept(&self) -> bool {
        self.state == State::Ready && self.left() > 0
    }

    /// For how many seconds it may be idle yet.
    pub(crate) fn left(&self) -> u64 {
        self.idle_until.map_or(0, |until| until.saturating_sub(seconds(SystemTime::now())))
    }
}

/// How far a cluster has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// It was only looked whether it can be: nothing of it exists.
    Looked,
    /// Something of it may exist.
    Begun,
    /// It is up, and can be used.
    Ready,
}

/// Who starts a cluster, when, and for how long: its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    owner: String,
    made: String,
    lease: String,
}

impl Stamp {
    /// Of this process, now.
    pub fn now(lease: Option<Duration>) -> Stamp {
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective()).ok().flatten();
        let user = user.map_or_else(|| nix::unistd::Uid::effective().to_string(), |user| user.name);
        let host = nix::unistd::gethostname().unwrap_or_default();
        Stamp {
            owner: format!("{user}.{}.{}", host.display(), std::process::id()),
            made: seconds(SystemTime::now()).to_string(),
            lease: lease.map_or("its-process".into(), |lease| format!("{}s-idle", lease.as_secs())),
        }
    }

    /// Of a process that does not exist: what a dry run prints.
    pub fn unknown(lease: Option<Duration>) -> Stamp {
        Stamp { owner: "USER.HOST.PROCESS".into(), made: "SECONDS".into(), ..Stamp::now(lease) }
    }

    /// Who started it.
    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }

    /// As labels of a container.
    pub(crate) fn labels(&self) -> Vec<(&'static str, String)> {
        vec![
            (OWNER_LABEL, self.owner.clone()),
            ("seldon-conformance.made", self.made.clone()),
            ("seldon-conformance.lease", self.lease.clone()),
        ]
    }
}

pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A ledger that nobody else has.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: File,
    home: Home,
}

/// How a ledger stands.
#[derive(Debug)]
pub(crate) enum Found {
    /// There is none.
    Absent,
    /// Somebody uses the cluster.
    InUse,
    /// Nobody does.
    Abandoned(Ledger, Box<Entry>),
    /// Nobody does, and nothing was written before its writer was killed: nothing had been started either.
    Blank(Ledger),
}

impl Ledger {
    /// Takes the ledger of `name`, whatever state it is in.
    pub(crate) fn find(directory: &Path, name: &RealName) -> io::Result<Found> {
        let home = Home::of(directory, name);
        let mut file = match File::options().read(true).write(true).open(home.file(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Found::InUse),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Its last user may have removed it while it was opened here.
        if !home.file(FILE).exists() {
            return Ok(Found::Absent);
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let ledger = Ledger { file, home };
        if text.is_empty() {
            return Ok(Found::Blank(ledger));
        }
        let entry = parse(&text).map_err(|error| {
            let file = ledger.home.file(FILE);
            io::Error::other(format!(
                "{} is no ledger that this version can read ({error}); end its cluster by hand, then remove the file",
                file.display()
            ))
        })?;
        Ok(Found::Abandoned(ledger, Box::new(entry)))
    }

    /// What the ledger of `name` says, whoever has it; `None` when nothing was written.
    pub(crate) fn peek(directory: &Path, name: &RealName) -> Option<Entry> {
        parse(&fs::read_to_string(Home::of(directory, name).file(FILE)).ok()?).ok()
    }

    /// Begins a ledger where there is none.
    pub(crate) fn begin(directory: &Path, entry: &Entry) -> io::Result<Ledger> {
        let home = Home::of(directory, &entry.name);
        fs::create_dir_all(home.directory())?;
        let file = File::options().read(true).write(true).create_new(true).open(home.file(FILE))?;
        file.try_lock()?;
        let mut ledger = Ledger { file, home };
        ledger.write(entry)?;
        Ok(ledger)
    }

    /// Writes it anew.
    pub(crate) fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let text = serde_json::to_string(entry)?;
        // Never empty in between: an empty ledger means that nothing was started.
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        self.file.set_len(text.len() as u64)?;
        self.file.sync_all()
    }

    /// Removes it, and every other file of the cluster.
    pub(crate) fn close(self) -> io::Result<()> {
        fs::remove_dir_all(self.home.directory())
    }

    /// The file, whose lock the cluster's programs share.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The directory it is in.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }
}

/// The first value counts: a writer that was killed may have left the end of a longer text behind it.
fn parse(text: &str) -> serde_json::Result<Entry> {
    let first = serde_json::Deserializer::from_str(text).into_iter().next();
    first.unwrap_or_else(|| Err(serde::de::Error::custom("it is empty")))
}

/// The names of all clusters below `directory`.
pub(crate) fn names(directory: &Path) -> io::Result<Vec<RealName>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names: Vec<RealName> = entries
        .filter_map(|entry| RealName::parse(&entry.ok()?.file_name().to_string_lossy()).ok())
        .collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
impl Ledger {
    /// Leaves it behind. What another test is just starting has every file of this process open until it runs its own
    /// program: returns when nobody has this one.
    pub(crate) fn abandon(self) {
        let file = self.home.file(FILE);
        drop(self);
        let began = std::time::Instant::now();
        while File::open(&file).unwrap().try_lock().is_err() {
            assert!(
                began.elapsed() < std::time::Duration::from_secs(60),
                "somebody keeps {}",
                file.display()
            );
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let name = RealName::parse("a").unwrap();
        let (owner, shape) = ("anna.host.7".into(), "flannel".into());
        let (provider, network) = (Provider::K3d, Some(Profile::Flannel));
        Entry { name, provider, owner, network, shape, idle_until: None, state: State::Begun }
    }

    #[test]
    fn a_ledger_is_in_use_as_long_as_anybody_has_it_open() {
        let directory = tempfile::tempdir().unwrap();
        let name = entry().name;
        assert!(matches!(Ledger::find(directory.path(), &name).unwrap(), Found::Absent));
        let ledger = Ledger::begin(directory.path(), &entry()).unwrap();
        assert!(matches!(Ledger::find(directory.path(), &name).unwrap(), Found::InUse));
        let file = ledger.file().try_clone().unwrap();
        let program = Ledger { file, home: Home::of(directory.path(), &name) };
        drop(ledger);
        assert!(matches!(Ledger::find(directory.path(), &name).unwrap(), Found::InUse));
        program.abandon();
        let Found::Abandoned(ledger, found) = Ledger::find(directory.path(), &name).unwrap() else {
            panic!()
        };
        assert_eq!(*found, entry());
        assert_eq!(names(directory.path()).unwrap(), std::slice::from_ref(&name));
        ledger.close().unwrap();
        assert!(matches!(Ledger::find(directory.path(), &name).unwrap(), Found::Absent));
    }

    #[test]
    fn a_ledger_that_is_there_is_not_begun_again() {
        let directory = tempfile::tempdir().unwrap();
        let _first = Ledger::begin(directory.path(), &entry()).unwrap();
        assert_eq!(
            Ledger::begin(directory.path(), &entry()).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
    }

    #[test]
    fn a_shorter_ledger_over_a_longer_one_is_read_though_its_writer_was_killed() {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::begin(directory.path(), &entry()).unwrap();
        let ready = Entry { state: State::Ready, ..entry() };
        ledger.write(&ready).unwrap();
        let file = ledger.home().file(FILE);
        ledger.abandon();
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}\"}}")).unwrap();
        let Found::Abandoned(_, found) = Ledger::find(directory.path(), &ready.name).unwrap() else {
            panic!()
        };
        assert_eq!(*found, ready);
    }

    #[test]
    fn what_is_no_ledger_is_named_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::begin(directory.path(), &entry()).unwrap();
        let file = ledger.home().file(FILE);
        ledger.abandon();
        fs::write(&file, r#"{"name":"a","provider":"k4s"}"#).unwrap();
        let error = Ledger::find(directory.path(), &entry().name).unwrap_err().to_string();
        assert!(
            error.contains("ledger.json is no ledger that this version can read (unknown variant `k4s`"),
            "{error}"
        );
        assert!(file.exists());
    }

    #[test]
    fn what_was_killed_before_it_wrote_is_blank() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::begin(directory.path(), &entry()).unwrap();
        ledger.file().set_len(0).unwrap();
        ledger.abandon();
        assert!(matches!(Ledger::find(directory.path(), &entry().name).unwrap(), Found::Blank(_)));
    }
}
