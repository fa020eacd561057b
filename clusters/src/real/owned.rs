//! A real cluster that this process uses, from its ledger to its end.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio_util::sync::CancellationToken;

use super::ledger::{Entry, Found, Ledger, State, seconds};
use super::{ApiPlace, ImageSource, Plans, RealRequest, Stamp, down, lock, plans};
use crate::k3s;
use crate::plan::{Condition, Plan, PlanError, Site};

/// How long a cluster stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// As long as this process uses it.
    Process,
    /// Others may reuse it, until it has been idle for so long.
    Idle(Duration),
}

impl Lease {
    /// How long it may be idle.
    pub fn idle(self) -> Option<Duration> {
        match self {
            Lease::Process => None,
            Lease::Idle(time) => Some(time),
        }
    }
}

/// How long a cluster that is reused may take to answer.
const STILL_THERE: Duration = Duration::from_secs(10);

/// Why a real cluster is not there, or not gone.
#[derive(Debug, thiserror::Error)]
pub enum RealError {
    /// What was asked cannot be had.
    #[error("{0}")]
    Asked(String),
    /// Somebody uses it.
    #[error("cluster {0} is in use by another process; wait until that has ended")]
    InUse(String),
    /// It is kept for whoever reuses it.
    #[error(
        "cluster {0} is up and kept for reuse; say --reuse, or remove it with `seldon-conformance cluster gc {0}`"
    )]
    Kept(String),
    /// It is there, and is another one than was asked for.
    #[error(
        "cluster {name} is there and is {found}, not {wanted}; remove it with `seldon-conformance cluster down {name}`"
    )]
    Different {
        /// Its name.
        name: String,
        /// What it is.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// The ledger cannot be kept.
    #[error("the ledger of cluster {name} in {}: {source}; set SELDON_CONFORMANCE_CACHE to a writable directory", .directory.display())]
    Ledger {
        /// Its name.
        name: String,
        /// Where all ledgers are.
        directory: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A step was not done.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A step was not done, and what there was could not be removed.
    #[error("{first}; and then {second}; `seldon-conformance cluster gc` removes what is left")]
    Left {
        /// Why it did not come up.
        first: Box<PlanError>,
        /// Why it is not gone.
        second: Box<PlanError>,
    },
}

/// A cluster that runs. When it is dropped, or when this process dies, it goes as its lease says.
#[derive(Debug)]
pub struct RealCluster {
    ledger: Option<Ledger>,
    entry: Entry,
    lease: Lease,
    kubeconfig: PathBuf,
    context: String,
}

impl RealCluster {
    /// Starts the cluster, or takes the one of this name that is idle; `say` hears what is being done.
    ///
    /// # Errors
    /// [`RealError`]; nothing is left then, or the error says so.
    pub async fn start(
        request: &RealRequest,
        lease: Lease,
        directory: &Path,
        stop: &CancellationToken,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<RealCluster, RealError> {
        let name = request.name.to_string();
        let trouble =
            |source| RealError::Ledger { name: name.clone(), directory: directory.to_owned(), source };
        let stamp = Stamp::now(lease.idle());
        let mut entry = Entry {
            name: request.name.clone(),
            provider: request.provider,
            owner: stamp.owner().to_owned(),
            network: Some(request.network),
            shape: request.shape()?,
            idle_until: until(lease),
            state: State::Looked,
        };
        match Ledger::find(directory, &request.name).map_err(trouble)? {
            Found::Absent => {}
            Found::InUse => return Err(RealError::InUse(name)),
            Found::Blank(ledger) => ledger.close().map_err(trouble)?,
            Found::Abandoned(ledger, found) if found.is_kept() => {
                if lease == Lease::Process {
                    return Err(RealError::Kept(name));
                }
                if found.shape != entry.shape {
                    let (found, wanted) = (found.shape, entry.shape);
                    return Err(RealError::Different { name, found, wanted });
                }
                let plans = plans(request, ledger.home(), &stamp)?;
                if answers(&plans, stop).await {
                    say("reuse the cluster that is idle");
                    (entry.state, entry.owner) = (State::Ready, found.owner);
                    return RealCluster::of(plans, ledger, entry, lease).kept().map_err(trouble);
                }
                super::sweep::end(ledger, &found, say)?;
            }
            Found::Abandoned(ledger, found) => super::sweep::end(ledger, &found, say)?,
        }
        let ledger = Ledger::begin(directory, &entry).map_err(trouble)?;
        match settled(request).and_then(|request| plans(&request, ledger.home(), &stamp)) {
            Ok(plans) => RealCluster::make(plans, ledger, entry, lease, stop, say).await,
            Err(error) => {
                ledger.close().map_err(trouble)?;
                Err(error)
            }
        }
    }

    /// From a ledger to a cluster that is up; or to nothing.
    async fn make(
        plans: Plans,
        mut ledger: Ledger,
        mut entry: Entry,
        lease: Lease,
        stop: &CancellationToken,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<RealCluster, RealError> {
        let (name, directory) = (entry.name.to_string(), ledger.home().directory().to_owned());
        let trouble = |source| RealError::Ledger { name: name.clone(), directory: directory.clone(), source };
        let (looks, rest) = plans.up.after_looks();
        let file = ledger.file().try_clone().map_err(trouble)?;
        let site = Site { kubeconfig: &plans.kubeconfig, held: Some(&file), stop: stop.clone() };
        // What is refused because it is somebody else's is left alone.
        if let Err(error) = looks.carry_out(&site, say).await {
            ledger.close().map_err(trouble)?;
            return Err(error.into());
        }
        entry.state = State::Begun;
        ledger.write(&entry).map_err(trouble)?;
        if let Err(first) = rest.carry_out(&site, say).await {
            say("remove what was begun");
            return Err(match down(&entry, ledger.home()).carry_out_programs() {
                Ok(()) => {
                    ledger.close().map_err(trouble)?;
                    first.into()
                }
                Err(second) => RealError::Left { first: Box::new(first), second: Box::new(second) },
            });
        }
        entry.state = State::Ready;
        RealCluster::of(plans, ledger, entry, lease).kept().map_err(trouble)
    }

    /// The same, with what is known of it on disk.
    fn kept(mut self) -> std::io::Result<RealCluster> {
        if let Some(ledger) = &mut self.ledger {
            ledger.write(&self.entry)?;
        }
        Ok(self)
    }

    fn of(plans: Plans, ledger: Ledger, entry: Entry, lease: Lease) -> RealCluster {
        let Plans { kubeconfig, context, .. } = plans;
        RealCluster { ledger: Some(ledger), entry, lease, kubeconfig, context }
    }

    /// Its kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Its context there.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// Lets go of it: it is removed, or stays for others until it has been idle for too long.
    ///
    /// # Errors
    /// What is not gone. Its ledger stays, and `cluster gc` tries again.
    pub fn stop(mut self) -> Result<(), RealError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), RealError> {
        let Some(mut ledger) = self.ledger.take() else { return Ok(()) };
        let directory = ledger.home().directory().to_owned();
        let name = self.entry.name.to_string();
        let trouble = |source| RealError::Ledger { name: name.clone(), directory: directory.clone(), source };
        self.entry.idle_until = until(self.lease);
        if self.entry.idle_until.is_some() {
            return ledger.write(&self.entry).map_err(trouble);
        }
        down(&self.entry, ledger.home()).carry_out_programs()?;
        ledger.close().map_err(trouble)
    }
}

impl Drop for RealCluster {
    fn drop(&mut self) {
        // Whoever wants to hear of a failure stops it; the ledger keeps what is left.
        let _ = self.end();
    }
}

/// The request with what must be chosen before its plan is made.
fn settled(request: &RealRequest) -> Result<RealRequest, RealError> {
    let mut request = request.clone();
    if k3s::needs_port(&request) {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let free = free.map_err(|error| RealError::Asked(format!("no port is free for the API: {error}")))?;
        request.api.port = Some(free.port());
    }
    Ok(request)
}

/// Whether a cluster that should be there is.
async fn answers(plans: &Plans, stop: &CancellationToken) -> bool {
    let mut look = Plan::new();
    look.wait("reach its API server", Condition::ApiReady, STILL_THERE);
    let site = Site { kubeconfig: &plans.kubeconfig, held: None, stop: stop.clone() };
    look.carry_out(&site, &|_| {}).await.is_ok()
}

fn until(lease: Lease) -> Option<u64> {
    lease.idle().map(|time| seconds(SystemTime::now() + time))
}

impl RealRequest {
    /// What two requests must have in common for one cluster to do for both: also the images that were loaded, whose
    /// archives are named by what they hold.
    fn shape(&self) -> Result<String, RealError> {
        let balancer = if self.balancer.is_some() { " with MetalLB" } else { "" };
        let k3s = self.k3s_image(&lock()?).tag;
        let mut shape =
            format!("{} {} with {} agents{balancer}, {k3s}", self.provider, self.network, self.agents);
        if self.api != ApiPlace::default() {
            let ApiPlace { address, port } = self.api;
            let address = address.map_or(String::new(), |address| address.to_string());
            let port = port.map_or(String::new(), |port| port.to_string());
            shape.push_str(&format!(", its API at {address}:{port}"));
        }
        self.ports.iter().for_each(|port| shape.push_str(&format!(", port {port}")));
        for source in &self.images {
            let name = match source {
                ImageSource::Docker(name) => name.clone(),
                ImageSource::Archive { file, .. } => {
                    file.file_name().unwrap_or_default().display().to_string()
                }
            };
            shape.push_str(&format!(", {name}"));
        }
        Ok(shape)
    }
}
