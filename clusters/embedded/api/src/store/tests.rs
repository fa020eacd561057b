use super::*;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

fn object(name: &str, content: u64) -> Value {
    json!({"metadata": {"name": name, "namespace": "n"}, "content": content})
}

fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.entries.iter().map(|entry| object::name(&entry.value)).collect()
}

#[test]
fn writers_that_read_old_versions_are_refused() {
    let (store, shelf) = (Store::new(8), ShelfName::from("/things"));
    let first = store.insert(&shelf, object("a", 1)).unwrap();
    assert_eq!(store.insert(&shelf, object("a", 2)).unwrap_err(), WriteError::Exists);
    let second = store.replace(&shelf, first.revision, object("a", 2)).unwrap();
    assert_eq!(store.replace(&shelf, first.revision, object("a", 3)).unwrap_err(), WriteError::Changed);
    assert_eq!(store.remove(&shelf, first.revision, object("a", 3)).unwrap_err(), WriteError::Changed);
    let last = store.remove(&shelf, second.revision, second.value.clone()).unwrap();
    assert!(last.revision > second.revision);
    assert!(store.get(&shelf, "n", "a").is_none());
}

#[rstest]
#[case::now(4, Ok(vec!["a", "b"]))]
#[case::before_the_deletion(3, Ok(vec!["a"]))]
fn the_past_can_be_read(#[case] revision: u64, #[case] expected: Result<Vec<&str>, ReadError>) {
    let (store, shelf) = (Store::new(8), ShelfName::from("/things"));
    store.insert(&shelf, object("a", 1)).unwrap();
    store.insert(&ShelfName::from("/others"), object("o", 1)).unwrap();
    store.insert(&shelf, object("b", 1)).unwrap();
    let found = store.list_at(&shelf, "n", revision);
    assert_eq!(found.as_ref().map(names).map_err(|error| *error), expected);
}

proptest! {
    /// Whoever starts from any version the window still holds and follows the changes arrives at the present.
    #[test]
    fn changes_lead_from_every_past_to_the_present(steps in prop::collection::vec((0u8..6, any::<bool>()), 1..60), window in 1usize..70) {
        let (store, shelf) = (Store::new(window), ShelfName::from("/things"));
        for (index, (which, delete)) in steps.into_iter().enumerate() {
            let name = format!("o{which}");
            match (store.get(&shelf, "n", &name), delete) {
                (None, _) => { store.insert(&shelf, object(&name, index as u64)).unwrap(); }
                (Some(entry), true) => { store.remove(&shelf, entry.revision, entry.value.clone()).unwrap(); }
                (Some(entry), false) => { store.replace(&shelf, entry.revision, object(&name, index as u64)).unwrap(); }
            }
        }
        let present: Vec<u64> = store.list(&shelf, "").entries.iter().map(|entry| entry.revision).collect();
        for start in 0..=store.revision() {
            let Ok(past) = store.list_at(&shelf, "", start) else { continue };
            let mut state: std::collections::BTreeMap<String, u64> =
                past.entries.iter().map(|entry| (object::name(&entry.value).to_owned(), entry.revision)).collect();
            let mut reached = start;
            loop {
                let (changes, complete) = store.changes_since(&shelf, reached, 7).unwrap();
                for change in &changes {
                    let name = object::name(&change.entry.value).to_owned();
                    match change.kind {
                        ChangeKind::Added => prop_assert!(state.insert(name, change.entry.revision).is_none()),
                        ChangeKind::Modified => prop_assert!(state.insert(name, change.entry.revision).is_some()),
                        ChangeKind::Deleted => prop_assert!(state.remove(&name).is_some()),
                    }
                }
                reached = complete;
                if changes.is_empty() { break }
            }
            prop_assert_eq!(state.into_values().collect::<Vec<_>>(), present.clone());
        }
    }
}
