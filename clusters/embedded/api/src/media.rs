//! Content negotiation: what a body is written in, and in which form the caller wants the answer.

use embedded_machinery::status::Status;
use embedded_machinery::strict;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::wire;

/// Read, and never written.
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The objects themselves.
    Whole,
    /// A `meta/v1` Table.
    Table,
    /// `meta/v1` PartialObjectMetadata, or a list of them.
    Metadata,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    /// JSON over several lines (`pretty=true`).
    PrettyJson,
    Yaml,
}

/// What the caller accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) form: Form,
    pub(crate) encoding: Encoding,
}

/// Reads `Accept`. Only JSON and YAML are written: a caller that prefers protobuf gets the JSON it lists behind it, or
/// JSON anyway, whose `Content-Type` every client library obeys.
pub(crate) fn wanted(headers: &HeaderMap, pretty: bool) -> Wanted {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let plain = if pretty { Encoding::PrettyJson } else { Encoding::Json };
    for clause in accept.split(',') {
        let mut parts = clause.split(';').map(str::trim);
        let encoding = match parts.next().unwrap_or_default() {
            "application/json" | "application/*" | "*/*" => plain,
            "application/yaml" => Encoding::Yaml,
            _ => continue,
        };
        let parameters: Vec<&str> = parts.collect();
        let form = parameters.iter().find_map(|parameter| parameter.strip_prefix("as="));
        let version = parameters.iter().find_map(|parameter| parameter.strip_prefix("v="));
        return match (form, version) {
            (None, _) => Wanted { form: Form::Whole, encoding },
            (Some("Table"), Some("v1")) => Wanted { form: Form::Table, encoding },
            (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("v1")) => {
                Wanted { form: Form::Metadata, encoding }
            }
            // Another version of these, or a form that belongs to discovery: the next clause may be served.
            _ => continue,
        };
    }
    Wanted { form: Form::Whole, encoding: plain }
}

/// The media type of a body, without parameters, in lower case.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// An object as it came in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Received {
    pub(crate) value: Value,
    /// The paths of fields that the text held twice.
    pub(crate) duplicate: Vec<String>,
}

impl From<Value> for Received {
    fn from(value: Value) -> Received {
        Received { value, duplicate: Vec::new() }
    }
}

/// Reads an object from a body.
///
/// # Errors
/// 415 for media types other than JSON, YAML and protobuf, 400 for text that does not parse.
pub(crate) fn decode(headers: &HeaderMap, body: &[u8]) -> Outcome<Received> {
    match content_type(headers).as_str() {
        "" | "application/json" | "*/*" => {
            let duplicate = strict::duplicate_fields(body).unwrap_or_default();
            Ok(Received { value: json(body)?, duplicate })
        }
        "application/yaml" => yaml(body).map(Received::from),
        PROTOBUF => wire::object(body).map(Received::from).map_err(Failure::bad_request),
        _ => Err(Status::unsupported_media_type(&["application/json", "application/yaml", PROTOBUF]).into()),
    }
}

/// Parses JSON.
pub(crate) fn json(body: &[u8]) -> Outcome<Value> {
    serde_json::from_slice(body).map_err(|error| {
        Failure::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
    })
}

/// Parses YAML (JSON included).
pub(crate) fn yaml(body: &[u8]) -> Outcome<Value> {
    let text = std::str::from_utf8(body)
        .map_err(|error| Failure::bad_request(format!("error converting YAML to JSON: {error}")))?;
    serde_saphyr::from_str(text)
        .map_err(|error| Failure::bad_request(format!("error converting YAML to JSON: yaml: {error}")))
}

/// Writes an answer.
pub(crate) fn encode(encoding: Encoding, value: &Value) -> Vec<u8> {
    match encoding {
        Encoding::Json => {
            let mut bytes = value.to_string().into_bytes();
            bytes.push(b'\n');
            bytes
        }
        Encoding::PrettyJson => serde_json::to_vec_pretty(value).unwrap_or_default(),
        Encoding::Yaml => serde_saphyr::to_string(value).unwrap_or_default().into_bytes(),
    }
}

impl Encoding {
    /// The `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Encoding::Json | Encoding::PrettyJson => "application/json",
            Encoding::Yaml => "application/yaml",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing("", Form::Whole, Encoding::Json)]
    #[case::curl("*/*", Form::Whole, Encoding::Json)]
    #[case::kubectl_get(
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
        Form::Table,
        Encoding::Json
    )]
    #[case::protobuf_first(
        "application/vnd.kubernetes.protobuf,application/json",
        Form::Whole,
        Encoding::Json
    )]
    #[case::protobuf_only("application/vnd.kubernetes.protobuf", Form::Whole, Encoding::Json)]
    #[case::metadata(
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        Form::Metadata,
        Encoding::Json
    )]
    #[case::yaml("application/yaml", Form::Whole, Encoding::Yaml)]
    #[case::old_table(
        "application/json;as=Table;v=v1beta1;g=meta.k8s.io, application/json",
        Form::Whole,
        Encoding::Json
    )]
    fn negotiates(#[case] accept: &str, #[case] form: Form, #[case] encoding: Encoding) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        assert_eq!(wanted(&headers, false), Wanted { form, encoding });
    }
}
