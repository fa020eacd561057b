//! The toolbox: probes that run inside the pod that matters.
//!
//! `toolbox '<Probe as JSON>'` does what the probe says and prints one [`Observation`] as a line of JSON. It exits 0
//! also when what was probed fails: that is an observation, too. `toolbox wait` does nothing until it is told to
//! end, `toolbox serve PORT` answers HTTP on a port, `toolbox echo PORT` sends back what comes over TCP and UDP:
//! standing pods to look from and to look at. `toolbox name-server PORT '<mode as JSON>'` answers for the outside. `toolbox hold HOST PORT SECONDS` keeps one connection to an echo open
//! and says each second whether it still passes bytes.

mod dns;
mod grpc;
mod hold;
mod http;
mod probe;
mod serve;
mod tcp;
mod udp;

use std::process::ExitCode;

use pace::Pace;

pub use probe::{Detail, DnsStyle, Observation, Probe};

/// Entry point of the built-in program.
pub fn main(arguments: Vec<String>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return usage(&format!("cannot start: {error}")),
    };
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["wait"] => runtime.block_on(serve::until_told_to_end()),
        ["serve", port] => match port.parse() {
            Ok(port) => runtime.block_on(serve::http(port)),
            Err(_) => usage(&format!("{port:?} is not a port")),
        },
        ["echo", port] => match port.parse() {
            Ok(port) => runtime.block_on(serve::echo(port)),
            Err(_) => usage(&format!("{port:?} is not a port")),
        },
        ["name-server", port, mode] => match (port.parse(), serde_json::from_str(mode)) {
            (Ok(port), Ok(mode)) => runtime.block_on(serve::names(port, mode)),
            _ => usage(&format!("{port:?} {mode:?} is not a port and what a name server answers, as JSON")),
        },
        ["hold", host, port, seconds] => match (port.parse(), seconds.parse()) {
            (Ok(port), Ok(seconds)) => runtime.block_on(hold::hold(host, port, seconds, paced())),
            _ => usage(&format!("{port:?} {seconds:?} is not a port and a number of seconds")),
        },
        [probe] => match serde_json::from_str::<Probe>(probe) {
            Ok(probe) => {
                let observation = runtime.block_on(run(&probe, paced()));
                // The type has no map with other keys than texts, the one thing JSON cannot write.
                println!("{}", serde_json::to_string(&observation).unwrap_or_default());
                ExitCode::SUCCESS
            }
            Err(error) => usage(&format!("not a probe: {error}")),
        },
        _ => usage("expected one argument"),
    }
}

/// The container's pace; one that cannot be read counts as real.
fn paced() -> Pace {
    Pace::from_environment().unwrap_or(Pace::REAL)
}

/// Does what `probe` says, from this process's network namespace.
pub async fn run(probe: &Probe, pace: Pace) -> Observation {
    match probe {
        Probe::TcpConnect { host, port, limit_ms } => tcp::connect(host, *port, *limit_ms, pace).await,
        Probe::Udp { host, port, payload, limit_ms } => udp::ask(host, *port, payload, *limit_ms, pace).await,
        Probe::GrpcServerLive { host, port, limit_ms } => {
            grpc::server_live(host, *port, *limit_ms, pace).await
        }
        Probe::Http { method, url, headers, body, limit_ms } => {
            http::request(method, url, headers, body.as_deref(), *limit_ms, pace).await
        }
        Probe::GrpcInfer { host, port, headers, model, input, limit_ms } => {
            grpc::infer(host, *port, headers, model, input, *limit_ms, pace).await
        }
        Probe::Dns { style, name } => dns::look_up(*style, name, pace).await,
        Probe::Ask { server, name } => dns::ask(*server, name, pace).await,
    }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!(
        "toolbox: {problem}\nusage: toolbox '<probe as JSON>' | toolbox wait | toolbox serve PORT | toolbox echo PORT \
               | toolbox hold HOST PORT SECONDS | toolbox name-server PORT '<mode as JSON>'"
    );
    ExitCode::from(2)
}
