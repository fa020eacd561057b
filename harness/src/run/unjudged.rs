//! Why a case says neither that claims held nor that one did not.

use reports::Verdict;

use crate::given::Foothold;
use crate::world::World;

/// What a case ended with, unless something of what it did was forbidden to the user of a given cluster: that says
/// nothing of the mesh. What passed has passed without it; all the same it is noted.
pub(super) fn unless_forbidden(
    world: &World,
    verdict: Verdict,
    message: Option<String>,
) -> (Verdict, Option<String>) {
    let Some(why) = world.foothold().and_then(Foothold::forbidden) else { return (verdict, message) };
    // A record that cannot be written is reported when it is closed.
    let _ = world.step(format!("forbidden: {why}"));
    match verdict {
        Verdict::Passed | Verdict::Skipped => (verdict, message),
        _ => (Verdict::Inconclusive, Some(message.map_or(why.clone(), |said| format!("{said}; {why}")))),
    }
}

/// The harness could not judge; the text says why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unjudgeable(String);

impl Unjudgeable {
    pub(crate) fn because(why: String) -> anyhow::Error {
        anyhow::Error::new(Unjudgeable(why))
    }

    pub(crate) fn from_error(error: anyhow::Error) -> anyhow::Error {
        Unjudgeable::because(format!("{error:#}"))
    }
}

/// The case cannot be run on this cluster, as it found out before it broke anything; the text says what is missing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Lacking(String);

impl Lacking {
    pub(crate) fn because(why: String) -> anyhow::Error {
        anyhow::Error::new(Lacking(why))
    }
}
