//! What installing a mesh on a shared cluster applies and waits for, as a plan: for dry runs.

use std::time::Duration;

use clusters::{Condition, Plan};
use pace::Pace;

use super::install::{hastened, installed};
use super::{Mesh, Runtime, Servers};
use crate::look::PodQuery;
use crate::namespaces::Namespaces;
use crate::world::Topology;

/// The tenant of most scenarios.
const TENANT: &str = "seldon-mesh";

/// The steps by which a mesh of `topology` comes onto a shared cluster. Where they say `-case`, a run says letters of its
/// own for each case.
///
/// # Errors
/// As [`crate::object::manifest`].
pub fn rehearse(topology: Topology, pace: Pace, limit: Duration) -> anyhow::Result<Plan> {
    let mesh = Mesh::new(topology, TENANT).placed(&Namespaces::of_any_case());
    let mut plan = Plan::new();
    plan.apply(format!("install {mesh}"), hastened(&mesh, pace)?);
    let installed = installed(&mesh);
    let mut ready = |query: PodQuery| {
        let PodQuery { namespace, labels, name, .. } = query;
        plan.wait(format!("have {name} Ready"), Condition::PodsReady { namespace, labels }, limit);
    };
    ready(installed.controller());
    ready(installed.visitor());
    if mesh.runtime != Runtime::Absent {
        ready(installed.scheduler());
    }
    if mesh.servers == Servers::One {
        ready(installed.agent());
        ready(installed.envoy());
    }
    Ok(plan)
}
