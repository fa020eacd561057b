//! The V2 protocol over HTTP.

mod route;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST, HeaderName, HeaderValue, LOCATION, SERVER};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::failure::Failure;
use crate::model_settings::ModelSettings;
use crate::prediction::{Output, predict};
use crate::registry::Registry;
use crate::rest::route::{Named, Route};
use crate::validation::{self, Complaints};
use crate::{CONFESSION, PARAMETER, cloud_events};

type Answer = Response<Full<Bytes>>;

/// The server.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    pub(crate) registry: Arc<Registry>,
    pub(crate) namespace: Option<Arc<str>>,
}

impl Rest {
    /// Serves until the task ends.
    pub(crate) async fn serve(self, listener: TcpListener) {
        loop {
            // A failed accept (descriptors exhausted, a peer gone) concerns that connection only.
            let Ok((stream, _)) = listener.accept().await else { continue };
            let rest = self.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let rest = rest.clone();
                    async move { Ok::<_, Infallible>(rest.answer(request).await) }
                });
                // A connection that breaks has nobody left to tell.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let mut answer = match Route::of(path) {
            None => nowhere(&parts, path),
            Some(route) if route.method() != parts.method => {
                let mut answer =
                    of_json(StatusCode::METHOD_NOT_ALLOWED, &json!({"detail": "Method Not Allowed"}));
                let allowed = HeaderValue::from_static(route.method_word());
                answer.headers_mut().insert(ALLOW, allowed);
                answer
            }
            Some(route) => match body.collect().await {
                Ok(body) => self.routed(&route, &body.to_bytes()).unwrap_or_else(|failure| failed(&failure)),
                // Nobody waits for the answer.
                Err(_) => empty(StatusCode::BAD_REQUEST),
            },
        };
        answer.headers_mut().insert(SERVER, HeaderValue::from_static("uvicorn"));
        answer
    }

    fn routed(&self, route: &Route<'_>, body: &[u8]) -> Result<Answer, Failure> {
        let registry = &self.registry;
        match route {
            // What is loaded is ready: loading takes no time.
            Route::Live | Route::Ready => Ok(empty(StatusCode::OK)),
            Route::Server => Ok(of_json(StatusCode::OK, &server())),
            Route::ModelReady(named) => self.model(named).map(|_| empty(StatusCode::OK)),
            Route::Model(named) => self.model(named).map(|model| of_json(StatusCode::OK, &metadata(&model))),
            Route::Infer(named) => self.infer(named, body),
            Route::Index => match validation::index(body) {
                Ok(wanted) => {
                    let models = registry.index(wanted).into_iter().map(|model| {
                        let mut item = json!({"name": model.name});
                        if let Some(version) = model.version {
                            item["version"] = json!(version);
                        }
                        item["state"] = json!(model.state.word());
                        item["reason"] = json!("");
                        item
                    });
                    Ok(of_json(StatusCode::OK, &models.collect()))
                }
                Err(complaints) => Ok(invalid(complaints)),
            },
            Route::Load(name) => registry.load(name).map(|()| empty(StatusCode::OK)),
            Route::Unload(name) => registry.unload(name).map(|()| empty(StatusCode::OK)),
        }
    }

    fn model(&self, named: &Named<'_>) -> Result<Arc<ModelSettings>, Failure> {
        self.registry.model(named.name, named.version)
    }

    fn infer(&self, named: &Named<'_>, body: &[u8]) -> Result<Answer, Failure> {
        let inference = match validation::inference(body) {
            Ok(inference) => inference,
            Err(complaints) => return Ok(invalid(complaints)),
        };
        let model = self.model(named)?;
        let outputs = predict(&model, &inference)?;
        let id = inference.id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let mut said = json!({"model_name": model.name});
        if let Some(version) = &model.parameters.version {
            said["model_version"] = json!(version);
        }
        said["id"] = json!(id);
        said["parameters"] = json!({PARAMETER: CONFESSION});
        said["outputs"] = outputs.iter().map(Output::json).collect();
        let mut answer = of_json(StatusCode::OK, &said);
        for (name, value) in cloud_events::headers(self.namespace.as_deref(), &model.name, &id) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                answer.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        Ok(answer)
    }
}

/// What the server says of itself.
fn server() -> Value {
    json!({"name": cloud_events::SERVER, "version": "1.7.1", "extensions": [PARAMETER]})
}

fn metadata(model: &ModelSettings) -> Value {
    let ModelSettings { name, versions, platform, inputs, outputs, parameters, .. } = model;
    let mut said = json!({"name": name, "versions": versions, "platform": platform, "inputs": inputs, "outputs": outputs});
    said["parameters"] = match &parameters.content_type {
        Some(content_type) => json!({"content_type": content_type}),
        None => json!({}),
    };
    said
}

/// No such page; one that is there without the slash at its end is told.
fn nowhere(parts: &http::request::Parts, path: &str) -> Answer {
    let there = path.strip_suffix('/').filter(|shorter| Route::of(shorter).is_some());
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = there.zip(host).map(|(path, host)| format!("http://{host}{path}{query}"));
    match location.and_then(|location| HeaderValue::from_str(&location).ok()) {
        Some(location) => {
            let mut answer = empty(StatusCode::TEMPORARY_REDIRECT);
            answer.headers_mut().insert(LOCATION, location);
            answer
        }
        None => of_json(StatusCode::NOT_FOUND, &json!({"detail": "Not Found"})),
    }
}

fn invalid(complaints: Complaints) -> Answer {
    of_json(StatusCode::UNPROCESSABLE_ENTITY, &complaints.body())
}

/// Errors of MLServer's are JSON, and exceptions that it does not expect are a trace of Python's, of which there is none
/// here but its last line.
fn failed(failure: &Failure) -> Answer {
    let Failure::Raised { class, text } = failure else {
        return of_json(failure.status(), &json!({"error": failure.to_string()}));
    };
    let trace = format!("Traceback (most recent call last):\n  (a stand-in has none)\n{class}: {text}\n");
    typed(failure.status(), "text/plain; charset=utf-8", trace)
}

fn of_json(status: StatusCode, body: &Value) -> Answer {
    typed(status, "application/json", body.to_string())
}

fn typed(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
