//! Request ids as `rs/xid` makes them: 20 characters of base32hex over time, machine, process and counter.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The header that carries them.
pub(crate) const HEADER: &str = "x-request-id";

const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// A new id.
pub(crate) fn create() -> String {
    static MACHINE: OnceLock<[u8; 3]> = OnceLock::new();
    static COUNTER: OnceLock<AtomicU32> = OnceLock::new();
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs() as u32);
    let machine = MACHINE.get_or_init(rand::random);
    let counter = COUNTER.get_or_init(|| AtomicU32::new(rand::random())).fetch_add(1, Ordering::Relaxed);
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&seconds.to_be_bytes());
    bytes[4..7].copy_from_slice(machine);
    bytes[7..9].copy_from_slice(&(std::process::id() as u16).to_be_bytes());
    bytes[9..].copy_from_slice(&counter.to_be_bytes()[1..]);
    encode(&bytes)
}

fn encode(bytes: &[u8; 12]) -> String {
    let bit = |index: usize| bytes.get(index / 8).map_or(0, |byte| (byte >> (7 - index % 8)) & 1);
    (0..20)
        .map(|digit| {
            let value = (0..5).fold(0, |value, offset| (value << 1) | bit(digit * 5 + offset));
            char::from(DIGITS[usize::from(value)])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_xids() {
        // The example of the xid specification.
        let bytes = [0x4d, 0x88, 0xe1, 0x5b, 0x60, 0xf4, 0x86, 0xe4, 0x28, 0x41, 0x2d, 0xc9];
        assert_eq!(encode(&bytes), "9m4e2mr0ui3e8a215n4g");
    }

    #[test]
    fn ids_differ() {
        assert_ne!(create(), create());
    }
}
