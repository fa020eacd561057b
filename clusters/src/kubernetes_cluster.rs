//! A real Kubernetes of this machine's, with the images of a table.

mod rehearsal;

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use embedded::{
    Access, ClusterError, HostPorts, Profile, Program, ProgramImage, SupervisedCluster, UpstreamMode,
};
use image::{Image, ImageError, write_archive};
use kubernetes::{ImagesError, Network, NodeSpec, cgroups, copy_images, load_images};
use nix::unistd::geteuid;
use pace::Pace;

use crate::cache::{Cache, CacheError};
use crate::node_image;
use crate::onlooker::{Interrupted, Onlooker};
use crate::programs::KubernetesPrograms;

pub use rehearsal::rehearse_kubernetes;

/// Below the cache: the state of running clusters, a directory each, named after process and number.
const STATES: &str = "kubernetes";

/// How the names of directories with loaded images begin, below the cache.
const IMAGES: &str = "kubernetes-images-";

/// What is asked of a cluster before it exists.
#[derive(Debug)]
pub struct KubernetesRequest<'a> {
    /// The network; policies are enforced by Calico's only.
    pub profile: Profile,
    /// Whether its name server remembers for long that a name is not there.
    pub pace: Pace,
    /// Programs, from [`crate::provision_kubernetes`].
    pub programs: &'a KubernetesPrograms,
    /// Images that pods may name.
    pub images: &'a [ProgramImage],
    /// The executable whose built-in programs the images name; this one when absent.
    pub own: Option<PathBuf>,
    /// Directory for the logs of the supervisor and of every program; made when it is missing.
    pub logs: &'a Path,
    /// Address of the host's loopback on which it is reached.
    pub host_address: Ipv4Addr,
    /// Port of its API server on the host; 0 lets the kernel choose.
    pub api_port: u16,
    /// What else listens on the host.
    pub host_ports: HostPorts,
}

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// Not root.
    #[error(
        "a real Kubernetes of this machine needs root (kubelet and containerd do): run with sudo, or use --cluster embedded"
    )]
    NotRoot,
    /// Calico's programs were not provisioned.
    #[error("Calico was not provisioned")]
    NoCalico,
    /// The cache is at fault.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No images.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// containerd does not take them.
    #[error(transparent)]
    Load(#[from] ImagesError),
    /// Whoever waited wants it no more.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A directory of the cluster cannot be made.
    #[error("cannot prepare {}: {source}", .path.display())]
    Prepare {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It does not start.
    #[error("{source}; the logs of its programs: {}", .logs.display())]
    Start {
        /// Why.
        source: ClusterError,
        /// Where they are.
        logs: PathBuf,
    },
}

/// A running one. It ends with this value, and nothing of it is left then.
#[derive(Debug)]
pub struct KubernetesCluster {
    cluster: SupervisedCluster,
    log: PathBuf,
    // After the cluster: only then is nobody in its cgroups.
    _left: Left,
}

/// What namespaces do not take with them. The supervisor's first process removes it too, where it outlives this one.
#[derive(Debug)]
struct Left {
    name: String,
    state: PathBuf,
}

impl Drop for Left {
    fn drop(&mut self) {
        // Processes that were killed leave their cgroup in their own time.
        for _ in 0..100 {
            cgroups::remove(&self.name);
            // What cannot be removed is found again by the next run.
            let _ = fs::remove_dir_all(&self.state);
            if !self.state.exists() && !cgroups::remaining().contains(&self.name) {
                break;
            }
            // Nothing tells when they have left.
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

/// Whether this process may have such a cluster.
///
/// # Errors
/// [`KubernetesError::NotRoot`].
pub fn can_run_kubernetes() -> Result<(), KubernetesError> {
    if geteuid().is_root() { Ok(()) } else { Err(KubernetesError::NotRoot) }
}

impl KubernetesCluster {
    /// Makes images where the cache has none of these, and boots; returns when the node is Ready and names resolve.
    ///
    /// # Errors
    /// [`KubernetesError`].
    pub async fn start(
        request: KubernetesRequest<'_>,
        cache: &Cache,
        onlooker: &Onlooker<'_>,
    ) -> Result<KubernetesCluster, KubernetesError> {
        can_run_kubernetes()?;
        let states = cache.directory().join(STATES);
        forget_dead(&states);
        let name = new_name();
        let state = states.join(&name);
        let spec = request.describe(name.clone(), state.clone(), cache.mountpoint()?, cache)?;
        let left = Left { name, state: state.clone() };
        let prepare = |path: &Path, made: io::Result<()>| {
            made.map_err(|source| KubernetesError::Prepare { path: path.to_owned(), source })
        };
        prepare(&state, fs::create_dir_all(&state))?;
        prepare(request.logs, fs::create_dir_all(request.logs))?;
        place_images(&request, cache, &images_of(&state), onlooker)?;
        let log = request.supervisor_log();
        match kubernetes::start(&spec, Some(&log)).await {
            Ok(cluster) => Ok(KubernetesCluster { cluster, log, _left: left }),
            Err(error) => Err(KubernetesError::Start { source: error, logs: request.logs.to_owned() }),
        }
    }

    /// How to reach it.
    pub fn access(&self) -> &Access {
        self.cluster.access()
    }

    /// Where its supervisor logs.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its supervisor's process.
    pub fn supervised(&self) -> &SupervisedCluster {
        &self.cluster
    }
}

impl KubernetesRequest<'_> {
    /// The cluster called `name`, with its state in `state`.
    fn describe(
        &self,
        name: String,
        state: PathBuf,
        mountpoint: PathBuf,
        cache: &Cache,
    ) -> Result<NodeSpec, KubernetesError> {
        let network = match (self.profile, &self.programs.calico) {
            (Profile::Flannel, _) => Network::Flannel,
            (Profile::Calico, Some(programs)) => Network::Calico(programs.clone()),
            (Profile::Calico, None) => return Err(KubernetesError::NoCalico),
        };
        Ok(NodeSpec {
            name,
            state,
            logs: self.logs.to_owned(),
            mountpoint,
            programs: self.programs.node.clone(),
            network,
            visible: vec![cache.directory().to_owned()],
            host_address: self.host_address,
            api_port: self.api_port,
            host_ports: self.host_ports,
            upstream: UpstreamMode::honest(),
            pace: self.pace,
        })
    }

    fn supervisor_log(&self) -> PathBuf {
        self.logs.join("supervisor.log")
    }

    /// The images that its containerd has: the table's, CoreDNS and pause.
    fn node_images(&self) -> Vec<ProgramImage> {
        let mut table = self.images.to_vec();
        table.push(coredns(&self.programs.coredns));
        table.push(pause());
        table
    }
}

/// `<process>-<number>`: unique on this machine while the process lives.
fn new_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Removes what is left of clusters whose process was killed together with its supervisor.
fn forget_dead(states: &Path) {
    let entries = fs::read_dir(states).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .chain(cgroups::remaining())
        .collect();
    names.sort();
    names.dedup();
    for name in names {
        let process = name.split('-').next().and_then(|number| number.parse::<u32>().ok());
        let lives = process.is_some_and(|process| Path::new("/proc").join(process.to_string()).exists());
        if !lives {
            cgroups::remove(&name);
            // It is looked at again by the next run.
            let _ = fs::remove_dir_all(states.join(&name));
        }
    }
}

/// Makes `root` a directory of containerd's with the table's images, CoreDNS and pause: a copy of what is loaded once for
/// each set of programs.
fn place_images(
    request: &KubernetesRequest<'_>,
    cache: &Cache,
    root: &Path,
    onlooker: &Onlooker<'_>,
) -> Result<(), KubernetesError> {
    let table = request.node_images();
    let own = match &request.own {
        Some(own) => own.clone(),
        None => std::env::current_exe()
            .map_err(|source| KubernetesError::Prepare { path: "/proc/self/exe".into(), source })?,
    };
    let content = node_image::fingerprint(&table, &own)
        .map_err(|(path, source)| KubernetesError::Prepare { path, source })?;
    let name = loaded_name(&content);
    // Held while it is copied: another run may have other programs, and then forgets these images.
    let guard = cache.lock(onlooker)?;
    let place = match cache.find(&name)? {
        Some(place) => place,
        None => {
            onlooker
                .tell("making images of the provisioned programs and loading them into containerd (once)");
            forget_images(cache.directory());
            let images = node_image::images(&table, &own)?;
            cache.install(&guard, &name, |place| {
                onlooker.unless_stopped(load(&images, request, (cache, place), onlooker))
            })?
        }
    };
    copy_images(&Loaded::at(&place).root, root)
        .map_err(|source| KubernetesError::Prepare { path: root.to_owned(), source })
}

/// containerd's directory in the state of a cluster.
fn images_of(state: &Path) -> PathBuf {
    state.join("containerd")
}

/// The cache's directory of images with this fingerprint.
fn loaded_name(fingerprint: &str) -> String {
    format!("{IMAGES}{fingerprint}")
}

/// Files of a directory of loaded images.
struct Loaded {
    /// While they are loaded.
    archive: PathBuf,
    /// What containerd makes of it.
    root: PathBuf,
}

impl Loaded {
    fn at(place: &Path) -> Loaded {
        Loaded { archive: place.join("images.tar"), root: place.join("containerd") }
    }
}

/// Removes what was loaded for programs that have changed since. Clusters that run have copies of their own.
fn forget_images(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(IMAGES) {
            // It takes room and does no harm; the next run tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn load(
    images: &[Image],
    request: &KubernetesRequest<'_>,
    (cache, place): (&Cache, &Path),
    onlooker: &Onlooker<'_>,
) -> Result<(), KubernetesError> {
    let Loaded { archive, root } = Loaded::at(place);
    write_archive(images, &archive)?;
    fs::create_dir(&root).map_err(|source| KubernetesError::Prepare { path: root.clone(), source })?;
    let visible = [cache.directory().to_owned()];
    onlooker.go_on()?;
    load_images(&request.programs.node, std::slice::from_ref(&archive), &root, &visible, onlooker.stop())?;
    fs::remove_file(&archive).map_err(|source| KubernetesError::Prepare { path: archive, source })
}

/// The image that k3s 1.33.1 runs CoreDNS from.
fn coredns(program: &Path) -> ProgramImage {
    let mut image = ProgramImage {
        reference: "rancher/mirrored-coredns-coredns:1.12.1".into(),
        entrypoint: vec!["/coredns".into()],
        ..ProgramImage::default()
    };
    image.programs.insert("/coredns".into(), Program::Host(program.to_owned()));
    image
}

/// The process that holds a pod's namespaces.
fn pause() -> ProgramImage {
    let mut image = ProgramImage {
        reference: "rancher/mirrored-pause:3.6".into(),
        entrypoint: vec!["/pause".into()],
        ..ProgramImage::default()
    };
    image.programs.insert("/pause".into(), Program::Builtin("pause".into()));
    image
}
