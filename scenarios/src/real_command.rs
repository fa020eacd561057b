//! Clusters that this program starts with programs of others: used by `run`, brought `up`, rehearsed with `--dry-run`,
//! and swept up.

use std::path::Path;
use std::sync::Arc;

use harness::clusters::{
    Cache, Home, Plan, RealCluster, RealError, RealRequest, Stamp, Swept, plans, provision, real_clusters,
    sweep, transcript, write_images,
};
use harness::given::Foothold;
use harness::images;
use harness::mesh::rehearse;
use harness::seldon::SeldonSource;
use harness::{Pace, Profile, Topology};
use reports::ExitCode;
use tokio_util::sync::CancellationToken;

use crate::given_command;
use crate::kubernetes_command::own_executable;
use crate::options::{ClusterOption, Failure, MirrorAction, RunOptions, UpOptions};
use crate::real_options::{ImagesOption, RealOptions, archive, images_lock, loaded};
use crate::screen::{remark, say};

/// What runs call their cluster.
pub(crate) const NAME: &str = "conformance";

fn failed(error: RealError) -> Failure {
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
    let Some(request) = options.real.request(cluster, NAME, network, &options.seldon.seldon, cache)? else {
        return Err(Failure::usage(format!("{} is started otherwise", cluster.word())));
    };
    make_images(&options.real, &options.seldon.seldon, options.pace.into(), cache)?;
    let real = start(&request, &options.real, cache, stop)?;
    let foothold = given_command::take_ours(&real, options, cache, stop)?;
    Ok((foothold, real))
}

/// Writes the archive of our own images, which a plan then loads.
fn make_images(
    options: &RealOptions,
    seldon: &SeldonSource,
    pace: Pace,
    cache: &Cache,
) -> Result<(), Failure> {
    if options.images == ImagesOption::Present {
        return Ok(());
    }
    let tell = |line: &str| remark(line);
    let programs = provision(cache, &tell).map_err(Failure::machine)?;
    let own = match own_executable(&tell) {
        Some(own) => own,
        None => std::env::current_exe().map_err(Failure::machine)?,
    };
    tell("making images of the provisioned programs");
    // Another run may be about to write them too.
    let _guard = cache.lock(|| tell("waiting for another run")).map_err(Failure::machine)?;
    let mut table = images::table(&programs, pace);
    table.retain(|image| loaded(seldon).contains(&image.reference.as_str()));
    write_images(&table, &own, &archive(cache)).map_err(Failure::machine)
}

/// Lets go of a run's cluster.
pub(crate) fn end(real: RealCluster) -> Result<(), Failure> {
    real.stop().map_err(failed)
}

/// `run --dry-run`.
pub(crate) fn rehearse_run(options: &RunOptions, cache: &Cache) -> Result<ExitCode, Failure> {
    if options.seldon.seldon != SeldonSource::StandIn {
        return Err(Failure::usage(
            "--dry-run shows what is applied for the stand-ins; leave out --seldon, or run `helm template` on the charts",
        ));
    }
    let selection = &options.selection;
    let networks: Vec<Profile> = match selection.cni.is_empty() {
        true => vec![Profile::Flannel, Profile::Calico],
        false => selection.cni.iter().map(|&cni| cni.into()).collect(),
    };
    let topologies: Vec<Topology> = match selection.topology.is_empty() {
        true => Topology::ALL.to_vec(),
        false => selection.topology.iter().map(|&layout| layout.into()).collect(),
    };
    for &cluster in &options.cluster {
        for &network in &networks {
            let Some(request) =
                options.real.request(cluster, NAME, network, &options.seldon.seldon, cache)?
            else {
                continue;
            };
            for &topology in &topologies {
                rehearsal(&request, &options.real, Some(topology), options.pace.into(), cache)?;
            }
        }
    }
    Ok(ExitCode::AllPassed)
}

/// `cluster up --dry-run`.
pub(crate) fn rehearse_up(options: &UpOptions, cache: &Cache) -> Result<ExitCode, Failure> {
    if let Some(request) = options.real.request(
        options.cluster,
        &options.name,
        options.cni.into(),
        &options.seldon.seldon,
        cache,
    )? {
        rehearsal(&request, &options.real.outliving(), options.mesh.topology(), options.pace.into(), cache)?;
    }
    Ok(ExitCode::AllPassed)
}

fn rehearsal(
    request: &RealRequest,
    options: &RealOptions,
    topology: Option<Topology>,
    pace: Pace,
    cache: &Cache,
) -> Result<(), Failure> {
    let home = Home::of(&real_clusters(cache), &request.name);
    let plans = plans(request, &home, &Stamp::unknown(options.lease().idle())).map_err(failed)?;
    let with = topology.map_or(String::new(), |topology| format!(", {topology}"));
    say(format!("#### {} cluster {} ({}{with})\n", request.provider, request.name, request.network));
    say(format!("export KUBECONFIG={}\n", plans.kubeconfig.display()));
    say(transcript(&plans.up));
    if let Some(topology) = topology {
        let mesh = rehearse(topology, pace, options.limit())
            .map_err(|error| Failure::machine(format!("{error:#}")))?;
        say(transcript(&mesh));
    }
    say("#### and at the end\n");
    say(transcript(&plans.down));
    Ok(())
}

/// `cluster up` of a cluster that stays until it has been idle for too long.
pub(crate) fn up(options: &UpOptions, request: &RealRequest, cache: &Cache) -> Result<ExitCode, Failure> {
    if options.mesh.topology().is_some() {
        return Err(Failure::usage(format!(
            "a {} cluster comes up empty: say --mesh none; `run --cluster {}` installs what its cases need",
            request.provider,
            options.cluster.word()
        )));
    }
    make_images(&options.real, &options.seldon.seldon, options.pace.into(), cache)?;
    let stop = crate::run_command::stop_on_interrupt()?;
    let cluster = start(request, &options.real.outliving(), cache, &stop)?;
    say(format!("cluster {} is up ({} {})", request.name, request.provider, request.network));
    say(format!("  export KUBECONFIG={}", cluster.kubeconfig().display()));
    say(format!("  seldon-conformance cluster gc {}", request.name));
    cluster.stop().map_err(failed)?;
    Ok(ExitCode::AllPassed)
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
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (plan, dry_run) = match action {
        MirrorAction::Pull { directory, image, dry_run } => {
            (harness::clusters::pull(&absolute(&directory), &lock, &image), dry_run)
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
        false => carry_out(&plan),
    }
}

fn carry_out(plan: &Plan) -> Result<ExitCode, Failure> {
    let stop = crate::run_command::stop_on_interrupt()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::machine)?;
    runtime.block_on(plan.carry_out_alone(&stop, &|what| remark(what))).map_err(Failure::machine)?;
    Ok(ExitCode::AllPassed)
}
