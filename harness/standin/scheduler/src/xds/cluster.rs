//! Clusters in Envoy's words.

use std::collections::{BTreeSet, HashMap};
use std::time;

use envoy_types::pb::envoy::config::cluster::v3 as cds;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as http;
use envoy_types::pb::google::protobuf::Duration;

use super::{EnvoySettings, Resource, Resources, any};
use crate::routes::{Cluster, Protocol};

pub(crate) const PIPELINE_GATEWAY_HTTP: &str = "pipelinegateway_http";
pub(crate) const PIPELINE_GATEWAY_GRPC: &str = "pipelinegateway_grpc";
pub(crate) const MIRROR_HTTP: &str = "mirror_http";
pub(crate) const MIRROR_GRPC: &str = "mirror_grpc";

/// Where mirrored requests enter Envoy a second time.
pub(crate) const MIRROR_LISTENER: (&str, u32) = ("0.0.0.0", 9001);

pub(crate) fn address(host: &str, port: u32) -> core::Address {
    core::Address {
        address: Some(core::address::Address::SocketAddress(core::SocketAddress {
            address: host.to_owned(),
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port)),
            ..core::SocketAddress::default()
        })),
    }
}

/// The cluster of that name.
pub(crate) fn message(name: &str, cluster: &Cluster, refresh: Option<time::Duration>) -> cds::Cluster {
    strict_dns(name, &cluster.endpoints, cluster.protocol, refresh)
}

#[expect(
    deprecated,
    reason = "the successor of dns_refresh_rate is a cluster extension that Envoy 1.34 does not have"
)]
fn strict_dns(
    name: &str,
    endpoints: &BTreeSet<(String, u32)>,
    protocol: Protocol,
    refresh: Option<time::Duration>,
) -> cds::Cluster {
    let lb_endpoints = endpoints.iter().map(|(host, port)| endpoint::LbEndpoint {
        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(endpoint::Endpoint {
            address: Some(address(host, *port)),
            ..endpoint::Endpoint::default()
        })),
        ..endpoint::LbEndpoint::default()
    });
    let locality = endpoint::LocalityLbEndpoints {
        lb_endpoints: lb_endpoints.collect(),
        ..endpoint::LocalityLbEndpoints::default()
    };
    cds::Cluster {
        name: name.to_owned(),
        connect_timeout: Some(Duration { seconds: 5, nanos: 0 }),
        dns_refresh_rate: refresh.map(|every| Duration {
            seconds: i64::try_from(every.as_secs()).unwrap_or(i64::MAX),
            nanos: every.subsec_nanos().cast_signed(),
        }),
        lb_policy: cds::cluster::LbPolicy::LeastRequest.into(),
        dns_lookup_family: cds::cluster::DnsLookupFamily::V4Only.into(),
        cluster_discovery_type: Some(cds::cluster::ClusterDiscoveryType::Type(
            cds::cluster::DiscoveryType::StrictDns.into(),
        )),
        load_assignment: Some(endpoint::ClusterLoadAssignment {
            cluster_name: name.to_owned(),
            endpoints: vec![locality],
            ..endpoint::ClusterLoadAssignment::default()
        }),
        typed_extension_protocol_options: match protocol {
            Protocol::Http => HashMap::new(),
            Protocol::Grpc => http2_options(),
        },
        ..cds::Cluster::default()
    }
}

fn http2_options() -> HashMap<String, envoy_types::pb::google::protobuf::Any> {
    use http::http_protocol_options::explicit_http_config::ProtocolConfig;
    use http::http_protocol_options::{ExplicitHttpConfig, UpstreamProtocolOptions};
    let explicit = ExplicitHttpConfig {
        protocol_config: Some(ProtocolConfig::Http2ProtocolOptions(core::Http2ProtocolOptions::default())),
    };
    let options = http::HttpProtocolOptions {
        upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)),
        ..http::HttpProtocolOptions::default()
    };
    HashMap::from([("envoy.extensions.upstreams.http.v3.HttpProtocolOptions".to_owned(), any(&options))])
}

/// The clusters that are always there: the pipeline gateway's and those that feed mirrored requests back.
pub(crate) fn permanent(settings: &EnvoySettings) -> Resources {
    let gateway = settings.pipeline_gateway_host.as_str();
    let (mirror, mirror_port) = MIRROR_LISTENER;
    let clusters = [
        (PIPELINE_GATEWAY_HTTP, gateway, settings.pipeline_gateway_http_port, Protocol::Http),
        (PIPELINE_GATEWAY_GRPC, gateway, settings.pipeline_gateway_grpc_port, Protocol::Grpc),
        (MIRROR_HTTP, mirror, mirror_port, Protocol::Http),
        (MIRROR_GRPC, mirror, mirror_port, Protocol::Grpc),
    ];
    let resource = |(name, host, port, protocol): (&str, &str, u32, Protocol)| {
        let endpoints = BTreeSet::from([(host.to_owned(), port)]);
        (name.to_owned(), Resource::of(&strict_dns(name, &endpoints, protocol, settings.dns_refresh)))
    };
    clusters.into_iter().map(resource).collect()
}
