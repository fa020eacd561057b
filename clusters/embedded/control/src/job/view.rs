//! A Job with its pods, in the terms that decide what comes next. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::{Job, JobSpec, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::indexes::Indexes;
use super::{backoff, member};
use crate::pods;

/// What a Job's pods and its status say together.
pub(super) struct View<'a> {
    pub(super) spec: &'a JobSpec,
    pub(super) pods: Vec<&'a Pod>,
    /// Those that run or will.
    pub(super) active: Vec<&'a Pod>,
    /// Those that have ended and are in no count of the status yet.
    pub(super) new_succeeded: Vec<&'a Pod>,
    pub(super) new_failed: Vec<&'a Pod>,
    /// Pods whose end the status knows of, counted or not.
    pub(super) succeeded: i32,
    pub(super) failed: i32,
    pub(super) indexed: Option<IndexedView<'a>>,
}

/// What an Indexed Job knows of its indexes.
pub(super) struct IndexedView<'a> {
    pub(super) completions: i32,
    pub(super) succeeded: Indexes,
    /// Where failures are counted for each index: those that have failed for good.
    pub(super) failed: Option<Indexes>,
    /// Failed pods that stay until the one in their place is made, which takes over their count.
    pub(super) awaiting: BTreeMap<i32, &'a Pod>,
}

impl<'a> View<'a> {
    pub(super) fn new(job: &'a Job, spec: &'a JobSpec, pods: &'a [Arc<Pod>]) -> View<'a> {
        let pods: Vec<&Pod> = pods.iter().map(Arc::as_ref).collect();
        let active: Vec<&Pod> = pods.iter().copied().filter(|pod| pods::is_active(pod)).collect();
        let status = job.status.clone().unwrap_or_default();
        let uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
        let completions = is_indexed(spec).then(|| spec.completions.unwrap_or(0));
        let fresh = |known: &[String], ended: &dyn Fn(&Pod) -> bool| -> Vec<&Pod> {
            let is_new = |pod: &&Pod| {
                member::is_held(pod)
                    && !known.contains(&pod.uid().unwrap_or_default())
                    && completions.is_none_or(|completions| valid_index(pod, completions).is_some())
                    && ended(pod)
            };
            pods.iter().copied().filter(is_new).collect()
        };
        let (known_succeeded, known_failed) = lists(&uncounted);
        let new_succeeded = fresh(known_succeeded, &|pod| pods::phase(pod) == "Succeeded");
        let new_failed = fresh(known_failed, &|pod| member::has_failed(pod, spec));
        let count = |list: usize| i32::try_from(list).unwrap_or(i32::MAX);
        let indexed = completions.map(|completions| IndexedView::new(job, spec, completions, &pods, &active));
        let succeeded = match &indexed {
            Some(indexed) => indexed.succeeded.total(),
            None => {
                let known = status.succeeded.unwrap_or(0);
                known.saturating_add(count(new_succeeded.len() + known_succeeded.len()))
            }
        };
        let failed = status.failed.unwrap_or(0).saturating_add(count(new_failed.len() + known_failed.len()));
        View { spec, pods, active, new_succeeded, new_failed, succeeded, failed, indexed }
    }

    /// How many pods there should be at once, were they all to be made now.
    pub(super) fn wanted(&self) -> i32 {
        let parallelism = self.spec.parallelism.unwrap_or(1);
        match self.spec.completions {
            // Without a number of completions the first success ends the making of pods.
            None if self.succeeded > 0 => self.active_count(),
            None => parallelism,
            Some(completions) => (completions - self.succeeded).clamp(0, parallelism),
        }
    }

    pub(super) fn active_count(&self) -> i32 {
        i32::try_from(self.active.len()).unwrap_or(i32::MAX)
    }

    /// Pods that are asked to go and still run.
    pub(super) fn terminating(&self) -> i32 {
        let going = self.pods.iter().filter(|pod| pods::is_leaving(pod) && pods::is_alive(pod));
        i32::try_from(going.count()).unwrap_or(i32::MAX)
    }

    /// At least `surplus` active pods, those that have got least far first; of an Indexed Job also those whose index is
    /// taken or is none.
    pub(super) fn to_give_up(&self, surplus: i32) -> Vec<&'a Pod> {
        let mut order = self.active.clone();
        order.sort_by_cached_key(|pod| pods::give_up_order(pod));
        let surplus = usize::try_from(surplus).unwrap_or(0);
        let Some(indexed) = &self.indexed else { return order.into_iter().take(surplus).collect() };
        let mut best: BTreeMap<i32, &Pod> = BTreeMap::new();
        for pod in &order {
            if let Some(index) = valid_index(pod, indexed.completions) {
                // The last in the order has got farthest.
                best.insert(index, pod);
            }
        }
        let stays = |pod: &Pod| {
            let index = valid_index(pod, indexed.completions);
            index.and_then(|index| best.get(&index)).is_some_and(|best| std::ptr::eq(*best, pod))
        };
        let (left, mut going): (Vec<&Pod>, Vec<&Pod>) = order.into_iter().partition(|pod| stays(pod));
        going.extend(left.into_iter().take(surplus.saturating_sub(going.len())));
        going
    }

    /// The restarts of containers that a pod with `restartPolicy: OnFailure` has had, over all pods that live.
    pub(super) fn restarts(&self) -> i32 {
        let statuses = self.pods.iter().filter(|pod| matches!(pods::phase(pod), "Running" | "Pending"));
        let statuses = statuses.filter_map(|pod| pod.status.as_ref()).flat_map(|status| {
            status.init_container_statuses.iter().chain(&status.container_statuses).flatten()
        });
        statuses.map(|status| status.restart_count).sum()
    }
}

impl<'a> IndexedView<'a> {
    fn new(
        job: &Job,
        spec: &JobSpec,
        completions: i32,
        pods: &[&'a Pod],
        active: &[&Pod],
    ) -> IndexedView<'a> {
        let status = job.status.as_ref();
        let known = status.and_then(|status| status.completed_indexes.as_deref()).unwrap_or_default();
        let mut succeeded = Indexes::parse(known, completions);
        let held = || pods.iter().copied().filter(|pod| member::is_held(pod));
        let of = |pod: &Pod| valid_index(pod, completions);
        held()
            .filter(|pod| pods::phase(pod) == "Succeeded")
            .filter_map(of)
            .for_each(|index| succeeded.add(index));
        let failed_pods = || held().filter(|pod| member::has_failed(pod, spec));
        let failed = spec.backoff_limit_per_index.map(|limit| {
            let known = status.and_then(|status| status.failed_indexes.as_deref()).unwrap_or_default();
            let mut failed = Indexes::parse(known, completions);
            let for_good = failed_pods().filter(|pod| member::failures_before(pod) >= limit);
            for_good.filter_map(of).for_each(|index| failed.add(index));
            failed
        });
        let mut awaiting: BTreeMap<i32, &'a Pod> = BTreeMap::new();
        if let Some(failed) = &failed {
            let busy: Indexes = active.iter().copied().filter_map(of).collect();
            for pod in failed_pods() {
                let Some(index) = of(pod) else { continue };
                if succeeded.has(index) || failed.has(index) || busy.has(index) {
                    continue;
                }
                let rank = |pod: &Pod| (member::failures_before(pod), backoff::finished(pod));
                if awaiting.get(&index).is_none_or(|known| rank(known) <= rank(pod)) {
                    awaiting.insert(index, pod);
                }
            }
        }
        IndexedView { completions, succeeded, failed, awaiting }
    }

    /// The first indexes without a pod, a success or a failure for good.
    pub(super) fn pending(&self, view: &View<'_>, count: i32) -> Vec<i32> {
        let of = |pod: &&Pod| valid_index(pod, self.completions);
        let mut taken: Indexes = view.active.iter().filter_map(of).collect();
        if member::replaces_only_failed(view.spec) {
            let going = view.pods.iter().filter(|pod| pods::is_leaving(pod) && pods::is_alive(pod));
            going.filter_map(of).for_each(|index| taken.add(index));
        }
        let free = |index: &i32| {
            let failed = self.failed.as_ref().is_some_and(|failed| failed.has(*index));
            !taken.has(*index) && !self.succeeded.has(*index) && !failed
        };
        (0..self.completions).filter(free).take(usize::try_from(count).unwrap_or(0)).collect()
    }
}

/// The uids of pods that have ended and are not counted yet: those that succeeded, those that failed.
pub(super) fn lists(uncounted: &UncountedTerminatedPods) -> (&[String], &[String]) {
    (uncounted.succeeded.as_deref().unwrap_or_default(), uncounted.failed.as_deref().unwrap_or_default())
}

pub(super) fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

/// The pod's index, when the Job has one like it.
pub(super) fn valid_index(pod: &Pod, completions: i32) -> Option<i32> {
    member::index(pod).filter(|index| *index < completions)
}
