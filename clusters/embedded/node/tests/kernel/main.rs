//! Real pods on a real node: namespaces, mounts, packets. Each case runs in a process of its own that is root in fresh user,
//! mount, PID, network, UTS and IPC namespaces, with an API server in the same process; when it ends, the kernel takes all of
//! it away. Runs as root and as an ordinary user. Where namespaces are not to be had it says so and passes; with
//! `CONFORMANCE_REQUIRE=kernel` it fails instead.
//!
//! `cargo test -p embedded-node --test kernel [FILTER]`

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod world;

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("builtin") => builtin(&arguments),
        Some("case") => world::run_case(&arguments[2]),
        Some("inside") => world::inside(&arguments[2]),
        _ => run_all(&arguments[1..]),
    }
}

fn builtin(arguments: &[String]) -> ExitCode {
    match arguments.get(2).map(String::as_str) {
        Some("container-init") => embedded_node::container_init(arguments[3..].to_vec()),
        // A program of ours, to see how one is run.
        Some("show") => {
            println!(
                "argv0={} arguments={:?} pace={:?}",
                arguments[0],
                &arguments[3..],
                std::env::var("CONFORMANCE_PACE")
            );
            ExitCode::SUCCESS
        }
        other => {
            eprintln!("no builtin {other:?}");
            ExitCode::from(64)
        }
    }
}

fn run_all(arguments: &[String]) -> ExitCode {
    let listing = arguments.iter().any(|it| it == "--list");
    let filters: Vec<_> = arguments.iter().filter(|it| !it.starts_with('-')).collect();
    let chosen: Vec<_> = cases::CASES
        .iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|it| name.contains(it.as_str())))
        .collect();
    if listing {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if let Some(why) = world::obstacle() {
        println!("kernel cases skipped: {why}");
        let required = std::env::var("CONFORMANCE_REQUIRE").unwrap_or_default();
        let must = required.split(',').any(|need| need == "kernel");
        return if must { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let mut failed = Vec::new();
    if filters.is_empty() || filters.iter().any(|it| "killed::nothing_is_left".contains(it.as_str())) {
        let result = cases::killed::nothing_is_left();
        println!(
            "test killed::nothing_is_left ... {}",
            result.as_ref().map_or_else(String::as_str, |()| "ok")
        );
        failed.extend(result.is_err().then_some("killed::nothing_is_left"));
    }
    for (name, _) in chosen {
        let began = std::time::Instant::now();
        let output = Command::new("/proc/self/exe").args(["case", name]).output().expect("run a case");
        let passed = output.status.success();
        println!(
            "test {name} ... {} ({:.2} s)",
            if passed { "ok" } else { "FAILED" },
            began.elapsed().as_secs_f64()
        );
        if !passed {
            println!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            failed.push(*name);
        }
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
