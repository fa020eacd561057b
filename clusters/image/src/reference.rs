//! References of images as container engines read them.

use oci_spec::distribution::Reference;

/// The reference in full, with registry, `library/` and tag filled in: what a container engine calls the image. What is no
/// reference stays as it is, for the engine to say so.
pub fn full_reference(reference: &str) -> String {
    parse_reference(reference).unwrap_or_else(|| reference.to_owned())
}

/// The same; `None` for what is no reference.
pub fn parse_reference(reference: &str) -> Option<String> {
    Reference::try_from(reference).ok().map(|parsed| parsed.whole())
}

/// What stands after the registry in a reference, `library/` and all.
pub fn without_registry(reference: &str) -> String {
    let full = full_reference(reference);
    full.split_once('/').map_or_else(|| full.clone(), |(_, rest)| rest.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("busybox", "docker.io/library/busybox:latest")]
    #[case("busybox:1.36", "docker.io/library/busybox:1.36")]
    #[case("rancher/k3s:v1.33.1-k3s1", "docker.io/rancher/k3s:v1.33.1-k3s1")]
    #[case("quay.io/tigera/operator:v1", "quay.io/tigera/operator:v1")]
    #[case("localhost:5000/a/b", "localhost:5000/a/b:latest")]
    #[case("localhost/x:1", "localhost/x:1")]
    #[case::no_reference("a b", "a b")]
    fn references_in_full(#[case] written: &str, #[case] full: &str) {
        assert_eq!(full_reference(written), full);
    }

    #[rstest]
    #[case("quay.io/metallb/speaker:v1", "metallb/speaker:v1")]
    #[case("rancher/k3s:v1", "rancher/k3s:v1")]
    #[case("localhost:5000/a:1", "a:1")]
    #[case("busybox:1", "library/busybox:1")]
    fn images_move_to_another_registry(#[case] image: &str, #[case] below: &str) {
        assert_eq!(without_registry(image), below);
    }
}
