//! Short names made of hashes, in Kubernetes's alphabet.

use serde::Serialize;

/// The letters of generated names: no vowels, so no words come out.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// FNV-1a over the value's JSON, written as Kubernetes writes hashes: stable across runs, at most ten letters.
///
/// Kubernetes hashes a Go dump of the same value, so the letters differ from those of a real cluster.
pub(crate) fn of<T: Serialize>(value: &T) -> String {
    // Keys are sorted by way of `Value`, whatever the order they came in.
    let text = serde_json::to_value(value).map(|value| canonical(&value)).unwrap_or_default();
    let hash =
        text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

fn canonical(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(fields) => {
            let sorted: std::collections::BTreeMap<_, _> = fields.iter().collect();
            let parts: Vec<String> =
                sorted.into_iter().map(|(name, value)| format!("{name}:{}", canonical(value))).collect();
            format!("{{{}}}", parts.join(","))
        }
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}
