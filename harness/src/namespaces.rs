//! How the namespaces of a case are called on its cluster.

use sha2::{Digest, Sha256};

/// The names that scenarios use, as they are on a cluster of the case's own, or told apart from everybody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Namespaces {
    /// As scenarios say.
    Plain,
    /// With an ending of the case's own.
    Ending(String),
    /// The case looks at one that is somebody's.
    Lent(String),
}

impl Namespaces {
    /// On a cluster that the case has for itself.
    pub(crate) fn plain() -> Namespaces {
        Namespaces::Plain
    }

    /// On a shared cluster: other names for every `seed` and every case, and the same ones again for the same two.
    pub(crate) fn of_case(seed: u32, case: &str) -> Namespaces {
        let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(case).finalize();
        Namespaces::Ending(digest.iter().take(3).map(|byte| format!("{byte:02x}")).collect())
    }

    /// On a shared cluster, of a case that is not known: for dry runs.
    pub(crate) fn of_any_case() -> Namespaces {
        Namespaces::Ending("case".into())
    }

    /// What `name` is called.
    pub(crate) fn place(&self, name: &str) -> String {
        match self {
            Namespaces::Plain => name.to_owned(),
            Namespaces::Ending(ending) => format!("{name}-{ending}"),
            Namespaces::Lent(lent) => lent.clone(),
        }
    }

    /// Whether a namespace is called so by these rules.
    pub(crate) fn placed(&self, name: &str) -> bool {
        match self {
            Namespaces::Plain => true,
            Namespaces::Ending(ending) => name.ends_with(&format!("-{ending}")),
            Namespaces::Lent(lent) => name == lent,
        }
    }

    /// Whether others share the cluster.
    pub(crate) fn are_shared(&self) -> bool {
        *self != Namespaces::Plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn alone_on_a_cluster_names_are_as_scenarios_say_them() {
        assert_eq!(Namespaces::plain().place("seldon-mesh"), "seldon-mesh");
    }

    #[test]
    fn in_a_lent_namespace_other_tenants_troubles_are_nobodys_business() {
        let lent = Namespaces::Lent("theirs".into());
        assert!(lent.placed("theirs") && !lent.placed("others"));
    }

    proptest! {
        #[test]
        fn shared_names_are_labels_that_the_same_seed_gives_again(seed: u32, case in "[a-z :]{1,40}") {
            let placed = Namespaces::of_case(seed, &case).place("financial-inference");
            prop_assert_eq!(&placed, &Namespaces::of_case(seed, &case).place("financial-inference"));
            prop_assert!(Namespaces::of_case(seed, &case).placed(&placed));
            prop_assert!(placed.len() <= 63 && placed.starts_with("financial-inference-"));
            let other = Namespaces::of_case(seed.wrapping_add(1), &case).place("financial-inference");
            prop_assert_ne!(placed, other);
        }
    }
}
