//! `--seldon`: what is installed, found or fetched before anything starts.

use std::path::Path;

use harness::clusters::{Cache, Onlooker};
use harness::seldon::{Release, Seldon, SeldonError, SeldonSource};

use crate::options::{ClusterOption, Failure, SeldonOptions};

/// The release whose image names clusters know that pull nothing.
const STOOD_IN: Release = Release::V2_9_1;

/// What makes no sense on these clusters.
pub(crate) fn check(options: &SeldonOptions, clusters: &[ClusterOption]) -> Result<(), Failure> {
    let source = options.source()?;
    let Some(cluster) = clusters.iter().find_map(|cluster| that_pulls_nothing(*cluster)) else {
        return Ok(());
    };
    match &source {
        SeldonSource::Release(release) if *release != STOOD_IN => Err(Failure::usage(format!(
            "{cluster} has no images of Seldon {}: it runs stand-ins under the names of {}'s; use --seldon {0} on a \
             cluster that pulls images",
            release.version(),
            STOOD_IN.version()
        ))),
        SeldonSource::Release(_) | SeldonSource::Charts(_) if !options.seldon_image.is_empty() => Err(
            Failure::usage(format!("{cluster} pulls no images: use --seldon-image on a cluster that does")),
        ),
        SeldonSource::StandIn(_) | SeldonSource::Release(_) | SeldonSource::Charts(_) => Ok(()),
    }
}

/// What a kind of clusters is called whose nodes have our images and reach no registry.
fn that_pulls_nothing(cluster: ClusterOption) -> Option<&'static str> {
    match cluster {
        ClusterOption::Embedded => Some("an embedded cluster"),
        ClusterOption::Kubernetes => Some("a kubernetes cluster of this machine's"),
        ClusterOption::K3d | ClusterOption::K3s | ClusterOption::Given => None,
    }
}

/// Finds or fetches it.
pub(crate) fn provide(
    options: &SeldonOptions,
    mirror: Option<&Path>,
    cache: &Cache,
    onlooker: &Onlooker<'_>,
) -> Result<Seldon, Failure> {
    Seldon::provide(&options.source()?, &options.seldon_image, mirror, cache, onlooker).map_err(failed)
}

/// Whose fault it is.
pub(crate) fn failed(error: SeldonError) -> Failure {
    match error {
        SeldonError::NoChart { .. } | SeldonError::NotMirrored { .. } | SeldonError::ImagesOfStandIns => {
            Failure::usage(error)
        }
        _ => Failure::machine(error),
    }
}
