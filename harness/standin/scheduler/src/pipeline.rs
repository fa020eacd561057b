//! Pipelines, as far as the scheduler keeps them without any dataflow engine.

use std::collections::BTreeMap;

use jiff::Timestamp;
use seldon_proto::scheduler as pb;

pub(crate) mod check;

pub(crate) use check::PipelineError;
pub(crate) use pb::pipeline_version_state::PipelineStatus;

/// What Seldon says of every pipeline while no dataflow engine is subscribed.
pub(crate) const NO_ENGINES: &str = "no dataflow engines available to handle pipeline";

/// One version of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PipelineVersion {
    pub(crate) definition: pb::Pipeline,
    pub(crate) status: PipelineStatus,
    pub(crate) reason: String,
    pub(crate) changed: Option<Timestamp>,
    /// Whether the model of each step has an available version.
    pub(crate) steps: BTreeMap<String, bool>,
    /// Whether all of them have; kept apart, as Seldon keeps it.
    pub(crate) models_ready: bool,
}

impl PipelineVersion {
    pub(crate) fn version(&self) -> u32 {
        self.definition.version
    }

    fn set(&mut self, status: PipelineStatus, reason: &str) {
        self.status = status;
        reason.clone_into(&mut self.reason);
        self.changed = Some(Timestamp::now());
    }

    pub(crate) fn message(&self) -> pb::PipelineWithState {
        let moment =
            |time: Timestamp| pb::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() };
        pb::PipelineWithState {
            pipeline: Some(self.definition.clone()),
            state: Some(pb::PipelineVersionState {
                pipeline_version: self.version(),
                status: self.status.into(),
                reason: self.reason.clone(),
                last_change_timestamp: self.changed.map(moment),
                models_ready: self.models_ready,
            }),
        }
    }
}

/// A pipeline: its versions in ascending order, at least one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Pipeline {
    pub(crate) versions: Vec<PipelineVersion>,
    pub(crate) deleted: bool,
}

impl Pipeline {
    pub(crate) fn latest(&self) -> Option<&PipelineVersion> {
        self.versions.last()
    }
}

/// All pipelines, the deleted ones too.
#[derive(Debug, Default)]
pub(crate) struct Pipelines {
    pub(crate) by_name: BTreeMap<String, Pipeline>,
}

impl Pipelines {
    pub(crate) fn get(&self, name: &str) -> Result<&Pipeline, PipelineError> {
        self.by_name.get(name).ok_or_else(|| PipelineError::NotFound(name.to_owned()))
    }

    /// Adds a version. `None` when it is the generation that is there already.
    pub(crate) fn load(
        &mut self,
        mut definition: pb::Pipeline,
        uid: String,
        ready: impl Fn(&str) -> bool,
    ) -> Result<Option<u32>, PipelineError> {
        let name = definition.name.clone();
        let known = self.by_name.get(&name).filter(|pipeline| {
            use PipelineStatus::{PipelineTerminate, PipelineTerminated, PipelineTerminating};
            pipeline.latest().is_some_and(|latest| {
                !matches!(latest.status, PipelineTerminate | PipelineTerminating | PipelineTerminated)
            })
        });
        let generation =
            |pipeline: &pb::Pipeline| pipeline.kubernetes_meta.as_ref().map_or(0, |meta| meta.generation);
        let latest = known.and_then(Pipeline::latest);
        if latest.is_some_and(|latest| {
            generation(&definition) > 0 && generation(&latest.definition) == generation(&definition)
        }) {
            return Ok(None);
        }
        definition.version = latest.map_or(0, PipelineVersion::version) + 1;
        definition.uid = uid;
        check::check(&definition)?;
        let mut pipeline = known.cloned().unwrap_or_default();
        let steps: BTreeMap<String, bool> =
            definition.steps.iter().map(|step| (step.name.clone(), ready(&step.name))).collect();
        let version = definition.version;
        pipeline.versions.push(PipelineVersion {
            models_ready: steps.values().all(|ready| *ready),
            definition,
            status: PipelineStatus::PipelineCreate,
            reason: String::new(),
            changed: Some(Timestamp::now()),
            steps,
        });
        self.by_name.insert(name, pipeline);
        Ok(Some(version))
    }

    /// Marks a pipeline for removal. Returns the version concerned.
    pub(crate) fn unload(&mut self, name: &str) -> Result<u32, PipelineError> {
        let pipeline = self.by_name.get_mut(name).ok_or_else(|| PipelineError::NotFound(name.to_owned()))?;
        let Some(latest) = pipeline.versions.last_mut() else {
            return Err(PipelineError::NotFound(name.to_owned()));
        };
        match latest.status {
            PipelineStatus::PipelineTerminating => Err(PipelineError::Terminating(name.to_owned())),
            PipelineStatus::PipelineTerminated => Err(PipelineError::NotFound(name.to_owned())),
            _ => {
                pipeline.deleted = true;
                latest.set(PipelineStatus::PipelineTerminate, "pipeline removed");
                Ok(latest.version())
            }
        }
    }

    /// What becomes of a pipeline when there is no dataflow engine: a removed one is gone, any other stays as it is.
    pub(crate) fn without_engines(&mut self, name: &str, version: u32) {
        let Some(pipeline) = self.by_name.get_mut(name) else { return };
        let Some(version) = pipeline.versions.iter_mut().find(|candidate| candidate.version() == version)
        else {
            return;
        };
        let status = match version.status {
            PipelineStatus::PipelineTerminate | PipelineStatus::PipelineTerminating => {
                PipelineStatus::PipelineTerminated
            }
            other => other,
        };
        version.set(status, NO_ENGINES);
    }

    /// Notes that a model became available, or ceased to be. Returns the pipelines that are concerned.
    pub(crate) fn note_model(&mut self, model: &str, available: bool) -> Vec<(String, u32)> {
        let mut concerned = Vec::new();
        for (name, pipeline) in &mut self.by_name {
            let Some(latest) = pipeline.versions.last_mut() else { continue };
            let Some(step) = latest.steps.get_mut(model).filter(|step| **step != available) else { continue };
            *step = available;
            latest.models_ready = available && latest.steps.values().all(|ready| *ready);
            concerned.push((name.clone(), latest.version()));
        }
        concerned
    }
}

/// A fresh identifier, shaped as Seldon's: 20 characters of lower-case base 32, sortable by time.
pub(crate) fn fresh_uid() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let seconds = u32::try_from(Timestamp::now().as_second()).unwrap_or(0).to_be_bytes();
    let process = std::process::id().to_be_bytes();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let bytes = [&seconds[..], &process[..], &[0], &count[1..]].concat();
    let mut text = String::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in bytes {
        bits = (bits << 8) | u32::from(byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(char::from(DIGITS[((bits >> held) & 31) as usize]));
        }
    }
    text.push(char::from(DIGITS[((bits << (5 - held)) & 31) as usize]));
    text
}

#[cfg(test)]
mod tests;
