//! The kernel and `nft` take every compiled script, again and again.

use crate::namespace;
use crate::views;

use std::process::Command;

use netmodel::{ClusterView, Profile, compile, ruleset};

const POLICIES: [&str; 4] = [
    "{podSelector: {}, policyTypes: [Ingress]}",
    "{podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress, Egress], \
      ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: http}]}, \
                {ports: [{protocol: SCTP, port: 7}]}], \
      egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.42.0.5/32]}}], \
                ports: [{protocol: UDP}, {port: 8000, endPort: 8100}]}]}",
    "{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{}]}",
    "{podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], \
      egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}, \
               {to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.42.0.0/16]}}]}]}",
];

fn full() -> ClusterView {
    let mut view = views::view(&POLICIES);
    let long = "x".repeat(253);
    view.pods[0].metadata.name = Some(long.clone());
    view.policies[0].metadata.name = Some(long);
    let second = view.endpoint_slices[0].endpoints[0].clone();
    view.endpoint_slices[0].endpoints.push(second);
    view.endpoint_slices[0].endpoints[1].addresses = vec!["10.42.0.8".to_owned()];
    view
}

fn nothing() -> ClusterView {
    let mut view = views::view(&[]);
    view.pods.clear();
    view.services.clear();
    view.endpoint_slices.clear();
    view.namespaces.clear();
    view
}

#[test]
fn every_script_loads_and_replaces_itself() {
    namespace::run("kernel_load::every_script_loads_and_replaces_itself", || {
        for profile in Profile::ALL {
            for view in [full(), nothing(), views::view(&POLICIES)] {
                let script = compile(&view, &profile);
                namespace::nft(&["-c", "-f", "-"], &script);
                namespace::nft(&["-f", "-"], &script);
                let once = namespace::nft(&["list", "ruleset"], "");
                namespace::nft(&["-f", "-"], &script);
                assert_eq!(namespace::nft(&["list", "ruleset"], ""), once, "loading twice adds nothing");
            }
        }
        namespace::nft(&["-f", "-"], &ruleset::removal());
        namespace::nft(&["-f", "-"], &ruleset::removal());
        assert_eq!(namespace::nft(&["list", "ruleset"], ""), "", "removal leaves nothing");
    });
}

/// A script that fails half-way changes nothing.
#[test]
fn a_broken_script_changes_nothing() {
    namespace::run("kernel_load::a_broken_script_changes_nothing", || {
        let script = compile(&full(), &Profile::Flannel);
        namespace::nft(&["-f", "-"], &script);
        let before = namespace::nft(&["list", "ruleset"], "");
        let broken = compile(&nothing(), &Profile::Flannel) + "add rule ip nowhere x accept\n";
        let mut command = Command::new("nft");
        let output = namespace::feed(command.args(["-f", "-"]), &broken);
        assert!(!output.status.success());
        assert_eq!(namespace::nft(&["list", "ruleset"], ""), before);
    });
}

/// An ordinary user cannot enlarge the netlink socket's buffer: a crowded node has to fit.
#[test]
fn a_crowded_node_fits_into_one_transaction() {
    namespace::run("kernel_load::a_crowded_node_fits_into_one_transaction", || {
        let specs: Vec<String> = (0..20)
            .map(|index| {
                format!(
                    "{{podSelector: {{}}, policyTypes: [Ingress, Egress], \
                      ingress: [{{from: [{{podSelector: {{}}}}], ports: [{{port: {}}}]}}], \
                      egress: [{{to: [{{namespaceSelector: {{}}}}]}}]}}",
                    1000 + index
                )
            })
            .collect();
        let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
        let mut view = views::view(&specs);
        let pod = view.pods[0].clone();
        for index in 0..90 {
            let mut next = pod.clone();
            next.metadata.name = Some(format!("crowd-{index}"));
            next.status.as_mut().expect("a status").pod_ip = Some(format!("10.42.0.{}", 20 + index));
            view.pods.push(next);
        }
        for profile in Profile::ALL {
            namespace::nft(&["-f", "-"], &compile(&view, &profile));
        }
    });
}
