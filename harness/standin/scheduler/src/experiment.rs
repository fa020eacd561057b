//! Experiments: several models or pipelines behind one name.

use std::collections::BTreeMap;

use seldon_proto::scheduler as pb;

/// What an experiment is made on.
pub(crate) use pb::ResourceType;

/// Why an experiment was refused, in the words of Seldon 2.9.1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExperimentError {
    #[error("Experiment not found {0}")]
    NotFound(String),
    /// It names the new experiment, not the one that has the baseline.
    #[error(
        "Resource {resource} already in experiment {experiment} as a baseline. \
         A model or pipeline can only appear in one experiment as a baseline"
    )]
    BaselineTaken { resource: String, experiment: String },
    #[error("default model/pipeline {default} not found in experiment {experiment} candidates")]
    DefaultNotACandidate { default: String, experiment: String },
    #[error("experiment {0} has no candidates or mirror")]
    Empty(String),
    #[error(
        "each candidate and mirror must be unique but found resource {resource} duplicated in experiment {experiment}"
    )]
    Duplicate { resource: String, experiment: String },
}

/// A candidate or a mirror, and whether it was last seen ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// Weight of a candidate, percentage of a mirror.
    pub(crate) share: u32,
    pub(crate) ready: bool,
}

/// One experiment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Experiment {
    pub(crate) name: String,
    pub(crate) on: ResourceType,
    pub(crate) default: Option<String>,
    pub(crate) candidates: Vec<Part>,
    pub(crate) mirror: Option<Part>,
    pub(crate) active: bool,
    pub(crate) deleted: bool,
    pub(crate) description: String,
    pub(crate) kubernetes_meta: Option<pb::KubernetesMeta>,
}

impl Experiment {
    pub(crate) fn requested(request: pb::Experiment) -> Experiment {
        let on = request.resource_type();
        let candidate = |candidate: pb::ExperimentCandidate| Part {
            name: candidate.name,
            share: candidate.weight,
            ready: false,
        };
        Experiment {
            name: request.name,
            on,
            default: request.default,
            candidates: request.candidates.into_iter().map(candidate).collect(),
            mirror: request.mirror.map(|mirror| Part {
                name: mirror.name,
                share: mirror.percent,
                ready: false,
            }),
            active: false,
            deleted: false,
            description: String::new(),
            kubernetes_meta: request.kubernetes_meta,
        }
    }

    /// The name its route has: `<name>.experiment`.
    pub(crate) fn route(&self) -> String {
        format!("{}.experiment", self.name)
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.candidates.iter().chain(&self.mirror)
    }

    pub(crate) fn concerns(&self, on: ResourceType, name: &str) -> bool {
        self.on == on && !self.deleted && self.parts().any(|part| part.name == name)
    }

    /// Notes whether a part is ready.
    pub(crate) fn note(&mut self, name: &str, ready: bool) {
        for part in self.candidates.iter_mut().chain(&mut self.mirror) {
            if part.name == name {
                part.ready = ready;
            }
        }
    }

    /// Names of all parts.
    pub(crate) fn part_names(&self) -> Vec<String> {
        self.parts().map(|part| part.name.clone()).collect()
    }

    /// The status message the operator gets.
    pub(crate) fn status(&self) -> pb::ExperimentStatusResponse {
        pb::ExperimentStatusResponse {
            experiment_name: self.name.clone(),
            active: self.active,
            candidates_ready: self.candidates.iter().all(|candidate| candidate.ready),
            mirror_ready: self.mirror.as_ref().is_none_or(|mirror| mirror.ready),
            status_description: self.description.clone(),
            kubernetes_meta: self.kubernetes_meta.clone(),
        }
    }

    fn check_itself(&self) -> Result<(), ExperimentError> {
        let experiment = || self.name.clone();
        if let Some(default) = &self.default
            && !self.candidates.iter().any(|candidate| candidate.name == *default)
        {
            return Err(ExperimentError::DefaultNotACandidate {
                default: default.clone(),
                experiment: experiment(),
            });
        }
        if self.candidates.is_empty() && self.mirror.is_none() {
            return Err(ExperimentError::Empty(experiment()));
        }
        let mut seen = std::collections::BTreeSet::new();
        for part in self.parts() {
            if !seen.insert(&part.name) {
                let resource = part.name.clone();
                return Err(ExperimentError::Duplicate { resource, experiment: experiment() });
            }
        }
        Ok(())
    }
}

/// All experiments, the deleted ones too.
#[derive(Debug, Default)]
pub(crate) struct Experiments {
    pub(crate) by_name: BTreeMap<String, Experiment>,
    /// Experiment by what it is made on and the resource whose route it took over.
    baselines: BTreeMap<(i32, String), String>,
}

impl Experiments {
    pub(crate) fn get(&self, name: &str) -> Result<&Experiment, ExperimentError> {
        self.by_name.get(name).ok_or_else(|| ExperimentError::NotFound(name.to_owned()))
    }

    /// The experiment that took over the route of that model or pipeline.
    pub(crate) fn with_baseline(&self, on: ResourceType, name: &str) -> Option<&Experiment> {
        self.baselines.get(&(on.into(), name.to_owned())).and_then(|experiment| self.by_name.get(experiment))
    }

    /// Starts or changes an experiment. Returns the resource that gets its own route back, if the default changed.
    pub(crate) fn start(&mut self, experiment: Experiment) -> Result<Option<String>, ExperimentError> {
        if let Some(default) = &experiment.default
            && self.with_baseline(experiment.on, default).is_some_and(|other| other.name != experiment.name)
        {
            let (resource, experiment) = (default.clone(), experiment.name.clone());
            return Err(ExperimentError::BaselineTaken { resource, experiment });
        }
        experiment.check_itself()?;
        let previous =
            self.by_name.get(&experiment.name).and_then(|old| old.default.clone().map(|name| (old.on, name)));
        let mut released = None;
        if let Some((on, default)) = previous {
            self.baselines.remove(&(on.into(), default.clone()));
            if experiment.default.as_ref() != Some(&default) {
                released = Some(default);
            }
        }
        if let Some(default) = &experiment.default {
            self.baselines.insert((experiment.on.into(), default.clone()), experiment.name.clone());
        }
        self.by_name.insert(experiment.name.clone(), experiment);
        Ok(released)
    }

    /// Ends an experiment. Returns the resource that gets its own route back.
    pub(crate) fn stop(&mut self, name: &str) -> Result<Option<(ResourceType, String)>, ExperimentError> {
        let Some(experiment) = self.by_name.get_mut(name) else {
            return Err(ExperimentError::NotFound(name.to_owned()));
        };
        experiment.deleted = true;
        experiment.active = false;
        let released = experiment.default.clone().map(|default| (experiment.on, default));
        if let Some((on, default)) = &released {
            self.baselines.remove(&((*on).into(), default.clone()));
        }
        Ok(released)
    }

    /// Writes down whether an experiment's routes stand. Says whether that is news: the text alone is not.
    pub(crate) fn set_status(&mut self, name: &str, active: bool, description: &str) -> bool {
        let Some(experiment) = self.by_name.get_mut(name) else { return false };
        if experiment.deleted && active {
            return false;
        }
        let news = experiment.active != active;
        experiment.active = active;
        description.clone_into(&mut experiment.description);
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn experiment(
        name: &str,
        default: Option<&str>,
        candidates: &[&str],
        mirror: Option<&str>,
    ) -> Experiment {
        Experiment::requested(pb::Experiment {
            name: name.to_owned(),
            default: default.map(str::to_owned),
            candidates: candidates
                .iter()
                .map(|name| pb::ExperimentCandidate { name: (*name).to_owned(), weight: 50 })
                .collect(),
            mirror: mirror.map(|name| pb::ExperimentMirror { name: name.to_owned(), percent: 50 }),
            ..Default::default()
        })
    }

    #[rstest]
    #[case::default_is_no_candidate(
        experiment("e", Some("c"), &["a", "b"], None),
        "default model/pipeline c not found in experiment e candidates")]
    #[case::nothing(experiment("e", None, &[], None), "experiment e has no candidates or mirror")]
    #[case::twice(
        experiment("e", None, &["a"], Some("a")),
        "each candidate and mirror must be unique but found resource a duplicated in experiment e")]
    #[case::baseline_taken(
        experiment("new", Some("taken"), &["taken"], None),
        "Resource taken already in experiment new as a baseline. \
         A model or pipeline can only appear in one experiment as a baseline")]
    fn refuses(#[case] wrong: Experiment, #[case] text: &str) {
        let mut experiments = Experiments::default();
        experiments.start(experiment("first", Some("taken"), &["taken", "x"], None)).unwrap();
        assert_eq!(experiments.start(wrong).unwrap_err().to_string(), text);
    }

    #[test]
    fn a_changed_default_gets_its_route_back() {
        let mut experiments = Experiments::default();
        experiments.start(experiment("e", Some("a"), &["a", "b"], None)).unwrap();
        let released = experiments.start(experiment("e", Some("b"), &["a", "b"], None)).unwrap();
        assert_eq!(released.as_deref(), Some("a"));
        assert!(experiments.with_baseline(ResourceType::Model, "a").is_none());
        assert_eq!(experiments.with_baseline(ResourceType::Model, "b").unwrap().name, "e");
        assert_eq!(experiments.stop("e").unwrap(), Some((ResourceType::Model, "b".to_owned())));
        assert!(experiments.with_baseline(ResourceType::Model, "b").is_none());
    }

    #[test]
    fn only_a_turn_is_news_and_the_dead_stay_dead() {
        let mut experiments = Experiments::default();
        experiments.start(experiment("e", None, &["a"], None)).unwrap();
        assert!(!experiments.set_status("e", false, "no live replica"));
        assert!(experiments.set_status("e", true, "experiment active"));
        experiments.stop("e").unwrap();
        assert!(!experiments.set_status("e", true, "experiment active"));
        assert!(!experiments.get("e").unwrap().active);
    }
}
