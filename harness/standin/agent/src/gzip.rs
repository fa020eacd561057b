//! What Go's HTTP client does unasked: it offers gzip for a caller that says nothing of encodings, unpacks the
//! answer, and drops its length, so that the proxy's own answer goes out in chunks.

use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;
use futures::stream;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue, RANGE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use crate::go_http::{self, Body};

/// Offers gzip where Go's client would; says whether the answer is to be unpacked.
pub(crate) fn ask<B>(request: &mut Request<B>) -> bool {
    let said = |name| request.headers().contains_key(name);
    let offers = !said(ACCEPT_ENCODING) && !said(RANGE) && request.method() != Method::HEAD;
    if offers {
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    offers
}

/// The answer without its packing; one that was not packed is left alone.
pub(crate) async fn unpack(answer: Response<Body>) -> Response<Body> {
    if answer.headers().get(CONTENT_ENCODING).is_none_or(|encoding| encoding != "gzip") {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let mut text = Vec::new();
    let unpacked = match body.collect().await {
        Ok(packed) => GzDecoder::new(packed.to_bytes().as_ref()).read_to_end(&mut text).is_ok(),
        Err(_) => false,
    };
    if !unpacked {
        return go_http::empty(StatusCode::BAD_GATEWAY);
    }
    parts.headers.remove(CONTENT_ENCODING);
    parts.headers.remove(CONTENT_LENGTH);
    let chunks = stream::iter([Ok::<_, hyper::Error>(Frame::data(Bytes::from(text)))]);
    Response::from_parts(parts, BodyExt::boxed(StreamBody::new(chunks)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http_body::Body as _;
    use std::io::Write;

    #[test]
    fn gzip_is_offered_only_for_callers_that_say_nothing() {
        let mut plain = Request::get("/v2").body(()).unwrap();
        assert!(ask(&mut plain));
        assert_eq!(plain.headers()[ACCEPT_ENCODING], "gzip");
        for mut other in [
            Request::get("/v2").header(ACCEPT_ENCODING, "identity").body(()).unwrap(),
            Request::get("/v2").header(RANGE, "bytes=0-1").body(()).unwrap(),
            Request::head("/v2").body(()).unwrap(),
        ] {
            assert!(!ask(&mut other));
        }
    }

    #[tokio::test]
    async fn a_packed_answer_loses_packing_and_length() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"a page").unwrap();
        let mut packed = Response::new(go_http::full(encoder.finish().unwrap()));
        packed.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        packed.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("26"));
        let answer = unpack(packed).await;
        assert!(answer.headers().is_empty() && answer.body().size_hint().exact().is_none());
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "a page");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_what_it_says_is_a_bad_gateway() {
        let mut broken = Response::new(go_http::full("no gzip"));
        broken.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(unpack(broken).await.status(), StatusCode::BAD_GATEWAY);
    }
}
