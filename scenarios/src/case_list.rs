//! From the catalogue to cases: scenarios times networks times layouts, filtered.

use harness::run::CaseSpec;
use harness::{Profile, Topology};

use crate::catalogue::{CATALOGUE, Scenario};

/// One scenario on one network and one layout.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The scenario.
    pub scenario: &'static Scenario,
    /// The network.
    pub profile: Profile,
    /// The layout.
    pub topology: Topology,
}

/// What a person wants to run. Empty lists mean everything.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    /// Parts of `family: name`; a case is wanted if one of them is contained.
    pub words: Vec<String>,
    /// Networks.
    pub profiles: Vec<Profile>,
    /// Layouts.
    pub topologies: Vec<Topology>,
}

/// A word that no scenario's family or name contains.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no scenario matches {word:?}; there are:\n{}", .known.join("\n"))]
pub struct UnknownFilter {
    word: String,
    known: Vec<String>,
}

impl Case {
    /// `policy: the controller is cut off from the scheduler`.
    pub fn title(&self) -> String {
        title(self.scenario)
    }

    /// `policy: … [flannel cluster-wide]`, unique in the list.
    pub fn full_name(&self) -> String {
        format!("{} [{} {}]", self.title(), self.profile, self.topology)
    }

    /// As the runner takes it, on a `cluster` of that kind.
    pub fn spec(&self, cluster: &str) -> CaseSpec {
        CaseSpec {
            case: harness::run::case_id(
                self.scenario.family,
                self.scenario.name,
                self.profile,
                self.topology,
                cluster,
            ),
            claim: self.scenario.claim.into(),
            seeds: self.scenario.seeds,
            needs: self.scenario.needs,
            on_lent: self.scenario.on_lent,
            profile: self.profile,
            topology: self.topology,
        }
    }
}

fn title(scenario: &Scenario) -> String {
    format!("{}: {}", scenario.family, scenario.name)
}

/// The cases that `filters` want, in the catalogue's order.
///
/// # Errors
/// [`UnknownFilter`] for a word that matches no scenario.
pub fn cases(filters: &Filters) -> Result<Vec<Case>, UnknownFilter> {
    for word in &filters.words {
        if !CATALOGUE.iter().any(|scenario| title(scenario).contains(word.as_str())) {
            let known = CATALOGUE.iter().map(|scenario| format!("  {}", title(scenario))).collect();
            return Err(UnknownFilter { word: word.clone(), known });
        }
    }
    let wanted = |scenario: &Scenario| {
        filters.words.is_empty() || filters.words.iter().any(|word| title(scenario).contains(word.as_str()))
    };
    let mut list = Vec::new();
    for scenario in CATALOGUE.iter().filter(|scenario| wanted(scenario)) {
        for &topology in scenario.topologies {
            for profile in Profile::ALL {
                let case = Case { scenario, profile, topology };
                let on = filters.profiles.is_empty() || filters.profiles.contains(&profile);
                if on && (filters.topologies.is_empty() || filters.topologies.contains(&topology)) {
                    list.push(case);
                }
            }
        }
    }
    Ok(list)
}

/// The scenarios of `cases`, each once, on a mesh that somebody lends: it has the layout that it has.
pub fn on_lent_mesh(cases: &[Case], topology: Topology) -> Vec<Case> {
    let mut list: Vec<Case> = Vec::new();
    for case in cases {
        if !list.iter().any(|other| other.title() == case.title()) {
            list.push(Case { topology, ..*case });
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::collections::BTreeSet;

    #[test]
    fn the_default_suite_has_at_least_twelve_cases_with_names_of_their_own() {
        let all = cases(&Filters::default()).unwrap();
        assert!(all.len() >= 12);
        assert_eq!(all.iter().map(Case::full_name).collect::<BTreeSet<_>>().len(), all.len());
    }

    #[rstest]
    #[case::family(&["policy: "], 6)]
    #[case::two_words(&["hijacking", "one name only"], 4)]
    fn words_select(#[case] words: &[&str], #[case] expected: usize) {
        let filters =
            Filters { words: words.iter().map(|w| (*w).to_owned()).collect(), ..Filters::default() };
        assert_eq!(cases(&filters).unwrap().len(), expected);
    }

    #[test]
    fn networks_and_layouts_select() {
        let filters = Filters {
            profiles: vec![Profile::Calico],
            topologies: vec![Topology::PerNamespace],
            ..Filters::default()
        };
        let list = cases(&filters).unwrap();
        assert!(!list.is_empty());
        assert!(list.iter().all(|c| c.profile == Profile::Calico && c.topology == Topology::PerNamespace));
    }

    #[test]
    fn on_a_lent_mesh_each_scenario_is_run_once_on_its_layout() {
        let filters = Filters { profiles: vec![Profile::Calico], ..Filters::default() };
        let list = on_lent_mesh(&cases(&filters).unwrap(), Topology::PerNamespace);
        assert_eq!(list.len(), CATALOGUE.len());
        assert!(list.iter().all(|case| case.topology == Topology::PerNamespace));
    }

    #[test]
    fn an_unknown_word_is_answered_with_what_there_is() {
        let filters = Filters { words: vec!["nonsense".into()], ..Filters::default() };
        let error = cases(&filters).unwrap_err().to_string();
        assert!(
            error.starts_with("no scenario matches \"nonsense\"; there are:\n  serving: a ready model"),
            "{error}"
        );
    }
}
