//! gRPC errors in grpc-go's words.

use std::error::Error;

use tonic::Code;

/// An error as grpc-go's `status.Error` prints it: `rpc error: code = Unavailable desc = …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoStatus {
    /// The status code.
    pub code: Code,
    /// The text behind `desc = `.
    pub desc: String,
}

/// Every transport error that [`crate::link`] reports to the HTTP/2 layer begins with these words, so that it can be
/// found again in the chain of sources.
const FROM_LINK: &str = "error reading from server: ";
const KEEPALIVE: &str = "keepalive ping failed to receive ACK within timeout";

impl GoStatus {
    /// A status of `code` with `desc`.
    pub fn new(code: Code, desc: impl Into<String>) -> GoStatus {
        GoStatus { code, desc: desc.into() }
    }

    /// `Unavailable` with `desc`.
    pub fn unavailable(desc: impl Into<String>) -> GoStatus {
        GoStatus::new(Code::Unavailable, desc)
    }

    /// What a call gets whose own deadline passed.
    pub fn deadline_exceeded() -> GoStatus {
        GoStatus::new(Code::DeadlineExceeded, "context deadline exceeded")
    }

    /// What a call gets whose deadline passed before the connection was made.
    pub fn deadline_while_connecting() -> GoStatus {
        let desc = "context deadline exceeded while waiting for connections to become ready";
        GoStatus::new(Code::DeadlineExceeded, desc)
    }

    /// What every call on a closed connection gets.
    pub fn closing() -> GoStatus {
        GoStatus::new(Code::Cancelled, "grpc: the client connection is closing")
    }

    /// A call's error in grpc-go's words: what a server said stays, what broke underneath is named as Go names it.
    pub fn from_tonic(status: &tonic::Status) -> GoStatus {
        let Some(source) = status.source() else {
            return GoStatus::new(status.code(), status.message());
        };
        let mut chain = vec![source.to_string()];
        let mut deeper = source.source();
        while let Some(error) = deeper {
            chain.push(error.to_string());
            deeper = error.source();
        }
        let find = |pattern: &str| {
            chain.iter().find_map(|text| text.find(pattern).map(|start| text[start..].to_owned()))
        };
        if let Some(text) = find(FROM_LINK) {
            return GoStatus::unavailable(text);
        }
        // A connection that this side gave up without having read its end: only the keepalive does that.
        if find("keep-alive timed out").is_some() || find("stream closed because of a broken pipe").is_some()
        {
            return GoStatus::unavailable(KEEPALIVE);
        }
        if find("Timeout expired").is_some() {
            return GoStatus::deadline_exceeded();
        }
        if find("operation was canceled").is_some() || find("connection closed").is_some() {
            return GoStatus::closing();
        }
        if find("stream error received").is_some() {
            return GoStatus::new(status.code(), status.message());
        }
        GoStatus::unavailable("error reading from server: EOF")
    }
}

impl std::fmt::Display for GoStatus {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "rpc error: code = {} desc = {}", go_code(self.code), self.desc)
    }
}

impl Error for GoStatus {}

impl From<GoStatus> for tonic::Status {
    fn from(status: GoStatus) -> tonic::Status {
        tonic::Status::new(status.code, status.desc)
    }
}

/// The code's name as grpc-go spells it.
fn go_code(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_as_go_does() {
        let text = GoStatus::closing().to_string();
        assert_eq!(text, "rpc error: code = Canceled desc = grpc: the client connection is closing");
    }

    #[test]
    fn what_a_server_said_stays() {
        let status = GoStatus::from_tonic(&tonic::Status::not_found("Model x not found"));
        assert_eq!(status.to_string(), "rpc error: code = NotFound desc = Model x not found");
    }
}
