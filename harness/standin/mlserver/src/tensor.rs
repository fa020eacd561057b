//! What NumPy and scikit-learn make of a tensor, as far as they refuse it.

use serde_json::Value;

use crate::failure::Failure;
use crate::inference::Input;

/// The protocol's datatypes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Datatype {
    Bool,
    /// Whole numbers, with their NumPy name and bounds.
    Whole {
        name: &'static str,
        least: i128,
        most: i128,
    },
    /// Numbers with fractions, with their size in bytes.
    Real(usize),
    Bytes,
}

/// As they are written, in the protocol's order.
pub(crate) const DATATYPES: [(&str, Datatype); 13] = [
    ("BOOL", Datatype::Bool),
    ("UINT8", Datatype::Whole { name: "uint8", least: 0, most: u8::MAX as i128 }),
    ("UINT16", Datatype::Whole { name: "uint16", least: 0, most: u16::MAX as i128 }),
    ("UINT32", Datatype::Whole { name: "uint32", least: 0, most: u32::MAX as i128 }),
    ("UINT64", Datatype::Whole { name: "uint64", least: 0, most: u64::MAX as i128 }),
    ("INT8", Datatype::Whole { name: "int8", least: i8::MIN as i128, most: i8::MAX as i128 }),
    ("INT16", Datatype::Whole { name: "int16", least: i16::MIN as i128, most: i16::MAX as i128 }),
    ("INT32", Datatype::Whole { name: "int32", least: i32::MIN as i128, most: i32::MAX as i128 }),
    ("INT64", Datatype::Whole { name: "int64", least: i64::MIN as i128, most: i64::MAX as i128 }),
    ("FP16", Datatype::Real(2)),
    ("FP32", Datatype::Real(4)),
    ("FP64", Datatype::Real(8)),
    ("BYTES", Datatype::Bytes),
];

/// The datatype of that name.
pub(crate) fn datatype(name: &str) -> Option<Datatype> {
    DATATYPES.iter().find(|(known, _)| *known == name).map(|(_, datatype)| *datatype)
}

/// How many rows a classifier sees in `input`.
///
/// # Errors
/// Why it sees none.
pub(crate) fn rows(input: &Input) -> Result<usize, Failure> {
    let Some(datatype) = datatype(&input.datatype) else {
        return Err(Failure::value_error(format!("'{}' is not a valid Datatype", input.datatype)));
    };
    let cells = cells(&input.data)?;
    let mut missing = Missing::No;
    for cell in &cells {
        if converted(cell, datatype)? == Missing::Yes {
            missing = Missing::Yes;
        }
    }
    let shape = reshaped(cells.len(), &input.shape)?;
    classified(&shape, datatype, missing)
}

/// Whether a number is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Yes,
    No,
}

/// The single values in nested lists, which must be of one length at each depth.
fn cells(data: &Value) -> Result<Vec<&Value>, Failure> {
    let (mut level, mut lengths) = (vec![data], Vec::new());
    loop {
        let lists: Vec<&Vec<Value>> = level.iter().filter_map(|value| value.as_array()).collect();
        if lists.is_empty() {
            return Ok(level);
        }
        let length = lists[0].len();
        if lists.len() < level.len() || lists.iter().any(|list| list.len() != length) {
            return Err(Failure::value_error(format!(
                "setting an array element with a sequence. The requested array has an inhomogeneous shape after {} \
                 dimensions. The detected shape was {} + inhomogeneous part.",
                lengths.len(),
                tuple(&lengths)
            )));
        }
        lengths.push(length);
        level = lists.into_iter().flatten().collect();
    }
}

/// A tuple as Python writes it.
fn tuple(numbers: &[usize]) -> String {
    let words: Vec<String> = numbers.iter().map(usize::to_string).collect();
    match words.as_slice() {
        [one] => format!("({one},)"),
        _ => format!("({})", words.join(", ")),
    }
}

/// Whether a value can be a number of this type.
fn converted(cell: &Value, datatype: Datatype) -> Result<Missing, Failure> {
    match datatype {
        Datatype::Bool | Datatype::Bytes => Ok(Missing::No),
        Datatype::Real(_) => real(cell),
        Datatype::Whole { name, least, most } => whole(cell, name, least, most).map(|()| Missing::No),
    }
}

fn real(cell: &Value) -> Result<Missing, Failure> {
    match cell {
        Value::Null => Ok(Missing::Yes),
        Value::Bool(_) | Value::Number(_) => Ok(Missing::No),
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_nan() => Ok(Missing::Yes),
            Ok(_) => Ok(Missing::No),
            Err(_) => Err(Failure::value_error(format!("could not convert string to float: '{text}'"))),
        },
        Value::Object(_) | Value::Array(_) => Err(Failure::raised(
            "TypeError",
            "float() argument must be a string or a real number, not 'dict'",
        )),
    }
}

fn whole(cell: &Value, name: &str, least: i128, most: i128) -> Result<(), Failure> {
    let type_error = |kind: &str| {
        let text =
            format!("int() argument must be a string, a bytes-like object or a real number, not '{kind}'");
        Err(Failure::raised("TypeError", text))
    };
    let number = match cell {
        Value::Bool(_) => return Ok(()),
        Value::Null => return type_error("NoneType"),
        Value::Object(_) | Value::Array(_) => return type_error("dict"),
        // A fraction is cut off.
        Value::Number(number) => number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
            .or_else(|| number.as_f64().map(|number| number as i128)),
        Value::String(text) => match text.trim().parse::<i128>() {
            Ok(number) => Some(number),
            Err(_) => {
                let text = format!("invalid literal for int() with base 10: '{text}'");
                return Err(Failure::value_error(text));
            }
        },
    };
    match number {
        Some(number) if !(least..=most).contains(&number) => {
            let text = format!("Python integer {number} out of bounds for {name}");
            Err(Failure::raised("OverflowError", text))
        }
        Some(_) | None => Ok(()),
    }
}

/// The dimensions of so many values in that shape, of which one may be left open.
fn reshaped(count: usize, shape: &[i64]) -> Result<Vec<usize>, Failure> {
    let open = shape.iter().filter(|length| **length < 0).count();
    if open > 1 {
        return Err(Failure::value_error("can only specify one unknown dimension"));
    }
    let known = shape.iter().filter_map(|length| usize::try_from(*length).ok());
    let known = known.fold(1_usize, usize::saturating_mul);
    let fits = match open {
        0 => known == count,
        _ => known > 0 && count.is_multiple_of(known),
    };
    if !fits {
        let text = format!("cannot reshape array of size {count} into shape {}", asked(shape));
        return Err(Failure::value_error(text));
    }
    Ok(shape.iter().map(|length| usize::try_from(*length).unwrap_or(count / known.max(1))).collect())
}

/// A shape as NumPy says it when it cannot be had: what is left open is not said in front, and `newaxis` elsewhere.
fn asked(shape: &[i64]) -> String {
    let said = shape.iter().skip_while(|length| **length < 0);
    let words: Vec<String> =
        said.map(|length| if *length < 0 { "newaxis".to_owned() } else { length.to_string() }).collect();
    match shape {
        [_] => format!("({},)", words.join(",")),
        _ => format!("({})", words.join(",")),
    }
}

/// How many rows a classifier sees in an array of this shape.
fn classified(shape: &[usize], datatype: Datatype, missing: Missing) -> Result<usize, Failure> {
    let empty = |what: &str| {
        let text = format!(
            "Found array with 0 {what}(s) (shape={}) while a minimum of 1 is required by the stand-in.",
            tuple(shape)
        );
        Err(Failure::value_error(text))
    };
    if datatype == Datatype::Bytes {
        return Err(Failure::value_error(
            "dtype='numeric' is not compatible with arrays of bytes/strings.Convert your data to numeric values \
             explicitly instead.",
        ));
    }
    match shape {
        [_] | [] => Err(Failure::value_error(
            "Expected 2D array, got 1D array instead:\narray=[...].\nReshape your data either using \
             array.reshape(-1, 1) if your data has a single feature or array.reshape(1, -1) if it contains a single \
             sample.",
        )),
        [_, _] if missing == Missing::Yes => Err(Failure::value_error("Input X contains NaN.")),
        [0, _] => empty("sample"),
        [_, 0] => empty("feature"),
        [rows, _] => Ok(*rows),
        _ => {
            let dimensions = shape.len();
            let text =
                format!("Found array with dim {dimensions}, while dim <= 2 is required by the stand-in.");
            Err(Failure::value_error(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn of(shape: &[i64], datatype: &str, data: Value) -> Result<usize, String> {
        let input = Input { shape: shape.to_vec(), datatype: datatype.into(), data };
        rows(&input).map_err(|failure| failure.to_string())
    }

    #[rstest]
    #[case::flat(&[2, 2], json!([1, 2, 3, 4]), 2)]
    #[case::nested(&[2, 2], json!([[1, 2], [3, 4]]), 2)]
    #[case::open(&[-1, 2], json!([1, 2, 3, 4, 5, 6]), 3)]
    #[case::words(&[1, 2], json!(["1", "2.5"]), 1)]
    #[case::one(&[1, 1], json!(5), 1)]
    fn rows_are_counted(#[case] shape: &[i64], #[case] data: Value, #[case] expected: usize) {
        assert_eq!(of(shape, "FP32", data), Ok(expected));
    }

    #[rstest]
    #[case::unsigned("UINT8", json!([-1]), "Python integer -1 out of bounds for uint8")]
    #[case::largest("UINT64", json!([u64::MAX]), "")]
    #[case::cut("INT8", json!([127.9]), "")]
    fn whole_numbers_have_bounds(#[case] datatype: &str, #[case] data: Value, #[case] refused: &str) {
        let expected = if refused.is_empty() { Ok(1) } else { Err(refused.to_owned()) };
        assert_eq!(of(&[1, 1], datatype, data), expected);
    }
}
