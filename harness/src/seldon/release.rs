//! The four charts, and what is asked of helm for a layout: ordered steps that can be printed, and carried out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clusters::{Command, HelmTarget};
use serde_json::Value;

use super::values::{Layout, runtime_values, servers_values, setup_values};
use super::{Charts, SeldonError};

/// One of Seldon's charts, in the order in which they are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chart {
    /// Definitions of Seldon's kinds.
    Crds,
    /// The controller and its configuration.
    Setup,
    /// A tenant's SeldonRuntime.
    Runtime,
    /// A tenant's Servers.
    Servers,
}

impl Chart {
    /// All four.
    pub const ALL: [Chart; 4] = [Chart::Crds, Chart::Setup, Chart::Runtime, Chart::Servers];

    /// Its name, which is its release's, too.
    pub fn name(self) -> &'static str {
        match self {
            Chart::Crds => "seldon-core-v2-crds",
            Chart::Setup => "seldon-core-v2-setup",
            Chart::Runtime => "seldon-core-v2-runtime",
            Chart::Servers => "seldon-core-v2-servers",
        }
    }

    /// The namespace of its release.
    pub fn namespace(self, layout: &Layout) -> &str {
        match self {
            Chart::Crds | Chart::Setup => &layout.home,
            Chart::Runtime | Chart::Servers => &layout.tenant,
        }
    }
}

/// A chart, what it is given, and the command that installs it.
#[derive(Debug, Clone)]
pub struct Step {
    /// Which chart.
    pub chart: Chart,
    /// The file of its values, and what must stand in it.
    pub values: (PathBuf, String),
    /// `helm upgrade --install …`
    pub command: Command,
    /// `helm template …`: prints what would be made, and makes nothing.
    pub rendering: Command,
}

/// What is done to install charts, in order.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its steps.
    pub steps: Vec<Step>,
}

/// How charts are installed on a cluster.
#[derive(Debug, Clone)]
pub struct Installation<'a> {
    /// Which cluster.
    pub target: &'a HelmTarget,
    /// How long helm may take for each: its hooks are all it waits for.
    pub limit: Duration,
    /// Where files of values go.
    pub directory: &'a Path,
    /// The program that arranges what helm is about to make.
    pub arranger: &'a Path,
    /// A label that everything then gets, `key=value`.
    pub label: Option<&'a str>,
}

impl Charts {
    /// What is done to install `charts` in `layout`.
    ///
    /// # Errors
    /// That this Seldon has no such layout.
    pub fn plan(
        &self,
        charts: &[Chart],
        layout: &Layout,
        how: &Installation<'_>,
    ) -> Result<Plan, SeldonError> {
        let step = |chart: &Chart| {
            let values = match chart {
                Chart::Crds => None,
                Chart::Setup => Some(setup_values(layout, self.release(), self.images())?),
                Chart::Runtime => Some(runtime_values()),
                Chart::Servers => Some(servers_values()),
            };
            let file = how.directory.join(format!("{}.{}.yaml", chart.name(), chart.namespace(layout)));
            let text = values.as_ref().map_or(Ok("{}\n".to_owned()), yaml)?;
            let place = self.place(*chart).to_string_lossy().into_owned();
            let common =
                ["--namespace".to_owned(), chart.namespace(layout).to_owned(), "--values".to_owned()];
            let upgrade = ["upgrade", "--install", chart.name(), &place].map(str::to_owned);
            // Seldon's own Ready is waited for by who looks at the mesh: helm knows nothing of its kinds.
            let upgrade = [&upgrade[..], &common, &[file.display().to_string(), "--wait=false".to_owned()]];
            let mut command = self.helm().on(how.target, upgrade.concat(), how.limit);
            command = command.arg("--post-renderer").arg(how.arranger);
            for word in ["builtin", super::ARRANGER].into_iter().chain(how.label) {
                command = command.arg("--post-renderer-args").arg(word);
            }
            let rendering =
                self.helm().command().args(["template", chart.name(), &place]).args(common).arg(&file);
            Ok(Step { chart: *chart, values: (file, text), command, rendering })
        };
        Ok(Plan { steps: charts.iter().map(step).collect::<Result<_, SeldonError>>()? })
    }
}

fn yaml(values: &Value) -> Result<String, SeldonError> {
    serde_saphyr::to_string(values).map_err(|error| SeldonError::Values(error.to_string()))
}
