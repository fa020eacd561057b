//! What a Kubernetes node does to packets and names, as pure functions.
//!
//! Nothing here opens a socket or reads a clock: callers hand in Kubernetes objects, text and
//! answers, and get verdicts, rule text and the next question to ask.
//!
//! * [`resolve`]: how Go, glibc, musl and busybox `nslookup` walk a `resolv.conf`.
//! * [`symptom`]: what a denial looks like to a client.

pub mod resolve;
pub mod symptom;

pub use symptom::OutcomeClass;
