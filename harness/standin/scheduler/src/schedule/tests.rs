//! The rules of scheduling and of a version's life, as tables.

use proptest::prelude::*;
use rstest::rstest;
use seldon_proto::{agent, scheduler as pb};

use crate::journal::{Journal, Level};
use crate::schedule::filter::{reject_replica, reject_server};
use crate::store::status::{Life, Standing, status_of};
use crate::store::transition::Step;
use crate::store::version::{ModelState, ModelVersion, ReplicaState};
use crate::store::{Replica, Server, Store, StoreError};

fn definition(name: &str, generation: i64) -> pb::Model {
    pb::Model {
        meta: Some(pb::MetaData {
            name: name.to_owned(),
            kubernetes_meta: Some(pb::KubernetesMeta { namespace: "ml".to_owned(), generation }),
            ..pb::MetaData::default()
        }),
        model_spec: Some(pb::ModelSpec { uri: "s3://m".to_owned(), ..pb::ModelSpec::default() }),
        deployment_spec: Some(pb::DeploymentSpec { replicas: 1, ..pb::DeploymentSpec::default() }),
        ..pb::Model::default()
    }
}

fn announcement(server: &str, index: u32, memory: u64) -> agent::AgentSubscribeRequest {
    agent::AgentSubscribeRequest {
        server_name: server.to_owned(),
        shared: true,
        replica_idx: index,
        replica_config: Some(agent::ReplicaConfig {
            inference_svc: format!("{server}-{index}"),
            memory_bytes: memory,
            capabilities: vec!["sklearn ".to_owned(), "mlflow".to_owned()],
            ..agent::ReplicaConfig::default()
        }),
        available_memory_bytes: memory,
        ..agent::AgentSubscribeRequest::default()
    }
}

fn store(replicas: &[(&str, u32, u64)]) -> Store {
    let mut store = Store::new(Journal::memory(Level::Debug));
    for (server, index, memory) in replicas {
        store.add_replica(&announcement(server, *index, *memory));
    }
    store
}

/// Where the newest version of a model is, as `server:replica=State …`.
fn placed(store: &Store, name: &str) -> String {
    let latest = store.latest(name).unwrap();
    let replicas =
        latest.replicas.iter().map(|(index, status)| format!("{index}={}", status.state.as_str_name()));
    format!("{}:{}", latest.server, replicas.collect::<Vec<_>>().join(","))
}

#[rstest]
#[case::good("iris", true)]
#[case::digits_and_dashes("1-a-2", true)]
#[case::one("a", true)]
#[case::dot("a.b", false)]
#[case::capital("Iris", false)]
#[case::leading_dash("-a", false)]
#[case::trailing_dash("a-", false)]
#[case::underscore("a_b", false)]
#[case::empty("", false)]
fn names(#[case] name: &str, #[case] good: bool) {
    assert_eq!(store(&[]).load(definition(name, 1)).is_ok(), good);
}

#[rstest]
#[case::no_generation(0, 1)]
#[case::first(1, 1)]
#[case::fourth(4, 4)]
fn the_first_version_is_the_generation(#[case] generation: i64, #[case] version: u32) {
    let mut store = store(&[]);
    store.load(definition("m", generation)).unwrap();
    assert_eq!(store.latest("m").unwrap().version, version);
}

#[test]
fn only_the_model_itself_makes_a_new_version() {
    let mut store = store(&[]);
    store.load(definition("m", 1)).unwrap();
    let mut more = definition("m", 2);
    more.deployment_spec.as_mut().unwrap().replicas = 3;
    store.load(more.clone()).unwrap();
    let latest = store.latest("m").unwrap();
    assert_eq!((latest.version, latest.desired_replicas()), (1, 3));
    assert_eq!(latest.kubernetes_meta().unwrap().generation, 2);
    more.model_spec.as_mut().unwrap().uri = "s3://n".to_owned();
    store.load(more).unwrap();
    assert_eq!(store.latest("m").unwrap().version, 2);
}

type States = &'static [ReplicaState];

#[rstest]
#[case::none_yet(&[], 1, 0, false, ModelState::ModelProgressing)]
#[case::on_its_way(&[ReplicaState::Loaded], 1, 0, false, ModelState::ModelProgressing)]
#[case::there(&[ReplicaState::Available], 1, 0, false, ModelState::ModelAvailable)]
#[case::short(&[ReplicaState::Available], 2, 0, false, ModelState::ModelProgressing)]
#[case::minimum(&[ReplicaState::Available], 2, 1, false, ModelState::ModelAvailable)]
#[case::takes_over(&[ReplicaState::Available, ReplicaState::Loading], 2, 0, true, ModelState::ModelAvailable)]
#[case::nothing_to_take_over_with(&[ReplicaState::Loading], 2, 0, true, ModelState::ModelProgressing)]
#[case::one_failed(&[ReplicaState::Available, ReplicaState::LoadFailed], 2, 1, true, ModelState::ModelFailed)]
#[case::envoy_failed(&[ReplicaState::LoadedUnavailable], 1, 0, false, ModelState::ModelFailed)]
fn a_wanted_version(
    #[case] replicas: States,
    #[case] desired: u32,
    #[case] minimum: u32,
    #[case] other_available: bool,
    #[case] expected: ModelState,
) {
    let mut model = definition("m", 1);
    let spec =
        pb::DeploymentSpec { replicas: desired, min_replicas: minimum, ..pb::DeploymentSpec::default() };
    model.deployment_spec = Some(spec);
    let version = version(model, replicas);
    assert_eq!(status_of(&version, Standing::Latest, Life::Wanted, other_available).state, expected);
}

#[rstest]
#[case::still_there(&[ReplicaState::Available], ModelState::ModelTerminating)]
#[case::still_loading(&[ReplicaState::Loading], ModelState::ModelTerminating)]
#[case::going(&[ReplicaState::UnloadEnvoyRequested], ModelState::ModelTerminating)]
#[case::gone(&[ReplicaState::Unloaded], ModelState::ModelTerminated)]
#[case::never_there(&[], ModelState::ModelTerminated)]
#[case::never_loaded(&[ReplicaState::LoadFailed], ModelState::ModelTerminated)]
#[case::stuck(&[ReplicaState::Unloaded, ReplicaState::UnloadFailed], ModelState::ModelTerminateFailed)]
fn a_version_on_its_way_out(#[case] replicas: States, #[case] expected: ModelState) {
    let version = version(definition("m", 1), replicas);
    assert_eq!(status_of(&version, Standing::Latest, Life::Deleted, false).state, expected);
    assert_eq!(status_of(&version, Standing::Superseded, Life::Wanted, true).state, expected);
}

fn version(definition: pb::Model, replicas: &[ReplicaState]) -> ModelVersion {
    let mut version = ModelVersion::new(definition, 1);
    for (index, state) in replicas.iter().enumerate() {
        version.set_replica(u32::try_from(index).unwrap(), *state, "");
    }
    version
}

#[rstest]
#[case::fits(|_: &mut pb::ModelSpec, _: &mut Server| {}, None)]
#[case::nobody_there(
    |_: &mut pb::ModelSpec, server: &mut Server| server.replicas.clear(),
    Some(("ServerReplicaFilter", "0 server replicas (waiting for server replicas to connect)")))]
#[case::not_shared(
    |_: &mut pb::ModelSpec, server: &mut Server| server.shared = false,
    Some(("SharingServerFilter", "sharing false")))]
#[case::named(|spec: &mut pb::ModelSpec, server: &mut Server| {
    spec.server = Some("mlserver".to_owned());
    server.shared = false;
}, None)]
#[case::other_named(
    |spec: &mut pb::ModelSpec, _: &mut Server| spec.server = Some("ml/mlserver".to_owned()),
    Some(("SharingServerFilter", "requested server ml/mlserver == mlserver")))]
#[case::going_away(
    |_: &mut pb::ModelSpec, server: &mut Server| server.expected_replicas = 0,
    Some(("DeletedServerFilter", "expected replicas 0 != 0")))]
#[case::requirement_with_spaces(
    |spec: &mut pb::ModelSpec, _: &mut Server| spec.requirements = vec![" sklearn ".to_owned()], None)]
#[case::requirement_part_of_a_word(
    |spec: &mut pb::ModelSpec, _: &mut Server| spec.requirements = vec!["sk".to_owned()],
    Some(("ServerRequirementsFilter", "model requirements [sk], server capabilities [sklearn mlflow]")))]
fn servers_are_filtered(
    #[case] change: fn(&mut pb::ModelSpec, &mut Server),
    #[case] expected: Option<(&str, &str)>,
) {
    let mut model = definition("m", 1);
    let mut server = store(&[("mlserver", 0, 100)]).servers.remove("mlserver").unwrap();
    change(model.model_spec.as_mut().unwrap(), &mut server);
    let rejection = reject_server(&ModelVersion::new(model, 1), &server);
    let rejection = rejection.as_ref().map(|rejection| (rejection.filter, rejection.reason.as_str()));
    assert_eq!(rejection, expected);
}

#[rstest]
#[case::no_memory_named(None, 0, None)]
#[case::fits(Some(100), 0, None)]
#[case::too_big(Some(101), 0, Some(("AvailableMemoryReplicaFilter", "model memory 101 replica memory 100")))]
#[case::promised_to_others(Some(60), 50, Some(("AvailableMemoryReplicaFilter", "model memory 60 replica memory 100")))]
fn replicas_are_filtered_by_memory(
    #[case] memory: Option<u64>,
    #[case] reserved: u64,
    #[case] expected: Option<(&str, &str)>,
) {
    let mut model = definition("m", 1);
    model.model_spec.as_mut().unwrap().memory_bytes = memory;
    let mut server = store(&[("mlserver", 0, 100)]).servers.remove("mlserver").unwrap();
    server.replicas.get_mut(&0).unwrap().reserve(reserved);
    let rejection = reject_replica(&ModelVersion::new(model, 1), &server, &server.replicas[&0]);
    let rejection = rejection.as_ref().map(|rejection| (rejection.filter, rejection.reason.as_str()));
    assert_eq!(rejection, expected);
}

#[test]
fn an_explainer_needs_its_capability() {
    let mut model = definition("m", 1);
    let explainer = pb::ExplainerSpec { r#type: "anchor_tabular".to_owned(), ..pb::ExplainerSpec::default() };
    model.model_spec.as_mut().unwrap().model_spec = Some(pb::model_spec::ModelSpec::Explainer(explainer));
    let server = store(&[("mlserver", 0, 100)]).servers.remove("mlserver").unwrap();
    let rejection = reject_replica(&ModelVersion::new(model, 1), &server, &server.replicas[&0]).unwrap();
    assert_eq!(rejection.filter, "ExplainerFilter");
}

#[test]
fn the_replica_with_most_memory_is_taken_and_at_a_tie_the_first() {
    let mut by_memory = store(&[("s", 0, 100), ("s", 1, 200)]);
    by_memory.load(definition("m", 1)).unwrap();
    by_memory.schedule("m").result.unwrap();
    assert_eq!(placed(&by_memory, "m"), "s:1=LoadRequested");
    let mut tie = store(&[("s", 0, 100), ("s", 1, 100)]);
    tie.load(definition("m", 1)).unwrap();
    tie.schedule("m").result.unwrap();
    assert_eq!(placed(&tie, "m"), "s:0=LoadRequested");
}

#[test]
fn a_model_stays_where_it_is_loaded() {
    let mut store = store(&[("a", 0, 100), ("b", 0, 100), ("b", 1, 900)]);
    let mut model = definition("m", 1);
    model.model_spec.as_mut().unwrap().server = Some("b".to_owned());
    store.load(model).unwrap();
    store.schedule("m").result.unwrap();
    assert_eq!(placed(&store, "m"), "b:1=LoadRequested");
    store.servers.get_mut("b").unwrap().replicas.get_mut(&1).unwrap().available_memory = 1;
    store.schedule("m").result.unwrap();
    assert_eq!(placed(&store, "m"), "b:1=LoadRequested");
}

#[test]
fn a_step_from_another_state_is_refused() {
    let mut store = store(&[("s", 0, 100)]);
    store.load(definition("m", 1)).unwrap();
    store.schedule("m").result.unwrap();
    let step = |from, to| Step {
        model: "m",
        version: 1,
        server: "s",
        replica: 0,
        from,
        to,
        reason: "",
        available_memory: None,
        runtime: None,
    };
    let refused = store.step(step(ReplicaState::Loading, ReplicaState::Loaded)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "State mismatch for m:1 expected state Loading but was LoadRequested when trying to move to state Loaded"
    );
    assert!(store.step(step(ReplicaState::LoadRequested, ReplicaState::Loading)).is_ok());
    let nowhere = Step { server: "t", ..step(ReplicaState::Loading, ReplicaState::Loaded) };
    assert_eq!(store.step(nowhere).unwrap_err(), StoreError::UnknownServer("t".to_owned()));
}

#[test]
fn memory_is_reserved_until_the_model_is_loaded() {
    let mut store = store(&[("s", 0, 100)]);
    let mut model = definition("m", 1);
    model.model_spec.as_mut().unwrap().memory_bytes = Some(60);
    store.load(model).unwrap();
    store.schedule("m").result.unwrap();
    let replica = |store: &Store| -> Replica { store.servers["s"].replicas[&0].clone() };
    assert_eq!(replica(&store).reserved_memory, 60);
    for (from, to) in
        [(ReplicaState::LoadRequested, ReplicaState::Loading), (ReplicaState::Loading, ReplicaState::Loaded)]
    {
        let (model, server) = ("m", "s");
        let step = Step {
            model,
            version: 1,
            server,
            replica: 0,
            from,
            to,
            reason: "",
            available_memory: Some(40),
            runtime: None,
        };
        store.step(step).unwrap();
    }
    assert_eq!((replica(&store).reserved_memory, replica(&store).available_memory), (0, 40));
    assert_eq!(replica(&store).loaded_models(), 1);
}

proptest! {
    /// A model is on as many replicas as it wants, all of one server, or on none with a reason; and its status never
    /// says available before a replica is.
    #[test]
    fn a_model_is_placed_whole_or_not_at_all(
        memories in prop::collection::vec(0_u64..200, 1..5),
        replicas in 1_u32..5,
        memory in 0_u64..200,
    ) {
        let mut store = store(&[]);
        for (index, bytes) in memories.iter().enumerate() {
            store.add_replica(&announcement("s", u32::try_from(index).unwrap(), *bytes));
        }
        let mut model = definition("m", 1);
        model.model_spec.as_mut().unwrap().memory_bytes = Some(memory);
        model.deployment_spec.as_mut().unwrap().replicas = replicas;
        store.load(model).unwrap();
        let fits = memories.iter().filter(|bytes| **bytes >= memory).count() >= replicas as usize;
        let outcome = store.schedule("m");
        prop_assert_eq!(outcome.result.is_ok(), fits);
        let latest = store.latest("m").unwrap();
        if fits {
            prop_assert_eq!(latest.replicas.len(), replicas as usize);
            prop_assert_eq!(latest.status.state, ModelState::ModelProgressing);
            prop_assert!(latest.replicas.keys().all(|index| memories[*index as usize] >= memory));
        } else {
            prop_assert!(latest.replicas.is_empty() && latest.server.is_empty());
            prop_assert_eq!(latest.status.state, ModelState::ScheduleFailed);
        }
    }
}
