//! Domain names as CoreDNS compares them: lower-case text with a closing dot.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) use outside::message::normal;

/// Whether `name` is `zone` or lies under it. Both in normal form.
pub(crate) fn within(zone: &str, name: &str) -> bool {
    zone == "." || name == zone || name.strip_suffix(zone).is_some_and(|head| head.ends_with('.'))
}

/// The longest of `zones` that holds `name`.
pub(crate) fn closest<'a>(zones: &'a [String], name: &str) -> Option<&'a str> {
    zones.iter().map(String::as_str).filter(|zone| within(zone, name)).max_by_key(|zone| zone.len())
}

/// The labels of `name` in front of `zone`, first label first. Empty for the zone itself.
pub(crate) fn labels_before<'a>(name: &'a str, zone: &str) -> Vec<&'a str> {
    let head = if zone == "." { name } else { name.strip_suffix(zone).unwrap_or(name) };
    let head = head.trim_end_matches('.');
    if head.is_empty() { Vec::new() } else { head.split('.').collect() }
}

/// Whether the zone is a reverse zone (`in-addr.arpa` or `ip6.arpa`, or below).
pub(crate) fn is_reverse(zone: &str) -> bool {
    within("in-addr.arpa.", zone) || within("ip6.arpa.", zone)
}

/// The address that a complete reverse name stands for.
pub(crate) fn reverse_address(name: &str) -> Option<IpAddr> {
    if let Some(head) = name.strip_suffix(".in-addr.arpa.") {
        let text = head.rsplit('.').collect::<Vec<_>>().join(".");
        return text.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    let nibbles: Vec<&str> = name.strip_suffix(".ip6.arpa.")?.rsplit('.').collect();
    if nibbles.len() != 32 || nibbles.iter().any(|nibble| nibble.len() != 1) {
        return None;
    }
    let groups: Vec<String> = nibbles.chunks(4).map(<[&str]>::concat).collect();
    groups.join(":").parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// The zones that an argument of a Corefile names: itself, or a CIDR's reverse zone on an octet's boundary.
///
/// A port (`example.org:53`) and a transport (`dns://`) are cut off.
pub(crate) fn zone_of_argument(argument: &str) -> String {
    let text = argument.strip_prefix("dns://").unwrap_or(argument);
    if let Ok(ipnet::IpNet::V4(net)) = text.parse::<ipnet::IpNet>() {
        let octets = net.network().octets();
        let kept = usize::from(net.prefix_len() / 8);
        let head: Vec<String> = octets[..kept].iter().rev().map(u8::to_string).collect();
        return normal(&[head.join("."), "in-addr.arpa".to_owned()].join("."));
    }
    let host = match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => text,
    };
    normal(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(".", "a.b.", true)]
    #[case("b.", "a.b.", true)]
    #[case("b.", "ab.", false)]
    #[case("a.b.", "b.", false)]
    #[case("a.b.", "a.b.", true)]
    fn knows_what_lies_under_a_zone(#[case] zone: &str, #[case] name: &str, #[case] expected: bool) {
        assert_eq!(within(zone, name), expected);
    }

    #[rstest]
    #[case("10.0.43.10.in-addr.arpa.", Some("10.43.0.10"))]
    #[case("43.10.in-addr.arpa.", None)]
    #[case("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.", Some("::1"))]
    #[case("cluster.local.", None)]
    fn reads_reverse_names(#[case] name: &str, #[case] expected: Option<&str>) {
        assert_eq!(reverse_address(name), expected.map(|text| text.parse().unwrap()));
    }

    #[rstest]
    #[case("financial-ml:53", "financial-ml.")]
    #[case("dns://.:53", ".")]
    #[case("10.42.0.0/16", "42.10.in-addr.arpa.")]
    #[case("Cluster.Local", "cluster.local.")]
    fn reads_zones(#[case] argument: &str, #[case] expected: &str) {
        assert_eq!(zone_of_argument(argument), expected);
    }
}
