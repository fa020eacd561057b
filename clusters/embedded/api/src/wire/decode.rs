//! Reading protobuf (proto2, as the API's generated code writes it) into JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use embedded_machinery::Gvk;

use super::{Field, Kind, Shape, message, message_of};

/// What every protobuf body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Reads a body: the envelope `runtime.Unknown` around one object.
///
/// # Errors
/// Why it cannot be read, for a person.
pub(crate) fn object(body: &[u8]) -> Result<Value, String> {
    let envelope =
        body.strip_prefix(MAGIC).ok_or("the body does not begin with the protobuf magic number")?;
    let (mut type_meta, mut raw) = (&[][..], &[][..]);
    for field in Fields(envelope) {
        match field? {
            (1, Wire::Bytes(bytes)) => type_meta = bytes,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (mut api_version, mut kind) = (String::new(), String::new());
    for field in Fields(type_meta) {
        match field? {
            (1, Wire::Bytes(bytes)) => api_version = text(bytes)?,
            (2, Wire::Bytes(bytes)) => kind = text(bytes)?,
            _ => {}
        }
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let name = message_of(&Gvk::new(group, version, kind.as_str()));
    let fields = message(&name)
        .ok_or_else(|| format!("no kind {kind:?} is registered for version {api_version:?}"))?;
    let mut object = Map::new();
    object.insert("kind".to_owned(), kind.into());
    object.insert("apiVersion".to_owned(), api_version.into());
    read(fields, raw, &mut object)?;
    Ok(Value::Object(object))
}

/// A value on the wire.
enum Wire<'a> {
    Number(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message on the wire, with their numbers.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Wire<'a>), String> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Fixed(self.fixed::<8>().map(u64::from_le_bytes)?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| "a length is too large")?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed(self.fixed::<4>().map(|bytes| u64::from(u32::from_le_bytes(bytes)))?),
            other => return Err(format!("unknown wire type {other}")),
        };
        Ok((tag >> 3, value))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("the message is cut short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "the message is cut short".to_owned())
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?.first().copied().unwrap_or_default();
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number is too long".to_owned())
    }
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a text is not UTF-8".to_owned())
}

/// Reads a message's fields into an object.
fn read(fields: &[Field], bytes: &[u8], object: &mut Map<String, Value>) -> Result<(), String> {
    for found in Fields(bytes) {
        let (number, wire) = found?;
        let Some(field) = fields.iter().find(|field| field.number == number) else { continue };
        match &field.shape {
            Shape::One(Kind::Message(name)) if field.inline => {
                if let (Wire::Bytes(bytes), Some(fields)) = (wire, message(name)) {
                    read(fields, bytes, object)?;
                }
            }
            Shape::One(kind) => {
                let value = value(*kind, &wire)?;
                if field.kept_when_empty || !is_empty(&value) {
                    object.insert(field.name.to_owned(), value);
                }
            }
            Shape::List(kind) => {
                let value = value(*kind, &wire)?;
                let list = object.entry(field.name).or_insert_with(|| json!([]));
                list.as_array_mut().map(|list| list.push(value)).unwrap_or_default();
            }
            Shape::Map(kind) => {
                let (key, value) = entry(*kind, &wire)?;
                let map = object.entry(field.name).or_insert_with(|| json!({}));
                map.as_object_mut().and_then(|map| map.insert(key, value));
            }
        }
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn entry(kind: Kind, wire: &Wire<'_>) -> Result<(String, Value), String> {
    let Wire::Bytes(bytes) = wire else { return Err("a map's entry is not a message".to_owned()) };
    let (mut key, mut found) = (String::new(), None);
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Bytes(bytes)) => key = text(bytes)?,
            (2, wire) => found = Some(value(kind, &wire)?),
            _ => {}
        }
    }
    let found = match found {
        Some(found) => found,
        // A key whose value is the empty text.
        None => Value::String(String::new()),
    };
    Ok((key, found))
}

fn value(kind: Kind, wire: &Wire<'_>) -> Result<Value, String> {
    Ok(match (kind, wire) {
        (Kind::Bool, Wire::Number(number)) => Value::Bool(*number != 0),
        (Kind::Integer("uint32" | "uint64"), Wire::Number(number)) => json!(number),
        // Negative numbers are written in two's complement over 64 bits.
        (Kind::Integer(_), Wire::Number(number)) => json!(number.cast_signed()),
        (Kind::Double, Wire::Fixed(bits)) => json!(f64::from_bits(*bits)),
        (Kind::String, Wire::Bytes(bytes)) => Value::String(text(bytes)?),
        (Kind::Bytes, Wire::Bytes(bytes)) => Value::String(STANDARD.encode(bytes)),
        (Kind::Time, Wire::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%SZ")?,
        (Kind::MicroTime, Wire::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%S%.6fZ")?,
        (Kind::Duration, Wire::Bytes(bytes)) => {
            json!(format!("{}s", first_number(bytes)?.unwrap_or(0) / 1_000_000_000))
        }
        (Kind::Quantity, Wire::Bytes(bytes)) => Value::String(first_text(bytes, 1)?.unwrap_or_default()),
        (Kind::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
        (Kind::Raw, Wire::Bytes(bytes)) => {
            let json = Fields(bytes).find_map(|field| match field {
                Ok((1, Wire::Bytes(bytes))) => Some(bytes),
                _ => None,
            });
            serde_json::from_slice(json.unwrap_or(b"null")).map_err(|error| error.to_string())?
        }
        (Kind::Strings, Wire::Bytes(bytes)) => {
            let mut items = Vec::new();
            for field in Fields(bytes) {
                if let (1, Wire::Bytes(bytes)) = field? {
                    items.push(Value::String(text(bytes)?));
                }
            }
            Value::Array(items)
        }
        (Kind::Message(name), Wire::Bytes(bytes)) => {
            let mut object = Map::new();
            read(message(name).unwrap_or_default(), bytes, &mut object)?;
            Value::Object(object)
        }
        (kind, _) => return Err(format!("a value of another wire type stands for {kind:?}")),
    })
}

fn first_number(bytes: &[u8]) -> Result<Option<i64>, String> {
    for field in Fields(bytes) {
        if let (1, Wire::Number(number)) = field? {
            return Ok(Some(number.cast_signed()));
        }
    }
    Ok(None)
}

fn first_text(bytes: &[u8], wanted: u64) -> Result<Option<String>, String> {
    for field in Fields(bytes) {
        match field? {
            (number, Wire::Bytes(bytes)) if number == wanted => return text(bytes).map(Some),
            _ => {}
        }
    }
    Ok(None)
}

/// An empty message is the zero time, which JSON shows as null.
fn time(bytes: &[u8], format: &str) -> Result<Value, String> {
    let (mut seconds, mut nanos) = (None, 0);
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Number(number)) => seconds = Some(number.cast_signed()),
            (2, Wire::Number(number)) => nanos = i32::try_from(number.cast_signed()).unwrap_or_default(),
            _ => {}
        }
    }
    let Some(seconds) = seconds else { return Ok(Value::Null) };
    let time = jiff::Timestamp::new(seconds, nanos).map_err(|error| error.to_string())?;
    Ok(Value::String(time.strftime(format).to_string()))
}

fn int_or_string(bytes: &[u8]) -> Result<Value, String> {
    let (mut is_text, mut number, mut words) = (false, 0, String::new());
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Number(kind)) => is_text = kind == 1,
            (2, Wire::Number(found)) => number = found.cast_signed(),
            (3, Wire::Bytes(bytes)) => words = text(bytes)?,
            _ => {}
        }
    }
    Ok(if is_text { Value::String(words) } else { json!(number) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).unwrap();
        [&[number << 3 | 2, length], bytes].concat()
    }

    #[test]
    fn a_namespace_is_read() {
        let metadata = [
            field(1, b"x"),
            field(2, b""),
            field(8, b""),
            field(11, &[field(1, b"k"), field(2, b"v")].concat()),
        ]
        .concat();
        let namespace = [field(1, &metadata), field(2, b""), field(3, &field(1, b""))].concat();
        let types = [field(1, b"v1"), field(2, b"Namespace")].concat();
        let body = [MAGIC, &field(1, &types), &field(2, &namespace), &field(3, b""), &field(4, b"")].concat();
        assert_eq!(
            object(&body).unwrap(),
            json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "x", "labels": {"k": "v"}}})
        );
    }

    proptest! {
        #[test]
        fn garbage_is_refused_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let types = [field(1, b"v1"), field(2, b"Pod")].concat();
            let length = u8::try_from(bytes.len()).unwrap();
            let raw = [&[2 << 3 | 2, length | 0x80, u8::from(length > 127)][..], &bytes].concat();
            let _ = object(&[MAGIC, &field(1, &types), &raw].concat());
            let _ = object(&bytes);
        }
    }
}
