//! Plans as shell lines that a person can read, and run.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use super::until::APART;
use super::{Action, Background, ContainerStep, Expectation, Plan, Step, Task};
use crate::command::{Command, quoted};

/// Longer documents of one kind are named and counted: nobody reads a schema in a transcript.
const LONG: usize = 60;

/// `plan` as text: each step with what it is for.
pub fn transcript(plan: &Plan) -> String {
    plan.steps().iter().map(step).collect::<Vec<_>>().join("\n")
}

fn step(step: &Step) -> String {
    let mut text = format!("# {}", step.what);
    match &step.action {
        Action::Run(task) => {
            text.push_str(&attempts(std::slice::from_ref(task)));
            text.push_str(&one_task(task));
        }
        Action::Together(tasks) => {
            text.push_str(&format!(", side by side{}", attempts(tasks)));
            text.extend(tasks.iter().map(one_task));
        }
        Action::Until(until) => {
            let (most, apart) = (until.attempts, APART.as_secs());
            text.push_str(&format!(", side by side: at most {most} attempts, {apart} s apart"));
            text.extend(until.looks.iter().map(one_task));
        }
        Action::Begin(background) => text.push_str(&begin(background)),
        Action::Container(container) => text.push_str(&run_container(container)),
        Action::Write(document) => {
            text.push_str(&format!("\n{}", write_file(&document.path, &document.text)))
        }
        Action::Apply(manifests) => {
            let fed = feed("kubectl apply --server-side --filename -", manifests);
            text.push_str(&format!(" (through the API, as this would)\n{fed}"));
        }
        Action::ApplyFile(file) => {
            let name = quoted(&file.display().to_string());
            text.push_str(&format!("\nkubectl apply --server-side --filename {name}"));
        }
        Action::Delete(manifest) => text.push_str(&format!(
            "\nkubectl delete --ignore-not-found {} {}",
            manifest["kind"].as_str().unwrap_or_default().to_lowercase(),
            manifest["metadata"]["name"].as_str().unwrap_or_default()
        )),
        Action::Wait(wait) => {
            text.push_str(&format!("\n# ... until {}, at most {} s", wait.condition, wait.limit.as_secs()));
        }
    }
    text.push('\n');
    text
}

fn expected(expectation: &Expectation) -> String {
    match expectation {
        Expectation::Success => String::new(),
        _ => format!("    # must say: {expectation}"),
    }
}

fn attempts(tasks: &[Task]) -> String {
    let most = tasks.iter().filter_map(|task| task.proof.as_ref()).map(|proof| proof.attempts).max();
    most.map_or(String::new(), |most| format!(", and see that it is so: at most {most} attempts"))
}

fn one_task(task: &Task) -> String {
    let mut text = format!("\n{}", task.command.bounded_line());
    if let Some(file) = &task.into {
        text.push_str(&format!(" > {}", quoted(&file.display().to_string())));
    }
    text.push_str(&expected(&task.expectation));
    for (look, expectation) in task.proof.iter().flat_map(|proof| &proof.looks) {
        text.push_str(&format!("\n{}{}", look.bounded_line(), expected(expectation)));
    }
    text
}

fn begin(background: &Background) -> String {
    let Background { command, log, pid_file } = background;
    format!(
        "\nsetsid {command} > {} 2>&1 & echo $! > {}",
        quoted(&log.display().to_string()),
        quoted(&pid_file.display().to_string())
    )
}

fn run_container(step: &ContainerStep) -> String {
    let container = &step.container;
    let mut line = Command::new("docker").args(["run", "--detach", "--privileged", "--userns", "host"]);
    let api = if container.api_port == 0 { "6443".into() } else { format!("{}:6443", container.api_port) };
    line = line.args(["--name", &container.name, "--publish", &api]);
    for (inside, outside) in &container.ports {
        line = line.arg("--publish").arg(format!("{outside}:{inside}"));
    }
    for (name, value) in &container.labels {
        line = line.arg("--label").arg(format!("{name}={value}"));
    }
    for (outside, inside) in &container.mounts {
        line = line.arg("--volume").arg(format!("{}:{inside}", outside.display()));
    }
    line = line.arg(format!("{}:{}", container.image, container.tag)).args(&container.arguments);
    let read = Command::new("docker").args(["exec", &container.name, "cat", "/etc/rancher/k3s/k3s.yaml"]);
    let port = Command::new("docker").args(["port", &container.name, "6443"]);
    format!(
        " (through the Docker API, as these lines would)\ntimeout {} {line}\n{read} | sed \"s/:6443/:$({port} | sed \
         's/.*://;q')/\" > {}",
        container.limit.as_secs(),
        quoted(&step.kubeconfig.display().to_string())
    )
}

/// A file as a line that writes it.
pub(crate) fn write_file(path: &Path, text: &str) -> String {
    format!("cat > {} <<'EOF'\n{}\nEOF", quoted(&path.display().to_string()), text.trim_end())
}

/// A line whose program reads manifests.
pub(crate) fn feed(line: &str, manifests: &[Value]) -> String {
    let mut text = format!("{line} <<'EOF'");
    for manifest in manifests {
        text.push_str("\n---\n");
        text.push_str(&document(manifest));
    }
    text.push_str("\nEOF");
    text
}

/// A manifest in YAML, or its name and length when it is a long definition.
fn document(manifest: &Value) -> String {
    let mut yaml = String::new();
    block(&mut yaml, manifest, 0);
    let lines = yaml.lines().count();
    if manifest["kind"] == "CustomResourceDefinition" && lines > LONG {
        let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
        return format!("# CustomResourceDefinition {name} ({lines} lines)");
    }
    yaml.trim_end().to_owned()
}

/// YAML in block style.
fn block(text: &mut String, value: &Value, indent: usize) {
    // Writing to a string does not fail.
    let _ = match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            write!(text, "{:indent$}{}:", "", scalar(&Value::String(name.clone())))?;
            field(text, value, indent + 2);
            Ok::<(), std::fmt::Error>(())
        }),
        Value::Array(items) => items.iter().try_for_each(|item| {
            let mut inner = String::new();
            match item {
                Value::Object(fields) if !fields.is_empty() => block(&mut inner, item, indent + 2),
                _ => inner = format!("{:width$}{}\n", "", scalar(item), width = indent + 2),
            }
            writeln!(text, "{:indent$}- {}", "", inner.trim_start().trim_end_matches('\n'))
        }),
        _ => writeln!(text, "{:indent$}{}", "", scalar(value)),
    };
}

fn field(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            block(text, value, indent);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            block(text, value, indent - 2);
        }
        Value::String(words) if words.contains('\n') => {
            text.push_str(if words.ends_with('\n') { " |\n" } else { " |-\n" });
            for line in words.trim_end_matches('\n').lines() {
                text.push_str(&format!("{:indent$}{line}\n", ""));
            }
        }
        _ => text.push_str(&format!(" {}\n", scalar(value))),
    }
}

/// A word as YAML reads it back: plain where that is safe, else as JSON, which is YAML too.
fn scalar(value: &Value) -> String {
    let Value::String(word) = value else { return value.to_string() };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    let begins = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let safe = begins && word.chars().all(plain) && !word.ends_with(':');
    match safe && !reserved.contains(&word.to_lowercase().as_str()) {
        true => word.clone(),
        false => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_read_back_as_they_were() {
        let manifest = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "yes", "empty": ""}},
            "data": {"several": "one\n  two: three\n", "unended": "one\ntwo", "number": "8080", "colon": "a: b"},
            "list": [1, "two", {"three": [true, null], "four": {}}, [], [{"five": 5}]],
        });
        let text = document(&manifest);
        let back: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(back, manifest, "{text}");
    }

    #[test]
    fn long_definitions_are_counted() {
        let fields: serde_json::Map<_, _> = (0..80).map(|n| (format!("f{n}"), json!("x"))).collect();
        let manifest =
            json!({"kind": "CustomResourceDefinition", "metadata": {"name": "a.b"}, "spec": fields});
        assert_eq!(document(&manifest), "# CustomResourceDefinition a.b (84 lines)");
    }

    #[test]
    fn lines_are_lines_of_a_shell() {
        let mut plan = Plan::new();
        let look = (Command::new("look"), Expectation::ListsImages(vec!["a".into()]));
        let import = Command::new("import").arg("it's").within(std::time::Duration::from_secs(9));
        plan.run("import it", Task::new(import).proved_by(vec![look], 3));
        plan.write("say it", "/a dir/file", "words\n");
        assert_eq!(
            transcript(&plan),
            "# import it, and see that it is so: at most 3 attempts\ntimeout 9 import 'it'\\''s'\nlook    # must say: a\n\
             \n# say it\ncat > '/a dir/file' <<'EOF'\nwords\nEOF\n"
        );
    }
}
