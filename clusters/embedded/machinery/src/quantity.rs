//! Resource quantities: `100m`, `1.5Gi`, `2e3`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// An amount of a resource, compared by amount. Its text is the canonical one: `1000m` is shown as `1`, `1024Mi` as
/// `1Gi`.
///
/// Held as a whole number of nano units; amounts below one nano unit round up, as in Kubernetes.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// The family of suffixes a quantity was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// `k`, `M`, `m`, …
    Decimal,
    /// `Ki`, `Mi`, …
    Binary,
    /// `e3`, `E-6`, …
    Exponent,
}

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with one of the known suffixes.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// A number too large to hold.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// Reads a JSON string or number.
    ///
    /// # Errors
    /// When the value is neither or its text is no quantity.
    pub fn from_value(value: &Value) -> Result<Self, QuantityError> {
        match value {
            Value::String(text) => text.parse(),
            Value::Number(number) => number.to_string().parse(),
            _ => Err(QuantityError::Format),
        }
    }

    /// Whole units, rounded up: bytes, or cores.
    pub fn value(&self) -> i128 {
        self.nanos.div_euclid(NANO) + i128::from(self.nanos.rem_euclid(NANO) > 0)
    }

    /// Thousandths of a unit, rounded up: millicores.
    pub fn milli_value(&self) -> i128 {
        let milli = NANO / 1000;
        self.nanos.div_euclid(milli) + i128::from(self.nanos.rem_euclid(milli) > 0)
    }

    /// Whether the amount is below zero.
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// The sum of two amounts, written as the first.
    pub fn plus(&self, other: &Self) -> Self {
        Self { nanos: self.nanos.saturating_add(other.nanos), format: self.format }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let digits = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(digits);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(QuantityError::Format);
        }
        let (numerator, denominator) = scale(suffix).ok_or(QuantityError::Suffix)?;
        let fraction = &fraction[..fraction.len().min(18)];
        let digits: i128 = format!("{whole}{fraction}").parse().map_err(|_| QuantityError::Suffix)?;
        let divisor = 10_i128.checked_pow(fraction.len() as u32).and_then(|d| d.checked_mul(denominator));
        let scaled = digits.checked_mul(NANO).and_then(|amount| amount.checked_mul(numerator));
        let (scaled, divisor) = scaled.zip(divisor).ok_or(QuantityError::Suffix)?;
        let magnitude = scaled / divisor + i128::from(scaled % divisor != 0);
        let nanos = if text.starts_with('-') { -magnitude } else { magnitude };
        let format = match suffix {
            binary if binary.ends_with('i') => Format::Binary,
            exponent if exponent.len() > 1 => Format::Exponent,
            _ => Format::Decimal,
        };
        Ok(Self { nanos, format })
    }
}

fn scale(suffix: &str) -> Option<(i128, i128)> {
    let power = |base: i128, exponent: u32| Some((base.checked_pow(exponent)?, 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, NANO)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1000)),
        "k" => power(1000, 1),
        "M" => power(1000, 2),
        "G" => power(1000, 3),
        "T" => power(1000, 4),
        "P" => power(1000, 5),
        "E" => power(1000, 6),
        "Ki" => power(1024, 1),
        "Mi" => power(1024, 2),
        "Gi" => power(1024, 3),
        "Ti" => power(1024, 4),
        "Pi" => power(1024, 5),
        "Ei" => power(1024, 6),
        exponent => {
            let exponent: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let factor = 10_i128.checked_pow(exponent.unsigned_abs())?;
            Some(if exponent < 0 { (1, factor) } else { (factor, 1) })
        }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
        if self.nanos == 0 {
            return formatter.write_str("0");
        }
        if self.format == Format::Binary && self.nanos.abs() >= 1024 * NANO {
            let mut amount = self.value();
            let mut power = 0;
            while amount % 1024 == 0 && power + 1 < BINARY.len() {
                amount /= 1024;
                power += 1;
            }
            return write!(formatter, "{amount}{}", BINARY[power]);
        }
        let mut amount = self.nanos;
        let mut power = 0;
        while amount % 1000 == 0 && power + 1 < DECIMAL.len() {
            amount /= 1000;
            power += 1;
        }
        let exponent = 3 * power as i32 - 9;
        match self.format {
            Format::Exponent if exponent != 0 => write!(formatter, "{amount}e{exponent}"),
            _ => write!(formatter, "{amount}{}", DECIMAL[power]),
        }
    }
}
