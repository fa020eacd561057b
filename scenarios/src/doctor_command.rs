//! `doctor`.

use harness::clusters::{Cache, State, examine};
use reports::ExitCode;

use crate::options::Failure;
use crate::screen::say;

/// Prints each need, and how it stands; fails when one is missing that no run can fetch.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    say(format!("cache: {}", cache.directory().display()));
    let mut code = ExitCode::AllPassed;
    for finding in examine(&cache) {
        let (word, text) = match &finding.state {
            State::Present(text) => ("ok", text),
            State::OnDemand(text) => ("later", text),
            // An embedded cluster does without.
            State::Absent(text) => ("absent", text),
            State::Missing(text) => {
                code = ExitCode::Inconclusive;
                ("MISSING", text)
            }
        };
        say(format!("{word:<8} {:<16} {text}", finding.need));
    }
    Ok(code)
}
