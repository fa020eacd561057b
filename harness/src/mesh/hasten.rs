//! Pace for probes on clusters whose kubelet is not ours: their delays and periods shrink in the manifests.

use std::time::Duration;

use pace::Pace;
use serde_json::{Value, json};

/// Probes that say when a container begins to be of use. Those that end one stay as they are.
const HASTENED: [&str; 2] = ["readinessProbe", "startupProbe"];
/// What the kubelet takes when a probe does not say.
const DEFAULT_PERIOD: u64 = 10;
const DEFAULT_FAILURES: u64 = 3;

/// Shrinks delays and periods of probes anywhere in `object`; a start may take as long as before.
pub(super) fn hasten(object: &mut Value, pace: Pace) {
    match object {
        Value::Object(fields) => {
            for (name, value) in fields {
                if HASTENED.contains(&name.as_str()) && value.is_object() {
                    hasten_probe(value, name == "startupProbe", pace);
                } else {
                    hasten(value, pace);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| hasten(value, pace)),
        _ => {}
    }
}

fn hasten_probe(probe: &mut Value, is_startup: bool, pace: Pace) {
    let period = probe["periodSeconds"].as_u64().unwrap_or(DEFAULT_PERIOD);
    let failures = probe["failureThreshold"].as_u64().unwrap_or(DEFAULT_FAILURES);
    let shorter = seconds(period, pace).max(1);
    probe["periodSeconds"] = json!(shorter);
    if let Some(delay) = probe["initialDelaySeconds"].as_u64() {
        probe["initialDelaySeconds"] = json!(seconds(delay, pace));
    }
    if is_startup {
        probe["failureThreshold"] = json!((period * failures).div_ceil(shorter));
    }
}

/// Whole seconds, as the API wants them, rounded to the nearest.
fn seconds(real: u64, pace: Pace) -> u64 {
    pace.wait(Duration::from_secs(real)).as_secs_f64().round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::readiness(
        json!({"readinessProbe": {"initialDelaySeconds": 10, "periodSeconds": 5, "failureThreshold": 1}}),
        json!({"readinessProbe": {"initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 1}})
    )]
    #[case::a_start_may_take_as_long(
        json!({"startupProbe": {"periodSeconds": 15, "failureThreshold": 60}}),
        json!({"startupProbe": {"periodSeconds": 1, "failureThreshold": 900}})
    )]
    #[case::defaults(json!({"startupProbe": {}}), json!({"startupProbe": {"periodSeconds": 1, "failureThreshold": 30}}))]
    #[case::what_ends_a_container(json!({"livenessProbe": {"periodSeconds": 5}}), json!({"livenessProbe": {"periodSeconds": 5}}))]
    fn probes(#[case] mut container: Value, #[case] expected: Value) {
        hasten(&mut container, Pace::FAST);
        assert_eq!(container, expected);
    }

    #[test]
    fn probes_are_found_wherever_they_are_and_the_real_pace_changes_nothing() {
        let object = json!({"spec": {"podSpec": {"containers": [{"readinessProbe": {"periodSeconds": 5}}]}}});
        let mut fast = object.clone();
        hasten(&mut fast, Pace::FAST);
        assert_eq!(fast["spec"]["podSpec"]["containers"][0]["readinessProbe"]["periodSeconds"], 1);
        let mut real = object.clone();
        hasten(&mut real, Pace::REAL);
        assert_eq!(real, object);
    }
}
