//! `--seldon`: what is installed, found or fetched before anything starts.

use harness::clusters::{Cache, Onlooker};
use harness::seldon::{Release, Seldon, SeldonError, SeldonSource};

use crate::options::{ClusterOption, Failure, SeldonOptions};

/// The release whose image names an embedded cluster knows.
const STOOD_IN: Release = Release::V2_9_1;

/// What makes no sense on these clusters.
pub(crate) fn check(options: &SeldonOptions, clusters: &[ClusterOption]) -> Result<(), Failure> {
    let source = options.source()?;
    if !clusters.contains(&ClusterOption::Embedded) {
        return Ok(());
    }
    match &source {
        SeldonSource::Release(release) if *release != STOOD_IN => Err(Failure::usage(format!(
            "an embedded cluster has no images of Seldon {}: it runs stand-ins under the names of {}'s; use --seldon \
             {0} on a cluster that pulls images",
            release.version(),
            STOOD_IN.version()
        ))),
        SeldonSource::Release(_) | SeldonSource::Charts(_) if !options.seldon_image.is_empty() => {
            let why = "an embedded cluster pulls no images: use --seldon-image on a cluster that does";
            Err(Failure::usage(why))
        }
        SeldonSource::StandIn(_) | SeldonSource::Release(_) | SeldonSource::Charts(_) => Ok(()),
    }
}

/// Finds or fetches it.
pub(crate) fn provide(
    options: &SeldonOptions,
    cache: &Cache,
    onlooker: &Onlooker<'_>,
) -> Result<Seldon, Failure> {
    let provided = Seldon::provide(&options.source()?, &options.seldon_image, cache, onlooker);
    provided.map_err(|error| match error {
        SeldonError::NoChart { .. } | SeldonError::ImagesOfStandIns => Failure::usage(error),
        _ => Failure::machine(error),
    })
}
