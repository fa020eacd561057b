use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Whether a text has the format; formats that are not checked here accept every text.
pub(super) fn has_format(format: &str, text: &str) -> bool {
    match format.replace('-', "").as_str() {
        "datetime" => is_date_time(text),
        "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "uuid" => is_uuid(text),
        "byte" => STANDARD.decode(text).is_ok(),
        _ => true,
    }
}

fn is_date_time(text: &str) -> bool {
    text.len() >= 19
        && matches!(text.as_bytes().get(10), Some(b'T' | b't'))
        && text.parse::<jiff::Timestamp>().is_ok()
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let bits: Option<u8> = bits.parse().ok();
    let width = if address.parse::<Ipv4Addr>().is_ok() {
        32
    } else if address.parse::<Ipv6Addr>().is_ok() {
        128
    } else {
        return false;
    };
    bits.is_some_and(|bits| bits <= width)
}

fn is_uuid(text: &str) -> bool {
    let digits: Vec<char> = text.chars().filter(|character| *character != '-').collect();
    let groups_fit = !text.contains('-') || text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    digits.len() == 32 && groups_fit && digits.iter().all(char::is_ascii_hexdigit)
}
