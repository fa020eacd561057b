use embedded_machinery::Gvk;
use embedded_machinery::table::{IncludeObject, PrinterColumn, builtin_table, crd_table, human_duration};
use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use crate::yaml;

const NOW: &str = "2026-11-21T06:16:11Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A table as kubectl prints it, wide or not.
fn printed(table: &Value, widest: i64) -> String {
    let columns = table["columnDefinitions"].as_array().unwrap();
    let shown: Vec<usize> =
        (0..columns.len()).filter(|index| columns[*index]["priority"].as_i64().unwrap() <= widest).collect();
    let mut lines: Vec<Vec<String>> =
        vec![shown.iter().map(|index| columns[*index]["name"].as_str().unwrap().to_uppercase()).collect()];
    for row in table["rows"].as_array().unwrap() {
        let cell = |index: &usize| match &row["cells"][*index] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        lines.push(shown.iter().map(cell).collect());
    }
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap();
    let pad = |line: &Vec<String>| {
        let cells: Vec<String> =
            line.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column))).collect();
        cells.join("   ").trim_end().to_owned()
    };
    lines.iter().map(pad).collect::<Vec<_>>().join("\n")
}

fn wide(group: &str, kind: &str, objects: &[Value]) -> String {
    printed(&builtin_table(&Gvk::new(group, "v1", kind), objects, now(), IncludeObject::None), 1)
}

#[test]
fn pods_of_a_mesh() {
    let running = "
metadata: {name: mlserver-0, creationTimestamp: '2026-11-21T06:14:04Z'}
spec: {nodeName: node-0, containers: [{name: a}, {name: b}, {name: c}]}
status:
  phase: Running
  podIPs: [{ip: 10.42.0.25}]
  containerStatuses:
  - {name: a, ready: true, restartCount: 0, state: {running: {}}}
  - {name: b, ready: true, restartCount: 0, state: {running: {}}}
  - {name: c, ready: true, restartCount: 0, state: {running: {}}}
";
    let crashing = "
metadata: {name: mlserver-1, creationTimestamp: '2026-11-21T06:14:05Z'}
spec: {nodeName: node-0, containers: [{name: a}, {name: b}, {name: c}]}
status:
  phase: Running
  podIPs: [{ip: 10.42.0.11}]
  containerStatuses:
  - {name: a, ready: true, restartCount: 0, state: {running: {}}}
  - {name: b, ready: false, restartCount: 0, state: {running: {}}}
  - name: c
    ready: false
    restartCount: 4
    state: {waiting: {reason: CrashLoopBackOff}}
    lastState: {terminated: {exitCode: 1, finishedAt: '2026-11-21T06:15:36Z'}}
";
    let creating = "
metadata: {name: web, creationTimestamp: '2026-11-21T06:16:11Z'}
spec: {containers: [{name: a}]}
status: {phase: Pending, containerStatuses: [{name: a, ready: false, restartCount: 0, state: {waiting: {reason: ContainerCreating}}}]}
";
    let pods = [yaml(running), yaml(crashing), yaml(creating)];
    insta::assert_snapshot!(wide("", "Pod", &pods), @r#"
    NAME         READY   STATUS              RESTARTS      AGE    IP           NODE     NOMINATED NODE   READINESS GATES
    mlserver-0   3/3     Running             0             2m7s   10.42.0.25   node-0   <none>           <none>
    mlserver-1   1/3     CrashLoopBackOff    4 (35s ago)   2m6s   10.42.0.11   node-0   <none>           <none>
    web          0/1     ContainerCreating   0             0s     <none>       <none>   <none>           <none>
    "#);
}

#[rstest]
#[case::pending("{phase: Pending}", "{}", "Pending")]
#[case::completed(
    "{phase: Succeeded, containerStatuses: [{state: {terminated: {reason: Completed}}}]}",
    "{}",
    "Completed"
)]
#[case::exit_code(
    "{phase: Failed, containerStatuses: [{state: {terminated: {exitCode: 3}}}]}",
    "{}",
    "ExitCode:3"
)]
#[case::signal("{phase: Failed, containerStatuses: [{state: {terminated: {signal: 9}}}]}", "{}", "Signal:9")]
#[case::evicted("{phase: Failed, reason: Evicted}", "{}", "Evicted")]
#[case::initialising(
    "{phase: Pending, initContainerStatuses: [{state: {running: {}}}]}",
    "{initContainers: [{name: i}, {name: j}]}",
    "Init:0/2"
)]
#[case::init_fails(
    "{phase: Pending, initContainerStatuses: [{state: {waiting: {reason: CrashLoopBackOff}}}]}",
    "{initContainers: [{name: i}]}",
    "Init:CrashLoopBackOff"
)]
#[case::init_error(
    "{phase: Pending, initContainerStatuses: [{state: {terminated: {exitCode: 2, reason: Error}}}]}",
    "{initContainers: [{name: i}]}",
    "Init:Error"
)]
#[case::init_done(
    "{phase: Pending, initContainerStatuses: [{state: {terminated: {exitCode: 0}}}], containerStatuses: [{state: {waiting: {reason: PodInitializing}}}]}",
    "{initContainers: [{name: i}]}",
    "PodInitializing"
)]
#[case::gated(
    "{phase: Pending, conditions: [{type: PodScheduled, reason: SchedulingGated}]}",
    "{}",
    "SchedulingGated"
)]
fn the_status_of_a_pod_is_its_telling_container(
    #[case] status: &str,
    #[case] spec: &str,
    #[case] word: &str,
) {
    let mut pod = json!({"metadata": {"name": "a"}, "spec": yaml(spec), "status": yaml(status)});
    let cell = |pod: &Value| {
        let table =
            builtin_table(&Gvk::new("", "v1", "Pod"), std::slice::from_ref(pod), now(), IncludeObject::None);
        table["rows"][0]["cells"][2].as_str().unwrap().to_owned()
    };
    assert_eq!(cell(&pod), word);
    pod["metadata"]["deletionTimestamp"] = json!(NOW);
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    assert_eq!(cell(&pod), if ended { word } else { "Terminating" });
}

#[rstest]
#[case(-3_000, "<invalid>")]
#[case(-500, "0s")]
#[case(119_000, "119s")]
#[case(120_000, "2m")]
#[case(147_000, "2m27s")]
#[case(600_000, "10m")]
#[case(10_799_000, "179m")]
#[case(10_800_000, "3h")]
#[case(11_100_000, "3h5m")]
#[case(86_400_000, "24h")]
#[case(172_800_000, "2d")]
#[case(176_400_000, "2d1h")]
#[case(691_200_000, "8d")]
#[case(63_072_000_000, "2y")]
#[case(63_158_400_000, "2y1d")]
#[case(252_288_000_000, "8y")]
fn spans_lose_precision_with_length(#[case] milliseconds: i128, #[case] words: &str) {
    assert_eq!(human_duration(milliseconds), words);
}

#[rstest]
#[case::service(
    "",
    "Service",
    "{metadata: {name: web}, spec: {type: NodePort, clusterIPs: [10.43.0.9], ports: [{port: 80, nodePort: 30080, protocol: TCP}, {port: 53, protocol: UDP}], selector: {b: c, a: b}}}"
)]
#[case::headless(
    "",
    "Service",
    "{metadata: {name: web}, spec: {type: ClusterIP, clusterIPs: [None], ports: []}}"
)]
#[case::endpoints(
    "",
    "Endpoints",
    "{metadata: {name: web}, subsets: [{addresses: [{ip: 10.42.0.1}, {ip: 10.42.0.2}], ports: [{port: 80}, {port: 81}]}]}"
)]
#[case::slice(
    "discovery.k8s.io",
    "EndpointSlice",
    "{metadata: {name: web}, addressType: IPv4, ports: [{port: 80}], endpoints: [{addresses: [10.42.0.1]}]}"
)]
#[case::deployment(
    "apps",
    "Deployment",
    "{metadata: {name: web}, spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {spec: {containers: [{name: a, image: i}, {name: b, image: j}]}}}, status: {readyReplicas: 1, updatedReplicas: 2, availableReplicas: 1}}"
)]
#[case::stateful_set(
    "apps",
    "StatefulSet",
    "{metadata: {name: web}, spec: {replicas: 1, template: {spec: {containers: [{name: a, image: i}]}}}, status: {readyReplicas: 1}}"
)]
#[case::replica_set(
    "apps",
    "ReplicaSet",
    "{metadata: {name: web}, spec: {replicas: 1, selector: {matchLabels: {app: web}}}, status: {replicas: 1, readyReplicas: 1}}"
)]
#[case::node(
    "",
    "Node",
    "{metadata: {name: node-0, labels: {node-role.kubernetes.io/master: 'true', node-role.kubernetes.io/control-plane: 'true'}}, status: {conditions: [{type: Ready, status: 'True'}], addresses: [{type: InternalIP, address: 10.0.0.1}], nodeInfo: {kubeletVersion: v1.33.1+k3s1}}}"
)]
#[case::policy("networking.k8s.io", "NetworkPolicy", "{metadata: {name: deny}, spec: {podSelector: {}}}")]
#[case::event(
    "",
    "Event",
    "{metadata: {name: e}, lastTimestamp: '2026-11-21T06:16:01Z', firstTimestamp: '2026-11-21T06:15:11Z', count: 3, type: Warning, reason: BackOff, message: 'restarting ', involvedObject: {kind: Pod, name: web, fieldPath: 'spec.containers{a}'}, source: {component: kubelet, host: node-0}}"
)]
#[case::claim(
    "",
    "PersistentVolumeClaim",
    "{metadata: {name: data}, spec: {volumeName: pv, storageClassName: local-path, volumeMode: Filesystem}, status: {phase: Bound, capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce]}}"
)]
#[case::config(
    "",
    "ConfigMap",
    "{metadata: {name: c, creationTimestamp: '2026-11-21T05:16:11Z'}, data: {a: b}, binaryData: {c: ZA==}}"
)]
#[case::role(
    "rbac.authorization.k8s.io",
    "Role",
    "{metadata: {name: r, creationTimestamp: '2026-11-21T05:16:11Z'}}"
)]
#[case::binding(
    "rbac.authorization.k8s.io",
    "RoleBinding",
    "{metadata: {name: r}, roleRef: {kind: Role, name: a}, subjects: [{kind: ServiceAccount, namespace: one, name: two}]}"
)]
fn rows_of_other_kinds(#[case] group: &str, #[case] kind: &str, #[case] text: &str) {
    insta::assert_snapshot!(format!("row_{kind}_{}", text.len()), wide(group, kind, &[yaml(text)]));
}

#[test]
fn custom_columns_follow_their_paths() {
    let version = yaml(
        r#"
additionalPrinterColumns:
- {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
- {name: Desired Replicas, type: integer, jsonPath: .spec.replicas}
- {name: Message, type: string, priority: 1, jsonPath: '.status.conditions[?(@.type == "Ready")].message'}
- {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
"#,
    );
    let columns = PrinterColumn::of_version(&version);
    let objects = [
        yaml(
            "{metadata: {name: iris, creationTimestamp: '2026-11-21T06:13:44Z'}, status: {conditions: [{type: Other, status: Unknown}, {type: Ready, status: 'True', message: fine}]}}",
        ),
        yaml("{metadata: {name: two, creationTimestamp: '2026-11-21T06:16:10Z'}, spec: {replicas: 2}}"),
    ];
    let table = crd_table(&columns, &objects, now(), IncludeObject::Metadata);
    insta::assert_snapshot!(printed(&table, 0), @r#"
    NAME   READY   DESIRED REPLICAS   AGE
    iris   True                       2m27s
    two            2                  1s
    "#);
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(table["rows"][0]["object"]["metadata"]["name"], "iris");
}

#[test]
fn without_columns_custom_resources_have_an_age() {
    let table = crd_table(&PrinterColumn::of_version(&json!({})), &[], now(), IncludeObject::None);
    let names: Vec<&Value> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["Name", "Age"]);
}

#[rstest]
#[case(IncludeObject::None, None)]
#[case(IncludeObject::Metadata, Some("PartialObjectMetadata"))]
#[case(IncludeObject::Object, Some("Pod"))]
fn rows_carry_what_was_asked_for(#[case] include: IncludeObject, #[case] kind: Option<&str>) {
    let pod = json!({"kind": "Pod", "metadata": {"name": "a"}});
    let table = builtin_table(&Gvk::new("", "v1", "Pod"), &[pod], now(), include);
    assert_eq!(table["rows"][0].pointer("/object/kind").and_then(Value::as_str), kind);
}

#[test]
fn jobs_by_how_far_they_are() {
    let job = |name: &str, spec: &str, status: &str| {
        yaml(&format!(
            "{{metadata: {{name: {name}, creationTimestamp: '2026-11-21T06:15:11Z'}}, spec: {{{spec}, template: {{spec: \
             {{containers: [{{name: c, image: i}}]}}}}}}, status: {{startTime: '2026-11-21T06:15:12Z', {status}}}}}"
        ))
    };
    let with = |kind: &str| format!("conditions: [{{type: {kind}, status: 'True'}}]");
    let jobs = [
        job("runs", "completions: 3", "succeeded: 1"),
        job(
            "done",
            "completions: 3",
            &format!("succeeded: 3, completionTime: '2026-11-21T06:15:19Z', {}", with("Complete")),
        ),
        job("failed", "completions: 1", &with("Failed")),
        job("rests", "completions: 1", &with("Suspended")),
        job("gives-up", "completions: 1", &with("FailureTarget")),
        job("queue", "parallelism: 2", "succeeded: 1"),
    ];
    let table = builtin_table(&Gvk::new("batch", "v1", "Job"), &jobs, now(), IncludeObject::None);
    let expected = "\
NAME       STATUS          COMPLETIONS   DURATION   AGE
runs       Running         1/3           59s        60s
done       Complete        3/3           7s         60s
failed     Failed          0/1           59s        60s
rests      Suspended       0/1           59s        60s
gives-up   FailureTarget   0/1           59s        60s
queue      Running         1/1 of 2      59s        60s";
    assert_eq!(printed(&table, 0), expected);
}
