//! Paths of the V2 protocol.

use http::Method;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Live,
    Ready,
    Server,
    Model(Named<'a>),
    ModelReady(Named<'a>),
    Infer(Named<'a>),
    Index,
    Load(&'a str),
    Unload(&'a str),
}

/// A model, and perhaps a version of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    pub(super) version: Option<&'a str>,
}

impl Route<'_> {
    pub(super) fn of(path: &str) -> Option<Route<'_>> {
        let steps: Vec<&str> = path.strip_prefix("/v2")?.split('/').collect();
        // In front of the first slash there is nothing, and no name is nothing.
        let (first, steps) = steps.split_first()?;
        if !first.is_empty() || steps.contains(&"") {
            return None;
        }
        match steps {
            [] => Some(Route::Server),
            ["health", "live"] => Some(Route::Live),
            ["health", "ready"] => Some(Route::Ready),
            ["repository", "index"] => Some(Route::Index),
            ["repository", "models", name, "load"] => Some(Route::Load(name)),
            ["repository", "models", name, "unload"] => Some(Route::Unload(name)),
            ["models", name, "versions", version, rest @ ..] => of_model(name, Some(version), rest),
            ["models", name, rest @ ..] => of_model(name, None, rest),
            _ => None,
        }
    }

    /// The one method that it takes.
    pub(super) fn method(&self) -> Method {
        match self {
            Route::Live | Route::Ready | Route::Server | Route::Model(_) | Route::ModelReady(_) => {
                Method::GET
            }
            Route::Infer(_) | Route::Index | Route::Load(_) | Route::Unload(_) => Method::POST,
        }
    }

    /// The same as a word.
    pub(super) fn method_word(&self) -> &'static str {
        if self.method() == Method::GET { "GET" } else { "POST" }
    }
}

fn of_model<'a>(name: &'a str, version: Option<&'a str>, rest: &[&str]) -> Option<Route<'a>> {
    let named = Named { name, version };
    match rest {
        [] => Some(Route::Model(named)),
        ["ready"] => Some(Route::ModelReady(named)),
        ["infer" | "generate"] => Some(Route::Infer(named)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/v2", Some(Route::Server))]
    #[case("/v2/models/m/infer", Some(Route::Infer(Named { name: "m", version: None })))]
    #[case("/v2/models/m/versions/1", Some(Route::Model(Named { name: "m", version: Some("1") })))]
    #[case("/v2/models/m/versions", None)]
    #[case("/v2/models//infer", None)]
    #[case("/v2x", None)]
    #[case("/v2/", None)]
    #[case("/", None)]
    fn paths(#[case] path: &str, #[case] expected: Option<Route<'_>>) {
        assert_eq!(Route::of(path), expected);
    }
}
