//! From a request to what answers it.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use embedded_machinery::status::Status;
use embedded_machinery::table::IncludeObject;
use http::{HeaderMap, Method, Request, Response};
use serde_json::{Value, json};

use crate::authentication::User;
use crate::catalog::Scope;
use crate::failure::{Failure, Outcome};
use crate::media::{self, Wanted};
use crate::options::Query;
use crate::path::{self, ObjectPath, Route};
use crate::reply::{self, Reply};
use crate::state::State;
use crate::verbs::{Call, Part};
use crate::{authorization, discovery, site, streams, subresources};

/// The largest body that is read, in bytes, as the real server's default.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// The server as a router whose callers authenticate by their headers.
pub(crate) fn router(state: Arc<State>) -> axum::Router {
    axum::Router::new().fallback(move |request: Request<Body>| {
        let state = state.clone();
        async move {
            match state.tokens.authenticate(request.headers(), &state.store) {
                Ok(user) => answer(state, user, request).await,
                Err(()) => reply::refusal(&Status::unauthorized().into()),
            }
        }
    })
}

/// Answers a request of a known user.
pub(crate) async fn answer(state: Arc<State>, user: User, request: Request<Body>) -> Response<Body> {
    let result = match path::parse(request.uri().path()) {
        Route::Object(object) => objects(state, user, object, request).await,
        other => authorization::check_path(&state, &user, request.method(), request.uri().path())
            .and_then(|()| site_or_discovery(&state, other, &request)),
    };
    result.unwrap_or_else(|failure| reply::refusal(&failure))
}

fn site_or_discovery(state: &Arc<State>, route: Route, request: &Request<Body>) -> Outcome<Response<Body>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Err(Failure::method_not_allowed());
    }
    match route {
        Route::Other => site::answer(state, request),
        route => discovery::answer(state, &route, request.headers()),
    }
}

/// A request about objects, with its body still unread.
struct Incoming {
    call: Call,
    path: ObjectPath,
    wanted: Wanted,
    include: IncludeObject,
}

async fn objects(
    state: Arc<State>,
    user: User,
    path: ObjectPath,
    request: Request<Body>,
) -> Outcome<Response<Body>> {
    let query = Query::parse(request.uri().query());
    let resource =
        state.catalog.find(&path.group, &path.version, &path.plural).ok_or_else(Failure::no_such_path)?;
    if resource.scope == Scope::Cluster && !path.namespace.is_empty() && resource.stored {
        return Err(Failure::no_such_path());
    }
    let user_agent = request.headers().get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
    let incoming = Incoming {
        wanted: media::wanted(request.headers(), query.flag("pretty")),
        include: include_object(&query),
        call: Call {
            state,
            resource,
            namespace: path.namespace.clone(),
            name: path.name.clone(),
            part: Part::Main,
            user,
            user_agent: user_agent.unwrap_or("unknown").to_owned(),
            query,
        },
        path,
    };
    let verb = verb(request.method(), &incoming);
    authorization::check_object(&incoming.call, verb, &incoming.path.subresource)?;
    if let Some(stream) = streams::Stream::of(&incoming.call.resource, &incoming.path.subresource) {
        return streams::open(stream, incoming.call, request).await;
    }
    let (parts, body) = request.into_parts();
    let body = read_body(body).await?;
    respond(&incoming, verb, &parts.headers, &body)
}

/// The verb as authorization knows it.
fn verb(method: &Method, incoming: &Incoming) -> &'static str {
    let collection = incoming.path.name.is_empty();
    match *method {
        Method::GET | Method::HEAD if incoming.path.watch || incoming.call.query.flag("watch") => "watch",
        Method::GET | Method::HEAD if collection => "list",
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if collection => "deletecollection",
        Method::DELETE => "delete",
        _ => "",
    }
}

fn respond(incoming: &Incoming, verb: &str, headers: &HeaderMap, body: &Bytes) -> Outcome<Response<Body>> {
    let (call, path) = (&incoming.call, &incoming.path);
    let resource = call.resource.clone();
    if !resource.stored {
        if verb != "create" {
            return Err(Failure::method_not_allowed());
        }
        let answered = subresources::question(call, media::decode(headers, body)?)?;
        return Ok(answered.respond(&resource, incoming.wanted, incoming.include));
    }
    let reply = match path.subresource.as_str() {
        "" if verb == "watch" => return call.watch(incoming.wanted, incoming.include),
        "" => whole(call, verb, headers, body)?,
        "status" if resource.has_status => {
            let call = Call { part: Part::Status, ..call.clone() };
            match verb {
                "get" => call.get()?,
                "update" => call.replace(media::decode(headers, body)?)?,
                "patch" => call.patch(headers, body)?,
                _ => return Err(Failure::method_not_allowed()),
            }
        }
        other => subresources::answer(call, other, verb, headers, body)?,
    };
    Ok(reply.respond(&resource, incoming.wanted, incoming.include))
}

fn whole(call: &Call, verb: &str, headers: &HeaderMap, body: &Bytes) -> Outcome<Reply> {
    match verb {
        "get" => call.get(),
        "list" => call.list(),
        "create" if call.name.is_empty() => call.create(media::decode(headers, body)?),
        "update" if !call.name.is_empty() => call.replace(media::decode(headers, body)?),
        "patch" if !call.name.is_empty() => call.patch(headers, body),
        "delete" => call.delete(&delete_options(headers, body)?),
        "deletecollection" => call.delete_collection(&delete_options(headers, body)?),
        _ => Err(Failure::method_not_allowed()),
    }
}

fn delete_options(headers: &HeaderMap, body: &Bytes) -> Outcome<Value> {
    match body.is_empty() {
        true => Ok(json!({})),
        false => Ok(media::decode(headers, body)?.value),
    }
}

fn include_object(query: &Query) -> IncludeObject {
    match query.get("includeObject") {
        Some("None") => IncludeObject::None,
        Some("Object") => IncludeObject::Object,
        _ => IncludeObject::Metadata,
    }
}

/// Reads a whole body.
///
/// # Errors
/// 413 when it is larger than the limit.
pub(crate) async fn read_body(body: Body) -> Outcome<Bytes> {
    axum::body::to_bytes(body, BODY_LIMIT)
        .await
        .map_err(|_| Status::too_large(format!("limit is {BODY_LIMIT}")).into())
}
