//! Subresources of pods that are streams: logs, exec, attach, port-forward.

use axum::body::Body;
use embedded_machinery::builtin::Subresource;
use http::{Request, Response};

use crate::catalog::Resource;
use crate::failure::{Failure, Outcome};
use crate::verbs::Call;

mod log;

/// A kind of stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Log,
    Exec,
    Attach,
    PortForward,
}

impl Stream {
    /// The stream a subresource of a kind is, if it is one.
    pub(crate) fn of(resource: &Resource, subresource: &str) -> Option<Stream> {
        let (subresource, stream) = match subresource {
            "log" => (Subresource::Log, Stream::Log),
            "exec" => (Subresource::Exec, Stream::Exec),
            "attach" => (Subresource::Attach, Stream::Attach),
            "portforward" => (Subresource::PortForward, Stream::PortForward),
            _ => return None,
        };
        resource.subresources.contains(&subresource).then_some(stream)
    }
}

/// Opens a stream.
pub(crate) async fn open(stream: Stream, call: Call, _request: Request<Body>) -> Outcome<Response<Body>> {
    match stream {
        Stream::Log => log::open(&call).await,
        Stream::Exec | Stream::Attach | Stream::PortForward => Err(Failure::method_not_allowed()),
    }
}
