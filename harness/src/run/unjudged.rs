//! Why a case says neither that claims held nor that one did not.

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
