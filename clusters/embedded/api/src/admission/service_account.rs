//! The ServiceAccount admission plugin: every pod gets an account and, as a volume, its token.

use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::object;
use crate::verbs::Call;

/// Where pods find their token.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The token's life in seconds as the plugin asks for it: an hour, and seven seconds that mark it as the plugin's own.
const TOKEN_SECONDS: u64 = 3607;

/// Sets the account of a new pod and mounts its token, unless the pod or the account declines.
pub(super) fn assign(call: &Call, pod: &mut Value) -> Outcome<()> {
    if object::text(pod, &["spec", "serviceAccountName"]).is_empty() {
        let name = match object::text(pod, &["spec", "serviceAccount"]) {
            "" => "default",
            deprecated => deprecated,
        };
        let name = name.to_owned();
        object::set(pod, &["spec", "serviceAccountName"], name);
    }
    let name = object::text(pod, &["spec", "serviceAccountName"]).to_owned();
    object::set(pod, &["spec", "serviceAccount"], name.as_str());
    let Some(account) = call.state.store.get("/serviceaccounts", &call.namespace, &name) else {
        let why = format!(
            "error looking up service account {}/{name}: serviceaccount {name:?} not found",
            call.namespace
        );
        return Err(Failure::forbidden(&call.resource, object::name(pod), &why));
    };
    let wish = |value: &Value, path: &[&str]| object::field(value, path).and_then(Value::as_bool);
    let mounted = wish(pod, &["spec", "automountServiceAccountToken"])
        .or(wish(&account.value, &["automountServiceAccountToken"]))
        .unwrap_or(true);
    if mounted {
        mount(pod);
    }
    inherit_pull_secrets(pod, &account.value);
    Ok(())
}

fn inherit_pull_secrets(pod: &mut Value, account: &Value) {
    let own = object::field(pod, &["spec", "imagePullSecrets"]).and_then(Value::as_array);
    if let (true, Some(secrets)) = (own.is_none_or(Vec::is_empty), account.get("imagePullSecrets")) {
        object::set(pod, &["spec", "imagePullSecrets"], secrets.clone());
    }
}

fn mount(pod: &mut Value) {
    let volumes = object::field(pod, &["spec", "volumes"]).and_then(Value::as_array);
    let present = volumes.into_iter().flatten().filter_map(|volume| volume["name"].as_str());
    let present = present.into_iter().find(|name| name.starts_with("kube-api-access-")).map(str::to_owned);
    let name = present.clone().unwrap_or_else(|| crate::verbs::generated_name("kube-api-access-"));
    let mut used = false;
    for list in ["initContainers", "containers"] {
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            used |= mount_in(container, &name);
        }
    }
    if used && present.is_none() {
        let volumes = object::object_at(pod, &["spec"]).entry("volumes").or_insert_with(|| json!([]));
        if let Some(volumes) = volumes.as_array_mut() {
            volumes.push(volume(&name));
        }
    }
}

/// Mounts the token in a container that has nothing else there. Says whether the volume is needed.
fn mount_in(container: &mut Value, name: &str) -> bool {
    let mounts = object::fields(container).entry("volumeMounts").or_insert(Value::Null);
    if mounts.is_null() {
        *mounts = json!([]);
    }
    let Some(mounts) = mounts.as_array_mut() else { return false };
    if mounts.iter().any(|mount| mount["mountPath"] == MOUNT_PATH) {
        return false;
    }
    mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
    true
}

fn volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
        ]}},
    ]}})
}
