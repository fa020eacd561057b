//! The front doors, tried as a new user would: the real binary, its words, its exit codes, and what it leaves.
#![expect(clippy::unwrap_used, reason = "in a test a surprise is a failure")]

mod charts;
mod cluster;
mod diagnose;
mod door;
mod faults;
mod given;
mod images;
mod jobs;
mod k3d;
mod kubectl;
mod kubernetes;
mod lent;
mod machine;
mod mirror;
mod model_server;
mod place;
mod provisioning;
mod real;
mod refusals;
mod rehearsals;
mod rights;
mod rootless;
mod runs;
mod shards;
mod stage;
mod stops;
mod up;
