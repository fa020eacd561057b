//! Storage configurations: what a secret says about a remote, and the URI that carries it inline.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// One remote of rclone, as a storage secret describes it in JSON or YAML.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remote {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) parameters: IndexMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) opt: Option<IndexMap<String, String>>,
}

impl Remote {
    /// Reads a secret's value.
    ///
    /// # Errors
    /// The parser's text, or which required field is missing, in the words of the agent's validator.
    pub(crate) fn parse(text: &str) -> Result<Remote, String> {
        let remote: Remote = serde_json::from_str(text).or_else(|json| {
            serde_saphyr::from_str(text).map_err(|yaml| {
                format!("Failed to unmarshall config as json or yaml. JSON error {json}. YAML error {yaml}")
            })
        })?;
        let missing = |field: &str| {
            format!(
                "Key: 'RcloneConfigCreate.{field}' Error:Field validation for '{field}' failed on the 'required' tag"
            )
        };
        match &remote {
            Remote { name, .. } if name.is_empty() => Err(missing("Name")),
            Remote { kind, .. } if kind.is_empty() => Err(missing("Type")),
            _ => Ok(remote),
        }
    }

    /// `s3://bucket/path` with this remote's settings inline: `:s3,provider=minio,…://bucket/path`.
    ///
    /// # Errors
    /// The text the scheduler is told when the URI names another remote.
    pub(crate) fn inline(&self, uri: &str) -> Result<String, String> {
        let named = match uri.find(':') {
            None => return Err(format!("Failed to find : in {uri} for rclone name match")),
            Some(0) => return Err("Can't get remote from URI with configuration included inline".to_owned()),
            Some(end) => &uri[..end],
        };
        if named != self.name {
            return Err(format!(
                "name from URI ({named}) does not match secret ({}); are you using the right storage config?",
                self.name
            ));
        }
        let mut inline = format!(":{}", self.kind);
        for (key, value) in &self.parameters {
            inline.push_str(&format!(",{key}="));
            if value.contains([':', ',']) {
                inline.push_str(&format!("\"{}\"", value.replace('"', "\"\"")));
            } else {
                inline.push_str(value);
            }
        }
        Ok(uri.replacen(named, &inline, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const S3: &str = "type: s3\nname: s3\nparameters:\n  provider: minio\n  endpoint: http://store:9000\n";

    #[test]
    fn a_secret_becomes_a_connection_string() {
        let uri = Remote::parse(S3).unwrap().inline("s3://models/iris").unwrap();
        assert_eq!(uri, ":s3,provider=minio,endpoint=\"http://store:9000\"://models/iris");
    }

    #[rstest]
    #[case::other(
        "store:models",
        "name from URI (store) does not match secret (s3); are you using the right storage config?"
    )]
    #[case::inline(":http,url=x:y", "Can't get remote from URI with configuration included inline")]
    #[case::plain("/mnt/x", "Failed to find : in /mnt/x for rclone name match")]
    fn a_uri_that_does_not_fit_is_refused(#[case] uri: &str, #[case] text: &str) {
        assert_eq!(Remote::parse(S3).unwrap().inline(uri).unwrap_err(), text);
    }

    #[test]
    fn a_remote_without_type_is_refused() {
        let error = Remote::parse("{\"name\":\"gs\",\"parameters\":{}}").unwrap_err();
        assert!(error.ends_with("'Type' failed on the 'required' tag"), "{error}");
    }
}
