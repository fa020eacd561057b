//! Pods in a namespace that is a moment old.

use std::time::Duration;

use backon::{ConstantBuilder, Retryable};

/// Between two tries.
const GLANCE: Duration = Duration::from_millis(50);
/// After the first: ten seconds of them.
const TRIES: usize = 200;

/// Sends a request that may make a pod, and sends it again for as long as the namespace lacks the account that pods run
/// as. A controller gives it to every new namespace, and until then the API server turns pods away (admission plugin
/// ServiceAccount, Kubernetes 1.33).
///
/// # Errors
/// The API server's: this one after ten seconds, any other at once.
pub async fn once_accounted<T, Sent>(send: impl FnMut() -> Sent) -> kube::Result<T>
where
    Sent: Future<Output = kube::Result<T>>,
{
    let tries = ConstantBuilder::default().with_delay(GLANCE).with_max_times(TRIES);
    send.retry(tries).when(lacks_account).await
}

fn lacks_account(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    status.code == 403
        && status.message.contains("error looking up service account")
        && status.message.ends_with("serviceaccount \"default\" not found")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use rstest::rstest;

    const EARLY: &str = "pods \"looks-0\" is forbidden: error looking up service account images-1/default: \
                         serviceaccount \"default\" not found";

    fn refusal(code: u16, message: &str) -> kube::Error {
        kube::Error::Api(Box::new(Status::failure(message, "Forbidden").with_code(code)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_came_too_early_is_offered_again() {
        let mut refusals = 2;
        let made = once_accounted(|| {
            let answer = if refusals == 0 { Ok("made") } else { Err(refusal(403, EARLY)) };
            refusals -= 1;
            std::future::ready(answer)
        });
        assert_eq!(made.await.unwrap(), "made");
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_that_never_gets_an_account_is_given_up() {
        let began = tokio::time::Instant::now();
        let error =
            once_accounted(|| std::future::ready(Err::<(), _>(refusal(403, EARLY)))).await.unwrap_err();
        assert!(error.to_string().contains("service account images-1/default"), "{error}");
        assert_eq!(began.elapsed(), Duration::from_secs(10));
    }

    #[rstest]
    #[case::of_another_name(
        403,
        "pods \"x\" is forbidden: error looking up service account a/b: serviceaccount \"b\" not found"
    )]
    #[case::not_allowed(403, "pods \"x\" is forbidden: User \"guest\" cannot patch resource \"pods\"")]
    #[case::another_answer(404, EARLY)]
    #[tokio::test(start_paused = true)]
    async fn any_other_refusal_is_told_at_once(#[case] code: u16, #[case] message: &str) {
        let mut sent = 0;
        let answer = once_accounted(|| {
            sent += 1;
            std::future::ready(Err::<(), _>(refusal(code, message)))
        });
        assert!(answer.await.is_err());
        assert_eq!(sent, 1);
    }
}
