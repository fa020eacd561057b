//! Faults that are NetworkPolicies, and the policies that repair them.

use netmodel::OutcomeClass;
use netmodel::profile::Denial;
use serde_json::{Value, json};
use toolbox::{DnsStyle, Probe};

use super::{Change, Fault};
use crate::claim::Claim;
use crate::look::{Look, PodQuery, Seen};
use crate::mesh::InstalledMesh;
use crate::object::{Kind, ObjectRef};
use crate::world::World;

/// Time a dial is given before it counts as unanswered; above the second that the kernel waits before it resends a
/// SYN, so that a refusal which the ICMP rate limit swallowed is still seen.
const DIAL_LIMIT_MS: u64 = 1500;

/// Port of the controller's probes: the one on which it listens without looking who asks.
const CONTROLLER_PROBES: u16 = 8081;

fn policy(namespace: &str, name: &str, spec: Value) -> (ObjectRef, Value) {
    let manifest = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    });
    (ObjectRef::new(Kind::NetworkPolicy, namespace, name), manifest)
}

/// Denied as this world's network denies: refused, or unanswered.
fn denied_class(world: &World) -> OutcomeClass {
    match world.profile().knobs().denial {
        Denial::PortUnreachable => OutcomeClass::Refused,
        Denial::Drop => OutcomeClass::Timeout,
    }
}

/// A dial from `from` to `host:port` ends in one of `classes`.
pub fn dial_ends(from: &PodQuery, host: &str, port: u16, classes: &[OutcomeClass]) -> Claim {
    let wanted = classes.to_vec();
    let look = Look::Probe {
        from: from.clone(),
        probe: Probe::TcpConnect { host: host.into(), port, limit_ms: DIAL_LIMIT_MS },
    };
    Claim::new(
        format!("a dial from {} to {host}:{port} ends {wanted:?}", from.name),
        look,
        move |seen| matches!(seen, Seen::Observed(observation) if wanted.contains(&observation.class)),
    )
}

/// Nobody is admitted to the scheduler's port 9004; its other ports stay open to everybody.
pub fn deny_scheduler_api(world: &World, mesh: &InstalledMesh) -> Fault {
    let spec = json!({
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "seldon-scheduler"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [
            {"protocol": "TCP", "port": 9002}, {"protocol": "TCP", "port": 9005}, {"protocol": "TCP", "port": 9008},
        ]}],
    });
    let (controller, name) = (mesh.controller(), mesh.scheduler_name());
    Fault {
        breaks: format!("a policy in {} admits nobody to the scheduler's port 9004", mesh.tenant()),
        change: Change::Apply(vec![policy(mesh.tenant(), "scheduler-without-its-api", spec)]),
        bites: dial_ends(&controller, &name, 9004, &[denied_class(world)]),
        gone: dial_ends(&controller, &name, 9004, &[OutcomeClass::Open]),
    }
}

/// Only pods of the tenant are admitted to the scheduler, on any port.
pub fn scheduler_for_its_namespace_only(world: &World, mesh: &InstalledMesh) -> Fault {
    let spec = json!({
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "seldon-scheduler"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {}}]}],
    });
    let (controller, name) = (mesh.controller(), mesh.scheduler_name());
    Fault {
        breaks: format!("a policy admits only pods of {} to its scheduler", mesh.tenant()),
        change: Change::Apply(vec![policy(mesh.tenant(), "scheduler-same-ns-only", spec)]),
        bites: dial_ends(&controller, &name, 9004, &[denied_class(world)]),
        gone: dial_ends(&controller, &name, 9004, &[OutcomeClass::Open]),
    }
}

/// Pods of the tenant and of the controller may send everywhere, but not to port 53.
pub fn no_names(mesh: &InstalledMesh) -> Fault {
    let rest = |protocol: &str| {
        [
            json!({"protocol": protocol, "port": 1, "endPort": 52}),
            json!({"protocol": protocol, "port": 54, "endPort": 65535}),
        ]
    };
    let free: Vec<Value> = rest("TCP").into_iter().chain(rest("UDP")).collect();
    let spec = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": free}]});
    let look_up = |sentence: &str, holds: fn(OutcomeClass) -> bool| {
        let probe = Probe::Dns { style: DnsStyle::Go, name: "kubernetes.default".into() };
        Claim::new(
            sentence.to_owned(),
            Look::Probe { from: mesh.visitor(), probe },
            move |seen| matches!(seen, Seen::Observed(observation) if holds(observation.class)),
        )
    };
    Fault {
        breaks: format!(
            "pods of {} and {} may not send to port 53",
            mesh.tenant(),
            mesh.controller_namespace()
        ),
        change: Change::Apply(vec![
            policy(mesh.tenant(), "egress-all-but-53", spec.clone()),
            policy(mesh.controller_namespace(), "egress-all-but-53", spec),
        ]),
        bites: look_up("a look-up from the tenant's pods fails", |class| {
            matches!(class, OutcomeClass::NameTimeout | OutcomeClass::NameTemporary)
        }),
        gone: look_up("a look-up from the tenant's pods succeeds", |class| class == OutcomeClass::Open),
    }
}

/// The policy that admits the controller's namespace to the scheduler's port 9004, beside the one that denies.
pub fn admit_controller(mesh: &InstalledMesh) -> Value {
    let home = json!({"matchLabels": {"kubernetes.io/metadata.name": mesh.controller_namespace()}});
    let spec = json!({
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "seldon-scheduler"}},
        "policyTypes": ["Ingress"],
        "ingress": [{
            "from": [{"namespaceSelector": home}],
            "ports": [{"protocol": "TCP", "port": 9004}],
        }],
    });
    policy(mesh.tenant(), "admit-the-controller", spec).1
}

/// Everything between the tenant's own pods is allowed: what the fifth escalation hoped would help.
pub fn allow_within_namespace(mesh: &InstalledMesh) -> Value {
    let spec = json!({
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [{}],
    });
    policy(mesh.tenant(), "allow-all-intra-pod", spec).1
}

/// The controller's namespace is isolated. Its egress is free but for DNS, which is allowed only towards namespaces
/// labelled `name=kube-system`: a label nobody carries.
///
/// That the policy is in force shows in its other half: nobody reaches the controller's pod any more. What it does to
/// look-ups is for the case to claim.
///
/// # Errors
/// When there is no controller's pod, or it has no address yet.
pub async fn dns_allowed_to_a_label_nobody_has(world: &World, mesh: &InstalledMesh) -> anyhow::Result<Fault> {
    let namespace = mesh.controller_namespace();
    let controller = world.address_of(&mesh.controller()).await?;
    Ok(Fault {
        breaks: format!("pods of {namespace} may ask for names only in namespaces labelled name=kube-system"),
        change: Change::Apply(vec![dns_policy(namespace, json!({"name": "kube-system"}))]),
        bites: dial_ends(&mesh.visitor(), &controller, CONTROLLER_PROBES, &[denied_class(world)]),
        gone: Claim::new(
            "a look-up from the controller's pod succeeds",
            mesh.look_up(DnsStyle::Go, "kubernetes.default"),
            |seen| matches!(seen, Seen::Observed(observation) if observation.class == OutcomeClass::Open),
        ),
    })
}

/// The same policy, asking for the label that every namespace carries.
pub fn dns_allowed_to_kube_system(mesh: &InstalledMesh) -> Value {
    dns_policy(mesh.controller_namespace(), json!({"kubernetes.io/metadata.name": "kube-system"})).1
}

fn dns_policy(namespace: &str, labels: Value) -> (ObjectRef, Value) {
    let rest = |protocol: &str| {
        [
            json!({"protocol": protocol, "port": 1, "endPort": 52}),
            json!({"protocol": protocol, "port": 54, "endPort": 65535}),
        ]
    };
    let free: Vec<Value> = rest("TCP").into_iter().chain(rest("UDP")).collect();
    let dns = json!([{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]);
    let spec = json!({
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [
            {"ports": free},
            {"to": [{"namespaceSelector": {"matchLabels": labels}}], "ports": dns},
        ],
    });
    policy(namespace, "isolation", spec)
}
