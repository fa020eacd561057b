//! The words scenarios are written in.

pub(crate) use harness::fault::{dns, node, policy};
pub(crate) use harness::mesh::Mesh;
pub(crate) use harness::model::iris;
pub(crate) use harness::{Cause, DnsStyle, OutcomeClass, World};

pub(crate) type Result = anyhow::Result<()>;
