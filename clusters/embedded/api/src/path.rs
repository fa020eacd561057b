//! Request paths: which kind, which object, which subresource.

/// What a path of the API addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectPath {
    pub(crate) group: String,
    pub(crate) version: String,
    /// `""` for all namespaces and for cluster-scoped kinds.
    pub(crate) namespace: String,
    pub(crate) plural: String,
    /// `""` for the collection.
    pub(crate) name: String,
    /// `""` for the object itself; may hold a slash (`proxy/…`).
    pub(crate) subresource: String,
    /// Whether this is a deprecated `/watch/` path.
    pub(crate) watch: bool,
}

/// The meaning of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// An object or a collection.
    Object(ObjectPath),
    /// `/api`: the versions of the core group.
    CoreVersions,
    /// `/apis`: the groups.
    Groups,
    /// `/apis/G`.
    Group(String),
    /// `/api/v1` and `/apis/G/V`.
    GroupVersion(String, String),
    /// Anything outside of `/api` and `/apis`, by its path.
    Other,
}

/// Reads a path. Percent escapes in the segments are decoded.
pub(crate) fn parse(path: &str) -> Route {
    let segments: Vec<String> = path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect();
    let (group, version, rest) = match segments.as_slice() {
        [api] if api == "api" => return Route::CoreVersions,
        [apis] if apis == "apis" => return Route::Groups,
        [apis, group] if apis == "apis" => return Route::Group(group.clone()),
        [api, version, rest @ ..] if api == "api" => (String::new(), version.clone(), rest),
        [apis, group, version, rest @ ..] if apis == "apis" => (group.clone(), version.clone(), rest),
        _ => return Route::Other,
    };
    let (watch, rest) = match rest {
        [first, rest @ ..] if first == "watch" => (true, rest),
        rest => (false, rest),
    };
    let (namespace, rest) = match rest {
        // `namespaces/x/pods` lies in a namespace; `namespaces/x` and its own subresources are the namespace itself.
        [first, namespace, third, rest @ ..]
            if first == "namespaces" && third != "status" && third != "finalize" =>
        {
            (namespace.clone(), [std::slice::from_ref(third), rest].concat())
        }
        rest => (String::new(), rest.to_vec()),
    };
    let mut rest = rest.into_iter();
    let Some(plural) = rest.next() else {
        return Route::GroupVersion(group, version);
    };
    let name = rest.next().unwrap_or_default();
    let subresource = rest.collect::<Vec<_>>().join("/");
    Route::Object(ObjectPath { group, version, namespace, plural, name, subresource, watch })
}

/// Decodes percent escapes; what is not an escape stays.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%')
            .then(|| tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn object(text: &str) -> String {
        match parse(text) {
            Route::Object(path) => format!(
                "{}|{}|{}|{}|{}|{}|{}",
                path.group,
                path.version,
                path.namespace,
                path.plural,
                path.name,
                path.subresource,
                path.watch
            ),
            other => format!("{other:?}"),
        }
    }

    #[rstest]
    #[case("/api/v1/pods", "|v1||pods|||false")]
    #[case("/api/v1/namespaces", "|v1||namespaces|||false")]
    #[case("/api/v1/namespaces/x", "|v1||namespaces|x||false")]
    #[case("/api/v1/namespaces/x/status", "|v1||namespaces|x|status|false")]
    #[case("/api/v1/namespaces/x/finalize", "|v1||namespaces|x|finalize|false")]
    #[case("/api/v1/namespaces/x/pods/p/log", "|v1|x|pods|p|log|false")]
    #[case("/apis/apps/v1/namespaces/x/deployments/d/scale", "apps|v1|x|deployments|d|scale|false")]
    #[case("/api/v1/watch/namespaces/x/pods", "|v1|x|pods|||true")]
    #[case(
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
        "rbac.authorization.k8s.io|v1||clusterroles|system:node||false"
    )]
    #[case("/api", "CoreVersions")]
    #[case("/apis/", "Groups")]
    #[case("/apis/apps", "Group(\"apps\")")]
    #[case("/api/v1", "GroupVersion(\"\", \"v1\")")]
    #[case("/healthz", "Other")]
    fn reads_paths(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(object(path), expected);
    }

    #[rstest]
    #[case("a%3Ab", "a:b")]
    #[case("100%", "100%")]
    #[case("%zz", "%zz")]
    fn decodes(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(decode(text), expected);
    }
}
