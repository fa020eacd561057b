//! The pure half of a Kubernetes 1.33 API server: what it does to documents between the wire and the store.
//!
//! Nothing here does input or output, keeps a clock or a lock. Documents are `serde_json::Value`; the texts of
//! errors are those of kube-apiserver 1.33.1, because people and controllers read them.
//!
//! | module | what it answers |
//! |---|---|
//! | [`builtin`] | which kinds exist, what defaults they get, which fields they know, what is invalid in them |
//! | [`schema`] | the same for custom resources, from their structural schema |
//! | [`patch`] | JSON patch, merge patch, strategic merge patch |
//! | [`apply`] | server-side apply, field ownership, conflicts |
//! | [`selector`] | label selectors and field selectors |
//! | [`table`] | the tables that `kubectl get` prints |
//! | [`status`] | `meta/v1` `Status` replies |
//! | [`strict`] | strict field validation: duplicate fields and the sentence that reports them |
//! | [`quantity`] | resource quantities |
//!
//! What differs from kube-apiserver 1.33.1: CEL rules are accepted and not evaluated; zero values that Go leaves out
//! (`hostNetwork: false`, `value: ""`) stay in documents; refused changes of a Pod or a claim name the changed fields
//! instead of showing a diff in Go's syntax; affinity, topology spread, security contexts, quotas, limit ranges,
//! autoscalers and cron jobs' schedules are stored with the checks of their metadata and templates only; a job's pod
//! failure policy is refused; every manager of an object is taken to write the same version.

pub mod apply;
pub mod builtin;
mod field_error;
mod gvk;
pub mod meta;
pub mod patch;
pub mod quantity;
pub mod schema;
pub mod selector;
pub mod status;
pub mod strict;
pub mod table;
mod topology;
mod types;

pub use field_error::{BadValue, FieldError, FieldErrorKind};
pub use gvk::Gvk;
