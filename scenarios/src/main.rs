//! `seldon-conformance`: run scenarios, play with a cluster, see what a machine lacks.

mod cluster_command;
mod destinations;
mod diagnose_command;
mod doctor_command;
mod given_command;
mod hold;
mod kubernetes_command;
mod live_line;
mod options;
mod refused_contexts;
mod reports_command;
mod run_command;
mod screen;
mod seldon_command;
mod standing;

use std::process::ExitCode;

use clap::Parser;
use harness::clusters::intercept;
use harness::images::BUILTINS;
use options::{Action, ClusterAction, Options, ReportsAction};

fn main() -> ExitCode {
    // Before anything else: this executable is also every program that runs inside a cluster.
    if let Some(code) = intercept(&[BUILTINS, &[harness::seldon::BUILTIN]].concat()) {
        return code;
    }
    let outcome = match Options::parse().action {
        Action::Run(options) => run_command::run(*options),
        Action::List(options) => run_command::list(&options),
        Action::Doctor(options) if options.at.context.is_some() => given_command::examine(&options),
        Action::Doctor(_) => doctor_command::run(),
        Action::Diagnose(options) => diagnose_command::run(options),
        Action::Undo(options) => given_command::undo(&options),
        Action::Reports(ReportsAction::Merge(options)) => reports_command::merge(&options),
        Action::Cluster(ClusterAction::Up(options)) => cluster_command::up(options),
        Action::Cluster(ClusterAction::List) => cluster_command::list(),
        Action::Cluster(ClusterAction::Down { name }) => cluster_command::down(&name),
        Action::Cluster(ClusterAction::Hold(options)) => hold::run(options),
    };
    match outcome {
        Ok(code) => ExitCode::from(code as u8),
        Err(failure) => {
            screen::remark(format!("error: {failure}"));
            ExitCode::from(failure.code as u8)
        }
    }
}
