//! Kubernetes quantities in bytes.

use serde_json::Value;

/// A quantity (number or text) as a whole number, `None` when it is none or does not fit.
pub(crate) fn whole(quantity: &Value) -> Option<u64> {
    match quantity {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => parse(text),
        _ => None,
    }
}

fn parse(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let (base, power): (u128, u32) = match suffix {
        "" => (1, 0),
        "k" => (1000, 1),
        "M" => (1000, 2),
        "G" => (1000, 3),
        "T" => (1000, 4),
        "P" => (1000, 5),
        "E" => (1000, 6),
        "Ki" => (1024, 1),
        "Mi" => (1024, 2),
        "Gi" => (1024, 3),
        "Ti" => (1024, 4),
        "Pi" => (1024, 5),
        "Ei" => (1024, 6),
        exponent => (10, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let unscaled: u128 = format!("{integer}{fraction}").parse().ok()?;
    let product = unscaled.checked_mul(base.checked_pow(power)?)?;
    (product % scale == 0).then(|| u64::try_from(product / scale).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(json!(5), Some(5))]
    #[case(json!("100Ki"), Some(102_400))]
    #[case(json!("10Gi"), Some(10_737_418_240))]
    #[case(json!("1.5k"), Some(1_500))]
    #[case(json!("2e3"), Some(2_000))]
    #[case::no_whole_number(json!("0.5"), None)]
    #[case::no_quantity(json!("lots"), None)]
    #[case::too_large(json!("100Ei"), None)]
    fn quantities(#[case] quantity: Value, #[case] expected: Option<u64>) {
        assert_eq!(whole(&quantity), expected);
    }
}
