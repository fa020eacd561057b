//! Tensors whose numbers came as bytes, or as one of gRPC's typed lists.

use seldon_proto::inference::InferTensorContents;
use serde_json::{Value, json};

use crate::tensor::{Datatype, datatype};

/// The first list that holds anything: MLServer does not ask whether it is the datatype's.
pub(crate) fn listed(contents: &InferTensorContents) -> Value {
    let InferTensorContents {
        bool_contents,
        int_contents,
        int64_contents,
        uint_contents,
        uint64_contents,
        fp32_contents,
        fp64_contents,
        bytes_contents,
    } = contents;
    if !bool_contents.is_empty() {
        json!(bool_contents)
    } else if !int_contents.is_empty() {
        json!(int_contents)
    } else if !int64_contents.is_empty() {
        json!(int64_contents)
    } else if !uint_contents.is_empty() {
        json!(uint_contents)
    } else if !uint64_contents.is_empty() {
        json!(uint64_contents)
    } else if !fp32_contents.is_empty() {
        json!(fp32_contents)
    } else if !fp64_contents.is_empty() {
        json!(fp64_contents)
    } else {
        bytes_contents.iter().map(|bytes| json!(String::from_utf8_lossy(bytes))).collect()
    }
}

/// The numbers in `bytes`, as many as are whole.
pub(crate) fn unpacked(name: &str, bytes: &[u8]) -> Value {
    let numbers = |size: usize, number: &dyn Fn([u8; 8], usize) -> Value| -> Value {
        let padded = |chunk: &[u8]| {
            let mut eight = [0; 8];
            eight[..chunk.len()].copy_from_slice(chunk);
            eight
        };
        bytes.chunks_exact(size).map(|chunk| number(padded(chunk), size)).collect()
    };
    match datatype(name) {
        Some(Datatype::Bool) => numbers(1, &|bytes, _| json!(bytes[0] != 0)),
        Some(Datatype::Real(8)) => numbers(8, &|bytes, _| json!(f64::from_le_bytes(bytes))),
        Some(Datatype::Real(4)) => {
            numbers(4, &|bytes, _| json!(f32::from_bits(u64::from_le_bytes(bytes) as u32)))
        }
        // Of half a number only whether it is one matters: the exponent of what is none is all ones.
        Some(Datatype::Real(_)) => numbers(2, &|bytes, _| {
            let bits = u64::from_le_bytes(bytes) & 0x7fff;
            if bits > 0x7c00 { Value::Null } else { json!(0) }
        }),
        Some(Datatype::Whole { least, most, .. }) => {
            let size = whole_size(most);
            numbers(size, &|bytes, size| {
                let bits = u64::from_le_bytes(bytes);
                let shift = 64 - 8 * size;
                if least < 0 { json!(((bits << shift) as i64) >> shift) } else { json!(bits) }
            })
        }
        Some(Datatype::Bytes) | None => json!([String::from_utf8_lossy(bytes)]),
    }
}

/// In bytes, of a type whose largest number this is.
fn whole_size(most: i128) -> usize {
    [1, 2, 4].into_iter().find(|size| most < 1 << (8 * size)).unwrap_or(8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::signed("INT16", &[0xff, 0xff, 1, 0], json!([-1, 1]))]
    #[case::unsigned("UINT32", &[0xff, 0xff, 0xff, 0xff], json!([4_294_967_295_u32]))]
    #[case::long("UINT64", &[0xff; 8], json!([u64::MAX]))]
    #[case::real("FP32", &1.5_f32.to_le_bytes(), json!([1.5]))]
    #[case::none("FP32", &f32::NAN.to_le_bytes(), json!([null]))]
    #[case::half_none("FP16", &[0x01, 0x7c, 0x00, 0x3c], json!([null, 0]))]
    #[case::truth("BOOL", &[1, 0], json!([true, false]))]
    fn bytes_are_numbers(#[case] name: &str, #[case] bytes: &[u8], #[case] expected: Value) {
        assert_eq!(unpacked(name, bytes), expected);
    }
}
