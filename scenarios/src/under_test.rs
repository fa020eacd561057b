//! What the test programs run with.

use std::path::PathBuf;

use harness::Pace;
use harness::clusters::{Cache, Onlooker, provision, try_namespaces};
use harness::ground::Ground;
use harness::patience::Patience;
use harness::run::{Keep, Settings};
use harness::seldon::{ModelServer, Seldon};

/// Fast pace, clusters that end with their case, records in `records`; programs are fetched when they are missing.
///
/// # Errors
/// A machine without namespaces, a cache that cannot be used, or a patience that is no number.
pub fn settings_under_test(records: PathBuf) -> anyhow::Result<Settings> {
    let patience = Patience::from_environment(Pace::FAST)?;
    // Before minutes of fetching: nothing can run where there are no namespaces.
    try_namespaces().map_err(anyhow::Error::msg)?;
    let programs = provision(&Cache::from_environment()?, &Onlooker::patient(&|line| eprintln!("{line}")))?;
    let ground = Ground::Embedded(programs);
    let seldon = Seldon::StandIn(ModelServer::MlServer);
    Ok(Settings {
        ground,
        cluster: "embedded",
        seldon,
        pace: Pace::FAST,
        patience,
        records,
        keep: Keep::Never,
        shard: None,
    })
}
