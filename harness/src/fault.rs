//! Faults: each says what it breaks, how one sees that it bites, and how it is undone.
//!
//! [`World::inject`] returns only after a probe saw the bite; otherwise the case is inconclusive, for then nothing
//! that follows would prove anything. [`Injected::fix`] undoes the fault and proves the repair with the same probe.

pub mod address;
pub mod dns;
pub mod node;
pub mod policy;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Instant;

use clusters::{Cluster, Connections, ContainerName, LinkState, PodName, UpstreamMode};
use reports::{Event, Phase};
use serde_json::Value;

use crate::claim::Claim;
use crate::object::{Kind, ObjectRef};
use crate::run::Unjudgeable;
use crate::undo::Undo;
use crate::world::World;

/// How a fault is brought about.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// These objects are applied; they did not exist before.
    Apply(Vec<(ObjectRef, Value)>),
    /// The name server outside the cluster answers like this.
    Upstream {
        /// How.
        mode: UpstreamMode,
        /// Where the outside is not ours: only for names in these namespaces, and for nobody's names.
        namespaces: Vec<String>,
    },
    /// This container's process is killed on its node.
    Kill(ContainerName),
    /// This pod's link is taken down on its node.
    LinkDown(PodName),
    /// The node forgets these connections.
    Forget(Connections),
    /// The node's own firewall drops what opens such connections, and what goes on in them.
    Firewall(Connections),
}

/// Something to break.
#[derive(Debug, Clone)]
#[must_use = "a fault does nothing until it is injected"]
pub struct Fault {
    pub(crate) breaks: String,
    pub(crate) change: Change,
    /// Holds once the fault bites.
    pub(crate) bites: Claim,
    /// Holds once it is gone.
    pub(crate) gone: Claim,
}

/// A fault that bites.
#[derive(Debug)]
#[must_use = "a fault that is not fixed is undone only by the runner, unproved"]
pub struct Injected<'world> {
    world: &'world World,
    fault: Fault,
    undos: Vec<usize>,
}

impl World {
    /// Injects `fault` and returns once a probe has seen it bite.
    ///
    /// # Errors
    /// [`Unjudgeable`] when it cannot be injected or is not seen to bite.
    pub async fn inject(&self, fault: Fault) -> anyhow::Result<Injected<'_>> {
        self.step(format!("break: {}", fault.breaks))?;
        let before = self.denials().await;
        let undos = self.make(&fault.change).await.map_err(Unjudgeable::from_error)?;
        let began = Instant::now();
        let seen = self.wait_for(fault.bites.clone(), self.patience().proof).await.map_err(|error| {
            Unjudgeable::because(format!("the fault did not bite ({}): {error}", fault.breaks))
        })?;
        let proof = format!("{} after {:.1} s: {seen}", fault.bites, began.elapsed().as_secs_f64());
        self.note(Event::Fault { breaks: fault.breaks.clone(), proof })?;
        self.enter(Phase::Broken);
        self.note_denials(&before).await?;
        Ok(Injected { world: self, fault, undos })
    }

    /// The same, while `claim` goes on holding: from before the fault until it is seen to bite, and a while longer.
    ///
    /// # Errors
    /// As [`World::inject`], or that the claim did not hold all the while.
    pub async fn inject_while(&self, claim: Claim, fault: Fault) -> anyhow::Result<Injected<'_>> {
        let bites = Cell::new(false);
        let injecting = async {
            let injected = self.inject(fault).await;
            bites.set(true);
            injected
        };
        let watching = async {
            while !bites.get() {
                self.still(claim.clone()).await?;
            }
            anyhow::Ok(())
        };
        let (injected, held) = tokio::join!(injecting, watching);
        let injected = injected?;
        held.map(|()| injected)
    }

    /// What the node's rules that deny have counted; nothing where nobody knows, or just now does not say.
    async fn denials(&self) -> BTreeMap<String, u64> {
        let counted = self.cluster().denials().await.ok().flatten().unwrap_or_default();
        counted.into_iter().map(|denials| (denials.rule, denials.packets)).collect()
    }

    /// Notes which of these rules have counted packets since `before`.
    async fn note_denials(&self, before: &BTreeMap<String, u64>) -> anyhow::Result<()> {
        for (rule, after) in self.denials().await {
            // Rules that were loaded anew count from nothing.
            let before = before.get(&rule).copied().filter(|before| *before <= after).unwrap_or(0);
            if after > before {
                self.note(Event::Denied { rule, before, after })?;
            }
        }
        Ok(())
    }

    async fn make(&self, change: &Change) -> anyhow::Result<Vec<usize>> {
        match change {
            Change::Apply(objects) => {
                let mut undos = Vec::new();
                for (object, manifest) in objects {
                    undos.push(self.undo_later(Undo::Delete(object.clone())));
                    self.apply_all(std::slice::from_ref(manifest)).await?;
                }
                Ok(undos)
            }
            Change::Kill(container) => {
                self.cluster().kill(container.clone()).await?;
                // The kubelet undoes it.
                Ok(Vec::new())
            }
            Change::LinkDown(pod) => {
                let undo = self.undo_later(Undo::Link(pod.clone()));
                self.cluster().set_link(pod.clone(), LinkState::Down).await?;
                Ok(vec![undo])
            }
            Change::Firewall(connections) => {
                let undo = self.undo_later(Undo::Firewall);
                self.cluster().set_firewall(Some(connections.clone())).await?;
                // Nothing but the packets that it loses tells of it.
                self.cluster().lost_packets().await?;
                Ok(vec![undo])
            }
            Change::Forget(connections) => {
                self.cluster().forget(connections.clone()).await?;
                // Who is still admitted is remembered with the next packet.
                Ok(Vec::new())
            }
            Change::Upstream { mode, namespaces } => match (self.cluster(), self.foothold()) {
                (Cluster::Given(_), Some(foothold)) => self.replace_outside(foothold, mode, namespaces).await,
                _ => {
                    let undo = self.undo_later(Undo::Upstream(UpstreamMode::honest()));
                    self.set_upstream(mode.clone()).await?;
                    Ok(vec![undo])
                }
            },
        }
    }

    /// Applies a repair that is not simply the fault's undoing, and proves it with `gone`.
    ///
    /// # Errors
    /// The API server's, or that the proof did not come.
    pub async fn repair(&self, what: &str, kind: Kind, manifest: Value, gone: Claim) -> anyhow::Result<()> {
        self.step(format!("repair: {what}"))?;
        let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
        let namespace = manifest["metadata"]["namespace"].as_str().unwrap_or_default();
        self.undo_later(Undo::Delete(ObjectRef::new(kind, namespace, name)));
        self.apply_all(std::slice::from_ref(&manifest)).await?;
        self.prove_repair(what, gone).await
    }

    pub(crate) async fn prove_repair(&self, what: &str, gone: Claim) -> anyhow::Result<()> {
        let sentence = gone.to_string();
        let seen = self.wait_for(gone, self.patience().proof).await?;
        self.note(Event::Repair { undoes: what.into(), proof: format!("{sentence}: {seen}") })?;
        self.enter(Phase::Repaired);
        Ok(())
    }
}

impl Injected<'_> {
    /// Undoes the fault and proves it with the probe that saw it bite.
    ///
    /// # Errors
    /// The cluster's, or that the repair was not seen.
    pub async fn fix(self) -> anyhow::Result<()> {
        self.world.step(format!("undo: {}", self.fault.breaks))?;
        for number in self.undos.iter().rev() {
            if let Some(undo) = self.world.undo.pending(*number) {
                undo.run(self.world).await?;
                // Only now: one that failed is tried again by the runner.
                self.world.undo.done(*number);
            }
        }
        if matches!((&self.fault.change, self.world.cluster()), (Change::Upstream { .. }, Cluster::Given(_)))
        {
            // It is our own repair of CoreDNS that is not seen.
            self.world.outside_is_left().await.map_err(Unjudgeable::from_error)?;
        }
        self.world.prove_repair(&self.fault.breaks, self.fault.gone).await
    }

    /// Leaves the fault in place and proves a repair that was made beside it.
    ///
    /// # Errors
    /// That the repair was not seen.
    pub async fn is_repaired_by(self, what: &str) -> anyhow::Result<()> {
        self.world.prove_repair(what, self.fault.gone).await
    }
}
