//! `provision`: programs into the cache, before a run asks for them.

use std::cell::Cell;

use harness::Profile;
use harness::clusters::{
    Cache, Helm, Onlooker, provision, provision_kubernetes, rehearse_provisioning,
    rehearse_provisioning_kubernetes, transcript,
};
use reports::ExitCode;

use crate::kubernetes_command::with_calico;
use crate::options::{Failure, ProvisionOptions, Provisions};
use crate::run_command::stop_on_interrupt;
use crate::screen::{remark, say};

/// Fetches and builds what is missing, or says how that would be done. Needs no root.
pub(crate) fn run(options: &ProvisionOptions) -> Result<ExitCode, Failure> {
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    let network = Profile::from(options.cni);
    if options.dry_run {
        for part in parts(&options.what) {
            say(format!("#### {}, hashes checked\n\n{}", part.title(), part.rehearse(network, &cache)?));
        }
        return Ok(ExitCode::AllPassed);
    }
    let stop = stop_on_interrupt()?;
    let wish = || stop.is_cancelled();
    for part in parts(&options.what) {
        let is_told = Cell::new(false);
        let tell = |line: &str| {
            is_told.set(true);
            remark(line);
        };
        part.provision(network, &cache, &Onlooker::new(&tell, &wish))?;
        // Whatever is fetched or built is told of.
        let came = if is_told.get() { "all there now" } else { "all there already" };
        say(format!("{}: {came}", part.title()));
    }
    say(format!("cache: {}", cache.directory().display()));
    Ok(ExitCode::AllPassed)
}

/// What is provisioned in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Kubernetes,
    Embedded,
    Helm,
}

/// Each part once; first that for which the machine is most likely to lack something.
fn parts(what: &[Provisions]) -> Vec<Part> {
    let wanted = |part: &Part| match part {
        Part::Kubernetes => what.contains(&Provisions::Kubernetes),
        Part::Embedded => what.iter().any(|one| *one != Provisions::Helm),
        Part::Helm => what.contains(&Provisions::Helm),
    };
    [Part::Kubernetes, Part::Embedded, Part::Helm].into_iter().filter(wanted).collect()
}

impl Part {
    fn title(self) -> &'static str {
        match self {
            Part::Kubernetes => "programs of a real Kubernetes",
            Part::Embedded => "programs of embedded clusters and of images",
            Part::Helm => "helm",
        }
    }

    fn rehearse(self, network: Profile, cache: &Cache) -> Result<String, Failure> {
        match self {
            Part::Kubernetes => rehearse_provisioning_kubernetes(cache, with_calico(network)),
            Part::Embedded => rehearse_provisioning(cache),
            Part::Helm => {
                let (_, plan) = Helm::unprovided(cache).map_err(Failure::machine)?;
                return Ok(transcript(&plan));
            }
        }
        .map_err(Failure::machine)
    }

    fn provision(self, network: Profile, cache: &Cache, onlooker: &Onlooker<'_>) -> Result<(), Failure> {
        match self {
            Part::Kubernetes => provision_kubernetes(cache, with_calico(network), onlooker)
                .map(drop)
                .map_err(Failure::machine),
            Part::Embedded => provision(cache, onlooker).map(drop).map_err(Failure::machine),
            Part::Helm => Helm::provide(cache, onlooker).map(drop).map_err(Failure::machine),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::embedded(&[Provisions::Embedded], &[Part::Embedded])]
    #[case::kubernetes_runs_what_embedded_clusters_do(&[Provisions::Kubernetes], &[Part::Kubernetes, Part::Embedded])]
    #[case::helm_alone(&[Provisions::Helm], &[Part::Helm])]
    #[case::each_once(
        &[Provisions::Helm, Provisions::Embedded, Provisions::Kubernetes, Provisions::Helm],
        &[Part::Kubernetes, Part::Embedded, Part::Helm]
    )]
    fn what_is_asked_for(#[case] what: &[Provisions], #[case] made: &[Part]) {
        assert_eq!(parts(what), made);
    }
}
