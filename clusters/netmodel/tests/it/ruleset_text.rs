//! The compiled scripts, for people to read.

use crate::views;

use netmodel::{Profile, compile};
use rstest::rstest;

const POLICIES: [&str; 3] = [
    "{podSelector: {}, policyTypes: [Ingress]}",
    "{podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress, Egress], \
      ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: http}]}], \
      egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.42.0.5/32]}}], \
                ports: [{protocol: UDP}, {port: 8000, endPort: 8100}]}]}",
    "{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{}]}",
];

#[rstest]
#[case::flannel(Profile::Flannel)]
#[case::calico(Profile::Calico)]
fn scripts(#[case] profile: Profile) {
    let script = compile(&views::view(&POLICIES), &profile);
    insta::assert_snapshot!(format!("script_{profile}"), script);
}

/// The same objects in another order make the same text.
#[rstest]
#[case::flannel(Profile::Flannel)]
#[case::calico(Profile::Calico)]
fn order_does_not_matter(#[case] profile: Profile) {
    let view = views::view(&POLICIES);
    let mut turned = view.clone();
    turned.pods.reverse();
    turned.policies.reverse();
    turned.services.reverse();
    turned.endpoint_slices.reverse();
    turned.namespaces.reverse();
    assert_eq!(compile(&view, &profile), compile(&turned, &profile));
}

#[test]
fn removal_names_both_tables() {
    insta::assert_snapshot!(netmodel::ruleset::removal(), @r"
    table ip cluster-policy
    delete table ip cluster-policy
    table ip cluster-services
    delete table ip cluster-services
    ");
}
