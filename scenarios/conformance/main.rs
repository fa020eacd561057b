//! `cargo test --test conformance`: every case of the catalogue behind libtest's flags and filters.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use harness::clusters::intercept;
use harness::images::BUILTINS;
use harness::run::Settings;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use reports::{Verdict, failure_block};
use scenarios::{Case, Filters, cases, run_one, settings_under_test, usual_jobs};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    if let Some(code) = intercept(BUILTINS) {
        return code;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert_with(usual_jobs);
    let settings = match settings(&arguments) {
        Ok(settings) => settings,
        Err(missing) => {
            eprintln!("error: {missing:#}");
            return ExitCode::from(3);
        }
    };
    let all = match cases(&Filters::default()) {
        Ok(all) => all,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let trials = all.into_iter().map(|case| trial(case, settings.clone())).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// `None` when tests are only listed: then nothing is fetched.
fn settings(arguments: &Arguments) -> anyhow::Result<Option<Arc<Settings>>> {
    if arguments.list {
        return Ok(None);
    }
    let records = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("records");
    Ok(Some(Arc::new(settings_under_test(records)?)))
}

fn trial(case: Case, settings: Option<Arc<Settings>>) -> Trial {
    Trial::ignorable_test(case.full_name(), move || {
        let Some(settings) = &settings else { return Ok(Completion::ignored_with("only listed")) };
        let finished = run_one(&case, settings, &CancellationToken::new(), &|_| {})?;
        match finished.record.verdict {
            Some(Verdict::Passed) => Ok(Completion::Completed),
            Some(Verdict::Skipped | Verdict::KnownGap) => {
                Ok(Completion::ignored_with(finished.record.message.unwrap_or_default()))
            }
            Some(Verdict::Failed | Verdict::Inconclusive) | None => {
                Err(Failed::from(failure_block(&finished.record)))
            }
        }
    })
}
