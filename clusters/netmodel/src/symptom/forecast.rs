//! What a dial will come to, before it is made.

use std::net::Ipv4Addr;

use super::OutcomeClass;
use crate::policy::{Endpoint, Explanation, Flow, NoSuchPod, Path, Protocol, Verdict, explain};
use crate::profile::{Denial, Profile};
use crate::service::{Route, route};
use crate::view::ClusterView;

/// The forecast of one dial: a line for each endpoint it may be led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// Where the dialled address leads.
    pub route: Route,
    /// What comes of it at each place it may lead to, with what the policies say there.
    pub ends: Vec<(OutcomeClass, Explanation)>,
}

/// Forecasts a dial of `address:port` by `from`, provided the destination listens there.
///
/// `Refused` on the flannel profile stands for a client that has not been refused often: after
/// six refusals at once the ICMP is limited to one a second, and some dials see `Timeout`.
///
/// # Errors
/// `from` is a pod that has no address.
pub fn forecast(
    view: &ClusterView,
    from: &Endpoint,
    address: Ipv4Addr,
    protocol: Protocol,
    port: u16,
    profile: Profile,
) -> Result<Forecast, NoSuchPod> {
    let route = route(view, address, protocol, port);
    let targets = match &route {
        Route::Unserved | Route::NoEndpoints { .. } => vec![(address, port, Path::Direct)],
        Route::Endpoints { endpoints, .. } => {
            endpoints.iter().map(|(address, port)| (*address, *port, Path::Service)).collect()
        }
    };
    let mut ends = Vec::new();
    for (target, port, path) in targets {
        let to =
            if view.node.addresses.contains(&target) { Endpoint::Node } else { Endpoint::Address(target) };
        let flow = Flow { from: from.clone(), to, path, protocol, port };
        let explanation = explain(view, &flow, profile)?;
        ends.push((class(view, &route, target, &explanation.verdict, profile), explanation));
    }
    Ok(Forecast { route, ends })
}

fn class(
    view: &ClusterView,
    route: &Route,
    target: Ipv4Addr,
    verdict: &Verdict,
    profile: Profile,
) -> OutcomeClass {
    match (verdict, route) {
        (Verdict::Denied { .. }, _) => match profile.knobs().denial {
            Denial::PortUnreachable => OutcomeClass::Refused,
            Denial::Drop => OutcomeClass::Timeout,
        },
        (Verdict::Allowed, Route::NoEndpoints { .. }) => OutcomeClass::Refused,
        // Nothing translates it: it leaves by the default route and is lost.
        (Verdict::Allowed, Route::Unserved) if view.service_cidr.contains(&target) => OutcomeClass::Timeout,
        (Verdict::Allowed, Route::Unserved | Route::Endpoints { .. }) => OutcomeClass::Open,
    }
}
