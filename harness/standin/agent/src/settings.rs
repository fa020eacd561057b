//! Flags and environment of Seldon 2.9.1's agent. A flag that was passed beats its variable.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use logrus::Level;

use crate::log::Log;

/// Everything the agent is told from outside.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) scheduler_host: String,
    pub(crate) scheduler_port: u16,
    pub(crate) rclone_host: String,
    pub(crate) rclone_port: u16,
    pub(crate) inference_host: String,
    pub(crate) inference_http_port: u16,
    pub(crate) inference_grpc_port: u16,
    pub(crate) proxy_http_port: u16,
    pub(crate) proxy_grpc_port: u16,
    pub(crate) metrics_port: u16,
    pub(crate) drainer_port: u16,
    pub(crate) readiness_port: u16,
    pub(crate) server_name: String,
    pub(crate) replica: u32,
    /// The name under which Envoy finds this replica: the pod's.
    pub(crate) inference_service: String,
    pub(crate) folder: PathBuf,
    pub(crate) config_path: PathBuf,
    /// Empty outside Kubernetes.
    pub(crate) namespace: String,
    pub(crate) capabilities: Vec<String>,
    pub(crate) memory: u64,
    pub(crate) over_commit: u32,
    pub(crate) log_level: Level,
    pub(crate) log_level_name: String,
    pub(crate) server_type: String,
    pub(crate) tracing_config: String,
    /// `MLSERVER_PARALLEL_WORKERS`, 1 when absent or no number.
    pub(crate) parallel_workers: u32,
    /// Limit and period of the checks after the start.
    pub(crate) ready_after_start: Duration,
    /// Limit of the checks before the start.
    pub(crate) ready_before_start: Duration,
    pub(crate) load_retries: u32,
    pub(crate) unload_retries: u32,
    pub(crate) unload_grace: Duration,
}

/// Where the service account's namespace stands in a pod.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Reads settings, printing each as the agent prints it.
struct Reader<'a> {
    flags: HashMap<String, String>,
    variable: &'a dyn Fn(&str) -> Option<String>,
    log: Log,
}

impl Reader<'_> {
    fn flag(&self, name: &str, default: &str) -> String {
        self.flags.get(name).cloned().unwrap_or_else(|| default.to_owned())
    }

    fn number<T: std::str::FromStr>(&self, text: &str, what: &str) -> Result<T, String> {
        text.parse().map_err(|_| format!("invalid value {text:?} for {what}: it must be a number"))
    }

    /// A flag with a variable, announced as `Setting <flag> from <variable> to <value>`.
    fn announced(&self, flag: &str, variable: &str, default: &str) -> String {
        if self.flags.contains_key(flag) {
            return self.flag(flag, default);
        }
        let Some(value) = (self.variable)(variable) else { return default.to_owned() };
        self.log.info(format!("Setting {flag} from {variable} to {value}"));
        value
    }

    fn port(&self, flag: &str, variable: &str, default: &str) -> Result<u16, String> {
        let text = self.announced(flag, variable, default);
        self.number(&text, &format!("{flag} ({variable})"))
    }

    /// A number with a variable, announced as `Setting <tag> from env <variable> with value <value>`.
    fn tagged<T: std::str::FromStr>(
        &self,
        flag: &str,
        variable: &str,
        tag: &str,
        default: &str,
    ) -> Result<T, String> {
        let text = match (self.flags.get(flag), (self.variable)(variable)) {
            (Some(passed), _) => passed.clone(),
            (None, Some(value)) => {
                self.log.info(format!("Setting {tag} from env {variable} with value {value}"));
                value
            }
            (None, None) => default.to_owned(),
        };
        self.number(&text, variable)
    }
}

impl Settings {
    /// Reads the flags and the environment, printing the lines of the agent's start in its order.
    ///
    /// # Errors
    /// A sentence naming the flag or variable that cannot be used.
    pub(crate) fn read(
        arguments: &[String],
        variable: &dyn Fn(&str) -> Option<String>,
        log: &Log,
    ) -> Result<Settings, String> {
        let r = Reader { flags: flags(arguments)?, variable, log: log.clone() };
        let (capabilities, over_commit) = capabilities_and_over_commit(&r)?;
        let memory = r.tagged("memory-bytes", "MEMORY_REQUEST", "memory request", "1000000")?;
        let ends = Ends::read(&r)?;
        let (server_name, replica) = identity(&r)?;
        log.warn("No value set for replica-config");
        let log_level_name = r.announced("log-level", "SELDON_LOG_LEVEL", "debug");
        let log_level = Level::parse(&log_level_name)
            .map_err(|error| format!("Failed to set log level {log_level_name}: {error}"))?;
        let server_type = r.announced("server-type", "SELDON_SERVER_TYPE", "mlserver");
        r.announced("envoy-host", "SELDON_ENVOY_HOST", "0.0.0.0");
        r.port("envoy-port", "SELDON_ENVOY_PORT", "9000")?;
        let drainer_port = r.port("drainer-port", "SELDON_DRAINER_PORT", "9007")?;
        let readiness_port = r.port("readiness-port", "SELDON_READINESS_PORT", "9008")?;
        let times = Times::read(&r)?;
        let inference_service = variable("POD_NAME").filter(|name| !name.is_empty()).map_or_else(
            || "0.0.0.0".to_owned(),
            |name| {
                log.info(format!("Setting inference svc name to {name}"));
                name
            },
        );
        let namespace = namespace(&r);
        Ok(Settings {
            scheduler_host: ends.scheduler_host,
            scheduler_port: ends.scheduler_port,
            rclone_host: r.flag("rclone-host", "0.0.0.0"),
            rclone_port: r.number(&r.flag("rclone-port", "5572"), "rclone-port")?,
            inference_host: r.flag("inference-host", "0.0.0.0"),
            inference_http_port: ends.inference_http_port,
            inference_grpc_port: ends.inference_grpc_port,
            proxy_http_port: ends.proxy_http_port,
            proxy_grpc_port: ends.proxy_grpc_port,
            metrics_port: ends.metrics_port,
            drainer_port,
            readiness_port,
            server_name,
            replica,
            inference_service,
            folder: r.flag("agent-folder", "/mnt/agent").into(),
            config_path: r.flag("config-path", "/mnt/config").into(),
            namespace,
            capabilities,
            memory,
            over_commit,
            log_level,
            log_level_name,
            server_type,
            tracing_config: r.flag("tracing-config-path", ""),
            parallel_workers: variable("MLSERVER_PARALLEL_WORKERS")
                .and_then(|text| text.parse().ok())
                .unwrap_or(1),
            ready_after_start: times.ready_after_start,
            ready_before_start: times.ready_before_start,
            load_retries: times.load_retries,
            unload_retries: times.unload_retries,
            unload_grace: times.unload_grace,
        })
    }
}

/// What the server can do, and by how many percent its memory is over-committed; their lines stand between each other.
fn capabilities_and_over_commit(r: &Reader<'_>) -> Result<(Vec<String>, u32), String> {
    let mut capabilities = list(&r.flag("capabilities", "sklearn,xgboost"));
    r.log.info(format!("Server Capabilities [{}]", capabilities.join(" ")));
    let over_commit =
        r.tagged("over-commit-percentage", "SELDON_OVERCOMMIT_PERCENTAGE", "overcommit percentage", "0")?;
    if let (None, Some(text)) = (r.flags.get("capabilities"), (r.variable)("SELDON_SERVER_CAPABILITIES")) {
        capabilities = list(&text);
        let shown = capabilities.join(" ");
        r.log.info(format!("Setting capabilities from env SELDON_SERVER_CAPABILITIES with value [{shown}]"));
    }
    Ok((capabilities, over_commit))
}

/// Hosts and ports of the neighbours and of the own servers.
struct Ends {
    inference_http_port: u16,
    inference_grpc_port: u16,
    proxy_http_port: u16,
    proxy_grpc_port: u16,
    scheduler_host: String,
    scheduler_port: u16,
    metrics_port: u16,
}

impl Ends {
    fn read(r: &Reader<'_>) -> Result<Ends, String> {
        let inference_http_port = r.port("inference-http-port", "SELDON_SERVER_HTTP_PORT", "8080")?;
        let inference_grpc_port = r.port("inference-grpc-port", "SELDON_SERVER_GRPC_PORT", "9500")?;
        let proxy_http_port = r.port("reverse-proxy-http-port", "SELDON_REVERSE_PROXY_HTTP_PORT", "9999")?;
        let proxy_grpc_port = r.port("reverse-proxy-grpc-port", "SELDON_REVERSE_PROXY_GRPC_PORT", "9998")?;
        r.port("debug-grpc-port", "SELDON_DEBUG_GRPC_PORT", "7777")?;
        let scheduler_host = r.announced("scheduler-host", "SELDON_SCHEDULER_HOST", "0.0.0.0");
        let scheduler_port = r.port("scheduler-port", "SELDON_SCHEDULER_PORT", "9005")?;
        let _tls_port = r.port("scheduler-tls-port", "SELDON_SCHEDULER_TLS_PORT", "9055")?;
        let metrics_port = r.port("metrics-port", "SELDON_METRICS_PORT", "9006")?;
        Ok(Ends {
            inference_http_port,
            inference_grpc_port,
            proxy_http_port,
            proxy_grpc_port,
            scheduler_host,
            scheduler_port,
            metrics_port,
        })
    }
}

struct Times {
    ready_after_start: Duration,
    ready_before_start: Duration,
    load_retries: u32,
    unload_retries: u32,
    unload_grace: Duration,
}

impl Times {
    /// The tagged numbers, in the order in which the agent prints them; some are read and never used there either.
    fn read(r: &Reader<'_>) -> Result<Times, String> {
        let number = |flag, variable, tag, default| r.tagged::<u64>(flag, variable, tag, default);
        number(
            "model-inference-lag-threshold",
            "SELDON_MODEL_INFERENCE_LAG_THRESHOLD",
            "inference lag threshold",
            "30",
        )?;
        number(
            "model-inactive-seconds-threshold",
            "SELDON_MODEL_INACTIVE_SECONDS_THRESHOLD",
            "inactive model seconds threshold",
            "30",
        )?;
        number(
            "scaling-stats-period-seconds",
            "SELDON_SCALING_STATS_PERIOD_SECONDS",
            "scaling stats period seconds",
            "5",
        )?;
        let after = number(
            "max-elapsed-time-ready-sub-service-after-start-seconds",
            "SELDON_MAX_TIME_READY_SUB_SERVICE_AFTER_START_SECONDS",
            "sub service after start seconds",
            "30",
        )?;
        let before = number(
            "max-elapsed-time-ready-sub-service-before-start-minutes",
            "SELDON_MAX_ELAPSED_TIME_READY_SUB_SERVICE_BEFORE_START_MINUTES",
            "sub service before start minutes",
            "15",
        )?;
        number(
            "period-ready-sub-service-seconds",
            "SELDON_PERIOD_READY_SUB_SERVICE_SECONDS",
            "period ready sub service seconds",
            "60",
        )?;
        number(
            "max-load-elapsed-time-minutes",
            "SELDON_MAX_LOAD_ELAPSED_TIME_MINUTES",
            "max load elapsed time minutes",
            "120",
        )?;
        number(
            "max-unload-elapsed-time-minutes",
            "SELDON_MAX_UNLOAD_ELAPSED_TIME_MINUTES",
            "max unload elapsed time minutes",
            "15",
        )?;
        let load =
            number("max-load-retry-count", "SELDON_MAX_LOAD_RETRY_COUNT", "max load retry count", "5")?;
        let unload =
            number("max-unload-retry-count", "SELDON_MAX_UNLOAD_RETRY_COUNT", "max unload retry count", "1")?;
        let grace = number(
            "unload-grace-period-seconds",
            "SELDON_UNLOAD_GRACE_PERIOD_SECONDS",
            "unload grace seconds",
            "2",
        )?;
        let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(Times {
            ready_after_start: Duration::from_secs(after),
            ready_before_start: Duration::from_secs(before.saturating_mul(60)),
            load_retries: count(load),
            unload_retries: count(unload),
            unload_grace: Duration::from_secs(grace),
        })
    }
}

/// Server name and replica number: `mlserver-0` is replica 0 of `mlserver`.
fn identity(r: &Reader<'_>) -> Result<(String, u32), String> {
    let index = r.number(&r.flag("server-idx", "0"), "server-idx")?;
    if r.flags.contains_key("server-name") && r.flags.contains_key("server-idx") {
        return Ok((r.flag("server-name", "mlserver"), index));
    }
    r.log.info("Trying to set server name and replica index from pod name");
    let Some(pod) = (r.variable)("POD_NAME") else {
        return Ok((r.flag("server-name", "mlserver"), index));
    };
    let parts = pod.rsplit_once('-').and_then(|(name, tail)| Some((name.to_owned(), tail.parse().ok()?)));
    let (name, index) =
        parts.ok_or_else(|| format!("Failed to get server name and index from POD_NAME with value {pod}"))?;
    r.log.info(format!(
        "Got server name and index from POD_NAME with value {pod}. Server name:{name} Replica Idx:{index}"
    ));
    Ok((name, index))
}

fn namespace(r: &Reader<'_>) -> String {
    if let Some(passed) = r.flags.get("namespace") {
        return passed.clone();
    }
    match std::fs::read_to_string(NAMESPACE_FILE) {
        Ok(text) => {
            let namespace = text.trim().to_owned();
            r.log.info(format!("Setting namespace from k8s file to {namespace}"));
            namespace
        }
        Err(_) => String::new(),
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(|word| word.trim().to_owned()).collect()
}

/// Go's flag syntax: `-name value`, `-name=value`, with one dash or two.
fn flags(arguments: &[String]) -> Result<HashMap<String, String>, String> {
    let mut found = HashMap::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let name = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
        let name = name.ok_or_else(|| format!("unexpected argument {argument:?}; flags begin with -"))?;
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (name, rest.next().cloned().ok_or_else(|| format!("flag needs an argument: -{name}"))?),
        };
        found.insert(name.to_owned(), value);
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
