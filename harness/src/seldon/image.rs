//! Images of somebody's own builds in the place of the charts' ones.

use std::fmt;
use std::str::FromStr;

use clusters::parse_reference;
use serde_json::{Value, json};

/// A program of Seldon's that has an image of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is Seldon's component of that name")]
pub enum Component {
    Controller,
    Scheduler,
    Envoy,
    Agent,
    Rclone,
    Mlserver,
    Modelgateway,
    Pipelinegateway,
    Dataflow,
    Hodometer,
}

impl Component {
    /// All of them.
    pub const ALL: [Component; 10] = [
        Component::Controller,
        Component::Scheduler,
        Component::Envoy,
        Component::Agent,
        Component::Rclone,
        Component::Mlserver,
        Component::Modelgateway,
        Component::Pipelinegateway,
        Component::Dataflow,
        Component::Hodometer,
    ];

    /// As the setup chart's values call it.
    pub fn word(self) -> &'static str {
        match self {
            Component::Controller => "controller",
            Component::Scheduler => "scheduler",
            Component::Envoy => "envoy",
            Component::Agent => "agent",
            Component::Rclone => "rclone",
            Component::Mlserver => "mlserver",
            Component::Modelgateway => "modelgateway",
            Component::Pipelinegateway => "pipelinegateway",
            Component::Dataflow => "dataflow",
            Component::Hodometer => "hodometer",
        }
    }

    /// What stands before it in the setup chart's values: a server's containers are its configuration's.
    fn below(self) -> Option<&'static str> {
        match self {
            Component::Agent | Component::Rclone | Component::Mlserver => Some("serverConfig"),
            Component::Controller
            | Component::Scheduler
            | Component::Envoy
            | Component::Modelgateway
            | Component::Pipelinegateway
            | Component::Dataflow
            | Component::Hodometer => None,
        }
    }
}

/// `COMPONENT=REF`: an image in the place of the charts' one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOverride {
    component: Component,
    registry: String,
    repository: String,
    tag: String,
}

/// What is no `COMPONENT=REF`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadImage {
    /// No `=`, or nothing on one side of it.
    #[error("{0:?} is no COMPONENT=REF, such as agent=docker.io/library/seldon-agent:mine")]
    Form(String),
    /// The component is none.
    #[error("Seldon has no component {component:?}; there are: {}", Component::ALL.map(Component::word).join(", "))]
    Component {
        /// What was said.
        component: String,
    },
    /// The image has neither tag nor digest.
    #[error("{reference:?} has no tag: what `latest` is today is nothing to judge; name a tag or a digest")]
    Untagged {
        /// What was said.
        reference: String,
    },
}

impl FromStr for ImageOverride {
    type Err = BadImage;

    fn from_str(text: &str) -> Result<ImageOverride, BadImage> {
        let form = || BadImage::Form(text.to_owned());
        let (word, reference) = text.split_once('=').ok_or_else(form)?;
        if word.is_empty() || reference.is_empty() || reference.contains(char::is_whitespace) {
            return Err(form());
        }
        let component = Component::ALL.into_iter().find(|component| component.word() == word);
        let component = component.ok_or_else(|| BadImage::Component { component: word.to_owned() })?;
        let last = reference.rsplit('/').next().unwrap_or(reference);
        if !last.contains([':', '@']) {
            return Err(BadImage::Untagged { reference: reference.to_owned() });
        }
        let full = parse_reference(reference).ok_or_else(form)?;
        // The charts join registry, repository and tag by `/` and `:`; a digest is written so that this joins it, too.
        let (registry, rest) = full.split_once('/').ok_or_else(form)?;
        let (repository, tag) = rest.rsplit_once(':').ok_or_else(form)?;
        Ok(ImageOverride {
            component,
            registry: registry.into(),
            repository: repository.into(),
            tag: tag.into(),
        })
    }
}

impl fmt::Display for ImageOverride {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.component.word(), self.reference())
    }
}

impl ImageOverride {
    /// The image.
    pub fn reference(&self) -> String {
        format!("{}/{}:{}", self.registry, self.repository, self.tag)
    }

    /// Writes it into the setup chart's values.
    pub(super) fn put(&self, values: &mut Value) {
        let place = match self.component.below() {
            Some(above) => &mut values[above][self.component.word()],
            None => &mut values[self.component.word()],
        };
        place["image"] = json!({"registry": self.registry, "repository": self.repository, "tag": self.tag});
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::official("agent=seldonio/seldon-agent:2.9.1", "agent=docker.io/seldonio/seldon-agent:2.9.1")]
    #[case::imported("agent=seldon-agent:pr1", "agent=docker.io/library/seldon-agent:pr1")]
    #[case::port("envoy=localhost:5000/envoy:x", "envoy=localhost:5000/envoy:x")]
    #[case::own_registry("scheduler=r.example.com/a/b/c:1", "scheduler=r.example.com/a/b/c:1")]
    #[case::digest(
        "rclone=r.example.com/a/b@sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f",
        "rclone=r.example.com/a/b@sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"
    )]
    fn references_are_read_as_container_engines_read_them(#[case] text: &str, #[case] meant: &str) {
        assert_eq!(text.parse::<ImageOverride>().unwrap().to_string(), meant);
    }

    #[rstest]
    #[case::no_reference("agent", "no COMPONENT=REF")]
    #[case::nothing("agent=", "no COMPONENT=REF")]
    #[case::no_tag("agent=a/foo:", "no COMPONENT=REF")]
    #[case::unknown(
        "triton=a/b:1",
        "no component \"triton\"; there are: controller, scheduler, envoy, agent"
    )]
    #[case::untagged("agent=localhost:5000/agent", "has no tag")]
    fn what_is_no_image_is_said(#[case] text: &str, #[case] said: &str) {
        let error = text.parse::<ImageOverride>().unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
