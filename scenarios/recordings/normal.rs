//! The one normaliser: takes from a text what differs from run to run, and nothing else.
//!
//! Times, ages, addresses of pods and Services, ports that the kernel chose, ids and hashes become names in angle
//! brackets. The cluster DNS address stays: every k3s has the same.

use std::sync::LazyLock;

use regex::Regex;

type Rule = (Regex, &'static str);

fn rules(pairs: &[(&str, &'static str)]) -> Vec<Rule> {
    pairs
        .iter()
        .map(|(pattern, name)| {
            (Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")), *name)
        })
        .collect()
}

fn replaced(text: &str, rules: &[Rule]) -> String {
    rules.iter().fold(text.to_owned(), |text, (pattern, name)| pattern.replace_all(&text, *name).into_owned())
}

static ANYWHERE: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules(&[
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
        (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", "<date>"),
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uuid>"),
        // Whether a denied look-up is refused or unanswered depends on the kernel's limit on ICMP errors.
        (
            r"read udp 10\.42\.\d+\.\d+:\d+->10\.43\.0\.10:53: (read: connection refused|i/o timeout)",
            "read udp <pod>:<port>->10.43.0.10:53: <refused or timed out>",
        ),
        (r"\b10\.42\.\d+\.\d+\b", "<pod>"),
        (r"\b10\.43\.(0\.10\b)", "10.43:$1"),
        (r"\b10\.43\.\d+\.\d+\b", "<service>"),
        (r"10\.43:0\.10", "10.43.0.10"),
        (r"-[0-9a-f]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-<hash>"),
        (r"\b0x[0-9a-f]{5,}", "<pointer>"),
    ])
});

/// Any text.
pub(crate) fn text(text: &str) -> String {
    replaced(text, &ANYWHERE)
}

static LOG: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules(&[
        (r#"^(?:<pointer>[0-9a-fx]*)?(<time>\t|time="<time>" )"#, ""),
        (r"^[IWE]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ", ""),
        (r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ", ""),
        (r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ", ""),
        // What every line about a reconciliation repeats is cut out of the recordings.
        (r#"("controller": "[a-z]+"), "controllerGroup": .*?\}, ("namespace")"#, "$1, … $2"),
        (r#""reconcileID": "<uuid>"(, )?"#, ""),
        (r", \}", "}"),
        (r"(wall|ext|seconds|nanos):-?\d+", "$1:<n>"),
        (r#""version": \d+, "generation": \d+"#, r#""version": <n>, "generation": <n>"#),
        (r"next check in [\d.]+m?s", "next check in <back-off>"),
        (r"/mnt/agent/rclone/\d+", "/mnt/agent/rclone/<n>"),
    ])
});

static TRIMMED: LazyLock<Regex> = LazyLock::new(|| {
    // Marks of the recordings, stack traces, and what the controller says at every reconciliation: the recordings
    // leave it out.
    let marks = r"^\s*$|^#|^ *\(… |^\t|^(sigs\.k8s\.io|github\.com|main|k8s\.io|google\.golang\.org|runtime)[./]|INFO\tReconcile\t(Received reconcile|Found server|Successfully updated status)";
    Regex::new(marks).unwrap_or_else(|error| panic!("{error}"))
});

/// A log as its distinct lines, in the order in which they first appear, without time and stack traces.
pub(crate) fn log(log: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in log.lines().filter(|line| !TRIMMED.is_match(line)) {
        let line = sorted_lists(&replaced(&text(line.trim_end()), &LOG));
        if !line.is_empty() && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

static LIST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"resources: \[([^\]]*)\]").unwrap_or_else(|error| panic!("{error}")));

/// Go walks its maps in any order.
fn sorted_lists(line: &str) -> String {
    let sorted = LIST.replace_all(line, |found: &regex::Captures<'_>| {
        let mut names: Vec<&str> = found[1].split(' ').collect();
        names.sort_unstable();
        format!("resources: [{}]", names.join(" "))
    });
    sorted.into_owned()
}

static CELL: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules(&[
        (r"^(\d+) \(\w+ ago\)$", "$1 (<age> ago)"),
        (r"^(\d+[smhdy])+$", "<age>"),
        (r"^[a-z]+\.mlops\.seldon\.io/", ""),
        (r"^([a-z0-9]+-server|node)-0$", "<node>"),
    ])
});

/// One row of a table.
pub(crate) fn row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| replaced(&text(cell.trim()), &CELL)).collect();
    cells.join(" | ")
}

/// Tables as kubectl prints them: columns begin where their headings begin.
pub(crate) fn printed_tables(printed: &str) -> Vec<String> {
    let mut rows = Vec::new();
    let mut starts: Vec<usize> = Vec::new();
    for line in printed.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if line.starts_with("NAME") {
            starts = column_starts(line);
        }
        let letters: Vec<char> = line.chars().collect();
        let cells: Vec<String> = starts
            .iter()
            .enumerate()
            .map(|(index, start)| {
                let end = starts.get(index + 1).copied().unwrap_or(letters.len()).min(letters.len());
                letters.get(*start..end).unwrap_or_default().iter().collect()
            })
            .collect();
        rows.push(row(&cells));
    }
    rows
}

/// A column begins after at least two blanks: headings hold single ones.
fn column_starts(heading: &str) -> Vec<usize> {
    let letters: Vec<char> = heading.chars().collect();
    let begins = |index: usize| {
        letters[index] != ' '
            && (index == 0 || (index >= 2 && letters[index - 1] == ' ' && letters[index - 2] == ' '))
    };
    (0..letters.len()).filter(|index| begins(*index)).collect()
}

/// A status as one line per value: `Model ml/iris conditions.ModelReady.status = True`.
///
/// Conditions go by their type and lose their transition time.
pub(crate) fn status(object: &serde_json::Value) -> Vec<String> {
    let mut lines = Vec::new();
    let name = |field: &str| object[field].as_str().unwrap_or_default();
    let place = format!("{} {}/{}", name("kind"), name("ns"), name("name"));
    let finalizers = object["finalizers"].clone();
    flatten(&format!("{place} finalizers"), &finalizers, &mut lines);
    flatten(&format!("{place} status"), &object["status"], &mut lines);
    lines
}

fn flatten(path: &str, value: &serde_json::Value, lines: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            let mut names: Vec<&String> =
                fields.keys().filter(|name| *name != "lastTransitionTime").collect();
            names.sort();
            for name in names {
                flatten(&format!("{path}.{name}"), &fields[name], lines);
            }
        }
        serde_json::Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let key = item["type"].as_str().map_or_else(|| index.to_string(), str::to_owned);
                flatten(&format!("{path}.{key}"), item, lines);
            }
        }
        serde_json::Value::Null => {}
        serde_json::Value::String(said) => lines.push(format!("{path} = {}", text(said))),
        other => lines.push(format!("{path} = {other}")),
    }
}
