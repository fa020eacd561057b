//! What keeps pods from becoming Ready, in the cluster's own words: reasons of containers and events of pods.

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};

/// How often the kubelet may fail to prepare a pod before the boot gives up: what a volume is made of may come later.
const TRIES: i32 = 4;

/// Events of a pod whose containers cannot even be made.
const NOT_PREPARED: [&str; 2] = ["FailedMount", "FailedCreatePodSandBox"];

/// What will not heal by waiting; `None` while there is hope.
pub(crate) fn hopeless(pods: &[Pod], events: &[Event]) -> Option<String> {
    let broken =
        pods.iter().flat_map(|pod| containers(pod).filter_map(|it| Some(told(pod, it, broken(it)?))));
    let unprepared = pods.iter().flat_map(|pod| {
        events_of(pod, events)
            .filter(|event| event.count.unwrap_or(1) >= TRIES)
            .map(|event| unprepared(pod, event))
    });
    let all: Vec<String> = broken.chain(unprepared).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Everything that is not Ready and why, as far as anything is known.
pub(crate) fn all(pods: &[Pod], events: &[Event]) -> Vec<String> {
    let each = pods.iter().flat_map(|pod| {
        let waiting = containers(pod).filter(|it| !it.ready).map(|it| told(pod, it, state(it)));
        waiting.chain(events_of(pod, events).map(|event| unprepared(pod, event)))
    });
    each.collect()
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|it| it.init_container_statuses.iter().chain(&it.container_statuses).flatten())
}

/// Why a container will never run: nothing it was started from changes during a boot.
fn broken(status: &ContainerStatus) -> Option<String> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    match waiting.reason.as_deref()? {
        "ContainerCreating" | "PodInitializing" => None,
        // A program that ended once may find at its next start what it missed.
        "CrashLoopBackOff" if status.restart_count < 2 && !failed_to_start(status) => None,
        _ => Some(state(status)),
    }
}

fn failed_to_start(status: &ContainerStatus) -> bool {
    let last = status.last_state.as_ref().and_then(|it| it.terminated.as_ref());
    last.is_some_and(|it| it.reason.as_deref() == Some("StartError"))
}

/// A container's state and, behind it, the end of its last run.
fn state(status: &ContainerStatus) -> String {
    let mut words = Vec::new();
    let waiting = status.state.as_ref().and_then(|it| it.waiting.as_ref());
    if let Some(it) = waiting {
        words.push(phrase("waiting", it.reason.as_deref(), it.message.as_deref()));
    }
    let now = status.state.as_ref().and_then(|it| it.terminated.as_ref());
    let last = status.last_state.as_ref().and_then(|it| it.terminated.as_ref());
    for ended in now.into_iter().chain(last) {
        // A failed start says the same in both places.
        let message =
            ended.message.as_deref().filter(|it| waiting.is_none_or(|w| w.message.as_deref() != Some(*it)));
        let code = format!("its last run ended with exit code {}", ended.exit_code);
        words.push(phrase(&code, ended.reason.as_deref(), message));
    }
    if words.is_empty() { "is not ready".to_owned() } else { words.join(", ") }
}

fn phrase(what: &str, reason: Option<&str>, message: Option<&str>) -> String {
    let details: Vec<&str> = reason.into_iter().chain(message).filter(|it| !it.is_empty()).collect();
    if details.is_empty() { what.to_owned() } else { format!("{what} ({})", details.join(": ")) }
}

fn told(pod: &Pod, status: &ContainerStatus, state: String) -> String {
    format!("pod {}, container {}: {state}", name(pod), status.name)
}

fn unprepared(pod: &Pod, event: &Event) -> String {
    let reason = event.reason.as_deref();
    format!("pod {}: {}", name(pod), phrase("cannot be prepared", reason, event.message.as_deref()))
}

fn events_of<'a>(pod: &'a Pod, events: &'a [Event]) -> impl Iterator<Item = &'a Event> {
    let ours = |event: &&Event| event.involved_object.uid == pod.metadata.uid;
    let told = |event: &&Event| event.reason.as_deref().is_some_and(|it| NOT_PREPARED.contains(&it));
    events.iter().filter(ours).filter(told)
}

fn name(pod: &Pod) -> String {
    let meta = &pod.metadata;
    format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn pod(container: Value) -> Pod {
        let mut status =
            json!({"name": "coredns", "image": "i", "imageID": "", "ready": false, "restartCount": 0});
        if let (Some(all), Some(given)) = (status.as_object_mut(), container.as_object()) {
            all.extend(given.clone());
        }
        let metadata = json!({"name": "dns-1", "namespace": "kube-system", "uid": "u"});
        serde_json::from_value(json!({"metadata": metadata, "status": {"containerStatuses": [status]}}))
            .unwrap()
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({"waiting": {"reason": reason, "message": message}})
    }

    fn ended(reason: &str, code: i32) -> Value {
        json!({"terminated": {"reason": reason, "exitCode": code}})
    }

    fn event(reason: &str, count: i32) -> Event {
        serde_json::from_value(json!({
            "metadata": {}, "involvedObject": {"uid": "u"}, "reason": reason, "count": count, "message": "no map",
        }))
        .unwrap()
    }

    #[rstest]
    #[case::being_made(json!({"state": {"waiting": {"reason": "ContainerCreating"}}}), None)]
    #[case::running(json!({"state": {"running": {}}}), None)]
    #[case::a_mount_that_fails(
        json!({"state": waiting("RunContainerError", "bind /x: no"), "lastState": ended("StartError", 128)}),
        Some("waiting (RunContainerError: bind /x: no), its last run ended with exit code 128 (StartError)")
    )]
    #[case::no_image(json!({"state": waiting("ErrImagePull", "denied")}), Some("waiting (ErrImagePull: denied)"))]
    #[case::one_crash(
        json!({"state": waiting("CrashLoopBackOff", "back-off"), "lastState": ended("Error", 1), "restartCount": 1}),
        None
    )]
    #[case::crashes(
        json!({"state": waiting("CrashLoopBackOff", "back-off"), "lastState": ended("Error", 1), "restartCount": 2}),
        Some("waiting (CrashLoopBackOff: back-off), its last run ended with exit code 1 (Error)")
    )]
    fn tells_what_will_not_heal(#[case] container: Value, #[case] expected: Option<&str>) {
        let expected = expected.map(|it| format!("pod kube-system/dns-1, container coredns: {it}"));
        assert_eq!(hopeless(&[pod(container)], &[]), expected);
    }

    #[rstest]
    #[case::the_first_time("FailedMount", 1, None)]
    #[case::again_and_again("FailedMount", 4, Some("cannot be prepared (FailedMount: no map)"))]
    #[case::of_no_account("BackOff", 9, None)]
    fn tells_what_cannot_be_prepared(
        #[case] reason: &str,
        #[case] count: i32,
        #[case] expected: Option<&str>,
    ) {
        let expected = expected.map(|it| format!("pod kube-system/dns-1: {it}"));
        let pods = [pod(json!({"state": {"waiting": {"reason": "ContainerCreating"}}}))];
        assert_eq!(hopeless(&pods, &[event(reason, count)]), expected);
    }

    #[test]
    fn lists_whatever_is_not_ready() {
        let pods = [pod(json!({"state": {"running": {}}})), pod(json!({"ready": true}))];
        assert_eq!(all(&pods, &[]), ["pod kube-system/dns-1, container coredns: is not ready"]);
    }
}
