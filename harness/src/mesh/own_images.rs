//! Which images pods run from on clusters where others decide what a name stands for.
//!
//! Stand-ins run under names of our own there, and what is called so is never pulled: a registry that knows such a name
//! gets no say, and where nodes have real Seldon's images it is not taken for a stand-in, nor run instead of one.

use serde_json::Value;

use crate::images;

/// Whose programs are behind Seldon's names in a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// Stand-ins'.
    StandIns,
    /// Seldon's own, which are pulled.
    Seldons,
}

/// Lets the containers anywhere in `object` run from our own images.
pub(super) fn name(object: &mut Value, behind: Behind) {
    match object {
        Value::Object(fields) => {
            if let Some(Value::String(image)) = fields.get_mut("image") {
                if let (Behind::StandIns, Some(own)) = (behind, images::own_name(image)) {
                    *image = own;
                }
                if images::is_own(image) {
                    fields.insert("imagePullPolicy".into(), "Never".into());
                }
            }
            fields.values_mut().for_each(|value| name(value, behind));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| name(value, behind)),
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
        name(&mut object, behind);
        assert_eq!(object["spec"]["podSpec"]["initContainers"][0], expected);
    }
}
