//! Pipelines without dataflow engines: kept, routed to the pipeline gateway, never ready.

use seldon_proto::scheduler as pb;

use super::Core;
use crate::event::{Event, PipelineCause};
use crate::experiment::{Experiment, ResourceType};
use crate::journal::Level;
use crate::pipeline::{NO_ENGINES, Pipeline, PipelineError, fresh_uid};
use crate::routes::{PipelineRoute, PipelineSplit};

/// The route of an experiment on pipelines.
///
/// Seldon 2.9.1 puts as many nameless shares of weight 0 in front as there are candidates; they are kept, since they
/// turn even one candidate into a split with sticky routes.
pub(super) fn experiment_route(experiment: &Experiment) -> PipelineRoute {
    let split =
        |part: &crate::experiment::Part| PipelineSplit { pipeline: part.name.clone(), weight: part.share };
    let mut splits = vec![PipelineSplit::default(); experiment.candidates.len()];
    splits.extend(experiment.candidates.iter().map(split));
    PipelineRoute { splits, mirror: experiment.mirror.as_ref().map(split) }
}

impl Core {
    pub(crate) fn load_pipeline(&mut self, definition: pb::Pipeline) -> Result<(), PipelineError> {
        let name = definition.name.clone();
        let models = &self.store.models;
        let ready = |step: &str| models.get(step).is_some_and(|model| model.last_available().is_some());
        let version = self.pipelines.load(definition, fresh_uid(), ready)?;
        self.publish(version.map(|version| Event::Pipeline { name, version, cause: PipelineCause::Changed }));
        Ok(())
    }

    pub(crate) fn unload_pipeline(&mut self, name: &str) -> Result<(), PipelineError> {
        let version = self.pipelines.unload(name)?;
        self.publish([Event::Pipeline { name: name.to_owned(), version, cause: PipelineCause::Changed }]);
        Ok(())
    }

    /// The status of every pipeline, of its latest version or of all.
    pub(crate) fn pipeline_statuses(&self, all_versions: bool) -> Vec<pb::PipelineStatusResponse> {
        self.pipelines
            .by_name
            .iter()
            .map(|(name, pipeline)| pipeline_message(name, pipeline, all_versions))
            .collect()
    }

    pub(super) fn on_pipeline(&mut self, name: &str, version: u32, cause: PipelineCause) {
        if cause != PipelineCause::Experiment {
            self.tell_pipeline(name, version);
        }
        if cause != PipelineCause::ModelStatus
            && let Err(error) = self.update_pipeline_routes(name)
        {
            let line = format!("Failed to add pipeline {name}");
            self.log_routes(Level::Error, &line, "handlePipelineEvents", &[("error", &error)]);
        }
        self.note_in_experiments(ResourceType::Pipeline, name);
        if matches!(cause, PipelineCause::Changed | PipelineCause::ModelStatus) {
            let fields = [("func", "handlePipelineEvent"), ("pipeline", name), ("source", "dataflow")];
            self.journal.line(Level::Warning, NO_ENGINES, &fields);
            self.pipelines.without_engines(name, version);
            let cause = PipelineCause::DataflowState;
            self.publish([Event::Pipeline { name: name.to_owned(), version, cause }]);
        }
    }

    fn tell_pipeline(&mut self, name: &str, version: u32) {
        let Ok(pipeline) = self.pipelines.get(name) else { return };
        if let Some(version) = pipeline.versions.iter().find(|candidate| candidate.version() == version) {
            let message = pb::PipelineStatusResponse {
                pipeline_name: name.to_owned(),
                versions: vec![version.message()],
            };
            self.audiences.pipelines.tell(&message);
        }
    }

    pub(super) fn update_pipeline_routes(&mut self, name: &str) -> Result<(), String> {
        let deleted = self.pipelines.get(name).map_err(|error| error.to_string())?.deleted;
        let route = format!("{name}.pipeline");
        if deleted {
            self.routes.remove_pipeline(&route);
        } else if let Some(experiment) = self.experiments.with_baseline(ResourceType::Pipeline, name) {
            self.routes.set_pipeline(&route, experiment_route(experiment));
        } else {
            let line = format!("Adding normal pipeline route {route}");
            self.log_routes(Level::Info, &line, "addPipeline", &[]);
            let only = PipelineSplit { pipeline: name.to_owned(), weight: 100 };
            self.routes.set_pipeline(&route, PipelineRoute { splits: vec![only], mirror: None });
        }
        self.cache.update(&mut self.routes);
        Ok(())
    }

    /// A model changed: pipelines with a step of that name may have become ready, or ceased to be.
    pub(super) fn note_in_pipelines(&mut self, model: &str) {
        let available = self.store.models.get(model).is_some_and(|model| model.last_available().is_some());
        let concerned = self.pipelines.note_model(model, available);
        let cause = PipelineCause::ModelStatus;
        self.publish(concerned.into_iter().map(|(name, version)| Event::Pipeline { name, version, cause }));
    }
}

/// The status message of a pipeline.
pub(crate) fn pipeline_message(
    name: &str,
    pipeline: &Pipeline,
    all_versions: bool,
) -> pb::PipelineStatusResponse {
    let from = if all_versions { 0 } else { pipeline.versions.len().saturating_sub(1) };
    pb::PipelineStatusResponse {
        pipeline_name: name.to_owned(),
        versions: pipeline.versions[from..].iter().map(crate::pipeline::PipelineVersion::message).collect(),
    }
}
