//! Which Seldon is installed, and from where: the stand-ins' own objects, or Seldon's four charts through helm.
//!
//! What a chart is given (`values`) and what is asked of helm (`release`) are functions without effects; `install` and
//! `uninstall` carry them out on a world's cluster.

mod arrange;
mod charts;
mod image;
mod install;
mod model_server;
mod rehearsal;
mod release;
mod uninstall;
mod values;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clusters::Builtin;

use arrange::PROGRAM as ARRANGER;
pub use charts::{Charts, SeldonError, locked};
pub use image::{Component, ImageOverride};
pub use model_server::ModelServer;
pub use rehearsal::Reached;
pub(crate) use rehearsal::rehearse;
pub use release::{Chart, Installation, Plan, Step};
pub use seldon_crds::defaults::controller::Reach;
pub use uninstall::{Removal, uninstall, uninstall_steps};
pub use values::{Layout, runtime_values, servers_values, setup_values};

/// The program that arranges what helm makes. A binary that installs charts hands it to [`clusters::intercept`].
pub const BUILTIN: Builtin = Builtin { name: ARRANGER, main: arrange::main };

/// Where Seldon comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeldonSource {
    /// This house's stand-ins, by their manifests, and what they load models into.
    StandIn(ModelServer),
    /// A release, from Seldon's chart repository.
    Release(Release),
    /// Chart directories below this one, called as in Seldon's repository.
    Charts(PathBuf),
}

/// A release of Seldon Core 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Release {
    /// 2.9.0, whose controller cannot watch a list of namespaces.
    V2_9_0,
    /// 2.9.1, which the stand-ins stand in for.
    V2_9_1,
    /// 2.10.2.
    V2_10_2,
}

/// What names no source of Seldon.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no Seldon: say standin, 2.9.1, 2.9.0, 2.10.2 or charts:DIR")]
pub struct UnknownSeldon(String);

impl Release {
    /// All, the one that is stood in for first.
    pub const ALL: [Release; 3] = [Release::V2_9_1, Release::V2_9_0, Release::V2_10_2];

    /// As charts and images are tagged.
    pub fn version(self) -> &'static str {
        match self {
            Release::V2_9_0 => "2.9.0",
            Release::V2_9_1 => "2.9.1",
            Release::V2_10_2 => "2.10.2",
        }
    }

    /// Whether its controller can watch some namespaces besides its own.
    pub fn watches_lists(self) -> bool {
        self != Release::V2_9_0
    }
}

impl FromStr for SeldonSource {
    type Err = UnknownSeldon;

    fn from_str(text: &str) -> Result<SeldonSource, UnknownSeldon> {
        if text == "standin" {
            return Ok(SeldonSource::StandIn(ModelServer::MlServer));
        }
        if let Some(directory) = text.strip_prefix("charts:").filter(|directory| !directory.is_empty()) {
            return Ok(SeldonSource::Charts(directory.into()));
        }
        let release = Release::ALL.into_iter().find(|release| release.version() == text);
        release.map(SeldonSource::Release).ok_or_else(|| UnknownSeldon(text.to_owned()))
    }
}

impl fmt::Display for SeldonSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SeldonSource::StandIn(_) => formatter.write_str("standin"),
            SeldonSource::Release(release) => formatter.write_str(release.version()),
            SeldonSource::Charts(directory) => write!(formatter, "charts:{}", directory.display()),
        }
    }
}

impl SeldonSource {
    /// What models are loaded into: charts know nothing but MLServer.
    pub fn model_server(&self) -> ModelServer {
        match self {
            SeldonSource::StandIn(server) => *server,
            SeldonSource::Release(_) | SeldonSource::Charts(_) => ModelServer::MlServer,
        }
    }
}

/// Seldon as a run installs it.
#[derive(Debug, Clone)]
pub enum Seldon {
    /// The stand-ins' manifests, applied one by one, and what they load models into.
    StandIn(ModelServer),
    /// Charts.
    Charts(Box<Charts>),
}

impl Seldon {
    /// As [`SeldonSource::model_server`].
    pub fn model_server(&self) -> ModelServer {
        match self {
            Seldon::StandIn(server) => *server,
            Seldon::Charts(_) => ModelServer::MlServer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::stand_in("standin", SeldonSource::StandIn(ModelServer::MlServer))]
    #[case::release("2.9.0", SeldonSource::Release(Release::V2_9_0))]
    #[case::newer("2.10.2", SeldonSource::Release(Release::V2_10_2))]
    #[case::directory("charts:a/b", SeldonSource::Charts("a/b".into()))]
    fn sources_are_read_and_written_alike(#[case] text: &str, #[case] source: SeldonSource) {
        assert_eq!(text.parse(), Ok(source.clone()));
        assert_eq!(source.to_string(), text);
    }

    #[rstest]
    #[case::other_release("2.8.0")]
    #[case::no_directory("charts:")]
    #[case::nothing("")]
    fn anything_else_is_answered_with_what_there_is(#[case] text: &str) {
        let error = text.parse::<SeldonSource>().unwrap_err().to_string();
        assert_eq!(error, format!("{text:?} is no Seldon: say standin, 2.9.1, 2.9.0, 2.10.2 or charts:DIR"));
    }
}
