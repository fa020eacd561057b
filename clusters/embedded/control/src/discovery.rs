//! Every kind that the API server holds, as it changes with CustomResourceDefinitions.

use kube::Client;
use kube::core::ApiResource;
use kube::discovery::{Discovery, Scope, verbs};

/// A kind whose objects can be listed, watched and deleted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Resource {
    pub(crate) api: ApiResource,
    pub(crate) namespaced: bool,
}

/// All such kinds, each in its preferred version. Events are left out: nothing owns them and they go by themselves.
pub(crate) async fn resources(client: &Client) -> Result<Vec<Resource>, kube::Error> {
    // Two requests; one for each group would be sixteen.
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    let kinds = discovery.groups().flat_map(kube::discovery::ApiGroup::recommended_resources);
    let kept = kinds.filter(|(api, capabilities)| {
        let usable = [verbs::LIST, verbs::WATCH, verbs::DELETE]
            .iter()
            .all(|verb| capabilities.supports_operation(verb));
        usable && api.plural != "events"
    });
    Ok(kept
        .map(|(api, capabilities)| Resource { api, namespaced: capabilities.scope == Scope::Namespaced })
        .collect())
}
