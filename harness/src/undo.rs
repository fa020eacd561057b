//! What must be undone, last thing first. The runner does it, after the diagnosis, whatever ended the body.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use clusters::{LinkState, PodName, UpstreamMode};
use serde_json::Value;

use crate::object::{self, ObjectRef};
use crate::world::World;

/// One thing to undo.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub enum Undo {
    /// Delete an object that was created.
    Delete(ObjectRef),
    /// Put an object back as it was.
    Restore {
        /// Which.
        object: ObjectRef,
        /// As it was.
        before: Value,
    },
    /// Merge a patch that takes a change back, if nobody has changed the same since.
    Merge {
        /// Into which object.
        object: ObjectRef,
        /// The patch.
        patch: Value,
        /// The part of the object that was written: where it reads otherwise by now, it is somebody else's.
        ours: Value,
    },
    /// Take a text of ours out of an entry of a ConfigMap, whatever else was changed in it since.
    Cut {
        /// The ConfigMap.
        object: ObjectRef,
        /// The entry.
        key: String,
        /// The text.
        text: String,
    },
    /// Let the name server outside answer as before.
    Upstream(UpstreamMode),
    /// Take a pod's link up again on its node, if the pod is still there.
    Link(PodName),
    /// Let the node's own firewall drop nothing.
    Firewall,
}

impl fmt::Display for Undo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undo::Delete(object) => write!(formatter, "delete {object}"),
            Undo::Restore { object, .. } => write!(formatter, "restore {object}"),
            Undo::Merge { object, .. } | Undo::Cut { object, .. } => {
                write!(formatter, "take back the change of {object}")
            }
            Undo::Link(pod) => write!(formatter, "take the link of pod {pod} up again"),
            Undo::Firewall => formatter.write_str("let the node's own firewall drop nothing"),
            Undo::Upstream(_) => formatter.write_str("let the outside's name server answer as before"),
        }
    }
}

impl Undo {
    /// Does it.
    ///
    /// # Errors
    /// The cluster's.
    pub async fn run(&self, world: &World) -> anyhow::Result<()> {
        if let Some(foothold) = world.foothold() {
            foothold.must_hold()?;
        }
        match self {
            Undo::Delete(object) => match world.foothold() {
                Some(foothold) => foothold.take_away(world.client(), object).await,
                None => Ok(object.delete(world.client()).await?),
            },
            Undo::Restore { before, .. } => object::apply(world.client(), before).await,
            Undo::Merge { object, patch, ours } => object.take_back(world.client(), patch, ours).await,
            Undo::Cut { object, key, text } => object.cut(world.client(), key, text).await,
            Undo::Upstream(mode) => world.set_upstream(mode.clone()).await,
            Undo::Link(pod) => Ok(world.cluster().set_link(pod.clone(), LinkState::Up).await?),
            Undo::Firewall => Ok(world.cluster().set_firewall(None).await?),
        }
    }
}

/// Pending undos in the order in which things were done.
#[derive(Debug, Default)]
pub struct UndoList(Mutex<Vec<(usize, Undo)>>);

impl UndoList {
    /// Adds one and says by which number it can be taken out.
    pub fn push(&self, undo: Undo) -> usize {
        let mut list = self.lock();
        let number = list.last().map_or(0, |(number, _)| number + 1);
        list.push((number, undo));
        number
    }

    /// One that is still to be done; it stays in the list.
    pub fn pending(&self, number: usize) -> Option<Undo> {
        self.lock().iter().find(|(other, _)| *other == number).map(|(_, undo)| undo.clone())
    }

    /// Takes one out, because it was done.
    pub fn done(&self, number: usize) {
        self.lock().retain(|(other, _)| *other != number);
    }

    /// The one that must be done next.
    pub fn pop(&self) -> Option<Undo> {
        self.lock().pop().map(|(_, undo)| undo)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(usize, Undo)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Kind;

    #[test]
    fn the_last_thing_done_is_undone_first_and_what_is_done_is_not_undone_again() {
        let list = UndoList::default();
        let undo = |name: &str| Undo::Delete(ObjectRef::new(Kind::NetworkPolicy, "ml", name));
        let first = list.push(undo("first"));
        let second = list.push(undo("second"));
        let third = list.push(undo("third"));
        assert_eq!((first, second, third), (0, 1, 2));
        assert!(list.pending(second).is_some() && list.pending(second).is_some());
        list.done(second);
        assert!(list.pending(second).is_none());
        assert_eq!(list.pop().unwrap().to_string(), "delete NetworkPolicy ml/third");
        assert_eq!(list.pop().unwrap().to_string(), "delete NetworkPolicy ml/first");
        assert!(list.pop().is_none());
    }
}
