//! What programs of others complain of, and what helps.

use crate::command::CommandError;
use crate::tool::Tool;

/// Words by which a complaint is known, all of them, and what helps.
const KNOWN: &[(&[&str], &str)] = &[
    (
        &["permission denied", "docker"],
        "this user may not talk to the Docker daemon: add it to the group (`usermod -aG docker $USER`, then log in again) or \
         run as root",
    ),
    (
        &["cannot connect to the docker daemon"],
        "no Docker daemon answers: start it (`systemctl start docker`) or set DOCKER_HOST",
    ),
    (
        &["docker.sock", "no such file"],
        "no Docker daemon answers: start it (`systemctl start docker`) or set DOCKER_HOST",
    ),
    (
        &["toomanyrequests"],
        "the registry limits how much is pulled: log in (`docker login`), wait, or pull once with `seldon-conformance mirror \
         pull DIR` and run with --mirror DIR",
    ),
    (
        &["pull rate limit"],
        "the registry limits how much is pulled: log in (`docker login`), wait, or pull once with `seldon-conformance mirror \
         pull DIR` and run with --mirror DIR",
    ),
    (
        &["manifest unknown"],
        "the registry has no such image: look at its name and tag in clusters/images.lock",
    ),
    (
        &["pull access denied"],
        "the registry has no such image, or not for you: look at its name and tag, or `docker login`",
    ),
    (
        &["no such host"],
        "the registry's name is not known here: without internet, pull on another machine with `seldon-conformance mirror \
         pull DIR` and run with --mirror DIR",
    ),
    (
        &["server misbehaving"],
        "the registry's name is not known here: without internet, pull on another machine with `seldon-conformance mirror \
         pull DIR` and run with --mirror DIR",
    ),
    (
        &["network is unreachable"],
        "without internet, pull on another machine with `seldon-conformance mirror pull DIR` and run with --mirror DIR",
    ),
    (
        &["registry-1.docker.io"],
        "the registry cannot be reached from here: set a proxy for the Docker daemon, or pull on another machine with \
         `seldon-conformance mirror pull DIR` and run with --mirror DIR",
    ),
    (&["port is already allocated"], "end what listens on that port (`ss -ltnp`), or choose another"),
    (&["address already in use"], "end what listens on that port (`ss -ltnp`), or choose another"),
    (
        &["cluster with that name already exists"],
        "choose another name, or end what nobody uses with `seldon-conformance cluster gc`",
    ),
    (
        &["no space left on device"],
        "make room (`docker system prune`), or move Docker's data to a larger file system",
    ),
    (
        &["too many open files"],
        "raise the limits of inotify: `sysctl -w fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288`",
    ),
    (
        &["no servers could be reached"],
        "what a node sends to the Service of CoreDNS is lost: see that the kernel filters bridges (`modprobe br_netfilter`) and \
         that no firewall of this machine drops 10.42.0.0/16 and 10.43.0.0/16",
    ),
    (&["operation not permitted", "unshare"], "run as root: namespaces of its own need it"),
];

/// A program's failure and what helps.
pub(crate) fn of(error: &CommandError) -> (String, Option<String>) {
    if let CommandError::Start { command, source } = error
        && source.kind() == std::io::ErrorKind::NotFound
    {
        let program = bare(command).split_whitespace().next().unwrap_or_default();
        let remedy = Tool::of(program).map(|tool| format!("install it: `{}`", tool.install));
        return (format!("{program} is not installed"), remedy);
    }
    let (_, remedy) = of_text(&format!("{error} {}", error.stderr()));
    let why = match (error, telling(error.stderr())) {
        (CommandError::Failed { command, .. }, Some(told)) => format!("`{}` failed: {told}", bare(command)),
        _ => error.to_string(),
    };
    (why, remedy)
}

/// A command line without the variables before it: for sentences.
fn bare(line: &str) -> &str {
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    match line.split_once(' ') {
        Some((word, rest)) if word.split_once('=').is_some_and(|(name, _)| is_name(name)) => bare(rest),
        _ => line,
    }
}

/// What a program that logs as logrus does complained of first: the rest is what followed from it.
fn telling(stderr: &str) -> Option<&str> {
    let begun =
        stderr.split_once("level=error msg=\"").or_else(|| stderr.split_once("level=fatal msg=\""))?.1;
    begun.lines().next().map(|line| line.trim_end().trim_end_matches('"'))
}

/// A complaint as it stands, and what helps.
pub(crate) fn of_text(text: &str) -> (String, Option<String>) {
    let lower = text.to_lowercase();
    let known = KNOWN.iter().find(|(words, _)| words.iter().all(|word| lower.contains(word)));
    (text.to_owned(), known.map(|(_, remedy)| (*remedy).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::daemon(
        "FATA[0000] Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "systemctl start docker"
    )]
    #[case::permission(
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
        "usermod -aG docker"
    )]
    #[case::rate("toomanyrequests: You have reached your pull rate limit", "mirror pull DIR")]
    #[case::image("manifest for rancher/k3s:v0 not found: manifest unknown", "images.lock")]
    #[case::offline(
        "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host",
        "--mirror DIR"
    )]
    #[case::port("Bind for 127.0.0.1:30080 failed: port is already allocated", "ss -ltnp")]
    #[case::inotify("failed to create fsnotify watcher: too many open files", "max_user_instances")]
    fn complaints_come_with_what_helps(#[case] said: &str, #[case] remedy: &str) {
        let found = of_text(said).1.unwrap();
        assert!(found.contains(remedy), "{found}");
    }

    #[test]
    fn a_missing_program_comes_with_the_command_that_installs_it() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        let error = CommandError::Start { command: "LOG_COLORS=false k3d version".into(), source };
        let (why, remedy) = of(&error);
        assert_eq!(why, "k3d is not installed");
        assert!(remedy.unwrap().contains("k3d-io/k3d/main/install.sh"));
    }

    #[test]
    fn the_first_complaint_of_several_is_the_telling_one() {
        let said = "time=\"a\" level=warning msg=\"hm\"\ntime=\"a\" level=error msg=\"no \\\"x\\\" here\"\ntime=\"a\" \
                    level=fatal msg=\"rolled back\"\n";
        assert_eq!(telling(said), Some("no \\\"x\\\" here"));
        assert_eq!(telling("plain words"), None);
    }

    #[test]
    fn what_is_not_known_is_said_as_it_stands() {
        assert_eq!(of_text("something else"), ("something else".to_owned(), None));
    }
}
