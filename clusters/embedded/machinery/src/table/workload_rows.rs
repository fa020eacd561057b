use jiff::Timestamp;
use serde_json::{Value, json};

use super::age::{age_since, human_duration};
use super::view::{View, shown, text};

const CONTAINERS: &str = "/spec/template/spec/containers";

/// The desired replicas; one when the field is absent.
fn desired(view: &View<'_>) -> i64 {
    view.object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1)
}

pub(super) fn deployment(view: &View<'_>) -> Vec<Value> {
    let [names, images] = view.containers(CONTAINERS);
    vec![
        json!(view.name()),
        json!(format!("{}/{}", view.number("/status/readyReplicas"), desired(view))),
        json!(view.number("/status/updatedReplicas")),
        json!(view.number("/status/availableReplicas")),
        view.age(),
        names,
        images,
        view.selector("/spec/selector", ""),
    ]
}

pub(super) fn replica_set(view: &View<'_>) -> Vec<Value> {
    let [names, images] = view.containers(CONTAINERS);
    let plain = view.text("/kind") == "ReplicationController";
    vec![
        json!(view.name()),
        json!(desired(view)),
        json!(view.number("/status/replicas")),
        json!(view.number("/status/readyReplicas")),
        view.age(),
        names,
        images,
        if plain { view.labels("/spec/selector") } else { view.selector("/spec/selector", "<none>") },
    ]
}

pub(super) fn stateful_set(view: &View<'_>) -> Vec<Value> {
    let [names, images] = view.containers(CONTAINERS);
    let ready = format!("{}/{}", view.number("/status/readyReplicas"), desired(view));
    vec![json!(view.name()), json!(ready), view.age(), names, images]
}

pub(super) fn daemon_set(view: &View<'_>) -> Vec<Value> {
    let [names, images] = view.containers(CONTAINERS);
    vec![
        json!(view.name()),
        json!(view.number("/status/desiredNumberScheduled")),
        json!(view.number("/status/currentNumberScheduled")),
        json!(view.number("/status/numberReady")),
        json!(view.number("/status/updatedNumberScheduled")),
        json!(view.number("/status/numberAvailable")),
        view.labels("/spec/template/spec/nodeSelector"),
        view.age(),
        names,
        images,
        view.selector("/spec/selector", "<none>"),
    ]
}

pub(super) fn controller_revision(view: &View<'_>) -> Vec<Value> {
    let owners = view.list("/metadata/ownerReferences");
    let controller = owners.iter().find(|owner| owner.get("controller") == Some(&json!(true)));
    let controller = controller.map_or_else(
        || "<none>".to_owned(),
        |owner| {
            let group = text(owner, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
            let kind = text(owner, "/kind").to_lowercase();
            let kind = if group.is_empty() { kind } else { format!("{kind}.{group}") };
            format!("{kind}/{}", text(owner, "/name"))
        },
    );
    vec![json!(view.name()), json!(controller), json!(view.number("/revision")), view.age()]
}

pub(super) fn job(view: &View<'_>) -> Vec<Value> {
    let succeeded = view.number("/status/succeeded");
    let completions = view.object.pointer("/spec/completions").and_then(Value::as_i64);
    let completions = match (completions, view.number("/spec/parallelism")) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallel) if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let stamp = |pointer: &str| view.text(pointer).parse::<Timestamp>().ok();
    let duration = stamp("/status/startTime").map(|start| {
        let end = stamp("/status/completionTime").unwrap_or(view.now);
        human_duration(end.duration_since(start).as_millis())
    });
    let is = |kind: &str| {
        let conditions = view.list("/status/conditions");
        conditions
            .iter()
            .any(|condition| text(condition, "/type") == kind && text(condition, "/status") == "True")
    };
    let status = match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if view.deleted() => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () => "Running",
    };
    let [names, images] = view.containers(CONTAINERS);
    vec![
        json!(view.name()),
        json!(status),
        json!(completions),
        json!(duration.unwrap_or_default()),
        view.age(),
        names,
        images,
        view.selector("/spec/selector", "<none>"),
    ]
}

pub(super) fn cron_job(view: &View<'_>) -> Vec<Value> {
    let [names, images] = view.containers("/spec/jobTemplate/spec/template/spec/containers");
    let last = view.text("/status/lastScheduleTime").parse().ok();
    vec![
        json!(view.name()),
        json!(view.text("/spec/schedule")),
        json!(shown(view.object.pointer("/spec/timeZone")).unwrap_or_else(|| "<none>".to_owned())),
        json!(match view.object.pointer("/spec/suspend").and_then(Value::as_bool) {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        }),
        json!(view.list("/status/active").len()),
        json!(last.map_or_else(|| "<none>".to_owned(), |last| age_since(Some(last), view.now))),
        view.age(),
        names,
        images,
        view.selector("/spec/jobTemplate/spec/selector", "<none>"),
    ]
}

pub(super) fn pod_template(view: &View<'_>) -> Vec<Value> {
    let [names, images] = view.containers("/template/spec/containers");
    vec![json!(view.name()), names, images, view.labels("/template/metadata/labels")]
}

/// Of the metrics only the utilisation of resources is shown with figures.
pub(super) fn autoscaler(view: &View<'_>) -> Vec<Value> {
    let current = view.list("/status/currentMetrics");
    let targets: Vec<String> = view
        .list("/spec/metrics")
        .iter()
        .enumerate()
        .map(|(index, metric)| {
            let percent = |metric: Option<&Value>, pointer: &str, unset: &str| {
                let value = metric.and_then(|metric| metric.pointer(pointer)).and_then(Value::as_i64);
                value.map_or_else(|| unset.to_owned(), |value| format!("{value}%"))
            };
            let now = percent(current.get(index), "/resource/current/averageUtilization", "<unknown>");
            let target = percent(Some(metric), "/resource/target/averageUtilization", "<auto>");
            match text(metric, "/type") {
                "Resource" => format!("{}: {now}/{target}", text(metric, "/resource/name")),
                _ => "<unknown>".to_owned(),
            }
        })
        .collect();
    let targets = match targets.len() {
        0 => "<none>".to_owned(),
        1 | 2 => targets.join(", "),
        many => format!("{} + {} more...", targets[..2].join(", "), many - 2),
    };
    vec![
        json!(view.name()),
        json!(format!(
            "{}/{}",
            view.text("/spec/scaleTargetRef/kind"),
            view.text("/spec/scaleTargetRef/name")
        )),
        json!(targets),
        json!(shown(view.object.pointer("/spec/minReplicas")).unwrap_or_else(|| "<unset>".to_owned())),
        json!(view.number("/spec/maxReplicas")),
        json!(view.number("/status/currentReplicas")),
        view.age(),
    ]
}

pub(super) fn disruption_budget(view: &View<'_>) -> Vec<Value> {
    let bound = |pointer: &str| shown(view.object.pointer(pointer)).unwrap_or_else(|| "N/A".to_owned());
    vec![
        json!(view.name()),
        json!(bound("/spec/minAvailable")),
        json!(bound("/spec/maxUnavailable")),
        json!(view.number("/status/disruptionsAllowed")),
        view.age(),
    ]
}
