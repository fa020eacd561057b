//! Reading one object, and lists with their pages.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use embedded_machinery::status::Status;
use serde_json::{Value, json};

use super::{Call, Selection};
use crate::failure::{Failure, Outcome};
use crate::object;
use crate::options::ListOptions;
use crate::reply::{Document, List, Reply};
use crate::store::{Entry, ReadError, Snapshot};

impl Call {
    /// The object the request names.
    pub(crate) fn current(&self) -> Outcome<Arc<Entry>> {
        let found = self.state.store.get(&self.resource.shelf, &self.namespace, &self.name);
        found.ok_or_else(|| Failure::not_found(&self.resource, &self.name))
    }

    /// `GET` of one object.
    pub(crate) fn get(&self) -> Outcome<Reply> {
        self.expect_namespace()?;
        Ok(Reply::ok(Document::Stored(self.current()?)))
    }

    /// `GET` of a collection.
    pub(crate) fn list(&self) -> Outcome<Reply> {
        let options = ListOptions::read(&self.query, false)?;
        let selection = Selection::read(&self.resource, &options, "", &self.name)?;
        let token = options.continue_token.as_deref().map(Token::read).transpose()?;
        let snapshot = self.snapshot(&options, token.as_ref())?;
        let mut entries: Vec<Arc<Entry>> = snapshot.entries;
        if let Some(token) = &token {
            let after =
                |entry: &Arc<Entry>| place(&entry.value) > (token.namespace.as_str(), token.name.as_str());
            entries.retain(after);
        }
        entries.retain(|entry| selection.takes_entry(entry));
        let mut list = List { entries, revision: snapshot.revision, continue_token: None, remaining: None };
        if let Some(limit) = options.limit.filter(|limit| *limit < list.entries.len()) {
            // As in the real server, the count is only given where no selector makes it a guess.
            let counted = options.label_selector.is_none() && options.field_selector.is_none();
            list.remaining = counted.then(|| list.entries.len() - limit);
            list.entries.truncate(limit);
            list.continue_token =
                list.entries.last().map(|last| Token::after(&last.value, list.revision).write());
        }
        Ok(Reply::ok(Document::List(list)))
    }

    fn snapshot(&self, options: &ListOptions, token: Option<&Token>) -> Outcome<Snapshot> {
        let (store, shelf) = (&self.state.store, &self.resource.shelf);
        let exact = match token {
            // Zero marks a token that accepts an inconsistent continuation.
            Some(token) if token.revision > 0 => Some(token.revision),
            Some(_) => None,
            None if options.exact => options.resource_version,
            None => {
                self.expect_reached(options.resource_version)?;
                None
            }
        };
        let Some(revision) = exact else { return Ok(store.list(shelf, &self.namespace)) };
        store.list_at(shelf, &self.namespace, revision).map_err(|error| match (error, token) {
            (ReadError::InFuture { current }, _) => too_large(revision, current),
            (ReadError::TooOld { .. }, Some(token)) => token.expired(),
            (ReadError::TooOld { .. }, None) => {
                Failure::expired(format!("The resourceVersion for the provided list is too old: {revision}"))
            }
        })
    }

    /// Refuses a version that has not been reached. The real server waits three seconds for it first; ours has only
    /// one store, where a version that has not been reached was never given to anyone.
    pub(crate) fn expect_reached(&self, version: Option<u64>) -> Outcome<()> {
        let current = self.state.store.revision();
        match version {
            Some(version) if version > current => Err(too_large(version, current)),
            _ => Ok(()),
        }
    }
}

fn too_large(version: u64, current: u64) -> Failure {
    Status::timeout(&format!("Too large resource version: {version}, current: {current}")).into()
}

fn place(object: &Value) -> (&str, &str) {
    (object::namespace(object), object::name(object))
}

/// Where the next page begins.
#[derive(Debug, PartialEq, Eq)]
struct Token {
    revision: u64,
    namespace: String,
    name: String,
}

impl Token {
    fn after(object: &Value, revision: u64) -> Token {
        let (namespace, name) = place(object);
        Token { revision, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn write(&self) -> String {
        let start = format!("{}/{}\0", self.namespace, self.name);
        URL_SAFE_NO_PAD
            .encode(json!({"v": "meta.k8s.io/v1", "rv": self.revision, "start": start}).to_string())
    }

    fn read(text: &str) -> Outcome<Token> {
        let refuse = || Failure::bad_request("continue key is not valid: the token cannot be read");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refuse())?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| refuse())?;
        let start = value["start"].as_str().and_then(|start| start.strip_suffix('\0')).ok_or_else(refuse)?;
        let (namespace, name) = start.split_once('/').ok_or_else(refuse)?;
        let revision = value["rv"].as_u64().ok_or_else(refuse)?;
        Ok(Token { revision, namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// 410 with a token for whoever would rather go on than begin again.
    fn expired(&self) -> Failure {
        let Token { namespace, name, .. } = self;
        let onward = Token { revision: 0, namespace: namespace.clone(), name: name.clone() };
        let mut failure = Failure::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter, or use the continue token in this response to retrieve the remainder of \
             the results. Continuing with the provided token results in an inconsistent list - objects that were \
             created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        );
        failure.continue_token = Some(onward.write());
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_reads_back(revision: u64, namespace in "[a-z0-9-]{0,20}", name in "[a-z0-9.:-]{1,40}") {
            let token = Token { revision, namespace, name };
            prop_assert_eq!(Token::read(&token.write()).unwrap(), token);
        }

        #[test]
        fn garbage_is_refused_and_never_a_panic(text in ".{0,40}") {
            let _ = Token::read(&text);
        }
    }
}
