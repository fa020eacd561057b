use serde_json::Value;

/// The first value that a printer column's path names: fields, indices, `[*]` and filters on equality.
pub(super) fn find<'a>(path: &str, object: &'a Value) -> Option<&'a Value> {
    let mut found = vec![object];
    let mut rest = path.trim_start_matches('$');
    while !rest.is_empty() {
        let (step, tail) = step(rest)?;
        found = found.into_iter().flat_map(|value| step.follow(value)).collect();
        rest = tail;
    }
    found.first().copied()
}

enum Step {
    Field(String),
    Index(i64),
    All,
    Filter { path: String, wanted: Value, equal: bool },
}

impl Step {
    fn follow<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match self {
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::Index(index) => {
                let list = value.as_array().map_or(&[][..], Vec::as_slice);
                let position = if *index < 0 { index + list.len() as i64 } else { *index };
                usize::try_from(position).ok().and_then(|position| list.get(position)).into_iter().collect()
            }
            Self::All => match value {
                Value::Array(list) => list.iter().collect(),
                Value::Object(map) => map.values().collect(),
                _ => Vec::new(),
            },
            Self::Filter { path, wanted, equal } => {
                let list = value.as_array().map_or(&[][..], Vec::as_slice);
                let holds = |item: &&Value| find(path, item).is_some_and(|found| (found == wanted) == *equal);
                list.iter().filter(holds).collect()
            }
        }
    }
}

/// Reads one step and what follows it.
fn step(path: &str) -> Option<(Step, &str)> {
    if let Some(rest) = path.strip_prefix('.') {
        if let Some(rest) = rest.strip_prefix('*') {
            return Some((Step::All, rest));
        }
        if rest.starts_with('[') {
            return step(rest);
        }
        let (name, tail) = field_name(rest);
        return (!name.is_empty()).then_some((Step::Field(name), tail));
    }
    let inside = path.strip_prefix('[')?;
    let end = closing(inside)?;
    let (inner, tail) = (&inside[..end], &inside[end + 1..]);
    if let Some(condition) = inner.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        return Some((filter(condition)?, tail));
    }
    if inner == "*" {
        return Some((Step::All, tail));
    }
    let quoted = |sign: char| inner.strip_prefix(sign).and_then(|rest| rest.strip_suffix(sign));
    match quoted('\'').or_else(|| quoted('"')) {
        Some(name) => Some((Step::Field(name.to_owned()), tail)),
        None => Some((Step::Index(inner.parse().ok()?), tail)),
    }
}

/// A field's name up to the next step; a backslash keeps a dot within it.
fn field_name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut escaped = false;
    for (index, character) in text.char_indices() {
        match character {
            _ if escaped => {
                name.push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            '.' | '[' => return (name, &text[index..]),
            _ => name.push(character),
        }
    }
    (name, "")
}

/// Where the bracket closes, not minding brackets in quotes.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut depth = 0;
    for (index, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(index),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn filter(condition: &str) -> Option<Step> {
    let (left, right, equal) = match condition.split_once("==") {
        Some((left, right)) => (left, right, true),
        None => {
            let (left, right) = condition.split_once("!=")?;
            (left, right, false)
        }
    };
    let path = left.trim().strip_prefix('@')?.to_owned();
    let right = right.trim();
    let quoted = |sign: char| right.strip_prefix(sign).and_then(|rest| rest.strip_suffix(sign));
    let wanted = match quoted('"').or_else(|| quoted('\'')) {
        Some(text) => Value::String(text.to_owned()),
        None => serde_json::from_str(right).ok()?,
    };
    Some(Step::Filter { path, wanted, equal })
}
