//! `doctor`.

use harness::clusters::{Cache, State, examine};
use reports::ExitCode;

use crate::options::Failure;

/// Prints each need, and how it stands; fails when one is missing that no run can fetch.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    println!("cache: {}", cache.directory().display());
    let mut code = ExitCode::AllPassed;
    for finding in examine(&cache) {
        let (word, text) = match &finding.state {
            State::Present(text) => ("ok", text),
            State::OnDemand(text) => ("later", text),
            State::Missing(text) => {
                code = ExitCode::Inconclusive;
                ("MISSING", text)
            }
        };
        println!("{word:<8} {:<16} {text}", finding.need);
    }
    Ok(code)
}
