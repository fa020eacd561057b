//! The words scenarios are written in.

pub(crate) use harness::fault::{dns, policy};
pub(crate) use harness::mesh::Mesh;
pub(crate) use harness::model::iris;
pub(crate) use harness::{Cause, OutcomeClass, Profile, World};

pub(crate) type Result = anyhow::Result<()>;

/// The end of a dial that this world's network denies, as Go words it.
pub(crate) fn denied_dial(world: &World) -> &'static str {
    match world.profile() {
        Profile::Flannel => ":9004: connect: connection refused",
        Profile::Calico => ":9004: i/o timeout",
    }
}
