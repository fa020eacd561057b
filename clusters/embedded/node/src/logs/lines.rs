//! Lines of a container's log: the format on disk, and what a reader asked to see.

use jiff::{SignedDuration, Timestamp};

/// Whether each line begins with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Timestamps {
    Shown,
    #[default]
    Hidden,
}

/// What a reader wants of a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) tail: Option<u64>,
    pub(crate) since_seconds: Option<u64>,
    pub(crate) limit: Option<u64>,
    pub(crate) timestamps: Timestamps,
}

/// A line as the process wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) time: Timestamp,
    pub(crate) is_stderr: bool,
    /// With its newline, unless the process ended without one.
    pub(crate) text: Vec<u8>,
}

/// One line on disk. `F` is a full line, `P` one without its newline.
pub(super) fn encode(time: Timestamp, stream: &str, line: &[u8]) -> Vec<u8> {
    let (text, tag) = line.strip_suffix(b"\n").map_or((line, "P"), |text| (text, "F"));
    let mut entry = format!("{} {stream} {tag} ", time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ")).into_bytes();
    entry.extend_from_slice(text);
    entry.push(b'\n');
    entry
}

/// The lines of a piece of a log that begins and ends at line ends.
pub(super) fn decode(text: &[u8]) -> Vec<Line> {
    let one = |entry: &[u8]| {
        let mut parts = entry.splitn(4, |it| *it == b' ');
        let time = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
        let is_stderr = parts.next()? == b"stderr";
        let full = parts.next()? == b"F";
        let mut text = parts.next()?.to_vec();
        if full {
            text.push(b'\n');
        }
        Some(Line { time, is_stderr, text })
    };
    text.split_inclusive(|it| *it == b'\n')
        .filter_map(|it| one(it.strip_suffix(b"\n").unwrap_or(it)))
        .collect()
}

impl Filter {
    /// The same for lines that are written later: no tail.
    pub(super) fn for_following(&self) -> Filter {
        Filter { tail: None, since_seconds: None, ..self.clone() }
    }

    /// The lines as the reader wants them. The limit in bytes is the sender's business.
    pub(super) fn apply(&self, text: &[u8], now: Timestamp) -> Vec<Vec<u8>> {
        // A time before all time leaves nothing out.
        let since = self.since_seconds.and_then(|it| {
            let passed = SignedDuration::from_secs(i64::try_from(it).ok()?);
            now.checked_sub(passed).ok()
        });
        let mut lines = decode(text);
        lines.retain(|it| since.is_none_or(|since| it.time >= since));
        let skip = self
            .tail
            .map_or(0, |tail| lines.len().saturating_sub(usize::try_from(tail).unwrap_or(usize::MAX)));
        lines.drain(..skip);
        let show = |line: Line| match self.timestamps {
            Timestamps::Hidden => line.text,
            Timestamps::Shown => {
                let mut text = format!("{} ", line.time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ")).into_bytes();
                text.extend(line.text);
                text
            }
        };
        lines.into_iter().map(show).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn log() -> Vec<u8> {
        let lines = [(1, "stdout", "one\n"), (5, "stderr", "two two\n"), (9, "stdout", "three")];
        let encoded = lines.iter().map(|(second, stream, text)| {
            encode(Timestamp::from_second(*second).unwrap(), stream, text.as_bytes())
        });
        encoded.flatten().collect()
    }

    #[test]
    fn on_disk() {
        assert_eq!(
            String::from_utf8(log()).unwrap(),
            "1970-01-01T00:00:01.000000000Z stdout F one\n1970-01-01T00:00:05.000000000Z stderr F two two\n\
             1970-01-01T00:00:09.000000000Z stdout P three\n"
        );
    }

    #[rstest]
    #[case::all(Filter::default(), "one\ntwo two\nthree")]
    #[case::tail(Filter { tail: Some(2), ..Filter::default() }, "two two\nthree")]
    #[case::tail_of_none(Filter { tail: Some(0), ..Filter::default() }, "")]
    #[case::since(Filter { since_seconds: Some(6), ..Filter::default() }, "two two\nthree")]
    #[case::since_before_all_time(Filter { since_seconds: Some(u64::MAX), ..Filter::default() }, "one\ntwo two\nthree")]
    #[case::since_long_ago(Filter { since_seconds: Some(1 << 40), ..Filter::default() }, "one\ntwo two\nthree")]
    #[case::times(Filter { tail: Some(1), timestamps: Timestamps::Shown, ..Filter::default() }, "1970-01-01T00:00:09.000000000Z three")]
    fn filters(#[case] filter: Filter, #[case] expected: &str) {
        let seen: Vec<u8> =
            filter.apply(&log(), Timestamp::from_second(10).unwrap()).into_iter().flatten().collect();
        assert_eq!(String::from_utf8(seen).unwrap(), expected);
    }

    proptest::proptest! {
        #[test]
        fn what_goes_in_comes_out(texts in proptest::collection::vec("[^\n]*", 0..8)) {
            let time = Timestamp::from_second(7).unwrap();
            let stored: Vec<u8> = texts.iter().flat_map(|it| encode(time, "stdout", format!("{it}\n").as_bytes())).collect();
            let seen: Vec<_> = decode(&stored).into_iter().map(|it| String::from_utf8(it.text).unwrap()).collect();
            let expected: Vec<_> = texts.iter().map(|it| format!("{it}\n")).collect();
            proptest::prop_assert_eq!(seen, expected);
        }
    }
}
