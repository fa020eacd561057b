//! Where the scheduler's name leads in a namespace that has no scheduler.

use serde_json::{Value, json};

use crate::mesh::InstalledMesh;
use crate::object::{Kind, ObjectRef};
use crate::undo::Undo;
use crate::world::World;

/// An address of the block for documentation: nobody answers there, nor says so.
const NOBODY: &str = "192.0.2.1";

/// What stands behind the Service `seldon-scheduler`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// No pod: the node refuses.
    Nothing,
    /// A pod on whose port 9004 nobody listens: the pod refuses.
    ClosedPort,
    /// An address that swallows what is sent to it.
    Silence,
    /// An alias for the scheduler of another namespace.
    SchedulerOf(&'static str),
}

impl Behind {
    fn service(self, namespace: &str) -> Value {
        let ports = json!([{"name": "scheduler", "port": 9004}]);
        let spec = match self {
            Behind::Nothing => json!({"selector": {"app": "nobody"}, "ports": ports}),
            Behind::ClosedPort => json!({"selector": {"app": "visitor"}, "ports": ports}),
            Behind::Silence => json!({"ports": ports}),
            Behind::SchedulerOf(other) => {
                json!({"type": "ExternalName", "externalName": format!("seldon-scheduler.{other}.svc.cluster.local")})
            }
        };
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "seldon-scheduler", "namespace": namespace}, "spec": spec,
        })
    }
}

fn silent_endpoint(namespace: &str) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": "seldon-scheduler-nobody", "namespace": namespace,
            "labels": {"kubernetes.io/service-name": "seldon-scheduler"},
        },
        "endpoints": [{"addresses": [NOBODY]}],
        "ports": [{"name": "scheduler", "port": 9004, "protocol": "TCP"}],
    })
}

impl World {
    /// Makes a new Service `seldon-scheduler` in the tenant of `mesh`, which has no scheduler of its own.
    ///
    /// # Errors
    /// The API server's.
    pub async fn lead_scheduler_name(&self, mesh: &InstalledMesh, behind: Behind) -> anyhow::Result<()> {
        self.step(format!("{} leads to {behind:?}", mesh.scheduler_name()))?;
        let service = ObjectRef::new(Kind::Service, mesh.tenant(), "seldon-scheduler");
        let slice = ObjectRef::new(Kind::EndpointSlice, mesh.tenant(), "seldon-scheduler-nobody");
        for old in [&service, &slice] {
            old.delete(self.hand()?).await?;
        }
        self.undo_later(Undo::Delete(service));
        if behind == Behind::Silence {
            self.undo_later(Undo::Delete(slice));
            self.apply_all(&[silent_endpoint(mesh.tenant())]).await?;
        }
        self.apply_all(&[behind.service(mesh.tenant())]).await
    }
}
