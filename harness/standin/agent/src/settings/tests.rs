use super::*;

fn read(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Settings, String> {
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    let variable =
        |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Settings::read(&arguments, &variable, &Log::new(Level::Fatal))
}

#[test]
fn the_chart_is_understood() {
    let arguments = ["--tracing-config-path=/mnt/tracing/tracing.json"];
    let variables = [
        ("SELDON_SCHEDULER_HOST", "seldon-scheduler"),
        ("SELDON_SERVER_CAPABILITIES", "mlserver, sklearn"),
        ("SELDON_OVERCOMMIT_PERCENTAGE", "10"),
        ("MEMORY_REQUEST", "1073741824"),
        ("POD_NAME", "my-server-2"),
    ];
    let settings = read(&arguments, &variables).unwrap();
    assert_eq!((settings.server_name.as_str(), settings.replica), ("my-server", 2));
    assert_eq!(settings.inference_service, "my-server-2");
    assert_eq!(settings.scheduler_host, "seldon-scheduler");
    assert_eq!(settings.capabilities, ["mlserver", "sklearn"]);
    assert_eq!((settings.memory, settings.over_commit, settings.parallel_workers), (1_073_741_824, 10, 1));
}

#[test]
fn a_passed_flag_beats_its_variable() {
    let settings = read(&["-scheduler-port", "9100"], &[("SELDON_SCHEDULER_PORT", "9005")]).unwrap();
    assert_eq!(settings.scheduler_port, 9100);
}

#[test]
fn bad_input_is_named() {
    let error = read(&[], &[("SELDON_DRAINER_PORT", "many")]).unwrap_err();
    assert!(error.contains("many") && error.contains("SELDON_DRAINER_PORT"), "{error}");
    let error = read(&[], &[("POD_NAME", "mlserver")]).unwrap_err();
    assert!(error.contains("POD_NAME"), "{error}");
}
