use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PodSpec;
use rstest::rstest;

use super::controller::{Controller, Reach, manifests};
use super::*;

#[test]
fn every_pod_spec_is_one_that_kubernetes_knows_in_full() {
    let values = Values::testable("seldon-mesh");
    let components = seldon_config(&values).spec.components;
    let names: Vec<_> = components.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "seldon-scheduler",
            "seldon-pipelinegateway",
            "seldon-modelgateway",
            "hodometer",
            "seldon-envoy",
            "seldon-dataflow-engine",
        ]
    );
    let specs =
        components.into_iter().filter_map(|c| c.pod_spec).chain([server_config(&values).spec.pod_spec]);
    for written in specs {
        let typed: PodSpec = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(typed).unwrap(), written);
    }
}

#[rstest]
#[case::own(Reach::OwnNamespace, "false", "", 8)]
#[case::cluster(Reach::Cluster, "true", "", 10)]
#[case::listed(Reach::Namespaces(vec!["a".into(), "b".into()]), "true", "a,b", 10)]
fn the_reach_is_told_by_environment(
    #[case] reach: Reach,
    #[case] clusterwide: &str,
    #[case] watched: &str,
    #[case] objects: usize,
) {
    let written = manifests(&Controller::new("seldon-system", reach));
    assert_eq!(written.len(), objects);
    let deployment: Deployment = serde_json::from_value(written.last().unwrap().clone()).unwrap();
    let container = deployment.spec.unwrap().template.spec.unwrap().containers.remove(0);
    let value =
        |name: &str| container.env.as_ref().unwrap().iter().find(|e| e.name == name).unwrap().value.clone();
    assert_eq!(value("CLUSTERWIDE").unwrap(), clusterwide);
    assert_eq!(value("WATCH_NAMESPACES").unwrap(), watched);
    assert_eq!(
        container.args.unwrap(),
        [
            "--health-probe-bind-address=:8081",
            "--leader-elect",
            "--watch-namespaces=$(WATCH_NAMESPACES)",
            "--namespace=$(POD_NAMESPACE)",
            "--clusterwide=$(CLUSTERWIDE)",
            "--log-level=$(LOG_LEVEL)",
        ]
    );
}

#[test]
fn a_mixed_installation_keeps_the_charts_arguments() {
    let mixed = Controller { image_tag: Some("2.9.0".into()), ..Controller::new("s", Reach::OwnNamespace) };
    let text = manifests(&mixed).pop().unwrap().to_string();
    assert!(text.contains("seldonv2-controller:2.9.0") && text.contains("--watch-namespaces"), "{text}");
    let old = Controller { tag: "2.9.0".into(), ..Controller::new("s", Reach::OwnNamespace) };
    assert!(!manifests(&old).pop().unwrap().to_string().contains("--watch-namespaces"));
}

#[test]
fn the_runtime_as_it_is_written() {
    insta::assert_snapshot!(serde_saphyr::to_string(&seldon_runtime("seldon-mesh")).unwrap());
}
