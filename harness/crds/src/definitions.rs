//! The CustomResourceDefinitions of Seldon 2.9.1: names, columns, subresources, required fields and defaults.
//!
//! Pod specs are open objects here: 2.9.1 spells out Kubernetes' whole pod schema (2 MB of it), of which only
//! the required `containers` and container names are kept.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

const TEXTS: [&str; 7] = [
    include_str!("definitions/experiments.yaml"),
    include_str!("definitions/models.yaml"),
    include_str!("definitions/pipelines.yaml"),
    include_str!("definitions/seldonconfigs.yaml"),
    include_str!("definitions/seldonruntimes.yaml"),
    include_str!("definitions/serverconfigs.yaml"),
    include_str!("definitions/servers.yaml"),
];

/// All seven, sorted by plural name.
///
/// # Panics
/// Never with the texts this crate ships: a test parses every one of them.
#[expect(clippy::expect_used, reason = "the texts are compiled in, and a test parses them all")]
pub fn all() -> Vec<CustomResourceDefinition> {
    TEXTS.iter().map(|text| serde_saphyr::from_str(text).expect("the shipped definitions parse")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Experiment, Model, Pipeline, SeldonConfig, SeldonRuntime, Server, ServerConfig};
    use kube::Resource;
    use rstest::rstest;

    fn definition(plural: &str) -> CustomResourceDefinition {
        all().into_iter().find(|d| d.spec.names.plural == plural).unwrap()
    }

    #[rstest]
    #[case::experiment(Experiment::kind(&()), Experiment::plural(&()))]
    #[case::model(Model::kind(&()), Model::plural(&()))]
    #[case::pipeline(Pipeline::kind(&()), Pipeline::plural(&()))]
    #[case::seldon_config(SeldonConfig::kind(&()), SeldonConfig::plural(&()))]
    #[case::seldon_runtime(SeldonRuntime::kind(&()), SeldonRuntime::plural(&()))]
    #[case::server_config(ServerConfig::kind(&()), ServerConfig::plural(&()))]
    #[case::server(Server::kind(&()), Server::plural(&()))]
    fn every_type_has_its_definition(
        #[case] kind: std::borrow::Cow<'static, str>,
        #[case] plural: std::borrow::Cow<'static, str>,
    ) {
        let definition = definition(&plural);
        assert_eq!(definition.spec.names.kind, kind);
        assert_eq!(definition.metadata.name.unwrap(), format!("{plural}.{}", crate::GROUP));
        assert_eq!(definition.spec.versions[0].name, crate::VERSION);
    }

    #[rstest]
    #[case("models", "mlm", &["Ready", "Desired Replicas", "Available Replicas", "Age"])]
    #[case("servers", "mls", &["Ready", "Replicas", "Loaded Models", "Age"])]
    #[case("experiments", "mlx", &["Experiment ready", "Candidates ready", "Mirror ready", "Message", "Age"])]
    #[case("pipelines", "mlp", &["Pipeline ready", "Models ready", "Dataflow ready", "Message", "Age"])]
    #[case("serverconfigs", "mlc", &[])]
    fn columns_and_short_names(#[case] plural: &str, #[case] short: &str, #[case] columns: &[&str]) {
        let definition = definition(plural);
        assert_eq!(definition.spec.names.short_names.unwrap(), [short]);
        let found = definition.spec.versions[0].additional_printer_columns.clone().unwrap_or_default();
        assert_eq!(found.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), columns);
    }
}
