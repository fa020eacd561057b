//! Label selectors.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// Labels as objects carry them.
pub(crate) type Labels = BTreeMap<String, String>;

/// Whether `selector` picks an object with these labels. The empty selector picks everything; an
/// unknown operator picks nothing (the API server refuses it beforehand).
pub(crate) fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = |(key, value): (&String, &String)| labels.get(key) == Some(value);
    selector.match_labels.iter().flatten().all(equal)
        && selector.match_expressions.iter().flatten().all(|wanted| holds(wanted, labels))
}

fn holds(wanted: &LabelSelectorRequirement, labels: &Labels) -> bool {
    let value = labels.get(&wanted.key);
    let listed = |value: &String| wanted.values.iter().flatten().any(|one| one == value);
    match wanted.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::empty("{}", true)]
    #[case::label("{matchLabels: {app: a}}", true)]
    #[case::other_value("{matchLabels: {app: b}}", false)]
    #[case::absent("{matchLabels: {tier: a}}", false)]
    #[case::is_in("{matchExpressions: [{key: app, operator: In, values: [a, b]}]}", true)]
    #[case::not_in("{matchExpressions: [{key: app, operator: NotIn, values: [a]}]}", false)]
    #[case::not_in_absent("{matchExpressions: [{key: tier, operator: NotIn, values: [a]}]}", true)]
    #[case::exists("{matchExpressions: [{key: tier, operator: Exists}]}", false)]
    #[case::does_not_exist("{matchExpressions: [{key: tier, operator: DoesNotExist}]}", true)]
    #[case::both("{matchLabels: {app: a}, matchExpressions: [{key: app, operator: DoesNotExist}]}", false)]
    fn picks(#[case] selector: &str, #[case] expected: bool) {
        let selector: LabelSelector = serde_saphyr::from_str(selector).unwrap();
        let labels = Labels::from([("app".to_owned(), "a".to_owned())]);
        assert_eq!(matches(&selector, &labels), expected);
    }
}
