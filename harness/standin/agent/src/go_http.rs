//! Small HTTP/1.1 servers that answer as Go's `net/http` does: capital header names in Go's order, `404 page not found`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// A body of any kind.
pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

/// A body held in memory.
pub(crate) fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed()
}

/// Listens on a port of all addresses.
///
/// # Errors
/// The system's, naming the port.
pub(crate) async fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port)))
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("listen tcp :{port}: bind: {error}")))
}

/// Serves until the task is aborted.
pub(crate) async fn serve<H, F>(listener: TcpListener, handler: H)
where
    H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    loop {
        // A failed accept (descriptors exhausted, a peer gone) concerns that connection only.
        let Ok((stream, peer)) = listener.accept().await else { continue };
        let handler = handler.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = handler(request, peer);
                async move { Ok::<_, Infallible>(as_go_writes(answer.await)) }
            });
            // A connection that breaks has nobody left to tell.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .title_case_headers(true)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Headers in the order of Go's server: what the handler set by name, then what the server adds, which is the date,
/// the length, and the type that it guesses of a body without one.
fn as_go_writes(mut answer: Response<Body>) -> Response<Body> {
    let length = answer.body().size_hint().exact();
    let headers = answer.headers_mut();
    let mut set: Vec<(HeaderName, HeaderValue)> =
        headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    set.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    let mut written = HeaderMap::with_capacity(set.len() + 3);
    for (name, value) in set {
        written.append(name, value);
    }
    let mut add = |name: HeaderName, value: String| {
        if let (false, Ok(value)) = (written.contains_key(&name), HeaderValue::from_str(&value)) {
            written.insert(name, value);
        }
    };
    add(DATE, jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    if let Some(length) = length {
        add(CONTENT_LENGTH, length.to_string());
        if length > 0 {
            add(CONTENT_TYPE, PLAIN.to_owned());
        }
    }
    *headers = written;
    if length == Some(0) {
        *answer.body_mut() = BodyExt::boxed(Nothing);
    }
    answer
}

/// A body of no bytes that does not say so beforehand: of one that does, hyper writes the length behind all headers.
struct Nothing;

impl http_body::Body for Nothing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// An answer in plain text, of which the server guesses the type.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut answer = Response::new(full(text));
    *answer.status_mut() = status;
    answer
}

/// `http.Error`: plain text that browsers must not guess at, with a final newline.
pub(crate) fn error(status: StatusCode, line: &'static str) -> Response<Body> {
    let mut answer = text(status, line);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PLAIN));
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// `http.NotFound`.
pub(crate) fn not_found() -> Response<Body> {
    error(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(full(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn names(answer: Response<Body>) -> Vec<String> {
        as_go_writes(answer).headers().keys().map(ToString::to_string).collect()
    }

    #[rstest]
    #[case::nothing_said(empty(StatusCode::BAD_GATEWAY), &["date", "content-length"])]
    #[case::guessed(text(StatusCode::OK, "ready"), &["date", "content-length", "content-type"])]
    #[case::said(not_found(), &["content-type", "x-content-type-options", "date", "content-length"])]
    fn headers_stand_in_the_order_of_go(#[case] answer: Response<Body>, #[case] expected: &[&str]) {
        assert_eq!(names(answer), expected);
    }

    #[test]
    fn what_was_handed_on_is_sorted() {
        let mut answer = text(StatusCode::OK, "{}");
        for name in ["server", "date", "content-type", "content-length", "ce-type", "ce-id"] {
            answer.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static("2"));
        }
        assert_eq!(names(answer), ["ce-id", "ce-type", "content-length", "content-type", "date", "server"]);
    }
}
