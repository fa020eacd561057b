//! `kill9 N`: a run is killed at random moments; nothing may be left of it.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::conformance::{Conformance, Subject};
use crate::host::{self, Snapshot};
use crate::leaks::{GRACE, ensure_nothing_left};
use crate::pause;
use crate::process_tree::{self, Process};

/// How long a run may go on after its cluster was killed and it was interrupted: it diagnoses, undoes and records.
const AFTERMATH: Duration = Duration::from_secs(120);
/// Processes between the harness and a cluster's pods: the re-executed one, pid 1, the supervisor.
const SUPERVISORS: usize = 3;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many times.
    #[arg(default_value_t = 20)]
    times: u32,
    /// The one case that is run: a filter and options of `seldon-conformance run`. Stands last.
    #[arg(long, num_args = 1.., allow_hyphen_values = true, default_values = ["the controller is cut off", "--cni", "calico"])]
    case: Vec<String>,
    /// Where the random moments come from; printed, so that a failure can be repeated.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    subject: Subject,
}

/// Whom a shot hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Harness,
    /// One of [`SUPERVISORS`], from the outside in.
    Supervisor(usize),
}

/// A sequence of numbers that looks random: splitmix64.
#[derive(Debug)]
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A moment before `end`.
    fn moment(&mut self, end: Duration) -> Duration {
        // 53 bits are what a float holds.
        end.mul_f64((self.next() >> 11) as f64 / (1u64 << 53) as f64)
    }
}

/// Shoots and looks, N times.
///
/// # Errors
/// At the first thing that is left, naming it.
pub(crate) fn run(root: &std::path::Path, options: &Options) -> anyhow::Result<()> {
    host::adopt_orphans()?;
    let conformance = options.subject.program(root)?;
    let seed = options.seed.unwrap_or_else(|| jiff::Timestamp::now().as_microsecond().unsigned_abs());
    println!("seed {seed}");
    let mut numbers = Numbers(seed);
    let began = Instant::now();
    let case: Vec<&str> = options.case.iter().map(String::as_str).collect();
    let whole = conformance.run(&case)?;
    let cases = whole.summary.as_ref().map_or(0, |summary| summary.cases.len());
    ensure!(cases == 1, "{:?} are {cases} cases; exactly one is to be run", options.case);
    ensure!(whole.code == Some(0), "the case is not green before anything is killed:\n{}", whole.output);
    let length = began.elapsed();
    println!("uninterrupted: {:.1} s", length.as_secs_f64());
    for round in 1..=options.times {
        let victim = match numbers.next() % 2 {
            0 => Victim::Harness,
            _ => Victim::Supervisor((numbers.next() % SUPERVISORS as u64) as usize),
        };
        let moment = numbers.moment(length);
        let hit = shot(&conformance, &case, victim, moment).with_context(|| {
            format!("round {round}, {victim:?} at {:.2} s, seed {seed}", moment.as_secs_f64())
        })?;
        println!("{round:>3}  {:>6.2} s  {victim:?}: {hit}; nothing left", moment.as_secs_f64());
    }
    Ok(())
}

/// One run, one kill; says what was hit.
fn shot(
    conformance: &Conformance,
    case: &[&str],
    victim: Victim,
    moment: Duration,
) -> anyhow::Result<String> {
    let scratch = tempfile::tempdir()?;
    let records = tempfile::tempdir()?;
    let before = Snapshot::take();
    let mut command = conformance.command(&["run"]);
    command
        .args(case)
        .arg("--records")
        .arg(records.path())
        .env("TMPDIR", scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut harness = command.spawn().context("seldon-conformance")?;
    // Its end before the moment is fine too: then there is nothing to hit.
    let ended = pause::until(moment, || harness.try_wait().is_ok_and(|status| status.is_some()));
    let hit = if ended { "it had ended".to_owned() } else { fire(&mut harness, victim)? };
    ensure_nothing_left(&before, scratch.path())?;
    Ok(hit)
}

/// Kills the victim, sees everything below it gone in time, and waits for the harness's end.
fn fire(harness: &mut Child, victim: Victim) -> anyhow::Result<String> {
    let harness_pid = i32::try_from(harness.id())?;
    let target = match victim {
        Victim::Harness => Process::find(harness_pid),
        Victim::Supervisor(depth) => supervisor(harness_pid, depth),
    };
    let Some(target) = target else {
        // No cluster at this moment: the harness is hit instead.
        return fire(harness, Victim::Harness);
    };
    let mut doomed = process_tree::below(target.pid);
    doomed.push(target.clone());
    kill(Pid::from_raw(target.pid), Signal::SIGKILL).context("kill")?;
    if target.pid == harness_pid {
        harness.wait()?;
    }
    let gone = pause::until(GRACE, || !doomed.iter().any(Process::is_alive));
    let alive: Vec<String> =
        doomed.iter().filter(|one| one.is_alive()).map(|one| format!("{} ({})", one.pid, one.name)).collect();
    if target.pid != harness_pid {
        // It would wait for its cluster until its patience ends.
        kill(Pid::from_raw(harness_pid), Signal::SIGINT).context("kill")?;
        let ended = pause::until(AFTERMATH, || harness.try_wait().is_ok_and(|status| status.is_some()));
        if !ended {
            harness.kill()?;
            harness.wait()?;
        }
        ensure!(ended, "the harness did not end within {} s of its cluster's end", AFTERMATH.as_secs());
    }
    ensure!(gone, "still there {} s after the kill: {}", GRACE.as_secs(), alive.join(", "));
    Ok(format!("{} processes ended", doomed.len()))
}

/// The process `depth` steps further in than the one that the harness started, if there is one now.
fn supervisor(harness: i32, depth: usize) -> Option<Process> {
    let all = process_tree::below(harness);
    let mut current = all.iter().find(|process| process.parent == harness)?;
    for _ in 0..depth {
        current = all.iter().find(|process| process.parent == current.pid)?;
    }
    Some(current.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_moments() {
        let moments = |seed| {
            let mut numbers = Numbers(seed);
            (0..100).map(|_| numbers.moment(Duration::from_secs(10))).collect::<Vec<_>>()
        };
        assert_eq!(moments(7), moments(7));
        assert_ne!(moments(7), moments(8));
        assert!(moments(7).iter().all(|moment| *moment < Duration::from_secs(10)));
        assert!(moments(7).iter().any(|moment| *moment > Duration::from_secs(8)));
    }
}
