//! Image references, and the table of images that are on the node.

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
        let wanted = normalize(reference);
        self.table.iter().find(|image| normalize(&image.reference) == wanted)
    }

    /// What `kubectl get node -o yaml` lists.
    pub(crate) fn references(&self) -> impl Iterator<Item = String> {
        self.table.iter().map(|image| normalize(&image.reference))
    }
}

/// The full form of a reference, as containerd reports it: registry, `library/` and tag filled in.
pub(crate) fn normalize(reference: &str) -> String {
    let (first, rest) = reference.split_once('/').unwrap_or(("", reference));
    let is_registry = first.contains('.') || first.contains(':') || first == "localhost";
    let path = match (first, is_registry) {
        ("", _) => format!("docker.io/library/{rest}"),
        (_, true) => reference.to_owned(),
        (_, false) => format!("docker.io/{reference}"),
    };
    let last = path.rsplit('/').next().unwrap_or(&path);
    if last.contains(':') || last.contains('@') { path } else { format!("{path}:latest") }
}

/// The `imageID` of a container status: name and digest. The digest is the reference's own, as there are no layers.
pub(crate) fn image_id(reference: &str) -> String {
    let full = normalize(reference);
    let digest = hex::encode(Sha256::digest(full.as_bytes()));
    let name =
        full.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(full.as_str(), |(name, _)| name);
    format!("{name}@sha256:{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("busybox", "docker.io/library/busybox:latest")]
    #[case("busybox:1.36", "docker.io/library/busybox:1.36")]
    #[case("a/b:2.9.1", "docker.io/a/b:2.9.1")]
    #[case("registry.k8s.io/pause", "registry.k8s.io/pause:latest")]
    #[case("localhost:5000/x:1", "localhost:5000/x:1")]
    fn full_form(#[case] reference: &str, #[case] expected: &str) {
        assert_eq!(normalize(reference), expected);
    }

    #[test]
    fn identity_has_no_tag() {
        let id = image_id("busybox:1.36");
        assert!(id.starts_with("docker.io/library/busybox@sha256:"), "{id}");
    }
}
