//! Creating objects.

use embedded_machinery::apply;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Call, Part, prepare};
use crate::catalog::Scope;
use crate::failure::{Failure, Outcome};
use crate::media::Received;
use crate::options::{Persistence, WriteOptions};
use crate::reply::{Document, Reply};
use crate::store::WriteError;
use crate::{admission, documents, object, view};

/// How often a generated name is drawn again when it is taken.
const NAME_ATTEMPTS: usize = 8;

impl Call {
    /// `POST` to a collection.
    pub(crate) fn create(&self, received: Received) -> Outcome<Reply> {
        let Received { value: mut document, duplicate } = received;
        let options = self.write_options()?;
        documents::expect_kind(&self.resource, &mut document)?;
        let warnings = documents::prune(&self.resource, &mut document, &duplicate, options.field_validation)?;
        let reply = self.create_decoded(document, &options)?;
        Ok(Reply { code: StatusCode::CREATED, warnings, ..reply })
    }

    /// Creates an object whose unknown fields are gone already.
    pub(super) fn create_decoded(&self, mut document: Value, options: &WriteOptions) -> Outcome<Reply> {
        self.expect_own_namespace(&document)?;
        if self.resource.scope == Scope::Namespaced && self.namespace.is_empty() {
            return Err(Failure::bad_request("an empty namespace may not be set during creation"));
        }
        if !object::resource_version(&document).is_empty() {
            return Err(Failure::bad_request("resourceVersion should not be set on objects to be created"));
        }
        let managed = object::field(&document, &["metadata", "managedFields"]).cloned();
        prepare::identify(&self.resource, &self.namespace, &mut document);
        if let Some(managed) = managed {
            object::set(&mut document, &["metadata", "managedFields"], managed);
        }
        let prefix = object::text(&document, &["metadata", "generateName"]).to_owned();
        if !object::name(&document).is_empty() || prefix.is_empty() {
            return self.create_named(document, options);
        }
        let mut last = None;
        for _ in 0..NAME_ATTEMPTS {
            let mut named = document.clone();
            object::set(&mut named, &["metadata", "name"], prepare::generated_name(&prefix));
            match self.create_named(named, options) {
                Err(failure) if failure.is_already_exists() => last = Some(failure),
                done => return done,
            }
        }
        Err(last.unwrap_or_else(|| Failure::internal("no name was drawn")))
    }

    fn create_named(&self, mut document: Value, options: &WriteOptions) -> Outcome<Reply> {
        let resource = &self.resource;
        admission::before_create(self, &mut document)?;
        prepare::initial_status(resource, &mut document);
        documents::default(resource, &mut document);
        let addresses = admission::services::reserve(self, None, &mut document)?;
        documents::validate(resource, &document, None)?;
        let mut stored = view::to_stored(resource, document);
        self.record_manager(None, &mut stored, options);
        if options.persistence == Persistence::DryRun {
            let shelf = &resource.shelf;
            if self.state.store.get(shelf, object::namespace(&stored), object::name(&stored)).is_some() {
                return Err(Failure::already_exists(resource, object::name(&stored)));
            }
            return Ok(Reply::ok(Document::Value(view::value(resource, &stored).into_owned())));
        }
        let name = object::name(&stored).to_owned();
        let entry = self.state.store.insert(&resource.shelf, stored).map_err(|error| match error {
            WriteError::Exists => Failure::already_exists(resource, &name),
            WriteError::Changed => Failure::modified(resource, &name),
        })?;
        drop(addresses);
        admission::after_write(self, &entry);
        Ok(Reply::ok(Document::Stored(entry)))
    }

    /// Notes in `managedFields` who wrote what, by comparing with the object before.
    pub(super) fn record_manager(&self, old: Option<&Value>, new: &mut Value, options: &WriteOptions) {
        apply::record_update(
            old,
            new,
            &self.writer(options, &object::now()),
            documents::merge_types(&self.resource),
        );
    }

    /// The author of a change, for `managedFields`.
    pub(super) fn writer<'a>(&'a self, options: &'a WriteOptions, time: &'a str) -> apply::Writer<'a> {
        let subresource = Some(self.part.subresource()).filter(|name| !name.is_empty());
        apply::Writer {
            manager: options.manager(),
            api_version: &self.resource.api_version,
            subresource,
            time,
        }
    }

    /// Refuses an object of another namespace than the path's.
    pub(super) fn expect_own_namespace(&self, document: &Value) -> Outcome<()> {
        let namespace = object::namespace(document);
        if self.resource.scope == Scope::Namespaced && !namespace.is_empty() && namespace != self.namespace {
            return Err(Failure::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        Ok(())
    }
}

impl Part {
    /// Whether a write to this part may create the object.
    pub(super) fn may_create(self) -> bool {
        self == Part::Main
    }
}

/// The quality-of-service class the API server computes for a new pod.
pub(super) fn qos_class(pod: &Value) -> Value {
    let lists = ["containers", "initContainers"]
        .map(|key| object::field(pod, &["spec", key]).and_then(Value::as_array));
    let containers: Vec<&Value> = lists.into_iter().flatten().flatten().collect();
    let amount = |container: &Value, kind: &str, what: &str| {
        let value = object::field(container, &["resources", kind, what]).cloned().unwrap_or_default();
        let text = value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
        (!value.is_null() && text != "0").then_some(text)
    };
    let all = |kind: &'static str| {
        let containers = &containers;
        move |what: &'static str| containers.iter().map(move |container| amount(container, kind, what))
    };
    let (limits, requests) = (all("limits"), all("requests"));
    let any = ["cpu", "memory"]
        .into_iter()
        .any(|what| limits(what).chain(requests(what)).any(|value| value.is_some()));
    // A limit without a request counts as a request of the same size.
    let guaranteed = ["cpu", "memory"].into_iter().all(|what| {
        limits(what)
            .zip(requests(what))
            .all(|(limit, request)| limit.is_some() && (request.is_none() || request == limit))
    });
    match (any, guaranteed && !containers.is_empty()) {
        (false, _) => json!("BestEffort"),
        (true, true) => json!("Guaranteed"),
        (true, false) => json!("Burstable"),
    }
}
