//! What the rules that deny have counted.

use std::path::Path;

use netmodel::ruleset::POLICY_TABLE;
use serde_json::Value;

use super::nft::{self, NftError};

/// How the comment of such a rule begins; it goes on with direction, pod and policies.
const DENIED: &str = "denied ";

/// Their comments, and how many packets each has counted since it was loaded.
pub(crate) async fn denials(program: &Path) -> Result<Vec<(String, u64)>, NftError> {
    let listed = nft::list(program, POLICY_TABLE).await?;
    let listed = serde_json::from_slice(&listed).map_err(|error| NftError::Refused(error.to_string()))?;
    Ok(of_table(&listed))
}

fn of_table(listed: &Value) -> Vec<(String, u64)> {
    let rules = listed["nftables"].as_array().into_iter().flatten().map(|item| &item["rule"]);
    rules
        .filter_map(|rule| {
            let comment = rule["comment"].as_str().filter(|comment| comment.starts_with(DENIED))?;
            let counter =
                rule["expr"].as_array()?.iter().find_map(|part| part["counter"]["packets"].as_u64())?;
            Some((comment.to_owned(), counter))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_that_deny_are_told_from_others() {
        let rule = |comment: &str, packets: u64| {
            json!({"rule": {"comment": comment, "expr": [
                {"match": {"op": "=="}}, {"counter": {"packets": packets, "bytes": 60}}, {"drop": null},
            ]}})
        };
        let listed = json!({"nftables": [
            {"metainfo": {"version": "1.0.6"}},
            {"chain": {"name": "forward"}},
            {"rule": {"expr": [{"counter": {"packets": 9, "bytes": 9}}]}},
            rule("something else", 7),
            rule("denied ingress of ml/scheduler-0: ml/closed", 3),
        ]});
        assert_eq!(of_table(&listed), [("denied ingress of ml/scheduler-0: ml/closed".to_owned(), 3)]);
    }
}
