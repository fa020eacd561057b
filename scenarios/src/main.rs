//! `seldon-conformance`: run scenarios, play with a cluster, see what a machine lacks.

mod cluster_command;
mod destinations;
mod diagnose_command;
mod doctor_command;
mod given_command;
mod hold;
mod images_command;
mod kubernetes_command;
mod lent_command;
mod live_line;
mod options;
mod provision_command;
mod real_command;
mod real_options;
mod refused_contexts;
mod rehearsal_command;
mod reports_command;
mod run_command;
mod screen;
mod seldon_command;
mod shards_command;
mod standing;
mod what_makes_sense;

use std::process::ExitCode;

use clap::Parser;
use harness::clusters::{Builtin, intercept};
use harness::images::{BUILTINS, SUITE_PROGRAM};
use options::{Action, ClusterAction, Options, ReportsAction};

fn main() -> ExitCode {
    // Before anything else: this executable is also every program that runs inside a cluster.
    let suite = Builtin { name: SUITE_PROGRAM, main: suite };
    if let Some(code) = intercept(&[BUILTINS, &[suite, harness::seldon::BUILTIN]].concat()) {
        return code;
    }
    act(Options::parse())
}

/// This program in a pod: [`harness::images::SUITE`].
fn suite(arguments: Vec<String>) -> ExitCode {
    act(Options::parse_from(std::iter::once("seldon-conformance".to_owned()).chain(arguments)))
}

fn act(options: Options) -> ExitCode {
    let outcome = match options.action {
        Action::Run(options) => run_command::run(*options),
        Action::List(options) => run_command::list(&options),
        Action::Doctor(options) if options.given.at.context.is_some() => given_command::examine(&options),
        Action::Doctor(_) => doctor_command::run(),
        Action::Provision(options) => provision_command::run(&options),
        Action::Diagnose(options) => diagnose_command::run(options),
        Action::Images(action) => images_command::run(&action),
        Action::Undo(options) => given_command::undo(&options),
        Action::Reports(ReportsAction::Merge(options)) => reports_command::merge(&options),
        Action::Shards(options) => shards_command::run(&options),
        Action::ShardInPod(options) => shards_command::in_pod(&options),
        Action::Cluster(ClusterAction::Up(options)) => cluster_command::up(options),
        Action::Mirror(action) => real_command::mirror(action),
        Action::Cluster(ClusterAction::Gc { names }) => real_command::gc(&names),
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
