//! NetworkPolicies that deny what a mesh needs.

use k8s_openapi::api::core::v1::Pod;
use netmodel::OutcomeClass;
use netmodel::policy::{self, Protocol, Verdict};
use netmodel::profile::{Denial, Profile};
use reports::{Certainty, NamedCause};

use super::lost;
use super::scheduler_name::told_failures;
use crate::cause::{Cause, Diagnosis};
use crate::contract::{self, Flow, flows};
use crate::snapshot::{Look, Snapshot};
use crate::text::GoFailure;

/// How a denied packet of `profile` ends, for people.
fn denial_word(profile: Profile) -> &'static str {
    match profile.knobs().denial {
        Denial::PortUnreachable => "rejects",
        Denial::Drop => "drops",
    }
}

/// Flows of one protocol that a policy denies, with the names of the policies.
fn denied(snapshot: &Snapshot, profile: Profile, protocol: Protocol) -> Vec<(Flow, Vec<String>)> {
    let view = contract::view(snapshot);
    let wanted = flows(snapshot).into_iter().filter(|flow| flow.protocol == protocol);
    wanted
        .filter_map(|flow| match policy::verdict(&view, &flow.packet(), profile) {
            Ok(Verdict::Denied { by, .. }) => Some((flow, by.iter().map(ToString::to_string).collect())),
            Ok(Verdict::Allowed) | Err(_) => None,
        })
        .collect()
}

/// A component cannot reach another one, and something failed for it.
pub(super) fn flow_denied(snapshot: &Snapshot, profile: Profile) -> Option<Diagnosis> {
    denied(snapshot, profile, Protocol::Tcp).into_iter().find_map(|(flow, policies)| {
        let probe = dial_sighting(snapshot, &flow);
        let told = told_failures(snapshot).into_iter().find_map(|(namespace, failure, words)| {
            let port = match failure {
                GoFailure::DialTimeout(address) | GoFailure::DialRefused(address) => address.port(),
                GoFailure::NoAddresses | GoFailure::LookupBlocked { .. } | GoFailure::Closing => return None,
            };
            (namespace == flow.to_pod.0 && port == flow.port).then_some(words)
        });
        let lost = lost::evidence(snapshot, &flow);
        let (certainty, evidence) = weighed(told, probe, lost)?;
        Some(flow_diagnosis(&flow, policies, profile, certainty, evidence))
    })
}

/// What Models tell, a probe found and the node lost, and how much it proves; `None` when nothing does.
fn weighed(
    told: Option<String>,
    probe: Option<String>,
    lost: Option<String>,
) -> Option<(Certainty, Vec<String>)> {
    let certainty = if probe.is_some() || lost.is_some() { Certainty::Certain } else { Certainty::Likely };
    let evidence: Vec<String> = told.into_iter().chain(probe).chain(lost).collect();
    (!evidence.is_empty()).then_some((certainty, evidence))
}

fn dial_sighting(snapshot: &Snapshot, flow: &Flow) -> Option<String> {
    snapshot.sightings_in(&flow.from_pod.0).find_map(|sighting| {
        let Look::Dial { host, port } = &sighting.look else { return None };
        let failed = matches!(sighting.answer.class, OutcomeClass::Refused | OutcomeClass::Timeout);
        (failed && *port == flow.port && sighting.from.name == flow.from_pod.1)
            .then(|| format!("a dial from pod {} to {host}:{port}: {}", sighting.from, sighting.answer.text))
    })
}

fn flow_diagnosis(
    flow: &Flow,
    policies: Vec<String>,
    profile: Profile,
    certainty: Certainty,
    evidence: Vec<String>,
) -> Diagnosis {
    let named = policies.join(", ");
    let ((from_namespace, from), (to_namespace, to)) = (&flow.from_pod, &flow.to_pod);
    Diagnosis {
        named: NamedCause {
            kind: "policy-denies".into(),
            sentence: format!(
                "NetworkPolicy {named} {} {} {from_namespace}/{from} → {} {to_namespace}/{to}:{}",
                denial_word(profile),
                flow.from,
                flow.to,
                flow.port
            ),
            certainty,
            evidence,
            ruled_out: vec!["DNS (the name resolved to the Service's address)".into()],
            owner: format!(
                "whoever owns policies in {}",
                policies.first().map_or("", |policy| policy.split('/').next().unwrap_or_default())
            ),
            fix: format!("admit namespace {from_namespace} to the {} on port {}", flow.to, flow.port),
        },
        cause: Cause::PolicyDenies { policies, from: flow.from.into(), to: flow.to.into(), port: flow.port },
    }
}

/// A component cannot ask the cluster's name server, and a look-up failed for it.
pub(super) fn names_denied(snapshot: &Snapshot, profile: Profile) -> Option<Diagnosis> {
    denied(snapshot, profile, Protocol::Udp).into_iter().find_map(|(flow, policies)| {
        let namespace = &flow.from_pod.0;
        let told = told_failures(snapshot).into_iter().find_map(|(_, failure, words)| {
            matches!(failure, GoFailure::LookupBlocked { .. }).then_some(words)
        });
        let told = told.filter(|_| flow.from == "controller");
        let probe = lookup_sighting(snapshot, namespace);
        let (certainty, evidence) = weighed(told, probe, lost::evidence(snapshot, &flow))?;
        Some(names_diagnosis(snapshot, &flow, policies, profile, certainty, evidence))
    })
}

fn lookup_sighting(snapshot: &Snapshot, namespace: &str) -> Option<String> {
    snapshot.sightings_in(namespace).find_map(|sighting| {
        let Look::GoLookup { name } = &sighting.look else { return None };
        let failed = matches!(
            sighting.answer.class,
            OutcomeClass::NameTimeout
                | OutcomeClass::NameTemporary
                | OutcomeClass::Timeout
                | OutcomeClass::Refused
        );
        failed.then(|| format!("a look-up of {name} in pod {}: {}", sighting.from, sighting.answer.text))
    })
}

fn names_diagnosis(
    snapshot: &Snapshot,
    flow: &Flow,
    policies: Vec<String>,
    profile: Profile,
    certainty: Certainty,
    mut evidence: Vec<String>,
) -> Diagnosis {
    let namespace = flow.from_pod.0.clone();
    let unmatched_label = unmatched_namespace_label(snapshot, &policies);
    let fix = match &unmatched_label {
        Some(label) => {
            evidence
                .push(format!("no namespace carries the label {label} that the policy's DNS rule asks for"));
            format!(
                "ask for kubernetes.io/metadata.name=kube-system instead of {label}, or label the namespace: `kubectl label namespace kube-system {label}`"
            )
        }
        None => "admit egress to kube-system pods k8s-app=kube-dns on 53 UDP and TCP".into(),
    };
    Diagnosis {
        named: NamedCause {
            kind: "policy-denies-names".into(),
            sentence: format!(
                "NetworkPolicy {} {} DNS from {namespace}: its pods cannot ask the cluster's name server",
                policies.join(", "),
                denial_word(profile)
            ),
            certainty,
            evidence,
            ruled_out: ready_name_server(snapshot).into_iter().collect(),
            owner: format!("whoever owns policies in {namespace}"),
            fix,
        },
        cause: Cause::PolicyDeniesNames { policies, namespace, unmatched_label },
    }
}

/// The name server's pod, when it is Ready: then it is not what is wrong.
fn ready_name_server(snapshot: &Snapshot) -> Option<String> {
    let ready = |pod: &&Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let pod = snapshot.pods_labelled("kube-system", "k8s-app", "kube-dns").find(ready)?;
    Some(format!(
        "the name server itself (pod kube-system/{} is Ready)",
        pod.metadata.name.as_deref().unwrap_or_default()
    ))
}

/// A label that an egress rule of `policies` asks of namespaces and none carries.
fn unmatched_namespace_label(snapshot: &Snapshot, policies: &[String]) -> Option<String> {
    let named = |meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
        format!(
            "{}/{}",
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default()
        )
    };
    let selected = snapshot.policies.iter().filter(|policy| policies.contains(&named(&policy.metadata)));
    let peers = selected
        .flat_map(|policy| policy.spec.iter())
        .flat_map(|spec| spec.egress.iter().flatten())
        .flat_map(|rule| rule.to.iter().flatten());
    let labels = peers
        .filter_map(|peer| peer.namespace_selector.as_ref()?.match_labels.as_ref())
        .flatten()
        .map(|(key, value)| (key.clone(), value.clone()));
    let carried = |key: &str, value: &str| {
        snapshot.namespaces.iter().any(|namespace| {
            namespace
                .metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(key))
                .is_some_and(|found| found == value)
        })
    };
    labels.into_iter().find(|(key, value)| !carried(key, value)).map(|(key, value)| format!("{key}={value}"))
}
