//! What an API server has said that its user may not do, noted whoever asked: some let it pass, and wait in vain for
//! what they may not see.

use std::sync::{Arc, Mutex, PoisonError};

use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use kube::client::DynBody;
use kube::core::Status;
use tower::BoxError;

/// The answers, in the API server's words, each once. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<Vec<String>>>);

impl Refusals {
    /// Those since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes an answer, if it is one, and passes it on as it came.
    pub(crate) async fn heed(
        self,
        answer: Response<Box<DynBody>>,
    ) -> Result<Response<Box<DynBody>>, BoxError> {
        if answer.status() != StatusCode::FORBIDDEN {
            return Ok(answer);
        }
        let (head, body) = answer.into_parts();
        let whole = body.collect().await?.to_bytes();
        if let Ok(status) = serde_json::from_slice::<Status>(&whole)
            && is_of_rights(&status.message)
        {
            let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if !noted.contains(&status.message) {
                noted.push(status.message);
            }
        }
        let body: Box<DynBody> = Box::new(Full::new(whole).map_err(|never| match never {}));
        Ok(Response::from_parts(head, body))
    }
}

/// Admission forbids, too: what no right would help against.
fn is_of_rights(message: &str) -> bool {
    (message.contains("is forbidden: User ") && message.contains(" cannot "))
        || message.contains("is attempting to grant RBAC permissions not currently held")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn answer(code: u16, message: &str) -> Response<Box<DynBody>> {
        let whole = serde_json::to_vec(&Status::failure(message, "Forbidden").with_code(code)).unwrap();
        let body: Box<DynBody> = Box::new(Full::from(whole).map_err(|never| match never {}));
        Response::builder().status(code).body(body).unwrap()
    }

    #[rstest]
    #[case::rights(
        403,
        "pods is forbidden: User \"guest\" cannot list resource \"pods\" in API group \"\" in the namespace \"ml\"",
        true
    )]
    #[case::escalation(
        403,
        "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"guest\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\"]}",
        true
    )]
    #[case::quota(
        403,
        "pods \"p\" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=1, limited: pods=1",
        false
    )]
    #[case::security(
        403,
        "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
        false
    )]
    #[case::ending(
        403,
        "configmaps \"c\" is forbidden: unable to create new content in namespace ml because it is being terminated",
        false
    )]
    #[case::absent(404, "User \"guest\" is forbidden: User cannot", false)]
    #[tokio::test]
    async fn what_the_user_may_not_is_noted_once_and_the_answer_passes(
        #[case] code: u16,
        #[case] message: &str,
        #[case] noted: bool,
    ) {
        let refusals = Refusals::default();
        for _ in 0..2 {
            let passed = refusals.clone().heed(answer(code, message)).await.unwrap();
            assert_eq!(passed.status().as_u16(), code);
            let whole = passed.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(serde_json::from_slice::<Status>(&whole).unwrap().message, message);
        }
        let expected: &[&str] = if noted { &[message] } else { &[] };
        assert_eq!(refusals.take(), expected);
        assert_eq!(refusals.take(), [""; 0]);
    }
}
