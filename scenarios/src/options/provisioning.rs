//! Options of `provision`.

use clap::{Args, ValueEnum};

use super::Cni;

#[derive(Debug, Args)]
pub(crate) struct ProvisionOptions {
    /// What clusters or installations need.
    #[arg(value_enum, default_value = "embedded")]
    pub(crate) what: Vec<Provisions>,
    /// The network of a real Kubernetes: Calico takes minutes more, and flannel is there anyhow.
    #[arg(long, value_enum, default_value = "calico")]
    pub(crate) cni: Cni,
    /// Print every command, in order, and touch nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Provisions {
    /// Envoy, rclone, MLServer, nft: what every cluster of this machine's needs.
    Embedded,
    /// Kubernetes, containerd, CoreDNS and Calico, and what embedded clusters need, of which images are made.
    Kubernetes,
    /// helm, which installs charts.
    Helm,
}
