//! One stream, step by step.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use proptest::prelude::*;

use super::*;
use crate::xds::Resource;

const RUNTIME: &str = "type.googleapis.com/envoy.service.runtime.v3.Runtime";

fn resources(items: &[(&str, &str)]) -> Resources {
    let resource = |version: &str| {
        let any = envoy_types::pb::google::protobuf::Any::default();
        Arc::new(Resource { version: version.to_owned(), any })
    };
    items.iter().map(|(name, version)| ((*name).to_owned(), resource(version))).collect()
}

fn published(clusters: &[(&str, &str)], routes: &[(&str, &str)]) -> Published {
    Published { clusters: resources(clusters), listeners: Resources::new(), routes: resources(routes) }
}

fn subscribe(kind: &str, names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        node: Some(Node { id: "test-id".to_owned(), ..Node::default() }),
        type_url: kind.to_owned(),
        resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn acknowledge(kind: &str) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: kind.to_owned(),
        response_nonce: "1".to_owned(),
        ..DeltaDiscoveryRequest::default()
    }
}

/// `Cluster +a +b -c`
fn brief(answers: &[Answer]) -> Vec<String> {
    let one = |answer: &Answer| {
        let kind = answer.message.type_url.rsplit('.').next().unwrap().to_owned();
        let added = answer.message.resources.iter().map(|resource| format!(" +{}", resource.name));
        let removed = answer.message.removed_resources.iter().map(|name| format!(" -{name}"));
        std::iter::once(kind).chain(added).chain(removed).collect::<String>()
    };
    answers.iter().map(one).collect()
}

#[test]
fn a_wildcard_gets_everything_then_only_changes() {
    let mut stream = Stream::new("test-id");
    stream.request(subscribe(CLUSTER, &[]));
    assert_eq!(brief(&stream.answers(&published(&[("a", "1"), ("b", "1")], &[]))), ["Cluster +a +b"]);
    assert!(stream.answers(&published(&[("a", "2")], &[])).is_empty(), "answered before it was acknowledged");
    stream.request(acknowledge(CLUSTER));
    assert_eq!(brief(&stream.answers(&published(&[("a", "2")], &[]))), ["Cluster +a -b"]);
    stream.request(acknowledge(CLUSTER));
    assert!(stream.answers(&published(&[("a", "2")], &[])).is_empty());
}

#[test]
fn who_has_everything_already_gets_an_empty_first_answer() {
    let mut stream = Stream::new("test-id");
    let mut request = subscribe(CLUSTER, &[]);
    request.initial_resource_versions.insert("a".to_owned(), "1".to_owned());
    stream.request(request);
    assert_eq!(brief(&stream.answers(&published(&[("a", "1")], &[]))), ["Cluster"]);
}

#[test]
fn names_nobody_publishes_are_never_answered() {
    let mut stream = Stream::new("test-id");
    stream.request(subscribe(RUNTIME, &["runtime-0"]));
    assert!(stream.answers(&published(&[("a", "1")], &[("listener_0", "1")])).is_empty());
}

#[test]
fn another_node_gets_no_routes() {
    let mut stream = Stream::new("test-id");
    let mut request = subscribe(ROUTE, &["listener_0"]);
    request.node = Some(Node { id: "other".to_owned(), ..Node::default() });
    stream.request(request);
    assert!(stream.answers(&published(&[], &[("listener_0", "1")])).is_empty());
}

#[test]
fn a_cluster_goes_only_after_the_routes_that_led_to_it() {
    let mut stream = Stream::new("test-id");
    stream.request(subscribe(CLUSTER, &[]));
    stream.request(subscribe(ROUTE, &["listener_0"]));
    let before = published(&[("old", "1")], &[("listener_0", "1")]);
    assert_eq!(brief(&stream.answers(&before)), ["Cluster +old", "RouteConfiguration +listener_0"]);
    stream.request(acknowledge(CLUSTER));
    let after = published(&[("new", "1")], &[("listener_0", "2")]);
    assert_eq!(brief(&stream.answers(&after)), ["Cluster +new"]);
    stream.request(acknowledge(CLUSTER));
    assert!(stream.answers(&after).is_empty(), "the old routes have not been acknowledged");
    stream.request(acknowledge(ROUTE));
    assert_eq!(brief(&stream.answers(&after)), ["RouteConfiguration +listener_0"]);
    assert!(stream.answers(&after).is_empty(), "the new routes have not been acknowledged");
    stream.request(acknowledge(ROUTE));
    assert_eq!(brief(&stream.answers(&after)), ["Cluster -old"]);
}

proptest! {
    /// Whatever is published meanwhile, an Envoy that acknowledges everything ends up with what is published last.
    #[test]
    fn envoy_ends_up_with_the_last_state(states in prop::collection::vec(
        prop::collection::btree_map("[a-d]", "[1-3]", 0..4), 1..8,
    )) {
        let mut stream = Stream::new("test-id");
        stream.request(subscribe(CLUSTER, &[]));
        let mut held = std::collections::BTreeMap::new();
        let mut take = |answers: Vec<Answer>, stream: &mut Stream| {
            for answer in answers {
                for resource in answer.message.resources {
                    held.insert(resource.name, resource.version);
                }
                for name in answer.message.removed_resources {
                    held.remove(&name);
                }
                stream.request(acknowledge(CLUSTER));
            }
        };
        for state in &states {
            let pairs: Vec<(&str, &str)> = state.iter().map(|(name, version)| (name.as_str(), version.as_str())).collect();
            let answers = stream.answers(&published(&pairs, &[]));
            take(answers, &mut stream);
        }
        let last = states.last().unwrap();
        prop_assert_eq!(&held, last);
    }
}
