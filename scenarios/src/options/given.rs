//! Options of what is done on a given cluster.

use std::path::PathBuf;

use clap::Args;
use harness::clusters::RegistryPlace;
use harness::mesh::OwnImages;
use harness::seldon::SeldonSource;

use super::{Cni, ModelServerOption};

#[derive(Debug, Args)]
pub(crate) struct ContextOptions {
    /// Kubeconfig of a given cluster; KUBECONFIG or ~/.kube/config when absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Its context. The current one is never assumed.
    #[arg(long)]
    pub(crate) context: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DiagnoseOptions {
    #[command(flatten)]
    pub(crate) at: ContextOptions,
    /// The tenant's namespace.
    #[arg(long)]
    pub(crate) namespace: String,
    /// The Model that gives trouble; all of the namespace when absent.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// The network; found out when absent.
    #[arg(long, value_enum)]
    pub(crate) cni: Option<Cni>,
    /// Also run probes in the mesh's pods, where they are there.
    #[arg(long)]
    pub(crate) allow_exec: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GivenOptions {
    #[command(flatten)]
    pub(crate) at: ContextOptions,
    /// Let the harness make objects without a namespace there (definitions, roles) and label kube-system.
    #[arg(long, requires = "context")]
    pub(crate) allow_cluster_scope: bool,
    /// Where nodes pull our images from, `HOST[:PORT][/PATH]`: `images push` has put them there. Without it they are
    /// imported on every node, and never pulled.
    #[arg(long, value_name = "REGISTRY", requires = "context")]
    pub(crate) registry: Option<RegistryPlace>,
}

impl GivenOptions {
    /// Where nodes have our images from.
    pub(crate) fn images(&self) -> OwnImages {
        self.registry.clone().map_or(OwnImages::Imported, OwnImages::PulledFrom)
    }
}

#[derive(Debug, Args)]
pub(crate) struct DoctorOptions {
    #[command(flatten)]
    pub(crate) given: GivenOptions,
    /// A namespace with a mesh of yours that `run` would be told to break.
    #[arg(long, value_name = "NAMESPACE", requires = "context", conflicts_with_all = ["allow_cluster_scope", "registry", "seldon", "model_server"])]
    pub(crate) namespace: Option<String>,
    /// Print, instead, roles that grant what a run there does: for whoever may grant them.
    #[arg(long, requires = "context")]
    pub(crate) role: bool,
    /// Which Seldon a run there would be told to install: its nodes need images for it.
    #[arg(long, value_name = "SELDON", default_value = "standin", requires = "context")]
    pub(crate) seldon: SeldonSource,
    /// What models would be loaded into, beside stand-ins: one of these images is its.
    #[arg(long, value_enum, default_value = "mlserver", requires = "context")]
    pub(crate) model_server: ModelServerOption,
}

#[derive(Debug, Args)]
pub(crate) struct LentOptions {
    /// A namespace with a mesh of yours on the given cluster: cases break that one, and install none.
    #[arg(long, value_name = "NAMESPACE", requires = "context")]
    pub(crate) namespace: Option<String>,
    /// Let them: policies and Models are put into that namespace for a while, and taken away again.
    #[arg(long, requires = "namespace")]
    pub(crate) allow_faults: bool,
}
