//! The command line of Seldon 2.9.1's scheduler, read as Go's flag package reads it.

use std::time::Duration;

use crate::core::Autoscaling;
use crate::xds::{EnvoySettings, Successes};

/// What the command line said.
#[derive(Debug, Clone, PartialEq)]
pub struct Flags {
    /// Port for Envoy, 9002.
    pub envoy_port: u16,
    /// Port for the operator, 9004.
    pub scheduler_port: u16,
    /// Port for agents, 9005.
    pub agent_port: u16,
    /// Port for dataflow engines, 9008.
    pub chainer_port: u16,
    /// Namespace when not told by a service account.
    pub namespace: String,
    /// Threshold of the log, `debug`.
    pub log_level: String,
    /// File with the tracing settings; empty for none.
    pub tracing_config_path: String,
    /// Folder of the state; empty for none.
    pub db_path: String,
    /// How long the start gate stays shut at most, 300 s.
    pub ready_timeout: Duration,
    /// `--enable-model-autoscaling`, off.
    pub model_autoscaling: Autoscaling,
    /// `--enable-server-autoscaling`, on.
    pub server_autoscaling: Autoscaling,
    /// What concerns Envoy.
    pub envoy: EnvoySettings,
}

/// Why the command line was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// `-h` or `--help`: the usage is all that was asked for.
    #[error("flag: help requested")]
    Help,
    /// Anything Go's flag package refuses, in its words.
    #[error("{0}")]
    Refused(String),
}

enum Kind {
    Text,
    Unsigned,
    Integer,
    Float,
    Switch,
}

use Kind::{Float, Integer, Switch, Text, Unsigned};

/// Name, kind, default and meaning, sorted by name as the usage lists them.
const KNOWN: &[(&str, Kind, &str, &str)] = &[
    ("agent-mtls-port", Unsigned, "9055", "agent mtls server port"),
    ("agent-port", Unsigned, "9005", "agent server port"),
    ("allow-plaintxt", Switch, "true", "Allow plain text scheduler server"),
    ("dataflow-port", Unsigned, "9008", "dataflow server port"),
    ("db-path", Text, "", "State Db path"),
    (
        "deleted-resource-ttl-seconds",
        Unsigned,
        "86400",
        "TTL for deleted experiments and pipelines (in seconds)",
    ),
    ("enable-envoy-accesslog", Switch, "true", "Enable Envoy access log"),
    ("enable-model-autoscaling", Switch, "false", "Enable native model autoscaling feature"),
    ("enable-server-autoscaling", Switch, "true", "Enable native server autoscaling feature"),
    ("envoy-accesslog-path", Text, "/tmp/envoy-accesslog.txt", "Envoy access log path"),
    ("envoy-port", Unsigned, "9002", "xDS management server port"),
    (
        "include-successful-requests-envoy-accesslog",
        Switch,
        "false",
        "Include successful requests in Envoy access log",
    ),
    ("kafka-config-path", Text, "/mnt/config/kafka.json", "Path to kafka configuration file"),
    ("log-level", Text, "debug", "Log level - examples: debug, info, error"),
    ("namespace", Text, "", "Namespace"),
    ("nodeID", Text, "test-id", "Node ID"),
    ("pipeline-gateway-grpc-port", Integer, "9011", "Pipeline gateway server grpc port"),
    ("pipeline-gateway-host", Text, "0.0.0.0", "Pipeline gateway server host"),
    ("pipeline-gateway-http-port", Integer, "9010", "Pipeline gateway server http port"),
    ("scheduler-mtls-port", Unsigned, "9044", "scheduler mtls server port"),
    ("scheduler-port", Unsigned, "9004", "scheduler server port"),
    ("scheduler-ready-timeout-seconds", Unsigned, "300", "Timeout for scheduler to be ready"),
    ("server-packing-enabled", Switch, "false", "Enable server packing"),
    ("server-packing-percentage", Float, "0.25", "Percentage of time we try to pack server replicas"),
    ("tracing-config-path", Text, "", "Tracing config path"),
];

fn index_of(name: &str) -> Option<usize> {
    KNOWN.iter().position(|(known, ..)| *known == name)
}

fn as_switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn well_formed(kind: &Kind, text: &str) -> bool {
    match kind {
        Text => true,
        Unsigned => text.parse::<u64>().is_ok(),
        Integer => text.parse::<i64>().is_ok(),
        Float => text.parse::<f64>().is_ok(),
        Switch => as_switch(text).is_some(),
    }
}

impl Flags {
    /// Reads the arguments, without the program's name.
    ///
    /// # Errors
    /// What Go's flag package says of an unknown flag, a missing or a malformed value.
    pub fn parse(arguments: &[String]) -> Result<Flags, FlagError> {
        let mut values: Vec<String> = KNOWN.iter().map(|(_, _, default, _)| (*default).to_owned()).collect();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            // The first argument that is no flag ends the flags; the scheduler looks at none beyond.
            if argument == "--" || argument.len() < 2 || !argument.starts_with('-') {
                break;
            }
            let flag = argument.strip_prefix("--").unwrap_or(&argument[1..]);
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            if name.is_empty() || name.starts_with('-') {
                return Err(FlagError::Refused(format!("bad flag syntax: {argument}")));
            }
            let Some(index) = index_of(name) else {
                if matches!(name, "h" | "help") {
                    return Err(FlagError::Help);
                }
                return Err(FlagError::Refused(format!("flag provided but not defined: -{name}")));
            };
            let kind = &KNOWN[index].1;
            let value = match (value, kind) {
                (Some(value), _) => value,
                (None, Switch) => "true".to_owned(),
                (None, _) => rest
                    .next()
                    .cloned()
                    .ok_or_else(|| FlagError::Refused(format!("flag needs an argument: -{name}")))?,
            };
            if !well_formed(kind, &value) {
                let text = match kind {
                    Switch => format!("invalid boolean value {value:?} for -{name}: parse error"),
                    _ => format!("invalid value {value:?} for flag -{name}: parse error"),
                };
                return Err(FlagError::Refused(text));
            }
            values[index] = value;
        }
        Flags::from_values(&values)
    }

    fn from_values(values: &[String]) -> Result<Flags, FlagError> {
        let text = |name: &str| index_of(name).map_or("", |index| values[index].as_str());
        let port = |name: &str| {
            text(name)
                .parse::<u16>()
                .map_err(|_| FlagError::Refused(format!("listen tcp: address {}: invalid port", text(name))))
        };
        let on = |name: &str| as_switch(text(name)).unwrap_or(false);
        let autoscaling = |name: &str| if on(name) { Autoscaling::On } else { Autoscaling::Off };
        let successes = on("include-successful-requests-envoy-accesslog");
        Ok(Flags {
            envoy_port: port("envoy-port")?,
            scheduler_port: port("scheduler-port")?,
            agent_port: port("agent-port")?,
            chainer_port: port("dataflow-port")?,
            namespace: text("namespace").to_owned(),
            log_level: text("log-level").to_owned(),
            tracing_config_path: text("tracing-config-path").to_owned(),
            db_path: text("db-path").to_owned(),
            ready_timeout: Duration::from_secs(
                text("scheduler-ready-timeout-seconds").parse().unwrap_or(300),
            ),
            model_autoscaling: autoscaling("enable-model-autoscaling"),
            server_autoscaling: autoscaling("enable-server-autoscaling"),
            envoy: EnvoySettings {
                access_log: on("enable-envoy-accesslog").then(|| text("envoy-accesslog-path").to_owned()),
                successes: if successes { Successes::Logged } else { Successes::Omitted },
                pipeline_gateway_host: text("pipeline-gateway-host").to_owned(),
                pipeline_gateway_http_port: u32::from(port("pipeline-gateway-http-port")?),
                pipeline_gateway_grpc_port: u32::from(port("pipeline-gateway-grpc-port")?),
                dns_refresh: None,
                node: text("nodeID").to_owned(),
            },
        })
    }
}

/// The usage, as Go prints it after a refusal.
pub(crate) fn usage(program: &str) -> String {
    let mut text = format!("Usage of {program}:\n");
    for (name, kind, default, meaning) in KNOWN {
        let value = match kind {
            Text => " string",
            Unsigned => " uint",
            Integer => " int",
            Float => " float",
            Switch => "",
        };
        let default = match (kind, *default) {
            (Text, "") | (Switch, "false") => String::new(),
            (Text, default) => format!(" (default {default:?})"),
            (_, default) => format!(" (default {default})"),
        };
        text.push_str(&format!("  -{name}{value}\n    \t{meaning}{default}\n"));
    }
    text
}

#[cfg(test)]
mod tests;
