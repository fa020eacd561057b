//! What a run does on a shared cluster besides what it is for, as text: for dry runs.

use std::path::Path;

use clusters::Plan;
use serde_json::Value;

use super::ledger::{Page, file_of};
use super::sweep::{HELD, WORKLOADS, is_shared, order};
use super::{HOME, guard, home_manifest, lease, ledger, stock};
use crate::object::{Kind, ObjectRef};
use crate::patience::given::LETTING_GO;
use crate::seldon::SeldonSource;
use crate::undo::Undo;

/// Stands for the run.
const RUN: &str = "RUN";

/// What taking a foothold does, with ledgers in `directory`.
///
/// # Errors
/// serde_json's.
pub fn rehearse_taking(directory: &Path, context: &str) -> anyhow::Result<Plan> {
    let page =
        Page { run: RUN.into(), context: context.into(), server: "SERVER".into(), entries: Vec::new() };
    let mut plan = Plan::new();
    plan.apply("make the harness's namespace, where no other run is at work", vec![home_manifest(RUN)]);
    plan.apply(
        "take the Lease; it is renewed until the run ends",
        vec![lease::manifest(&format!("{RUN}-HOLDER"), "NOW")],
    );
    let what =
        "begin the ledger; whatever is made without a namespace is noted in it, and in the cluster, before";
    plan.write(what, file_of(directory, RUN), page.text()?);
    plan.apply("begin the ledger in the cluster", vec![page.manifest()?]);
    Ok(plan)
}

/// What a run does to find out whether nodes have the images of a mesh of `seldon`.
pub fn rehearse_looking(seldon: &SeldonSource) -> Plan {
    stock::rehearse(RUN, seldon)
}

/// What the end of a run does, when its cases have ended.
///
/// # Errors
/// That a definition is none.
pub fn rehearse_leaving(directory: &Path) -> anyhow::Result<String> {
    let definitions = seldon_crds::definitions::all().into_iter();
    let names = definitions.filter_map(|definition| definition.metadata.name);
    let made: Vec<Undo> = names
        .map(|name| guard::undoing_of("CustomResourceDefinition", &name))
        .collect::<anyhow::Result<_>>()?;
    let deleted = deletions(&order(&made).unscoped.iter().map(|(_, object)| *object).collect::<Vec<_>>());
    let home = ObjectRef::new(Kind::Namespace, "", HOME);
    Ok(format!(
        "# delete the definitions that this run has made, each when nobody else uses it\n{deleted}\n# end the ledger\n\
         kubectl delete --namespace {HOME} {}\nrm {}\n\n# give the Lease back with the harness's namespace\n{}",
        words(&ledger::config_map(RUN)),
        file_of(directory, RUN).display(),
        deletions(&[&home]),
    ))
}

/// An object as a shared cluster gets it.
pub(crate) fn labelled_for_run(manifest: &Value) -> Value {
    match manifest["metadata"]["namespace"].is_null() {
        true => guard::labelled(manifest, RUN),
        false => manifest.clone(),
    }
}

/// What the end of a case does that has applied `objects`.
///
/// # Errors
/// That one of them is nothing the harness makes.
pub(crate) fn end_of_case(objects: &[Value]) -> anyhow::Result<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let unscoped = objects.iter().filter(|object| object["metadata"]["namespace"].is_null());
    let entries: Vec<Undo> = unscoped
        .map(|object| guard::undoing_of(&text(&object["kind"]), &text(&object["metadata"]["name"])))
        .filter(|undo| !undo.as_ref().is_ok_and(is_shared))
        .collect::<anyhow::Result<_>>()?;
    let order = order(&entries);
    let objects =
        |all: &[(&Undo, &ObjectRef)]| deletions(&all.iter().map(|(_, object)| *object).collect::<Vec<_>>());
    let names: Vec<&str> = order.namespaces.iter().map(|(_, namespace)| namespace.name.as_str()).collect();
    let mut text = format!(
        "{}\n{}\n# delete its namespaces; the end of the next case, or the run's, sees them gone\n{}",
        emptying(&names),
        ending_pods(&names),
        objects(&order.namespaces)
    );
    if !order.unscoped.is_empty() {
        text.push_str(&format!("\n# delete what has no namespace\n{}", objects(&order.unscoped)));
    }
    Ok(text)
}

/// The run that rehearsed objects are of.
pub(crate) fn rehearsed_run() -> &'static str {
    RUN
}

/// What is deleted in namespaces while controllers still work there.
pub(crate) fn emptying(namespaces: &[&str]) -> String {
    format!(
        "# empty its namespaces, one kind after the other; finalizers that Seldon does not take off within {} s are taken \
         off\n{}",
        LETTING_GO.as_secs(),
        all_of(&[&[Kind::NetworkPolicy], &HELD[..]].concat(), namespaces, "")
    )
}

/// What is ended in namespaces when all are empty.
fn ending_pods(namespaces: &[&str]) -> String {
    format!(
        "# end what runs there, now that none of them is needed to let go of anything\n{}{}",
        all_of(&WORKLOADS, namespaces, ""),
        all_of(&[Kind::Pod], namespaces, " --grace-period=1")
    )
}

fn all_of(kinds: &[Kind], namespaces: &[&str], more: &str) -> String {
    let kinds: Vec<String> = kinds.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
    let kinds = kinds.join(",");
    let line = |namespace: &&str| format!("kubectl delete --namespace {namespace} {kinds} --all{more}\n");
    namespaces.iter().map(line).collect()
}

fn deletions(objects: &[&ObjectRef]) -> String {
    objects.iter().map(|object| format!("kubectl delete {}\n", words(object))).collect()
}

fn words(object: &ObjectRef) -> String {
    format!("{} {}", format!("{:?}", object.kind).to_lowercase(), object.name)
}
