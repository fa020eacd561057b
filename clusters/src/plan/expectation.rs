//! What the output of a program must say for its step to have been done.

use std::fmt;

use image::full_reference;
use serde_json::Value;

use crate::tool::{Tool, Version};

/// What the output of a program must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// That it succeeded is enough.
    Success,
    /// The version of a program, which must not be too old.
    Version(&'static Tool),
    /// Owners of the containers of this name, each on a line: none at all.
    NameIsFree(String),
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
    /// This address, as a name server's answer.
    Answers(&'static str),
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
            Expectation::Answers(address) => answers(address, stdout),
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
            Expectation::NameIsFree(_) => formatter.write_str("nothing"),
            Expectation::OnlyOf(owner) => write!(formatter, "{owner}, or nothing"),
            Expectation::ListsImages(images) => write!(formatter, "{}", images.join(", ")),
            Expectation::Sha256(digest) => write!(formatter, "{digest}"),
            Expectation::Nothing => formatter.write_str("nothing"),
            Expectation::Forwarding => formatter.write_str("1"),
            Expectation::Answers(address) => formatter.write_str(address),
            Expectation::Lacks(word) => write!(formatter, "no {word}"),
        }
    }
}

/// What `crictl` prints, without what went before it.
fn json(stdout: &str) -> Result<Value, String> {
    let begin = stdout.find(['[', '{']).unwrap_or(0);
    serde_json::from_str(&stdout[begin..]).map_err(|error| format!("its answer is no JSON: {error}"))
}

fn name_is_free(name: &str, stdout: &str) -> Result<(), String> {
    let Some(owner) = stdout.lines().next() else { return Ok(()) };
    Err(match owner.trim() {
        "" => format!(
            "there is a cluster {name} that this program did not make; choose another name, or delete it yourself"
        ),
        owner => format!(
            "there is a cluster {name} of {owner} already; choose another name, or delete what nobody uses with \
             `seldon-conformance cluster gc`"
        ),
    })
}

fn answers(address: &str, stdout: &str) -> Result<(), String> {
    if stdout.split_whitespace().any(|word| word == address) {
        return Ok(());
    }
    let last = stdout.lines().map(str::trim).rfind(|line| !line.is_empty());
    Err(format!("the answer is not {address}, but: {}", last.unwrap_or("nothing")))
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
        .filter(|image| !tags.iter().any(|tag| *tag == full_reference(image)))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!("{} is not there", missing.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::free("", None)]
    #[case::ours("anna.host.7\n", Some("of anna.host.7 already"))]
    #[case::somebody_elses("\n", Some("this program did not make"))]
    fn a_name_is_free_or_says_whose_it_is(#[case] stdout: &str, #[case] said: Option<&str>) {
        let judged = Expectation::NameIsFree("a".into()).judge(stdout);
        match said {
            None => assert_eq!(judged, Ok(())),
            Some(said) => assert!(judged.clone().unwrap_err().contains(said), "{judged:?}"),
        }
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
    #[case::answer(
        Expectation::Answers("10.43.0.1"),
        "Server:\t\t10.43.0.10\nAddress:\t10.43.0.10:53\n\nName:\ta\nAddress: 10.43.0.1\n",
        true
    )]
    #[case::no_answer(
        Expectation::Answers("10.43.0.1"),
        "Server:\t\t10.43.0.10\nAddress:\t10.43.0.10:53\n\n",
        false
    )]
    #[case::other_answer(Expectation::Answers("10.43.0.1"), "Name:\ta\nAddress: 10.43.0.11\n", false)]
    #[case::forwards(Expectation::Forwarding, "1\n", true)]
    #[case::does_not(Expectation::Forwarding, "0\n", false)]
    #[case::same(Expectation::Sha256("aa".into()), "aa  file\n", true)]
    #[case::other(Expectation::Sha256("aa".into()), "bb  file\n", false)]
    fn short_answers_are_judged(#[case] expected: Expectation, #[case] stdout: &str, #[case] fine: bool) {
        assert_eq!(expected.judge(stdout).is_ok(), fine);
    }
}
