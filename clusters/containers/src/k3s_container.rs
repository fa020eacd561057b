//! Starting it, and its kubeconfig.

use std::path::PathBuf;
use std::time::Duration;

use testcontainers_modules::k3s::{K3s, KUBE_SECURE_PORT};
use testcontainers_modules::testcontainers::core::{ExecCommand, IntoContainerPort, Mount};
use testcontainers_modules::testcontainers::runners::AsyncRunner;
use testcontainers_modules::testcontainers::{
    ContainerAsync, ContainerRequest, ImageExt, TestcontainersError,
};

/// Where k3s writes its kubeconfig.
const KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";
/// How often it is looked for.
const GLANCE: Duration = Duration::from_millis(250);

/// A k3s container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Image without tag.
    pub image: String,
    /// Tag.
    pub tag: String,
    /// What k3s is told.
    pub arguments: Vec<String>,
    /// Port of the host on which its API is published; 0 lets Docker choose.
    pub api_port: u16,
    /// Further published ports: inside, and outside on every address of the host.
    pub ports: Vec<(u16, u16)>,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Directories of the host, and where they are inside.
    pub mounts: Vec<(PathBuf, String)>,
    /// How long it may take until it runs and has written its kubeconfig, its image's pull included.
    pub limit: Duration,
}

/// Why a container does not run.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The Docker API's answer.
    #[error("container {name}: {}", told(.source))]
    Docker {
        /// The container.
        name: String,
        /// The answer.
        source: Box<TestcontainersError>,
    },
    /// It did not come up in time.
    #[error("container {name} was not up within {} s: {last}", .limit.as_secs())]
    Late {
        /// The container.
        name: String,
        /// How long it was given.
        limit: Duration,
        /// What was seen last.
        last: &'static str,
    },
}

/// An error with its causes: the daemon's own words are the last of them.
fn told(error: &TestcontainersError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// Starts it and returns its kubeconfig, which names the port on the host. It goes on when this program ends: whoever
/// started it removes it.
///
/// # Errors
/// [`ContainerError`]; nothing of the container is left then.
pub async fn start(wanted: &Container) -> Result<String, ContainerError> {
    let late = |last| ContainerError::Late { name: wanted.name.clone(), limit: wanted.limit, last };
    let docker = |source| ContainerError::Docker { name: wanted.name.clone(), source: Box::new(source) };
    let up = async {
        let container = request(wanted).start().await.map_err(docker)?;
        let port = container.get_host_port_ipv4(KUBE_SECURE_PORT).await.map_err(docker)?;
        let text = kubeconfig(&container).await.map_err(docker)?;
        Ok((container, text.replace(":6443", &format!(":{port}"))))
    };
    match tokio::time::timeout(wanted.limit, up).await {
        Ok(Ok((container, text))) => {
            // It would be removed with this value; that is left to a plan, which works after a kill too.
            std::mem::forget(container);
            Ok(text)
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(late("it has not written its kubeconfig")),
    }
}

fn request(wanted: &Container) -> ContainerRequest<K3s> {
    let mut request = K3s::default()
        .with_name(&wanted.image)
        .with_tag(&wanted.tag)
        .with_container_name(&wanted.name)
        .with_cmd(&wanted.arguments)
        .with_privileged(true)
        .with_userns_mode("host")
        .with_startup_timeout(wanted.limit)
        .with_labels(wanted.labels.iter().cloned())
        // Whether it is Ready is asked of its API, not read from its log.
        .with_ready_conditions(Vec::new());
    // Once a port is mapped, no other is published by itself.
    request = request.with_mapped_port(wanted.api_port, KUBE_SECURE_PORT);
    for (inside, outside) in &wanted.ports {
        request = request.with_mapped_port(*outside, inside.tcp());
    }
    for (outside, inside) in &wanted.mounts {
        request = request.with_mount(Mount::bind_mount(outside.display().to_string(), inside));
    }
    request
}

async fn kubeconfig(container: &ContainerAsync<K3s>) -> Result<String, TestcontainersError> {
    let mut ticks = tokio::time::interval(GLANCE);
    loop {
        ticks.tick().await;
        let mut read = container.exec(ExecCommand::new(["cat", KUBECONFIG])).await?;
        let text = String::from_utf8_lossy(&read.stdout_to_vec().await?).into_owned();
        // It is written in one go, after the certificates in it.
        if text.contains("client-key-data") {
            return Ok(text);
        }
    }
}
