//! Jobs with real processes, and how they are listed.

use anyhow::{Context, ensure};
use embedded::{ClusterSpec, Profile, ProgramImage, SupervisedCluster};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{ListParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::{client, spec};

fn job(name: &str, script: &str, more: &Value) -> anyhow::Result<Job> {
    let container = json!({"name": "main", "image": "busybox:1.36", "command": ["/bin/sh", "-c", script],
        "volumeMounts": [{"name": "own", "mountPath": "/own"}]});
    let pod = json!({"restartPolicy": "Never", "containers": [container], "volumes": [{"name": "own", "emptyDir": {}}]});
    let mut whole = json!({"template": {"spec": pod}});
    if let (Some(whole), Some(more)) = (whole.as_object_mut(), more.as_object()) {
        whole.extend(more.clone());
    }
    if let Some(policy) = more.get("restartPolicy") {
        whole["template"]["spec"]["restartPolicy"] = policy.clone();
        whole.as_object_mut().context("an object")?.remove("restartPolicy");
    }
    Ok(serde_json::from_value(json!({"metadata": {"name": name}, "spec": whole}))?)
}

/// Waits until the Job has the condition `end`; its status then.
async fn ended(jobs: &Api<Job>, name: &str, end: &'static str) -> anyhow::Result<Value> {
    let has_ended = move |job: Option<&Job>| {
        let conditions = job.and_then(|job| job.status.as_ref()?.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|one| one.type_ == end && one.status == "True"))
    };
    let waited = await_condition(jobs.clone(), name, has_ended);
    let found = tokio::time::timeout(std::time::Duration::from_secs(30), waited).await;
    let found = found.with_context(|| format!("Job {name} is not {end} after 30 s"))??;
    Ok(serde_json::to_value(found.and_then(|job| job.status))?)
}

/// What `kubectl get jobs` prints, without durations and ages.
async fn listed(client: &Client) -> anyhow::Result<Vec<String>> {
    let request = http::Request::get("/apis/batch/v1/namespaces/default/jobs")
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())?;
    let table: Value = client.request(request).await?;
    let columns = table["columnDefinitions"].as_array().context("columns")?;
    let heads: Vec<&str> = columns
        .iter()
        .filter(|column| column["priority"] == 0)
        .filter_map(|column| column["name"].as_str())
        .collect();
    let rows = table["rows"].as_array().context("rows")?.iter().map(|row| {
        let cells = (0..3).filter_map(|cell| row["cells"][cell].as_str());
        cells.collect::<Vec<_>>().join(" ")
    });
    Ok(std::iter::once(heads.join(" ")).chain(rows).collect())
}

pub(crate) async fn run_to_their_end() -> anyhow::Result<()> {
    let mountpoint = tempfile::tempdir()?;
    let busybox = ProgramImage { reference: "busybox:1.36".into(), ..ProgramImage::default() };
    let wanted = ClusterSpec { images: vec![busybox], ..spec(Profile::Flannel, mountpoint.path()) };
    let cluster = SupervisedCluster::start_embedded(&wanted, None).await?;
    let client = client(&cluster).await?;
    // Pods need the account that its controller makes a moment after the boot.
    let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
    await_condition(accounts, "default", |it: Option<&ServiceAccount>| it.is_some()).await?;
    let jobs: Api<Job> = Api::default_namespaced(client.clone());
    let indexed = json!({"completions": 3, "parallelism": 2, "completionMode": "Indexed"});
    let once_more = "test -e /own/mark || { touch /own/mark; exit 3; }";
    for job in [
        job("counted", "echo I am $JOB_COMPLETION_INDEX on $(hostname)", &indexed)?,
        job("broken", "exit 7", &json!({"backoffLimit": 1}))?,
        job("patient", once_more, &json!({"restartPolicy": "OnFailure"}))?,
    ] {
        jobs.create(&PostParams::default(), &job).await?;
    }
    let counted = ended(&jobs, "counted", "Complete").await?;
    ensure!((&counted["completedIndexes"], &counted["succeeded"]) == (&json!("0-2"), &json!(3)), "{counted}");
    let broken = ended(&jobs, "broken", "Failed").await?;
    ensure!((&broken["failed"], broken.get("succeeded")) == (&json!(2), None), "{broken}");
    let patient = ended(&jobs, "patient", "Complete").await?;
    ensure!((&patient["succeeded"], patient.get("failed")) == (&json!(1), None), "{patient}");
    let table = listed(&client).await?;
    let expected = [
        "Name Status Completions Duration Age",
        "broken Failed 0/1",
        "counted Complete 3/3",
        "patient Complete 1/1",
    ];
    ensure!(table == expected, "{table:?}");
    let pods: Api<Pod> = Api::default_namespaced(client);
    let of = |job: &str| ListParams::default().labels(&format!("job-name={job}"));
    let mut said = Vec::new();
    for pod in pods.list(&of("counted")).await?.items {
        said.push(pods.logs(&pod.metadata.name.unwrap_or_default(), &Default::default()).await?);
    }
    said.sort();
    ensure!(said == [0, 1, 2].map(|index| format!("I am {index} on counted-{index}\n")), "{said:?}");
    let status = serde_json::to_value(pods.list(&of("patient")).await?.items)?;
    ensure!(status[0]["status"]["containerStatuses"][0]["restartCount"] == 1, "{status}");
    let failed = serde_json::to_value(pods.list(&of("broken")).await?.items)?;
    let code = &failed[0]["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"];
    ensure!((&failed[0]["status"]["phase"], code) == (&json!("Failed"), &json!(7)), "{failed}");
    Ok(cluster.stop().await?)
}
