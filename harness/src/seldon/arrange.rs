//! What helm is about to make, arranged: helm hands its manifests to this program and takes back what it prints.
//!
//! What is made outside of the harness's own namespaces must say whose it is from its first moment on: it is by that
//! label that it is taken away again, also after a kill.
//!
//! The chart of Servers has no switch for Triton, whose image has ten gigabytes. Without replicas it is worse: Seldon 2.9.1
//! tells the scheduler of one replica where a Server has none (recorded), and the scheduler's gate stays shut for the ten
//! minutes of its ready timeout. So that Server is left out.

use std::io::{Read, Write};
use std::process::ExitCode;

use serde_json::Value;

/// Name of the built-in program.
pub(super) const PROGRAM: &str = "arrange-manifests";

/// A Server that nobody here needs.
const LEFT_OUT: &str = "triton";

/// Reads manifests, writes those that are wanted, with the label `key=value` that is the only argument, if there is one.
pub(super) fn main(arguments: Vec<String>) -> ExitCode {
    let mut text = String::new();
    let outcome = match arguments.as_slice() {
        [] | [_] => std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| error.to_string())
            .and_then(|_| arranged(&text, arguments.first().map(String::as_str)))
            .and_then(|text| std::io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())),
        _ => Err("the only argument is a label, key=value".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{PROGRAM}: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The documents of a YAML stream.
///
/// # Errors
/// That it is none, and where.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, String> {
    // The definitions' schemas alone are two megabytes of it, and they are helm's own output.
    let options = serde_saphyr::options! { budget: None };
    let all: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| error.to_string())?;
    Ok(all.into_iter().filter(|document| !document.is_null()).collect())
}

fn is_left_out(document: &Value) -> bool {
    document["kind"] == "Server" && document["metadata"]["name"] == LEFT_OUT
}

fn arranged(text: &str, label: Option<&str>) -> Result<String, String> {
    let pair = |label: &str| {
        let pair = label.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        pair.ok_or_else(|| format!("{label:?} is no key=value"))
    };
    let label = label.map(pair).transpose()?;
    let mut out = String::new();
    for mut document in documents(text)?.into_iter().filter(|document| !is_left_out(document)) {
        if let Some((key, value)) = &label {
            document["metadata"]["labels"][key] = value.as_str().into();
        }
        // JSON is YAML.
        out.push_str("---\n");
        out.push_str(&document.to_string());
        out.push('\n');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_labelled_and_keeps_what_it_had() {
        let text = "---\n# Source: a\nkind: A\nmetadata:\n  name: a\n  labels:\n    x: 'yes'\n---\n---\nkind: B\nmetadata: {name: b}\n";
        let all = documents(&arranged(text, Some("own/run=0001")).unwrap()).unwrap();
        let labels: Vec<&Value> = all.iter().map(|document| &document["metadata"]["labels"]).collect();
        assert_eq!(
            labels,
            [&serde_json::json!({"x": "yes", "own/run": "0001"}), &serde_json::json!({"own/run": "0001"})]
        );
        assert_eq!(all[1]["metadata"]["name"], "b");
    }

    #[test]
    fn a_server_that_nobody_needs_is_left_out() {
        let server = |name: &str| format!("---\nkind: Server\nmetadata: {{name: {name}}}\n");
        let config = "---\nkind: ServerConfig\nmetadata: {name: triton}\n";
        let text = [server("mlserver"), server("triton"), config.to_owned()].concat();
        let all = documents(&arranged(&text, None).unwrap()).unwrap();
        let kept: Vec<(&str, &str)> = all
            .iter()
            .map(|it| (it["kind"].as_str().unwrap(), it["metadata"]["name"].as_str().unwrap()))
            .collect();
        assert_eq!(kept, [("Server", "mlserver"), ("ServerConfig", "triton")]);
        assert!(all[0]["metadata"].get("labels").is_none());
    }

    #[test]
    fn what_is_no_yaml_is_not_passed_on() {
        assert!(arranged("a: [", Some("k=v")).is_err());
        assert!(arranged("a: 1", Some("k")).unwrap_err().contains("key=value"));
    }
}
