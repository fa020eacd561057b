use serde_json::{Map, Value};

use super::PatchError;
use crate::types::{self, Field, Merge, Shape};

type Object = Map<String, Value>;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// Merges `patch` into an object of the given shape.
pub(super) fn merge_object(
    shape: &Shape,
    mut document: Object,
    patch: &Object,
) -> Result<Object, PatchError> {
    match patch.get(PATCH) {
        None => {}
        Some(Value::String(word)) if word == "merge" => {}
        Some(Value::String(word)) if word == "replace" => {
            let rest = patch.iter().filter(|(key, _)| *key != PATCH);
            return Ok(rest.map(|(key, value)| (key.clone(), value.clone())).collect());
        }
        Some(Value::String(word)) if word == "delete" => return Ok(Object::new()),
        Some(other) => {
            let shown = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
            return Err(PatchError::DoesNotFit(format!("unknown patch type {shown} in map")));
        }
    }
    retain_keys(&mut document, patch)?;
    let live: Object =
        ordered_fields(patch).filter_map(|key| document.get_key_value(key)).map(owned).collect();
    for (key, change) in patch {
        if let Some(field) = key.strip_prefix(DELETE_FROM) {
            delete_from_primitives(&mut document, field, change)?;
        } else if !key.starts_with('$') || (!key.starts_with(ORDER) && key != PATCH && key != RETAIN_KEYS) {
            merge_field(shape, &mut document, key, change)?;
        }
    }
    for (key, order) in patch {
        if let Some(field) = key.strip_prefix(ORDER) {
            set_order(shape, &mut document, field, order, live.get(field))?;
        }
    }
    Ok(document)
}

fn owned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

fn ordered_fields(patch: &Object) -> impl Iterator<Item = &str> {
    patch.keys().filter_map(|key| key.strip_prefix(ORDER))
}

fn retain_keys(document: &mut Object, patch: &Object) -> Result<(), PatchError> {
    let Some(list) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    let bad = || PatchError::Malformed("invalid patch format of retainKeys".to_owned());
    let kept: Vec<&str> =
        list.as_array().ok_or_else(bad)?.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(bad)?;
    let listed = |key: &str| kept.contains(&key);
    let stray = patch.iter().any(|(key, value)| !key.starts_with('$') && !value.is_null() && !listed(key));
    if stray {
        return Err(bad());
    }
    document.retain(|key, _| listed(key));
    Ok(())
}

fn field_of(shape: &Shape, key: &str) -> Option<&'static Field> {
    match shape {
        Shape::Object(name) => types::get(name)?.fields.get(key),
        _ => None,
    }
}

fn shape_of(shape: &Shape, key: &str) -> Shape {
    match shape {
        Shape::Map(item) => **item,
        _ => field_of(shape, key).map_or(Shape::Any, |field| field.shape),
    }
}

fn merge_field(shape: &Shape, document: &mut Object, key: &str, change: &Value) -> Result<(), PatchError> {
    if change.is_null() {
        document.shift_remove(key);
        return Ok(());
    }
    let inner = shape_of(shape, key);
    let merged = match (document.get_mut(key), change) {
        (Some(Value::Object(current)), Value::Object(change)) => {
            Value::Object(merge_object(&inner, std::mem::take(current), change)?)
        }
        (Some(Value::Array(current)), Value::Array(change)) => {
            let merge = field_of(shape, key).map_or(Merge::Plain, |field| field.merge);
            let item = if let Shape::List(item) = inner { *item } else { Shape::Any };
            Value::Array(merge_list(&item, merge, std::mem::take(current), change)?)
        }
        _ => without_directives(change),
    };
    document.insert(key.to_owned(), merged);
    Ok(())
}

fn merge_list(
    item: &Shape,
    merge: Merge,
    mut current: Vec<Value>,
    change: &[Value],
) -> Result<Vec<Value>, PatchError> {
    match merge {
        Merge::Plain | Merge::Atomic => Ok(change.iter().map(without_directives).collect()),
        Merge::Set => {
            for value in change {
                if !current.contains(value) {
                    current.push(value.clone());
                }
            }
            Ok(current)
        }
        Merge::Keyed(keys) => merge_keyed(item, keys[0], current, change),
    }
}

fn merge_keyed(
    item: &Shape,
    key: &str,
    mut current: Vec<Value>,
    change: &[Value],
) -> Result<Vec<Value>, PatchError> {
    let directive = |value: &Value| value.get(PATCH).and_then(Value::as_str).map(str::to_owned);
    if change.iter().any(|value| directive(value).as_deref() == Some("replace")) {
        let rest = change.iter().filter(|value| directive(value).is_none());
        return Ok(rest.map(without_directives).collect());
    }
    for value in change {
        let Value::Object(fields) = value else {
            let why = "delete/merge list items must be objects".to_owned();
            return Err(PatchError::DoesNotFit(why));
        };
        let identity = fields.get(key).ok_or_else(|| {
            PatchError::DoesNotFit(format!("map: {value} does not contain declared merge key: {key}"))
        })?;
        let position = current.iter().position(|held| held.get(key) == Some(identity));
        match (directive(value).as_deref(), position) {
            (Some("delete"), _) => current.retain(|held| held.get(key) != Some(identity)),
            (Some("merge") | None, Some(position)) => {
                if let Value::Object(held) = std::mem::take(&mut current[position]) {
                    current[position] = Value::Object(merge_object(item, held, fields)?);
                }
            }
            (Some("merge") | None, None) => current.push(without_directives(value)),
            (Some(other), _) => {
                return Err(PatchError::DoesNotFit(format!("unknown patch type {other} in map")));
            }
        }
    }
    Ok(current)
}

fn delete_from_primitives(document: &mut Object, field: &str, gone: &Value) -> Result<(), PatchError> {
    let Value::Array(gone) = gone else {
        return Err(PatchError::Malformed("invalid patch format of primitive list".to_owned()));
    };
    if let Some(Value::Array(list)) = document.get_mut(field) {
        list.retain(|value| !gone.contains(value));
    }
    Ok(())
}

/// Sorts a merged list as the patch wishes; items that the wish does not name keep their places among the others
/// as they stood in `live`.
fn set_order(
    shape: &Shape,
    document: &mut Object,
    field: &str,
    order: &Value,
    live: Option<&Value>,
) -> Result<(), PatchError> {
    let Value::Array(order) = order else {
        return Err(PatchError::Malformed("invalid patch format of setElementOrder list".to_owned()));
    };
    let merge = field_of(shape, field).map_or(Merge::Plain, |field| field.merge);
    let Some(Value::Array(list)) = document.get_mut(field) else { return Ok(()) };
    let identity = |value: &Value| match merge {
        Merge::Keyed(keys) => value.get(keys[0]).cloned(),
        _ => Some(value.clone()),
    };
    let place_in = |list: &[Value], value: &Value| {
        let wanted = identity(value);
        list.iter().position(|candidate| identity(candidate) == wanted)
    };
    let live = live.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        std::mem::take(list).into_iter().partition(|value| place_in(order, value).is_some());
    named.sort_by_key(|value| place_in(order, value));
    others.sort_by_key(|value| place_in(live, value).unwrap_or(usize::MAX));
    let mut named = named.into_iter().peekable();
    for other in others {
        while let Some(next) = named.peek() {
            let before =
                place_in(live, &other).zip(place_in(live, next)).is_some_and(|(other, next)| other < next);
            if before {
                break;
            }
            list.extend(named.next());
        }
        list.push(other);
    }
    list.extend(named);
    Ok(())
}

/// A value that is new in the document: without directives and without nulls.
fn without_directives(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            if map.get(PATCH).and_then(Value::as_str) == Some("delete") {
                return Value::Object(Object::new());
            }
            let plain = map.iter().filter(|(key, value)| {
                !value.is_null()
                    && *key != PATCH
                    && *key != RETAIN_KEYS
                    && !key.starts_with(ORDER)
                    && !key.starts_with(DELETE_FROM)
            });
            Value::Object(plain.map(|(key, value)| (key.clone(), without_directives(value))).collect())
        }
        Value::Array(list) => {
            let deleted = |value: &&Value| value.get(PATCH).and_then(Value::as_str) != Some("delete");
            let empty_directive = |value: &&Value| {
                !value.as_object().is_some_and(|map| map.len() == 1 && map.contains_key(PATCH))
            };
            Value::Array(
                list.iter().filter(deleted).filter(empty_directive).map(without_directives).collect(),
            )
        }
        other => other.clone(),
    }
}
