//! What each chart is given, for each layout of a mesh. Nothing here has an effect.

use seldon_crds::defaults::controller::Reach;
use serde_json::{Value, json};

use super::image::ImageOverride;
use super::{Release, SeldonError};

/// Where a mesh's releases go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Namespace of the controller and of its configuration.
    pub home: String,
    /// The tenant's.
    pub tenant: String,
    /// What the controller watches.
    pub reach: Reach,
}

/// Values of `seldon-core-v2-setup`: Services that need no load balancer, decisions in the scheduler's log, no tracing,
/// and the controller's reach.
///
/// # Errors
/// That this release's controller cannot watch a list of namespaces.
pub fn setup_values(
    layout: &Layout,
    release: Option<Release>,
    images: &[ImageOverride],
) -> Result<Value, SeldonError> {
    let controller = match &layout.reach {
        Reach::OwnNamespace => json!({"clusterwide": false}),
        Reach::Cluster => json!({"clusterwide": true}),
        Reach::Namespaces(_) if release.is_some_and(|release| !release.watches_lists()) => {
            return Err(SeldonError::CannotWatchLists { release: release.map_or("", Release::version) });
        }
        // The list counts only where the controller is cluster-wide.
        Reach::Namespaces(namespaces) => json!({"clusterwide": true, "watchNamespaces": namespaces}),
    };
    let mut values = json!({
        "controller": controller,
        "envoy": {"includeSuccessfulRequests": true},
        "opentelemetry": {"disable": true},
        "scheduler": {"logLevel": "debug"},
        "services": {"defaultServiceType": "ClusterIP"},
    });
    images.iter().for_each(|image| image.put(&mut values));
    Ok(values)
}

/// Values of `seldon-core-v2-runtime`: scheduler and Envoy behind ClusterIP Services, what needs Kafka at zero replicas,
/// tracing off.
///
/// Zero replicas and not `disable`: a disabled component keeps the runtime's `Ready` at `Unknown` for ever. Tracing is
/// switched off here too, as the runtime's empty configuration wins over the setup's.
pub fn runtime_values() -> Value {
    let none = json!({"replicas": 0});
    json!({
        "config": {"tracingConfig": {"disable": true}},
        "dataflow": none,
        "envoy": {"serviceType": "ClusterIP"},
        "hodometer": none,
        "modelgateway": none,
        "pipelinegateway": none,
        "scheduler": {"serviceType": "ClusterIP"},
    })
}

/// Values of `seldon-core-v2-servers`: one MLServer. The chart always makes a Triton, too, which is left out after it.
pub fn servers_values() -> Value {
    json!({"mlserver": {"replicas": 1}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(reach: Reach) -> Layout {
        Layout { home: "seldon-system".into(), tenant: "ml".into(), reach }
    }

    #[test]
    fn a_controller_of_290_watches_no_list() {
        let listed = layout(Reach::Namespaces(vec!["ml".into()]));
        let error = setup_values(&listed, Some(Release::V2_9_0), &[]).unwrap_err().to_string();
        assert!(error.contains("2.9.0") && error.contains("2.9.1"), "{error}");
        setup_values(&listed, Some(Release::V2_9_1), &[]).unwrap();
        setup_values(&listed, None, &[]).unwrap();
        setup_values(&layout(Reach::Cluster), Some(Release::V2_9_0), &[]).unwrap();
    }

    #[test]
    fn own_builds_stand_where_the_chart_looks_for_them() {
        let images = ["agent=r.example.com/a:1", "controller=c/c:2"].map(|text| text.parse().unwrap());
        let values = setup_values(&layout(Reach::OwnNamespace), None, &images).unwrap();
        assert_eq!(
            values["serverConfig"]["agent"]["image"],
            json!({"registry": "r.example.com", "repository": "a", "tag": "1"})
        );
        assert_eq!(values["controller"]["image"]["repository"], "c/c");
        assert_eq!(values["controller"]["clusterwide"], false, "what was there stays");
    }
}
