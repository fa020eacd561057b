//! The catalogue: one registry for the test target, the command line and the README.

use futures::FutureExt;
use harness::Topology;
use harness::ground::Need;
use harness::run::{Body, OnLent};

use crate::{dns, names, node, policy, scheduling, serving};

/// One scenario, before it is multiplied by networks and layouts.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// The file it stands in.
    pub family: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What holds when it passes.
    pub claim: &'static str,
    /// Escalations it re-enacts.
    pub seeds: &'static [&'static str],
    /// What it needs that not every cluster has.
    pub needs: &'static [Need],
    /// What of it can be shown on a mesh that somebody lends.
    pub on_lent: Option<OnLent>,
    /// Layouts it is run on.
    pub topologies: &'static [Topology],
    /// Its body.
    pub body: Body,
}

const CLUSTER_WIDE: &[Topology] = &[Topology::ClusterWide];
const PER_NAMESPACE: &[Topology] = &[Topology::PerNamespace];

/// Every scenario, in reading order.
pub const CATALOGUE: &[Scenario] = &[
    Scenario {
        family: "serving",
        name: "a ready model answers 200",
        claim: "a Model that is Ready answers 200 over HTTP and gRPC, five times in a row",
        seeds: &["000", "001", "002", "003", "004"],
        needs: &[],
        on_lent: None,
        topologies: &Topology::ALL,
        body: |world| serving::ready_model_answers(world).boxed_local(),
    },
    Scenario {
        family: "policy",
        name: "the controller is cut off from the scheduler",
        claim: "a policy on port 9004 shows on the Model in the network's words, and admitting one namespace heals it",
        seeds: &["002"],
        needs: &[Need::PolicyEngine],
        on_lent: None,
        topologies: CLUSTER_WIDE,
        body: |world| policy::controller_cut_off(world).boxed_local(),
    },
    Scenario {
        family: "policy",
        name: "an open connection outlives a policy",
        claim: "a policy on port 9004 changes nothing until the controller restarts",
        seeds: &["002"],
        needs: &[Need::PolicyEngine],
        on_lent: Some(OnLent {
            claim: "a policy on port 9004 is named while no Model feels it, and leaves no trace",
            body: |world| policy::policy_nobody_feels_yet(world).boxed_local(),
        }),
        topologies: CLUSTER_WIDE,
        body: |world| policy::live_connection_outlives_policy(world).boxed_local(),
    },
    Scenario {
        family: "policy",
        name: "DNS allowed to a label that matches nothing",
        claim: "an egress rule keyed on name=kube-system denies DNS; the right selector or the label heals it",
        seeds: &["004"],
        needs: &[Need::PolicyEngine, Need::LabelOfKubeSystem],
        on_lent: None,
        topologies: CLUSTER_WIDE,
        body: |world| policy::dns_to_a_label_nobody_has(world).boxed_local(),
    },
    Scenario {
        family: "dns",
        name: "a hijacking upstream misleads nslookup only",
        claim: "with every unknown name hijacked the mesh serves; only a dial before the Service exists goes astray, once",
        seeds: &["000"],
        needs: &[Need::UpstreamNameServer],
        on_lent: None,
        topologies: CLUSTER_WIDE,
        body: |world| dns::hijacking_upstream_misleads_nslookup(world).boxed_local(),
    },
    Scenario {
        family: "scheduling",
        name: "requirements no server offers",
        claim: "unmet requirements are ScheduleFailed; no policy and no variable changes that, the right requirements do",
        seeds: &["001"],
        needs: &[],
        on_lent: Some(OnLent {
            claim: "unmet requirements are ScheduleFailed and named, and no other Model feels them",
            body: |world| scheduling::unmet_requirements_beside_others(world).boxed_local(),
        }),
        topologies: CLUSTER_WIDE,
        body: |world| scheduling::requirements_no_server_offers(world).boxed_local(),
    },
    Scenario {
        family: "names",
        name: "the scheduler answers to one name only",
        claim: "a scheduler behind another Service name is found through an alias and through nothing else",
        seeds: &["003"],
        needs: &[],
        on_lent: None,
        topologies: PER_NAMESPACE,
        body: |world| names::scheduler_under_another_name(world).boxed_local(),
    },
    Scenario {
        family: "names",
        name: "a deleted runtime leaves a line in the log",
        claim: "\"the client connection is closing\" comes from a deleted SeldonRuntime and harms nothing",
        seeds: &["003"],
        needs: &[],
        on_lent: None,
        topologies: PER_NAMESPACE,
        body: |world| names::runtime_deleted_and_made_again(world).boxed_local(),
    },
    Scenario {
        family: "node",
        name: "a killed scheduler comes back",
        claim: "requests are answered while a scheduler is killed and started again, and then new Models are loaded",
        seeds: &[],
        needs: &[Need::NodeLever],
        on_lent: None,
        topologies: CLUSTER_WIDE,
        body: |world| node::killed_scheduler_comes_back(world).boxed_local(),
    },
    Scenario {
        family: "node",
        name: "envoy loses its link",
        claim: "requests are refused while Envoy's pod has no link, Models stay Ready, and all of it heals by itself",
        seeds: &[],
        needs: &[Need::NodeLever],
        on_lent: None,
        topologies: CLUSTER_WIDE,
        body: |world| node::envoy_loses_its_link(world).boxed_local(),
    },
    Scenario {
        family: "node",
        name: "a firewall of the node's own",
        claim: "a rule on the node that drops port 9004 is told from a policy: packets come to the node and go no further",
        seeds: &[],
        needs: &[Need::NodeLever],
        on_lent: None,
        topologies: CLUSTER_WIDE,
        body: |world| node::firewall_cuts_controller_off(world).boxed_local(),
    },
    Scenario {
        family: "node",
        name: "a forgotten connection meets a policy",
        claim: "once the node forgets the connection that outlived a policy on port 9004, new Models are not heard of",
        seeds: &["002"],
        needs: &[Need::PolicyEngine, Need::NodeLever],
        on_lent: None,
        topologies: CLUSTER_WIDE,
        body: |world| node::forgotten_connection_meets_a_policy(world).boxed_local(),
    },
];
