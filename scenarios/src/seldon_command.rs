//! `--seldon`: what is installed, found or fetched before anything starts.

use std::path::Path;

use harness::clusters::Cache;
use harness::seldon::{Release, Seldon, SeldonError, SeldonSource};

use crate::options::{ClusterOption, Failure, SeldonOptions};
use crate::screen::remark;

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
    mirror: Option<&Path>,
    cache: &Cache,
) -> Result<Seldon, Failure> {
    let source = options.source()?;
    let provided = Seldon::provide(&source, &options.seldon_image, mirror, cache, &|line| remark(line));
    provided.map_err(failed)
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
