//! Names of chains: legible, valid for nft, and never the same for two things.

/// Longest chain name written.
const MAX_NAME: usize = 120;

/// `kind/part/part…`. Kubernetes names are kept as they are; what nft would not read becomes
/// `_`, and names changed or cut get a hash of the whole at their end.
pub(super) fn chain(kind: &str, parts: &[&str]) -> String {
    let whole = std::iter::once(kind).chain(parts.iter().copied()).collect::<Vec<_>>().join("/");
    let legible = |letter: char| letter.is_ascii_alphanumeric() || "/-_.".contains(letter);
    let mut name: String = whole.chars().map(|letter| if legible(letter) { letter } else { '_' }).collect();
    if name != whole || name.len() > MAX_NAME {
        name.truncate(MAX_NAME - 9);
        name.push_str(&format!(".{:08x}", hash(&whole)));
    }
    name
}

/// FNV-1a, 32 bits.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_kubernetes_names() {
        assert_eq!(chain("pod", &["mesh", "server-0"]), "pod/mesh/server-0");
    }

    #[test]
    fn bounds_and_cleans_the_rest() {
        let long = "a".repeat(253);
        let name = chain("pod", &["mesh", &long]);
        assert!(name.len() <= MAX_NAME);
        assert_ne!(name, chain("pod", &["mesh", &format!("{long}b")]));
        let odd = chain("pod", &["mesh", "a b"]);
        assert!(!odd.contains(' '));
        assert_ne!(odd, chain("pod", &["mesh", "a_b"]));
    }
}
