//! Labelling what helm is about to make: helm hands its manifests to this program and takes back what it prints.
//!
//! What is made outside of the harness's own namespaces must say whose it is from its first moment on: it is by that
//! label that it is taken away again, also after a kill.

use std::io::{Read, Write};
use std::process::ExitCode;

use serde_json::Value;

/// Name of the built-in program.
pub(super) const PROGRAM: &str = "label-manifests";

/// Reads manifests, writes them with the label `key=value` that is the only argument.
pub(super) fn main(arguments: Vec<String>) -> ExitCode {
    let mut text = String::new();
    let outcome = match arguments.as_slice() {
        [label] => std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| error.to_string())
            .and_then(|_| labelled(&text, label))
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

fn labelled(text: &str, label: &str) -> Result<String, String> {
    let (key, value) = label.split_once('=').ok_or_else(|| format!("{label:?} is no key=value"))?;
    let mut out = String::new();
    for mut document in documents(text)? {
        document["metadata"]["labels"][key] = value.into();
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
        let all = documents(&labelled(text, "own/run=0001").unwrap()).unwrap();
        let labels: Vec<&Value> = all.iter().map(|document| &document["metadata"]["labels"]).collect();
        assert_eq!(
            labels,
            [&serde_json::json!({"x": "yes", "own/run": "0001"}), &serde_json::json!({"own/run": "0001"})]
        );
        assert_eq!(all[1]["metadata"]["name"], "b");
    }

    #[test]
    fn what_is_no_yaml_is_not_passed_on() {
        assert!(labelled("a: [", "k=v").is_err());
        assert!(labelled("a: 1", "k").unwrap_err().contains("key=value"));
    }
}
