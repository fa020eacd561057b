//! The books of one replica: which models it holds, which of them are in memory, and how much is left.

use std::collections::BTreeMap;

use seldon_proto::agent::ModelVersion;
use seldon_proto::scheduler::model_runtime_info::ModelRuntimeInfo as Runtime;

use crate::names;

/// The books. Every model is known by its internal name.
#[derive(Debug, Clone)]
pub(crate) struct MemoryBook {
    total: u64,
    over_commit: u32,
    /// May not go below zero by a load.
    available: i64,
    models: BTreeMap<String, ModelVersion>,
    /// Models in memory, the least recently used first.
    resident: Vec<String>,
}

impl MemoryBook {
    pub(crate) fn new(total: u64, over_commit: u32) -> MemoryBook {
        let available = i64::try_from(total).unwrap_or(i64::MAX);
        MemoryBook { total, over_commit, available, models: BTreeMap::new(), resident: Vec::new() }
    }

    pub(crate) fn knows(&self, model: &str) -> bool {
        self.models.contains_key(model)
    }

    pub(crate) fn add(&mut self, version: ModelVersion) {
        self.models.insert(internal_name(&version).to_owned(), version);
    }

    pub(crate) fn remove(&mut self, model: &str) {
        self.models.remove(model);
    }

    /// Bytes a model needs.
    ///
    /// # Errors
    /// `No details for model X`.
    pub(crate) fn bytes(&self, model: &str) -> Result<u64, String> {
        self.models.get(model).map(bytes).ok_or_else(|| format!("No details for model {model}"))
    }

    /// Bytes free in memory.
    pub(crate) fn available(&self) -> u64 {
        u64::try_from(self.available).unwrap_or(0)
    }

    /// Bytes added by over-commitment. Single precision, as the agent calculates it: 10 % of 1 GiB are 107374184.
    fn over_commit_bytes(&self) -> u64 {
        ((self.over_commit as f32 / 100.0) * self.total as f32) as u64
    }

    /// What the scheduler is told: free memory plus what over-commitment leaves.
    pub(crate) fn offered(&self) -> u64 {
        let held: u64 = self.models.values().map(bytes).sum();
        match held.checked_sub(self.total) {
            Some(over) if over > 0 => self.over_commit_bytes().saturating_sub(over),
            _ => self.available() + self.over_commit_bytes(),
        }
    }

    /// Takes memory for a model about to be loaded.
    ///
    /// # Errors
    /// `Memory will go below zero N`.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), String> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        match self.available.checked_sub(bytes) {
            Some(left) if left >= 0 => {
                self.available = left;
                Ok(())
            }
            _ => Err(format!("Memory will go below zero {}", self.available)),
        }
    }

    pub(crate) fn give_back(&mut self, bytes: u64) {
        self.available = self.available.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn is_resident(&self, model: &str) -> bool {
        self.resident.iter().any(|id| id == model)
    }

    /// Marks a model as in memory and used just now.
    pub(crate) fn touch(&mut self, model: &str) {
        self.evict(model);
        self.resident.push(model.to_owned());
    }

    /// Marks a model as out of memory; whether it was in.
    pub(crate) fn evict(&mut self, model: &str) -> bool {
        let before = self.resident.len();
        self.resident.retain(|id| id != model);
        self.resident.len() < before
    }

    /// Puts a model back as the next to be evicted.
    pub(crate) fn put_back(&mut self, model: &str) {
        self.resident.insert(0, model.to_owned());
    }

    /// The model unused for longest.
    ///
    /// # Errors
    /// `empty cache, cannot evict`.
    pub(crate) fn oldest(&self) -> Result<String, String> {
        self.resident.first().cloned().ok_or_else(|| "empty cache, cannot evict".to_owned())
    }

    /// Every model held, under its original name and version, as a subscription lists them.
    pub(crate) fn loaded_models(&self) -> Vec<ModelVersion> {
        self.models.values().filter_map(original).collect()
    }

    /// Names of all models held and whether each is in memory.
    pub(crate) fn snapshot(&self) -> Vec<(String, bool)> {
        self.models.keys().map(|name| (name.clone(), self.is_resident(name))).collect()
    }
}

/// The internal name a version was given on its way in.
pub(crate) fn internal_name(version: &ModelVersion) -> &str {
    version.model.as_ref().and_then(|model| model.meta.as_ref()).map_or("", |meta| meta.name.as_str())
}

fn original(version: &ModelVersion) -> Option<ModelVersion> {
    let (name, number) = names::original(internal_name(version))?;
    let mut copy = version.clone();
    copy.model.as_mut()?.meta.as_mut()?.name = name.to_owned();
    copy.version = number;
    Some(copy)
}

/// Memory of the specification, times the number of instances the server runs.
fn bytes(version: &ModelVersion) -> u64 {
    let Some(spec) = version.model.as_ref().and_then(|model| model.model_spec.as_ref()) else { return 0 };
    let instances = match spec.model_runtime_info.as_ref().and_then(|info| info.model_runtime_info.as_ref()) {
        Some(Runtime::Mlserver(settings)) => settings.parallel_workers,
        Some(Runtime::Triton(config)) => config.cpu.first().map_or(1, |cpu| cpu.instance_count),
        None => 1,
    };
    spec.memory_bytes.unwrap_or(0).saturating_mul(instances.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use seldon_proto::scheduler::{MetaData, Model, ModelSpec};

    fn version(name: &str, bytes: u64) -> ModelVersion {
        let meta = MetaData { name: name.to_owned(), ..Default::default() };
        let spec = ModelSpec { memory_bytes: Some(bytes), ..Default::default() };
        let model = Model { meta: Some(meta), model_spec: Some(spec), ..Default::default() };
        ModelVersion { model: Some(model), version: 1 }
    }

    #[test]
    fn one_gibibyte_with_ten_per_cent_offers_what_seldon_offers() {
        assert_eq!(MemoryBook::new(1 << 30, 10).offered(), 1_181_116_008);
    }

    #[test]
    fn over_commitment_is_used_up_before_nothing_is_offered() {
        let mut book = MemoryBook::new(1000, 10);
        book.add(version("a_1", 700));
        book.take(700).unwrap();
        assert_eq!(book.offered(), 400);
        book.add(version("b_1", 350));
        assert_eq!(book.offered(), 50);
        book.add(version("c_1", 100));
        assert_eq!(book.offered(), 0);
    }

    #[test]
    fn texts_are_seldons() {
        let mut book = MemoryBook::new(10, 0);
        assert_eq!(book.bytes("nope_1").unwrap_err(), "No details for model nope_1");
        assert_eq!(book.take(11).unwrap_err(), "Memory will go below zero 10");
        assert_eq!(book.oldest().unwrap_err(), "empty cache, cannot evict");
    }

    #[test]
    fn a_subscription_lists_original_names() {
        let mut book = MemoryBook::new(10, 0);
        book.add(version("iris_3", 1));
        let listed = book.loaded_models();
        assert_eq!((internal_name(&listed[0]), listed[0].version), ("iris", 3));
    }

    proptest! {
        #[test]
        fn the_model_used_longest_ago_is_the_oldest(uses in prop::collection::vec(0usize..5, 1..40)) {
            let mut book = MemoryBook::new(0, 0);
            for model in &uses {
                book.touch(&model.to_string());
            }
            let last_use = |model: &str| uses.iter().rposition(|used| used.to_string() == model);
            let oldest = book.oldest().unwrap();
            prop_assert!(uses.iter().all(|used| last_use(&oldest) <= last_use(&used.to_string())));
        }

        #[test]
        fn memory_never_goes_below_zero(total in 0u64..1000, loads in prop::collection::vec(0u64..400, 0..20)) {
            let mut book = MemoryBook::new(total, 0);
            let taken: u64 = loads.into_iter().filter(|bytes| book.take(*bytes).is_ok()).sum();
            prop_assert!(taken <= total);
            prop_assert_eq!(book.available(), total - taken);
        }
    }
}
