//! From a container's specification to its running process.

use std::os::fd::AsFd;
use std::path::PathBuf;

use indexmap::IndexMap;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Secret, Service};
use kube::Api;
use kube::api::ListParams;
use serde::de::DeserializeOwned;

use super::environment::{self, ConfigError, References, expand};
use super::mounts::{self, OwnFiles};
use super::pod::{PodRuntime, Running};
use super::sandbox::SandboxFiles;
use crate::ProgramImage;
use crate::container::{Command, ContainerSpec, PodNetwork, Process, StartError, Stdio, ToInit};

/// What a container is started from.
pub(super) struct Prepared {
    spec: ContainerSpec,
    message_file: PathBuf,
}

/// Resolves everything that a container refers to.
pub(super) async fn prepare(
    runtime: &PodRuntime,
    container: &Container,
    image: &ProgramImage,
    files: &SandboxFiles,
) -> Result<Prepared, ConfigError> {
    let pod = runtime.object();
    let references = gather(runtime, container).await?;
    let own = environment::compose(&pod, container, &references, runtime.live())?;
    let settings = &runtime.shared.settings;
    let directory = runtime.shared.pod_directory(&pod).join("containers");
    let message_file = directory.join(&container.name);
    let write = |error: std::io::Error| ConfigError(format!("write {}: {error}", message_file.display()));
    std::fs::create_dir_all(&directory).map_err(write)?;
    std::fs::write(&message_file, "").map_err(write)?;
    let own_files = OwnFiles {
        resolv_conf: files.resolv_conf.clone(),
        hosts: files.hosts.clone(),
        hostname: files.hostname.clone(),
        termination_message: message_file.clone(),
    };
    let mounts = mounts::plan(container, &runtime.volumes(), &own, &own_files)?;
    let mut variables: IndexMap<String, String> = IndexMap::new();
    variables
        .insert("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    variables.insert("HOSTNAME".to_owned(), files.kernel_hostname.clone());
    variables.extend(image.env.clone());
    variables.insert(pace::VARIABLE.to_owned(), settings.pace.factor().to_string());
    let arguments = command_line(container, image, &own);
    variables.extend(own);
    variables.entry("HOME".to_owned()).or_insert_with(|| "/root".to_owned());
    let working_dir =
        container.working_dir.clone().filter(|it| !it.is_empty()).or_else(|| image.working_dir.clone());
    let network = if runtime.link().is_some() { PodNetwork::Own } else { PodNetwork::Host };
    let command = Command {
        arguments,
        environment: variables,
        working_dir: working_dir.unwrap_or_else(|| "/".to_owned()),
        programs: image.programs.clone(),
    };
    let spec = ContainerSpec {
        network,
        hostname: files.kernel_hostname.clone(),
        staging: settings.state_dir.join("staging"),
        command,
        mounts,
        files: image.files.clone(),
        visible: settings.visible.clone(),
    };
    Ok(Prepared { spec, message_file })
}

/// `command` replaces the image's entrypoint and its command, `args` its command alone.
fn command_line(
    container: &Container,
    image: &ProgramImage,
    environment: &IndexMap<String, String>,
) -> Vec<String> {
    let command = container.command.as_ref().filter(|it| !it.is_empty());
    let arguments = container.args.as_ref().filter(|it| !it.is_empty());
    let expanded = |list: &[String]| list.iter().map(|it| expand(it, environment)).collect::<Vec<_>>();
    match (command, arguments) {
        (Some(command), None) => expanded(command),
        (Some(command), Some(arguments)) => [expanded(command), expanded(arguments)].concat(),
        (None, Some(arguments)) => [image.entrypoint.clone(), expanded(arguments)].concat(),
        (None, None) => [image.entrypoint.clone(), image.command.clone()].concat(),
    }
}

async fn gather(runtime: &PodRuntime, container: &Container) -> Result<References, ConfigError> {
    let (maps, secrets) = environment::referred(container);
    let mut references = References::default();
    for name in maps {
        let map = get::<ConfigMap>(runtime, &name).await?;
        references.config_maps.insert(name, map);
    }
    for name in secrets {
        let secret = get::<Secret>(runtime, &name).await?;
        references.secrets.insert(name, secret);
    }
    let own = runtime.namespace.as_str();
    for namespace in [own, "default"].iter().take(if own == "default" { 1 } else { 2 }) {
        let api: Api<Service> = Api::namespaced(runtime.shared.client.clone(), namespace);
        let list = api.list(&ListParams::default()).await.map_err(|error| ConfigError(error.to_string()))?;
        references.services.extend(list);
    }
    Ok(references)
}

async fn get<K>(runtime: &PodRuntime, name: &str) -> Result<Option<K>, ConfigError>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(runtime.shared.client.clone(), &runtime.namespace);
    api.get_opt(name).await.map_err(|error| ConfigError(error.to_string()))
}

/// Starts the process; its output goes to the log of run `number`.
pub(super) async fn start(
    runtime: &PodRuntime,
    container: &Container,
    prepared: Prepared,
    number: u32,
) -> Result<Running, (StartError, String)> {
    let container_id = new_id();
    let named = |error: StartError| (error, container_id.clone());
    let (output, error) =
        runtime.make_logs(&container.name).begin(number).map_err(|error| named(error.into()))?;
    let link = runtime.link();
    let command = prepared.spec.command.clone();
    let started_at = Timestamp::now();
    let streams = Stdio { input: None, output, error };
    let network = link.as_ref().map(|it| it.namespace().as_fd().try_clone_to_owned()).transpose();
    let network = network.map_err(|error| named(error.into()))?;
    let request = ToInit::Start(prepared.spec);
    let process = Process::start(request, network.as_ref().map(AsFd::as_fd), streams).await.map_err(named)?;
    Ok(Running { process, command, started_at, container_id, message_file: prepared.message_file })
}

/// 64 hexadecimal digits, as containerd names its containers.
fn new_id() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::image(json!({}), &["entry", "cmd"])]
    #[case::arguments(json!({"args": ["$(X)"]}), &["entry", "x"])]
    #[case::command(json!({"command": ["/bin/sh"]}), &["/bin/sh"])]
    #[case::both(json!({"command": ["/bin/sh"], "args": ["-c", "$$(X)"]}), &["/bin/sh", "-c", "$(X)"])]
    #[case::empty_lists_do_not_count(json!({"command": [], "args": []}), &["entry", "cmd"])]
    fn command_lines(#[case] mut container: Value, #[case] expected: &[&str]) {
        container["name"] = json!("c");
        let container = serde_json::from_value(container).unwrap();
        let image = ProgramImage {
            entrypoint: vec!["entry".to_owned()],
            command: vec!["cmd".to_owned()],
            ..ProgramImage::default()
        };
        let environment = [("X".to_owned(), "x".to_owned())].into_iter().collect();
        assert_eq!(command_line(&container, &image, &environment), expected);
    }
}
