//! What the server checks and adds on its own account before an object is stored, and what follows from it after.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::catalog::Scope;
use crate::definitions;
use crate::failure::{Failure, Outcome};
use crate::object;
use crate::store::Entry;
use crate::verbs::{Call, Part};

mod service_account;
pub(crate) mod services;

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// Before a new object is defaulted and validated.
pub(crate) fn before_create(call: &Call, document: &mut Value) -> Outcome<()> {
    if call.resource.scope == Scope::Namespaced {
        expect_living_namespace(call, document)?;
    }
    if call.resource.is_core("Namespace") {
        label_with_name(document);
    }
    if call.resource.is_core("Pod") {
        service_account::assign(call, document)?;
    }
    if call.resource.is_job() {
        embedded_machinery::builtin::select_own_pods(document);
    }
    Ok(())
}

/// Before a changed object is defaulted and validated.
pub(crate) fn before_update(call: &Call, old: &Value, new: &mut Value) -> Outcome<()> {
    if call.resource.is_core("Namespace") {
        label_with_name(new);
        // Only the finalize subresource changes the finalizers of the spec.
        if call.part != Part::Other("finalize") {
            let finalizers =
                object::field(old, &["spec", "finalizers"]).cloned().unwrap_or_else(|| json!([]));
            object::set(new, &["spec", "finalizers"], finalizers);
        }
    }
    Ok(())
}

/// After an object was created, changed, marked for deletion or released by its last finalizer.
pub(crate) fn after_write(call: &Call, entry: &Arc<Entry>) {
    if definitions::is_definition(&call.resource) {
        let stored = call.state.store.get(&call.resource.shelf, "", object::name(&entry.value));
        match stored {
            Some(_) => definitions::serve(&call.state, entry),
            None => definitions::withdraw(&call.state, &entry.value),
        }
    }
}

/// After an object was removed.
pub(crate) fn after_delete(call: &Call, gone: &Arc<Entry>) {
    if definitions::is_definition(&call.resource) {
        definitions::withdraw(&call.state, &gone.value);
    }
}

/// Refuses the deletion of what must stay.
pub(crate) fn before_delete(call: &Call) -> Outcome<()> {
    if call.resource.is_core("Namespace") && IMMORTAL.contains(&call.name.as_str()) {
        return Err(Failure::forbidden(&call.resource, &call.name, "this namespace may not be deleted"));
    }
    Ok(())
}

/// Nothing is created in a namespace that is not there or is going.
fn expect_living_namespace(call: &Call, document: &Value) -> Outcome<()> {
    let namespaces = call.state.catalog.find("", "v1", "namespaces");
    let Some(namespaces) = namespaces else { return Ok(()) };
    let Some(found) = call.state.store.get(&namespaces.shelf, "", &call.namespace) else {
        return Err(Failure::not_found(&namespaces, &call.namespace));
    };
    if !object::is_deleting(&found.value) {
        return Ok(());
    }
    let why = format!(
        "unable to create new content in namespace {} because it is being terminated",
        call.namespace
    );
    let mut failure = Failure::forbidden(&call.resource, object::name(document), &why);
    if let Some(details) = &mut failure.status.details {
        details.causes.push(embedded_machinery::status::Cause {
            reason: "NamespaceTerminating".to_owned(),
            message: format!("namespace {} is being terminated", call.namespace),
            field: "metadata.namespace".to_owned(),
        });
    }
    Err(failure)
}

fn label_with_name(namespace: &mut Value) {
    let name = object::name(namespace).to_owned();
    if !name.is_empty() {
        object::set(namespace, &["metadata", "labels", "kubernetes.io/metadata.name"], name);
    }
}
