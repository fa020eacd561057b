//! Seldon's vocabulary and the machinery under the scenarios. Names no scenario.
//!
//! * [`mesh`]: topologies and how they are installed; [`model`]: Models and what can be claimed of them.
//! * [`fault`]: what can be broken, proved to bite and proved to be repaired.
//! * [`seldon`]: which Seldon is installed, and how: stand-ins by manifests, or charts by helm.
//! * [`look`], [`claim`]: looking and judging are separate; waiting shows the last thing seen.
//! * [`shards`]: a run in parts, each in a pod.
//! * [`run`]: gate, body, diagnosis, undo, record. [`patience`] is the only place with durations.

mod change;
pub mod claim;
mod delete;
mod evidence;
pub mod fault;
pub mod given;
pub mod ground;
pub mod images;
pub mod look;
pub mod mesh;
pub mod model;
mod namespaces;
pub mod object;
mod obstacles;
mod outside;
pub mod own_program;
pub mod patience;
pub mod play;
mod progress;
pub mod run;
pub mod seldon;
pub mod shards;
mod table;
pub mod undo;
pub mod words;
mod world;

pub use clusters;
pub use diagnosis::Cause;
pub use netmodel::{OutcomeClass, Profile};
pub use pace::Pace;
pub use progress::Progress;
pub use toolbox::{Detail, DnsStyle, Observation, Probe};
pub use world::{Topology, World};
