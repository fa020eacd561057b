//! Clusters that this program starts with programs of others: used by `run`, brought `up`, and swept up.

use std::path::Path;
use std::sync::Arc;

use harness::clusters::{
    Cache, Helm, HelmError, ImageSource, Listed, Onlooker, Plan, RealCluster, RealError, RealRequest,
    ReleaseLock, Swept, Usage, list_real, real_clusters, sweep, transcript,
};
use harness::given::Foothold;
use harness::seldon::{SeldonSource, locked};
use harness::{Pace, Profile};
use reports::ExitCode;
use tokio_util::sync::CancellationToken;

use crate::options::{ClusterOption, Failure, MirrorAction, RunOptions, UpOptions};
use crate::real_options::{ImagesOption, RealOptions, images_lock, unmade};
use crate::screen::{remark, say};
use crate::{cluster_command, given_command, images_command};

/// What runs call their cluster: there is one for each network, and each may be kept.
pub(crate) fn name(network: Profile) -> String {
    format!("conformance-{network}")
}

pub(crate) fn failed(error: RealError) -> Failure {
    match error {
        RealError::Asked(_) | RealError::InUse(_) | RealError::Kept(_) | RealError::Different { .. } => {
            Failure::usage(error)
        }
        RealError::Ledger { .. } | RealError::Plan(_) | RealError::Left { .. } => Failure::machine(error),
    }
}

/// Starts the cluster, or takes an idle one.
pub(crate) fn start(
    request: &RealRequest,
    options: &RealOptions,
    cache: &Cache,
    stop: &CancellationToken,
) -> Result<RealCluster, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::machine)?;
    let directory = real_clusters(cache);
    remark(format!("starting {} cluster {}", request.provider, request.name));
    let started =
        RealCluster::start(request, options.lease(), &directory, stop, &|what| remark(format!("  {what}")));
    runtime.block_on(started).map_err(failed)
}

/// Starts the cluster that a run asks for, and takes it as a given one on which nothing is forbidden.
pub(crate) fn take(
    cluster: ClusterOption,
    network: Profile,
    options: &RunOptions,
    cache: &Cache,
    stop: &CancellationToken,
) -> Result<(Arc<Foothold>, RealCluster), Failure> {
    let seldon = options.seldon.source()?;
    let Some(request) = options.real.request(cluster, &name(network), network, &options.seldon, cache)?
    else {
        return Err(Failure::usage(format!("{} is started otherwise", cluster.word())));
    };
    let request = with_images(request, &options.real, &seldon, options.pace.into(), cache, stop)?;
    let real = start(&request, &options.real, cache, stop)?;
    let foothold = given_command::take_ours(&real, options, cache, stop)?;
    Ok((foothold, real))
}

/// The request with the archive of our own images, which is written where it is not there.
fn with_images(
    mut request: RealRequest,
    options: &RealOptions,
    seldon: &SeldonSource,
    pace: Pace,
    cache: &Cache,
    stop: &CancellationToken,
) -> Result<RealRequest, Failure> {
    if options.images == ImagesOption::Present {
        return Ok(request);
    }
    let kept = images_command::kept(seldon, pace, cache, stop)?;
    for source in &mut request.images {
        if let ImageSource::Archive { file, .. } = source
            && *file == unmade(cache)
        {
            file.clone_from(&kept);
        }
    }
    Ok(request)
}

/// Lets go of a run's cluster.
pub(crate) fn end(real: RealCluster) -> Result<(), Failure> {
    real.stop().map_err(failed)
}

/// # Errors
/// That a mesh is asked for, too.
pub(crate) fn comes_up_empty(options: &UpOptions, request: &RealRequest) -> Result<(), Failure> {
    if options.mesh.topology().is_none() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "a {} cluster comes up empty: say --mesh none; `run --cluster {}` installs what its cases need",
        request.provider,
        options.cluster.word()
    )))
}

/// `cluster up` of a cluster that stays until it has been idle for too long.
pub(crate) fn up(options: &UpOptions, request: &RealRequest, cache: &Cache) -> Result<ExitCode, Failure> {
    comes_up_empty(options, request)?;
    let (real, seldon) = (&options.real, &options.seldon.source()?);
    let stop = crate::run_command::stop_on_interrupt()?;
    let request = with_images(request.clone(), real, seldon, options.pace.into(), cache, &stop)?;
    let cluster = start(&request, &real.outliving(), cache, &stop)?;
    say(format!("cluster {} is up ({} {})", request.name, request.provider, request.network));
    say(format!("  export KUBECONFIG={}", cluster.kubeconfig().display()));
    say(format!("  seldon-conformance cluster down {}", request.name));
    cluster.stop().map_err(failed)?;
    Ok(ExitCode::AllPassed)
}

/// Clusters that programs of others have started, as `cluster list` shows them.
pub(crate) fn listed(cache: &Cache) -> Result<Vec<String>, Failure> {
    let all = list_real(&real_clusters(cache), &|what| remark(what)).map_err(Failure::machine)?;
    let line = |one: &Listed| {
        let state = match one.usage {
            Usage::InUse => "in use".to_owned(),
            Usage::ComingUp => "coming up".to_owned(),
            Usage::IdleUntil(seconds) => format!("idle until {}", clock(seconds)),
            Usage::Abandoned => "nobody's: `cluster gc`".to_owned(),
        };
        let network = one.network.map_or("?".to_owned(), |network| network.to_string());
        let server = one.server.as_deref().unwrap_or("?");
        cluster_command::listing(
            one.name.as_str(),
            &one.provider.to_string(),
            &network,
            &state,
            server,
            &one.kubeconfig,
        )
    };
    Ok(all.iter().map(line).collect())
}

/// A time as it is read.
fn clock(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or("further notice".to_owned(), |time| time.strftime("%Y-%m-%dT%H:%MZ").to_string())
}

/// `cluster down` of a cluster that no process of ours holds.
pub(crate) fn down(name: &str, cache: &Cache) -> Result<ExitCode, Failure> {
    let named = [name.to_owned()];
    let swept = sweep(&real_clusters(cache), &named, &|what| remark(what)).map_err(Failure::machine)?;
    match swept.into_iter().next() {
        None => Err(Failure::usage(format!(
            "there is no cluster {name}; `seldon-conformance cluster list` shows those that there are"
        ))),
        Some((_, Swept::Gone)) => {
            cluster_command::is_down(name);
            Ok(ExitCode::AllPassed)
        }
        Some((_, Swept::InUse | Swept::Idle(_))) => Err(failed(RealError::InUse(name.to_owned()))),
        Some((_, Swept::Left(why))) => Err(Failure::machine(format!(
            "cluster {name} is not gone: {why}; `seldon-conformance cluster gc {name}` tries again"
        ))),
    }
}

/// `cluster gc`.
pub(crate) fn gc(names: &[String]) -> Result<ExitCode, Failure> {
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    let swept = sweep(&real_clusters(&cache), names, &|what| remark(what)).map_err(Failure::machine)?;
    let mut code = ExitCode::AllPassed;
    if swept.is_empty() {
        remark("there is no cluster to look at");
    }
    for (name, outcome) in swept {
        let words = match outcome {
            Swept::InUse => "is in use".to_owned(),
            Swept::Idle(left) => format!("is idle; it may be removed in {} minutes", left.div_ceil(60)),
            Swept::Gone => "is gone".to_owned(),
            Swept::Left(why) => {
                code = ExitCode::Inconclusive;
                format!("is left: {why}")
            }
        };
        say(format!("{name} {words}"));
    }
    Ok(code)
}

/// `mirror pull` and `mirror push`.
pub(crate) fn mirror(action: MirrorAction) -> Result<ExitCode, Failure> {
    let lock = images_lock()?;
    let stop = crate::run_command::stop_on_interrupt()?;
    let wish = || stop.is_cancelled();
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (plan, dry_run) = match action {
        MirrorAction::Pull { directory, seldon, image, dry_run } => {
            let releases = seldon.iter().map(mirrored).collect::<Result<Vec<_>, _>>()?;
            let (helm, mut plan) = helm_for(&releases, |cache| match dry_run {
                true => Helm::unprovided(cache),
                false => {
                    Ok((Helm::provide(cache, &Onlooker::new(&|line| remark(line), &wish))?, Plan::new()))
                }
            })?;
            let releases: Vec<(&ReleaseLock, &Helm)> =
                releases.iter().flat_map(|release| helm.as_ref().map(|helm| (release, helm))).collect();
            plan.extend(harness::clusters::pull(&absolute(&directory), &lock, &releases, &image));
            (plan, dry_run)
        }
        MirrorAction::Push { directory, registry, image, dry_run } => {
            (harness::clusters::push(&absolute(&directory), &registry, &lock, &image), dry_run)
        }
    };
    match dry_run {
        true => {
            say(transcript(&plan));
            Ok(ExitCode::AllPassed)
        }
        false => carry_out(&plan, &stop),
    }
}

/// What a mirror is to hold of `seldon`.
fn mirrored(seldon: &SeldonSource) -> Result<ReleaseLock, Failure> {
    match seldon {
        SeldonSource::Release(release) => locked(*release).map_err(Failure::usage),
        SeldonSource::StandIn(_) | SeldonSource::Charts(_) => Err(Failure::usage(format!(
            "a mirror holds releases, and {seldon} is none: say --seldon 2.9.1, or leave it out"
        ))),
    }
}

/// What fetches charts, where there are any to fetch, and how it comes here where it is not.
fn helm_for(
    releases: &[ReleaseLock],
    provide: impl FnOnce(&Cache) -> Result<(Helm, Plan), HelmError>,
) -> Result<(Option<Helm>, Plan), Failure> {
    if releases.is_empty() {
        return Ok((None, Plan::new()));
    }
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    let (helm, plan) = provide(&cache).map_err(Failure::machine)?;
    Ok((Some(helm), plan))
}

fn carry_out(plan: &Plan, stop: &CancellationToken) -> Result<ExitCode, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::machine)?;
    runtime.block_on(plan.carry_out_alone(stop, &|what| remark(what))).map_err(Failure::machine)?;
    Ok(ExitCode::AllPassed)
}
