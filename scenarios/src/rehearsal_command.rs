//! `--dry-run`: every command and every manifest, in order, from what would start and apply them; and nothing touched.

use std::path::{Path, PathBuf};

use harness::clusters::{
    Cache, Home, Plans, RealRequest, Stamp, image_comments, plans, real_clusters, rehearse_embedded,
    rehearse_provisioning, rehearse_provisioning_kubernetes, transcript, unprovisioned,
};
use harness::given::{rehearse_leaving, rehearse_looking, rehearse_taking};
use harness::mesh::{MeshTranscript, OwnImages, Rehearsal, Setting};
use harness::own_program::own_build;
use harness::patience::Patience;
use harness::play::rehearse_play;
use harness::run::request_of_case;
use harness::seldon::{Reached, Seldon, SeldonError, SeldonSource};
use harness::{Profile, Topology};
use reports::ExitCode;

use crate::options::{ClusterOption, Failure, RunOptions, SeldonOptions, UpOptions};
use crate::real_options::{ImagesOption, RealOptions};
use crate::screen::say;
use crate::{cluster_command, given_command, hold, images_command, kubernetes_command, real_command};

/// Where a run's records would be, when they are not told elsewhere.
const RECORDS: &str = "records/RUN";
/// Files of a case beside its record.
const CASE: &str = "CASE.helm";

/// What a cluster is, before a mesh is on it.
struct Stage {
    title: String,
    up: String,
    setting: Setting,
    reached: Reached,
    down: String,
}

/// `run --dry-run`.
pub(crate) fn run(options: &RunOptions, cache: &Cache) -> Result<ExitCode, Failure> {
    let selection = &options.selection;
    let networks: Vec<Profile> = match selection.cni.is_empty() {
        true => vec![Profile::Flannel, Profile::Calico],
        false => selection.cni.iter().map(|&cni| cni.into()).collect(),
    };
    let topologies: Vec<Topology> = match selection.topology.is_empty() {
        true => Topology::ALL.to_vec(),
        false => selection.topology.iter().map(|&layout| layout.into()).collect(),
    };
    let patience = Patience::from_environment(options.pace.into()).map_err(Failure::usage)?;
    let seldon = fetched(&options.seldon, options.real.mirror.as_deref(), cache)?;
    say_programs(&options.cluster, &networks, &options.real, cache)?;
    let records = options.reports.records.clone().unwrap_or_else(|| cache.directory().join(RECORDS));
    for &cluster in &options.cluster {
        for &network in &networks {
            let stage = stage(cluster, network, options, &records, cache)?;
            say(format!("#### {} ({network})\n\n{}", stage.title, stage.up));
            for &topology in &topologies {
                let rehearsal = Rehearsal {
                    topology,
                    seldon: &seldon,
                    setting: stage.setting,
                    reached: &stage.reached,
                    images: &match cluster {
                        ClusterOption::Given => options.given.images(),
                        _ => OwnImages::Imported,
                    },
                    directory: &records.join(CASE),
                    pace: options.pace.into(),
                    patience: match cluster.is_shared() {
                        false => patience,
                        true => patience.with_real_containers(),
                    },
                };
                let mesh = match rehearsal.transcript() {
                    Ok(mesh) => mesh,
                    // The other layout can be had.
                    Err(error) if error.is::<SeldonError>() => MeshTranscript {
                        up: format!("# its cases cannot be judged: {error:#}\n"),
                        down: String::new(),
                    },
                    Err(error) => return Err(unknown(error)),
                };
                say(format!("#### a mesh on it ({topology})\n\n{}", mesh.up));
                if !mesh.down.is_empty() {
                    say(format!("#### and when its case ends ({topology})\n\n{}", mesh.down));
                }
            }
            say(format!("#### and at the end\n\n{}", stage.down));
        }
    }
    Ok(ExitCode::AllPassed)
}

fn unknown(error: anyhow::Error) -> Failure {
    Failure::machine(format!("{error:#}"))
}

/// What is installed; how its charts are fetched is said.
fn fetched(options: &SeldonOptions, mirror: Option<&Path>, cache: &Cache) -> Result<Seldon, Failure> {
    let mirror = mirror.map(|mirror| std::path::absolute(mirror).unwrap_or_else(|_| mirror.to_owned()));
    let rehearsed = Seldon::rehearse(&options.source()?, &options.seldon_image, mirror.as_deref(), cache);
    let (seldon, plan) = rehearsed.map_err(Failure::usage)?;
    if !plan.steps().is_empty() {
        say(format!("#### Seldon {}\n\n{}", options.seldon, transcript(&plan)));
    }
    Ok(seldon)
}

/// What a run's cluster of this kind is.
fn stage(
    cluster: ClusterOption,
    network: Profile,
    options: &RunOptions,
    records: &Path,
    cache: &Cache,
) -> Result<Stage, Failure> {
    let pace = options.pace.into();
    let seldon = options.seldon.source()?;
    match cluster {
        ClusterOption::Embedded => {
            let programs = unprovisioned(cache).map_err(Failure::machine)?;
            let rehearsed = rehearse_embedded(
                request_of_case(network, pace, &programs, seldon.model_server()),
                &programs,
            );
            let rehearsed = rehearsed.map_err(unknown)?;
            Ok(Stage {
                title: "embedded cluster, one for each case".into(),
                up: rehearsed.up,
                setting: Setting::Alone,
                reached: Reached::Ours,
                down: rehearsed.down,
            })
        }
        ClusterOption::Kubernetes => {
            let rehearsed =
                kubernetes_command::rehearse(network, pace, seldon.model_server(), records, cache)?;
            let (taken, left) = shared(Path::new("LEDGERS"), kubernetes_command::CONTEXT)?;
            Ok(Stage {
                title: "kubernetes cluster, one for all cases of a network".into(),
                up: format!("{}\n{}\n{taken}", own_program(), rehearsed.up),
                setting: Setting::Shared,
                reached: Reached::Ours,
                down: format!("{left}\n{}", rehearsed.down),
            })
        }
        ClusterOption::Given => given(options, cache),
        ClusterOption::K3d | ClusterOption::K3s => {
            let name = real_command::name(network);
            let Some(request) = options.real.request(cluster, &name, network, &options.seldon, cache)? else {
                return Err(Failure::usage(format!("{} is started otherwise", cluster.word())));
            };
            let plans = real_plans(&request, &options.real, cache)?;
            let (taken, left) = shared(&given_command::ledgers(cache), &plans.context)?;
            Ok(Stage {
                title: format!("{} cluster {}", request.provider, request.name),
                up: format!(
                    "{}\n{taken}\n{}",
                    real_up(&plans, &options.real, &seldon, pace, cache)?,
                    transcript(&rehearse_looking(&seldon))
                ),
                setting: Setting::Shared,
                reached: Reached::Theirs {
                    kubeconfig: Some(plans.kubeconfig.clone()),
                    context: plans.context.clone(),
                },
                down: format!("{left}\n{}", transcript(&plans.down)),
            })
        }
    }
}

/// Says how programs come into the cache that it lacks.
fn say_programs(
    clusters: &[ClusterOption],
    networks: &[Profile],
    options: &RealOptions,
    cache: &Cache,
) -> Result<(), Failure> {
    let needs = |cluster: &ClusterOption| match cluster {
        ClusterOption::Embedded | ClusterOption::Kubernetes => true,
        ClusterOption::Given => false,
        ClusterOption::K3d | ClusterOption::K3s => options.images == ImagesOption::Own,
    };
    if !clusters.iter().any(needs) {
        return Ok(());
    }
    let mut text = rehearse_provisioning(cache).map_err(Failure::machine)?;
    if clusters.contains(&ClusterOption::Kubernetes) {
        let with = networks.iter().copied().find(|&network| network == Profile::Calico);
        let calico = kubernetes_command::with_calico(with.unwrap_or(Profile::Flannel));
        text.push('\n');
        text.push_str(&rehearse_provisioning_kubernetes(cache, calico).map_err(Failure::machine)?);
    }
    say(format!(
        "#### programs, hashes checked; PYTHON stands for what depends on the Python that is found\n\n{text}"
    ));
    Ok(())
}

/// How the executable of our own images is built.
fn own_program() -> String {
    format!(
        "# build the executable of our own images, where it is not as new as its sources\n{}\n",
        own_build()
    )
}

/// What taking and leaving a shared cluster does.
fn shared(ledgers: &Path, context: &str) -> Result<(String, String), Failure> {
    let taken = rehearse_taking(ledgers, context).map_err(unknown)?;
    Ok((transcript(&taken), rehearse_leaving(ledgers).map_err(unknown)?))
}

fn given(options: &RunOptions, cache: &Cache) -> Result<Stage, Failure> {
    let at = &options.given.at;
    let context = given_command::named(at)?;
    let (taken, left) = shared(&given_command::ledgers(cache), context)?;
    let absolute = |file: &PathBuf| std::path::absolute(file).unwrap_or_else(|_| file.clone());
    let kubeconfig = at.kubeconfig.as_ref().map(absolute);
    let scope = match options.given.allow_cluster_scope {
        true => "",
        false => {
            "# without --allow-cluster-scope the definitions of Seldon's kinds must be there and stay as they are, and a case \
             that\n# makes another object without a namespace, namespaces aside, is not judged\n\n"
        }
    };
    let file = kubeconfig.as_ref().map(|file| format!("export KUBECONFIG={}\n\n", file.display()));
    Ok(Stage {
        title: format!("given cluster {context}"),
        up: format!(
            "{}# kubectl stands for this program's own client, in context {context}\n\n{scope}{taken}\n{}",
            file.unwrap_or_default(),
            match options.given.images() {
                OwnImages::Imported => transcript(&rehearse_looking(&options.seldon.source()?)),
                OwnImages::PulledFrom(registry) => format!("# nodes pull our images from {registry}\n"),
            }
        ),
        setting: Setting::Shared,
        reached: Reached::Theirs { kubeconfig: at.kubeconfig.clone(), context: context.to_owned() },
        down: left,
    })
}

fn real_plans(request: &RealRequest, options: &RealOptions, cache: &Cache) -> Result<Plans, Failure> {
    let home = Home::of(&real_clusters(cache), &request.name);
    plans(request, &home, &Stamp::unknown(options.lease().idle())).map_err(real_command::failed)
}

/// How a cluster that programs of others start comes up, images first.
fn real_up(
    plans: &Plans,
    options: &RealOptions,
    seldon: &SeldonSource,
    pace: harness::Pace,
    cache: &Cache,
) -> Result<String, Failure> {
    let images = match options.images {
        ImagesOption::Present => String::new(),
        ImagesOption::Own => {
            let programs = unprovisioned(cache).map_err(Failure::machine)?;
            let table = images_command::images(&programs, seldon, pace);
            format!(
                "{}\n# make {} of these\n{}\n",
                own_program(),
                crate::real_options::unmade(cache).display(),
                image_comments(&table)
            )
        }
    };
    Ok(format!("{images}export KUBECONFIG={}\n\n{}", plans.kubeconfig.display(), transcript(&plans.up)))
}

/// `cluster up --dry-run`.
pub(crate) fn up(options: &UpOptions, cache: &Cache) -> Result<ExitCode, Failure> {
    let network: Profile = options.cni.into();
    let name = &options.name;
    let seldon = options.seldon.source()?;
    let request = options.request(cache)?;
    if let Some(request) = &request {
        real_command::comes_up_empty(options, request)?;
    } else if options.cluster == ClusterOption::Given {
        return Err(cluster_command::unheld(options.cluster));
    }
    let (title, up, down) = match request {
        Some(request) => {
            say_programs(&[options.cluster], &[network], &options.real, cache)?;
            let outliving = options.real.outliving();
            let plans = real_plans(&request, &outliving, cache)?;
            let up = real_up(&plans, &outliving, &seldon, options.pace.into(), cache)?;
            (format!("{} cluster {name}", request.provider), up, transcript(&plans.down))
        }
        None => {
            let seldon = fetched(&options.seldon, None, cache)?;
            say_programs(&[options.cluster], &[network], &options.real, cache)?;
            let wanted = hold::rehearsed(options, seldon, cache)?;
            let rehearsed = rehearse_play(&wanted).map_err(unknown)?;
            let own = match options.cluster {
                ClusterOption::Kubernetes => own_program() + "\n",
                ClusterOption::Embedded | ClusterOption::Given | ClusterOption::K3d | ClusterOption::K3s => {
                    String::new()
                }
            };
            let holder = cluster_command::holder(options);
            let up =
                format!("{own}# start the process that holds the cluster\n{holder} &\n\n{}", rehearsed.up);
            (format!("{} cluster {name}", options.cluster.word()), up, rehearsed.down)
        }
    };
    say(format!("#### {title} ({network})\n\n{up}"));
    say(format!("#### and at the end\n\n{down}"));
    Ok(ExitCode::AllPassed)
}
