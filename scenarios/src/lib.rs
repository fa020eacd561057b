//! What Seldon Core v2 must survive: scenarios, and the two doors through which they are run.

mod case_list;
mod catalogue;
mod dns;
mod names;
mod node;
mod policy;
mod prelude;
mod scheduling;
mod serving;
mod shard;
mod suite;
mod under_test;

pub use case_list::{Case, Filters, UnknownFilter, cases, on_lent_mesh};
pub use catalogue::{CATALOGUE, Scenario};
pub use shard::Shard;
pub use suite::{SuiteEnd, SuiteEvent, run as run_suite, run_one, usual_jobs};
pub use under_test::settings_under_test;
