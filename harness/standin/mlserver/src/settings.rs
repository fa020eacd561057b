//! The environment variables that a `ServerConfig` sets, with MLServer's defaults.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// Where to listen, and for which models.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) host: IpAddr,
    pub(crate) http_port: u16,
    pub(crate) grpc_port: u16,
    /// Largest gRPC message either way, in bytes.
    pub(crate) largest_message: usize,
    pub(crate) models: PathBuf,
    pub(crate) startup: Startup,
}

/// What is loaded before anybody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Startup {
    /// Every model of the repository.
    LoadAll,
    /// Nothing.
    Empty,
}

/// A variable that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {value:?}; it must be {wanted}")]
pub(crate) struct BadVariable {
    variable: &'static str,
    value: String,
    wanted: &'static str,
}

/// gRPC's own limit, which MLServer has unless it is told another.
const LARGEST_MESSAGE: usize = 4 * 1024 * 1024;

impl Settings {
    pub(crate) fn read(
        arguments: &[String],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Settings, BadVariable> {
        let models = arguments.first().cloned().or_else(|| variable("MLSERVER_MODELS_DIR"));
        Ok(Settings {
            host: parsed(variable, "MLSERVER_HOST", Ipv4Addr::UNSPECIFIED.into(), "an IP address")?,
            http_port: parsed(variable, "MLSERVER_HTTP_PORT", 8080, "a port")?,
            grpc_port: parsed(variable, "MLSERVER_GRPC_PORT", 8081, "a port")?,
            largest_message: parsed(
                variable,
                "MLSERVER_GRPC_MAX_MESSAGE_LENGTH",
                LARGEST_MESSAGE,
                "a number of bytes",
            )?,
            models: models.map_or_else(|| ".".into(), PathBuf::from),
            startup: startup(variable)?,
        })
    }
}

fn parsed<T: std::str::FromStr>(
    variable: &dyn Fn(&str) -> Option<String>,
    name: &'static str,
    default: T,
    wanted: &'static str,
) -> Result<T, BadVariable> {
    match variable(name) {
        None => Ok(default),
        Some(value) => value.parse().map_err(|_| BadVariable { variable: name, value, wanted }),
    }
}

/// A flag, in the words that pydantic takes.
fn startup(variable: &dyn Fn(&str) -> Option<String>) -> Result<Startup, BadVariable> {
    let name = "MLSERVER_LOAD_MODELS_AT_STARTUP";
    let Some(value) = variable(name) else { return Ok(Startup::LoadAll) };
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "y" | "on" | "t" => Ok(Startup::LoadAll),
        "false" | "0" | "no" | "n" | "off" | "f" => Ok(Startup::Empty),
        _ => Err(BadVariable { variable: name, value, wanted: "true or false" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, BadVariable> {
        let variable =
            |name: &str| pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        Settings::read(&[], &variable)
    }

    #[test]
    fn a_server_config_is_read() {
        let settings = read(&[
            ("MLSERVER_HTTP_PORT", "9000"),
            ("MLSERVER_GRPC_PORT", "9500"),
            ("MLSERVER_MODELS_DIR", "/mnt/agent/models"),
            ("MLSERVER_MODEL_PARALLEL_WORKERS", "1"),
            ("MLSERVER_LOAD_MODELS_AT_STARTUP", "false"),
            ("MLSERVER_GRPC_MAX_MESSAGE_LENGTH", "1048576000"),
        ]);
        let expected = Settings {
            host: Ipv4Addr::UNSPECIFIED.into(),
            http_port: 9000,
            grpc_port: 9500,
            largest_message: 1_048_576_000,
            models: "/mnt/agent/models".into(),
            startup: Startup::Empty,
        };
        assert_eq!(settings, Ok(expected));
    }

    #[test]
    fn what_is_not_said_is_as_mlserver_has_it() {
        let settings = read(&[]).unwrap();
        assert_eq!(
            (settings.http_port, settings.grpc_port, settings.startup),
            (8080, 8081, Startup::LoadAll)
        );
    }

    #[rstest]
    #[case::port("MLSERVER_HTTP_PORT", "70000", "a port")]
    #[case::flag("MLSERVER_LOAD_MODELS_AT_STARTUP", "perhaps", "true or false")]
    fn what_cannot_be_used_is_named(#[case] name: &str, #[case] value: &str, #[case] wanted: &str) {
        let error = read(&[(name, value)]).unwrap_err().to_string();
        assert_eq!(error, format!("{name} is {value:?}; it must be {wanted}"));
    }
}
