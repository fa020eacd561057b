//! A container's environment, as kubelet 1.33 composes it.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, Pod, Secret, Service};

use super::field_ref::{self, Live};

/// The objects that a container's environment may refer to; an absent one is `None`.
#[derive(Debug, Default)]
pub(crate) struct References {
    pub(crate) config_maps: BTreeMap<String, Option<ConfigMap>>,
    pub(crate) secrets: BTreeMap<String, Option<Secret>>,
    /// The Services of the pod's namespace, and `kubernetes` of `default`.
    pub(crate) services: Vec<Service>,
}

/// Why a container cannot be made: the message of `CreateContainerConfigError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(pub(crate) String);

/// Names of the ConfigMaps and Secrets that `container` refers to.
pub(crate) fn referred(container: &Container) -> (Vec<String>, Vec<String>) {
    let (mut maps, mut secrets) = (Vec::new(), Vec::new());
    for source in container.env_from.iter().flatten() {
        maps.extend(source.config_map_ref.iter().map(|it| it.name.clone()));
        secrets.extend(source.secret_ref.iter().map(|it| it.name.clone()));
    }
    for source in container.env.iter().flatten().filter_map(|it| it.value_from.as_ref()) {
        maps.extend(source.config_map_key_ref.iter().map(|it| it.name.clone()));
        secrets.extend(source.secret_key_ref.iter().map(|it| it.name.clone()));
    }
    (maps, secrets)
}

/// The container's variables, without those of its image.
pub(crate) fn compose(
    pod: &Pod,
    container: &Container,
    references: &References,
    live: Live<'_>,
) -> Result<IndexMap<String, String>, ConfigError> {
    let mut result = from_sources(container, references)?;
    let links = pod.spec.as_ref().and_then(|it| it.enable_service_links) != Some(false);
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let services = service_variables(&references.services, namespace, links);
    let mut expansion = services.clone();
    expansion.extend(result.clone());
    for variable in container.env.iter().flatten() {
        let Some(value) = value(pod, container, variable, references, live, &expansion)? else { continue };
        expansion.insert(variable.name.clone(), value.clone());
        result.insert(variable.name.clone(), value);
    }
    for (name, value) in services {
        result.entry(name).or_insert(value);
    }
    Ok(result)
}

fn from_sources(
    container: &Container,
    references: &References,
) -> Result<IndexMap<String, String>, ConfigError> {
    let mut result = IndexMap::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        if let Some(reference) = &source.config_map_ref {
            let map = references.config_maps.get(&reference.name).and_then(Option::as_ref);
            let map =
                required(map, reference.optional, || format!("configmap \"{}\" not found", reference.name))?;
            let data = map.and_then(|it| it.data.as_ref()).into_iter().flatten();
            result.extend(data.map(|(key, value)| (format!("{prefix}{key}"), value.clone())));
        }
        if let Some(reference) = &source.secret_ref {
            let secret = references.secrets.get(&reference.name).and_then(Option::as_ref);
            let secret =
                required(secret, reference.optional, || format!("secret \"{}\" not found", reference.name))?;
            let data = secret.and_then(|it| it.data.as_ref()).into_iter().flatten();
            result.extend(data.map(|(key, value)| {
                (format!("{prefix}{key}"), String::from_utf8_lossy(&value.0).into_owned())
            }));
        }
    }
    Ok(result)
}

fn required<T>(
    value: Option<T>,
    optional: Option<bool>,
    words: impl FnOnce() -> String,
) -> Result<Option<T>, ConfigError> {
    if value.is_none() && optional != Some(true) { Err(ConfigError(words())) } else { Ok(value) }
}

/// The value of one variable; `None` when an optional source is absent.
fn value(
    pod: &Pod,
    container: &Container,
    variable: &EnvVar,
    references: &References,
    live: Live<'_>,
    known: &IndexMap<String, String>,
) -> Result<Option<String>, ConfigError> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let Some(source) = &variable.value_from else {
        return Ok(Some(expand(variable.value.as_deref().unwrap_or_default(), known)));
    };
    if let Some(selector) = &source.field_ref {
        let value = field_ref::field(pod, selector, live);
        let words = || ConfigError(format!("unsupported fieldPath: {}", selector.field_path));
        return value.map(Some).ok_or_else(words);
    }
    if let Some(selector) = &source.resource_field_ref {
        let value = field_ref::resource(pod, Some(container), selector);
        return value
            .map(Some)
            .ok_or_else(|| ConfigError(format!("unsupported container resource : {}", selector.resource)));
    }
    if let Some(selector) = &source.config_map_key_ref {
        let map = references.config_maps.get(&selector.name).and_then(Option::as_ref);
        let Some(map) =
            required(map, selector.optional, || format!("configmap \"{}\" not found", selector.name))?
        else {
            return Ok(None);
        };
        let value = map.data.as_ref().and_then(|it| it.get(&selector.key)).cloned();
        return required(value, selector.optional, || {
            format!("couldn't find key {} in ConfigMap {namespace}/{}", selector.key, selector.name)
        });
    }
    if let Some(selector) = &source.secret_key_ref {
        let secret = references.secrets.get(&selector.name).and_then(Option::as_ref);
        let Some(secret) =
            required(secret, selector.optional, || format!("secret \"{}\" not found", selector.name))?
        else {
            return Ok(None);
        };
        let value = secret.data.as_ref().and_then(|it| it.get(&selector.key));
        let value = value.map(|it| String::from_utf8_lossy(&it.0).into_owned());
        return required(value, selector.optional, || {
            format!("couldn't find key {} in Secret {namespace}/{}", selector.key, selector.name)
        });
    }
    Ok(Some(String::new()))
}

/// `$(NAME)` becomes the variable's value when it is known, `$$` becomes `$`; anything else stays.
pub(crate) fn expand(text: &str, known: &IndexMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            result.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|it| it.split_once(')')) {
            match known.get(name) {
                Some(value) => result.push_str(value),
                None => result.push_str(&rest[at..=at + name.len() + 2]),
            }
            rest = tail;
        } else {
            result.push('$');
            rest = after;
        }
    }
    result + rest
}

/// `{NAME}_SERVICE_HOST` and its kin: of `kubernetes` in `default` always, of the own namespace with service links.
fn service_variables(services: &[Service], namespace: &str, links: bool) -> IndexMap<String, String> {
    let mut result = IndexMap::new();
    let master = |it: &&Service| {
        it.metadata.namespace.as_deref() == Some("default")
            && it.metadata.name.as_deref() == Some("kubernetes")
    };
    let own = services.iter().filter(|it| links && it.metadata.namespace.as_deref() == Some(namespace));
    for service in services.iter().filter(master).chain(own) {
        let spec = service.spec.as_ref();
        let Some(address) =
            spec.and_then(|it| it.cluster_ip.as_deref()).filter(|it| !it.is_empty() && *it != "None")
        else {
            continue;
        };
        let name = service.metadata.name.as_deref().unwrap_or_default().to_uppercase().replace('-', "_");
        let ports = spec.and_then(|it| it.ports.as_deref()).unwrap_or_default();
        let Some(first) = ports.first() else { continue };
        result.insert(format!("{name}_SERVICE_HOST"), address.to_owned());
        result.insert(format!("{name}_SERVICE_PORT"), first.port.to_string());
        for port in ports {
            if let Some(port_name) = port.name.as_deref().filter(|it| !it.is_empty()) {
                let port_name = port_name.to_uppercase().replace('-', "_");
                result.insert(format!("{name}_SERVICE_PORT_{port_name}"), port.port.to_string());
            }
        }
        for (index, port) in ports.iter().enumerate() {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let prefix = format!("{name}_PORT_{}_{protocol}", port.port);
            let url = format!("{}://{address}:{}", protocol.to_lowercase(), port.port);
            if index == 0 {
                result.insert(format!("{name}_PORT"), url.clone());
            }
            result.insert(prefix.clone(), url);
            result.insert(format!("{prefix}_PROTO"), protocol.to_lowercase());
            result.insert(format!("{prefix}_PORT"), port.port.to_string());
            result.insert(format!("{prefix}_ADDR"), address.to_owned());
        }
    }
    result
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
