//! Removing real clusters that nobody uses any more.

use std::path::Path;

use super::ledger::{Entry, Found, Ledger, State, names};
use super::{RealError, RealName, down};

/// What became of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swept {
    /// Somebody uses it.
    InUse,
    /// Nobody uses it, but somebody may until then: seconds from now.
    Idle(u64),
    /// Nobody used it: it is gone.
    Gone,
    /// Nobody uses it, and it could not be removed.
    Left(String),
}

/// Looks at every real cluster below `directory`, and removes those that nobody uses, or may use any more. Those that are
/// `named` are removed even when somebody could still reuse them.
///
/// # Errors
/// That the directory cannot be read.
pub fn sweep(
    directory: &Path,
    named: &[String],
    say: &dyn Fn(&str),
) -> std::io::Result<Vec<(RealName, Swept)>> {
    let asked = |name: &RealName| named.iter().any(|one| one == name.as_str());
    let mut swept = Vec::new();
    for name in names(directory)?.into_iter().filter(|name| named.is_empty() || asked(name)) {
        let outcome = match Ledger::find(directory, &name) {
            Ok(Found::Absent) => continue,
            Ok(Found::InUse) => Swept::InUse,
            Ok(Found::Blank(ledger)) => ledger.close().map(|()| Swept::Gone)?,
            // It says nothing of the others.
            Err(error) => Swept::Left(error.to_string()),
            Ok(Found::Abandoned(ledger, entry)) => match entry.is_kept() && !asked(&name) {
                true => Swept::Idle(entry.left()),
                false => match end(ledger, &entry, say) {
                    Ok(()) => Swept::Gone,
                    Err(error) => Swept::Left(error.to_string()),
                },
            },
        };
        swept.push((name, outcome));
    }
    Ok(swept)
}

/// Ends an abandoned cluster and removes its ledger.
pub(super) fn end(ledger: Ledger, entry: &Entry, say: &dyn Fn(&str)) -> Result<(), RealError> {
    if entry.state != State::Looked {
        say(&format!("remove the {} cluster {}, which nobody uses", entry.provider, entry.name));
        down(entry, ledger.home()).carry_out_programs()?;
    }
    let directory = ledger.home().directory().to_owned();
    let name = entry.name.to_string();
    ledger.close().map_err(|source| RealError::Ledger { name, directory, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::Provider;

    #[test]
    fn a_ledger_that_cannot_be_read_keeps_no_other_from_being_swept() {
        let directory = tempfile::tempdir().unwrap();
        let illegible = directory.path().join("a");
        std::fs::create_dir(&illegible).unwrap();
        std::fs::write(illegible.join("ledger.json"), "of another time").unwrap();
        let entry = Entry {
            name: RealName::parse("b").unwrap(),
            provider: Provider::K3d,
            owner: "anna.host.7".into(),
            network: None,
            shape: "flannel".into(),
            idle_until: None,
            state: State::Looked,
        };
        Ledger::begin(directory.path(), &entry).unwrap().abandon();
        let swept = sweep(directory.path(), &[], &|what| panic!("{what}")).unwrap();
        let [(a, Swept::Left(why)), (b, Swept::Gone)] = &swept[..] else { panic!("{swept:?}") };
        assert_eq!([a.as_str(), b.as_str()], ["a", "b"]);
        assert!(why.contains("end its cluster by hand, then remove the file"), "{why}");
        assert_eq!(names(directory.path()).unwrap().len(), 1);
    }
}
