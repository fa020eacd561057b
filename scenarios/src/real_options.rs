//! Options of clusters that this program starts with programs of others.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use harness::Profile;
use harness::clusters::{
    ApiPlace, Cache, HostPort, ImageSource, ImagesLock, Lease, Provider, RealName, RealRequest,
    full_reference, mirrored_image,
};
use harness::images::needed;
use harness::seldon::{SeldonSource, locked};

use crate::options::{ClusterOption, Failure, SeldonOptions, UpOptions};
use crate::seldon_command;

#[derive(Debug, Clone, Args)]
pub(crate) struct RealOptions {
    /// Print every command and every manifest, in order, and touch nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How --cluster k3s runs it.
    #[arg(long, value_enum, default_value = "container")]
    pub(crate) k3s: K3sOption,
    /// Tag of the image of k3s's nodes, such as v1.33.1-k3s1; the lock's when absent.
    #[arg(long, value_name = "TAG", value_parser = k3s_tag)]
    pub(crate) k3s_version: Option<String>,
    /// Nodes beside the server's, with --cluster k3d.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=8))]
    pub(crate) agents: u8,
    /// Let others reuse the cluster until it has been idle for so long; it ends with this command when absent.
    #[arg(long, value_name = "MINUTES", num_args = 0..=1, require_equals = true, default_missing_value = "60")]
    pub(crate) reuse: Option<u32>,
    /// Port of the server's node that is reached here, with --cluster k3d or a k3s in a container.
    #[arg(long, value_name = "[ADDRESS:]OUTER:INNER")]
    pub(crate) port: Vec<HostPort>,
    /// Addresses that MetalLB gives to Services, such as 172.18.255.200-172.18.255.250; without, it is not installed.
    #[arg(long, value_name = "RANGE")]
    pub(crate) balancer: Option<String>,
    /// What `mirror pull` has left: images and manifests come from there, not from the internet.
    #[arg(long, value_name = "DIR")]
    pub(crate) mirror: Option<PathBuf>,
    /// Where the images of pods come from.
    #[arg(long, value_enum, default_value = "own")]
    pub(crate) images: ImagesOption,
    /// How long each step to a Ready cluster may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(30..=3600))]
    pub(crate) timeout: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum K3sOption {
    /// In a container of Docker's.
    Container,
    /// The program k3s, in namespaces of its own (root), or in a scope of the user's.
    Binary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImagesOption {
    /// Made here of the provisioned programs, and loaded into every node.
    Own,
    /// Every node has them already; nothing pulls ours.
    Present,
}

impl RealOptions {
    /// How long the cluster stays.
    pub(crate) fn lease(&self) -> Lease {
        self.reuse.map_or(Lease::Process, |minutes| Lease::Idle(Duration::from_secs(60 * u64::from(minutes))))
    }

    /// The same for a cluster that outlives this command, and so needs an end of its own: a day without use.
    pub(crate) fn outliving(&self) -> RealOptions {
        RealOptions { reuse: self.reuse.or(Some(24 * 60)), ..self.clone() }
    }

    /// How long each step may take.
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout))
    }

    /// What is asked of a cluster of kind `cluster`; `None` when no program of others starts it.
    pub(crate) fn request(
        &self,
        cluster: ClusterOption,
        name: &str,
        network: Profile,
        seldon: &SeldonOptions,
        cache: &Cache,
    ) -> Result<Option<RealRequest>, Failure> {
        let provider = match (cluster, self.k3s) {
            (ClusterOption::K3d, _) => Provider::K3d,
            (ClusterOption::K3s, K3sOption::Container) => Provider::K3sContainer,
            (ClusterOption::K3s, K3sOption::Binary) => Provider::K3s,
            (ClusterOption::Embedded | ClusterOption::Kubernetes | ClusterOption::Given, _) => {
                return Ok(None);
            }
        };
        if let Some(mirror) = self.mirror.as_deref().filter(|mirror| !mirror.is_dir()) {
            return Err(Failure::usage(format!(
                "there is no mirror in {}; fill one with `seldon-conformance mirror pull {}`",
                mirror.display(),
                mirror.display()
            )));
        }
        Ok(Some(RealRequest {
            name: RealName::parse(name).map_err(Failure::usage)?,
            provider,
            network,
            agents: self.agents,
            api: ApiPlace::default(),
            ports: self.port.clone(),
            images: self.images(seldon, cache)?,
            balancer: self.balancer.clone(),
            k3s_tag: self.k3s_version.clone(),
            limit: self.limit(),
            mirror: self.whole_mirror(),
        }))
    }

    fn whole_mirror(&self) -> Option<PathBuf> {
        let mirror = self.mirror.as_ref()?;
        Some(std::path::absolute(mirror).unwrap_or_else(|_| mirror.clone()))
    }

    /// What the nodes must have: our own images, and where there is a mirror, those that Seldon's charts name.
    fn images(&self, seldon: &SeldonOptions, cache: &Cache) -> Result<Vec<ImageSource>, Failure> {
        let source = seldon.source()?;
        let own = (self.images == ImagesOption::Own).then(|| ImageSource::Archive {
            file: unmade(cache),
            images: needed(&source).iter().map(|image| full_reference(image)).collect(),
        });
        let (Some(mirror), SeldonSource::Release(release)) = (self.whole_mirror(), &source) else {
            return Ok(own.into_iter().collect());
        };
        let asked = format!("--seldon {source}");
        let locked = locked(*release).map_err(seldon_command::failed)?.images;
        let locked = locked.iter().map(|image| (image.tagged(), asked.clone()));
        let others = seldon
            .seldon_image
            .iter()
            .map(|image| (image.reference(), format!("--image {}", image.reference())));
        let mirrored = locked.chain(others).map(|(image, asked)| {
            let file = mirrored_image(&mirror, &image);
            match self.dry_run || file.is_file() {
                true => Ok(ImageSource::Archive { file, images: vec![image] }),
                false => Err(Failure::usage(format!(
                    "there is no image {}; `seldon-conformance mirror pull {} {asked}` fetches it",
                    file.display(),
                    mirror.display()
                ))),
            }
        });
        own.into_iter().map(Ok).chain(mirrored).collect()
    }

    /// What of these options means nothing for a cluster that no program of others starts.
    pub(crate) fn refuse_for(&self, cluster: ClusterOption) -> Result<(), Failure> {
        let said = [
            (self.agents > 0, "--agents"),
            (self.reuse.is_some(), "--reuse"),
            (!self.port.is_empty(), "--port"),
            (self.balancer.is_some(), "--balancer"),
            (self.mirror.is_some(), "--mirror"),
            (self.k3s_version.is_some(), "--k3s-version"),
            (self.images == ImagesOption::Present, "--images"),
        ];
        match said.into_iter().find(|(said, _)| *said) {
            None => Ok(()),
            Some((_, option)) => Err(Failure::usage(format!(
                "{option} is of clusters that k3d or k3s start, not of --cluster {}; leave it out, or say --cluster k3d \
                 or --cluster k3s",
                cluster.word()
            ))),
        }
    }
}

impl UpOptions {
    /// Where clusters of this machine are reached.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.host_address.unwrap_or(Ipv4Addr::LOCALHOST)
    }

    /// What is asked of a cluster that programs of others start; `None` when it is another kind.
    pub(crate) fn request(&self, cache: &Cache) -> Result<Option<RealRequest>, Failure> {
        let request = self.real.request(self.cluster, &self.name, self.cni.into(), &self.seldon, cache)?;
        let port = Some(self.api_port).filter(|port| *port > 0);
        Ok(request
            .map(|request| RealRequest { api: ApiPlace { address: self.host_address, port }, ..request }))
    }
}

/// How the names of such archives begin.
pub(crate) const ARCHIVES: &str = "images-";

/// Where the archive of our own images is written before it is loaded; `content` tells what is in it.
pub(crate) fn archive(cache: &Cache, content: &str) -> PathBuf {
    cache.directory().join(format!("{ARCHIVES}{content}.tar"))
}

/// Its place while it is not known what is in it.
pub(crate) fn unmade(cache: &Cache) -> PathBuf {
    archive(cache, "DIGEST")
}

/// A tag of k3s's images: a release with a dash where the release has a plus.
fn k3s_tag(text: &str) -> Result<String, String> {
    let parts = text.strip_prefix("v1.").and_then(|rest| rest.split_once("-k3s"));
    let digits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit() || c == '.');
    match parts {
        Some((version, build)) if digits(version) && digits(build) => Ok(text.to_owned()),
        Some(_) | None => Err("no tag of k3s's images; they are like v1.33.1-k3s1".to_owned()),
    }
}

/// The lock, which is a part of this program.
pub(crate) fn images_lock() -> Result<ImagesLock, Failure> {
    ImagesLock::read().map_err(Failure::machine)
}
