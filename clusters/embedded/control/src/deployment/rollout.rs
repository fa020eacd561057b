//! How large each ReplicaSet of a Deployment should be next. Pure.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

/// One ReplicaSet's next size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) set: String,
    pub(crate) to: i32,
}

/// The numbers of one ReplicaSet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ship {
    pub(crate) name: String,
    pub(crate) replicas: i32,
    pub(crate) available: i32,
}

/// The ReplicaSets of a Deployment in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fleet {
    pub(crate) wanted: i32,
    pub(crate) surge: i32,
    pub(crate) unavailable: i32,
    pub(crate) recreate: bool,
    pub(crate) new: Option<Ship>,
    /// Oldest first.
    pub(crate) old: Vec<Ship>,
}

pub(super) fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

pub(super) fn is_recreate(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
}

/// `maxSurge` and `maxUnavailable` as numbers: a quarter each by default, surge rounded up, the other down.
pub(super) fn surge_and_unavailable(deployment: &Deployment) -> (i32, i32) {
    if is_recreate(deployment) {
        return (0, 0);
    }
    let rolling = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref()?.rolling_update.as_ref());
    let wanted = wanted(deployment);
    let share = |value: Option<&IntOrString>, up: bool| match value {
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => percent(text, wanted, up),
        None => percent("25%", wanted, up),
    };
    let surge = share(rolling.and_then(|rolling| rolling.max_surge.as_ref()), true);
    let unavailable = share(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), false);
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

fn percent(text: &str, of: i32, up: bool) -> i32 {
    let Some(share) = text.strip_suffix('%').and_then(|share| share.parse::<i32>().ok()) else { return 0 };
    let product = share.saturating_mul(of);
    if up { (product + 99) / 100 } else { product / 100 }
}

impl Fleet {
    pub(super) fn new(deployment: &Deployment, sets: &[Arc<ReplicaSet>], new: Option<&ReplicaSet>) -> Fleet {
        let (surge, unavailable) = surge_and_unavailable(deployment);
        let ship = |set: &ReplicaSet| Ship {
            name: set.name_any(),
            replicas: set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
            available: set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0),
        };
        let is_new = |set: &&Arc<ReplicaSet>| new.is_some_and(|new| new.uid() == set.uid());
        Fleet {
            wanted: wanted(deployment),
            surge,
            unavailable,
            recreate: is_recreate(deployment),
            new: sets.iter().find(is_new).map(|set| ship(set)),
            old: sets.iter().filter(|set| !is_new(set)).map(|set| ship(set)).collect(),
        }
    }

    fn total(&self) -> i32 {
        self.old.iter().chain(&self.new).map(|ship| ship.replicas).sum()
    }

    /// The size with which a new ReplicaSet begins.
    pub(crate) fn first_size(&self) -> i32 {
        if self.recreate {
            return self.wanted;
        }
        (self.wanted + self.surge - self.total()).clamp(0, self.wanted)
    }

    /// The next sizes of a rollout; empty when there is nothing to do, or pods must change first.
    pub(crate) fn steps(&self) -> Vec<Scale> {
        let new = self.new.as_ref();
        if self.recreate {
            let old = self.old.iter().filter(|ship| ship.replicas > 0);
            let mut steps: Vec<Scale> = old.map(|ship| Scale { set: ship.name.clone(), to: 0 }).collect();
            if steps.is_empty() {
                let grown = new.filter(|ship| ship.replicas != self.wanted);
                steps.extend(grown.map(|ship| Scale { set: ship.name.clone(), to: self.wanted }));
            }
            return steps;
        }
        let Some(new) = new else { return Vec::new() };
        if new.replicas > self.wanted {
            return vec![Scale { set: new.name.clone(), to: self.wanted }];
        }
        let to = (new.replicas + (self.wanted + self.surge - self.total()).max(0)).min(self.wanted);
        if to > new.replicas {
            return vec![Scale { set: new.name.clone(), to }];
        }
        self.shrink_old(new)
    }

    /// Takes old pods away: those that are not available first, then as many as may be missing.
    fn shrink_old(&self, new: &Ship) -> Vec<Scale> {
        let least = self.wanted - self.unavailable;
        let mut spare = self.total() - least - (new.replicas - new.available).max(0);
        if spare <= 0 {
            return Vec::new();
        }
        let mut old = self.old.clone();
        for ship in &mut old {
            let broken = (ship.replicas - ship.available).clamp(0, spare);
            ship.replicas -= broken;
            spare -= broken;
        }
        let available: i32 = self.old.iter().chain([new]).map(|ship| ship.available).sum();
        let mut spare = available - least;
        for ship in &mut old {
            let taken = spare.clamp(0, ship.replicas);
            ship.replicas -= taken;
            spare -= taken;
        }
        let changed =
            old.into_iter().zip(&self.old).filter(|(after, before)| after.replicas != before.replicas);
        changed.map(|(after, _)| Scale { set: after.name, to: after.replicas }).collect()
    }

    /// The sizes of a paused Deployment that was scaled: the largest ReplicaSet takes the difference.
    pub(crate) fn proportional(&self) -> Vec<Scale> {
        let ships: Vec<&Ship> = self.old.iter().chain(&self.new).filter(|ship| ship.replicas > 0).collect();
        let allowed = self.wanted + if ships.len() > 1 { self.surge } else { 0 };
        let difference = allowed - self.total();
        let Some(largest) = ships.iter().max_by_key(|ship| ship.replicas) else { return Vec::new() };
        if difference == 0 || (ships.len() > 1 && difference > 0 && self.total() >= self.wanted) {
            return Vec::new();
        }
        vec![Scale { set: largest.name.clone(), to: (largest.replicas + difference).max(0) }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn ship(name: &str, replicas: i32, available: i32) -> Ship {
        Ship { name: name.to_owned(), replicas, available }
    }

    fn fleet(wanted: i32, surge: i32, unavailable: i32, new: Option<Ship>, old: Vec<Ship>) -> Fleet {
        Fleet { wanted, surge, unavailable, recreate: false, new, old }
    }

    #[rstest]
    #[case::nothing_to_do(fleet(1, 1, 0, Some(ship("new", 1, 1)), vec![]), &[])]
    #[case::scaled_up(fleet(3, 1, 0, Some(ship("new", 1, 1)), vec![]), &[("new", 3)])]
    #[case::scaled_down(fleet(0, 0, 1, Some(ship("new", 2, 2)), vec![]), &[("new", 0)])]
    #[case::waits_for_the_new_pod(fleet(1, 1, 0, Some(ship("new", 1, 0)), vec![ship("old", 1, 1)]), &[])]
    #[case::lets_the_old_pod_go(fleet(1, 1, 0, Some(ship("new", 1, 1)), vec![ship("old", 1, 1)]), &[("old", 0)])]
    #[case::grows_by_the_surge(fleet(4, 1, 1, Some(ship("new", 0, 0)), vec![ship("old", 4, 4)]), &[("new", 1)])]
    #[case::shrinks_by_the_missing(fleet(4, 1, 1, Some(ship("new", 1, 0)), vec![ship("old", 4, 4)]), &[("old", 3)])]
    #[case::broken_old_pods_go_first(fleet(2, 1, 1, Some(ship("new", 1, 1)), vec![ship("broken", 1, 0), ship("good", 1, 1)]),
        &[("broken", 0), ("good", 0)])]
    fn rolls(#[case] fleet: Fleet, #[case] expected: &[(&str, i32)]) {
        let steps: Vec<(String, i32)> =
            fleet.steps().into_iter().map(|scale| (scale.set, scale.to)).collect();
        let expected: Vec<(String, i32)> =
            expected.iter().map(|(set, to)| ((*set).to_owned(), *to)).collect();
        assert_eq!(steps, expected);
    }

    #[rstest]
    #[case::old_first(Some(ship("new", 0, 0)), vec![ship("old", 2, 2)], &[("old", 0)])]
    #[case::then_new(Some(ship("new", 0, 0)), vec![ship("old", 0, 0)], &[("new", 2)])]
    fn recreates(#[case] new: Option<Ship>, #[case] old: Vec<Ship>, #[case] expected: &[(&str, i32)]) {
        let fleet = Fleet { recreate: true, ..fleet(2, 0, 0, new, old) };
        let steps: Vec<(String, i32)> =
            fleet.steps().into_iter().map(|scale| (scale.set, scale.to)).collect();
        let expected: Vec<(String, i32)> =
            expected.iter().map(|(set, to)| ((*set).to_owned(), *to)).collect();
        assert_eq!(steps, expected);
    }

    proptest! {
        /// A rollout ends with the new template alone, and at no time breaks its two bounds.
        #[test]
        fn a_rollout_keeps_its_bounds_and_ends(
            wanted in 0..12_i32,
            surge in 0..4_i32,
            unavailable in 0..4_i32,
            old in 0..12_i32,
        ) {
            let unavailable = if surge == 0 { unavailable.max(1) } else { unavailable };
            let mut fleet = fleet(wanted, surge, unavailable, Some(ship("new", 0, 0)), vec![ship("old", old, old)]);
            for _ in 0..200 {
                let steps = fleet.steps();
                let available = |fleet: &Fleet| fleet.old.iter().chain(&fleet.new).map(|ship| ship.available).sum::<i32>();
                let before = (fleet.total(), available(&fleet));
                for step in &steps {
                    for target in fleet.old.iter_mut().chain(&mut fleet.new).filter(|ship| ship.name == step.set) {
                        target.replicas = step.to;
                        target.available = target.available.min(step.to);
                    }
                }
                prop_assert!(fleet.total() <= (wanted + surge).max(before.0));
                prop_assert!(available(&fleet) >= (wanted - unavailable).min(before.1));
                if steps.is_empty() {
                    // One pod that was started becomes available.
                    let late = fleet.old.iter_mut().chain(&mut fleet.new).find(|ship| ship.available < ship.replicas);
                    match late {
                        Some(ship) => ship.available += 1,
                        None => break,
                    }
                }
            }
            prop_assert_eq!(fleet.new.as_ref().map(|ship| (ship.replicas, ship.available)), Some((wanted, wanted)));
            prop_assert_eq!(fleet.old[0].replicas, 0);
        }
    }
}
