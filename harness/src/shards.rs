//! A run in parts, each in a pod of its own: an Indexed Job whose pods are this program.
//!
//! A shard boots clusters inside of its pod, so that the cluster it runs on lends processors and nothing else. What it
//! recorded it prints, a line for each record, as its pod's file system goes with the pod. How to remove the namespace is
//! in the ledger before it is made, as with everything on a cluster that is somebody else's.

mod frame;
mod manifest;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::{Api, Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use crate::given::Foothold;
use crate::patience::given::{SILENT, look_again};

pub use frame::{hand_over, read_handed_over};
pub use manifest::{Plan, manifests};

/// A shard that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// Which, from 1.
    pub shard: usize,
    /// How many records it handed over.
    pub records: usize,
    /// What its pod said last, when it handed over none.
    pub last_words: Option<String>,
}

/// Makes the Job, waits until its pods have ended, and writes what each recorded to `shard-I` below `directory`; `told`
/// hears of every shard as it ends. What was made stays for [`Foothold::leave`].
///
/// # Errors
/// The cluster's, or that `stop` was cancelled.
pub async fn run(
    foothold: &Foothold,
    plan: &Plan,
    directory: &Path,
    stop: &CancellationToken,
    told: &dyn Fn(&Handed),
) -> anyhow::Result<Vec<PathBuf>> {
    let client = foothold.cluster().client()?;
    let directories: Vec<PathBuf> =
        (1..=plan.shards).map(|shard| directory.join(format!("shard-{shard}"))).collect();
    for directory in &directories {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    for manifest in manifests(plan) {
        foothold.apply(&client, &manifest).await?;
    }
    let shards = Shards { client, plan, directories: &directories, told };
    let mut collected = BTreeSet::new();
    let mut answered = Instant::now();
    loop {
        anyhow::ensure!(!stop.is_cancelled(), "interrupted");
        match shards.look(&mut collected).await {
            Ok(State::Over) => return Ok(directories),
            Ok(State::Running) => answered = Instant::now(),
            // A run of hours outlives an API server's restart.
            Err(error) if answered.elapsed() >= SILENT => return Err(error),
            Err(_) => {}
        }
        look_again().await;
    }
}

/// Whether the Job has finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Over,
}

struct Shards<'a> {
    client: Client,
    plan: &'a Plan,
    directories: &'a [PathBuf],
    told: &'a dyn Fn(&Handed),
}

impl Shards<'_> {
    /// Collects what has ended since the last look.
    async fn look(&self, collected: &mut BTreeSet<usize>) -> anyhow::Result<State> {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &self.plan.namespace);
        // Before the pods are looked at: those of a Job that has finished have all ended.
        let over = is_finished(&jobs.get(manifest::JOB).await?);
        for (shard, pod) in ended_pods(&self.client, self.plan).await? {
            let Some(directory) = self.directories.get(shard.saturating_sub(1)) else { continue };
            if !collected.contains(&shard) {
                (self.told)(&collect(&self.client, self.plan, shard, &pod, directory).await?);
                collected.insert(shard);
            }
        }
        Ok(if over { State::Over } else { State::Running })
    }
}

fn is_finished(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| {
        matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
    })
}

/// The pods that have ended, by shard.
async fn ended_pods(client: &Client, plan: &Plan) -> anyhow::Result<Vec<(usize, String)>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &plan.namespace);
    let ours = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={}", manifest::JOB));
    let listed = pods.list(&ours).await?;
    let ended = listed.items.into_iter().filter(|pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    });
    let index = |pod: &Pod| pod.annotations().get(manifest::INDEX)?.parse::<usize>().ok();
    Ok(ended.filter_map(|pod| Some((index(&pod)? + 1, pod.name_any()))).collect())
}

/// Reads what a shard handed over into `directory`.
async fn collect(
    client: &Client,
    plan: &Plan,
    shard: usize,
    pod: &str,
    directory: &Path,
) -> anyhow::Result<Handed> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &plan.namespace);
    let log = pods
        .logs(pod, &LogParams::default())
        .await
        .with_context(|| format!("cannot read the log of pod {pod}, in which its records are"))?;
    // What else it said, for whoever asks why.
    fs::write(directory.join("pod.log"), frame::without_records(&log))?;
    let records = read_handed_over(&log);
    for (name, text) in &records {
        fs::write(directory.join(name), text)?;
    }
    let last = || frame::without_records(&log).lines().last().unwrap_or("nothing").to_owned();
    Ok(Handed { shard, records: records.len(), last_words: records.is_empty().then(last) })
}
