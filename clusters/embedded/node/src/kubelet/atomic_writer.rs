//! Directories whose files change all at once, as the kubelet's AtomicWriter makes them.
//!
//! `key` is a link to `..data/key`, `..data` a link to `..<number>`, which holds the files. A program that watches the
//! directory sees `..data` change, exactly as on a real node.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) mode: u32,
}

/// Files by relative path.
pub(crate) type Payload = BTreeMap<String, Content>;

/// Whether a write changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Changed,
    AsBefore,
}

/// Makes `directory` show `payload` and nothing else.
pub(crate) fn write(directory: &Path, payload: &Payload) -> io::Result<Written> {
    fs::create_dir_all(directory)?;
    let current = fs::read_link(directory.join("..data")).ok();
    if current.as_ref().is_some_and(|it| shows(&directory.join(it), payload)) {
        return Ok(Written::AsBefore);
    }
    let number =
        current.as_ref().and_then(|it| it.to_str()?.trim_start_matches('.').parse::<u64>().ok()).unwrap_or(0);
    let name = format!("..{}", number + 1);
    let fresh = directory.join(&name);
    fs::create_dir_all(&fresh)?;
    for (path, content) in payload {
        let path = fresh.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, &content.bytes)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(content.mode))?;
    }
    let temporary = directory.join("..data_tmp");
    symlink(&name, &temporary)?;
    fs::rename(&temporary, directory.join("..data"))?;
    update_links(directory, payload)?;
    if let Some(old) = current {
        fs::remove_dir_all(directory.join(old))?;
    }
    Ok(Written::Changed)
}

fn update_links(directory: &Path, payload: &Payload) -> io::Result<()> {
    let wanted: std::collections::BTreeSet<&str> =
        payload.keys().map(|path| path.split('/').next().unwrap_or(path)).collect();
    for name in &wanted {
        let link = directory.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(PathBuf::from("..data").join(name), &link)?;
        }
    }
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if !name.to_string_lossy().starts_with("..") && !wanted.contains(name.to_string_lossy().as_ref()) {
            fs::remove_file(directory.join(name))?;
        }
    }
    Ok(())
}

fn shows(directory: &Path, payload: &Payload) -> bool {
    fn count(directory: &Path) -> usize {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|it| if it.path().is_dir() { count(&it.path()) } else { 1 }).sum()
    }
    count(directory) == payload.len()
        && payload
            .iter()
            .all(|(path, content)| fs::read(directory.join(path)).is_ok_and(|it| it == content.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        files
            .iter()
            .map(|(path, text)| {
                ((*path).to_owned(), Content { bytes: text.as_bytes().to_vec(), mode: 0o644 })
            })
            .collect()
    }

    #[test]
    fn files_come_change_and_go() {
        let directory = tempfile::tempdir().unwrap();
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).ok();
        assert_eq!(write(directory.path(), &payload(&[("a", "1"), ("d/b", "2")])).unwrap(), Written::Changed);
        assert_eq!((read("a").as_deref(), read("d/b").as_deref()), (Some("1"), Some("2")));
        assert_eq!(
            write(directory.path(), &payload(&[("a", "1"), ("d/b", "2")])).unwrap(),
            Written::AsBefore
        );
        assert_eq!(write(directory.path(), &payload(&[("a", "3")])).unwrap(), Written::Changed);
        assert_eq!((read("a").as_deref(), read("d/b")), (Some("3"), None));
        let generations = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(generations, 3, "`a`, `..data` and one generation");
    }
}
