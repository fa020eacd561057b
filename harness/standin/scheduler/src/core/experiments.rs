//! Starting and stopping experiments, and telling of them.

use super::Core;
use crate::event::{Event, ExperimentCause, PipelineCause};
use crate::experiment::{Experiment, ExperimentError, ResourceType};
use crate::journal::Level;
use crate::pipeline::PipelineStatus;
use crate::store::version::ModelState;

impl Core {
    fn log_experiments(&self, message: &str, func: &str) {
        self.journal.line(Level::Info, message, &[("func", func), ("source", "experimentServer")]);
    }

    /// A model or a pipeline changed: experiments it is part of are looked at again.
    pub(super) fn note_in_experiments(&mut self, on: ResourceType, name: &str) {
        let ready = self.is_ready(on, name);
        let mut events = Vec::new();
        for experiment in self.experiments.by_name.values_mut().filter(|e| e.concerns(on, name)) {
            experiment.note(name, ready);
            events.push(Event::Experiment { name: experiment.name.clone(), cause: ExperimentCause::Changed });
        }
        self.publish(events);
    }

    fn is_ready(&self, on: ResourceType, name: &str) -> bool {
        match on {
            ResourceType::Model => self.model_is_available(name),
            ResourceType::Pipeline => self.pipeline_is_ready(name),
        }
    }

    fn model_is_available(&self, name: &str) -> bool {
        self.store.latest(name).is_some_and(|latest| latest.status.state == ModelState::ModelAvailable)
    }

    fn pipeline_is_ready(&self, name: &str) -> bool {
        let latest = self.pipelines.by_name.get(name).and_then(crate::pipeline::Pipeline::latest);
        latest.is_some_and(|latest| latest.status == PipelineStatus::PipelineReady)
    }

    /// Starts an experiment, or changes one.
    pub(crate) fn start_experiment(&mut self, mut experiment: Experiment) -> Result<(), ExperimentError> {
        let name = experiment.name.clone();
        self.log_experiments(&format!("Start {name}"), "StartExperiment");
        for part in experiment.part_names() {
            let ready = self.is_ready(experiment.on, &part);
            experiment.note(&part, ready);
        }
        let on = experiment.on;
        let released = self.experiments.start(experiment)?;
        self.release(released.map(|resource| (on, resource)));
        self.publish([Event::Experiment { name, cause: ExperimentCause::Changed }]);
        Ok(())
    }

    /// Ends an experiment; its default gets its own route back.
    pub(crate) fn stop_experiment(&mut self, name: &str) -> Result<(), ExperimentError> {
        self.log_experiments(&format!("Stop {name}"), "StopExperiment");
        let released = self.experiments.stop(name)?;
        self.release(released);
        self.publish([Event::Experiment { name: name.to_owned(), cause: ExperimentCause::Changed }]);
        Ok(())
    }

    fn release(&mut self, released: Option<(ResourceType, String)>) {
        let event = released.map(|(on, name)| match on {
            // Version 0 exists nowhere: only the routes are made anew.
            ResourceType::Model => Event::Model { name, version: 0 },
            ResourceType::Pipeline => Event::Pipeline { name, version: 0, cause: PipelineCause::Experiment },
        });
        self.publish(event);
    }

    pub(super) fn on_experiment(&mut self, name: &str, cause: ExperimentCause) {
        let Ok(experiment) = self.experiments.get(name).cloned() else { return };
        self.audiences.experiments.tell(&experiment.status());
        if cause == ExperimentCause::StatusOnly {
            return;
        }
        if experiment.deleted {
            self.routes.remove(&experiment.route());
            if experiment.on == ResourceType::Pipeline {
                self.routes.remove_pipeline(&experiment.route());
            }
            return self.cache.update(&mut self.routes);
        }
        let (active, description) = match self.update_experiment_routes(&experiment) {
            Ok(()) => (true, "experiment active".to_owned()),
            Err(error) => {
                let line = format!("Failed to process sync for experiment {name}");
                self.log_routes(Level::Error, &line, "handleExperimentEvents", &[("error", &error)]);
                (false, error)
            }
        };
        if self.experiments.set_status(name, active, &description) {
            self.publish([Event::Experiment { name: name.to_owned(), cause: ExperimentCause::StatusOnly }]);
        }
    }
}
