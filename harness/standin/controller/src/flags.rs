//! The operator's command line, as Go's `flag` package reads it.

use std::collections::BTreeMap;

/// How a flag is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `-x` or `-x=true`.
    Switch,
    /// `-x text`, shown as `string` with a quoted default.
    Text,
    /// `-x text`, shown as `value` without a default.
    Special,
}

/// One flag.
struct Flag {
    name: &'static str,
    shape: Shape,
    default: &'static str,
    help: &'static str,
}

const FLAGS: &[Flag] = &[
    Flag { name: "clusterwide", shape: Shape::Switch, default: "", help: "Allow clusterwide operations" },
    Flag {
        name: "health-probe-bind-address",
        shape: Shape::Text,
        default: ":4001",
        help: "The address the probe endpoint binds to.",
    },
    Flag {
        name: "kubeconfig",
        shape: Shape::Text,
        default: "",
        help: "Paths to a kubeconfig. Only required if out-of-cluster.",
    },
    Flag {
        name: "leader-elect",
        shape: Shape::Switch,
        default: "",
        help: "Enable leader election for controller manager. \
               Enabling this will ensure there is only one active controller manager.",
    },
    Flag {
        name: "log-level",
        shape: Shape::Text,
        default: "debug",
        help: "The log level to use for the operator.",
    },
    Flag {
        name: "metrics-bind-address",
        shape: Shape::Text,
        default: ":4000",
        help: "The address the metric endpoint binds to.",
    },
    Flag {
        name: "namespace",
        shape: Shape::Text,
        default: "",
        help: "The namespace to restrict the operator.",
    },
    Flag {
        name: "watch-namespaces",
        shape: Shape::Text,
        default: "",
        help: "Comma separated list of namespaces to watch. Only used when --clusterwide is set to true. \
               Defaults to all namespaces if not set and --clusterwide is true.",
    },
    Flag {
        name: "zap-devel",
        shape: Shape::Switch,
        default: "true",
        help: "Development Mode defaults(encoder=consoleEncoder,logLevel=Debug,stackTraceLevel=Warn). \
               Production Mode defaults(encoder=jsonEncoder,logLevel=Info,stackTraceLevel=Error)",
    },
    Flag {
        name: "zap-encoder",
        shape: Shape::Special,
        default: "",
        help: "Zap log encoding (one of 'json' or 'console')",
    },
    Flag {
        name: "zap-log-level",
        shape: Shape::Special,
        default: "",
        help: "Zap Level to configure the verbosity of logging. Can be one of 'debug', 'info', 'error', or any \
               integer value > 0 which corresponds to custom debug levels of increasing verbosity",
    },
    Flag {
        name: "zap-stacktrace-level",
        shape: Shape::Special,
        default: "",
        help: "Zap Level at and above which stacktraces are captured (one of 'info', 'error', 'panic').",
    },
    Flag {
        name: "zap-time-encoding",
        shape: Shape::Special,
        default: "",
        help: "Zap time encoding (one of 'epoch', 'millis', 'nano', 'iso8601', 'rfc3339' or 'rfc3339nano'). \
               Defaults to 'epoch'.",
    },
];

/// Which release's command line is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    /// Knows no `-watch-namespaces`.
    V2_9_0,
    /// The one this program stands in for.
    V2_9_1,
}

impl Release {
    /// The release of an image tag; every tag but `2.9.0` counts as 2.9.1.
    pub(crate) fn of_tag(tag: Option<&str>) -> Release {
        if tag == Some("2.9.0") { Release::V2_9_0 } else { Release::V2_9_1 }
    }

    fn flags(self) -> impl Iterator<Item = &'static Flag> {
        FLAGS.iter().filter(move |flag| self == Release::V2_9_1 || flag.name != "watch-namespaces")
    }
}

/// What the operator was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) metrics_address: String,
    pub(crate) probe_address: String,
    pub(crate) namespace: String,
    pub(crate) watch_namespaces: String,
    pub(crate) leader_elect: bool,
    pub(crate) clusterwide: bool,
    pub(crate) log_level: String,
    pub(crate) kubeconfig: String,
}

/// Why the program ends at once, with what it prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Help was asked for: exit code 0.
    Help(String),
    /// The command line is wrong: exit code 2.
    Wrong(String),
}

/// Reads a command line without the program's own name.
///
/// # Errors
/// What to print, and by which code to end.
pub(crate) fn parse(arguments: &[String], program: &str, release: Release) -> Result<Options, Refusal> {
    let mut values: BTreeMap<&str, String> =
        release.flags().map(|flag| (flag.name, flag.default.to_owned())).collect();
    let wrong = |text: String| Refusal::Wrong(format!("{text}\n{}", usage(program, release)));
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(written) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else { break };
        if written.is_empty() {
            break;
        }
        if written.starts_with(['-', '=']) {
            return Err(wrong(format!("bad flag syntax: {argument}")));
        }
        let (name, inline) =
            written.split_once('=').map_or((written, None), |(name, value)| (name, Some(value)));
        let Some(flag) = release.flags().find(|flag| flag.name == name) else {
            if matches!(name, "help" | "h") {
                return Err(Refusal::Help(usage(program, release)));
            }
            return Err(wrong(format!("flag provided but not defined: -{name}")));
        };
        let value = match (flag.shape, inline) {
            (Shape::Switch, None) => "true".to_owned(),
            (Shape::Switch, Some(text)) => switch(name, text).map_err(wrong)?.to_string(),
            (_, Some(text)) => text.to_owned(),
            (_, None) => {
                let next = rest.next().ok_or_else(|| wrong(format!("flag needs an argument: -{name}")))?;
                next.clone()
            }
        };
        values.insert(flag.name, value);
    }
    let text = |name: &str| values.get(name).cloned().unwrap_or_default();
    Ok(Options {
        metrics_address: text("metrics-bind-address"),
        probe_address: text("health-probe-bind-address"),
        namespace: text("namespace"),
        watch_namespaces: text("watch-namespaces"),
        leader_elect: text("leader-elect") == "true",
        clusterwide: text("clusterwide") == "true",
        log_level: text("log-level"),
        kubeconfig: text("kubeconfig"),
    })
}

fn switch(name: &str, text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("invalid boolean value {text:?} for -{name}: parse error")),
    }
}

fn usage(program: &str, release: Release) -> String {
    let entries = release.flags().map(|flag| {
        let kind = match flag.shape {
            Shape::Switch => "",
            Shape::Text => " string",
            Shape::Special => " value",
        };
        let default = match (flag.shape, flag.default) {
            (_, "") => String::new(),
            (Shape::Text, default) => format!(" (default {default:?})"),
            (_, default) => format!(" (default {default})"),
        };
        format!("  -{}{kind}\n    \t{}{default}", flag.name, flag.help)
    });
    format!("Usage of {program}:\n{}", entries.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn parsed(line: &str, release: Release) -> Result<Options, Refusal> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&arguments, "/manager", release)
    }

    #[test]
    fn the_charts_command_line() {
        let line = "--health-probe-bind-address=:8081 --leader-elect --watch-namespaces=a,b --namespace=seldon-system \
                    --clusterwide=true --log-level=info";
        let options = parsed(line, Release::V2_9_1).unwrap();
        assert_eq!((options.probe_address.as_str(), options.metrics_address.as_str()), (":8081", ":4000"));
        assert!(options.leader_elect && options.clusterwide);
        assert_eq!((options.watch_namespaces.as_str(), options.namespace.as_str()), ("a,b", "seldon-system"));
    }

    #[rstest]
    #[case::unknown("--what=1", "flag provided but not defined: -what")]
    #[case::no_value("-namespace", "flag needs an argument: -namespace")]
    #[case::no_boolean(
        "--clusterwide=maybe",
        "invalid boolean value \"maybe\" for -clusterwide: parse error"
    )]
    #[case::three_dashes("---x", "bad flag syntax: ---x")]
    fn wrong_command_lines(#[case] line: &str, #[case] first_line: &str) {
        let Err(Refusal::Wrong(text)) = parsed(line, Release::V2_9_1) else { panic!("accepted") };
        assert_eq!(text.lines().next().unwrap(), first_line);
    }

    #[test]
    fn the_release_before_does_not_know_watch_namespaces() {
        let Err(Refusal::Wrong(text)) = parsed("--watch-namespaces=", Release::V2_9_0) else {
            panic!("accepted")
        };
        insta::assert_snapshot!(text);
    }
}
