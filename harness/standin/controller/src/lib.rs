//! Stand-in for Seldon Core's operator, `seldon-v2-controller-manager` 2.9.1.
//!
//! Same flags, same objects created, same statuses, events and log lines, and the same habits towards the
//! scheduler: it dials `seldon-scheduler.<namespace of the object>:9004` and nothing else, tests a new connection
//! under one lock for all namespaces, and tells the scheduler of a Server before it creates the Server's pods.
//!
//! [`main`] is the program. Everything behind it works on a plain `kube::Client`.

mod backoff;
mod cluster;
mod condition_set;
mod dispatch;
mod events;
mod experiment;
mod failure;
mod flags;
mod journal;
mod leader;
mod merge;
mod model;
mod operator;
mod owned;
mod pipeline;
mod probes;
mod program;
mod quantity;
mod runtime;
mod scaling;
mod scheduler;
mod server;
mod sources;
mod work_queue;

pub use program::main;
