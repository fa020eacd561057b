//! `meta/v1` `Status` replies with the messages, reasons and codes of kube-apiserver 1.33.1.

use serde_json::{Map, Value, json};

use crate::{FieldError, Gvk};

/// A failure (or a success without an object) as the API server reports it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason, `None` for a success.
    pub reason: Option<Reason>,
    /// The sentence for people.
    pub message: String,
    /// What the failure is about.
    pub details: Option<Details>,
}

/// The reasons this API server gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 409, the name is taken
    AlreadyExists,
    /// 409, the object changed or fields are owned by others
    Conflict,
    /// 410
    Gone,
    /// 410, a resource version is too old
    Expired,
    /// 422
    Invalid,
    /// 504
    ServerTimeout,
    /// 504
    Timeout,
    /// 429
    TooManyRequests,
    /// 400
    BadRequest,
    /// 405
    MethodNotAllowed,
    /// 406
    NotAcceptable,
    /// 413
    RequestEntityTooLarge,
    /// 415
    UnsupportedMediaType,
    /// 500
    InternalError,
    /// 503
    ServiceUnavailable,
}

/// The object and the single complaints behind a [`Status`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// Object name, empty when unknown.
    pub name: String,
    /// API group of the resource, empty for core.
    pub group: String,
    /// Resource (plural) or, for invalid objects, kind.
    pub kind: String,
    /// Object uid, empty when unknown.
    pub uid: String,
    /// Single complaints.
    pub causes: Vec<Cause>,
    /// Seconds after which to try again; 0 for none.
    pub retry_after_seconds: u32,
}

/// One complaint within [`Details`].
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// Machine-readable reason, such as `FieldValueInvalid`.
    pub reason: String,
    /// The sentence without the field.
    pub message: String,
    /// Path of the field; may be empty.
    pub field: String,
}

/// A resource as messages name it: `pods`, `deployments.apps`.
#[derive(Clone, Copy, Debug)]
pub struct GroupResource<'a> {
    /// API group, empty for core.
    pub group: &'a str,
    /// Plural name.
    pub resource: &'a str,
}

impl GroupResource<'_> {
    fn text(self) -> String {
        if self.group.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }

    fn details(self, name: &str) -> Details {
        Details {
            name: name.to_owned(),
            group: self.group.to_owned(),
            kind: self.resource.to_owned(),
            ..Details::default()
        }
    }
}

impl Reason {
    /// The word on the wire. Expiry is reported as `Expired`, a 409 on create as `AlreadyExists`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Gone => "Gone",
            Self::Expired => "Expired",
            Self::Invalid => "Invalid",
            Self::ServerTimeout => "ServerTimeout",
            Self::Timeout => "Timeout",
            Self::TooManyRequests => "TooManyRequests",
            Self::BadRequest => "BadRequest",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::InternalError => "InternalError",
            Self::ServiceUnavailable => "ServiceUnavailable",
        }
    }
}

impl Status {
    fn failure(code: u16, reason: Reason, message: impl Into<String>, details: Option<Details>) -> Self {
        Self { code, reason: Some(reason), message: message.into(), details }
    }

    /// 200 without an object: the reply to the deletion of an object that is gone at once.
    pub fn success(resource: GroupResource<'_>, name: &str, uid: &str) -> Self {
        let details = Details { uid: uid.to_owned(), ..resource.details(name) };
        Self { code: 200, reason: None, message: String::new(), details: Some(details) }
    }

    /// 404: `pods "x" not found`.
    pub fn not_found(resource: GroupResource<'_>, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.text());
        Self::failure(404, Reason::NotFound, message, Some(resource.details(name)))
    }

    /// 404 for a path that no resource answers.
    pub fn unknown_path() -> Self {
        let message = "the server could not find the requested resource";
        Self::failure(404, Reason::NotFound, message, Some(Details::default()))
    }

    /// 409: `pods "x" already exists`.
    pub fn already_exists(resource: GroupResource<'_>, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.text());
        Self::failure(409, Reason::AlreadyExists, message, Some(resource.details(name)))
    }

    /// 409 when no unique name could be generated; the client may try again after a second.
    pub fn generate_name_conflict(resource: GroupResource<'_>, name: &str) -> Self {
        let message = format!(
            "{} \"{name}\" already exists, the server was not able to generate a unique name for the object",
            resource.text()
        );
        let details = Details { retry_after_seconds: 1, ..resource.details(name) };
        Self::failure(409, Reason::AlreadyExists, message, Some(details))
    }

    /// 409: `Operation cannot be fulfilled on pods "x": <why>`.
    pub fn conflict(resource: GroupResource<'_>, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.text());
        Self::failure(409, Reason::Conflict, message, Some(resource.details(name)))
    }

    /// 409 for a write with an old `resourceVersion`.
    pub fn modified(resource: GroupResource<'_>, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409 of server-side apply; the message is the conflicts' own sentence, one cause per field.
    pub fn apply_conflict(message: impl Into<String>, causes: Vec<Cause>) -> Self {
        let details = Details { causes, ..Details::default() };
        Self::failure(409, Reason::Conflict, message, Some(details))
    }

    /// 422: `Deployment.apps "x" is invalid: [a, b]`.
    pub fn invalid(gvk: &Gvk, name: &str, errors: &[FieldError]) -> Self {
        let mut message = format!("{} \"{name}\" is invalid", gvk.group_kind());
        if !errors.is_empty() {
            message.push_str(": ");
            message.push_str(&FieldError::aggregate(errors));
        }
        let causes = errors
            .iter()
            .map(|error| Cause {
                reason: error.kind.reason().to_owned(),
                message: error.body(),
                field: error.field.clone(),
            })
            .collect();
        let details = Details {
            name: name.to_owned(),
            group: gvk.group.clone(),
            kind: gvk.kind.clone(),
            causes,
            ..Details::default()
        };
        Self::failure(422, Reason::Invalid, message, Some(details))
    }

    /// 422 for a patch that does not fit its object.
    pub fn rejected() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::failure(422, Reason::Invalid, message, Some(Details::default()))
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, Reason::BadRequest, message, None)
    }

    /// 400 for a document that does not decode: `Pod in version "v1" cannot be handled as a Pod: <why>`.
    pub fn cannot_decode(gvk: &Gvk, why: &str) -> Self {
        let Gvk { version, kind, .. } = gvk;
        Self::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
    }

    /// 403: `pods "x" is forbidden: <why>`; without a name, `pods is forbidden: <why>`.
    pub fn forbidden(resource: GroupResource<'_>, name: &str, why: &str) -> Self {
        let message = match (resource.resource, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{} is forbidden: {why}", resource.text()),
            (_, name) => format!("{} \"{name}\" is forbidden: {why}", resource.text()),
        };
        Self::failure(403, Reason::Forbidden, message, Some(resource.details(name)))
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::failure(401, Reason::Unauthorized, "Unauthorized", None)
    }

    /// 405: `<verb> is not supported on resources of kind "<resource>"`.
    pub fn method_not_supported(resource: GroupResource<'_>, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind \"{}\"", resource.text());
        let details = Details { name: String::new(), ..resource.details("") };
        Self::failure(405, Reason::MethodNotAllowed, message, Some(details))
    }

    /// 405 for a path that exists with other methods.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::failure(405, Reason::MethodNotAllowed, message, Some(Details::default()))
    }

    /// 406.
    pub fn not_acceptable(message: impl Into<String>) -> Self {
        Self::failure(406, Reason::NotAcceptable, message, None)
    }

    /// 410: the resource version asked for is older than the store remembers.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, Reason::Expired, message, None)
    }

    /// 415, naming the accepted media types.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::failure(415, Reason::UnsupportedMediaType, message, None)
    }

    /// 413.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::failure(
            413,
            Reason::RequestEntityTooLarge,
            format!("Request entity too large: {}", message.into()),
            None,
        )
    }

    /// 429, for evictions that a disruption budget forbids and for overload.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let details = Details { retry_after_seconds, ..Details::default() };
        Self::failure(429, Reason::TooManyRequests, message, Some(details))
    }

    /// 500: `Internal error occurred: <why>`.
    pub fn internal(why: &str) -> Self {
        let details = Details {
            causes: vec![Cause { reason: String::new(), message: why.to_owned(), field: String::new() }],
            ..Details::default()
        };
        Self::failure(500, Reason::InternalError, format!("Internal error occurred: {why}"), Some(details))
    }

    /// 504: `Timeout: <why>`.
    pub fn timeout(why: &str) -> Self {
        Self::failure(504, Reason::Timeout, format!("Timeout: {why}"), Some(Details::default()))
    }

    /// 503.
    pub fn unavailable(why: &str) -> Self {
        Self::failure(503, Reason::ServiceUnavailable, why, None)
    }

    /// The document on the wire.
    pub fn to_value(&self) -> Value {
        let mut document = Map::new();
        document.insert("kind".into(), json!("Status"));
        document.insert("apiVersion".into(), json!("v1"));
        document.insert("metadata".into(), json!({}));
        document.insert("status".into(), json!(if self.reason.is_none() { "Success" } else { "Failure" }));
        if !self.message.is_empty() {
            document.insert("message".into(), json!(self.message));
        }
        if let Some(reason) = self.reason {
            document.insert("reason".into(), json!(reason.as_str()));
        }
        if let Some(details) = &self.details {
            document.insert("details".into(), details.to_value());
        }
        if self.reason.is_some() {
            document.insert("code".into(), json!(self.code));
        }
        Value::Object(document)
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut details = Map::new();
        let texts = [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)];
        for (key, text) in texts {
            if !text.is_empty() {
                details.insert(key.into(), json!(text));
            }
        }
        if !self.causes.is_empty() {
            details.insert("causes".into(), self.causes.iter().map(Cause::to_value).collect());
        }
        if self.retry_after_seconds > 0 {
            details.insert("retryAfterSeconds".into(), json!(self.retry_after_seconds));
        }
        Value::Object(details)
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut cause = Map::new();
        for (key, text) in [("reason", &self.reason), ("message", &self.message), ("field", &self.field)] {
            if !text.is_empty() {
                cause.insert(key.into(), json!(text));
            }
        }
        Value::Object(cause)
    }
}
