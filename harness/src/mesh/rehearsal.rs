//! What installing a mesh applies and waits for, as text: for dry runs. The objects and the waits are those of a run.

use std::path::Path;

use clusters::{Condition, Plan, transcript};
use pace::Pace;
use serde_json::{Value, json};

use super::install::{Kubelet, Making, Part, adapt, installed, makings, parts};
use super::{Mesh, OwnImages};
use crate::given::{end_of_case, labelled_for_run, rehearsed_run};
use crate::look::PodQuery;
use crate::namespaces::Namespaces;
use crate::object::ObjectRef;
use crate::patience::Patience;
use crate::seldon::{self, Reached, Seldon};
use crate::world::Topology;

/// The tenant of most scenarios.
const TENANT: &str = "seldon-mesh";

/// Whom the cluster belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// The case, and its kubelet is this program's.
    Alone,
    /// Whoever plays with it, and its kubelet is a real one.
    AloneWithKubelet,
    /// Others too.
    Shared,
}

/// What is rehearsed, and where.
#[derive(Debug, Clone)]
pub struct Rehearsal<'a> {
    /// The mesh's layout.
    pub topology: Topology,
    /// What is installed.
    pub seldon: &'a Seldon,
    /// The cluster.
    pub setting: Setting,
    /// How helm reaches it.
    pub reached: &'a Reached,
    /// Where helm's files go.
    pub directory: &'a Path,
    /// Where nodes have our images from.
    pub images: &'a OwnImages,
    /// Factor for long timers.
    pub pace: Pace,
    /// Upper ends of waits.
    pub patience: Patience,
}

/// A mesh's beginning, and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshTranscript {
    /// From nothing to Ready.
    pub up: String,
    /// From there to nothing; empty where the cluster's end is the mesh's.
    pub down: String,
}

impl Rehearsal<'_> {
    /// The steps by which a mesh comes onto a cluster and leaves it. Where they say `-case`, a run says letters of its own
    /// for each case.
    ///
    /// # Errors
    /// As [`crate::object::manifest`], and that this Seldon has no such layout.
    pub fn transcript(&self) -> anyhow::Result<MeshTranscript> {
        let mesh = Mesh::new(self.topology, TENANT).placed(&self.namespaces());
        let run = (self.setting == Setting::Shared).then(rehearsed_run);
        let (mut plan, mut removal, mut applied) = (Plan::new(), String::new(), Vec::new());
        for (number, making) in makings(&mesh, self.seldon, self.kubelet())?.into_iter().enumerate() {
            match making {
                Making::Apply(objects) if objects.is_empty() => {}
                Making::Apply(objects) => {
                    let what = match (number, self.setting) {
                        (0, Setting::Shared) => {
                            "apply what stands around the mesh; each object is tried by a dry run first"
                        }
                        (0, Setting::Alone | Setting::AloneWithKubelet) => {
                            "apply what stands around the mesh"
                        }
                        (_, _) => "apply the mesh",
                    };
                    let objects: Vec<Value> = objects.iter().map(|object| self.as_applied(object)).collect();
                    applied.extend(objects.iter().cloned());
                    plan.apply(what, objects);
                }
                Making::Charts(source, charts, layout) => {
                    let place = (self.reached, self.directory);
                    let rehearsed = seldon::rehearse(source, &charts, &layout, place, run, &self.patience)?;
                    plan.extend(rehearsed.up);
                    removal = rehearsed.down + "\n";
                }
            }
        }
        for part in parts(&mesh, &installed(&mesh), self.seldon, self.kubelet()) {
            self.wait(&mut plan, part);
        }
        let down = match self.setting {
            Setting::Shared => removal + &end_of_case(&applied)?,
            Setting::Alone | Setting::AloneWithKubelet => String::new(),
        };
        Ok(MeshTranscript { up: format!("# {mesh}\n\n{}", transcript(&plan)), down })
    }

    fn namespaces(&self) -> Namespaces {
        match self.setting {
            Setting::Shared => Namespaces::of_any_case(),
            Setting::Alone | Setting::AloneWithKubelet => Namespaces::plain(),
        }
    }

    fn kubelet(&self) -> Kubelet {
        match self.setting {
            Setting::Alone => Kubelet::Ours,
            Setting::AloneWithKubelet | Setting::Shared => Kubelet::Real,
        }
    }

    fn as_applied(&self, object: &Value) -> Value {
        let mut object = match self.setting {
            Setting::Shared => labelled_for_run(object),
            Setting::Alone | Setting::AloneWithKubelet => object.clone(),
        };
        if self.kubelet() == Kubelet::Real {
            adapt(&mut object, self.pace, self.seldon, self.images);
        }
        object
    }

    fn wait(&self, plan: &mut Plan, part: Part) {
        let (name, condition) = match part {
            Part::Pod(PodQuery { namespace, labels, name, .. }) => {
                (name.to_string(), Condition::PodsReady { namespace, labels })
            }
            Part::Server(server) => (server.to_string(), ready(&server)),
            Part::Late(objects) => {
                plan.apply("apply the Server, which asks for the scheduler", objects);
                return;
            }
        };
        plan.wait(format!("have {name} Ready"), condition, self.patience.mesh);
    }

    /// What is applied and waited for besides a mesh to play with: `objects`, and Model `model`.
    pub fn playing(&self, objects: Vec<Value>, model: Value) -> String {
        let mut plan = Plan::new();
        let server = ObjectRef::new(crate::object::Kind::Model, TENANT, crate::object::name(&model));
        plan.apply("let the mesh be reached from the host", objects);
        plan.apply(format!("apply {server}"), vec![model]);
        plan.wait(format!("have {server} Ready"), ready(&server), self.patience.claim);
        transcript(&plan)
    }
}

/// Its condition `Ready` is true.
fn ready(object: &ObjectRef) -> Condition {
    let metadata = json!({"name": object.name, "namespace": object.namespace});
    let object = Box::new(json!({"kind": format!("{:?}", object.kind), "metadata": metadata}));
    Condition::Holds { object, condition: "Ready" }
}
