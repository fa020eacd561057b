//! Which link hangs which pod on the node: what the network's plugins have told containerd.
//!
//! containerd keeps their answers in files for as long as a pod has its network. They say it also of a link that is down,
//! whose routes the kernel has removed.

use std::fs;
use std::path::Path;

use anyhow::Context;
use embedded::PodName;
use serde::Deserialize;

/// Where containerd's library for plugins keeps answers.
const RESULTS: &str = "/var/lib/cni/results";

/// A pod's attachment, as far as anybody here asks.
#[derive(Debug, Deserialize)]
struct Attachment {
    #[serde(rename = "cniArgs", default)]
    arguments: Vec<(String, String)>,
    result: Answer,
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    interfaces: Vec<Interface>,
}

#[derive(Debug, Deserialize)]
struct Interface {
    name: String,
    /// The pod's network namespace, of what is inside.
    #[serde(default)]
    sandbox: String,
}

impl Attachment {
    fn is_of(&self, pod: &PodName) -> bool {
        let says =
            |name: &str, value: &str| self.arguments.iter().any(|(key, it)| key == name && it == value);
        says("K8S_POD_NAMESPACE", &pod.namespace) && says("K8S_POD_NAME", &pod.pod)
    }

    /// The node's end: a plugin that hangs it on a bridge names the bridge first.
    fn link(self) -> Option<String> {
        let on_node = self.result.interfaces.into_iter().filter(|it| it.sandbox.is_empty());
        on_node.map(|it| it.name).next_back()
    }
}

/// The link of `pod` on the node, if it has one.
///
/// # Errors
/// That the answers cannot be read.
pub(crate) fn link_of(pod: &PodName) -> anyhow::Result<Option<String>> {
    in_directory(Path::new(RESULTS), pod)
}

fn in_directory(results: &Path, pod: &PodName) -> anyhow::Result<Option<String>> {
    let unreadable = || format!("cannot read the plugins' answers in {}", results.display());
    for entry in fs::read_dir(results).with_context(unreadable)? {
        // A pod's may go at any time.
        let Ok(text) = fs::read_to_string(entry.with_context(unreadable)?.path()) else { continue };
        let Ok(attachment) = serde_json::from_str::<Attachment>(&text) else { continue };
        if attachment.is_of(pod)
            && let Some(link) = attachment.link()
        {
            return Ok(Some(link));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn answer(namespace: &str, pod: &str, interfaces: &Value) -> String {
        json!({
            "kind": "cniCacheV1", "containerId": "1f2e", "ifName": "eth0",
            "cniArgs": [["IgnoreUnknown", "1"], ["K8S_POD_NAMESPACE", namespace], ["K8S_POD_NAME", pod]],
            "result": {"cniVersion": "1.0.0", "interfaces": interfaces, "ips": []},
        })
        .to_string()
    }

    #[rstest]
    #[case::bridged("bridged", Some("veth5d0c"))]
    #[case::routed("routed", Some("cali82a9c9cc7e9"))]
    #[case::nobody("nobody", None)]
    fn a_pods_link_is_what_its_plugin_made_on_the_node(#[case] pod: &str, #[case] link: Option<&str>) {
        let results = tempfile::tempdir().unwrap();
        let bridged =
            json!([{"name": "cni0"}, {"name": "veth5d0c"}, {"name": "eth0", "sandbox": "/run/netns/a"}]);
        let routed = json!([{"name": "cali82a9c9cc7e9"}]);
        let files = [
            ("loopback", json!({"kind": "cniCacheV1", "result": {"cniVersion": "1.0.0"}}).to_string()),
            ("half", "{\"kind\":".to_owned()),
            ("other", answer("other", "bridged", &routed)),
            ("bridged", answer("t", "bridged", &bridged)),
            ("routed", answer("t", "routed", &routed)),
        ];
        for (name, text) in files {
            fs::write(results.path().join(name), text).unwrap();
        }
        let pod = PodName { namespace: "t".into(), pod: pod.into() };
        assert_eq!(in_directory(results.path(), &pod).unwrap().as_deref(), link);
    }
}
