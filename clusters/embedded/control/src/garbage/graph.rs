//! Who owns whom, by uid. Pure.

use std::collections::{BTreeSet, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::discovery::Resource;
use crate::store::Key;

pub(crate) const FOREGROUND: &str = "foregroundDeletion";
pub(crate) const ORPHAN: &str = "orphan";

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) uid: String,
    pub(crate) resource: Resource,
    pub(crate) key: Key,
    pub(crate) owners: Vec<OwnerReference>,
    pub(crate) deleting: bool,
    pub(crate) finalizers: Vec<String>,
}

impl Node {
    pub(crate) fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer == name)
    }

    /// Whether the object waits until its dependents are gone.
    fn waits_for_dependents(&self) -> bool {
        self.deleting && self.has_finalizer(FOREGROUND)
    }
}

/// All objects.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: HashMap<String, Node>,
    dependents: HashMap<String, BTreeSet<String>>,
}

/// What an owner reference points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// An object that stays.
    Solid,
    /// An object that waits for this one to go.
    Waiting,
    /// Nothing that is known here.
    Unknown,
}

/// How an object is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Background,
    Foreground,
    Orphan,
}

/// What is to be done about one object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    Keep,
    Delete(Manner),
    /// Keep it, without these owners.
    Disown(Vec<String>),
    /// It waits for no one any more.
    RemoveFinalizer(&'static str),
    /// Its dependents, by uid, lose it as owner; then it goes.
    OrphanDependents(Vec<String>),
    /// Its dependents, by uid, must go first.
    CollectFirst(Vec<String>),
}

impl Graph {
    pub(crate) fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    pub(crate) fn within(&self, namespace: &str) -> Vec<Node> {
        self.nodes.values().filter(|node| node.key.namespace == namespace).cloned().collect()
    }

    /// The objects of one kind, by uid.
    pub(crate) fn of(&self, resource: &Resource) -> Vec<String> {
        self.nodes.values().filter(|node| node.resource == *resource).map(|node| node.uid.clone()).collect()
    }

    /// The objects with an owner that is not known here, by uid.
    pub(crate) fn with_unknown_owners(&self) -> Vec<String> {
        let unknown = |node: &&Node| node.owners.iter().any(|owner| self.owner(owner) == Owner::Unknown);
        self.nodes.values().filter(unknown).map(|node| node.uid.clone()).collect()
    }

    /// Takes over an object; returns who else is concerned.
    pub(crate) fn put(&mut self, node: Node) -> Vec<String> {
        let before = self.nodes.insert(node.uid.clone(), node.clone());
        let mut concerned = Vec::new();
        for owner in before.iter().flat_map(|before| &before.owners) {
            if !node.owners.iter().any(|kept| kept.uid == owner.uid) {
                self.dependents.get_mut(&owner.uid).map(|dependents| dependents.remove(&node.uid));
                concerned.push(owner.uid.clone());
            }
        }
        for owner in &node.owners {
            self.dependents.entry(owner.uid.clone()).or_default().insert(node.uid.clone());
        }
        if node.waits_for_dependents() && !before.is_some_and(|before| before.waits_for_dependents()) {
            concerned.extend(self.dependents_of(&node.uid));
        }
        concerned
    }

    /// Forgets an object; returns it and who is concerned: its dependents and its owners.
    pub(crate) fn remove(&mut self, uid: &str) -> Option<(Node, Vec<String>)> {
        let node = self.nodes.remove(uid)?;
        for owner in &node.owners {
            self.dependents.get_mut(&owner.uid).map(|dependents| dependents.remove(uid));
        }
        let mut concerned = self.dependents_of(uid);
        concerned.extend(node.owners.iter().map(|owner| owner.uid.clone()));
        Some((node, concerned))
    }

    pub(crate) fn dependents_of(&self, uid: &str) -> Vec<String> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// What an owner reference points to, as far as is known here.
    pub(crate) fn owner(&self, reference: &OwnerReference) -> Owner {
        match self.nodes.get(&reference.uid) {
            None => Owner::Unknown,
            Some(owner) if owner.waits_for_dependents() => Owner::Waiting,
            Some(_) => Owner::Solid,
        }
    }

    /// What is to be done about an object whose unknown owners are those in `absent`.
    pub(crate) fn verdict(&self, node: &Node, absent: &[String]) -> Verdict {
        if node.deleting {
            return self.verdict_on_leaving(node);
        }
        if node.owners.is_empty() {
            return Verdict::Keep;
        }
        let is_absent = |owner: &&OwnerReference| absent.contains(&owner.uid);
        let waiting = |owner: &&OwnerReference| self.owner(owner) == Owner::Waiting;
        let useless: Vec<String> = node
            .owners
            .iter()
            .filter(|owner| is_absent(owner) || waiting(owner))
            .map(|owner| owner.uid.clone())
            .collect();
        if useless.len() < node.owners.len() {
            return if useless.is_empty() { Verdict::Keep } else { Verdict::Disown(useless) };
        }
        if node.owners.iter().any(|owner| waiting(&owner)) && !self.dependents_of(&node.uid).is_empty() {
            return Verdict::Delete(Manner::Foreground);
        }
        Verdict::Delete(if node.has_finalizer(ORPHAN) {
            Manner::Orphan
        } else if node.has_finalizer(FOREGROUND) {
            Manner::Foreground
        } else {
            Manner::Background
        })
    }

    fn verdict_on_leaving(&self, node: &Node) -> Verdict {
        let dependents = self.dependents_of(&node.uid);
        if node.has_finalizer(ORPHAN) {
            return Verdict::OrphanDependents(dependents);
        }
        if !node.has_finalizer(FOREGROUND) {
            return Verdict::Keep;
        }
        let blocks = |uid: &String| {
            let owners = self.nodes.get(uid).map(|dependent| dependent.owners.as_slice()).unwrap_or_default();
            owners.iter().any(|owner| owner.uid == node.uid && owner.block_owner_deletion == Some(true))
        };
        if dependents.iter().any(blocks) {
            Verdict::CollectFirst(dependents)
        } else {
            Verdict::RemoveFinalizer(FOREGROUND)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::ApiResource;
    use rstest::rstest;

    fn owner(uid: &str, blocks: bool) -> OwnerReference {
        OwnerReference {
            uid: uid.to_owned(),
            block_owner_deletion: Some(blocks),
            ..OwnerReference::default()
        }
    }

    fn node(uid: &str, owners: &[&str], state: &str) -> Node {
        let finalizers = [FOREGROUND, ORPHAN].into_iter().filter(|name| state.contains(name));
        Node {
            uid: uid.to_owned(),
            resource: Resource {
                api: ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&()),
                namespaced: true,
            },
            key: Key::new("np", uid),
            owners: owners.iter().map(|uid| owner(uid, true)).collect(),
            deleting: state.contains("deleting"),
            finalizers: finalizers.map(str::to_owned).collect(),
        }
    }

    /// `uid owners state`, where owners are single letters.
    fn told(text: &str) -> Node {
        let mut words = text.split(' ');
        let uid = words.next().unwrap();
        let (states, owners): (Vec<&str>, Vec<&str>) = words.partition(|word| word.len() > 1);
        node(uid, &owners, &states.join(" "))
    }

    #[rstest]
    #[case::no_owner(&[], "a", &[], Verdict::Keep)]
    #[case::owner_there(&["o"], "a o", &[], Verdict::Keep)]
    #[case::owner_gone(&[], "a o", &["o"], Verdict::Delete(Manner::Background))]
    #[case::one_of_two_gone(&["p"], "a o p", &["o"], Verdict::Disown(vec!["o".into()]))]
    #[case::owner_waits(&["o deleting foregroundDeletion"], "a o", &[], Verdict::Delete(Manner::Background))]
    #[case::owner_waits_and_has_dependents(&["o deleting foregroundDeletion", "d a"], "a o", &[],
        Verdict::Delete(Manner::Foreground))]
    #[case::waits_no_more(&[], "a deleting foregroundDeletion", &[], Verdict::RemoveFinalizer(FOREGROUND))]
    #[case::waits(&["d a"], "a deleting foregroundDeletion", &[], Verdict::CollectFirst(vec!["d".into()]))]
    #[case::orphans(&["d a"], "a deleting orphan", &[], Verdict::OrphanDependents(vec!["d".into()]))]
    #[case::just_leaving(&["d a"], "a deleting", &[], Verdict::Keep)]
    fn judges(
        #[case] others: &[&str],
        #[case] subject: &str,
        #[case] absent: &[&str],
        #[case] expected: Verdict,
    ) {
        let mut graph = Graph::default();
        for other in others {
            graph.put(told(other));
        }
        let subject = told(subject);
        graph.put(subject.clone());
        let absent: Vec<String> = absent.iter().map(|uid| (*uid).to_owned()).collect();
        assert_eq!(graph.verdict(&subject, &absent), expected);
    }

    #[test]
    fn whoever_is_concerned_is_told() {
        let mut graph = Graph::default();
        graph.put(node("o", &[], ""));
        graph.put(node("d", &["o"], ""));
        assert_eq!(graph.put(node("o", &[], "deleting foregroundDeletion")), ["d"]);
        assert_eq!(graph.remove("d").unwrap().1, ["o"]);
        graph.put(node("d", &["o"], ""));
        assert_eq!(graph.remove("o").unwrap().1, ["d"]);
        assert_eq!(graph.put(node("d", &[], "")), ["o"]);
    }
}
