//! One layer: paths of an image, and where their content comes from.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use crate::{ImageError, libraries};

/// What is at a path of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A directory with these permissions.
    Directory(u32),
    /// A file of the host.
    File {
        /// Where it is on the host.
        source: PathBuf,
        /// Its permissions in the image.
        mode: u32,
    },
    /// A file with this text, readable by all.
    Text(String),
    /// A symbolic link to this path.
    Link(String),
}

/// Files by their absolute path in the image. Directories above them come by themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer {
    entries: BTreeMap<PathBuf, Entry>,
}

impl Layer {
    /// Puts `entry` at `path`; what was there gives way.
    pub fn add(&mut self, path: impl Into<PathBuf>, entry: Entry) {
        self.entries.insert(path.into(), entry);
    }

    /// The paths that something was put at.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.entries.keys().map(PathBuf::as_path)
    }

    /// Puts the host's program `source` at `path`, and the libraries that it is linked with at their own paths.
    ///
    /// # Errors
    /// The program cannot be read.
    pub fn add_program(&mut self, path: impl Into<PathBuf>, source: &Path) -> Result<(), ImageError> {
        let source = real(source)?;
        self.add(path, Entry::File { source: source.clone(), mode: 0o755 });
        self.add_libraries_of(&[source])
    }

    /// Puts everything below the host's `directory` at its own path, and the libraries of what is linked there.
    /// Directories called by one of `without` are left out.
    ///
    /// # Errors
    /// Something below cannot be read.
    pub fn add_tree(&mut self, directory: &Path, without: &[&str]) -> Result<(), ImageError> {
        let mut linked = Vec::new();
        self.walk(directory, without, &mut linked)?;
        self.add_libraries_of(&linked)
    }

    fn walk(
        &mut self,
        directory: &Path,
        without: &[&str],
        linked: &mut Vec<PathBuf>,
    ) -> Result<(), ImageError> {
        let unreadable = |source| ImageError::Read { path: directory.to_owned(), source };
        self.add(directory, Entry::Directory(0o755));
        for found in fs::read_dir(directory).map_err(unreadable)? {
            let found = found.map_err(unreadable)?;
            let path = found.path();
            let kind = found.file_type().map_err(unreadable)?;
            if kind.is_symlink() {
                let target = fs::read_link(&path).map_err(unreadable)?;
                self.add(path, Entry::Link(target.to_string_lossy().into_owned()));
            } else if kind.is_dir() {
                if !without.iter().any(|name| found.file_name() == *name) {
                    self.walk(&path, without, linked)?;
                }
            } else if kind.is_file() {
                let executable = found.metadata().map_err(unreadable)?.permissions().mode() & 0o111 != 0;
                if libraries::is_shared_object(&path) {
                    linked.push(path.clone());
                }
                let mode = if executable { 0o755 } else { 0o644 };
                self.add(path.clone(), Entry::File { source: path, mode });
            }
        }
        Ok(())
    }

    fn add_libraries_of(&mut self, programs: &[PathBuf]) -> Result<(), ImageError> {
        for library in libraries::of(programs)? {
            if !self.entries.contains_key(&library) {
                let source = real(&library)?;
                self.add(library, Entry::File { source, mode: 0o755 });
            }
        }
        Ok(())
    }

    /// Writes the layer as a tar, in the order of its paths, directories before what is in them.
    pub(crate) fn write(&self, output: impl Write) -> Result<(), ImageError> {
        let mut tar = Builder::new(output);
        let mut made: Vec<PathBuf> = Vec::new();
        for (path, entry) in &self.entries {
            let parents: Vec<&Path> = path.ancestors().skip(1).collect();
            for parent in parents.into_iter().rev().filter(|parent| parent.parent().is_some()) {
                if !self.entries.contains_key(parent) && !made.iter().any(|known| known == parent) {
                    append(&mut tar, parent, &Entry::Directory(0o755)).map_err(of(parent))?;
                    made.push(parent.to_owned());
                }
            }
            append(&mut tar, path, entry).map_err(of(path))?;
        }
        tar.finish().map_err(of(Path::new("/")))
    }
}

fn of(path: &Path) -> impl FnOnce(io::Error) -> ImageError + '_ {
    move |source| ImageError::Read { path: path.to_owned(), source }
}

fn real(path: &Path) -> Result<PathBuf, ImageError> {
    fs::canonicalize(path).map_err(of(path))
}

fn append(tar: &mut Builder<impl Write>, path: &Path, entry: &Entry) -> io::Result<()> {
    // Paths in a layer are relative to the image's root.
    let path = path.strip_prefix("/").unwrap_or(path);
    let mut header = Header::new_gnu();
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    match entry {
        Entry::Directory(mode) => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(*mode);
            header.set_size(0);
            tar.append_data(&mut header, path, io::empty())
        }
        Entry::Text(text) => {
            header.set_mode(0o644);
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, path, text.as_bytes())
        }
        Entry::File { source, mode } => {
            let file = fs::File::open(source)?;
            let metadata = file.metadata()?;
            header.set_mode(*mode);
            header.set_size(metadata.len());
            // Python takes compiled modules only where their source has the time that they were compiled at.
            header.set_mtime(metadata.mtime().try_into().unwrap_or(0));
            tar.append_data(&mut header, path, file)
        }
        Entry::Link(target) => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            tar.append_link(&mut header, path, target)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn listed(layer: &Layer) -> Vec<String> {
        let mut bytes = Vec::new();
        layer.write(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let path = entry.path().unwrap().display().to_string();
            let target =
                entry.link_name().unwrap().map(|to| format!(" -> {}", to.display())).unwrap_or_default();
            format!("{:o} {path}{target} {text}", entry.header().mode().unwrap()).trim().to_owned()
        });
        entries.collect()
    }

    #[test]
    fn directories_come_before_what_is_in_them_and_only_once() {
        let mut layer = Layer::default();
        layer.add("/etc/b", Entry::Text("two".into()));
        layer.add("/etc/a/c", Entry::Text("one".into()));
        layer.add("/bin/sh", Entry::Link("/bin/dash".into()));
        layer.add("/tmp", Entry::Directory(0o1777));
        let expected = [
            "755 bin",
            "777 bin/sh -> /bin/dash",
            "755 etc",
            "755 etc/a",
            "644 etc/a/c one",
            "644 etc/b two",
            "1777 tmp",
        ];
        assert_eq!(listed(&layer), expected);
    }

    #[test]
    fn a_tree_keeps_links_and_permissions_and_leaves_out_what_it_is_told_to() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("tree");
        fs::create_dir_all(root.join("lib/__pycache__")).unwrap();
        fs::write(root.join("lib/module.py"), "text").unwrap();
        fs::write(root.join("lib/__pycache__/module.pyc"), "x").unwrap();
        fs::set_permissions(root.join("lib/module.py"), fs::Permissions::from_mode(0o711)).unwrap();
        std::os::unix::fs::symlink("module.py", root.join("lib/link.py")).unwrap();
        let mut layer = Layer::default();
        layer.add_tree(&root, &["__pycache__"]).unwrap();
        let below = |name: &str| root.join(name).strip_prefix("/").unwrap().display().to_string();
        let all = listed(&layer);
        assert!(all.contains(&format!("755 {} text", below("lib/module.py"))), "{all:?}");
        assert!(all.contains(&format!("777 {} -> module.py", below("lib/link.py"))), "{all:?}");
        assert!(!all.iter().any(|line| line.contains("pycache")), "{all:?}");
    }

    #[test]
    fn a_program_brings_its_loader_and_libraries() {
        let mut layer = Layer::default();
        layer.add_program("/bin/sh", Path::new("/bin/sh")).unwrap();
        let paths: Vec<String> = layer.paths().map(|path| path.display().to_string()).collect();
        assert!(paths.contains(&"/bin/sh".to_owned()), "{paths:?}");
        assert!(paths.iter().any(|path| path.contains("libc.so")), "{paths:?}");
        assert!(paths.iter().any(|path| path.contains("/ld-")), "{paths:?}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Layer::default().add_program("/x", Path::new("/nowhere/x")).unwrap_err();
        assert!(error.to_string().starts_with("cannot put /nowhere/x into an image: "), "{error}");
    }
}
