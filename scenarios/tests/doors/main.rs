//! The front doors, tried as a new user would: the real binary, its words, its exit codes, and what it leaves.

mod cluster;
mod door;
mod faults;
mod kubectl;
mod machine;
mod place;
mod refusals;
mod runs;
mod stops;
