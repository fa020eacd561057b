//! The gRPC services of ports 9004 and 9005.

pub(crate) mod agent;
pub(crate) mod scheduler;
pub(crate) mod subscribe;
