//! From the image table to images that a real container engine runs.
//!
//! An embedded cluster takes a program from the host when a container starts; here it is put into the image, with the
//! libraries it is linked with and the directories it needs. The same table serves both.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use builtin::IMAGE_PROGRAMS;
use embedded::{Program, ProgramImage};
use image::{Entry, Image, ImageError, Layer, full_reference};
use sha2::{Digest, Sha256};

/// Where our own executable is in an image.
const OWN: &str = "/usr/local/bin/conformance";

/// Where a program without a path is put: on every image's `PATH`.
const ANYWHERE: &str = "/usr/local/bin";

/// `PATH` of an image that does not say otherwise.
const SEARCHED: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Directories of a program's own that no image needs.
const LEFT_OUT: [&str; 2] = ["site-packages", "test"];

/// Users that manifests name by number, and names for them that libraries insist on.
const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n";
const GROUP: &str = "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n";

/// The images of `table`. `own` is the executable whose built-in programs they name: this one, or one made to be small.
///
/// # Errors
/// A file of the host cannot be read.
pub(crate) fn images(table: &[ProgramImage], own: &Path) -> Result<Vec<Image>, ImageError> {
    let mut base = Layer::default();
    base.add("/etc/passwd", Entry::Text(PASSWD.into()));
    base.add("/etc/group", Entry::Text(GROUP.into()));
    base.add("/etc/nsswitch.conf", Entry::Text("hosts: files dns\n".into()));
    base.add("/tmp", Entry::Directory(0o1777));
    let mut ours = Layer::default();
    ours.add_program(OWN, own)?;
    let mut trees: BTreeMap<&Path, Layer> = BTreeMap::new();
    for tree in table.iter().flat_map(|image| &image.trees) {
        if !trees.contains_key(tree.as_path()) {
            let mut layer = Layer::default();
            layer.add_tree(tree, &LEFT_OUT)?;
            trees.insert(tree, layer);
        }
    }
    table.iter().map(|image| convert(image, &base, &ours, &trees)).collect()
}

/// Writes the images of `table` to `file`, as an archive that every container engine loads. `own` is the executable of
/// built-in programs.
///
/// # Errors
/// A file of the host cannot be read, or the archive not be written.
pub fn write_images(table: &[ProgramImage], own: &Path, file: &Path) -> Result<(), ImageError> {
    image::write_archive(&images(table, own)?, file)
}

/// Twelve hexadecimal digits that change with `table`, and with the programs that it names by path.
///
/// # Errors
/// The program that cannot be looked at, and why.
pub fn fingerprint(table: &[ProgramImage], own: &Path) -> Result<String, (PathBuf, io::Error)> {
    let mut digest = Sha256::new();
    let mut programs = vec![own.to_owned()];
    for image in table {
        digest.update(format!("{image:?}\n"));
        programs.extend(image.programs.values().filter_map(|program| match program {
            Program::Host(path) => Some(path.clone()),
            Program::Builtin(_) => None,
        }));
    }
    for program in programs {
        let found = fs::metadata(&program)
            .and_then(|metadata| Ok((metadata.len(), metadata.modified()?)))
            .map_err(|source| (program.clone(), source))?;
        digest.update(format!("{} {found:?}\n", program.display()));
    }
    Ok(hex::encode(&digest.finalize()[..6]))
}

fn convert(
    image: &ProgramImage,
    base: &Layer,
    ours: &Layer,
    trees: &BTreeMap<&Path, Layer>,
) -> Result<Image, ImageError> {
    let mut layers = vec![base.clone()];
    let mut own = Layer::default();
    let mut builtins = String::new();
    for (name, program) in &image.programs {
        let path = if name.starts_with('/') { PathBuf::from(name) } else { Path::new(ANYWHERE).join(name) };
        match program {
            Program::Builtin(builtin) => {
                builtins.push_str(&format!("{name} {builtin}\n"));
                own.add(path, Entry::Link(OWN.into()));
            }
            Program::Host(source) => own.add_program(path, source)?,
        }
    }
    if !builtins.is_empty() {
        own.add(IMAGE_PROGRAMS, Entry::Text(builtins));
        layers.push(ours.clone());
    }
    for (path, text) in &image.files {
        // A program that keeps its settings in a directory of its own writes there, whoever it runs as: rclone tries for
        // ten seconds.
        if let Some(parent) = Path::new(path).parent().filter(|parent| !parent.starts_with("/etc")) {
            own.add(parent, Entry::Directory(0o777));
        }
        own.add(path, Entry::Text(text.clone()));
    }
    layers.extend(image.trees.iter().filter_map(|tree| trees.get(tree.as_path()).cloned()));
    layers.push(own);
    let mut environment: BTreeMap<String, String> = image.env.clone().into_iter().collect();
    environment.entry("PATH".into()).or_insert_with(|| SEARCHED.into());
    Ok(Image {
        reference: full_reference(&image.reference),
        entrypoint: image.entrypoint.clone(),
        command: image.command.clone(),
        environment,
        working_directory: image.working_dir.clone(),
        layers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builtin_is_a_link_and_a_line_and_a_host_program_is_itself() {
        let mut table = ProgramImage { reference: "a/b:1".into(), ..ProgramImage::default() };
        table.programs.insert("/manager".into(), Program::Builtin("controller".into()));
        table.programs.insert("tool".into(), Program::Host("/bin/sh".into()));
        table.files.insert("/etc/settings".into(), "x".into());
        table.files.insert("/tool/settings".into(), "x".into());
        let images = images(&[table], Path::new("/bin/sh")).unwrap();
        let paths: Vec<&Path> = images[0].layers.iter().flat_map(Layer::paths).collect();
        for path in ["/manager", IMAGE_PROGRAMS, "/usr/local/bin/tool", "/etc/settings", OWN, "/etc/passwd"] {
            assert!(paths.contains(&Path::new(path)), "{path} is not among {paths:?}");
        }
        assert!(paths.contains(&Path::new("/tool")), "the directory is the program's own: {paths:?}");
        assert!(!paths.contains(&Path::new("/etc")), "{paths:?}");
        assert!(images[0].environment["PATH"].contains("/usr/local/bin"));
    }
}
