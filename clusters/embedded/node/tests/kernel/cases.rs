//! The cases.

mod containers;
pub(crate) mod killed;
mod levers;
mod packets;
mod pods;

use std::future::Future;
use std::pin::Pin;

type Case = fn() -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! cases {
    ($($group:ident::$name:ident),* $(,)?) => {
        /// Every case by name.
        pub(crate) const CASES: &[(&str, Case)] =
            &[$((concat!(stringify!($group), "::", stringify!($name)), || Box::pin($group::$name()))),*];
    };
}

cases![
    pods::a_pod_runs_and_its_status_says_so,
    pods::init_containers_run_one_after_the_other,
    pods::a_failed_init_container_ends_a_pod_that_never_restarts,
    pods::a_job_succeeds_or_fails_by_its_exit_code,
    pods::a_pod_waits_for_its_volume_and_sees_it_change,
    pods::the_node_is_ready_and_holds_its_lease,
    pods::sigterm_is_heard_by_those_who_listen,
    pods::a_pod_of_the_host_network_has_the_nodes_address,
    pods::stopping_the_node_ends_every_process,
    containers::a_crashing_container_backs_off,
    containers::a_killed_container_is_started_again,
    containers::an_unknown_image_is_never_pulled,
    containers::a_missing_key_holds_a_container_until_it_is_there,
    containers::a_program_that_does_not_exist_is_told_as_runc_tells_it,
    containers::readiness_follows_its_probe,
    containers::liveness_restarts,
    containers::a_startup_probe_holds_the_others_back,
    containers::exec_passes_streams_and_exit_codes,
    containers::logs_are_cut_as_asked,
    containers::builtins_and_hidden_parts_of_the_host,
    packets::flannel_routes_and_polices,
    packets::flannel_routes_and_polices_without_br_netfilter,
    packets::calico_routes_and_polices,
    packets::a_port_is_forwarded,
    levers::flannel_link_goes_down_and_up,
    levers::calico_link_goes_down_and_up,
    levers::flannel_forgotten_connection_meets_the_policy,
    levers::calico_forgotten_connection_meets_the_policy,
    levers::flannel_stopped_packets_are_counted,
    levers::calico_stopped_packets_are_counted,
    killed::to_be_killed,
];
