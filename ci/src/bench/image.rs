//! Our own image: how long it is in the making, and how large it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use serde_json::Value;

use crate::conformance::Conformance;

/// The image that holds our own executable and nothing else.
const OWN: &str = "seldon-conformance/toolbox:1";
/// What says nothing of an archive but what it holds is shorter.
const DOCUMENT: u64 = 1 << 20;

/// What making images showed.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Of the whole archive, our executable being there.
    pub(super) seconds: Vec<f64>,
    /// Of the image that is our executable, unpacked.
    pub(super) megabytes: Vec<f64>,
}

/// Makes them `count` times, after one time that builds what is not built.
///
/// # Errors
/// When they cannot be made, or an archive is none.
pub(super) fn measure(conformance: &Conformance, count: u32) -> anyhow::Result<Made> {
    let place = tempfile::tempdir()?;
    let file = place.path().join("images.tar");
    let words = ["images", "write", "--model-server", "standin", file.to_str().context("a path is text")?];
    let mut made = Made::default();
    for turn in 0..=count {
        let began = Instant::now();
        conformance.say(&words)?;
        let seconds = began.elapsed().as_secs_f64();
        if turn > 0 {
            made.seconds.push(seconds);
            made.megabytes.push(size(&file, OWN)? as f64 / 1e6);
            eprintln!("images: {seconds:.2} s");
        }
    }
    Ok(made)
}

/// Bytes of the layers of `image` in an OCI layout.
fn size(archive: &Path, image: &str) -> anyhow::Result<u64> {
    let mut documents: BTreeMap<String, Value> = BTreeMap::new();
    let mut archive = tar::Archive::new(File::open(archive)?);
    for entry in archive.entries_with_seek()? {
        let mut entry = entry?;
        if entry.size() < DOCUMENT {
            let (mut bytes, name) = (Vec::new(), entry.path()?.display().to_string());
            entry.read_to_end(&mut bytes)?;
            // Layers may be small, too.
            documents.extend(serde_json::from_slice(&bytes).ok().map(|document| (name, document)));
        }
    }
    let index = documents.get("index.json").context("the archive has no index.json")?;
    let manifests = index["manifests"].as_array().into_iter().flatten();
    let named = |manifest: &&Value| {
        let name = manifest["annotations"]["io.containerd.image.name"].as_str();
        name.is_some_and(|name| name.ends_with(image))
    };
    let found = manifests.clone().find(named).with_context(|| format!("the archive has no {image}"))?;
    let digest = found["digest"].as_str().unwrap_or_default().replace(':', "/");
    let manifest = documents.get(&format!("blobs/{digest}")).context("an image has no manifest")?;
    let layers = manifest["layers"].as_array().context("an image has no layers")?;
    Ok(layers.iter().filter_map(|layer| layer["size"].as_u64()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_as_large_as_its_layers() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a.tar");
        let mut archive = tar::Builder::new(File::create(&file).unwrap());
        let mut add = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            archive.append_data(&mut header, name, bytes).unwrap();
        };
        add("blobs/sha256/l", b"no document");
        add("blobs/sha256/m", br#"{"layers":[{"size":24000000},{"size":500}]}"#);
        let index = r#"{"manifests":[{"digest":"sha256:x","annotations":{}},
            {"digest":"sha256:m","annotations":{"io.containerd.image.name":"docker.io/seldon-conformance/toolbox:1"}}]}"#;
        add("index.json", index.as_bytes());
        archive.into_inner().unwrap();
        assert_eq!(size(&file, OWN).unwrap(), 24_000_500);
        let error = size(&file, "other:1").unwrap_err().to_string();
        assert_eq!(error, "the archive has no other:1");
    }
}
