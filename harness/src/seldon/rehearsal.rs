//! What installing charts does, as a plan, and what taking them away does, as text: for dry runs.

use std::path::{Path, PathBuf};

use clusters::{HelmTarget, Task, future_kubeconfig};

use super::install::{CONTEXT, given_target, limit, own_target, removable, run_label};
use super::release::{Chart, Installation};
use super::values::Layout;
use super::{Charts, Removal, uninstall_steps};
use crate::given::emptying;
use crate::patience::Patience;
use crate::patience::given::UNINSTALLING;

/// How helm reaches a cluster that is not there.
#[derive(Debug, Clone)]
pub enum Reached {
    /// By a kubeconfig that is written for it.
    Ours,
    /// By a kubeconfig that there is then.
    Theirs {
        /// The file; the machine's when absent.
        kubeconfig: Option<PathBuf>,
        /// The context in it.
        context: String,
    },
}

impl Reached {
    fn target(&self, directory: &Path) -> HelmTarget {
        match self {
            Reached::Ours => own_target(directory),
            Reached::Theirs { kubeconfig, context } => given_target(kubeconfig.clone(), context, directory),
        }
    }
}

/// What is done to install charts, and what to take them away.
pub(crate) struct Rehearsed {
    pub(crate) up: clusters::Plan,
    pub(crate) down: String,
}

/// The same steps as a world's, on a cluster that `run` shares with others, or that a case has for itself.
pub(crate) fn rehearse(
    source: &Charts,
    charts: &[Chart],
    layout: &Layout,
    (reached, directory): (&Reached, &Path),
    run: Option<&str>,
    patience: &Patience,
) -> anyhow::Result<Rehearsed> {
    let target = reached.target(directory);
    let label = run.map(run_label);
    let how = Installation {
        target: &target,
        limit: patience.mesh,
        directory,
        arranger: Path::new("seldon-conformance"),
        label: label.as_deref(),
    };
    let mut up = clusters::Plan::new();
    if let (Reached::Ours, Some(file)) = (reached, &target.kubeconfig) {
        up.write("write the cluster's kubeconfig, for helm", file, future_kubeconfig(CONTEXT));
    }
    for step in source.plan(charts, layout, &how)?.steps {
        let name = step.chart.name();
        up.write(format!("write the values of {name}"), step.values.0, step.values.1);
        let mut what = format!("install {name}");
        if run.is_some() {
            let look = format!("note in the ledger what {name} makes without a namespace, which this prints");
            up.run(look, Task::look(step.rendering));
            if step.chart == Chart::Crds {
                what.push_str(", unless all its definitions are there");
            }
        }
        up.run(what, Task::new(step.command.within(limit(patience))));
    }
    let steps = run.map(|_| uninstall_steps(source, &removable(charts), layout, &target)).unwrap_or_default();
    let removal = |step: Removal| match step {
        Removal::Objects { namespace } => emptying(&[&namespace]),
        Removal::Release(command) => one("uninstall a release", command.within(UNINSTALLING)),
    };
    let mut down: Vec<String> = steps.into_iter().map(removal).collect();
    if let (Reached::Ours, Some(file)) = (reached, &target.kubeconfig) {
        let forget = clusters::Command::new("rm").arg(file);
        match run {
            Some(_) => down.push(one(FORGET, forget)),
            None => up.run(FORGET, Task::new(forget)),
        }
    }
    Ok(Rehearsed { up, down: down.join("\n") })
}

/// It holds a token, and nobody needs it any more.
const FORGET: &str = "remove the cluster's kubeconfig";

/// One command as it is printed.
fn one(what: &str, command: clusters::Command) -> String {
    let mut plan = clusters::Plan::new();
    plan.run(what, Task::new(command));
    clusters::transcript(&plan)
}
