//! Listeners in Envoy's words: the one clients come to, and the one mirrored requests come back to.

use envoy_types::pb::envoy::config::accesslog::v3 as log;
use envoy_types::pb::envoy::config::common::matcher::v3 as predicate;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as lds;
use envoy_types::pb::envoy::config::route::v3 as rds;
use envoy_types::pb::envoy::config::tap::v3 as tap;
use envoy_types::pb::envoy::extensions::access_loggers::file::v3 as file_log;
use envoy_types::pb::envoy::extensions::common::tap::v3 as tap_config;
use envoy_types::pb::envoy::extensions::filters::http::{
    lua::v3 as lua, router::v3 as router, tap::v3 as tap_filter,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use envoy_types::pb::google::protobuf::{Any, BoolValue};

use super::cluster::{MIRROR_LISTENER, address};
use super::route::{LOGGING_HEADER, MIRROR_ROUTES, SERVICE_ROUTES};
use super::{EnvoySettings, Resource, Resources, Successes, any};

/// Derives `seldon-model` from the path of a request that names neither a model nor a route.
///
/// `/v2/models/<name>…` stands for the model, `/v2/pipelines/<name>/…` for `<name>.pipeline`; other paths for nothing.
const DERIVE_MODEL: &str = r#"local function absent(value)
  return value == nil or value == ""
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if not (absent(headers:get("seldon-model")) and absent(headers:get("x-seldon-route"))) then
    return
  end
  local path = headers:get(":path")
  local model = string.match(path, "^/v2/models/([^/]*)")
  if model then
    headers:add("seldon-model", model)
    return
  end
  local pipeline = string.match(path, "^/v2/pipelines/([^/]*)/")
  if pipeline then
    headers:add("seldon-model", pipeline .. ".pipeline")
  end
end
"#;

/// Fields of a line of the access log, in Seldon's order.
const ACCESS_LOG_FORMAT: &str = concat!(
    r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" "#,
    "%RESPONSE_CODE% %GRPC_STATUS_NUMBER% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
    r#"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "#,
    r#""%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%""#,
    "\n"
);

/// The two listeners.
pub(crate) fn permanent(settings: &EnvoySettings) -> Resources {
    let (mirror, mirror_port) = MIRROR_LISTENER;
    let listeners = [
        listener("seldon_http", "0.0.0.0", 9000, SERVICE_ROUTES, settings),
        listener("seldon_mirrors", mirror, mirror_port, MIRROR_ROUTES, settings),
    ];
    listeners.iter().map(|listener| (listener.name.clone(), Resource::of(listener))).collect()
}

fn listener(name: &str, host: &str, port: u32, routes: &str, settings: &EnvoySettings) -> lds::Listener {
    let manager = lds::Filter {
        name: "envoy.filters.network.http_connection_manager".to_owned(),
        config_type: Some(lds::filter::ConfigType::TypedConfig(any(&connection_manager(
            name, routes, settings,
        )))),
    };
    lds::Listener {
        name: name.to_owned(),
        address: Some(address(host, port)),
        filter_chains: vec![lds::FilterChain { filters: vec![manager], ..lds::FilterChain::default() }],
        ..lds::Listener::default()
    }
}

fn connection_manager(name: &str, routes: &str, settings: &EnvoySettings) -> hcm::HttpConnectionManager {
    let ads = core::ConfigSource {
        resource_api_version: core::ApiVersion::V3.into(),
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(
            core::AggregatedConfigSource::default(),
        )),
        ..core::ConfigSource::default()
    };
    let filter = |name: &str, config: Any| hcm::HttpFilter {
        name: name.to_owned(),
        config_type: Some(hcm::http_filter::ConfigType::TypedConfig(config)),
        ..hcm::HttpFilter::default()
    };
    hcm::HttpConnectionManager {
        stat_prefix: name.to_owned(),
        generate_request_id: Some(BoolValue { value: false }),
        route_specifier: Some(hcm::http_connection_manager::RouteSpecifier::Rds(hcm::Rds {
            config_source: Some(ads),
            route_config_name: routes.to_owned(),
        })),
        http_filters: vec![
            filter("envoy.filters.http.tap", any(&payload_tap())),
            filter("envoy.filters.http.lua", any(&model_header_filter())),
            filter("envoy.filters.http.router", any(&router::Router::default())),
        ],
        access_log: settings.access_log.iter().map(|path| access_log(path, settings.successes)).collect(),
        ..hcm::HttpConnectionManager::default()
    }
}

fn inline(text: &str) -> core::DataSource {
    core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineString(text.to_owned())),
        ..core::DataSource::default()
    }
}

fn model_header_filter() -> lua::Lua {
    lua::Lua { default_source_code: Some(inline(DERIVE_MODEL)), ..lua::Lua::default() }
}

/// Requests and answers that carry the logging header are written to files.
fn payload_tap() -> tap_filter::Tap {
    use predicate::match_predicate::{MatchSet, Rule};
    let header = || predicate::HttpHeadersMatch {
        headers: vec![rds::HeaderMatcher {
            name: LOGGING_HEADER.to_owned(),
            header_match_specifier: Some(rds::header_matcher::HeaderMatchSpecifier::PresentMatch(true)),
            ..rds::HeaderMatcher::default()
        }],
    };
    let rule = |rule| predicate::MatchPredicate { rule: Some(rule) };
    let either = MatchSet {
        rules: vec![
            rule(Rule::HttpResponseHeadersMatch(header())),
            rule(Rule::HttpRequestHeadersMatch(header())),
        ],
    };
    let sink = tap::OutputSink {
        output_sink_type: Some(tap::output_sink::OutputSinkType::FilePerTap(tap::FilePerTapSink {
            path_prefix: "/tmp/request-log".to_owned(),
        })),
        ..tap::OutputSink::default()
    };
    let config = tap::TapConfig {
        r#match: Some(rule(Rule::OrMatch(either))),
        output_config: Some(tap::OutputConfig { sinks: vec![sink], ..tap::OutputConfig::default() }),
        ..tap::TapConfig::default()
    };
    tap_filter::Tap {
        common_config: Some(tap_config::CommonExtensionConfig {
            config_type: Some(tap_config::common_extension_config::ConfigType::StaticConfig(config)),
        }),
        ..tap_filter::Tap::default()
    }
}

fn access_log(path: &str, successes: Successes) -> log::AccessLog {
    use core::substitution_format_string::Format;
    let format = core::SubstitutionFormatString {
        format: Some(Format::TextFormatSource(inline(ACCESS_LOG_FORMAT))),
        ..core::SubstitutionFormatString::default()
    };
    let config = file_log::FileAccessLog {
        path: path.to_owned(),
        access_log_format: Some(file_log::file_access_log::AccessLogFormat::LogFormat(format)),
    };
    log::AccessLog {
        name: "envoy.access_loggers.file".to_owned(),
        filter: match successes {
            Successes::Logged => None,
            Successes::Omitted => Some(only_failures()),
        },
        config_type: Some(log::access_log::ConfigType::TypedConfig(any(&config))),
    }
}

/// HTTP answers from 400 on, and gRPC answers whose status is not OK.
fn only_failures() -> log::AccessLogFilter {
    use log::access_log_filter::FilterSpecifier as Specifier;
    let filter = |specifier| log::AccessLogFilter { filter_specifier: Some(specifier) };
    let all = |filters| filter(Specifier::AndFilter(log::AndFilter { filters }));
    let content_type = |invert_match| {
        let grpc = matcher::StringMatcher {
            match_pattern: Some(matcher::string_matcher::MatchPattern::Prefix("application/grpc".to_owned())),
            ignore_case: true,
        };
        let header = rds::HeaderMatcher {
            name: "content-type".to_owned(),
            invert_match,
            header_match_specifier: Some(rds::header_matcher::HeaderMatchSpecifier::StringMatch(grpc)),
            ..rds::HeaderMatcher::default()
        };
        filter(Specifier::HeaderFilter(log::HeaderFilter { header: Some(header) }))
    };
    let from_400 = log::ComparisonFilter {
        op: log::comparison_filter::Op::Ge.into(),
        value: Some(core::RuntimeUInt32 { default_value: 400, runtime_key: "status_code".to_owned() }),
    };
    let status = filter(Specifier::StatusCodeFilter(log::StatusCodeFilter { comparison: Some(from_400) }));
    let not_ok = filter(Specifier::GrpcStatusFilter(log::GrpcStatusFilter {
        statuses: vec![log::grpc_status_filter::Status::Ok.into()],
        exclude: true,
    }));
    filter(Specifier::OrFilter(log::OrFilter {
        filters: vec![all(vec![status, content_type(true)]), all(vec![not_ok, content_type(false)])],
    }))
}
