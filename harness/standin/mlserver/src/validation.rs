//! What a request's body must be, with the words in which FastAPI and pydantic say that it is not.

use serde_json::{Value, json};

use crate::inference::{Inference, Input};
use crate::registry::Wanted;
use crate::tensor::DATATYPES;

/// What is wrong with a body: `detail` of the answer.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Complaints(Vec<Value>);

impl Complaints {
    fn add(&mut self, kind: &str, place: &[Value], message: &str, input: &Value) {
        self.0.push(json!({"type": kind, "loc": place, "msg": message, "input": input}));
    }

    /// The answer.
    pub(crate) fn body(self) -> Value {
        json!({"detail": self.0})
    }
}

/// The body as JSON.
///
/// # Errors
/// That it is none, or that there is none.
fn document(body: &[u8]) -> Result<Value, Complaints> {
    let mut complaints = Complaints::default();
    if body.is_empty() {
        complaints.add("missing", &[json!("body")], "Field required", &Value::Null);
        return Err(complaints);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Null) => {
            complaints.add("missing", &[json!("body")], "Field required", &Value::Null);
            Err(complaints)
        }
        Ok(value) => Ok(value),
        Err(error) => {
            let mut complaint = json!({
                "type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error", "input": {},
            });
            complaint["ctx"] = json!({"error": error.to_string()});
            Err(Complaints(vec![complaint]))
        }
    }
}

/// A request for a prediction.
///
/// # Errors
/// What is wrong with it, all of it.
pub(crate) fn inference(body: &[u8]) -> Result<Inference, Complaints> {
    let document = document(body)?;
    let mut reader = Reader::default();
    let place = [json!("body")];
    let mut inference = Inference { id: None, inputs: Vec::new(), outputs: Vec::new() };
    if reader.is_object(&place, &document) {
        inference.id = reader.optional_text(&place, &document, "id");
        let inputs = reader.list(&place, &document, "inputs", Presence::Required);
        inference.inputs =
            inputs.into_iter().filter_map(|(place, value)| reader.input(&place, value)).collect();
        let outputs = reader.list(&place, &document, "outputs", Presence::Optional);
        inference.outputs =
            outputs.into_iter().filter_map(|(place, value)| reader.output(&place, value)).collect();
    }
    reader.done(inference)
}

/// Which models a request for the repository's index asks for.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn index(body: &[u8]) -> Result<Wanted, Complaints> {
    let document = document(body)?;
    let mut reader = Reader::default();
    let place = [json!("body")];
    let mut wanted = Wanted::All;
    if reader.is_object(&place, &document) {
        match &document["ready"] {
            Value::Null | Value::Bool(false) => {}
            Value::Bool(true) => wanted = Wanted::Ready,
            other => reader.complaints.add(
                "bool_parsing",
                &[json!("body"), json!("ready")],
                "Input should be a valid boolean, unable to interpret input",
                other,
            ),
        }
    }
    reader.done(wanted)
}

/// Whether a field may be left out, or null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}

/// Where a value is, and the value.
type Placed<'a> = (Vec<Value>, &'a Value);

/// Reads fields and collects complaints.
#[derive(Debug, Default)]
struct Reader {
    complaints: Complaints,
}

fn at(place: &[Value], step: impl Into<Value>) -> Vec<Value> {
    place.iter().cloned().chain([step.into()]).collect()
}

impl Reader {
    fn done<T>(self, value: T) -> Result<T, Complaints> {
        if self.complaints.0.is_empty() { Ok(value) } else { Err(self.complaints) }
    }

    fn is_object(&mut self, place: &[Value], value: &Value) -> bool {
        if !value.is_object() {
            let message = "Input should be a valid dictionary or object to extract fields from";
            self.complaints.add("model_attributes_type", place, message, value);
        }
        value.is_object()
    }

    fn required<'a>(&mut self, place: &[Value], object: &'a Value, name: &str) -> Option<&'a Value> {
        let value = object.get(name);
        if value.is_none() {
            self.complaints.add("missing", &at(place, name), "Field required", object);
        }
        value
    }

    fn text(&mut self, place: &[Value], value: &Value) -> Option<String> {
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            self.complaints.add("string_type", place, "Input should be a valid string", value);
        }
        text
    }

    fn optional_text(&mut self, place: &[Value], object: &Value, name: &str) -> Option<String> {
        let value = object.get(name).filter(|value| !value.is_null())?;
        self.text(&at(place, name), value)
    }

    fn list<'a>(
        &mut self,
        place: &[Value],
        object: &'a Value,
        name: &str,
        presence: Presence,
    ) -> Vec<Placed<'a>> {
        let value = match presence {
            Presence::Required => self.required(place, object, name),
            Presence::Optional => object.get(name).filter(|value| !value.is_null()),
        };
        let Some(value) = value else { return Vec::new() };
        let place = at(place, name);
        match value.as_array() {
            Some(list) => list.iter().enumerate().map(|(index, one)| (at(&place, index), one)).collect(),
            None => {
                self.complaints.add("list_type", &place, "Input should be a valid list", value);
                Vec::new()
            }
        }
    }

    fn input(&mut self, place: &[Value], value: &Value) -> Option<Input> {
        if !self.is_object(place, value) {
            return None;
        }
        if let Some(name) = self.required(place, value, "name") {
            self.text(&at(place, "name"), name);
        }
        let lengths = self.list(place, value, "shape", Presence::Required);
        let shape = lengths.into_iter().filter_map(|(place, length)| self.length(&place, length)).collect();
        let datatype = self
            .required(place, value, "datatype")
            .and_then(|datatype| self.datatype(&at(place, "datatype"), datatype));
        let data = self.required(place, value, "data").cloned();
        Some(Input { shape, datatype: datatype?, data: data? })
    }

    fn output(&mut self, place: &[Value], value: &Value) -> Option<String> {
        if !self.is_object(place, value) {
            return None;
        }
        let name = self.required(place, value, "name")?;
        self.text(&at(place, "name"), name)
    }

    fn length(&mut self, place: &[Value], value: &Value) -> Option<i64> {
        let parsed = match value {
            Value::Number(number) => number.as_i64().or_else(|| {
                number.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64)
            }),
            Value::Bool(truth) => Some(i64::from(*truth)),
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        if parsed.is_none() {
            let (kind, message) = match value {
                Value::String(_) => {
                    ("int_parsing", "Input should be a valid integer, unable to parse string as an integer")
                }
                Value::Number(_) => {
                    ("int_from_float", "Input should be a valid integer, got a number with a fractional part")
                }
                _ => ("int_type", "Input should be a valid integer"),
            };
            self.complaints.add(kind, place, message, value);
        }
        parsed
    }

    fn datatype(&mut self, place: &[Value], value: &Value) -> Option<String> {
        let known = value.as_str().filter(|word| DATATYPES.iter().any(|(name, _)| name == word));
        if known.is_none() {
            let names: Vec<String> = DATATYPES.iter().map(|(name, _)| format!("'{name}'")).collect();
            let (last, others) = names.split_last()?;
            let expected = format!("{} or {last}", others.join(", "));
            let mut complaint = json!({
                "type": "enum", "loc": place, "msg": format!("Input should be {expected}"), "input": value,
            });
            complaint["ctx"] = json!({"expected": expected});
            self.complaints.0.push(complaint);
        }
        known.map(str::to_owned)
    }
}
