//! Programs of others that real clusters need: which version, how it is asked for, how it is installed.

use std::fmt;

use crate::command::{Command, CommandError, QUESTION};

/// A program of somebody else.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// As it is called.
    pub name: &'static str,
    /// What makes it say its version.
    pub version: &'static [&'static str],
    /// The oldest that will do.
    pub oldest: Version,
    /// The command that installs it.
    pub install: &'static str,
}

/// A version, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Why a program cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// There is none.
    #[error("{name} is not installed: `{install}`")]
    Missing {
        /// As it is called.
        name: &'static str,
        /// The command that installs it.
        install: &'static str,
    },
    /// There is an older one.
    #[error("{name} {found} is too old, {oldest} or newer is needed: `{install}`")]
    TooOld {
        /// As it is called.
        name: &'static str,
        /// Which version there is.
        found: Version,
        /// Which version will do.
        oldest: Version,
        /// The command that installs it.
        install: &'static str,
    },
    /// It says something else than a version.
    #[error("{name} does not say its version but {said:?}; is it {name}? `{install}`")]
    Strange {
        /// As it is called.
        name: &'static str,
        /// What it says.
        said: String,
        /// The command that installs it.
        install: &'static str,
    },
    /// It does not run.
    #[error(transparent)]
    Failed(#[from] CommandError),
}

/// k3d. Its configuration files are `k3d.io/v1alpha5`, which 5.5 brought.
pub static K3D: Tool = Tool {
    name: "k3d",
    version: &["version"],
    oldest: Version(5, 5, 0),
    install: "curl -s https://raw.githubusercontent.com/k3d-io/k3d/main/install.sh | bash",
};
/// The Docker client.
pub static DOCKER: Tool = Tool {
    name: "docker",
    version: &["--version"],
    oldest: Version(20, 10, 5),
    install: "apt-get install docker.io",
};
/// k3s itself.
pub static K3S: Tool = Tool {
    name: "k3s",
    version: &["--version"],
    oldest: Version(1, 27, 0),
    install: "curl -sfL https://get.k3s.io | INSTALL_K3S_VERSION=v1.33.1+k3s1 INSTALL_K3S_SKIP_START=true INSTALL_K3S_SKIP_ENABLE=true sh -",
};
/// kubectl, for people.
pub static KUBECTL: Tool = Tool {
    name: "kubectl",
    version: &["version", "--client"],
    oldest: Version(1, 27, 0),
    install: "curl -Lo /usr/local/bin/kubectl https://dl.k8s.io/release/v1.33.1/bin/linux/amd64/kubectl && chmod +x /usr/local/bin/kubectl",
};
/// helm, for real charts.
pub static HELM: Tool = Tool {
    name: "helm",
    version: &["version", "--short"],
    oldest: Version(3, 12, 0),
    install: "curl -s https://raw.githubusercontent.com/helm/helm/main/scripts/get-helm-3 | bash",
};
/// Go, which builds a Kubernetes and helm. Debian 12 has an older one.
pub static GO: Tool = Tool {
    name: "go",
    version: &["version"],
    oldest: Version(1, 24, 0),
    install: "curl -sL https://go.dev/dl/go1.24.4.linux-amd64.tar.gz | tar -xz -C /usr/local && ln -sf /usr/local/go/bin/go /usr/local/bin/",
};
/// curl, which fetches the manifests of what is installed on k3d and k3s.
pub static CURL: Tool = Tool {
    name: "curl",
    version: &["--version"],
    oldest: Version(7, 10, 3),
    install: "apt-get install curl",
};

impl Tool {
    /// What makes it say its version.
    pub fn ask(&self) -> Command {
        Command::new(self.name).args(self.version).within(QUESTION)
    }

    /// Reads the version from what the program said.
    ///
    /// # Errors
    /// That it is too old, or none.
    pub fn accept(&self, said: &str) -> Result<Version, ToolError> {
        let Some(found) = version_in(said) else {
            let said = said.lines().next().unwrap_or_default().to_owned();
            return Err(ToolError::Strange { name: self.name, said, install: self.install });
        };
        if found < self.oldest {
            let Tool { name, oldest, install, .. } = *self;
            return Err(ToolError::TooOld { name, found, oldest, install });
        }
        Ok(found)
    }

    /// Runs it to see which version there is.
    ///
    /// # Errors
    /// That there is none, or one that will not do, with the command that installs it.
    pub fn check(&self) -> Result<Version, ToolError> {
        match self.ask().run_bounded(None, &|| false) {
            Ok(output) => self.accept(&output.stdout),
            Err(CommandError::Start { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Err(ToolError::Missing { name: self.name, install: self.install })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The remedy where `error` says that this very program is missing.
    pub(crate) fn of(program: &str) -> Option<&'static Tool> {
        [&K3D, &DOCKER, &K3S, &KUBECTL, &HELM, &GO, &CURL].into_iter().find(|tool| tool.name == program)
    }
}

/// The first `major.minor[.patch]` in a text.
fn version_in(text: &str) -> Option<Version> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.')).find_map(|word| {
        let mut numbers = word.split('.').map(str::parse::<u32>);
        let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(Version(major, minor, numbers.next().and_then(Result::ok).unwrap_or(0)))
    })
}

/// How the Docker daemon stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Daemon {
    /// It answers, with its version.
    Answers(String),
    /// There is no client to ask with.
    NoClient,
    /// Nobody answers.
    Silent,
    /// It is there, and not for this user.
    Forbidden,
}

/// The question that a daemon answers.
pub(crate) fn ask_daemon() -> Command {
    Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).within(QUESTION)
}

/// Asks the Docker daemon which version it is.
pub fn daemon() -> Daemon {
    match ask_daemon().run_bounded(None, &|| false) {
        Ok(output) => Daemon::Answers(output.stdout.trim().to_owned()),
        Err(CommandError::Start { .. }) => Daemon::NoClient,
        Err(error) if error.stderr().contains("permission denied") => Daemon::Forbidden,
        Err(_) => Daemon::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::k3d(&K3D, "k3d version v5.8.3\nk3s version v1.31.5-k3s1 (default)\n", Version(5, 8, 3))]
    #[case::docker(&DOCKER, "Docker version 28.2.2, build e6534b4\n", Version(28, 2, 2))]
    #[case::k3s(&K3S, "k3s version v1.33.1+k3s1 (99d91538)\ngo version go1.24.2\n", Version(1, 33, 1))]
    #[case::helm(&HELM, "v3.18.0+gcc58e3f\n", Version(3, 18, 0))]
    #[case::go(&GO, "go version go1.26.8 linux/amd64\n", Version(1, 26, 8))]
    #[case::curl(&CURL, "curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1\n", Version(7, 88, 1))]
    #[case::kubectl(&KUBECTL, "Client Version: v1.32.4\nKustomize Version: v5.5.0\n", Version(1, 32, 4))]
    fn versions_are_read_as_they_are_printed(
        #[case] tool: &Tool,
        #[case] said: &str,
        #[case] version: Version,
    ) {
        assert_eq!(tool.accept(said).unwrap(), version);
    }

    #[test]
    fn an_old_one_is_named_with_the_command_that_installs_a_new_one() {
        let error = K3D.accept("k3d version v4.4.8\n").unwrap_err().to_string();
        assert!(error.starts_with("k3d 4.4.8 is too old, 5.5.0 or newer is needed: `curl "), "{error}");
    }

    #[test]
    fn what_is_no_version_is_quoted() {
        let error = K3D.accept("hello\n").unwrap_err().to_string();
        assert!(error.contains("\"hello\"") && error.contains("is it k3d?"), "{error}");
    }

    #[test]
    fn a_missing_program_comes_with_the_command_that_installs_it() {
        static NOWHERE: Tool = Tool {
            name: "no-such-tool",
            version: &[],
            oldest: Version(1, 0, 0),
            install: "get no-such-tool",
        };
        assert_eq!(
            NOWHERE.check().unwrap_err().to_string(),
            "no-such-tool is not installed: `get no-such-tool`"
        );
    }
}
