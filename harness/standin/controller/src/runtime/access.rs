//! The three service accounts of a mesh, their roles and bindings.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt;
use seldon_crds::SeldonRuntime;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::owned::{self, owned_by};
use crate::server::typed;

/// One account with what it may read.
struct Access {
    account: &'static str,
    /// Its role is `<stem>-role`, the binding `<stem>-rolebinding`.
    stem: &'static str,
    readable: &'static [&'static str],
}

const ALL: [Access; 3] = [
    Access { account: "hodometer", stem: "hodometer", readable: &["secrets"] },
    Access { account: "seldon-scheduler", stem: "seldon-scheduler", readable: &["configmaps", "secrets"] },
    Access { account: "seldon-server", stem: "agent", readable: &["configmaps", "secrets"] },
];

/// Keeps accounts, then roles, then bindings as wanted.
pub(super) async fn keep(cluster: &Cluster, runtime: &SeldonRuntime) -> Result<(), Failure> {
    for access in &ALL {
        let wanted: ServiceAccount =
            typed(object(runtime, "v1", "ServiceAccount", access.account, json!({})))?;
        owned::keep_by(cluster, wanted, |_, _| true).await?;
    }
    for access in &ALL {
        let rule = |resource: &&str| json!({"apiGroups": [""], "resources": [resource], "verbs": ["get", "list", "watch"]});
        let rules = json!({"rules": access.readable.iter().map(rule).collect::<Vec<_>>()});
        let name = format!("{}-role", access.stem);
        let wanted: Role = typed(object(runtime, RBAC, "Role", &name, rules))?;
        owned::keep_by(cluster, wanted, |wanted: &Role, found| wanted.rules == found.rules).await?;
    }
    for access in &ALL {
        let binding = json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": format!("{}-role", access.stem)},
            "subjects": [{"kind": "ServiceAccount", "name": access.account, "namespace": runtime.namespace()}],
        });
        let name = format!("{}-rolebinding", access.stem);
        let wanted: RoleBinding = typed(object(runtime, RBAC, "RoleBinding", &name, binding))?;
        let same = |wanted: &RoleBinding, found: &RoleBinding| {
            wanted.role_ref == found.role_ref && wanted.subjects == found.subjects
        };
        owned::keep_by(cluster, wanted, same).await?;
    }
    Ok(())
}

const RBAC: &str = "rbac.authorization.k8s.io/v1";

fn object(runtime: &SeldonRuntime, version: &str, kind: &str, name: &str, mut body: Value) -> Value {
    body["apiVersion"] = json!(version);
    body["kind"] = json!(kind);
    body["metadata"] =
        json!({"name": name, "namespace": runtime.namespace(), "ownerReferences": [owned_by(runtime)]});
    body
}
