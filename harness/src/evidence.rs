//! Collecting what the diagnosis needs, and holding it to naming the right cause.

use std::time::Instant;

use diagnosis::{Answer, Cause, Diagnosis, Log, PodId, Sighting, Snapshot, diagnose};
use netmodel::{LostPackets, OutcomeClass};
use reports::Event;
use serde::de::DeserializeOwned;
use serde_json::Value;
use toolbox::{DnsStyle, Observation, Probe};

use crate::look::{Look, PodQuery, Seen};
use crate::mesh::InstalledMesh;
use crate::object::{self, Kind};
use crate::run::Unjudgeable;
use crate::world::World;

/// A name that no honest resolver answers (RFC 6761).
const NOBODYS_NAME: &str = "nobody-has-this-name.invalid";

/// How many lines of a log the diagnosis reads.
const LOG_LINES: usize = 400;

impl World {
    /// Waits until the diagnosis names a cause that `expected` accepts; what it named is recorded.
    ///
    /// # Errors
    /// What it named instead, or that it named nothing.
    pub async fn names(
        &self,
        mesh: &InstalledMesh,
        sentence: &str,
        expected: impl Fn(&Cause) -> bool,
    ) -> anyhow::Result<()> {
        self.waiting_for(&format!("the diagnosis to name {sentence}"));
        let began = Instant::now();
        loop {
            let named = self.diagnose(mesh).await;
            if let Ok(Some(diagnosis)) = &named
                && expected(&diagnosis.cause)
            {
                return self.note(Event::Cause(diagnosis.named.clone()));
            }
            // An API server that cannot be read just now is looked at again, as everywhere.
            if began.elapsed() >= self.patience().claim {
                // What we could not look at says nothing of the mesh.
                let named = named.map_err(Unjudgeable::from_error)?;
                let instead = named.map_or_else(|| "nothing".into(), |diagnosis| diagnosis.named.sentence);
                anyhow::bail!("the diagnosis should name {sentence}; it names: {instead}");
            }
            self.pause().await;
        }
    }

    /// What is known of `mesh` now, and what the diagnosis makes of it.
    pub(crate) async fn diagnose(&self, mesh: &InstalledMesh) -> anyhow::Result<Option<Diagnosis>> {
        Ok(diagnose(&self.snapshot(mesh).await?, self.profile()))
    }

    /// What is known of `mesh` without running anything in its pods.
    pub(crate) async fn snapshot_from_outside(&self, mesh: &InstalledMesh) -> anyhow::Result<Snapshot> {
        let (logs, objects) = tokio::join!(self.logs_of(mesh), self.objects(mesh.controller_namespace()));
        Ok(Snapshot { logs, ..objects? })
    }

    pub(crate) async fn snapshot(&self, mesh: &InstalledMesh) -> anyhow::Result<Snapshot> {
        let before = self.lost_packets().await;
        // Probes take as long as a denial takes to show; objects and logs are read while they run.
        let (sightings, logs, objects) =
            tokio::join!(self.sightings(mesh), self.logs_of(mesh), self.objects(mesh.controller_namespace()));
        let lost = netmodel::lost::since(&before, &self.lost_packets().await);
        Ok(Snapshot { sightings, logs, lost, ..objects? })
    }

    /// What the node has lost so far; nothing where nobody knows, or just now does not say.
    async fn lost_packets(&self) -> Vec<LostPackets> {
        self.cluster().lost_packets().await.ok().flatten().unwrap_or_default()
    }

    /// The objects that a diagnosis looks at.
    pub(crate) async fn objects(&self, controller_namespace: &str) -> anyhow::Result<Snapshot> {
        // On a shared cluster other people's meshes have troubles of their own.
        let ours = |object: &Value| {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            self.namespaces().placed(namespace)
        };
        let all = async |kind| object::list(self.client(), kind, "", "").await;
        let of_ours = async |kind| -> kube::Result<Vec<Value>> {
            Ok(all(kind).await?.into_iter().filter(ours).collect())
        };
        Ok(Snapshot {
            controller_namespace: controller_namespace.into(),
            namespaces: typed(all(Kind::Namespace).await?)?,
            pods: typed(all(Kind::Pod).await?)?,
            services: typed(all(Kind::Service).await?)?,
            endpoint_slices: typed(all(Kind::EndpointSlice).await?)?,
            policies: typed(all(Kind::NetworkPolicy).await?)?,
            models: of_ours(Kind::Model).await?,
            servers: of_ours(Kind::Server).await?,
            runtimes: of_ours(Kind::SeldonRuntime).await?,
            ..Snapshot::default()
        })
    }

    async fn logs_of(&self, mesh: &InstalledMesh) -> Vec<Log> {
        let mut logs = Vec::new();
        for query in [mesh.controller(), mesh.scheduler()] {
            let (Seen::Log(text), Ok(pod)) =
                (self.look(&Look::Log(query.clone())).await, self.pod(&query).await)
            else {
                continue;
            };
            let lines: Vec<&str> = text.lines().collect();
            logs.push(Log {
                pod: PodId { namespace: query.namespace, name: pod.metadata.name.unwrap_or_default() },
                container: query.container,
                text: lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"),
            });
        }
        logs
    }

    async fn sightings(&self, mesh: &InstalledMesh) -> Vec<Sighting> {
        let name = mesh.scheduler_name();
        let dial = Probe::TcpConnect { host: name.clone(), port: 9004, limit_ms: 1500 };
        let go = Probe::Dns { style: DnsStyle::Go, name: name.clone() };
        let nslookup = Probe::Dns { style: DnsStyle::BusyboxNslookup, name: name.clone() };
        let nobodys = Probe::Dns { style: DnsStyle::BusyboxNslookup, name: NOBODYS_NAME.into() };
        let controller = mesh.controller();
        let looks = [
            (dial, diagnosis::Look::Dial { host: name.clone(), port: 9004 }),
            (go, diagnosis::Look::GoLookup { name: name.clone() }),
            (nslookup, diagnosis::Look::Nslookup { name }),
            (nobodys, diagnosis::Look::NobodysName { name: NOBODYS_NAME.into() }),
        ];
        let seen = looks.map(|(probe, look)| {
            let controller = controller.clone();
            async move { self.sighting(&controller, &probe, look).await }
        });
        futures::future::join_all(seen).await.into_iter().flatten().collect()
    }

    async fn sighting(&self, from: &PodQuery, probe: &Probe, look: diagnosis::Look) -> Option<Sighting> {
        let pod = self.pod(from).await.ok()?;
        let observation = self.probe(from, probe).await.ok()?;
        let from = PodId { namespace: from.namespace.clone(), name: pod.metadata.name? };
        Some(Sighting { from, look, answer: answer(&observation) })
    }

    /// Lets the diagnosis judge a request that a person might take for a sign of trouble.
    ///
    /// # Errors
    /// When the request cannot be made, or the diagnosis says something else than `expected`.
    pub async fn explains_request(
        &self,
        mesh: &InstalledMesh,
        path: &str,
        expected: impl Fn(&Cause) -> bool,
    ) -> anyhow::Result<()> {
        let (from, probe) = match mesh.get(path) {
            Look::Probe { from, probe } => (from, probe),
            Look::Object(_) | Look::Objects { .. } | Look::Table { .. } | Look::Log(_) => {
                anyhow::bail!("a request is a probe")
            }
        };
        let look = diagnosis::Look::Get { path: path.into() };
        let sighting = self.sighting(&from, &probe, look).await;
        let mut snapshot = self.objects(mesh.controller_namespace()).await?;
        snapshot.sightings.extend(sighting);
        match diagnose(&snapshot, self.profile()) {
            Some(diagnosis) if expected(&diagnosis.cause) => self.note(Event::Cause(diagnosis.named)),
            Some(diagnosis) => {
                anyhow::bail!("the diagnosis of GET {path} names: {}", diagnosis.named.sentence)
            }
            None => anyhow::bail!("the diagnosis of GET {path} names nothing"),
        }
    }
}

fn answer(observation: &Observation) -> Answer {
    Answer {
        class: observation.class,
        addresses: if observation.class == OutcomeClass::Open {
            observation.addresses().to_vec()
        } else {
            Vec::new()
        },
        status: observation.status(),
        text: observation.text.clone(),
    }
}

fn typed<T: DeserializeOwned>(values: Vec<Value>) -> anyhow::Result<Vec<T>> {
    Ok(values.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?)
}
