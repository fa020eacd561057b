//! Real clusters that there are, and whether anybody uses them.

use std::io;
use std::path::{Path, PathBuf};

use embedded::Profile;
use kube::config::Kubeconfig;

use super::ledger::{Found, Ledger, State, names};
use super::{Home, Provider, RealName};

/// A real cluster that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: RealName,
    /// Who started it.
    pub provider: Provider,
    /// Its network, where that is known.
    pub network: Option<Profile>,
    /// Whether anybody uses it.
    pub usage: Usage,
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
    /// The address of its API server, where the kubeconfig is there.
    pub server: Option<String>,
}

/// Whether anybody uses a real cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Somebody does.
    InUse,
    /// Somebody brings it up.
    ComingUp,
    /// Nobody does, but somebody may until then: seconds since 1970.
    IdleUntil(u64),
    /// Nobody does, and nobody may any more.
    Abandoned,
}

/// Every real cluster below `directory`, by name. One whose ledger cannot be read is said.
///
/// # Errors
/// That the directory cannot be read.
pub fn list_real(directory: &Path, say: &dyn Fn(&str)) -> io::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for name in names(directory)? {
        let (entry, usage) = match Ledger::find(directory, &name) {
            Err(error) => {
                say(&error.to_string());
                continue;
            }
            // Nothing of it exists, or nothing was written yet.
            Ok(Found::Absent | Found::Blank(_)) => continue,
            Ok(Found::Abandoned(_, entry)) if entry.is_kept() => {
                let until = entry.idle_until.unwrap_or_default();
                (*entry, Usage::IdleUntil(until))
            }
            Ok(Found::Abandoned(_, entry)) => (*entry, Usage::Abandoned),
            Ok(Found::InUse) => match Ledger::peek(directory, &name) {
                None => continue,
                Some(entry) if entry.state == State::Ready => (entry, Usage::InUse),
                Some(entry) => (entry, Usage::ComingUp),
            },
        };
        let kubeconfig = Home::of(directory, &name).kubeconfig();
        let (provider, network) = (entry.provider, entry.network);
        let server = server(&kubeconfig);
        listed.push(Listed { name, provider, network, usage, kubeconfig, server });
    }
    Ok(listed)
}

fn server(kubeconfig: &Path) -> Option<String> {
    // One that is not there yet is no cluster's that can be reached.
    let document = Kubeconfig::read_from(kubeconfig).ok()?;
    document.clusters.into_iter().next()?.cluster?.server
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::ledger::Entry;

    #[test]
    fn what_is_used_is_told_from_what_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let begin = |name: &str, state: State, idle_until: Option<u64>| {
            let name = RealName::parse(name).unwrap();
            let (owner, shape) = ("anna.host.7".into(), "flannel".into());
            let (provider, network) = (Provider::K3d, Some(Profile::Calico));
            let entry = Entry { name, provider, owner, network, shape, idle_until, state };
            Ledger::begin(directory.path(), &entry).unwrap()
        };
        let never = u64::MAX;
        let _held = [begin("a", State::Ready, Some(never)), begin("b", State::Begun, None)];
        begin("c", State::Ready, Some(never)).abandon();
        begin("d", State::Ready, Some(1)).abandon();
        let illegible = directory.path().join("cc");
        std::fs::create_dir(&illegible).unwrap();
        std::fs::write(illegible.join("ledger.json"), "of another time").unwrap();
        let said = std::cell::RefCell::new(Vec::new());
        let listed = list_real(directory.path(), &|what| said.borrow_mut().push(what.to_owned())).unwrap();
        let [said] = &said.take()[..] else { panic!("one cannot be read") };
        assert!(said.contains("cc/ledger.json is no ledger that this version can read"), "{said}");
        let seen: Vec<(&str, Usage)> = listed.iter().map(|one| (one.name.as_str(), one.usage)).collect();
        assert_eq!(
            seen,
            [
                ("a", Usage::InUse),
                ("b", Usage::ComingUp),
                ("c", Usage::IdleUntil(never)),
                ("d", Usage::Abandoned)
            ]
        );
        assert!(listed.iter().all(|one| one.network == Some(Profile::Calico) && one.server.is_none()));
    }
}
