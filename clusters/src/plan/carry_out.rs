//! Carrying a plan out.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::serde_json::Value;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, oneshot};
use kube::{Api, Client, Config};
use tokio_util::sync::CancellationToken;

use super::{Action, Background, Expectation, Plan, Step, Task};
use crate::account::once_accounted;
use crate::command::{Command, CommandError, Output};
use crate::complaint;

/// Field manager under which plans apply.
const MANAGER: &str = "seldon-conformance";
/// How long a kind that was just defined may be unknown.
const DEFINED: Duration = Duration::from_secs(30);
/// How long a program that has begun is watched for an early end.
const GLANCE: Duration = Duration::from_millis(100);

/// Why a plan was not carried out to its end.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A program failed.
    #[error("cannot {what}: {why}{}", .remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default())]
    Program {
        /// The step.
        what: String,
        /// The program's own words, with the command.
        why: String,
        /// What helps, where that is known.
        remedy: Option<String>,
    },
    /// A program did its work, but not as it must.
    #[error("cannot {what}: {why} (`{command}`)")]
    Unexpected {
        /// The step.
        what: String,
        /// What it said or did not do.
        why: String,
        /// The command that shows it.
        command: String,
    },
    /// A file cannot be written or read.
    #[error("cannot {what}: {}: {source}", .path.display())]
    File {
        /// The step.
        what: String,
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The API server did not take something.
    #[error("cannot {what}: {why}")]
    Api {
        /// The step.
        what: String,
        /// Its answer.
        why: String,
    },
    /// A condition did not come true.
    #[error("waited {} s in vain to {what}: {last}", .limit.as_secs())]
    Waited {
        /// The step.
        what: String,
        /// How long.
        limit: Duration,
        /// What was seen last.
        last: String,
    },
    /// What was looked for did not show.
    #[error("cannot {what}, in {attempts} attempts: {last}")]
    Unseen {
        /// The step.
        what: String,
        /// How often it was looked.
        attempts: u8,
        /// What was seen last.
        last: String,
    },
    /// Somebody asked for the end.
    #[error("interrupted while it was to {what}")]
    Interrupted {
        /// The step.
        what: String,
    },
}

/// Where a plan is carried out.
#[derive(Debug, Clone)]
pub struct Site<'a> {
    /// How the cluster's API is reached, once it is.
    pub kubeconfig: &'a Path,
    /// Open for as long as any program of the plan runs.
    pub held: Option<&'a File>,
    /// Ends what is under way.
    pub stop: CancellationToken,
}

impl Plan {
    /// Carries out every step, in order; `say` hears what each is for.
    ///
    /// # Errors
    /// [`PlanError`] of the first step that was not done. What the steps before have done stays.
    pub async fn carry_out(&self, site: &Site<'_>, say: &(dyn Fn(&str) + Sync)) -> Result<(), PlanError> {
        for step in self.steps() {
            say(&step.what);
            tokio::select! {
                done = site.carry_out(step) => done?,
                // Programs see it for themselves, and are killed before their step returns.
                () = site.stop.cancelled(), if !step.runs_programs() => return Err(step.interrupted()),
            }
        }
        Ok(())
    }

    /// Carries out a plan that needs no cluster.
    ///
    /// # Errors
    /// As [`Plan::carry_out`].
    pub async fn carry_out_alone(
        &self,
        stop: &CancellationToken,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<(), PlanError> {
        let site = Site { kubeconfig: Path::new("/nonexistent"), held: None, stop: stop.clone() };
        self.carry_out(&site, say).await
    }

    /// The looks at its beginning, and the rest: what is refused by the first has changed nothing.
    pub(crate) fn after_looks(&self) -> (Plan, Plan) {
        let first = self.steps().iter().position(|step| !step.only_looks()).unwrap_or(self.steps().len());
        let (looks, rest) = self.steps().split_at(first);
        (Plan::from(looks), Plan::from(rest))
    }

    /// Runs its programs without a runtime or an API, to the end even where one fails: for what must be cleaned up in
    /// any case. Only a look that fails ends it: what comes after it is then not ours to do.
    ///
    /// # Errors
    /// The first failure.
    pub fn carry_out_programs(&self) -> Result<(), PlanError> {
        let mut outcome = Ok(());
        for step in self.steps() {
            let done = match &step.action {
                Action::Run(task) if task.looks => {
                    attempt(step, task, None, &|| false)?;
                    continue;
                }
                Action::Run(task) => attempt(step, task, None, &|| false),
                Action::Write(document) => write_secret(&document.path, &document.text)
                    .map_err(|error| step.file(&document.path, error)),
                _ => continue,
            };
            outcome = outcome.and(done);
        }
        outcome
    }
}

impl Step {
    fn only_looks(&self) -> bool {
        matches!(&self.action, Action::Run(Task { looks: true, .. }))
    }

    fn runs_programs(&self) -> bool {
        matches!(self.action, Action::Run(_) | Action::Together(_) | Action::Until(_))
    }

    fn interrupted(&self) -> PlanError {
        PlanError::Interrupted { what: self.what.clone() }
    }

    fn api(&self, error: &anyhow::Error) -> PlanError {
        PlanError::Api { what: self.what.clone(), why: format!("{error:#}") }
    }

    fn program(&self, error: &CommandError) -> PlanError {
        if matches!(error, CommandError::Interrupted { .. }) {
            return self.interrupted();
        }
        let (why, remedy) = complaint::of(error);
        PlanError::Program { what: self.what.clone(), why, remedy }
    }

    fn file(&self, path: &Path, source: std::io::Error) -> PlanError {
        PlanError::File { what: self.what.clone(), path: path.to_owned(), source }
    }
}

impl Site<'_> {
    async fn carry_out(&self, step: &Step) -> Result<(), PlanError> {
        match &step.action {
            Action::Run(task) => self.run_all(step, std::slice::from_ref(task)).await,
            Action::Together(tasks) => self.run_all(step, tasks).await,
            Action::Until(until) => self.look_until(step, until).await,
            Action::Begin(background) => begin(step, background).await,
            Action::Container(container) => {
                let kubeconfig = containers::start(&container.container).await.map_err(|error| {
                    let (why, remedy) = complaint::of_text(&error.to_string());
                    PlanError::Program { what: step.what.clone(), why, remedy }
                })?;
                let file = &container.kubeconfig;
                write_secret(file, &kubeconfig).map_err(|error| step.file(file, error))
            }
            Action::Write(document) => {
                write_secret(&document.path, &document.text).map_err(|error| step.file(&document.path, error))
            }
            Action::Apply(manifests) => self.apply(manifests).await.map_err(|error| step.api(&error)),
            Action::ApplyFile(path) => {
                let text = fs::read_to_string(path).map_err(|error| step.file(path, error))?;
                let manifests = documents(&text).map_err(|error| step.api(&error))?;
                self.apply(&manifests).await.map_err(|error| step.api(&error))
            }
            Action::Delete(manifest) => self.delete(manifest).await.map_err(|error| step.api(&error)),
            Action::Wait(wait) => wait
                .condition
                .wait(self.kubeconfig, wait.limit)
                .await
                .map_err(|last| PlanError::Waited { what: step.what.clone(), limit: wait.limit, last }),
        }
    }

    /// Runs programs side by side on threads of their own.
    pub(super) async fn run_all(&self, step: &Step, tasks: &[Task]) -> Result<(), PlanError> {
        let stop = || self.stop.is_cancelled();
        let all = || {
            std::thread::scope(|scope| {
                let threads: Vec<_> =
                    tasks.iter().map(|task| scope.spawn(|| attempt(step, task, self.held, &stop))).collect();
                let ends = threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap_or_else(|_| Err(step.interrupted())));
                // Every one has ended before the first failure is told.
                ends.collect::<Vec<_>>().into_iter().collect::<Result<(), _>>()
            })
        };
        match tokio::runtime::Handle::current().runtime_flavor() {
            tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(all),
            _ => all(),
        }
    }

    async fn apply(&self, manifests: &[Value]) -> anyhow::Result<()> {
        let client = client_of(self.kubeconfig).await?;
        for manifest in manifests {
            let place = place(&client, manifest).await?;
            let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
            let parameters = PatchParams::apply(MANAGER).force();
            let patch = Patch::Apply(manifest);
            once_accounted(|| place.patch(name, &parameters, &patch))
                .await
                .map_err(|error| anyhow::anyhow!("{} {name}: {error}", manifest["kind"]))?;
        }
        Ok(())
    }

    async fn delete(&self, manifest: &Value) -> anyhow::Result<()> {
        let client = client_of(self.kubeconfig).await?;
        let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
        match place(&client, manifest).await?.delete(name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Runs a program until what shows that it did its work is seen, as often as it may be run.
fn attempt(step: &Step, task: &Task, held: Option<&File>, stop: &dyn Fn() -> bool) -> Result<(), PlanError> {
    let attempts = task.proof.as_ref().map_or(1, |proof| proof.attempts.max(1));
    let mut outcome = Ok(());
    for _ in 0..attempts {
        outcome = once(step, task, held, stop);
        if outcome.is_ok() || matches!(outcome, Err(PlanError::Interrupted { .. })) {
            break;
        }
    }
    outcome
}

fn once(step: &Step, task: &Task, held: Option<&File>, stop: &dyn Fn() -> bool) -> Result<(), PlanError> {
    let run = |command: &Command, expectation: &Expectation| -> Result<Output, PlanError> {
        let output = command.run_bounded(held, stop).map_err(|error| step.program(&error))?;
        expectation.judge(&output.stdout).map_err(|why| PlanError::Unexpected {
            what: step.what.clone(),
            why,
            command: command.to_string(),
        })?;
        Ok(output)
    };
    let output = run(&task.command, &task.expectation)?;
    if let Some(file) = &task.into {
        write_secret(file, &output.stdout).map_err(|error| step.file(file, error))?;
    }
    for (look, expectation) in task.proof.iter().flat_map(|proof| &proof.looks) {
        run(look, expectation)?;
    }
    Ok(())
}

/// Begins a program in a process group of its own; one that ends at once has failed. It outlives whoever begins it, so it
/// holds nothing of theirs.
async fn begin(step: &Step, background: &Background) -> Result<(), PlanError> {
    let Background { command, log, pid_file } = background;
    let file = File::create(log).map_err(|error| step.file(log, error))?;
    let mut child = command.begin(&file).map_err(|error| step.program(&error))?;
    write_secret(pid_file, &child.id().to_string()).map_err(|error| step.file(pid_file, error))?;
    let mut ticks = tokio::time::interval(GLANCE);
    for _ in 0..10 {
        ticks.tick().await;
        if let Ok(Some(status)) = child.try_wait() {
            let said = fs::read_to_string(log).unwrap_or_default();
            let said = said.lines().last().unwrap_or("it said nothing").to_owned();
            let (why, remedy) = complaint::of_text(&format!("`{command}` ended at once ({status}): {said}"));
            return Err(PlanError::Program { what: step.what.clone(), why, remedy });
        }
    }
    Ok(())
}

/// A kubeconfig and what else a plan writes is for its owner alone.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    File::options().create(true).truncate(true).write(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

/// The manifests of a file with several documents.
fn documents(text: &str) -> anyhow::Result<Vec<Value>> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text)?;
    Ok(all.into_iter().filter(|one| !one.is_null()).collect())
}

/// A client of the one cluster that a kubeconfig of ours names.
pub(super) async fn client_of(kubeconfig: &Path) -> anyhow::Result<Client> {
    let document = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(document, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Where a manifest belongs. A kind that was just defined may take a moment to be known.
pub(super) async fn place(client: &Client, manifest: &Value) -> anyhow::Result<Api<DynamicObject>> {
    let object: DynamicObject = serde_json::from_value(manifest.clone())?;
    let types = object.types.ok_or_else(|| anyhow::anyhow!("a manifest has no apiVersion and kind"))?;
    let kind = GroupVersionKind::try_from(&types)?;
    let mut ticks = tokio::time::interval(GLANCE);
    let known = tokio::time::timeout(DEFINED, async {
        loop {
            ticks.tick().await;
            if let Ok(known) = oneshot::pinned_kind(client, &kind).await {
                return known;
            }
        }
    });
    let Ok((resource, capabilities)) = known.await else {
        anyhow::bail!("the API server does not know {} {}", types.api_version, types.kind)
    };
    Ok(match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace = object.metadata.namespace.as_deref().unwrap_or("default");
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
    })
}
