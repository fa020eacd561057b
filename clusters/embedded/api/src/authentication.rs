//! Who is calling: the admin's token and the tokens of service accounts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::store::Store;

/// A caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) groups: Vec<String>,
}

impl User {
    /// The cluster's administrator.
    pub(crate) fn admin() -> User {
        let groups = ["system:masters", "system:authenticated"].map(str::to_owned).to_vec();
        User { name: "system:admin".to_owned(), uid: String::new(), groups }
    }

    /// Whoever shows no credentials. Such a caller may ask for the server's health and version.
    pub(crate) fn anonymous() -> User {
        let groups = vec!["system:unauthenticated".to_owned()];
        User { name: "system:anonymous".to_owned(), uid: String::new(), groups }
    }

    /// A service account.
    pub(crate) fn service_account(namespace: &str, name: &str, uid: &str) -> User {
        User {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            uid: uid.to_owned(),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
        }
    }

    /// Whether credentials were shown.
    pub(crate) fn is_known(&self) -> bool {
        self.name != "system:anonymous"
    }
}

/// Issues and checks tokens. They are JWTs signed with HMAC-SHA-256 under a key that lives as long as the server.
#[derive(Debug)]
pub(crate) struct Tokens {
    key: [u8; 32],
    pub(crate) admin: String,
}

/// What a service account's token is for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) account: &'a str,
    pub(crate) account_uid: &'a str,
    /// Name and uid of the pod it is bound to.
    pub(crate) pod: Option<(&'a str, &'a str)>,
    pub(crate) issuer: &'a str,
    pub(crate) audiences: Vec<String>,
    pub(crate) seconds: i64,
}

impl Tokens {
    /// A new key and a new admin token.
    pub(crate) fn new() -> Tokens {
        let random = || -> [u8; 32] { std::array::from_fn(|_| rand::random()) };
        Tokens { key: random(), admin: format!("admin.{}", URL_SAFE_NO_PAD.encode(random())) }
    }

    /// Issues a token.
    pub(crate) fn issue(&self, claims: &Claims<'_>) -> String {
        let now = jiff::Timestamp::now().as_second();
        let Claims { namespace, account, account_uid, .. } = claims;
        let mut bound =
            json!({"namespace": namespace, "serviceaccount": {"name": account, "uid": account_uid}});
        if let Some((name, uid)) = claims.pod {
            bound["pod"] = json!({"name": name, "uid": uid});
        }
        let payload = json!({
            "aud": claims.audiences, "exp": now + claims.seconds, "iat": now, "iss": claims.issuer,
            "jti": uuid::Uuid::new_v4().to_string(), "kubernetes.io": bound, "nbf": now,
            "sub": format!("system:serviceaccount:{namespace}:{account}"),
        });
        let header = json!({"alg": "HS256", "typ": "JWT"});
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&payload));
        let signature = URL_SAFE_NO_PAD.encode(hmac(&self.key, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The caller behind a bearer token; `None` when it is not ours, has expired, or its account or pod is gone.
    pub(crate) fn user(&self, token: &str, store: &Store) -> Option<User> {
        if token == self.admin {
            return Some(User::admin());
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        if signature != hmac(&self.key, signed.as_bytes()) {
            return None;
        }
        let payload = URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?;
        let payload: Value = serde_json::from_slice(&payload).ok()?;
        if payload["exp"].as_i64()? <= jiff::Timestamp::now().as_second() {
            return None;
        }
        let bound = &payload["kubernetes.io"];
        let namespace = bound["namespace"].as_str()?;
        let (account, uid) =
            (bound["serviceaccount"]["name"].as_str()?, bound["serviceaccount"]["uid"].as_str()?);
        let same = |shelf: &str, name: &str, uid: &str| {
            store.get(shelf, namespace, name).is_some_and(|found| crate::object::uid(&found.value) == uid)
        };
        if !uid.is_empty() && !same("/serviceaccounts", account, uid) {
            return None;
        }
        if let Some(pod) = bound.get("pod")
            && !same("/pods", pod["name"].as_str()?, pod["uid"].as_str()?)
        {
            return None;
        }
        Some(User::service_account(namespace, account, uid))
    }

    /// The caller behind a request's headers: `Ok` with [`User::anonymous`] without credentials, `Err` with bad ones.
    pub(crate) fn authenticate(&self, headers: &HeaderMap, store: &Store) -> Result<User, ()> {
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer =
            bearer.and_then(|text| text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("bearer ")));
        let token = bearer.map(str::to_owned).or_else(|| protocol_token(headers));
        match token {
            None if headers.contains_key(AUTHORIZATION) => Err(()),
            None => Ok(User::anonymous()),
            Some(token) => self.user(token.trim(), store).ok_or(()),
        }
    }
}

/// Browsers cannot send `Authorization` with a WebSocket: the real server also takes the token from a subprotocol.
fn protocol_token(headers: &HeaderMap) -> Option<String> {
    let protocols = headers.get(http::header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let encoded = protocols
        .split(',')
        .find_map(|name| name.trim().strip_prefix("base64url.bearer.authorization.k8s.io."))?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

/// HMAC-SHA-256 (RFC 2104) under a key shorter than a block.
fn hmac(key: &[u8; 32], message: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 64];
    block[..32].copy_from_slice(key);
    let keyed = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(keyed(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(keyed(0x5c)).chain_update(inner).finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims<'static> {
        Claims {
            namespace: "n",
            account: "a",
            issuer: "i",
            audiences: vec!["i".to_owned()],
            seconds: 60,
            ..Claims::default()
        }
    }

    #[test]
    fn a_token_names_its_account() {
        let (tokens, store) = (Tokens::new(), Store::new(8));
        let user = tokens.user(&tokens.issue(&claims()), &store).unwrap();
        assert_eq!(user.name, "system:serviceaccount:n:a");
        assert_eq!(user.groups[1], "system:serviceaccounts:n");
    }

    #[test]
    fn foreign_expired_and_changed_tokens_are_refused() {
        let (tokens, store) = (Tokens::new(), Store::new(8));
        assert_eq!(Tokens::new().user(&tokens.issue(&claims()), &store), None);
        assert_eq!(tokens.user(&tokens.issue(&Claims { seconds: -1, ..claims() }), &store), None);
        assert_eq!(tokens.user(&tokens.issue(&Claims { account_uid: "gone", ..claims() }), &store), None);
        assert_eq!(tokens.user("x", &store), None);
    }

    #[test]
    fn hmac_agrees_with_rfc_4231() {
        let mut key = [0u8; 32];
        key[..4].copy_from_slice(b"Jefe");
        let digest: String =
            hmac(&key, b"what do ya want for nothing?").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
