//! Which models are loaded.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::artefact;
use crate::failure::Failure;
use crate::log;
use crate::model_settings::{ModelSettings, all_below};

/// A loaded version of a model.
pub(crate) type Model = Arc<ModelSettings>;

/// The repository's models, and those of them that are loaded.
#[derive(Debug)]
pub(crate) struct Registry {
    root: PathBuf,
    /// By name. A model whose first load failed is known without a version, as MLServer knows it.
    loaded: Mutex<BTreeMap<String, Vec<Model>>>,
}

/// A model of the repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Indexed {
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) state: State,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    Unavailable,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Ready => "READY",
            State::Unavailable => "UNAVAILABLE",
        }
    }
}

/// Which of them are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    All,
    Ready,
}

impl Registry {
    pub(crate) fn new(root: PathBuf) -> Registry {
        Registry { root, loaded: Mutex::default() }
    }

    fn loaded(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Model>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads what the repository has, before anybody asks.
    ///
    /// # Errors
    /// The first model that cannot be loaded.
    pub(crate) fn load_all(&self) -> Result<(), Failure> {
        all_below(&self.root).into_iter().try_for_each(|settings| self.load(&settings.name))
    }

    /// Loads every version of a model that the repository has, also those that are loaded.
    ///
    /// # Errors
    /// That there is none, or why one cannot be loaded; a version that was loaded before then stays.
    pub(crate) fn load(&self, name: &str) -> Result<(), Failure> {
        let found: Vec<ModelSettings> =
            all_below(&self.root).into_iter().filter(|settings| settings.name == name).collect();
        if found.is_empty() {
            return Err(Failure::NoModel(name.to_owned()));
        }
        let mut loaded = self.loaded();
        let versions = loaded.entry(name.to_owned()).or_default();
        for settings in &found {
            if let Err(failure) = artefact::look(settings) {
                log::info(
                    &logger(settings),
                    &format!("Couldn't load model '{name}'. Model will be removed from registry."),
                );
                return Err(failure);
            }
            let version = &settings.parameters.version;
            versions.retain(|model| model.parameters.version != *version);
            versions.push(Arc::new(settings.clone()));
            log::info(&logger(settings), &format!("Loaded model '{name}' successfully."));
        }
        let is_there = |model: &Model| {
            found.iter().any(|settings| settings.parameters.version == model.parameters.version)
        };
        versions.retain(is_there);
        Ok(())
    }

    /// Unloads every version of a model.
    ///
    /// # Errors
    /// That it is not known.
    pub(crate) fn unload(&self, name: &str) -> Result<(), Failure> {
        let Some(_) = self.loaded().remove(name) else { return Err(Failure::NoModel(name.to_owned())) };
        log::info("mlserver", &format!("Unloaded all versions of model '{name}' successfully."));
        Ok(())
    }

    /// A version of a model; the newest when none is named. gRPC names an empty one when it means none, and is told so.
    ///
    /// # Errors
    /// That there is none.
    pub(crate) fn model(&self, name: &str, version: Option<&str>) -> Result<Model, Failure> {
        let loaded = self.loaded();
        let versions = loaded.get(name).map(Vec::as_slice).unwrap_or_default();
        let found = match version.filter(|version| !version.is_empty()) {
            Some(wanted) => versions.iter().find(|model| model.parameters.version.as_deref() == Some(wanted)),
            None => versions.iter().max_by_key(|model| age(model)),
        };
        found.cloned().ok_or_else(|| match version {
            None => Failure::NoModel(name.to_owned()),
            Some(version) => Failure::NoVersion { name: name.to_owned(), version: version.to_owned() },
        })
    }

    /// The repository's models and their states.
    pub(crate) fn index(&self, wanted: Wanted) -> Vec<Indexed> {
        let all = all_below(&self.root).into_iter().map(|settings| {
            let state = match self.model(&settings.name, None) {
                Ok(_) => State::Ready,
                Err(_) => State::Unavailable,
            };
            Indexed { name: settings.name, version: settings.parameters.version, state }
        });
        all.filter(|model| wanted == Wanted::All || model.state == State::Ready).collect()
    }
}

/// Versions that are numbers are older the smaller they are; a model without a version is newer than any.
fn age(model: &Model) -> (bool, Option<u64>, Option<String>) {
    let version = &model.parameters.version;
    (version.is_none(), version.as_deref().and_then(|version| version.parse().ok()), version.clone())
}

/// As MLServer calls its logger while a model is worked on.
fn logger(settings: &ModelSettings) -> String {
    match &settings.parameters.version {
        Some(version) => format!("mlserver][{}:{version}", settings.name),
        None => format!("mlserver][{}", settings.name),
    }
}
