//! Custom resources as the scheduler's messages.

use kube::Resource;
use seldon_crds::{Experiment, JoinType, Model, Pipeline, PipelineInput, PipelineStep, ResourceType, Server};
use seldon_proto::scheduler as proto;

use crate::quantity;
use crate::scaling;

/// Namespace and generation: by the generation, events for old states of an object are told apart.
pub(super) fn meta(object: &impl Resource) -> proto::KubernetesMeta {
    let meta = object.meta();
    proto::KubernetesMeta {
        namespace: meta.namespace.clone().unwrap_or_default(),
        generation: meta.generation.unwrap_or_default(),
    }
}

fn name(object: &impl Resource) -> String {
    object.meta().name.clone().unwrap_or_default()
}

/// A Model; fails on counts out of bounds, a memory that is no whole number of bytes, and explainer with llm.
pub(super) fn model(model: &Model) -> Result<proto::Model, String> {
    let spec = &model.spec;
    if spec.explainer.is_some() && spec.llm.is_some() {
        return Err("Can't have both explainer and llm in model spec.".to_owned());
    }
    let scaling = scaling::validated(spec.replicas, spec.min_replicas, spec.max_replicas)?;
    let memory_bytes = match &spec.memory {
        None => None,
        Some(quantity) => Some(quantity::whole(quantity).ok_or_else(|| {
            let text = quantity.as_str().map_or_else(|| quantity.to_string(), str::to_owned);
            format!("Can't convert model memory quantity to bytes. {text}")
        })?),
    };
    let requirements = spec.requirements.iter().chain(&spec.model_type).cloned().collect();
    let parameters = spec.parameters.iter().map(|parameter| proto::ParameterSpec {
        name: parameter.name.clone(),
        value: parameter.value.clone(),
    });
    Ok(proto::Model {
        meta: Some(proto::MetaData {
            name: name(model),
            kubernetes_meta: Some(meta(model)),
            ..Default::default()
        }),
        model_spec: Some(proto::ModelSpec {
            uri: spec.storage_uri.clone(),
            artifact_version: spec.artifact_version,
            storage_config: spec.secret_name.clone().map(|secret| proto::StorageConfig {
                config: Some(proto::storage_config::Config::StorageSecretName(secret)),
            }),
            requirements,
            memory_bytes,
            server: spec.server.clone(),
            parameters: parameters.collect(),
            model_spec: special(model),
            ..Default::default()
        }),
        deployment_spec: Some(proto::DeploymentSpec {
            replicas: scaling.replicas,
            min_replicas: scaling.min_replicas,
            max_replicas: scaling.max_replicas,
            log_payloads: spec.logger.is_some(),
        }),
        stream_spec: None,
        dataflow_spec: spec.dataflow.as_ref().map(dataflow),
    })
}

fn dataflow(spec: &seldon_crds::DataflowSpec) -> proto::DataflowSpec {
    proto::DataflowSpec { clean_topics_on_delete: spec.clean_topics_on_delete }
}

fn special(model: &Model) -> Option<proto::model_spec::ModelSpec> {
    let explainer = model.spec.explainer.as_ref().map(|explainer| {
        proto::model_spec::ModelSpec::Explainer(proto::ExplainerSpec {
            r#type: explainer.kind.clone(),
            model_ref: explainer.model_ref.clone(),
            pipeline_ref: explainer.pipeline_ref.clone(),
        })
    });
    explainer.or_else(|| {
        model.spec.llm.as_ref().map(|llm| {
            proto::model_spec::ModelSpec::Llm(proto::LlmSpec {
                model_ref: llm.model_ref.clone(),
                pipeline_ref: llm.pipeline_ref.clone(),
            })
        })
    })
}

/// A Server; one that is being deleted expects no replica.
pub(super) fn server(server: &Server) -> Result<proto::ServerNotify, String> {
    let spec = &server.spec;
    let scaling = if server.metadata.deletion_timestamp.is_some() {
        scaling::Scaling { replicas: 0, min_replicas: 0, max_replicas: 0 }
    } else {
        scaling::validated(spec.replicas, spec.min_replicas, spec.max_replicas)?
    };
    Ok(proto::ServerNotify {
        name: name(server),
        expected_replicas: scaling.replicas,
        shared: false,
        kubernetes_meta: Some(meta(server)),
        min_replicas: scaling.min_replicas,
        max_replicas: scaling.max_replicas,
    })
}

/// An Experiment.
pub(super) fn experiment(experiment: &Experiment) -> proto::Experiment {
    let spec = &experiment.spec;
    let candidates = spec.candidates.iter().map(|candidate| proto::ExperimentCandidate {
        name: candidate.name.clone(),
        weight: candidate.weight,
    });
    let resource_type = match spec.resource_type {
        Some(ResourceType::Pipeline) => proto::ResourceType::Pipeline,
        Some(ResourceType::Model) | None => proto::ResourceType::Model,
    };
    proto::Experiment {
        name: name(experiment),
        default: spec.default.clone(),
        candidates: candidates.collect(),
        mirror: spec
            .mirror
            .as_ref()
            .map(|mirror| proto::ExperimentMirror { name: mirror.name.clone(), percent: mirror.percent }),
        config: None,
        kubernetes_meta: Some(meta(experiment)),
        resource_type: resource_type.into(),
    }
}

/// INNER 0, OUTER 1, ANY 2, in all three places where a join is named.
fn join(join: Option<JoinType>) -> i32 {
    match join {
        Some(JoinType::Inner) | None => 0,
        Some(JoinType::Outer) => 1,
        Some(JoinType::Any) => 2,
    }
}

/// A Pipeline; its uid is given by the scheduler.
pub(super) fn pipeline(pipeline: &Pipeline) -> proto::Pipeline {
    let spec = &pipeline.spec;
    proto::Pipeline {
        name: name(pipeline),
        steps: spec.steps.iter().map(step).collect(),
        input: spec.input.as_ref().map(input),
        output: spec.output.as_ref().map(|output| proto::PipelineOutput {
            steps: output.steps.clone(),
            join_window_ms: output.join_window_ms,
            steps_join: join(output.steps_join),
            tensor_map: output.tensor_map.clone().into_iter().collect(),
        }),
        kubernetes_meta: Some(meta(pipeline)),
        dataflow_spec: spec.dataflow.as_ref().map(dataflow),
        allow_cycles: spec.allow_cycles,
        max_step_revisits: spec.max_step_revisits,
        ..Default::default()
    }
}

fn step(step: &PipelineStep) -> proto::PipelineStep {
    proto::PipelineStep {
        name: step.name.clone(),
        inputs: step.inputs.clone(),
        join_window_ms: step.join_window_ms,
        tensor_map: step.tensor_map.clone().into_iter().collect(),
        inputs_join: join(step.inputs_join_type),
        triggers: step.triggers.clone(),
        triggers_join: join(step.triggers_join_type),
        batch: step.batch.as_ref().map(|batch| proto::Batch { size: batch.size, window_ms: batch.window_ms }),
    }
}

fn input(input: &PipelineInput) -> proto::PipelineInput {
    proto::PipelineInput {
        external_inputs: input.external_inputs.clone(),
        external_triggers: input.external_triggers.clone(),
        join_window_ms: input.join_window_ms,
        join_type: join(input.join_type),
        triggers_join: join(input.triggers_join_type),
        tensor_map: input.tensor_map.clone().into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use seldon_crds::{LlmSpec, ModelSpec};
    use serde_json::json;

    fn iris(change: impl FnOnce(&mut ModelSpec)) -> Result<proto::Model, String> {
        let mut spec: ModelSpec = serde_json::from_value(json!({
            "storageUri": "s3://models/iris", "secretName": "store", "requirements": ["sklearn"], "memory": "100Ki",
        }))
        .unwrap();
        change(&mut spec);
        let mut object = Model::new("iris", spec);
        object.metadata.namespace = Some("seldon-mesh".into());
        object.metadata.generation = Some(3);
        model(&object)
    }

    #[test]
    fn a_model_in_the_schedulers_words() {
        let message = iris(|spec| spec.model_type = Some("extra".into())).unwrap();
        let spec = message.model_spec.unwrap();
        assert_eq!((spec.uri.as_str(), spec.memory_bytes), ("s3://models/iris", Some(102_400)));
        assert_eq!(spec.requirements, ["sklearn", "extra"]);
        let meta = message.meta.unwrap().kubernetes_meta.unwrap();
        assert_eq!((meta.namespace.as_str(), meta.generation), ("seldon-mesh", 3));
        assert_eq!(message.deployment_spec.unwrap().replicas, 1);
    }

    #[rstest]
    #[case::memory(|spec: &mut ModelSpec| spec.memory = Some(json!("0.5")), "Can't convert model memory quantity to bytes. 0.5")]
    #[case::replicas(|spec: &mut ModelSpec| { spec.replicas = Some(1); spec.min_replicas = Some(2); },
        "number of replicas 1 must be >= min replicas  2")]
    #[case::both(|spec: &mut ModelSpec| { spec.explainer = Some(Default::default()); spec.llm = Some(LlmSpec::default()); },
        "Can't have both explainer and llm in model spec.")]
    fn what_is_refused_without_asking(#[case] change: fn(&mut ModelSpec), #[case] text: &str) {
        assert_eq!(iris(change).unwrap_err(), text);
    }
}
