//! Documents recorded from Seldon 2.9.1 on Kubernetes 1.33.1, and comparing what our cluster says with them.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use harness::World;
use harness::claim::Claim;
use harness::look::{Look, PodQuery, Seen};
use harness::object::ObjectRef;
use serde_json::Value;
use similar::TextDiff;

use crate::difference::{Differences, Order};
use crate::normal;

/// Directory of the recorded documents, one directory per situation.
pub(crate) const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/recordings/expected");

/// First line of a block of log lines that come at any time.
const ANY_TIME: &str = "~";

/// The recorded documents of one situation, and what was found to differ from them.
pub(crate) struct Recording {
    situation: &'static str,
    directory: PathBuf,
    differences: Differences,
    problems: RefCell<Vec<String>>,
}

impl Recording {
    /// The documents in `expected/<situation>`.
    pub(crate) fn of(situation: &'static str) -> anyhow::Result<Recording> {
        let directory = Path::new(DIRECTORY).join(situation);
        let differences = Differences::load(Path::new(DIRECTORY))?;
        Ok(Recording { situation, directory, differences, problems: RefCell::default() })
    }

    /// A document as it was recorded.
    pub(crate) fn read(&self, document: &str) -> anyhow::Result<String> {
        let path = self.directory.join(document);
        std::fs::read_to_string(&path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
    }

    /// Compares a document of lines whose order counts.
    pub(crate) fn compare(&self, document: &str, ours: Vec<String>) -> anyhow::Result<()> {
        let recorded = self.read(document)?.lines().map(str::to_owned).collect();
        self.judge(document, recorded, ours);
        Ok(())
    }

    fn judge(&self, document: &str, mut recorded: Vec<String>, mut ours: Vec<String>) {
        let place = format!("{}/{document}", self.situation);
        let needless = self.differences.take_out(&place, Order::Counts, &mut recorded, &mut ours);
        self.problems.borrow_mut().extend(needless);
        if recorded != ours {
            let (recorded, ours) = (recorded.join("\n"), ours.join("\n"));
            let diff = TextDiff::from_lines(&recorded, &ours);
            let text = diff.unified_diff().context_radius(2).header("recorded", "ours").to_string();
            self.problems.borrow_mut().push(format!("{place}\n{text}"));
        }
    }

    /// Compares objects with a document `[{kind, ns, name, finalizers, status}]`, each as soon as it is as recorded.
    pub(crate) async fn statuses(&self, world: &World, document: &str) -> anyhow::Result<()> {
        let recorded: Vec<Value> = serde_json::from_str(&self.read(document)?)?;
        let (mut expected, mut ours) = (Vec::new(), Vec::new());
        for object in &recorded {
            let wanted = normal::status(object);
            let extent = Extent {
                finalizers: object.get("finalizers").is_some(),
                only: object["part"].as_str().map(|part| format!(" status.{part}.")),
            };
            let kind = serde_json::from_value(object["kind"].clone())?;
            let text = |field: &str| object[field].as_str().unwrap_or_default();
            let object = ObjectRef::new(kind, text("ns"), text("name"));
            ours.extend(
                self.settled(world, document, Look::Object(object.clone()), &wanted, move |seen| {
                    said(&object, &extent, seen)
                })
                .await,
            );
            expected.extend(wanted);
        }
        self.judge(document, expected, ours);
        Ok(())
    }

    /// Compares a table of objects, all columns, as soon as it is as recorded.
    pub(crate) async fn table(&self, world: &World, document: &str, look: Look) -> anyhow::Result<()> {
        let wanted: Vec<String> = self.read(document)?.lines().map(str::to_owned).collect();
        let ours = self.settled(world, document, look, &wanted, rows).await;
        self.judge(document, wanted, ours);
        Ok(())
    }

    /// What is seen once it is as recorded but for the known differences; what was seen last if it never is.
    async fn settled(
        &self,
        world: &World,
        document: &str,
        look: Look,
        wanted: &[String],
        lines: impl Fn(&Seen) -> Vec<String> + Clone + Send + Sync + 'static,
    ) -> Vec<String> {
        let place = format!("{}/{document}", self.situation);
        let (differences, wanted, read) = (self.differences.clone(), wanted.to_vec(), lines.clone());
        let claim = Claim::new(format!("{look} is as in {place}"), look.clone(), move |seen| {
            let (mut wanted, mut ours) = (wanted.clone(), read(seen));
            differences.take_out(&place, Order::Counts, &mut wanted, &mut ours);
            wanted == ours
        });
        match world.eventually(claim).await {
            Ok(seen) => lines(&seen),
            Err(_) => lines(&world.look(&look).await),
        }
    }

    /// Compares a container's log: the same distinct lines. A blank line in the document divides what comes before
    /// from what comes after; lines between two blank ones come in any order, those below a `~` at any time.
    pub(crate) async fn log(&self, world: &World, document: &str, pod: &PodQuery) -> anyhow::Result<()> {
        self.lines(world, document, pod, Part { words: &[""], after: 0 }).await
    }

    /// As [`Recording::log`], of what was logged after the first `after` bytes.
    pub(crate) async fn log_after(
        &self,
        world: &World,
        document: &str,
        pod: &PodQuery,
        after: usize,
    ) -> anyhow::Result<()> {
        self.lines(world, document, pod, Part { words: &[""], after }).await
    }

    /// As [`Recording::log`], of lines that hold one of `words`.
    pub(crate) async fn log_about(
        &self,
        world: &World,
        document: &str,
        pod: &PodQuery,
        words: &'static [&'static str],
    ) -> anyhow::Result<()> {
        self.lines(world, document, pod, Part { words, after: 0 }).await
    }

    async fn lines(&self, world: &World, document: &str, pod: &PodQuery, part: Part) -> anyhow::Result<()> {
        let recorded = self.read(document)?;
        let look = Look::Log(pod.clone());
        let place = format!("{}/{document}", self.situation);
        let blocks: Vec<Vec<String>> =
            recorded.split("\n\n").map(|block| block.lines().map(str::to_owned).collect()).collect();
        let wanted: Vec<String> = blocks.concat().into_iter().filter(|line| line != ANY_TIME).collect();
        let differences = self.differences.clone();
        let (expected, known) = (wanted.clone(), place.clone());
        let complete = Claim::new(format!("{look} has the lines of {place}"), look.clone(), move |seen| {
            let (mut wanted, mut ours) = (expected.clone(), log_lines(seen, part));
            differences.take_out(&known, Order::IsFree, &mut wanted, &mut ours);
            wanted.iter().all(|line| ours.contains(line))
        });
        let seen = match world.eventually(complete).await {
            Ok(seen) => seen,
            Err(_) => world.look(&look).await,
        };
        let all = log_lines(&seen, part);
        let (mut missing, mut strange) = (wanted, all.clone());
        let needless = self.differences.take_out(&place, Order::IsFree, &mut missing, &mut strange);
        self.problems.borrow_mut().extend(needless);
        let recorded = missing.clone();
        missing.retain(|line| !strange.contains(line));
        strange.retain(|line| !recorded.contains(line));
        let late = out_of_order(&blocks, &all);
        if !(missing.is_empty() && strange.is_empty() && late.is_empty()) {
            let list = |sign: &str, lines: &[String]| {
                lines.iter().map(|line| format!("{sign}{line}\n")).collect::<String>()
            };
            let text =
                format!("{}{}{}", list("-", &missing), list("+", &strange), list("out of order: ", &late));
            self.problems.borrow_mut().push(format!("{place}\n--- recorded\n+++ ours\n{text}"));
        }
        Ok(())
    }

    /// Everything that differs, as an error.
    pub(crate) fn verdict(self) -> anyhow::Result<()> {
        let problems = self.problems.into_inner();
        anyhow::ensure!(problems.is_empty(), "not as recorded:\n{}", problems.join("\n"));
        Ok(())
    }
}

/// How much of an object was recorded.
#[derive(Clone)]
struct Extent {
    finalizers: bool,
    /// A part of the status; else all of it.
    only: Option<String>,
}

fn said(object: &ObjectRef, extent: &Extent, seen: &Seen) -> Vec<String> {
    let Seen::Object(value) = seen else { return vec![format!("{object}: {seen}")] };
    let mut lines = normal::status(&serde_json::json!({
        "kind": object.kind, "ns": object.namespace, "name": object.name,
        "finalizers": if extent.finalizers { &value["metadata"]["finalizers"] } else { &Value::Null },
        "status": value["status"],
    }));
    lines.retain(|line| extent.only.as_deref().is_none_or(|part| line.contains(part)));
    lines
}

fn rows(seen: &Seen) -> Vec<String> {
    match seen {
        Seen::Table(rows) => rows.iter().map(|row| normal::row(row)).collect(),
        other => vec![other.to_string()],
    }
}

/// Bytes logged so far.
pub(crate) async fn logged(world: &World, pod: &PodQuery) -> usize {
    match world.look(&Look::Log(pod.clone())).await {
        Seen::Log(text) => text.len(),
        _ => 0,
    }
}

/// Which part of a log was recorded: lines after so many bytes that hold one of the words.
#[derive(Clone, Copy)]
struct Part {
    words: &'static [&'static str],
    after: usize,
}

fn log_lines(seen: &Seen, part: Part) -> Vec<String> {
    match seen {
        Seen::Log(text) => {
            let mut lines = normal::log(text.get(part.after..).unwrap_or_default());
            lines.retain(|line| part.words.iter().any(|word| line.contains(word)));
            lines
        }
        other => vec![other.to_string()],
    }
}

/// Lines that appear before one of an earlier block.
fn out_of_order(blocks: &[Vec<String>], ours: &[String]) -> Vec<String> {
    let mut reached = 0;
    let mut late = Vec::new();
    for block in blocks.iter().filter(|block| block.first().is_none_or(|line| line != ANY_TIME)) {
        let places = block
            .iter()
            .filter_map(|line| ours.iter().position(|other| other == line).map(|place| (place, line)));
        let places: Vec<(usize, &String)> = places.collect();
        late.extend(places.iter().filter(|(place, _)| *place < reached).map(|(_, line)| (*line).clone()));
        reached = places.iter().map(|(place, _)| place + 1).max().unwrap_or(reached).max(reached);
    }
    late
}
