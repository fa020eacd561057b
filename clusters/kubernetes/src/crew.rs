//! Carrying a script out.

use std::collections::BTreeMap;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use embedded::supervision::{NotUp, create, until_ready};
use futures::future::select_all;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Config, ResourceExt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};
use tracing::info;

use crate::process::{Launcher, Running};
use crate::step::{Action, Script, Sign, Step};

/// Between two looks at something that cannot be watched.
const LOOK: Duration = Duration::from_millis(50);
/// How long a program that is told to may take to end.
const ENDING: Duration = Duration::from_secs(30);

/// The programs that go on, and how the API is spoken to.
pub(crate) struct Crew {
    hands: Hands,
    running: Vec<Running>,
}

/// What a step is done with.
struct Hands {
    launcher: Launcher,
    kubeconfig: Option<PathBuf>,
    client: OnceCell<Client>,
}

impl Crew {
    /// Does every step, one after the other.
    ///
    /// # Errors
    /// What could not be done. A program that should go on and does not is an end, too.
    pub(crate) async fn carry_out(script: &Script) -> anyhow::Result<Crew> {
        let hands = Hands {
            launcher: Launcher::new(&script.environment, &script.logs),
            kubeconfig: script.kubeconfig.clone(),
            client: OnceCell::new(),
        };
        let mut crew = Crew { hands, running: Vec::new() };
        let began = Instant::now();
        for step in &script.steps {
            crew.act(step, began, script.limit).await?;
            if let Action::Await(_) = step.action {
                info!("{}: after {} ms", step.what, began.elapsed().as_millis());
            }
        }
        Ok(crew)
    }

    async fn act(&mut self, step: &Step, began: Instant, limit: Duration) -> anyhow::Result<()> {
        if let Action::End(name) = &step.action {
            return self.end(name).await.map_err(|error| named(step, error));
        }
        let mut last = None;
        let done = tokio::select! {
            done = timeout_at(began + limit, self.hands.act(&step.action, &mut last)) => done,
            why = first_to_end(&mut self.running) => return Err(NotUp(why).into()),
        };
        let begun = done.map_err(|_| {
            let last = last.map(|last| format!("; at the last look: {last}")).unwrap_or_default();
            let all = limit.as_secs();
            NotUp(format!("cannot {}: it was not so {all} s after the beginning{last}", step.what))
        })?;
        self.running.extend(begun.map_err(|error| named(step, error))?);
        Ok(())
    }

    async fn end(&mut self, name: &str) -> anyhow::Result<()> {
        let place = self.running.iter().position(|running| running.name() == name);
        let mut running = self.running.remove(place.context("it was not begun")?);
        let process = running.id().context("it has ended")?;
        kill(Pid::from_raw(i32::try_from(process)?), Signal::SIGTERM)?;
        tokio::time::timeout(ENDING, running.ended()).await.map(drop).context("it does not end")
    }

    /// A client of the API inside.
    pub(crate) async fn client(&self) -> anyhow::Result<Client> {
        self.hands.client().await
    }

    /// Returns when a program has ended, with what it said.
    pub(crate) async fn first_to_end(mut self) -> String {
        first_to_end(&mut self.running).await
    }
}

/// What went wrong with a step. What is waited for in vain was started all the same.
fn named(step: &Step, error: anyhow::Error) -> anyhow::Error {
    match step.action {
        _ if error.is::<NotUp>() => error,
        Action::Await(_) => NotUp(format!("cannot {}: {error:#}", step.what)).into(),
        _ => error.context(format!("cannot {}", step.what)),
    }
}

/// Returns when one of them has ended, with what it said.
async fn first_to_end(running: &mut [Running]) -> String {
    if running.is_empty() {
        return pending().await;
    }
    let ends = running.iter_mut().map(|program| Box::pin(program.ended()));
    select_all(ends).await.0
}

impl Hands {
    /// Does it; the program that has begun, if one has. `last` is why what is waited for was not so at the last look.
    async fn act(&self, action: &Action, last: &mut Option<String>) -> anyhow::Result<Option<Running>> {
        match action {
            Action::Write { file, text } => std::fs::write(file, text).context(file.display().to_string())?,
            Action::Link { to, name } => {
                std::os::unix::fs::symlink(to, name).context(name.display().to_string())?;
            }
            Action::Begin(name, program) => return self.launcher.start(name, program).map(Some),
            Action::Run(name, program) => self.launcher.run(name, program).await.map(drop)?,
            Action::End(name) => anyhow::bail!("{name} is the crew's"),
            Action::Create(objects) => create(&self.client().await?, objects).await?,
            Action::Define(directory) => {
                let all = definitions(directory)?.into_iter().map(serde_json::to_value);
                create(&self.client().await?, &all.collect::<Result<Vec<_>, _>>()?).await?;
            }
            Action::Label { node, labels } => {
                let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
                let patch = json!({"metadata": {"labels": labels}});
                let nodes: Api<Node> = Api::all(self.client().await?);
                nodes.patch(node, &PatchParams::default(), &Patch::Merge(patch)).await?;
            }
            Action::Await(sign) => self.see(sign, last).await?,
        }
        Ok(None)
    }

    async fn client(&self) -> anyhow::Result<Client> {
        let connect = || async {
            let file = self.kubeconfig.as_deref().context("there is no API to speak to")?;
            let document = Kubeconfig::read_from(file)?;
            let config = Config::from_custom_kubeconfig(document, &KubeConfigOptions::default()).await?;
            anyhow::Ok(Client::try_from(config)?)
        };
        self.client.get_or_try_init(connect).await.cloned()
    }

    /// Returns when it is seen.
    async fn see(&self, sign: &Sign, last: &mut Option<String>) -> anyhow::Result<()> {
        match sign {
            Sign::ApiReady => {
                let client = self.client().await?;
                until_ok(last, || is_ready(&client)).await;
            }
            Sign::Succeeds(program) => {
                until_ok(last, || async { self.launcher.run("look", program).await.map(drop) }).await;
            }
            Sign::NodeRegistered(name) => {
                let nodes: Api<Node> = Api::all(self.client().await?);
                await_condition(nodes, name, |node: Option<&Node>| node.is_some()).await?;
            }
            Sign::DefinitionsServed(directory) => {
                let api: Api<CustomResourceDefinition> = Api::all(self.client().await?);
                for definition in definitions(directory)? {
                    let name = definition.name_any();
                    await_condition(api.clone(), &name, conditions::is_crd_established())
                        .await
                        .with_context(|| format!("{name} is not served"))?;
                }
            }
            Sign::Answers { port, path } => until_ok(last, || answers(*port, path)).await,
            Sign::NodeAndDnsReady(name) => until_ready(&self.client().await?, name).await?,
        }
        Ok(())
    }
}

/// Looks until it is so.
async fn until_ok<Looked>(last: &mut Option<String>, mut look: impl FnMut() -> Looked)
where
    Looked: Future<Output = anyhow::Result<()>>,
{
    while let Err(error) = look().await {
        *last = Some(format!("{error:#}"));
        tokio::time::sleep(LOOK).await;
    }
}

async fn is_ready(client: &Client) -> anyhow::Result<()> {
    let answer = client.request_text(http::Request::get("/readyz").body(Vec::new())?).await?;
    ensure!(answer == "ok", "/readyz says {answer:?}");
    Ok(())
}

/// The definitions in a directory's files, one in each.
fn definitions(directory: &Path) -> anyhow::Result<Vec<CustomResourceDefinition>> {
    let unreadable = || format!("cannot read {}", directory.display());
    let mut files = std::fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>())
        .with_context(unreadable)?;
    files.sort();
    let read = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).with_context(unreadable)?;
        serde_saphyr::from_str(&text).with_context(|| format!("cannot read {}", file.display()))
    };
    files.iter().map(read).collect()
}

/// Whether 200 is what a GET of `path` is answered with.
async fn answers(port: u16, path: &str) -> anyhow::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let first = answer.lines().next().unwrap_or_default();
    ensure!(first.split(' ').nth(1) == Some("200"), "port {port} says {first:?} to {path}");
    Ok(())
}

#[cfg(test)]
#[path = "crew_tests.rs"]
mod tests;
