//! `diagnose`: what is wrong with a mesh that somebody runs. Nothing is changed there.

use harness::clusters::Cache;
use harness::given::{Answer, Probes, Question, diagnose};
use reports::ExitCode;

use crate::given_command::{connect, runtime};
use crate::options::{DiagnoseOptions, Failure};
use crate::screen::say;

/// Below the cache directory: what was looked at last.
const DIAGNOSES: &str = "diagnoses";

/// Looks and says; 0 when nothing is wrong, 1 when a cause is named, 3 when it could not be seen.
pub(crate) fn run(options: DiagnoseOptions) -> Result<ExitCode, Failure> {
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    let answer = runtime()?.block_on(async {
        let question = Question {
            cluster: connect(&options.at).await?,
            namespace: options.namespace,
            model: options.model,
            profile: options.cni.map(Into::into),
            probes: if options.allow_exec { Probes::Allowed } else { Probes::Forbidden },
            directory: cache.directory().join(DIAGNOSES),
        };
        diagnose(question).await.map_err(|error| Failure::machine(format!("{error:#}")))
    })?;
    Ok(show(&answer))
}

fn show(answer: &Answer) -> ExitCode {
    let line = |word: &str, text: &str| say(format!("{word:<10} {text}"));
    line("mesh", &answer.mesh);
    if let Some(cause) = &answer.cause {
        line("cause", &cause.sentence);
        cause.evidence.iter().for_each(|evidence| line("evidence", evidence));
        cause.ruled_out.iter().for_each(|other| line("not", other));
        line("owner", &cause.owner);
        line("fix", &cause.fix);
    }
    answer.complaints.iter().for_each(|complaint| line("complaint", complaint));
    answer.unseen.iter().for_each(|unseen| line("unseen", unseen));
    match (&answer.cause, answer.complaints.as_slice()) {
        (Some(_), _) => ExitCode::SomethingFailed,
        (None, []) => {
            say("nothing wrong was seen");
            ExitCode::AllPassed
        }
        (None, _) => {
            say("what is wrong could not be seen from here");
            ExitCode::Inconclusive
        }
    }
}
