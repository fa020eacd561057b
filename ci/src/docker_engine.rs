//! `docker-engine`: a real Docker engine, Debian's, without installing it; k3s in a container on it as far as that goes.
//!
//! Where there is no registry, it goes as far as the pull, whose failure must be one sentence with its remedy. Where there
//! is one, a cluster comes up, and goes.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use nix::unistd::Uid;

use crate::conformance::{Conformance, Subject};
use crate::host::{self, Snapshot};
use crate::leaks::ensure_nothing_left;
use crate::pause;
use crate::step::Step;

/// What an engine is made of, as Debian calls it. tini is what `docker-init` links to.
const PACKAGES: [&str; 4] = ["docker.io", "containerd", "runc", "tini"];
/// How long the engine may take to answer.
const ENGINE: Duration = Duration::from_secs(60);

/// Begins the engine in namespaces of its own: what it writes to /etc, /var and /run is gone with it. Its first
/// argument is the directory of its packages, its second the one it works in.
const BEGIN: &str = r#"
mount --make-rprivate /
for directory in etc var opt; do
    mkdir -p "$2/$directory" "$2/$directory-work"
    mount -t overlay overlay -o "lowerdir=/$directory,upperdir=$2/$directory,workdir=$2/$directory-work" "/$directory"
done
mount -t tmpfs tmpfs /run
ip link set lo up
export PATH="$1/usr/bin:$1/usr/sbin:$PATH"
exec dockerd --data-root "$2/data" --exec-root "$2/exec" --pidfile "$2/pid" --host "unix://$2/docker.sock" \
    --iptables=false --ip6tables=false --bridge=none
"#;

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    subject: Subject,
}

/// The engine. It ends with this value.
struct Engine(Child);

impl Drop for Engine {
    fn drop(&mut self) {
        // First of its pid namespace's outside: the kernel ends everything in it. It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How far a cluster came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// It was up, and went.
    Cluster,
    /// Its image could not be pulled, and that was said well.
    Pull,
}

impl fmt::Display for Reached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Reached::Cluster => "k3s came up in a container of a real engine, and went",
            Reached::Pull => {
                "a real engine was driven up to the pull of k3s's image, whose failure was one sentence with its remedy"
            }
        })
    }
}

/// Fetches the packages, starts the engine, brings a cluster up on it.
///
/// # Errors
/// When it neither comes up nor says why and what helps, or when anything is left.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    host::adopt_orphans()?;
    println!("{}", check(&options.subject.program(root)?)?);
    Ok(())
}

/// The same with a program that is there, by a process that has adopted orphans.
///
/// # Errors
/// As of [`run`].
pub(crate) fn check(program: &Conformance) -> anyhow::Result<Reached> {
    ensure!(Uid::effective().is_root(), "a Docker engine wants root: run this as root");
    let scratch = tempfile::tempdir()?;
    let before = Snapshot::take();
    let (packages, work) = (scratch.path().join("packages"), scratch.path().join("work"));
    for directory in [&packages, &work] {
        std::fs::create_dir(directory)?;
    }
    unpack(&packages)?;
    let engine = begin(&packages, &work)?;
    let socket = work.join("docker.sock");
    wait_for(&packages, &socket)?;
    let began = Instant::now();
    let words = ["cluster", "up", "engine", "--cluster", "k3s", "--mesh", "none", "--timeout", "120"];
    let answer = told(&mut program.command(&words), &packages, &socket, scratch.path())?;
    println!("{}{}    {:.1} s", answer.out, answer.err, began.elapsed().as_secs_f64());
    let reached = judge(&answer)?;
    if reached == Reached::Cluster {
        let gone =
            told(&mut program.command(&["cluster", "gc", "engine"]), &packages, &socket, scratch.path())?;
        ensure!(gone.code == Some(0), "the cluster came up and did not go:\n{}{}", gone.out, gone.err);
    }
    let containers = docker(&packages, &socket, &["container", "ls", "--all", "--quiet"]).output()?;
    ensure!(
        containers.stdout.is_empty(),
        "a container is left: {}",
        String::from_utf8_lossy(&containers.stdout)
    );
    let ledgers = scratch.path().join("cache/real-clusters");
    let ledgers = std::fs::read_dir(ledgers).map_or(0, Iterator::count);
    ensure!(ledgers == 0, "{ledgers} ledgers are left");
    drop(engine);
    scratch.close()?;
    ensure_nothing_left(&before, tempfile::tempdir()?.path())?;
    Ok(reached)
}

/// What a program left.
struct Answer {
    code: Option<i32>,
    out: String,
    err: String,
}

fn told(command: &mut Command, packages: &Path, socket: &Path, scratch: &Path) -> anyhow::Result<Answer> {
    let host = format!("unix://{}", socket.display());
    command.env("PATH", path(packages)?).env("DOCKER_HOST", host).stdin(Stdio::null());
    command.env("SELDON_CONFORMANCE_CACHE", scratch.join("cache")).env("TMPDIR", scratch);
    let output = command.output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Answer { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
}

/// Up; or one sentence that says that the image cannot be pulled, and what helps.
fn judge(answer: &Answer) -> anyhow::Result<Reached> {
    match answer.code {
        Some(0) => Ok(Reached::Cluster),
        Some(3) => {
            let errors: Vec<&str> =
                answer.err.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
            let [sentence] = errors.as_slice() else { bail!("not one sentence, but {errors:?}") };
            for words in ["cannot start the container", "rancher/k3s", "--mirror DIR"] {
                ensure!(sentence.contains(words), "{words:?} is not in what was said: {sentence}");
            }
            Ok(Reached::Pull)
        }
        code => bail!("exit code {code:?}:\n{}", answer.err),
    }
}

/// Fetches the packages through apt and unpacks them; nothing is installed.
fn unpack(packages: &Path) -> anyhow::Result<()> {
    let words: Vec<&str> = ["download"].into_iter().chain(PACKAGES).collect();
    Step { environment: &[], program: "apt-get", arguments: &words }.run(packages)?;
    for entry in std::fs::read_dir(packages)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            let file = file.display().to_string();
            Step { environment: &[], program: "dpkg-deb", arguments: &["--extract", &file, "."] }
                .run(packages)?;
        }
    }
    // It names a path of an installed package.
    let init = packages.join("usr/bin/docker-init");
    if init.is_symlink() {
        std::fs::remove_file(&init)?;
    }
    std::fs::copy(packages.join("usr/bin/tini-static"), init).context("docker-init")?;
    Ok(())
}

fn path(packages: &Path) -> anyhow::Result<OsString> {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(packages.join("usr/bin")).chain(std::env::split_paths(&own));
    Ok(std::env::join_paths(all)?)
}

fn begin(packages: &Path, work: &Path) -> anyhow::Result<Engine> {
    let log = std::fs::File::create(work.join("log"))?;
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--kill-child=SIGKILL",
        "--mount-proc",
        "sh",
        "-ec",
        BEGIN,
    ]);
    command.arg("sh").arg(packages).arg(work);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(Engine(command.spawn().context("unshare")?))
}

fn docker(packages: &Path, socket: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(packages.join("usr/bin/docker"));
    command.arg("--host").arg(format!("unix://{}", socket.display())).args(words).stdin(Stdio::null());
    command
}

/// Waits until the engine answers, or says what it said instead.
fn wait_for(packages: &Path, socket: &Path) -> anyhow::Result<()> {
    let answers = || {
        let asked = docker(packages, socket, &["version", "--format", "{{.Server.Version}}"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    if pause::until(ENGINE, answers) {
        return Ok(());
    }
    let log = socket.with_file_name("log");
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let last: Vec<&str> = text.lines().rev().take(5).collect();
    bail!("the engine did not answer within {} s; it said last:\n{}", ENGINE.as_secs(), last.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: i32, err: &str) -> Answer {
        Answer { code: Some(code), out: String::new(), err: err.into() }
    }

    #[test]
    fn only_a_sentence_with_its_remedy_is_good_enough() {
        let fine = "error: cannot start the container: rancher/k3s: no such host; run with --mirror DIR\n";
        assert_eq!(judge(&answer(3, fine)).unwrap(), Reached::Pull);
        assert_eq!(judge(&answer(0, "")).unwrap(), Reached::Cluster);
        for bad in ["", "error: cannot start the container: rancher/k3s: no such host\n", "thread panicked\n"]
        {
            assert!(judge(&answer(3, bad)).is_err(), "{bad}");
        }
        assert!(judge(&answer(101, fine)).is_err());
    }
}
