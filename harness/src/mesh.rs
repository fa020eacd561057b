//! Meshes: which controller, which tenants, and how they get onto a cluster.

mod adopt;
mod hasten;
mod install;
mod other_tooling;
mod own_images;
mod rehearsal;
mod store;

pub(crate) use install::is_ready;
pub(crate) use other_tooling::SERVICE as SCHEDULER_UNDER_ANOTHER_NAME;
pub use own_images::OwnImages;
pub use rehearsal::{MeshTranscript, Rehearsal, Setting};

use std::fmt;

use serde_json::{Value, json};
use toolbox::{DnsStyle, Observation, Probe};

use crate::claim::Claim;
use crate::look::{Look, PodQuery, Seen};
use crate::namespaces::Namespaces;
use crate::object::{Kind, ObjectRef};
use crate::world::Topology;

/// Namespace of a controller that watches other namespaces than its own.
const SYSTEM: &str = "seldon-system";

/// Whether a mesh comes with a Server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Servers {
    /// Server `mlserver`, waited for.
    One,
    /// None; a scenario applies it itself.
    None,
}

/// Who makes scheduler and Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runtime {
    /// The controller, from a SeldonRuntime.
    Controller,
    /// Manifests of somebody else, who named the Service differently.
    OtherTooling,
    /// Nobody yet.
    Absent,
}

/// The topology a scenario asks for. [`fmt::Display`] draws it.
#[derive(Debug, Clone)]
pub struct Mesh {
    topology: Topology,
    tenant: String,
    /// The controller's namespace.
    home: String,
    /// The artefact store's.
    store: String,
    /// On a shared cluster no controller watches what is not its case's.
    namespaces: Namespaces,
    servers: Servers,
    runtime: Runtime,
    /// Namespaces that a cluster-wide controller watches besides the tenant's, and no others; none means all.
    neighbours: Vec<String>,
}

impl Mesh {
    /// A mesh for `tenant` in the given layout.
    pub fn new(topology: Topology, tenant: &str) -> Mesh {
        let home = match topology {
            Topology::PerNamespace => tenant,
            Topology::ClusterWide => SYSTEM,
        };
        Mesh {
            topology,
            tenant: tenant.into(),
            home: home.into(),
            store: store::NAMESPACE.into(),
            namespaces: Namespaces::plain(),
            servers: Servers::One,
            runtime: Runtime::Controller,
            neighbours: Vec::new(),
        }
    }

    /// Controller and tenant in one namespace.
    pub fn per_namespace(tenant: &str) -> Mesh {
        Mesh::new(Topology::PerNamespace, tenant)
    }

    /// One controller in `seldon-system`, everything else in `tenant`.
    pub fn cluster_wide(tenant: &str) -> Mesh {
        Mesh::new(Topology::ClusterWide, tenant)
    }

    /// The controller watches the tenant and these namespaces only. They hold a visitor and the artefact store's
    /// Secret, and nothing of Seldon's.
    #[must_use]
    pub fn watching(mut self, neighbours: &[&str]) -> Mesh {
        self.neighbours = neighbours.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Without a Server: no agent has connected, the controller has not dialled yet.
    #[must_use]
    pub fn without_server(mut self) -> Mesh {
        self.servers = Servers::None;
        self
    }

    /// Without SeldonRuntime and Server: nothing but the controller.
    #[must_use]
    pub fn without_runtime(mut self) -> Mesh {
        self.servers = Servers::None;
        self.runtime = Runtime::Absent;
        self
    }

    /// Scheduler and Envoy from manifests without a SeldonRuntime; the scheduler's Service is
    /// `seldon-system-scheduler`. No Server.
    #[must_use]
    pub fn rendered_by_other_tooling(mut self) -> Mesh {
        self.servers = Servers::None;
        self.runtime = Runtime::OtherTooling;
        self
    }

    /// The same mesh in namespaces that are called as `namespaces` say.
    fn placed(mut self, namespaces: &Namespaces) -> Mesh {
        let names = [&mut self.tenant, &mut self.home, &mut self.store];
        for name in names.into_iter().chain(&mut self.neighbours) {
            *name = namespaces.place(name);
        }
        self.namespaces = namespaces.clone();
        self
    }
}

impl fmt::Display for Mesh {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheduler = match self.runtime {
            Runtime::Controller => "scheduler + envoy",
            Runtime::OtherTooling => "scheduler (as seldon-system-scheduler) + envoy",
            Runtime::Absent => "nothing yet",
        };
        let server = match self.servers {
            Servers::One => " + mlserver-0",
            Servers::None => "",
        };
        write!(formatter, "controller in {} ──9004──► {}: {scheduler}{server}", self.home, self.tenant)
    }
}

/// A mesh that was installed.
#[derive(Debug, Clone)]
pub struct InstalledMesh {
    controller_namespace: String,
    tenant: String,
    /// Namespace of the pod that sends requests.
    visitors: String,
    store: String,
    namespaces: Namespaces,
}

impl InstalledMesh {
    /// A mesh that somebody else installed, with its visitors in the tenant's namespace and no store of ours.
    pub(crate) fn of_others(controller_namespace: &str, tenant: &str) -> InstalledMesh {
        InstalledMesh {
            controller_namespace: controller_namespace.into(),
            tenant: tenant.into(),
            visitors: tenant.into(),
            store: String::new(),
            namespaces: Namespaces::plain(),
        }
    }

    /// The same controller, seen from another namespace that it watches.
    #[must_use]
    pub fn neighbour(&self, namespace: &str) -> InstalledMesh {
        let namespace = self.namespaces.place(namespace);
        InstalledMesh { tenant: namespace.clone(), visitors: namespace, ..self.clone() }
    }

    /// The same mesh with its visitor in another namespace that the controller watches.
    #[must_use]
    pub fn visited_from(&self, namespace: &str) -> InstalledMesh {
        InstalledMesh { visitors: self.namespaces.place(namespace), ..self.clone() }
    }

    /// The tenant's namespace.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The controller's namespace.
    pub fn controller_namespace(&self) -> &str {
        &self.controller_namespace
    }

    /// The controller's pod.
    pub fn controller(&self) -> PodQuery {
        pod("the controller", &self.controller_namespace, "control-plane=v2-controller-manager", "manager")
    }

    /// The scheduler's pod.
    pub fn scheduler(&self) -> PodQuery {
        pod("the scheduler", &self.tenant, "app.kubernetes.io/name=seldon-scheduler", "scheduler")
    }

    /// The agent, in the server's pod.
    pub fn agent(&self) -> PodQuery {
        pod("the agent", &self.tenant, "app.kubernetes.io/name=seldon-server", "agent")
    }

    /// Envoy's pod.
    pub fn envoy(&self) -> PodQuery {
        pod("envoy", &self.tenant, "app.kubernetes.io/name=seldon-envoy", "envoy")
    }

    /// The artefact store, in a namespace of its own.
    pub fn store(&self) -> PodQuery {
        pod("the artefact store", &self.store, "app=store", "store")
    }

    /// A pod that sends requests: one of the tenant's, unless said otherwise.
    pub fn visitor(&self) -> PodQuery {
        pod("a visitor", &self.visitors, "app=visitor", "toolbox")
    }

    /// `seldon-scheduler.<tenant>`, the one name the controller dials.
    pub fn scheduler_name(&self) -> String {
        format!("seldon-scheduler.{}", self.tenant)
    }

    /// The Server `mlserver`.
    pub fn server(&self) -> ObjectRef {
        ObjectRef::new(Kind::Server, &self.tenant, "mlserver")
    }

    /// Pods of the server are running: "no server pod appears" is this claim's opposite.
    pub fn has_server_pods(&self) -> Claim {
        self.server_pods("a server pod exists", |count| count > 0)
    }

    /// No server pod exists.
    pub fn has_no_server_pod(&self) -> Claim {
        self.server_pods("no server pod exists", |count| count == 0)
    }

    fn server_pods(&self, sentence: &str, judge: fn(usize) -> bool) -> Claim {
        let labels = "app.kubernetes.io/name=seldon-server".to_owned();
        let look = Look::Objects { kind: Kind::Pod, namespace: self.tenant.clone(), labels };
        Claim::new(sentence, look, move |seen| matches!(seen, Seen::Objects(pods) if judge(pods.len())))
    }

    /// The controller's log holds `text`.
    pub fn controller_logs(&self, text: &str) -> Claim {
        logs(&self.controller(), text)
    }

    /// The scheduler's log holds `text`.
    pub fn scheduler_logs(&self, text: &str) -> Claim {
        logs(&self.scheduler(), text)
    }

    /// A look-up of `name` from the controller's pod, with the habits of `style`.
    pub fn look_up(&self, style: DnsStyle, name: &str) -> Look {
        Look::Probe { from: self.controller(), probe: Probe::Dns { style, name: name.into() } }
    }

    /// Requests for `model` through Envoy.
    pub fn infer(&self, model: &str) -> Inference {
        Inference { mesh: self.clone(), model: model.into() }
    }

    /// A GET of `path` on the mesh.
    pub fn get(&self, path: &str) -> Look {
        self.request("GET", path, Vec::new(), None)
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        headers: Vec<(String, String)>,
        body: Option<String>,
    ) -> Look {
        let url = format!("http://seldon-mesh.{}{path}", self.tenant);
        Look::Probe {
            from: self.visitor(),
            probe: Probe::Http { method: method.into(), url, headers, body, limit_ms: 10_000 },
        }
    }
}

fn pod(name: &str, namespace: &str, labels: &str, container: &str) -> PodQuery {
    PodQuery {
        namespace: namespace.into(),
        labels: labels.into(),
        container: container.into(),
        name: name.into(),
    }
}

fn logs(pod: &PodQuery, text: &str) -> Claim {
    let wanted = text.to_owned();
    Claim::new(
        format!("{} logs {text:?}", pod.name),
        Look::Log(pod.clone()),
        move |seen| matches!(seen, Seen::Log(log) if log.contains(&wanted)),
    )
}

/// Requests for one model.
#[derive(Debug, Clone)]
pub struct Inference {
    mesh: InstalledMesh,
    model: String,
}

/// An iris that every classifier of the family calls class 0.
const SETOSA: [f32; 4] = [5.1, 3.5, 1.4, 0.2];

impl Inference {
    /// One request over HTTP, with the routing header.
    pub fn over_http(&self) -> Look {
        let headers = [("content-type", "application/json"), ("seldon-model", self.model.as_str())];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let path = format!("/v2/models/{}/infer", self.model);
        self.mesh.request("POST", &path, headers, Some(body().to_string()))
    }

    /// One request over gRPC, with the routing metadata.
    pub fn over_grpc(&self) -> Look {
        Look::Probe {
            from: self.mesh.visitor(),
            probe: Probe::GrpcInfer {
                host: format!("seldon-mesh.{}", self.mesh.tenant),
                port: 80,
                headers: vec![("seldon-model".into(), self.model.clone())],
                model: self.model.clone(),
                input: SETOSA.to_vec(),
                limit_ms: 10_000,
            },
        }
    }

    /// It answers 200 over HTTP.
    pub fn answers_200(&self) -> Claim {
        self.answers(200)
    }

    /// It answers with `status` over HTTP.
    pub fn answers(&self, status: u16) -> Claim {
        Claim::new(format!("{} answers {status}", self.model), self.over_http(), move |seen| {
            answered(seen, status)
        })
    }

    /// It answers 200 over HTTP `times` times in a row.
    pub fn answers_200_in_a_row(&self, times: u32) -> Claim {
        self.answers_200().in_a_row(times)
    }

    /// It answers over gRPC with status OK.
    pub fn answers_over_grpc(&self) -> Claim {
        Claim::new(format!("{} answers over gRPC", self.model), self.over_grpc(), |seen| match seen {
            Seen::Observed(observation) => grpc_ok(observation),
            Seen::Absent
            | Seen::Object(_)
            | Seen::Objects(_)
            | Seen::Table(_)
            | Seen::Log(_)
            | Seen::Hidden(_) => false,
        })
    }
}

/// Whether a probe saw this HTTP status.
pub(crate) fn answered(seen: &Seen, status: u16) -> bool {
    matches!(seen, Seen::Observed(observation) if observation.status() == Some(status))
}

fn grpc_ok(observation: &Observation) -> bool {
    matches!(observation.detail, toolbox::Detail::Grpc { code: 0, .. })
}

/// A request that every mesh with the iris answers with class 0.
pub(crate) fn body() -> Value {
    json!({"inputs": [{"name": "predict", "shape": [1, 4], "datatype": "FP32", "data": SETOSA}]})
}
