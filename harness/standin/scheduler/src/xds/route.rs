//! Routes in Envoy's words.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::route::v3 as rds;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use envoy_types::pb::envoy::r#type::v3 as kinds;
use envoy_types::pb::google::protobuf::{Duration, UInt32Value};
use rds::header_matcher::HeaderMatchSpecifier;
use rds::route_action::{ClusterSpecifier, RequestMirrorPolicy};

use super::cluster::{MIRROR_GRPC, MIRROR_HTTP, PIPELINE_GATEWAY_GRPC, PIPELINE_GATEWAY_HTTP};
use super::{Resource, Resources};
use crate::routes::{PipelineRoute, PipelineSplit, Protocol, Route, Split};

/// Route configuration of the listener clients come to.
pub(crate) const SERVICE_ROUTES: &str = "listener_0";
/// Route configuration of the listener mirrored requests come back to.
pub(crate) const MIRROR_ROUTES: &str = "listener_1";
/// Header by which a request or an answer asks to be written down.
pub(crate) const LOGGING_HEADER: &str = "Seldon-Logging";

const MODEL_HEADER: &str = "seldon-model";
const INTERNAL_MODEL_HEADER: &str = "seldon-internal-model";
const ROUTE_HEADER: &str = "x-seldon-route";
const PROTOCOLS: [Protocol; 2] = [Protocol::Http, Protocol::Grpc];

/// Something a request can be sent to: a version of a model, or a pipeline.
struct Target {
    cluster: String,
    /// Value of `seldon-internal-model`.
    name: String,
    /// Value of `seldon-model` on a pinned request; pipelines keep what the client sent.
    model: Option<String>,
    weight: u32,
    /// Whether a client's own `seldon-internal-model` is taken off first.
    strip: bool,
}

impl Target {
    fn model(split: &Split, protocol: Protocol) -> Target {
        Target {
            cluster: split.cluster(protocol),
            name: split.internal_name.clone(),
            model: Some(split.model.clone()),
            weight: split.weight,
            strip: true,
        }
    }

    fn pipeline(split: &PipelineSplit, protocol: Protocol) -> Target {
        let cluster = match protocol {
            Protocol::Http => PIPELINE_GATEWAY_HTTP,
            Protocol::Grpc => PIPELINE_GATEWAY_GRPC,
        };
        Target {
            cluster: cluster.to_owned(),
            name: format!("{}.pipeline", split.pipeline),
            model: None,
            weight: split.weight,
            strip: false,
        }
    }

    /// What the answer's `x-seldon-route` says.
    fn mark(&self) -> String {
        format!(":{}:", self.name)
    }
}

/// Both route configurations.
pub(crate) fn resources(
    routes: &BTreeMap<String, Route>,
    pipelines: &BTreeMap<String, PipelineRoute>,
) -> Resources {
    let (mut service, mut mirrors) = (Vec::new(), Vec::new());
    for (name, route) in routes {
        model_routes(name, route, &mut service, &mut mirrors);
    }
    for (name, route) in pipelines {
        pipeline_routes(name, route, &mut service, &mut mirrors);
    }
    let configurations = [
        configuration(SERVICE_ROUTES, "seldon_service", service),
        configuration(MIRROR_ROUTES, "seldon_mirror", mirrors),
    ];
    configurations.iter().map(|routes| (routes.name.clone(), Resource::of(routes))).collect()
}

fn configuration(name: &str, host: &str, routes: Vec<rds::Route>) -> rds::RouteConfiguration {
    let host = rds::VirtualHost {
        name: host.to_owned(),
        domains: vec!["*".to_owned()],
        routes,
        ..rds::VirtualHost::default()
    };
    rds::RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts: vec![host],
        ..rds::RouteConfiguration::default()
    }
}

fn model_routes(name: &str, route: &Route, service: &mut Vec<rds::Route>, mirrors: &mut Vec<rds::Route>) {
    if route.splits.len() > 1 {
        for split in &route.splits {
            for protocol in PROTOCOLS {
                let mut pinned = pinned(name, &Target::model(split, protocol), protocol, Header::ModelFirst);
                if route.log_payloads {
                    // Seldon puts the request's headers on the answer too, a slip that clients can see.
                    pinned.response_headers_to_add = pinned.request_headers_to_add.clone();
                    pinned.response_headers_to_add.push(header(LOGGING_HEADER, "true"));
                }
                service.push(pinned);
            }
        }
    }
    let logged = |mut made: rds::Route| {
        if route.log_payloads {
            made.response_headers_to_add = vec![header(LOGGING_HEADER, "true")];
        }
        made
    };
    for protocol in PROTOCOLS {
        let targets: Vec<Target> = route.splits.iter().map(|split| Target::model(split, protocol)).collect();
        let percent = route.mirror.as_ref().map(|mirror| mirror.weight);
        service.push(logged(weighted(name, &suffix("", protocol, ""), &targets, percent, protocol)));
        if let Some(mirror) = &route.mirror {
            let target = [Target::model(mirror, protocol)];
            mirrors.push(logged(weighted(name, &suffix("", protocol, "_mirror"), &target, None, protocol)));
        }
    }
}

fn pipeline_routes(
    name: &str,
    route: &PipelineRoute,
    service: &mut Vec<rds::Route>,
    mirrors: &mut Vec<rds::Route>,
) {
    if route.splits.len() > 1 {
        for split in &route.splits {
            for protocol in PROTOCOLS {
                service.push(pinned(name, &Target::pipeline(split, protocol), protocol, Header::RouteFirst));
            }
        }
    }
    for protocol in PROTOCOLS {
        let targets: Vec<Target> =
            route.splits.iter().map(|split| Target::pipeline(split, protocol)).collect();
        let percent = route.mirror.as_ref().map(|mirror| mirror.weight);
        service.push(weighted(name, &suffix("_pipeline", protocol, ""), &targets, percent, protocol));
        if let Some(mirror) = &route.mirror {
            let target = [Target::pipeline(mirror, protocol)];
            mirrors.push(weighted(name, &suffix("_pipeline", protocol, "_mirror"), &target, None, protocol));
        }
    }
}

fn suffix(kind: &str, protocol: Protocol, mirror: &str) -> String {
    match protocol {
        Protocol::Http => format!("{kind}_http{mirror}"),
        Protocol::Grpc => format!("{kind}_grpc{mirror}"),
    }
}

fn header(name: &str, value: &str) -> core::HeaderValueOption {
    core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: name.to_owned(),
            value: value.to_owned(),
            ..core::HeaderValue::default()
        }),
        ..core::HeaderValueOption::default()
    }
}

fn matches(name: &str, specifier: HeaderMatchSpecifier) -> rds::HeaderMatcher {
    rds::HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(specifier),
        ..rds::HeaderMatcher::default()
    }
}

fn matches_text(name: &str, pattern: matcher::string_matcher::MatchPattern) -> rds::HeaderMatcher {
    let matcher =
        matcher::StringMatcher { match_pattern: Some(pattern), ..matcher::StringMatcher::default() };
    matches(name, HeaderMatchSpecifier::StringMatch(matcher))
}

fn is_for(route: &str) -> rds::HeaderMatcher {
    matches_text(MODEL_HEADER, matcher::string_matcher::MatchPattern::Exact(route.to_owned()))
}

fn path(protocol: Protocol, headers: Vec<rds::HeaderMatcher>) -> rds::RouteMatch {
    let prefix = match protocol {
        Protocol::Http => "/v2",
        Protocol::Grpc => "/inference.GRPCInferenceService",
    };
    rds::RouteMatch {
        path_specifier: Some(rds::route_match::PathSpecifier::Prefix(prefix.to_owned())),
        headers,
        ..rds::RouteMatch::default()
    }
}

/// Inference may take as long as it takes: no route has a time-out.
fn no_timeout() -> Option<Duration> {
    Some(Duration { seconds: 0, nanos: 0 })
}

/// Which of the two matched headers stands first; without effect, but so Seldon writes it.
#[derive(Clone, Copy)]
enum Header {
    ModelFirst,
    RouteFirst,
}

/// The route of a client that echoes `x-seldon-route`: it stays with the target it had.
fn pinned(name: &str, target: &Target, protocol: Protocol, first: Header) -> rds::Route {
    let mark = matches_text(ROUTE_HEADER, matcher::string_matcher::MatchPattern::Contains(target.mark()));
    let headers = match first {
        Header::ModelFirst => vec![is_for(name), mark],
        Header::RouteFirst => vec![mark, is_for(name)],
    };
    let action = rds::RouteAction {
        timeout: no_timeout(),
        cluster_specifier: Some(ClusterSpecifier::Cluster(target.cluster.clone())),
        ..rds::RouteAction::default()
    };
    let mut request_headers = vec![header(INTERNAL_MODEL_HEADER, &target.name)];
    request_headers.extend(target.model.as_ref().map(|model| header(MODEL_HEADER, model)));
    rds::Route {
        name: format!("{name}{}", suffix("", protocol, "_experiment")),
        r#match: Some(path(protocol, headers)),
        request_headers_to_add: request_headers,
        response_headers_to_add: vec![header(ROUTE_HEADER, &target.mark())],
        action: Some(rds::route::Action::Route(action)),
        ..rds::Route::default()
    }
}

/// The route of a client that echoes nothing: by weight.
fn weighted(
    name: &str,
    suffix: &str,
    targets: &[Target],
    mirror_percent: Option<u32>,
    protocol: Protocol,
) -> rds::Route {
    let cluster = |target: &Target| rds::weighted_cluster::ClusterWeight {
        name: target.cluster.clone(),
        weight: Some(UInt32Value { value: target.weight }),
        request_headers_to_remove: if target.strip {
            vec![INTERNAL_MODEL_HEADER.to_owned()]
        } else {
            Vec::new()
        },
        request_headers_to_add: vec![header(INTERNAL_MODEL_HEADER, &target.name)],
        response_headers_to_add: vec![header(ROUTE_HEADER, &target.mark())],
        ..rds::weighted_cluster::ClusterWeight::default()
    };
    let clusters = rds::WeightedCluster {
        clusters: targets.iter().map(cluster).collect(),
        ..rds::WeightedCluster::default()
    };
    let action = rds::RouteAction {
        timeout: no_timeout(),
        cluster_specifier: Some(ClusterSpecifier::WeightedClusters(clusters)),
        request_mirror_policies: mirror_percent
            .map(|percent| mirror_policy(percent, protocol))
            .into_iter()
            .collect(),
        ..rds::RouteAction::default()
    };
    let headers = vec![is_for(name), matches(ROUTE_HEADER, HeaderMatchSpecifier::PresentMatch(false))];
    rds::Route {
        name: format!("{name}{suffix}"),
        r#match: Some(path(protocol, headers)),
        action: Some(rds::route::Action::Route(action)),
        ..rds::Route::default()
    }
}

fn mirror_policy(percent: u32, protocol: Protocol) -> RequestMirrorPolicy {
    let cluster = match protocol {
        Protocol::Http => MIRROR_HTTP,
        Protocol::Grpc => MIRROR_GRPC,
    };
    let fraction = kinds::FractionalPercent {
        numerator: percent,
        denominator: kinds::fractional_percent::DenominatorType::Hundred.into(),
    };
    RequestMirrorPolicy {
        cluster: cluster.to_owned(),
        runtime_fraction: Some(core::RuntimeFractionalPercent {
            default_value: Some(fraction),
            ..core::RuntimeFractionalPercent::default()
        }),
        ..RequestMirrorPolicy::default()
    }
}
