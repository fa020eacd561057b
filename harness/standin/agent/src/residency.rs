//! Which models are in the inference server's memory: loading, unloading, and reloading on demand with eviction of
//! the least recently used.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use seldon_proto::agent::ModelVersion;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use tonic::Code;

use crate::inference_server::InferenceServer;
use crate::log::Log;
use crate::memory_book::{MemoryBook, internal_name};

/// The books, the locks of the models, and the server they are loaded into.
pub(crate) struct Residency {
    book: Mutex<MemoryBook>,
    locks: Mutex<HashMap<String, Arc<RwLock<()>>>>,
    /// Models that requests asked for; the agent keeps scaling figures of these.
    used: Mutex<HashSet<String>>,
    server: InferenceServer,
    log: Log,
}

impl Residency {
    pub(crate) fn new(book: MemoryBook, server: InferenceServer, log: &Log) -> Residency {
        let log = log.with("Source", "StateManager");
        Residency { book: Mutex::new(book), locks: Mutex::default(), used: Mutex::default(), server, log }
    }

    /// The books, for a moment without waiting.
    pub(crate) fn book(&self) -> MutexGuard<'_, MemoryBook> {
        // A panic while the books were open has left no half entry: every change is one call.
        self.book.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn server(&self) -> &InferenceServer {
        &self.server
    }

    fn lock_of(&self, model: &str) -> Arc<RwLock<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        locks.entry(model.to_owned()).or_default().clone()
    }

    /// Keeps every other load, unload and reload of a model out.
    pub(crate) async fn exclusive(&self, model: &str) -> OwnedRwLockWriteGuard<()> {
        self.lock_of(model).write_owned().await
    }

    /// Loads a model the scheduler sent; the caller holds its lock.
    ///
    /// # Errors
    /// The text the scheduler is told.
    pub(crate) async fn load(&self, version: &ModelVersion) -> Result<(), String> {
        let model = internal_name(version);
        if self.book().knows(model) {
            self.log.info(format!("Model version already exists for {model}:{}", version.version));
            return Ok(());
        }
        self.book().add(version.clone());
        let outcome = self.bring_in(model).await;
        if outcome.is_err() {
            self.book().remove(model);
        }
        outcome
    }

    /// Makes room, takes the memory and loads; on failure the memory is given back.
    async fn bring_in(&self, model: &str) -> Result<(), String> {
        let bytes = self.book().bytes(model)?;
        self.make_room(model, bytes).await?;
        self.book().take(bytes)?;
        if let Err(status) = self.server.load(model).await {
            self.book().give_back(bytes);
            return Err(status.to_string());
        }
        self.book().touch(model);
        Ok(())
    }

    /// Unloads a model the scheduler no longer wants here; the caller holds its lock.
    ///
    /// # Errors
    /// The text the scheduler is told.
    pub(crate) async fn unload(&self, model: &str, version: u32) -> Result<(), String> {
        if !self.book().knows(model) {
            self.log.warn(format!("Model {model} version {version} does not exist locally"));
            return Ok(());
        }
        if self.book().is_resident(model) {
            if let Err(status) = self.server.unload(model).await {
                if status.code != Code::NotFound {
                    let log = self.log.error_field(&status);
                    log.error(format!("Cannot unload model {model} from server"));
                    return Err(status.to_string());
                }
                self.log.warn(format!("Model is not found on server {model}"));
            }
            let mut book = self.book();
            book.evict(model);
            let bytes = book.bytes(model)?;
            book.give_back(bytes);
            drop(book);
            self.log.info(format!("Removed model from cache {model}"));
        }
        self.book().remove(model);
        Ok(())
    }

    /// Forgets the scaling figures of a model.
    ///
    /// # Errors
    /// `could not find item X` when no request ever asked for it.
    pub(crate) fn forget_use(&self, model: &str) -> Result<(), String> {
        let mut used = self.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if used.remove(model) { Ok(()) } else { Err(format!("could not find item {model}")) }
    }

    /// Sees to it that a model which a request wants is in memory.
    ///
    /// # Errors
    /// The text that the gRPC proxy puts behind `err: `.
    pub(crate) async fn ensure(&self, model: &str) -> Result<(), String> {
        self.ensure_resident(model).await?;
        self.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(model.to_owned());
        Ok(())
    }

    async fn ensure_resident(&self, model: &str) -> Result<(), String> {
        let lock = self.lock_of(model);
        {
            let _shared = lock.read().await;
            let mut book = self.book();
            if book.is_resident(model) {
                book.touch(model);
                return Ok(());
            }
        }
        let _exclusive = lock.write().await;
        if self.book().is_resident(model) {
            return Ok(());
        }
        if let Err(error) = self.book().bytes(model) {
            let log = self.log.error_field(&error);
            log.error(format!("Error getting memory for model {model}, model unloaded?"));
            return Err(error);
        }
        self.bring_in(model).await.inspect_err(|error| {
            self.log.error_field(error).error(format!("Cannot reload {model}"));
        })?;
        let left = self.book().available();
        self.log.info(format!("Reload model {model} success, available memory is {left}"));
        Ok(())
    }

    async fn make_room(&self, model: &str, bytes: u64) -> Result<(), String> {
        loop {
            if self.book().available() >= bytes {
                return Ok(());
            }
            let oldest = self.book().oldest().inspect_err(|error| {
                self.log.error_field(error).error(format!("Cannot peek cache for model {model}"));
            })?;
            let _evicting = self.exclusive(&oldest).await;
            if !self.book().evict(&oldest) {
                // Somebody else evicted it meanwhile: look again.
                continue;
            }
            let Ok(freed) = self.book().bytes(&oldest) else { continue };
            if let Err(status) = self.server.unload(&oldest).await {
                if status.code != Code::NotFound {
                    let log = self.log.error_field(&status);
                    log.error(format!("Cannot unload model {oldest} (for reload model {model})"));
                    self.book().put_back(&oldest);
                    return Err(status.to_string());
                }
                self.log.warn(format!("Server does not have model {oldest}"));
            }
            self.book().give_back(freed);
            let left = self.book().available();
            self.log.info(format!(
                "model {oldest} {freed} evicted (for model {model} {bytes}), available memory bytes: {left}"
            ));
        }
    }
}
