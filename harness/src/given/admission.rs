//! What a cluster lets into namespaces of ours: asked with dry runs, so that nothing is made.

use anyhow::Context;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use super::{Finding, RUN_LABEL};
use crate::images;
use crate::object::{Manifest, Trial};
use crate::obstacles;

/// The label by which a namespace holds its pods to a standard.
const ENFORCED: &str = "pod-security.kubernetes.io/enforce";

/// Names of what is never made.
const TRIAL: &str = "seldon-conformance-trial";

/// What stands in the way of namespaces and pods of ours, for whoever asks before a run.
pub(super) async fn findings(client: &Client) -> Vec<Finding> {
    match standing_in(client).await {
        Ok(finding) => finding.into_iter().collect(),
        Err(error) => vec![Finding::Unsure(format!("whether new namespaces take a mesh's pods: {error:#}"))],
    }
}

async fn standing_in(client: &Client) -> anyhow::Result<Option<Finding>> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let wanted: Namespace =
        serde_json::from_value(json!({"metadata": {"name": TRIAL, "labels": {RUN_LABEL: TRIAL}}}))?;
    let tried = PostParams { dry_run: true, ..PostParams::default() };
    let new = match namespaces.create(&tried, &wanted).await {
        Ok(new) => new,
        Err(error) => return Ok(Some(Finding::Lacks(format!("a namespace of ours is not let in: {error}")))),
    };
    let standard = |namespace: &Namespace| {
        namespace.metadata.labels.as_ref().and_then(|labels| labels.get(ENFORCED)).cloned()
    };
    // A namespace that is not there takes no pod, not even on trial: one that is held to the same does.
    let there = namespaces.get("default").await.context("namespace default cannot be looked at")?;
    let (of_new, of_there) = (standard(&new), standard(&there));
    if of_new != of_there {
        let said = of_new.map_or("none".into(), |standard| format!("{standard:?}"));
        return Ok(Some(Finding::Unsure(format!(
            "whether pods of ours keep what new namespaces are held to ({ENFORCED}: {said}): none is there to try it in"
        ))));
    }
    Ok(match Manifest::of(client, &pod("default"))?.apply(Trial::DryRun).await {
        // How much room that namespace leaves says nothing of ours.
        Err(error) if obstacles::is_of_quota(&error.to_string()) => None,
        Err(error) if obstacles::remedy(&error.to_string()).is_some() => {
            Some(Finding::Lacks(error.to_string()))
        }
        Err(error) => return Err(error),
        Ok(()) => None,
    })
}

/// A namespace of ours, which has just been made, takes pods. What else may be said to one is said to a case's.
///
/// # Errors
/// That it takes none, with the remedy.
pub(super) async fn must_take_pods(client: &Client, namespace: &str) -> anyhow::Result<()> {
    match Manifest::of(client, &pod(namespace))?.apply(Trial::DryRun).await {
        Err(error) if obstacles::remedy(&error.to_string()).is_some() => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// As those that visit a mesh.
fn pod(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": TRIAL, "namespace": namespace},
        "spec": {"containers": [{
            "name": "toolbox", "image": images::TOOLBOX, "args": ["wait"],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        }]},
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use http::{Method, Request, Response};
    use kube::client::Body;
    use rstest::rstest;

    const SECURITY: &str = "pods \"seldon-conformance-trial\" is forbidden: violates PodSecurity \"restricted:latest\": \
                            allowPrivilegeEscalation != false (container \"toolbox\" must set \
                            securityContext.allowPrivilegeEscalation=false)";
    const QUOTA: &str = "pods \"seldon-conformance-trial\" is forbidden: exceeded quota: compute, requested: pods=1, \
                         used: pods=1, limited: pods=1";

    /// What an API server says to a new namespace, of namespace `default`, and to a pod.
    #[derive(Clone)]
    struct Says {
        new: Result<Value, &'static str>,
        there: Value,
        pod: Option<&'static str>,
    }

    fn held_to(standard: Value) -> Value {
        json!({"metadata": {"name": "n", "labels": {ENFORCED: standard}}})
    }

    fn free() -> Value {
        json!({"metadata": {"name": "n"}})
    }

    /// A client to whom all of that is said, and what it asks.
    fn client(says: Says) -> (Client, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            noted.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
            let answer = match *request.method() {
                Method::POST => says.new.clone(),
                Method::GET => Ok(says.there.clone()),
                _ => says.pod.map_or(Ok(pod("default")), Err),
            };
            let (code, document) = match answer {
                Ok(document) => (200, document),
                Err(message) => (
                    403,
                    json!({
                        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Forbidden",
                        "message": message, "code": 403,
                    }),
                ),
            };
            let body = Body::from(document.to_string().into_bytes());
            std::future::ready(Response::builder().status(code).body(body))
        });
        (Client::new(service, "default"), asked)
    }

    #[rstest]
    #[case::nothing(Ok(free()), free(), None, None)]
    #[case::security_by_default(
        Ok(free()),
        free(),
        Some(SECURITY),
        Some("MISSING: cannot apply Pod default/seldon-conformance-trial")
    )]
    #[case::security_of_new_ones(Ok(held_to("restricted".into())), free(), None, Some("UNSURE: whether pods of ours keep what new namespaces are held to (pod-security.kubernetes.io/enforce: \"restricted\")"))]
    #[case::security_of_default_alone(Ok(free()), held_to("restricted".into()), Some(SECURITY), Some("UNSURE: whether"))]
    #[case::security_of_both(Ok(held_to("restricted".into())), held_to("restricted".into()), Some(SECURITY), Some("MISSING: cannot"))]
    #[case::quota_of_another_namespace(Ok(free()), free(), Some(QUOTA), None)]
    #[case::another_answer(
        Ok(free()),
        free(),
        Some("no endpoints available for service \"hook\""),
        Some("UNSURE: whether new namespaces take a mesh's pods: cannot apply")
    )]
    #[case::no_namespace(
        Err("admission webhook \"names\" denied the request: bad name"),
        free(),
        None,
        Some("MISSING: a namespace of ours is not let in: ")
    )]
    #[tokio::test]
    async fn what_is_not_let_in_is_told_and_nothing_is_made(
        #[case] new: Result<Value, &'static str>,
        #[case] there: Value,
        #[case] pod: Option<&'static str>,
        #[case] told: Option<&str>,
    ) {
        let (client, asked) = client(Says { new, there, pod });
        let found = findings(&client).await;
        let texts: Vec<String> = found
            .iter()
            .map(|finding| match finding {
                Finding::Lacks(what) => format!("MISSING: {what}"),
                Finding::Unsure(what) => format!("UNSURE: {what}"),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(texts.len(), usize::from(told.is_some()), "{texts:?}");
        assert!(texts.iter().all(|text| text.starts_with(told.unwrap_or_default())), "{texts:?}");
        let asked = asked.lock().unwrap();
        assert!(
            !asked.is_empty()
                && asked.iter().all(|one| one.starts_with("GET ") || one.contains("dryRun=All")),
            "{asked:?}"
        );
    }

    #[rstest]
    #[case::all_well(None, None)]
    #[case::security(Some(SECURITY), Some("pod security standard"))]
    #[case::quota(Some(QUOTA), Some("ResourceQuota"))]
    #[case::what_a_case_will_say(Some("no endpoints available for service \"hook\""), None)]
    #[tokio::test]
    async fn a_namespace_of_ours_that_takes_no_pods_ends_a_run(
        #[case] pod: Option<&'static str>,
        #[case] remedy: Option<&str>,
    ) {
        let (client, asked) = client(Says { new: Ok(free()), there: free(), pod });
        let refused =
            must_take_pods(&client, "seldon-conformance").await.err().map(|error| error.to_string());
        assert_eq!(refused.is_some(), remedy.is_some(), "{refused:?}");
        assert!(refused.unwrap_or_default().contains(remedy.unwrap_or_default()));
        let path = "/api/v1/namespaces/seldon-conformance/pods/seldon-conformance-trial?";
        let asked = asked.lock().unwrap();
        assert!(asked.len() == 1 && asked[0].contains(path) && asked[0].contains("dryRun=All"), "{asked:?}");
    }
}
