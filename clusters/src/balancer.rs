//! MetalLB, by its own manifest.

use serde_json::json;

use crate::images_lock::ImagesLock;
use crate::plan::{Action, Condition, Plan};
use crate::real::{Home, RealRequest};

const NAMESPACE: &str = "metallb-system";

/// Installs it and gives it `addresses`.
pub(crate) fn install(
    plan: &mut Plan,
    lock: &ImagesLock,
    addresses: &str,
    request: &RealRequest,
    home: &Home,
) {
    for file in crate::calico::manifests(plan, &lock.metallb, request, home) {
        let name = file.file_name().unwrap_or_default().display().to_string();
        plan.push(format!("apply MetalLB's {name}"), Action::ApplyFile(file));
    }
    // Its webhook refuses pools until it answers.
    let controller = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "controller", "namespace": NAMESPACE},
    });
    plan.wait(
        "have MetalLB Available",
        Condition::Holds { object: Box::new(controller), condition: "Available" },
        request.limit,
    );
    plan.apply(
        "give MetalLB its addresses",
        vec![
            json!({
                "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
                "metadata": {"name": "conformance", "namespace": NAMESPACE},
                "spec": {"addresses": [addresses]},
            }),
            json!({
                "apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement",
                "metadata": {"name": "conformance", "namespace": NAMESPACE},
            }),
        ],
    );
}
