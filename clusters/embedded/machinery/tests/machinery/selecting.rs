use embedded_machinery::Gvk;
use embedded_machinery::quantity::Quantity;
use embedded_machinery::selector::{Fields, Labels};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

#[rstest]
#[case::empty("", true)]
#[case::equal("app=web", true)]
#[case::double_equal("app==web", true)]
#[case::not_equal("app!=web", false)]
#[case::not_equal_absent("other!=web", true)]
#[case::listed("tier in (back, front)", true)]
#[case::not_listed("tier notin (back)", true)]
#[case::present("app", true)]
#[case::absent("!app", false)]
#[case::both("app=web,tier=back", false)]
#[case::greater("rank>2", true)]
#[case::less("rank<3", false)]
#[case::key_called_in("in=x", false)]
#[case::empty_value("tier=", false)]
fn label_selectors_select(#[case] text: &str, #[case] selected: bool) {
    let labels = json!({"app": "web", "tier": "front", "rank": "3"});
    assert_eq!(Labels::parse(text).unwrap().matches(&labels), selected);
}

#[rstest]
#[case("app=web=x", "found '=', expected: ',' or 'end of string'")]
#[case(",app", "found ',', expected: !, identifier, or 'end of string'")]
#[case("app,", "found '', expected: identifier after ','")]
#[case("app in x", "unable to parse requirement: found 'x' expected: '('")]
#[case("app web", "unable to parse requirement: found 'web', expected: in, notin, =, ==, !=, gt, lt")]
#[case("!=x", "found '!=', expected: !, identifier, or 'end of string'")]
#[case(
    "a//b=c",
    "unable to parse requirement: <nil>: Invalid value: \"a//b\": a qualified name must consist of alphanumeric \
     characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
     '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS \
     subdomain prefix and '/' (e.g. 'example.com/MyName')"
)]
fn broken_label_selectors_are_refused_in_the_servers_words(#[case] text: &str, #[case] message: &str) {
    assert_eq!(Labels::parse(text).unwrap_err().to_string(), message);
}

#[rstest]
#[case::absent(json!(null), false)]
#[case::empty(json!({}), true)]
#[case::labels(json!({"matchLabels": {"app": "web"}}), true)]
#[case::expression(json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}), false)]
#[case::exists(json!({"matchExpressions": [{"key": "none", "operator": "DoesNotExist"}]}), true)]
fn label_selector_objects_select(#[case] selector: Value, #[case] selected: bool) {
    let object = json!({"metadata": {"labels": {"app": "web"}}});
    assert_eq!(Labels::from_label_selector(&selector).unwrap().matches_object(&object), selected);
}

#[rstest]
#[case::name("Pod", "metadata.name=a", true)]
#[case::node("Pod", "spec.nodeName=one,status.phase!=Failed", true)]
#[case::absent_is_empty("Pod", "status.nominatedNodeName=", true)]
#[case::flag("Pod", "spec.hostNetwork=false", true)]
#[case::wrong("Pod", "status.phase=Failed", false)]
#[case::old_name("Pod", "spec.host=one", true)]
fn field_selectors_select(#[case] kind: &str, #[case] text: &str, #[case] selected: bool) {
    let object =
        json!({"metadata": {"name": "a"}, "spec": {"nodeName": "one"}, "status": {"phase": "Running"}});
    let fields = Fields::parse(text, &Gvk::new("", "v1", kind), &[]).unwrap();
    assert_eq!(fields.matches(&object), selected);
}

#[rstest]
#[case("", "Pod", "spec.color=red", "field label not supported: spec.color")]
#[case(
    "apps",
    "Deployment",
    "spec.replicas=1",
    "\"spec.replicas\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
)]
#[case("", "Pod", "metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'")]
fn unknown_fields_are_refused(
    #[case] group: &str,
    #[case] kind: &str,
    #[case] text: &str,
    #[case] message: &str,
) {
    let refused = Fields::parse(text, &Gvk::new(group, "v1", kind), &[]).unwrap_err();
    assert_eq!(refused.to_string(), message);
}

#[rstest]
#[case("1", "1000m")]
#[case("1Ki", "1024")]
#[case("1.5Gi", "1610612736")]
#[case("2e3", "2k")]
#[case("0.1", "100m")]
#[case("1E", "1000P")]
fn quantities_of_one_amount_are_equal(#[case] left: Quantity, #[case] right: Quantity) {
    assert_eq!(left, right);
}

#[rstest]
#[case("")]
#[case("x")]
#[case("1x")]
#[case("1.2.3")]
#[case("99999999999999999999999999999999999999999")]
fn what_is_no_quantity_is_refused(#[case] text: &str) {
    assert!(text.parse::<Quantity>().is_err());
}

prop_compose! {
    fn requirement()(
        key in "[a-z]([a-z0-9.-]{0,8}[a-z0-9])?",
        values in prop::collection::btree_set("[a-z0-9]{1,5}", 1..4),
        operator in 0..6_usize,
    ) -> String {
        let first = values.iter().next().cloned().unwrap_or_default();
        let all = values.into_iter().collect::<Vec<_>>().join(",");
        [
            format!("{key}={first}"),
            format!("{key}!={first}"),
            format!("{key} in ({all})"),
            format!("{key} notin ({all})"),
            key.clone(),
            format!("!{key}"),
        ][operator].clone()
    }
}

proptest! {
    #[test]
    fn a_selector_reads_its_own_text(requirements in prop::collection::vec(requirement(), 0..5)) {
        // Keys `in` and `notin` are words of the language.
        prop_assume!(!requirements.iter().any(|text| text.starts_with("in ") || text.starts_with("notin ")));
        let selector = Labels::parse(&requirements.join(",")).unwrap();
        prop_assert_eq!(Labels::parse(&selector.to_string()).unwrap(), selector);
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in ".{0,40}") {
        let _ = Labels::parse(&text);
        let _ = Fields::parse(&text, &Gvk::new("", "v1", "Pod"), &[]);
        let _ = text.parse::<Quantity>();
    }

    #[test]
    fn quantities_order_as_their_amounts(left in 0_u32..100_000, right in 0_u32..100_000) {
        let parse = |number: u32| format!("{number}m").parse::<Quantity>().unwrap();
        prop_assert_eq!(parse(left).cmp(&parse(right)), left.cmp(&right));
        prop_assert_eq!(parse(left).plus(&parse(right)).milli_value(), i128::from(left + right));
    }
}

#[rstest]
#[case("1000m", "1")]
#[case("0.5", "500m")]
#[case("1000", "1k")]
#[case("1024Mi", "1Gi")]
#[case("1.5Gi", "1536Mi")]
#[case("512Ki", "512Ki")]
#[case("2e3", "2e3")]
#[case("100Mi", "100Mi")]
#[case("-5", "-5")]
#[case("0Gi", "0")]
fn quantities_are_shown_in_their_canonical_form(#[case] text: Quantity, #[case] shown: &str) {
    assert_eq!(text.to_string(), shown);
}
