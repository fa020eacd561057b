//! What the output of a program must say for its step to have been done.

use std::fmt;

use serde_json::Value;

use crate::tool::{Tool, Version};

/// What the output of a program must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// That it succeeded is enough.
    Success,
    /// The version of a program, which must not be too old.
    Version(&'static Tool),
    /// k3d's list of clusters, with none of this name but ours.
    NameIsFree(String),
    /// k3d's list of clusters: one of this name, if there is any, has this owner.
    IsOf {
        /// The name.
        name: String,
        /// The owner.
        owner: String,
    },
    /// Owners, each on a line, all of them this one.
    OnlyOf(String),
    /// What `crictl images` lists, with all of these.
    ListsImages(Vec<String>),
    /// A SHA-256, as `sha256sum` prints it.
    Sha256(String),
    /// Nothing at all.
    Nothing,
    /// That the kernel forwards packets.
    Forwarding,
    /// Lines of which none begins with this word.
    Lacks(String),
}

/// Label of clusters that this program made.
pub(crate) const OWNER_LABEL: &str = "seldon-conformance.owner";

impl Expectation {
    /// Looks at what a program wrote to standard output.
    ///
    /// # Errors
    /// What is not as expected, with the remedy where there is one.
    pub fn judge(&self, stdout: &str) -> Result<(), String> {
        match self {
            Expectation::Success => Ok(()),
            Expectation::Version(tool) => {
                tool.accept(stdout).map(|_: Version| ()).map_err(|error| error.to_string())
            }
            Expectation::NameIsFree(name) => name_is_free(name, stdout),
            Expectation::IsOf { name, owner } => is_of(name, owner, stdout),
            Expectation::OnlyOf(owner) => match stdout.lines().find(|line| line.trim() != owner) {
                None => Ok(()),
                Some(other) => Err(format!("it belongs to {other:?}, not to {owner}, and is left alone")),
            },
            Expectation::ListsImages(images) => lists_images(images, stdout),
            Expectation::Sha256(expected) => match stdout.split_whitespace().next() {
                Some(found) if found == expected => Ok(()),
                found => Err(format!("its SHA-256 is {} instead of {expected}", found.unwrap_or("unknown"))),
            },
            Expectation::Nothing if stdout.trim().is_empty() => Ok(()),
            Expectation::Nothing => Err(format!(
                "there is one already: {}; choose another name, or delete what nobody uses with `seldon-conformance cluster \
                 gc`",
                stdout.trim()
            )),
            Expectation::Forwarding if stdout.trim() == "1" => Ok(()),
            Expectation::Forwarding => {
                Err("this machine does not forward packets, so no image can be pulled; as root: \
                                            `sysctl -w net.ipv4.ip_forward=1`, or run with --mirror DIR"
                    .into())
            }
            Expectation::Lacks(word) => {
                match stdout.lines().any(|line| line.split_whitespace().next() == Some(word)) {
                    false => Ok(()),
                    true => Err(format!("{word} is still there")),
                }
            }
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expectation::Success => formatter.write_str("success"),
            Expectation::Version(tool) => write!(formatter, "{} {} or newer", tool.name, tool.oldest),
            Expectation::NameIsFree(name) => write!(formatter, "no cluster {name}"),
            Expectation::IsOf { name, owner } => write!(formatter, "no cluster {name}, or one of {owner}"),
            Expectation::OnlyOf(owner) => write!(formatter, "{owner}, or nothing"),
            Expectation::ListsImages(images) => write!(formatter, "{}", images.join(", ")),
            Expectation::Sha256(digest) => write!(formatter, "{digest}"),
            Expectation::Nothing => formatter.write_str("nothing"),
            Expectation::Forwarding => formatter.write_str("1"),
            Expectation::Lacks(word) => write!(formatter, "no {word}"),
        }
    }
}

/// k3d's own JSON, or what went before it.
fn json(stdout: &str) -> Result<Value, String> {
    let begin = stdout.find(['[', '{']).unwrap_or(0);
    serde_json::from_str(&stdout[begin..]).map_err(|error| format!("its answer is no JSON: {error}"))
}

fn is_of(name: &str, wanted: &str, stdout: &str) -> Result<(), String> {
    let list = json(stdout)?;
    let clusters = list.as_array().map(Vec::as_slice).unwrap_or_default();
    match clusters.iter().find(|cluster| cluster["name"] == name).map(owner) {
        None => Ok(()),
        Some(Some(owner)) if owner == wanted => Ok(()),
        Some(other) => {
            let other = other.unwrap_or("somebody else");
            Err(format!("the k3d cluster {name} belongs to {other}, not to {wanted}, and is left alone"))
        }
    }
}

fn name_is_free(name: &str, stdout: &str) -> Result<(), String> {
    let list = json(stdout)?;
    let clusters = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(found) = clusters.iter().find(|cluster| cluster["name"] == name) else { return Ok(()) };
    let owner = owner(found);
    Err(match owner {
        None => format!(
            "there is a k3d cluster {name} that this program did not make; choose another name, or delete it yourself \
             with `k3d cluster delete {name}`"
        ),
        Some(owner) => format!(
            "there is a k3d cluster {name} of {owner} already; choose another name, reuse it with --reuse, or delete what \
             nobody uses with `seldon-conformance cluster gc`"
        ),
    })
}

/// Who made a cluster of k3d's list, if it was this program.
pub(crate) fn owner(cluster: &Value) -> Option<&str> {
    let nodes = cluster["nodes"].as_array()?;
    nodes.iter().find_map(|node| node["runtimeLabels"][OWNER_LABEL].as_str())
}

fn lists_images(images: &[String], stdout: &str) -> Result<(), String> {
    let list = json(stdout)?;
    let entries = list["images"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tags: Vec<&str> = entries
        .iter()
        .flat_map(|entry| entry["repoTags"].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let missing: Vec<&str> = images
        .iter()
        .map(String::as_str)
        .filter(|image| !tags.iter().any(|tag| *tag == canonical(image)))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!("{} is not there", missing.join(", "))),
    }
}

/// An image's name as containerd writes it.
pub(crate) fn canonical(image: &str) -> String {
    let tagged = match image.rsplit_once('/').map_or(image, |(_, last)| last).contains([':', '@']) {
        true => image.to_owned(),
        false => format!("{image}:latest"),
    };
    match tagged.split_once('/') {
        None => format!("docker.io/library/{tagged}"),
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => tagged,
        Some(_) => format!("docker.io/{tagged}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("busybox", "docker.io/library/busybox:latest")]
    #[case("busybox:1.37", "docker.io/library/busybox:1.37")]
    #[case("rancher/k3s:v1.33.1-k3s1", "docker.io/rancher/k3s:v1.33.1-k3s1")]
    #[case("seldon-conformance/toolbox:1", "docker.io/seldon-conformance/toolbox:1")]
    #[case("quay.io/tigera/operator:v1", "quay.io/tigera/operator:v1")]
    #[case("localhost:5000/a/b", "localhost:5000/a/b:latest")]
    fn images_are_called_as_containerd_calls_them(#[case] image: &str, #[case] name: &str) {
        assert_eq!(canonical(image), name);
    }

    const LIST: &str = r#"[{"name":"mine","nodes":[{"name":"k3d-mine-server-0","role":"server","runtimeLabels":{"seldon-conformance.owner":"anna@host/7"}}]},
        {"name":"theirs","nodes":[{"name":"k3d-theirs-server-0","role":"server","runtimeLabels":{"app":"k3d"}}]}]"#;

    #[rstest]
    #[case::free("new", None)]
    #[case::ours("mine", Some("of anna@host/7 already"))]
    #[case::somebody_elses("theirs", Some("this program did not make"))]
    fn a_name_is_free_or_says_whose_it_is(#[case] name: &str, #[case] said: Option<&str>) {
        let judged = Expectation::NameIsFree(name.into()).judge(LIST);
        match said {
            None => assert_eq!(judged, Ok(())),
            Some(said) => assert!(judged.clone().unwrap_err().contains(said), "{judged:?}"),
        }
    }

    #[rstest]
    #[case::gone("new", "anna@host/7", true)]
    #[case::ours("mine", "anna@host/7", true)]
    #[case::of_another_process("mine", "anna@host/8", false)]
    #[case::somebody_elses("theirs", "anna@host/7", false)]
    fn what_is_deleted_is_ours(#[case] name: &str, #[case] owner: &str, #[case] fine: bool) {
        let expected = Expectation::IsOf { name: name.into(), owner: owner.into() };
        assert_eq!(expected.judge(LIST).is_ok(), fine);
    }

    #[rstest]
    #[case::gone("", true)]
    #[case::ours("a\n", true)]
    #[case::without_label("\n", false)]
    #[case::somebody_elses("b\n", false)]
    fn a_container_is_ours_or_left_alone(#[case] stdout: &str, #[case] fine: bool) {
        assert_eq!(Expectation::OnlyOf("a".into()).judge(stdout).is_ok(), fine);
    }

    #[rstest]
    #[case::there(r#"{"images":[{"repoTags":["docker.io/a/b:1"]},{"repoTags":[]}]}"#, true)]
    #[case::other_tag(r#"{"images":[{"repoTags":["docker.io/a/b:2"]}]}"#, false)]
    #[case::none(r#"{"images":[]}"#, false)]
    #[case::no_json("FATA[0000] connect: no such file", false)]
    fn images_are_found_or_named(#[case] stdout: &str, #[case] found: bool) {
        assert_eq!(Expectation::ListsImages(vec!["a/b:1".into()]).judge(stdout).is_ok(), found);
    }

    #[rstest]
    #[case::gone(Expectation::Lacks("cf1".into()), "cf2 (id: 0)\n", true)]
    #[case::there(Expectation::Lacks("cf1".into()), "cf1 (id: 0)\n", false)]
    #[case::nothing(Expectation::Nothing, "\n", true)]
    #[case::something(Expectation::Nothing, "0a1b\n", false)]
    #[case::forwards(Expectation::Forwarding, "1\n", true)]
    #[case::does_not(Expectation::Forwarding, "0\n", false)]
    #[case::same(Expectation::Sha256("aa".into()), "aa  file\n", true)]
    #[case::other(Expectation::Sha256("aa".into()), "bb  file\n", false)]
    fn short_answers_are_judged(#[case] expected: Expectation, #[case] stdout: &str, #[case] fine: bool) {
        assert_eq!(expected.judge(stdout).is_ok(), fine);
    }
}
