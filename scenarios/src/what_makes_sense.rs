//! Options of `run` that make no sense together: refused before anything is started.

use crate::given_command;
use crate::lent_command;
use crate::options::{ClusterOption, Failure, RunOptions};

/// # Errors
/// Wrong usage, with what to say instead.
pub(crate) fn check(options: &RunOptions) -> Result<(), Failure> {
    match (options.cluster.as_slice(), options.compare) {
        ([_], false) => {}
        ([one, two], true) if one != two => {}
        _ => {
            return Err(Failure::usage(
                "--compare takes two kinds of clusters, --cluster embedded,given; without it there is one",
            ));
        }
    }
    if !options.cluster.iter().any(|cluster| cluster.is_real()) {
        options.real.refuse_for(options.cluster[0])?;
    }
    if !options.real.dry_run
        && let Some(shared) = options.cluster.iter().find(|cluster| cluster.is_shared())
    {
        check_shared(*shared, options)?;
    }
    if options.seed.is_some() && options.cluster.as_slice() == [ClusterOption::Embedded] {
        return Err(Failure::usage(
            "--seed names namespaces on a cluster that cases share; an embedded cluster is a case's own: leave it out",
        ));
    }
    match (options.cluster.contains(&ClusterOption::Given), &options.given.at.context) {
        (true, _) => given_command::check(options).and_then(|()| lent_command::check(options)),
        (false, None) => Ok(()),
        (false, Some(context)) => {
            let why =
                format!("context {context:?} is of a given cluster: say --cluster given, or leave it out");
            Err(Failure::usage(why))
        }
    }
}

/// What makes no sense on a cluster that serves all cases.
fn check_shared(cluster: ClusterOption, options: &RunOptions) -> Result<(), Failure> {
    let word = cluster.word();
    if options.jobs.is_some_and(|jobs| jobs > 1) {
        return Err(Failure::usage(format!(
            "cases on a {word} cluster run one after the other; leave out --jobs"
        )));
    }
    if options.keep.is_never() {
        return Ok(());
    }
    Err(Failure::usage(match cluster {
        ClusterOption::K3d | ClusterOption::K3s => {
            format!("a {word} cluster is kept with --reuse; leave out --keep")
        }
        ClusterOption::Kubernetes => {
            "cases clean up after themselves on a cluster they share; leave out --keep, or look around on one that \
             `cluster up --cluster kubernetes` starts"
                .to_owned()
        }
        ClusterOption::Embedded | ClusterOption::Given => {
            format!("a {word} cluster is left as it was; leave out --keep")
        }
    }))
}
