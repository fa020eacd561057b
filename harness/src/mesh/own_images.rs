//! Which images pods run from on clusters where others decide what a name stands for.
//!
//! Stand-ins run under names of our own there, and what is called so is never pulled, unless from the one registry where
//! it was put: another that knows such a name gets no say, and where nodes have real Seldon's images it is not taken for a
//! stand-in, nor run instead of one.

use clusters::RegistryPlace;
use serde_json::Value;

use crate::images;

/// Where nodes have our images from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OwnImages {
    /// They were imported on every node.
    #[default]
    Imported,
    /// They were pushed there, and nodes may pull them.
    PulledFrom(RegistryPlace),
}

/// Whose programs are behind Seldon's names in a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// Stand-ins'.
    StandIns,
    /// Seldon's own, which are pulled.
    Seldons,
}

/// Lets the containers anywhere in `object` run from our own images.
pub(super) fn name(object: &mut Value, behind: Behind, from: &OwnImages) {
    match object {
        Value::Object(fields) => {
            if let Some(Value::String(image)) = fields.get_mut("image") {
                if let (Behind::StandIns, Some(own)) = (behind, images::own_name(image)) {
                    *image = own;
                }
                if images::is_own(image) {
                    let policy = match from {
                        OwnImages::Imported => "Never",
                        OwnImages::PulledFrom(registry) => {
                            *image = registry.name_of(image);
                            // Its name stays when it is built anew; what a node has of it is not fetched again.
                            "Always"
                        }
                    };
                    fields.insert("imagePullPolicy".into(), policy.into());
                }
            }
            fields.values_mut().for_each(|value| name(value, behind, from));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| name(value, behind, from)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    const SCHEDULER: &str = "docker.io/seldonio/seldon-scheduler:2.9.1";

    #[rstest]
    #[case::stand_in(SCHEDULER, Behind::StandIns, json!({"image": "seldon-conformance/seldon-scheduler:2.9.1", "imagePullPolicy": "Never"}))]
    #[case::seldons_own(SCHEDULER, Behind::Seldons, json!({"image": SCHEDULER, "imagePullPolicy": "IfNotPresent"}))]
    #[case::toolbox_beside_it(images::TOOLBOX, Behind::Seldons, json!({"image": images::TOOLBOX, "imagePullPolicy": "Never"}))]
    #[case::of_somebody("docker.io/kafka:1", Behind::StandIns, json!({"image": "docker.io/kafka:1", "imagePullPolicy": "IfNotPresent"}))]
    fn what_runs(#[case] image: &str, #[case] behind: Behind, #[case] expected: Value) {
        let container = json!({"image": image, "imagePullPolicy": "IfNotPresent"});
        let mut object = json!({"spec": {"podSpec": {"initContainers": [container]}}});
        name(&mut object, behind, &OwnImages::Imported);
        assert_eq!(object["spec"]["podSpec"]["initContainers"][0], expected);
    }

    #[test]
    fn ours_are_pulled_from_where_they_were_pushed_and_others_from_where_they_are() {
        let from = OwnImages::PulledFrom("r.example.com/team".parse().unwrap());
        let mut pod = json!([{"image": SCHEDULER}, {"image": "docker.io/kafka:1"}]);
        name(&mut pod, Behind::StandIns, &from);
        let expected = json!([
            {"image": "r.example.com/team/seldon-conformance/seldon-scheduler:2.9.1", "imagePullPolicy": "Always"},
            {"image": "docker.io/kafka:1"},
        ]);
        assert_eq!(pod, expected);
    }
}
