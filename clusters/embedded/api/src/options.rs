//! The query of a request: `meta/v1` ListOptions, CreateOptions, PatchOptions and the like.

use crate::failure::{Failure, Outcome};
use crate::path::decode;

/// The pairs of a query string, decoded, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query string.
    pub(crate) fn parse(text: Option<&str>) -> Query {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let plus = |text: &str| decode(&text.replace('+', " "));
        Query(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(k, v)| (plus(k), plus(v)))
                .collect(),
        )
    }

    /// The first value of a key; an empty one counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of a key.
    pub(crate) fn all(&self, key: &str) -> Vec<String> {
        self.0.iter().filter(|(k, _)| k == key).map(|(_, v)| v.clone()).collect()
    }

    /// A switch: present and neither `0` nor `false`, as the real server reads booleans.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.0.iter().any(|(k, v)| k == key && v != "0" && !v.eq_ignore_ascii_case("false"))
    }

    /// A number.
    pub(crate) fn number<T: std::str::FromStr>(&self, key: &str) -> Outcome<Option<T>> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let refuse = || Failure::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
        text.parse().map(Some).map_err(|_| refuse())
    }
}

/// What to do with fields that the kind does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// Whether a write is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    Keep,
    DryRun,
}

/// The options of a write.
#[derive(Debug, Clone)]
pub(crate) struct WriteOptions {
    pub(crate) field_manager: Option<String>,
    pub(crate) field_validation: FieldValidation,
    pub(crate) persistence: Persistence,
    pub(crate) force: bool,
}

impl WriteOptions {
    /// Reads them from the query. Without `fieldManager`, the manager is the user agent up to its first slash.
    pub(crate) fn read(query: &Query, user_agent: &str) -> Outcome<WriteOptions> {
        let field_validation = match query.get("fieldValidation") {
            None | Some("Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                return Err(Failure::bad_request(format!(
                    "invalid fieldValidation {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
                )));
            }
        };
        let persistence = match query.all("dryRun").iter().map(String::as_str).find(|value| !value.is_empty())
        {
            None => Persistence::Keep,
            Some("All") => Persistence::DryRun,
            Some(other) => {
                return Err(Failure::bad_request(format!(
                    "dryRun: Unsupported value: {other:?}: supported values: \"All\""
                )));
            }
        };
        let agent = user_agent.split('/').next().filter(|name| !name.is_empty());
        let field_manager = query.get("fieldManager").or(agent).map(str::to_owned);
        Ok(WriteOptions { field_manager, field_validation, persistence, force: query.flag("force") })
    }

    /// The manager's name in `managedFields`.
    pub(crate) fn manager(&self) -> &str {
        self.field_manager.as_deref().unwrap_or("unknown")
    }
}

/// The options of a list or a watch.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListOptions {
    pub(crate) label_selector: Option<String>,
    pub(crate) field_selector: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) continue_token: Option<String>,
    pub(crate) resource_version: Option<u64>,
    pub(crate) exact: bool,
    pub(crate) bookmarks: bool,
    pub(crate) send_initial_events: bool,
    pub(crate) timeout_seconds: Option<u64>,
}

impl ListOptions {
    /// Reads and checks them.
    pub(crate) fn read(query: &Query, watch: bool) -> Outcome<ListOptions> {
        let text = |key: &str| query.get(key).map(str::to_owned);
        let resource_version = match query.get("resourceVersion") {
            None => None,
            Some(version) => Some(version.parse().map_err(|_| bad_version(version))?),
        };
        let matching = query.get("resourceVersionMatch");
        let initial = query.get("sendInitialEvents");
        check_match(matching, initial, watch, resource_version)?;
        Ok(ListOptions {
            label_selector: text("labelSelector"),
            field_selector: text("fieldSelector"),
            limit: query.number("limit")?.filter(|limit| *limit > 0),
            continue_token: text("continue"),
            resource_version,
            exact: matching == Some("Exact"),
            bookmarks: query.flag("allowWatchBookmarks"),
            send_initial_events: initial.is_some() && query.flag("sendInitialEvents"),
            timeout_seconds: query.number("timeoutSeconds")?,
        })
    }
}

fn bad_version(version: &str) -> Failure {
    Failure::bad_request(format!(
        "resourceVersion: Invalid value: {version:?}: strconv.ParseUint: parsing {version:?}: invalid syntax"
    ))
}

fn check_match(
    matching: Option<&str>,
    initial: Option<&str>,
    watch: bool,
    version: Option<u64>,
) -> Outcome<()> {
    let forbidden = |field: &str, why: &str| Err(Failure::bad_request(format!("{field}: Forbidden: {why}")));
    match (matching, initial) {
        (None, Some(_)) => forbidden(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (Some(_), None) if watch => forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
        (Some(_), None) if version.is_none() => forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (Some("Exact"), _) if version == Some(0) => forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        ),
        (None | Some("Exact" | "NotOlderThan"), _) => Ok(()),
        (Some(other), _) => Err(Failure::bad_request(format!(
            "resourceVersionMatch: Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\""
        ))),
    }
}
