//! The command line.

use rstest::rstest;

use super::*;

fn parse(arguments: &[&str]) -> Result<Flags, FlagError> {
    Flags::parse(&arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>())
}

#[test]
fn takes_what_the_stateful_set_passes() {
    let flags = parse(&[
        "--pipeline-gateway-host=seldon-pipelinegateway",
        "--tracing-config-path=/mnt/tracing/tracing.json",
        "--db-path=/mnt/scheduler/db",
        "--allow-plaintxt=true",
        "--kafka-config-path=/mnt/kafka/kafka.json",
        "--scheduler-ready-timeout-seconds=600",
        "--server-packing-enabled=false",
        "--server-packing-percentage=0.25",
        "--envoy-accesslog-path=/tmp/envoy-accesslog.txt",
        "--enable-envoy-accesslog=true",
        "--include-successful-requests-envoy-accesslog=true",
        "--enable-model-autoscaling=false",
        "--enable-server-autoscaling=true",
        "--log-level=debug",
    ])
    .unwrap();
    assert_eq!(flags.ready_timeout, Duration::from_secs(600));
    assert_eq!(flags.envoy.pipeline_gateway_host, "seldon-pipelinegateway");
    assert_eq!(flags.envoy.successes, Successes::Logged);
    assert_eq!(
        (flags.scheduler_port, flags.agent_port, flags.envoy_port, flags.chainer_port),
        (9004, 9005, 9002, 9008)
    );
}

#[test]
fn has_the_defaults_of_the_real_one() {
    let flags = parse(&[]).unwrap();
    assert_eq!(flags.ready_timeout, Duration::from_secs(300));
    assert_eq!((flags.model_autoscaling, flags.server_autoscaling), (Autoscaling::Off, Autoscaling::On));
    assert_eq!((flags.log_level.as_str(), flags.envoy.node.as_str()), ("debug", "test-id"));
    assert_eq!(flags.envoy.successes, Successes::Omitted);
}

#[rstest]
#[case::one_dash(&["-log-level", "info"], "info")]
#[case::two_dashes(&["--log-level=warn"], "warn")]
#[case::switches_take_no_argument(&["-allow-plaintxt", "-log-level", "error"], "error")]
#[case::nothing_after_a_plain_word(&["word", "-log-level", "error"], "debug")]
fn reads_as_go_does(#[case] arguments: &[&str], #[case] level: &str) {
    assert_eq!(parse(arguments).unwrap().log_level, level);
}

#[rstest]
#[case::unknown(&["--x=1"], "flag provided but not defined: -x")]
#[case::missing(&["-log-level"], "flag needs an argument: -log-level")]
#[case::no_number(&["-agent-port=x"], "invalid value \"x\" for flag -agent-port: parse error")]
#[case::no_switch(&["-allow-plaintxt=maybe"], "invalid boolean value \"maybe\" for -allow-plaintxt: parse error")]
#[case::syntax(&["---x"], "bad flag syntax: ---x")]
#[case::help(&["--help"], "flag: help requested")]
fn refuses_as_go_does(#[case] arguments: &[&str], #[case] text: &str) {
    assert_eq!(parse(arguments).unwrap_err().to_string(), text);
}

#[test]
fn the_usage_is_gos() {
    insta::assert_snapshot!(usage("/bin/scheduler"));
}
