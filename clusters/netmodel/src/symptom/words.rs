//! From a program's words back to the class of what happened to it.

use super::OutcomeClass;

/// Words that tell what became of a name. They come before the dial's words, because a failed
/// look-up quotes the socket's error.
const NAMES: [(&str, OutcomeClass); 11] = [
    ("no such host", OutcomeClass::NameNotFound),
    ("produced zero addresses", OutcomeClass::NameNotFound),
    ("name or service not known", OutcomeClass::NameNotFound),
    ("name does not resolve", OutcomeClass::NameNotFound),
    ("no address associated with hostname", OutcomeClass::NameNotFound),
    ("nxdomain", OutcomeClass::NameNotFound),
    ("server misbehaving", OutcomeClass::NameTemporary),
    ("temporary failure in name resolution", OutcomeClass::NameTemporary),
    ("try again", OutcomeClass::NameTemporary),
    ("could not resolve host", OutcomeClass::NameTemporary),
    ("no servers could be reached", OutcomeClass::NameTimeout),
];

/// Words that tell what became of a dial or of a connection.
const DIALS: [(&str, OutcomeClass); 10] = [
    ("connection refused", OutcomeClass::Refused),
    ("failed to connect to", OutcomeClass::Refused),
    ("operation not permitted", OutcomeClass::NotPermitted),
    ("no route to host", OutcomeClass::NoRoute),
    ("network is unreachable", OutcomeClass::NetUnreachable),
    ("connection reset by peer", OutcomeClass::Reset),
    ("i/o timeout", OutcomeClass::Timeout),
    ("timed out", OutcomeClass::Timeout),
    ("deadline exceeded", OutcomeClass::Timeout),
    ("deadline has elapsed", OutcomeClass::Timeout),
];

/// The class that `text` (an error, a log line, a condition's message) tells of, in the words of
/// Go 1.24, grpc-go, glibc, musl, curl, busybox, BIND's tools, tokio and tonic. `None` if it
/// tells of none.
#[must_use]
pub fn read(text: &str) -> Option<OutcomeClass> {
    let text = text.to_lowercase();
    let among = |words: &[(&str, OutcomeClass)]| {
        words.iter().find(|(word, _)| text.contains(word)).map(|(_, class)| *class)
    };
    let looked_up = text.contains("lookup ") || text.contains("nslookup: write to");
    among(&NAMES).or_else(|| match among(&DIALS)? {
        OutcomeClass::Timeout if looked_up => Some(OutcomeClass::NameTimeout),
        OutcomeClass::Refused if looked_up => Some(OutcomeClass::NameTemporary),
        class => Some(class),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("dial tcp 10.43.170.148:9004: connect: operation not permitted", OutcomeClass::NotPermitted)]
    #[case("dial tcp: lookup a.b on 10.43.0.10:53: no such host", OutcomeClass::NameNotFound)]
    #[case("lookup a.b on 10.43.0.10:53: dial udp 10.43.0.10:53: i/o timeout", OutcomeClass::NameTimeout)]
    #[case(
        "lookup a on 10.43.0.10:53: read udp 10.42.0.5:1->10.43.0.10:53: read: connection refused",
        OutcomeClass::NameTemporary
    )]
    #[case("read tcp 10.42.0.5:1->10.42.0.6:2: read: connection reset by peer", OutcomeClass::Reset)]
    #[case("context deadline exceeded while waiting for connections to become ready", OutcomeClass::Timeout)]
    #[case("tcp connect error: Connection refused (os error 111)", OutcomeClass::Refused)]
    #[case("name resolver error: produced zero addresses", OutcomeClass::NameNotFound)]
    fn reads_errors(#[case] text: &str, #[case] class: OutcomeClass) {
        assert_eq!(read(text), Some(class));
    }

    #[test]
    fn reads_nothing_into_other_text() {
        assert_eq!(read("model iris is ready"), None);
    }
}
