//! The rules, most specific first.

mod lookups;
mod lost;
mod policies;
mod requirements;
mod scheduler_name;

use crate::cause::Diagnosis;
use crate::snapshot::Snapshot;
use netmodel::profile::Profile;

/// Names the cause of what is wrong in `snapshot`, or of what looks wrong without being so; `None` when no rule knows.
pub fn diagnose(snapshot: &Snapshot, profile: Profile) -> Option<Diagnosis> {
    policies::names_denied(snapshot, profile)
        .or_else(|| policies::flow_denied(snapshot, profile))
        .or_else(|| lost::without_a_policy(snapshot, profile))
        .or_else(|| scheduler_name::foreign_address(snapshot))
        .or_else(|| scheduler_name::absent(snapshot))
        .or_else(|| requirements::unmet(snapshot))
        .or_else(|| scheduler_name::runtime_was_deleted(snapshot))
        .or_else(|| lookups::misleading(snapshot))
        .or_else(|| lookups::no_such_route(snapshot))
}
