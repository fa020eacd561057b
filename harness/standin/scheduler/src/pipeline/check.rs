//! Which pipelines Seldon 2.9.1 refuses, and how it says so.

use std::collections::{BTreeMap, BTreeSet};

use seldon_proto::scheduler as pb;

use crate::store::lifecycle::valid_name;

/// Why a pipeline was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PipelineError {
    #[error("pipeline {0} not found")]
    NotFound(String),
    #[error("pipeline {0} still terminating")]
    Terminating(String),
    #[error("pipeline {0} does not have a valid name - it must be alphanmumeric and cannot contain dots (.)")]
    InvalidName(String),
    #[error("pipeline {0} has no steps defined")]
    NoSteps(String),
    #[error("pipeline {pipeline} has repeated step {step}")]
    RepeatedStep { pipeline: String, step: String },
    #[error("pipeline {0} must not have a step name with the same name as pipeline name")]
    StepNamedAsPipeline(String),
    #[error("pipeline {pipeline} step {step} has an empty {kind}")]
    EmptySource { pipeline: String, step: String, kind: Source },
    #[error("pipeline step {kind} invalid pipeline {pipeline} step {step} input step {source_name}.")]
    InvalidSource { pipeline: String, step: String, kind: Source, source_name: String },
    #[error("pipeline {pipeline} step {step} has input {reference} for step that does not exist")]
    UnknownStep { pipeline: String, step: String, reference: String },
    #[error("pipeline {pipeline} output step {step} not found")]
    UnknownOutputStep { pipeline: String, step: String },
    #[error("pipeline {pipeline} output specifier {specifier} invalid")]
    InvalidOutput { pipeline: String, specifier: String },
    #[error("pipeline {0} has a cycle")]
    Cycle(String),
    #[error("pipeline {pipeline} : inputs and triggers must differ, but found {input} in both")]
    InputIsTrigger { pipeline: String, input: String },
    #[error("pipeline {pipeline} input {input} is invalid. {reason}")]
    InvalidInput { pipeline: String, input: String, reason: &'static str },
}

/// What a step takes from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Input,
    Trigger,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Source::Input => "input",
            Source::Trigger => "trigger",
        })
    }
}

fn step_of(source: &str) -> &str {
    source.split('.').next().unwrap_or_default()
}

/// `<step>.(inputs|outputs)[.<tensor>]`
fn well_formed(source: &str) -> bool {
    let parts: Vec<&str> = source.split('.').collect();
    matches!(parts.len(), 2 | 3) && matches!(parts[1], "inputs" | "outputs")
}

/// Refuses what Seldon refuses, in its order.
pub(crate) fn check(pipeline: &pb::Pipeline) -> Result<(), PipelineError> {
    let name = || pipeline.name.clone();
    let mut steps: BTreeMap<&str, &pb::PipelineStep> = BTreeMap::new();
    for step in &pipeline.steps {
        if steps.insert(&step.name, step).is_some() {
            return Err(PipelineError::RepeatedStep { pipeline: name(), step: step.name.clone() });
        }
    }
    if !valid_name(&pipeline.name) {
        return Err(PipelineError::InvalidName(name()));
    }
    if steps.is_empty() {
        return Err(PipelineError::NoSteps(name()));
    }
    if steps.contains_key(pipeline.name.as_str()) {
        return Err(PipelineError::StepNamedAsPipeline(name()));
    }
    for kind in [Source::Input, Source::Trigger] {
        for step in steps.values() {
            check_sources(pipeline, step, kind)?;
        }
    }
    check_references(pipeline, &steps)?;
    for output in pipeline.output.iter().flat_map(|output| &output.steps) {
        if !well_formed(output) {
            return Err(PipelineError::InvalidOutput { pipeline: name(), specifier: output.clone() });
        }
    }
    if !pipeline.allow_cycles && has_cycle(pipeline, &steps) {
        return Err(PipelineError::Cycle(name()));
    }
    for step in steps.values() {
        let inputs: BTreeSet<&str> = step.inputs.iter().map(|input| step_of(input)).collect();
        if let Some(both) = step.triggers.iter().find(|trigger| inputs.contains(trigger.as_str())) {
            return Err(PipelineError::InputIsTrigger { pipeline: name(), input: both.clone() });
        }
    }
    check_pipeline_input(pipeline)
}

fn check_sources(
    pipeline: &pb::Pipeline,
    step: &pb::PipelineStep,
    kind: Source,
) -> Result<(), PipelineError> {
    let sources = match kind {
        Source::Input => &step.inputs,
        Source::Trigger => &step.triggers,
    };
    for source in sources {
        let (pipeline, step) = (pipeline.name.clone(), step.name.clone());
        if source.trim().is_empty() || source.starts_with('.') {
            return Err(PipelineError::EmptySource { pipeline, step, kind });
        }
        if !well_formed(source) {
            return Err(PipelineError::InvalidSource { pipeline, step, kind, source_name: source.clone() });
        }
    }
    Ok(())
}

fn check_references(
    pipeline: &pb::Pipeline,
    steps: &BTreeMap<&str, &pb::PipelineStep>,
) -> Result<(), PipelineError> {
    for (name, step) in steps {
        for reference in step.inputs.iter().map(|input| step_of(input)) {
            if !steps.contains_key(reference) && reference != pipeline.name {
                return Err(PipelineError::UnknownStep {
                    pipeline: pipeline.name.clone(),
                    step: (*name).to_owned(),
                    reference: reference.to_owned(),
                });
            }
        }
    }
    for step in pipeline.output.iter().flat_map(|output| &output.steps).map(|step| step_of(step)) {
        if !steps.contains_key(step) {
            return Err(PipelineError::UnknownOutputStep {
                pipeline: pipeline.name.clone(),
                step: step.to_owned(),
            });
        }
    }
    Ok(())
}

fn has_cycle(pipeline: &pb::Pipeline, steps: &BTreeMap<&str, &pb::PipelineStep>) -> bool {
    /// Takes away steps all of whose sources are gone; what cannot be taken away is in, or behind, a cycle.
    fn reducible<'a>(left: &mut BTreeMap<&'a str, BTreeSet<&'a str>>) -> bool {
        loop {
            let free: Vec<&str> =
                left.iter().filter(|(_, sources)| sources.is_empty()).map(|(name, _)| *name).collect();
            if free.is_empty() {
                return left.is_empty();
            }
            for name in free {
                left.remove(name);
                left.values_mut().for_each(|sources| {
                    sources.remove(name);
                });
            }
        }
    }
    let sources = |step: &'_ pb::PipelineStep| -> Vec<String> {
        step.inputs.iter().chain(&step.triggers).map(|source| step_of(source).to_owned()).collect()
    };
    let owned: BTreeMap<&str, Vec<String>> =
        steps.iter().map(|(name, step)| (*name, sources(step))).collect();
    let mut left: BTreeMap<&str, BTreeSet<&str>> = owned
        .iter()
        .map(|(name, sources)| {
            // A trigger may name a step that is not there; that is refused nowhere and closes no cycle.
            let inner = sources.iter().map(String::as_str);
            (*name, inner.filter(|source| *source != pipeline.name && steps.contains_key(source)).collect())
        })
        .collect();
    !reducible(&mut left)
}

fn check_pipeline_input(pipeline: &pb::Pipeline) -> Result<(), PipelineError> {
    const PREFIX: &str = "A Pipeline inputs referencing another pipeline must be <pipeineName>.(inputs|outputs|step.<stepName>)";
    const STEP_SUFFIX: &str = "A pipeline step must be <pipelineName>.step.<stepName>.(inputs|outputs)";
    const TOO_LONG: &str = "The input is too long. It must be <pipelineName>.(inputs|outputs).(tensorName)? or \
         <pipelineName>.step.<stepName>.<inputs|outputs>.<tensorName>";
    let Some(input) = &pipeline.input else { return Ok(()) };
    let wrong = |input: &str, reason| {
        Err(PipelineError::InvalidInput { pipeline: pipeline.name.clone(), input: input.to_owned(), reason })
    };
    if input.external_inputs.is_empty() {
        return wrong("", "At least one pipeline input must be specified");
    }
    let tensor_side = |part: &str| matches!(part, "inputs" | "outputs");
    for external in &input.external_inputs {
        if external.trim().is_empty() {
            return wrong(external, "Input name must not be empty");
        }
        let parts: Vec<&str> = external.split('.').collect();
        match parts.as_slice() {
            [_] => {
                return wrong(
                    external,
                    "A Pipeline name must also specify one of inputs, outputs or a step name",
                );
            }
            [_, side] | [_, side, _] if tensor_side(side) => {}
            [_, "step", _] => return wrong(external, STEP_SUFFIX),
            [_, _] | [_, _, _] => return wrong(external, PREFIX),
            [_, "step", _, side, rest @ ..] => {
                if !tensor_side(side) {
                    return wrong(external, STEP_SUFFIX);
                }
                if rest.len() > 1 {
                    return wrong(external, TOO_LONG);
                }
            }
            _ => return wrong(external, PREFIX),
        }
    }
    Ok(())
}
