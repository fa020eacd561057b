use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// One complaint about one field, worded as kube-apiserver 1.33.1 words it.
///
/// `Display` gives the whole sentence: `spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive`.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// Path of the field, such as `spec.ports[0].port`.
    pub field: String,
    /// What sort of complaint it is.
    pub kind: FieldErrorKind,
    /// The offending value, where the sentence shows one.
    pub bad_value: BadValue,
    /// The rest of the sentence; may be empty.
    pub detail: String,
}

/// The sort of a [`FieldError`]; also the `reason` of a cause in a `Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// A required value is absent.
    Required,
    /// A value must be unique and is not.
    Duplicate,
    /// A value is malformed or out of range.
    Invalid,
    /// A value is of the wrong JSON type.
    TypeInvalid,
    /// A value is not one of the allowed ones.
    NotSupported,
    /// A value may not be set here or now.
    Forbidden,
    /// A value is too long.
    TooLong,
    /// A list has too many items.
    TooMany,
    /// A value that this one refers to does not exist.
    NotFound,
    /// The check itself failed.
    Internal,
}

/// The value that a [`FieldError`] shows.
#[derive(Clone, Debug, PartialEq)]
pub enum BadValue {
    /// Nothing is shown.
    Omitted,
    /// Shown as Go shows it: strings quoted, numbers and booleans plain, the rest as JSON.
    Json(Value),
    /// Shown as it stands (values that the API server prints in Go's own syntax).
    Verbatim(String),
}

impl FieldErrorKind {
    /// The machine-readable reason: `FieldValueRequired`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::NotFound => "FieldValueNotFound",
            Self::Internal => "InternalError",
        }
    }

    /// The words in a message: `Required value`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
            Self::Internal => "Internal error",
        }
    }

    fn shows_value(self) -> bool {
        !matches!(self, Self::Required | Self::Forbidden | Self::TooLong | Self::Internal)
    }
}

impl FieldError {
    fn new(field: impl Into<String>, kind: FieldErrorKind, bad: BadValue, detail: impl Into<String>) -> Self {
        Self { field: field.into(), kind, bad_value: bad, detail: detail.into() }
    }

    /// A required value is absent.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(field, FieldErrorKind::Required, BadValue::Omitted, detail)
    }

    /// A value is malformed.
    pub fn invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(field, FieldErrorKind::Invalid, BadValue::Json(value.into()), detail)
    }

    /// A value is malformed, and the API server shows it in Go's syntax.
    pub fn invalid_verbatim(
        field: impl Into<String>,
        shown: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(field, FieldErrorKind::Invalid, BadValue::Verbatim(shown.into()), detail)
    }

    /// A value has the wrong JSON type.
    pub fn type_invalid(
        field: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(field, FieldErrorKind::TypeInvalid, BadValue::Json(value.into()), detail)
    }

    /// A value is not one of `supported`, which are named in the order given.
    pub fn not_supported<T: AsRef<str>>(
        field: impl Into<String>,
        value: impl Into<Value>,
        supported: impl IntoIterator<Item = T>,
    ) -> Self {
        let names: Vec<String> = supported.into_iter().map(|name| format!("{:?}", name.as_ref())).collect();
        let detail =
            if names.is_empty() { String::new() } else { format!("supported values: {}", names.join(", ")) };
        Self::new(field, FieldErrorKind::NotSupported, BadValue::Json(value.into()), detail)
    }

    /// A value may not be set or changed.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(field, FieldErrorKind::Forbidden, BadValue::Omitted, detail)
    }

    /// A value occurs twice.
    pub fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(field, FieldErrorKind::Duplicate, BadValue::Json(value.into()), "")
    }

    /// A value is longer than `limit` bytes.
    pub fn too_long(field: impl Into<String>, limit: usize) -> Self {
        Self::new(
            field,
            FieldErrorKind::TooLong,
            BadValue::Omitted,
            format!("may not be more than {limit} bytes"),
        )
    }

    /// A list has `actual` items where `limit` are allowed.
    pub fn too_many(field: impl Into<String>, actual: usize, limit: usize) -> Self {
        let detail = format!("must have at most {limit} items");
        Self::new(field, FieldErrorKind::TooMany, BadValue::Json(actual.into()), detail)
    }

    /// Something the value names does not exist.
    pub fn not_found(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(field, FieldErrorKind::NotFound, BadValue::Json(value.into()), "")
    }

    /// The sentence without the field's path, as it stands in a cause of a `Status`.
    pub fn body(&self) -> String {
        let mut text = self.kind.words().to_owned();
        if self.kind.shows_value() {
            match &self.bad_value {
                BadValue::Omitted => {}
                BadValue::Json(Value::String(value)) => text.push_str(&format!(": {}", go_quote(value))),
                BadValue::Json(Value::Null) => text.push_str(": \"null\""),
                BadValue::Json(value) => text.push_str(&format!(": {value}")),
                BadValue::Verbatim(shown) => text.push_str(&format!(": {shown}")),
            }
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }

    /// Joins complaints as the API server does: one stands alone, several in brackets, repeated ones once.
    pub fn aggregate(errors: &[FieldError]) -> String {
        let mut seen = BTreeSet::new();
        let texts: Vec<String> =
            errors.iter().map(ToString::to_string).filter(|text| seen.insert(text.clone())).collect();
        match texts.as_slice() {
            [only] => only.clone(),
            several => format!("[{}]", several.join(", ")),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.field, self.body())
    }
}

/// Quotes as Go's `%q` does for the texts that occur here.
pub(crate) fn go_quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            other if (other as u32) < 0x20 || other == '\u{7f}' => {
                quoted.push_str(&format!("\\x{:02x}", other as u32));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
