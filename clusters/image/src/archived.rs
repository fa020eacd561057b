//! What an archive holds: its images, and where in the file the parts of each are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};

use crate::ImageError;

/// An image in an archive that [`crate::write_archive`] has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedImage {
    /// Name and tag in full.
    pub reference: String,
    /// Its manifest, byte for byte.
    pub manifest: Vec<u8>,
    /// Its configuration and its layers.
    pub blobs: Vec<Blob>,
}

/// A part of an image, as a part of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// `sha256:…`.
    pub digest: String,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub size: u64,
}

/// The images in `file`.
///
/// # Errors
/// [`ImageError::ReadArchive`]: it cannot be read, or is no such archive.
pub fn read_archive(file: &Path) -> Result<Vec<ArchivedImage>, ImageError> {
    read(file).map_err(|source| ImageError::ReadArchive { path: file.to_owned(), source })
}

fn read(file: &Path) -> io::Result<Vec<ArchivedImage>> {
    let mut archive = File::open(file)?;
    let sections = sections(&mut archive)?;
    let index = ImageIndex::from_reader(bytes(&mut archive, &sections, "index.json")?.as_slice());
    let index = index.map_err(io::Error::other)?;
    index.manifests().iter().map(|descriptor| image(&mut archive, &sections, descriptor)).collect()
}

/// Where its files begin, and how long they are.
type Sections = BTreeMap<String, (u64, u64)>;

fn sections(archive: &mut File) -> io::Result<Sections> {
    let mut sections = Sections::new();
    for entry in tar::Archive::new(archive).entries_with_seek()? {
        let entry = entry?;
        let name = entry.path()?.display().to_string();
        sections.insert(name, (entry.raw_file_position(), entry.size()));
    }
    Ok(sections)
}

fn section(sections: &Sections, name: &str) -> io::Result<(u64, u64)> {
    let missing = || io::Error::other(format!("it is no OCI image layout: it lacks {name}"));
    sections.get(name).copied().ok_or_else(missing)
}

fn bytes(archive: &mut File, sections: &Sections, name: &str) -> io::Result<Vec<u8>> {
    let (offset, size) = section(sections, name)?;
    archive.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    archive.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn path(descriptor: &Descriptor) -> String {
    format!("blobs/sha256/{}", descriptor.digest().digest())
}

fn image(archive: &mut File, sections: &Sections, descriptor: &Descriptor) -> io::Result<ArchivedImage> {
    let manifest = bytes(archive, sections, &path(descriptor))?;
    let parsed = ImageManifest::from_reader(manifest.as_slice()).map_err(io::Error::other)?;
    let blob = |part: &Descriptor| {
        let (offset, size) = section(sections, &path(part))?;
        Ok(Blob { digest: part.digest().to_string(), offset, size })
    };
    let blobs =
        std::iter::once(parsed.config()).chain(parsed.layers()).map(blob).collect::<io::Result<_>>()?;
    let names = descriptor.annotations().as_ref();
    let reference = names.and_then(|names| names.get("io.containerd.image.name")).cloned();
    let reference = reference.ok_or_else(|| io::Error::other("an image in it has no name"))?;
    Ok(ArchivedImage { reference, manifest, blobs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, Image, Layer, write_archive};
    use sha2::{Digest, Sha256};

    #[test]
    fn what_was_written_is_found_again() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("images.tar");
        let (mut common, mut own) = (Layer::default(), Layer::default());
        common.add("/etc/passwd", Entry::Text("root".into()));
        own.add("/etc/hostname", Entry::Text("b".into()));
        let image = |name: &str, layers: Vec<Layer>| Image {
            reference: format!("docker.io/ours/{name}:1"),
            layers,
            ..Image::default()
        };
        let images = [image("a", vec![common.clone()]), image("b", vec![common, own])];
        write_archive(&images, &file).unwrap();
        let found = read_archive(&file).unwrap();
        let names: Vec<&str> = found.iter().map(|image| image.reference.as_str()).collect();
        assert_eq!(names, ["docker.io/ours/a:1", "docker.io/ours/b:1"]);
        assert_eq!(found.iter().map(|image| image.blobs.len()).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(found[0].blobs[1], found[1].blobs[1], "a layer that images share is there once");
        let whole = std::fs::read(&file).unwrap();
        for blob in found.iter().flat_map(|image| &image.blobs) {
            let (from, size) = (usize::try_from(blob.offset).unwrap(), usize::try_from(blob.size).unwrap());
            let digest = hex::encode(Sha256::digest(&whole[from..from + size]));
            assert_eq!(blob.digest, format!("sha256:{digest}"));
        }
    }

    #[test]
    fn what_is_no_archive_is_named() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("images.tar");
        tar::Builder::new(File::create(&file).unwrap()).finish().unwrap();
        let said = read_archive(&file).unwrap_err();
        let ImageError::ReadArchive { path, source } = said else { panic!("{said}") };
        assert_eq!(
            (path, source.to_string().as_str()),
            (file, "it is no OCI image layout: it lacks index.json")
        );
    }
}
