//! Trailers on successful unary answers, which tonic has no word for: an extension of the response that a layer
//! turns into fields of its trailers frame.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use tower::{Layer, Service};

/// Fields to be sent behind the answer's message.
#[derive(Debug, Clone, Default)]
pub struct Trailers(pub HeaderMap);

/// Sends the [`Trailers`] of responses.
#[derive(Debug, Clone, Copy)]
pub struct TrailersLayer;

impl<S> Layer<S> for TrailersLayer {
    type Service = TrailersService<S>;

    fn layer(&self, inner: S) -> TrailersService<S> {
        TrailersService { inner }
    }
}

/// The service of [`TrailersLayer`].
#[derive(Debug, Clone)]
pub struct TrailersService<S> {
    inner: S,
}

impl<S, In, Out> Service<Request<In>> for TrailersService<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
{
    type Response = Response<TrailersBody<Out>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            let trailers = answer.extensions_mut().remove::<Trailers>().unwrap_or_default();
            Ok(answer.map(|inner| TrailersBody { inner, trailers: trailers.0 }))
        })
    }
}

/// A body whose trailers frame carries more fields.
#[derive(Debug)]
pub struct TrailersBody<B> {
    inner: B,
    trailers: HeaderMap,
}

impl<B: Body + Unpin> Body for TrailersBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(context));
        let more = &self.trailers;
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| match frame.into_trailers() {
                Ok(mut fields) => {
                    fields.extend(more.clone());
                    Frame::trailers(fields)
                }
                Err(frame) => frame,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}
