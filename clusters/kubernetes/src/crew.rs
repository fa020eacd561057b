//! Carrying a script out.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use embedded::supervision::{NotUp, create, until_ready};
use futures::future::select_all;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Config, ResourceExt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::sync::OnceCell;
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
            crew.act(step).await?;
            if let Action::Await(..) = step.action {
                info!("{}: after {} ms", step.what, began.elapsed().as_millis());
            }
        }
        Ok(crew)
    }

    async fn act(&mut self, step: &Step) -> anyhow::Result<()> {
        if let Action::End(name) = &step.action {
            return self.end(name).await.map_err(|error| named(step, error));
        }
        let begun = tokio::select! {
            done = self.hands.act(&step.action) => done.map_err(|error| named(step, error))?,
            why = first_to_end(&mut self.running) => return Err(NotUp(why).into()),
        };
        self.running.extend(begun);
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
        Action::Await(..) => NotUp(format!("cannot {}: {error:#}", step.what)).into(),
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
    /// Does it; the program that has begun, if one has.
    async fn act(&self, action: &Action) -> anyhow::Result<Option<Running>> {
        match action {
            Action::Write { file, text } => std::fs::write(file, text).context(file.display().to_string())?,
            Action::Link { to, name } => {
                std::os::unix::fs::symlink(to, name).context(name.display().to_string())?;
            }
            Action::Begin(name, program) => return self.launcher.start(name, program).map(Some),
            Action::Run(name, program) => self.launcher.run(name, program).await.map(drop)?,
            // Programs that have begun are the crew's.
            Action::End(_) => {}
            Action::Create(objects) => create(&self.client().await?, objects).await?,
            Action::Define(directory) => {
                let all = definitions(directory)?.into_iter().map(serde_json::to_value);
                create(&self.client().await?, &all.collect::<Result<Vec<_>, _>>()?).await?;
            }
            Action::Patch { object, patch } => self.patch(object, patch).await?,
            Action::Await(sign, limit) => {
                let seen = tokio::time::timeout(*limit, self.see(sign)).await;
                seen.map_err(|_| anyhow::anyhow!("it was not so after {} s", limit.as_secs()))??;
            }
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

    async fn patch(&self, object: &Value, patch: &Value) -> anyhow::Result<()> {
        let object: DynamicObject = serde_json::from_value(object.clone())?;
        let types = object.types.context("a manifest has no apiVersion and kind")?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
        let api: Api<DynamicObject> = Api::all_with(self.client().await?, &resource);
        let name = object.metadata.name.unwrap_or_default();
        api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Returns when it is seen.
    async fn see(&self, sign: &Sign) -> anyhow::Result<()> {
        match sign {
            Sign::ApiReady => {
                let client = self.client().await?;
                while !is_ready(&client).await {
                    tokio::time::sleep(LOOK).await;
                }
            }
            Sign::Succeeds(program) => {
                while self.launcher.run("look", program).await.is_err() {
                    tokio::time::sleep(LOOK).await;
                }
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
            Sign::Answers { port, path } => {
                while !answers(*port, path).await {
                    tokio::time::sleep(LOOK).await;
                }
            }
            Sign::NodeAndDnsReady(name) => until_ready(&self.client().await?, name).await?,
        }
        Ok(())
    }
}

async fn is_ready(client: &Client) -> bool {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else { return false };
    client.request_text(request).await.is_ok_and(|text| text == "ok")
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
async fn answers(port: u16, path: &str) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<String, std::io::Error>(answer)
    };
    let answered = ask.await;
    answered.is_ok_and(|answer| answer.split(' ').nth(1) == Some("200"))
}

#[cfg(test)]
#[path = "crew_tests.rs"]
mod tests;
