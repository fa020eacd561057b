//! Image references, and the table of images that are on the node.

use image::full_reference;
use sha2::{Digest, Sha256};

use crate::ProgramImage;

/// The images of a node.
#[derive(Debug)]
pub(crate) struct Images {
    table: Vec<ProgramImage>,
}

impl Images {
    pub(crate) fn new(table: Vec<ProgramImage>) -> Images {
        Images { table }
    }

    /// The image that a manifest means; references are compared in their full form.
    pub(crate) fn find(&self, reference: &str) -> Option<&ProgramImage> {
        let wanted = full_reference(reference);
        self.table.iter().find(|image| full_reference(&image.reference) == wanted)
    }

    /// What `kubectl get node -o yaml` lists.
    pub(crate) fn references(&self) -> impl Iterator<Item = String> {
        self.table.iter().map(|image| full_reference(&image.reference))
    }
}

/// The `imageID` of a container status: name and digest. The digest is the reference's own, as there are no layers.
pub(crate) fn image_id(reference: &str) -> String {
    let full = full_reference(reference);
    let digest = hex::encode(Sha256::digest(full.as_bytes()));
    let name =
        full.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(full.as_str(), |(name, _)| name);
    format!("{name}@sha256:{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_has_no_tag() {
        let id = image_id("busybox:1.36");
        assert!(id.starts_with("docker.io/library/busybox@sha256:"), "{id}");
    }
}
