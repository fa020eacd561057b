//! Which pipelines are taken, and what becomes of them.

use rstest::rstest;

use super::*;

fn step(name: &str, inputs: &[&str]) -> pb::PipelineStep {
    let inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
    pb::PipelineStep { name: name.to_owned(), inputs, ..pb::PipelineStep::default() }
}

fn pipeline(name: &str, steps: Vec<pb::PipelineStep>, output: &[&str]) -> pb::Pipeline {
    let steps_out = output.iter().map(|step| (*step).to_owned()).collect();
    pb::Pipeline {
        name: name.to_owned(),
        steps,
        output: Some(pb::PipelineOutput { steps: steps_out, ..pb::PipelineOutput::default() }),
        kubernetes_meta: Some(pb::KubernetesMeta { namespace: "ml".to_owned(), generation: 1 }),
        ..pb::Pipeline::default()
    }
}

#[rstest]
#[case::name(
    pipeline("p.q", vec![step("a", &[])], &[]),
    "pipeline p.q does not have a valid name - it must be alphanmumeric and cannot contain dots (.)")]
#[case::no_steps(pipeline("p", vec![], &[]), "pipeline p has no steps defined")]
#[case::own_name(
    pipeline("p", vec![step("p", &[])], &[]),
    "pipeline p must not have a step name with the same name as pipeline name")]
#[case::empty_input(pipeline("p", vec![step("a", &[" "])], &[]), "pipeline p step a has an empty input")]
#[case::bad_input(
    pipeline("p", vec![step("a", &["b"])], &[]),
    "pipeline step input invalid pipeline p step a input step b.")]
#[case::unknown_step(
    pipeline("p", vec![step("a", &["b.outputs"])], &[]),
    "pipeline p step a has input b for step that does not exist")]
#[case::unknown_output(pipeline("p", vec![step("a", &[])], &["b.outputs"]), "pipeline p output step b not found")]
#[case::bad_output(pipeline("p", vec![step("a", &[])], &["a"]), "pipeline p output specifier a invalid")]
#[case::cycle(
    pipeline("p", vec![step("a", &["b.outputs"]), step("b", &["a.outputs"])], &[]),
    "pipeline p has a cycle")]
fn refuses(#[case] wrong: pb::Pipeline, #[case] text: &str) {
    let refused = Pipelines::default().load(wrong, fresh_uid(), |_| true).unwrap_err();
    assert_eq!(refused.to_string(), text);
}

#[test]
fn the_same_generation_is_one_version_and_another_the_next() {
    let mut pipelines = Pipelines::default();
    let mut definition =
        pipeline("p", vec![step("a", &["p.inputs"]), step("b", &["a.outputs"])], &["b.outputs"]);
    assert_eq!(pipelines.load(definition.clone(), fresh_uid(), |_| true).unwrap(), Some(1));
    assert_eq!(pipelines.load(definition.clone(), fresh_uid(), |_| true).unwrap(), None);
    definition.kubernetes_meta.as_mut().unwrap().generation = 2;
    assert_eq!(pipelines.load(definition, fresh_uid(), |_| true).unwrap(), Some(2));
}

#[test]
fn a_removed_pipeline_is_gone_without_engines() {
    let mut pipelines = Pipelines::default();
    pipelines.load(pipeline("p", vec![step("a", &[])], &[]), fresh_uid(), |_| false).unwrap();
    assert_eq!(pipelines.unload("p").unwrap(), 1);
    pipelines.without_engines("p", 1);
    assert_eq!(pipelines.get("p").unwrap().latest().unwrap().status, PipelineStatus::PipelineTerminated);
    assert_eq!(pipelines.unload("p").unwrap_err().to_string(), "pipeline p not found");
    assert_eq!(pipelines.unload("q").unwrap_err().to_string(), "pipeline q not found");
}

#[test]
fn models_are_ready_when_every_step_is() {
    let mut pipelines = Pipelines::default();
    let steps = vec![step("a", &[]), step("b", &["a.outputs"])];
    pipelines.load(pipeline("p", steps, &[]), fresh_uid(), |_| false).unwrap();
    assert_eq!(pipelines.note_model("a", true), [("p".to_owned(), 1)]);
    assert!(!pipelines.get("p").unwrap().latest().unwrap().models_ready);
    pipelines.note_model("b", true);
    assert!(pipelines.get("p").unwrap().latest().unwrap().models_ready);
    assert!(pipelines.note_model("b", true).is_empty());
    pipelines.note_model("a", false);
    assert!(!pipelines.get("p").unwrap().latest().unwrap().models_ready);
}

#[test]
fn uids_are_twenty_characters_and_differ() {
    let (one, two) = (fresh_uid(), fresh_uid());
    assert_ne!(one, two);
    assert!(one.len() == 20 && one.chars().all(|c| c.is_ascii_digit() || ('a'..='v').contains(&c)), "{one}");
}
