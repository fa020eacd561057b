//! The command line.

mod given;
mod images;
mod merging;
mod mirror;
mod model_server;
mod provisioning;
mod reporting;
mod shards;

use std::fmt;
use std::net::Ipv4Addr;

use clap::{Args, Parser, Subcommand, ValueEnum};
pub(crate) use given::{ContextOptions, DiagnoseOptions, DoctorOptions, GivenOptions, LentOptions};
use harness::run::Keep;
use harness::seldon::{ImageOverride, SeldonSource};
use harness::{Pace, Profile, Topology};
pub(crate) use images::{ImagesAction, ImagesOptions};
pub(crate) use merging::{MergeOptions, ReportsAction};
pub(crate) use mirror::MirrorAction;
pub(crate) use model_server::ModelServerOption;
pub(crate) use provisioning::{ProvisionOptions, Provisions};
pub(crate) use reporting::{ReportFiles, ReportOptions};
use reports::ExitCode;
use scenarios::Shard;
pub(crate) use shards::{ShardInPodOptions, ShardsOptions};

use crate::real_options::RealOptions;

/// A sentence for the person and a code for the shell.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: ExitCode,
    pub(crate) sentence: String,
}

impl Failure {
    /// The command line is at fault.
    pub(crate) fn usage(sentence: impl fmt::Display) -> Failure {
        Failure { code: ExitCode::WrongUsage, sentence: sentence.to_string() }
    }

    /// The machine is at fault.
    pub(crate) fn machine(sentence: impl fmt::Display) -> Failure {
        Failure { code: ExitCode::Inconclusive, sentence: sentence.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}

/// End-to-end conformance of Seldon Core v2 on k3s.
///
/// Exit codes: 0 all passed, 1 something failed, 2 wrong usage, 3 nothing failed but something could not be judged,
/// 4 nothing ran.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Break, explain and repair: run scenarios and judge them.
    Run(Box<RunOptions>),
    /// Print the cases that `run` with the same options would run.
    List(Selection),
    /// Say what this machine has and lacks; with --context, what a given cluster does, and what would be touched there.
    Doctor(DoctorOptions),
    /// Fetch and build programs into the cache, before a run asks for them; needs no root.
    Provision(ProvisionOptions),
    /// Say what is wrong with a mesh that somebody runs; changes nothing. 0: nothing, 1: this, 3: it cannot be seen.
    Diagnose(DiagnoseOptions),
    /// Put a given cluster back as it was before a run that was killed, from whatever machine.
    Undo(ContextOptions),
    /// A cluster to play with.
    #[command(subcommand)]
    Cluster(ClusterAction),
    /// Reports of runs that have ended.
    #[command(subcommand)]
    Reports(ReportsAction),
    /// Everything that k3d and k3s clusters are made of, for where there is no internet.
    #[command(subcommand)]
    Mirror(MirrorAction),
    /// The images that pods of the harness run from, for clusters whose nodes have not got them.
    #[command(subcommand)]
    Images(ImagesAction),
    /// Share the cases out among pods of a cluster, each with clusters of its own, and join what they recorded.
    Shards(ShardsOptions),
    /// The program of those pods.
    #[command(hide = true)]
    ShardInPod(ShardInPodOptions),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterAction {
    /// Start a cluster in the background, with a mesh that serves an iris; prints how to reach it.
    Up(UpOptions),
    /// Clusters that there are: kind, network, whether anybody uses them, and how they are reached.
    List,
    /// End a cluster; nothing of it is left.
    Down {
        /// Its name.
        #[arg(default_value = "conformance")]
        name: String,
    },
    /// Remove k3d and k3s clusters that nobody uses any more: their process is gone, or they were idle for too long.
    Gc {
        /// These alone, and even if somebody could still reuse them.
        names: Vec<String>,
    },
    /// The process behind `up`.
    #[command(hide = true)]
    Hold(UpOptions),
}

/// Which cases.
#[derive(Debug, Clone, Args)]
pub(crate) struct Selection {
    /// Parts of `family: name`; cases that contain one of them.
    pub(crate) filter: Vec<String>,
    /// Networks to run on; all when absent.
    #[arg(long, value_enum)]
    pub(crate) cni: Vec<Cni>,
    /// Layouts to run on; all of a scenario when absent.
    #[arg(long, value_enum)]
    pub(crate) topology: Vec<Layout>,
    /// Only every Nth of these cases, from the Ith on: `2/3` is the second of three shards.
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct SeldonOptions {
    /// Which Seldon: `standin`; a release's charts, `2.9.1` or `2.9.0`; or `charts:DIR`, with the charts in DIR, as for 2.10.2.
    #[arg(long, value_name = "SELDON", default_value = "standin")]
    pub(crate) seldon: SeldonSource,
    /// What models are loaded into, beside stand-ins.
    #[arg(long, value_enum, default_value = "mlserver")]
    pub(crate) model_server: ModelServerOption,
    /// An image of your own for a component of a chart: `agent=docker.io/library/seldon-agent:mine`.
    #[arg(long, value_name = "COMPONENT=REF")]
    pub(crate) seldon_image: Vec<ImageOverride>,
}

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// What kind of cluster to run on; two, with a comma between, when they are compared.
    #[arg(long, value_enum, default_value = "embedded", value_delimiter = ',')]
    pub(crate) cluster: Vec<ClusterOption>,
    /// Run the cases on two kinds of clusters, and fail where they end differently for no known reason.
    #[arg(long)]
    pub(crate) compare: bool,
    #[command(flatten)]
    pub(crate) given: GivenOptions,
    #[command(flatten)]
    pub(crate) lent: LentOptions,
    #[command(flatten)]
    pub(crate) real: RealOptions,
    #[command(flatten)]
    pub(crate) seldon: SeldonOptions,
    /// From which the names of namespaces come on a cluster that cases share; any when absent.
    #[arg(long)]
    pub(crate) seed: Option<u32>,
    /// How many cases run at once; twice the number of processors, at most 8, when absent.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: Option<u16>,
    /// Which clusters stay until Ctrl-C for a look.
    #[arg(long, value_enum, default_value = "never")]
    pub(crate) keep: KeepOption,
    /// Whether Seldon's and the kubelet's long timers shrink.
    #[arg(long, value_enum, default_value = "fast")]
    pub(crate) pace: PaceOption,
    #[command(flatten)]
    pub(crate) reports: ReportOptions,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct UpOptions {
    /// Its name.
    #[arg(default_value = "conformance")]
    pub(crate) name: String,
    /// What kind of cluster.
    #[arg(long, value_enum, default_value = "embedded")]
    pub(crate) cluster: ClusterOption,
    #[command(flatten)]
    pub(crate) real: RealOptions,
    /// The network it behaves like.
    #[arg(long, value_enum, default_value = "flannel")]
    pub(crate) cni: Cni,
    /// What is installed on it.
    #[arg(long, value_enum, default_value = "per-namespace")]
    pub(crate) mesh: MeshOption,
    /// Whether Seldon's and the kubelet's long timers shrink.
    #[arg(long, value_enum, default_value = "fast")]
    pub(crate) pace: PaceOption,
    #[command(flatten)]
    pub(crate) seldon: SeldonOptions,
    /// Loopback address for the API server and NodePorts; 127.0.0.1 when absent.
    #[arg(long)]
    pub(crate) host_address: Option<Ipv4Addr>,
    /// Port of the API server; 0 for any.
    #[arg(long, default_value_t = 0)]
    pub(crate) api_port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClusterOption {
    /// One of its own for each case, on this machine.
    Embedded,
    /// A real Kubernetes of this machine's, one for all cases of a network; needs root.
    Kubernetes,
    /// k3s in Docker, by the program k3d.
    K3d,
    /// k3s in one container, or as a program of this machine.
    K3s,
    /// One that exists, named by --context; it is left as it was.
    Given,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cni {
    /// k3s's default: policies reject.
    Flannel,
    /// Policies drop.
    Calico,
}

impl ClusterOption {
    /// Whether all cases of a network run on one, one after the other.
    pub(crate) fn is_shared(self) -> bool {
        self != ClusterOption::Embedded
    }

    /// Whether programs of others start it.
    pub(crate) fn is_real(self) -> bool {
        matches!(self, ClusterOption::K3d | ClusterOption::K3s)
    }

    /// As it is written.
    pub(crate) fn word(self) -> &'static str {
        match self {
            ClusterOption::Embedded => "embedded",
            ClusterOption::Kubernetes => "kubernetes",
            ClusterOption::K3d => "k3d",
            ClusterOption::K3s => "k3s",
            ClusterOption::Given => "given",
        }
    }
}

impl From<Cni> for Profile {
    fn from(cni: Cni) -> Profile {
        match cni {
            Cni::Flannel => Profile::Flannel,
            Cni::Calico => Profile::Calico,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// A controller in each tenant's namespace.
    PerNamespace,
    /// One controller for all namespaces.
    ClusterWide,
}

impl From<Layout> for Topology {
    fn from(layout: Layout) -> Topology {
        match layout {
            Layout::PerNamespace => Topology::PerNamespace,
            Layout::ClusterWide => Topology::ClusterWide,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MeshOption {
    /// Nothing.
    None,
    /// Controller and tenant in one namespace.
    PerNamespace,
    /// Controller in `seldon-system`.
    ClusterWide,
}

impl MeshOption {
    pub(crate) fn topology(self) -> Option<Topology> {
        match self {
            MeshOption::None => None,
            MeshOption::PerNamespace => Some(Topology::PerNamespace),
            MeshOption::ClusterWide => Some(Topology::ClusterWide),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeepOption {
    /// None.
    Never,
    /// Those of cases that did not pass.
    Failed,
    /// All.
    Always,
}

impl KeepOption {
    pub(crate) fn is_never(self) -> bool {
        self == KeepOption::Never
    }
}

impl From<KeepOption> for Keep {
    fn from(option: KeepOption) -> Keep {
        match option {
            KeepOption::Never => Keep::Never,
            KeepOption::Failed => Keep::Failed,
            KeepOption::Always => Keep::Always,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PaceOption {
    /// Fifty times faster, but never faster than the kernel.
    Fast,
    /// As Seldon and the kubelet have them.
    Real,
}

impl From<PaceOption> for Pace {
    fn from(option: PaceOption) -> Pace {
        match option {
            PaceOption::Fast => Pace::FAST,
            PaceOption::Real => Pace::REAL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use rstest::rstest;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[rstest]
    #[case::cni(&["run", "--cni", "weave"], &["weave", "flannel", "calico"])]
    #[case::topology(&["run", "--topology", "star"], &["star", "per-namespace", "cluster-wide"])]
    #[case::keep(&["run", "--keep", "some"], &["some", "never", "failed", "always"])]
    #[case::cluster(&["run", "--cluster", "minikube"], &["minikube", "embedded", "given"])]
    #[case::shard(&["run", "--shard", "4/3"], &["4/3", "1/3 to 3/3"])]
    #[case::seldon(&["run", "--seldon", "2.8.0"], &["2.8.0", "standin, 2.9.1, 2.9.0, 2.10.2 or charts:DIR"])]
    #[case::model_server(&["run", "--model-server", "triton"], &["triton", "mlserver, standin"])]
    #[case::image(&["run", "--seldon-image", "triton=a:1"], &["triton", "controller, scheduler"])]
    #[case::jobs(&["run", "--jobs", "0"], &["0", "1..=64"])]
    #[case::port(&["run", "--port", "8080"], &["8080", "[ADDRESS:]OUTER:INNER", "127.0.0.2:8080:30080"])]
    #[case::address(&["cluster", "up", "--host-address", "here"], &["here"])]
    fn a_wrong_value_is_answered_with_the_allowed_ones(#[case] words: &[&str], #[case] said: &[&str]) {
        let error = Options::try_parse_from(["seldon-conformance"].iter().chain(words)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(said.iter().all(|word| text.contains(word)), "{text}");
    }
}
