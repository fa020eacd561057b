//! Patches: JSON, merge, strategic merge and server-side apply.

use embedded_machinery::apply::{self, Force};
use embedded_machinery::patch;
use embedded_machinery::status::Status;
use embedded_machinery::strict;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::Call;
use super::update::Authorship;
use crate::documents;
use crate::failure::{Failure, Outcome};
use crate::media;
use crate::object;
use crate::options::{FieldValidation, WriteOptions};
use crate::reply::Reply;

mod refusal;

/// A patch, by its media type.
#[derive(Debug, Clone, PartialEq)]
enum Patch {
    Json(Value),
    Merge(Value),
    Strategic(Value),
    Apply(Value),
}

impl Patch {
    fn read(headers: &HeaderMap, body: &[u8]) -> Outcome<Patch> {
        match media::content_type(headers).as_str() {
            "application/json-patch+json" => media::json(body).map(Patch::Json),
            "application/merge-patch+json" => media::json(body).map(Patch::Merge),
            "application/strategic-merge-patch+json" => media::json(body).map(Patch::Strategic),
            "application/apply-patch+yaml" | "application/apply-patch+json" => {
                media::yaml(body).map(Patch::Apply)
            }
            _ => Err(Status::unsupported_media_type(&[
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
                "application/apply-patch+yaml",
                "application/apply-patch+cbor",
            ])
            .into()),
        }
    }
}

impl Patch {
    /// The patch as a refusal shows it.
    fn shown(&self) -> String {
        match self {
            Patch::Json(value) | Patch::Merge(value) | Patch::Apply(value) => value.to_string(),
            Patch::Strategic(value) => refusal::go_text(value),
        }
    }
}

impl Call {
    /// `PATCH` of an object or of its status.
    pub(crate) fn patch(&self, headers: &HeaderMap, body: &[u8]) -> Outcome<Reply> {
        let options = self.write_options()?;
        match Patch::read(headers, body)? {
            Patch::Apply(document) => self.apply(document, &options),
            patch => self.patch_with(&patch, &options),
        }
    }

    fn patch_with(&self, patch: &Patch, options: &WriteOptions) -> Outcome<Reply> {
        let warnings = std::cell::RefCell::new(Vec::new());
        let reply = self.change(options, Authorship::Compared, |current| {
            let mut new = self.patched(current, patch)?;
            // Fields that were stored unknown are not this writer's fault: they left when they were written.
            documents::expect_kind(&self.resource, &mut new)?;
            let unknown = documents::unknown(&self.resource, &mut new)?;
            let faults = strict::warnings(&unknown, &[]);
            match options.field_validation {
                FieldValidation::Strict if !faults.is_empty() => {
                    return Err(refusal::of_patch(patch.shown(), &faults));
                }
                FieldValidation::Warn => *warnings.borrow_mut() = faults,
                FieldValidation::Strict | FieldValidation::Ignore => {}
            }
            if object::name(&new) != self.name {
                return Err(Failure::bad_request(format!(
                    "the name of the object ({}) does not match the name on the URL ({})",
                    object::name(&new),
                    self.name
                )));
            }
            self.expect_own_namespace(&new)?;
            Ok(new)
        })?;
        Ok(Reply { warnings: warnings.into_inner(), ..reply })
    }

    fn patched(&self, current: &Value, patch: &Patch) -> Outcome<Value> {
        let refused = |error: patch::PatchError| Failure::from(error.to_status());
        match patch {
            Patch::Json(operations) => patch::json(current, operations).map_err(refused),
            Patch::Merge(changes) => patch::merge(current, changes).map_err(refused),
            Patch::Strategic(changes) => match self.resource.custom() {
                None => patch::strategic(&self.resource.gvk, current, changes).map_err(refused),
                Some(_) => Err(refused(patch::PatchError::NoStrategy)),
            },
            Patch::Apply(_) => {
                Err(Failure::internal("an applied document is not a patch of the present one"))
            }
        }
    }

    /// Server-side apply: the caller states the fields it wants to own.
    fn apply(&self, mut document: Value, options: &WriteOptions) -> Outcome<Reply> {
        if self.query.get("fieldManager").is_none() {
            return Err(Failure::bad_request(
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
            ));
        }
        documents::expect_kind(&self.resource, &mut document)?;
        let unknown = documents::unknown(&self.resource, &mut document)?;
        if !unknown.is_empty() {
            return Err(refusal::of_apply(&self.resource, &document, &unknown));
        }
        self.expect_own_namespace(&document)?;
        let name = object::name(&document);
        if !name.is_empty() && name != self.name {
            return Err(Failure::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                self.name
            )));
        }
        object::set(&mut document, &["metadata", "name"], self.name.as_str());
        if !self.namespace.is_empty() {
            object::set(&mut document, &["metadata", "namespace"], self.namespace.as_str());
        }
        let reply = match self.state.store.get(&self.resource.shelf, &self.namespace, &self.name) {
            Some(_) => self.change(options, Authorship::Recorded, |current| {
                self.applied(Some(current), &document, options)
            })?,
            None if self.part.may_create() => {
                let created = self.applied(None, &document, options)?;
                Reply { code: StatusCode::CREATED, ..self.create_decoded(created, options)? }
            }
            None => return Err(Failure::not_found(&self.resource, &self.name)),
        };
        Ok(reply)
    }

    fn applied(&self, current: Option<&Value>, document: &Value, options: &WriteOptions) -> Outcome<Value> {
        let force = if options.force { Force::Yes } else { Force::No };
        let version = object::resource_version(document);
        if let (Some(current), false) = (current, version.is_empty())
            && version != object::resource_version(current)
        {
            return Err(Failure::modified(&self.resource, &self.name));
        }
        let merged = apply::apply(
            current,
            document,
            &self.writer(options, &object::now()),
            force,
            documents::merge_types(&self.resource),
        );
        let mut merged = merged.map_err(|refusal| documents::refused_apply(&refusal))?;
        documents::prune(&self.resource, &mut merged, &[], FieldValidation::Ignore)?;
        Ok(merged)
    }
}
