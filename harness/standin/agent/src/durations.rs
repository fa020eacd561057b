//! Durations in log lines.

use std::time::Duration;

/// A duration as Go prints it after rounding to 100 ms: `700ms`, `1.5s`, `0s`.
pub(crate) fn tenths(wait: Duration) -> String {
    let tenths = (wait.as_secs_f64() * 10.0).round() as u64;
    match tenths {
        0 => "0s".to_owned(),
        1..10 => format!("{}ms", tenths * 100),
        _ if tenths.is_multiple_of(10) => format!("{}s", tenths / 10),
        _ => format!("{}.{}s", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(20, "0s")]
    #[case(349, "300ms")]
    #[case(980, "1s")]
    #[case(1450, "1.5s")]
    #[case(12_000, "12s")]
    fn durations_are_printed_as_go_does(#[case] milliseconds: u64, #[case] text: &str) {
        assert_eq!(tenths(Duration::from_millis(milliseconds)), text);
    }
}
