//! The archive: an OCI image layout in a tar.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use std::str::FromStr;

use oci_spec::image::{
    Arch, Config, ConfigBuilder, Descriptor, DescriptorBuilder, ImageConfigurationBuilder, ImageIndexBuilder,
    ImageManifestBuilder, MediaType, OciLayoutBuilder, Os, RootFsBuilder, Sha256Digest,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, Header};

use crate::{Image, ImageError, Layer};

/// Writes `images` to `file`, whole or not at all: a temporary file beside it takes its place at the end.
///
/// # Errors
/// [`ImageError`], naming the file that could not be read or written.
pub fn write_archive(images: &[Image], file: &Path) -> Result<(), ImageError> {
    let unwritable = |source| ImageError::Write { path: file.to_owned(), source };
    let partial = file.with_extension("partial");
    let output = File::create(&partial).map_err(unwritable)?;
    let written =
        write_all(images, output, file).and_then(|()| std::fs::rename(&partial, file).map_err(unwritable));
    if written.is_err() {
        // The error is what there is to tell.
        let _ = std::fs::remove_file(&partial);
    }
    written
}

fn write_all(images: &[Image], output: File, file: &Path) -> Result<(), ImageError> {
    let mut archive = Archive::new(BufWriter::new(output), file);
    let mut descriptors = Vec::new();
    let mut engines = Vec::new();
    for image in images {
        let written = archive.image(image)?;
        engines.push(json!({
            "Config": blob(&written.configuration),
            "RepoTags": [image.reference],
            "Layers": written.layers.iter().map(|layer| blob(layer)).collect::<Vec<String>>(),
        }));
        descriptors.push(written.manifest);
    }
    let index = ImageIndexBuilder::default().schema_version(2u32).manifests(descriptors).build();
    let layout = OciLayoutBuilder::default().image_layout_version("1.0.0").build();
    let (index, layout) = (index.map_err(all(images))?, layout.map_err(all(images))?);
    archive.document("index.json", &in_order(json!(index)).to_string())?;
    archive.document("oci-layout", &layout.to_string().map_err(all(images))?)?;
    archive.document("manifest.json", &json!(engines).to_string())?;
    archive.finish()
}

/// With the fields of every object in the order of their names: maps of the format's crate have none.
fn in_order(document: Value) -> Value {
    match document {
        Value::Object(fields) => {
            let sorted: BTreeMap<String, Value> =
                fields.into_iter().map(|(name, value)| (name, in_order(value))).collect();
            Value::Object(sorted.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(in_order).collect()),
        other => other,
    }
}

fn all(images: &[Image]) -> impl Fn(oci_spec::OciSpecError) -> ImageError + '_ {
    move |error| ImageError::Describe {
        reference: images.iter().map(|image| image.reference.as_str()).collect::<Vec<_>>().join(", "),
        why: error.to_string(),
    }
}

fn blob(digest: &str) -> String {
    format!("blobs/sha256/{digest}")
}

/// What an image became.
struct Written {
    manifest: Descriptor,
    configuration: String,
    layers: Vec<String>,
}

struct Archive<'a, W: Write> {
    tar: Builder<W>,
    file: &'a Path,
    blobs: BTreeSet<String>,
    /// Layers that were written, each with its digest and size: images share the large ones.
    layers: Vec<(&'a Layer, String, u64)>,
}

impl<'a, W: Write> Archive<'a, W> {
    fn new(output: W, file: &'a Path) -> Archive<'a, W> {
        Archive { tar: Builder::new(output), file, blobs: BTreeSet::new(), layers: Vec::new() }
    }

    fn unwritable(&self) -> impl Fn(io::Error) -> ImageError + use<'a, W> {
        let file = self.file;
        move |source| ImageError::Write { path: file.to_owned(), source }
    }

    fn image(&mut self, image: &'a Image) -> Result<Written, ImageError> {
        let wrong = |error: oci_spec::OciSpecError| ImageError::Describe {
            reference: image.reference.clone(),
            why: error.to_string(),
        };
        let layers = image.layers.iter().map(|layer| self.layer(layer)).collect::<Result<Vec<_>, _>>()?;
        let root = RootFsBuilder::default()
            .typ("layers")
            .diff_ids(layers.iter().map(|(digest, _)| format!("sha256:{digest}")).collect::<Vec<_>>())
            .build()
            .map_err(wrong)?;
        let configuration = ImageConfigurationBuilder::default()
            .architecture(Arch::Amd64)
            .os(Os::Linux)
            .config(config(image).map_err(wrong)?)
            .rootfs(root)
            .build()
            .and_then(|configuration| configuration.to_string())
            .map_err(wrong)?;
        let (digest, size) = self.bytes(configuration.as_bytes())?;
        let describe = |kind, digest: &str, size| {
            DescriptorBuilder::default().media_type(kind).digest(sha256(digest)?).size(size).build()
        };
        let described = layers.iter().map(|(digest, size)| describe(MediaType::ImageLayer, digest, *size));
        let manifest = ImageManifestBuilder::default()
            .schema_version(2u32)
            .media_type(MediaType::ImageManifest)
            .config(describe(MediaType::ImageConfig, &digest, size).map_err(wrong)?)
            .layers(described.collect::<Result<Vec<_>, _>>().map_err(wrong)?)
            .build()
            .and_then(|manifest| manifest.to_string())
            .map_err(wrong)?;
        let (manifest, size) = self.bytes(manifest.as_bytes())?;
        let mut described = describe(MediaType::ImageManifest, &manifest, size).map_err(wrong)?;
        let (_, tag) = image.reference.rsplit_once(':').unwrap_or(("", "latest"));
        described.set_annotations(Some(
            [
                ("io.containerd.image.name", image.reference.as_str()),
                ("org.opencontainers.image.ref.name", tag),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ));
        let layers = layers.into_iter().map(|(digest, _)| digest).collect();
        Ok(Written { manifest: described, configuration: digest, layers })
    }

    /// A layer goes through a temporary file: its digest, which is its name, is known when it is written.
    fn layer(&mut self, layer: &'a Layer) -> Result<(String, u64), ImageError> {
        if let Some((_, digest, size)) = self.layers.iter().find(|(written, _, _)| *written == layer) {
            return Ok((digest.clone(), *size));
        }
        let mut spool = Spool::beside(self.file).map_err(self.unwritable())?;
        layer.write(&mut spool)?;
        let (digest, mut file, size) = spool.end().map_err(self.unwritable())?;
        if self.blobs.insert(digest.clone()) {
            self.append(&blob(&digest), size, &mut file)?;
        }
        self.layers.push((layer, digest.clone(), size));
        Ok((digest, size))
    }

    fn bytes(&mut self, content: &[u8]) -> Result<(String, u64), ImageError> {
        let digest = hex::encode(Sha256::digest(content));
        if self.blobs.insert(digest.clone()) {
            self.append(&blob(&digest), content.len() as u64, content)?;
        }
        Ok((digest, content.len() as u64))
    }

    fn document(&mut self, name: &str, text: &str) -> Result<(), ImageError> {
        self.append(name, text.len() as u64, text.as_bytes())
    }

    fn append(&mut self, name: &str, size: u64, content: impl io::Read) -> Result<(), ImageError> {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(size);
        self.tar.append_data(&mut header, name, content).map_err(self.unwritable())
    }

    fn finish(self) -> Result<(), ImageError> {
        let unwritable = self.unwritable();
        let mut output = self.tar.into_inner().map_err(&unwritable)?;
        output.flush().map_err(&unwritable)
    }
}

fn sha256(digest: &str) -> Result<Sha256Digest, oci_spec::OciSpecError> {
    Sha256Digest::from_str(digest)
}

fn config(image: &Image) -> Result<Config, oci_spec::OciSpecError> {
    let environment = image.environment.iter().map(|(name, value)| format!("{name}={value}"));
    let mut config = ConfigBuilder::default().env(environment.collect::<Vec<_>>());
    if !image.entrypoint.is_empty() {
        config = config.entrypoint(image.entrypoint.clone());
    }
    if !image.command.is_empty() {
        config = config.cmd(image.command.clone());
    }
    config.working_dir(image.working_directory.clone().unwrap_or_else(|| "/".to_owned())).build()
}

/// A temporary file whose digest is known at the end. It has no name, so nothing of it can be left.
struct Spool {
    file: BufWriter<File>,
    digest: Sha256,
    size: u64,
}

impl Spool {
    fn beside(file: &Path) -> io::Result<Spool> {
        let name = file.with_extension("layer");
        let spool = File::options().read(true).write(true).create(true).truncate(true).open(&name)?;
        std::fs::remove_file(&name)?;
        Ok(Spool { file: BufWriter::new(spool), digest: Sha256::new(), size: 0 })
    }

    fn end(self) -> io::Result<(String, File, u64)> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        Ok((hex::encode(self.digest.finalize()), file, self.size))
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::Entry;

    fn image(reference: &str, text: &str) -> Image {
        let mut base = Layer::default();
        base.add("/etc/same", Entry::Text("same".into()));
        let mut own = Layer::default();
        own.add("/etc/own", Entry::Text(text.into()));
        Image {
            reference: reference.into(),
            entrypoint: vec!["/program".into()],
            environment: [("A".to_owned(), "1".to_owned())].into(),
            layers: vec![base, own],
            ..Image::default()
        }
    }

    fn read(file: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(File::open(file).unwrap());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.path().unwrap().display().to_string(), bytes)
        });
        entries.collect()
    }

    fn document(files: &BTreeMap<String, Vec<u8>>, name: &str) -> Value {
        serde_json::from_slice(&files[name]).unwrap()
    }

    #[test]
    fn everything_that_is_referred_to_is_there_under_its_digest() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("images.tar");
        write_archive(&[image("docker.io/a/one:1", "one"), image("docker.io/a/two:2", "two")], &file)
            .unwrap();
        let files = read(&file);
        for (name, bytes) in files.iter().filter(|(name, _)| name.starts_with("blobs/")) {
            assert_eq!(name, &format!("blobs/sha256/{}", hex::encode(Sha256::digest(bytes))));
        }
        let index = document(&files, "index.json");
        let named: Vec<&Value> = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| &m["annotations"]["io.containerd.image.name"])
            .collect();
        assert_eq!(named, ["docker.io/a/one:1", "docker.io/a/two:2"]);
        for manifest in index["manifests"].as_array().unwrap() {
            let at = |digest: &Value| {
                format!("blobs/sha256/{}", digest.as_str().unwrap().trim_start_matches("sha256:"))
            };
            let manifest = document(&files, &at(&manifest["digest"]));
            let configuration = document(&files, &at(&manifest["config"]["digest"]));
            assert_eq!(configuration["config"]["Entrypoint"][0], "/program");
            assert_eq!(configuration["config"]["Env"][0], "A=1");
            for layer in manifest["layers"].as_array().unwrap() {
                assert_eq!(files[&at(&layer["digest"])].len() as u64, layer["size"].as_u64().unwrap());
            }
        }
        // Two manifests, two configurations, one layer of each image's own and one of both.
        assert_eq!(files.keys().filter(|name| name.starts_with("blobs/")).count(), 7);
        assert_eq!(document(&files, "manifest.json")[1]["RepoTags"][0], "docker.io/a/two:2");
        assert_eq!(document(&files, "oci-layout")["imageLayoutVersion"], "1.0.0");
    }

    #[test]
    fn the_same_files_give_the_same_bytes_and_nothing_else_is_left() {
        let place = tempfile::tempdir().unwrap();
        let (one, two) = (place.path().join("one.tar"), place.path().join("two.tar"));
        for file in [&one, &two] {
            write_archive(&[image("docker.io/a/one:1", "one")], file).unwrap();
        }
        assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_vanished_leaves_no_archive() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("images.tar");
        let mut broken = image("docker.io/a/one:1", "one");
        let gone = Entry::File { source: place.path().join("gone"), mode: 0o644 };
        broken.layers[1].add("/gone", gone);
        let error = write_archive(&[broken], &file).unwrap_err().to_string();
        assert!(error.contains("cannot put /gone into an image"), "{error}");
        assert!(!file.exists());
    }

    #[test]
    fn nothing_is_left_of_an_archive_that_could_not_be_written() {
        let directory = tempfile::tempdir().unwrap();
        let mut broken = image("a/b:1", "x");
        let source = directory.path().join("nowhere");
        broken.layers[1].add("/etc/none", Entry::File { source, mode: 0o644 });
        let error = write_archive(&[broken], &directory.path().join("images.tar")).unwrap_err().to_string();
        assert!(error.starts_with("cannot put /etc/none into an image: "), "{error}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
