//! Things that look broken and are not.

use std::net::IpAddr;

use reports::{Certainty, NamedCause};

use crate::cause::{Cause, Diagnosis};
use crate::snapshot::{Look, Snapshot};

/// nslookup shows a foreign address for a name that Go programs resolve to the Service's.
pub(super) fn misleading(snapshot: &Snapshot) -> Option<Diagnosis> {
    snapshot.sightings.iter().find_map(|shown| {
        let Look::Nslookup { name } = &shown.look else { return None };
        let foreign = shown.answer.addresses.first()?;
        let go = snapshot.sightings.iter().find_map(|other| match &other.look {
            Look::GoLookup { name: asked } if asked == name => other.answer.addresses.first(),
            Look::GoLookup { .. }
            | Look::Dial { .. }
            | Look::Nslookup { .. }
            | Look::NobodysName { .. }
            | Look::Get { .. } => None,
        })?;
        let service = snapshot.services.iter().find(|service| Snapshot::cluster_ip(service) == Some(&go.to_string()))?;
        (go != foreign).then(|| Diagnosis {
            cause: Cause::MisleadingLookup { name: name.clone(), address: foreign.to_string() },
            named: NamedCause {
                kind: "misleading-lookup".into(),
                sentence: format!(
                    "busybox nslookup asks for {name} as it stands and shows {foreign}, an upstream's answer to names that do not exist; Seldon's programs get {go}"
                ),
                certainty: Certainty::Certain,
                evidence: vec![
                    format!("nslookup in {}: {}", shown.from, shown.answer.text.lines().last().unwrap_or_default()),
                    format!(
                        "a Go look-up gives {go}, the ClusterIP of Service {}/{}",
                        service.metadata.namespace.as_deref().unwrap_or_default(),
                        service.metadata.name.as_deref().unwrap_or_default()
                    ),
                ],
                ruled_out: no_record(snapshot, *foreign).into_iter().collect(),
                owner: "nobody: the mesh is healthy".into(),
                fix: format!("look the name up as a program does: `getent hosts {name}`, or with its full name and a final dot"),
            },
        })
    })
}

/// A name that nobody can have got `address` too: then no record made for one name is what answers.
pub(super) fn no_record(snapshot: &Snapshot, address: IpAddr) -> Option<String> {
    snapshot.sightings.iter().find_map(|sighting| match &sighting.look {
        Look::NobodysName { name } if sighting.answer.addresses.contains(&address) => {
            Some(format!("an external DNS record ({name}, which nobody can have, gets {address} too)"))
        }
        Look::NobodysName { .. }
        | Look::GoLookup { .. }
        | Look::Dial { .. }
        | Look::Nslookup { .. }
        | Look::Get { .. } => None,
    })
}

/// A Model that is Ready: then the control plane is not what is wrong.
fn ready_model(snapshot: &Snapshot) -> Option<String> {
    let model = snapshot.models.iter().find(|model| {
        Snapshot::condition(model, "ModelReady").is_some_and(|condition| condition.status == "True")
    })?;
    let text = |field: &str| model["metadata"][field].as_str().unwrap_or_default();
    Some(format!("the control plane (Model {}/{} is Ready)", text("namespace"), text("name")))
}

/// A 404 for a path that no route of a mesh can match.
pub(super) fn no_such_route(snapshot: &Snapshot) -> Option<Diagnosis> {
    snapshot.sightings.iter().find_map(|sighting| {
        let Look::Get { path } = &sighting.look else { return None };
        let foreign_path = !path.starts_with("/v2") && !path.starts_with("/inference.GRPCInferenceService");
        (sighting.answer.status == Some(404) && foreign_path).then(|| Diagnosis {
            cause: Cause::NoSuchRoute { path: path.clone() },
            named: NamedCause {
                kind: "no-such-route".into(),
                sentence: format!("no route of the mesh matches {path}: its routes begin with /v2 and carry the model in a header"),
                certainty: Certainty::Certain,
                evidence: vec![format!("GET {path}: {}", sighting.answer.text)],
                ruled_out: ready_model(snapshot).into_iter().collect(),
                owner: "whoever sends the request".into(),
                fix: "POST /v2/models/<model>/infer with the header seldon-model: <model>".into(),
            },
        })
    })
}
