//! Which shared libraries a program needs, as the dynamic linker finds them on this machine.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::ImageError;

/// How an ELF file begins, and the word at byte 16 that makes it an executable or a shared object.
const MAGIC: &[u8] = b"\x7fELF";

/// Whether `path` is something the dynamic linker has to do with. A file that cannot be read is not.
pub(crate) fn is_shared_object(path: &Path) -> bool {
    let mut start = [0; 18];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start.starts_with(MAGIC) && matches!(start[16], 2 | 3)
}

/// The loader and all libraries of `programs`, with absolute paths. Static programs need none.
pub(crate) fn of(programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>, ImageError> {
    let mut libraries = BTreeSet::new();
    // A command line has an end.
    for some in programs.chunks(200) {
        let failed = |why: String| ImageError::Libraries { program: some[0].clone(), why };
        // ldd ends with a failure where one of them is static, which is an answer too.
        let output = Command::new("ldd")
            .args(some)
            .output()
            .map_err(|error| failed(format!("{error}; install it: `apt-get install libc-bin`")))?;
        let text = String::from_utf8_lossy(&output.stdout);
        libraries.extend(text.lines().filter_map(library));
    }
    Ok(libraries)
}

/// The path in a line of ldd: `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)` or `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn library(line: &str) -> Option<PathBuf> {
    let (path, _) = line.trim().rsplit_once(" (0x")?;
    let path = path.rsplit_once("=> ").map_or(path, |(_, path)| path);
    path.starts_with('/').then(|| without_steps_back(Path::new(path)))
}

/// A path as it is without `..`: libraries that a package brings along are found by way of where they are needed.
fn without_steps_back(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for step in path.components() {
        match step {
            Component::ParentDir => {
                plain.pop();
            }
            step => plain.push(step),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::library("\tlibc.so.6 => /lib/libc.so.6 (0x00007f)", Some("/lib/libc.so.6"))]
    #[case::loader("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)", Some("/lib64/ld-linux-x86-64.so.2"))]
    #[case::of_a_package("\tlibx.so => /a/b/../../c.libs/libx.so (0x0)", Some("/c.libs/libx.so"))]
    #[case::of_the_kernel("\tlinux-vdso.so.1 (0x00007ffc)", None)]
    #[case::missing("\tlibgone.so => not found", None)]
    #[case::statically_linked("\tstatically linked", None)]
    #[case::name_of_a_program("/bin/sh:", None)]
    fn lines(#[case] line: &str, #[case] path: Option<&str>) {
        assert_eq!(library(line), path.map(PathBuf::from));
    }

    #[rstest]
    #[case("/bin/sh", true)]
    #[case("/etc/passwd", false)]
    #[case("/nowhere", false)]
    fn shared_objects(#[case] path: &str, #[case] is: bool) {
        assert_eq!(is_shared_object(Path::new(path)), is);
    }
}
