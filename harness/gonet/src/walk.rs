//! Drives the resolver walks of [`netmodel::resolve`]: owns their sockets and their clock.

use std::collections::HashMap;
use std::net::SocketAddr;

use futures::stream::{FuturesUnordered, StreamExt};
use netmodel::resolve::{Exchange, ExchangeId, Failure, Outcome, Reason, Step, Walk};
use pace::Pace;
use tokio::time::Instant;

use crate::exchange::hold;
use crate::lookup::LookupFailure;

/// Where name servers listen.
const PORT: u16 = 53;

/// How a walk reaches its servers.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Scales the waits of every exchange.
    pub pace: Pace,
    /// The servers' port; 53 unless a test has servers of its own.
    pub port: u16,
    /// The end of the caller's patience, taken as it is; `None` waits for the walk's own end.
    pub deadline: Option<Instant>,
}

impl Line {
    /// Port 53, no deadline.
    pub fn new(pace: Pace) -> Line {
        Line { pace, port: PORT, deadline: None }
    }

    pub(crate) fn server(&self, exchange: &Exchange) -> SocketAddr {
        SocketAddr::new(exchange.server, self.port)
    }

    /// When a try that begins now ends.
    pub(crate) fn until(&self, exchange: &Exchange) -> Instant {
        let own = Instant::now() + self.pace.network(exchange.wait);
        self.deadline.map_or(own, |deadline| own.min(deadline))
    }
}

/// How a driven walk ended.
#[derive(Debug, Clone)]
pub struct Driven {
    /// The walk's own account.
    pub outcome: Outcome,
    /// What sockets did, in Go's words.
    failures: HashMap<ExchangeId, LookupFailure>,
}

impl Driven {
    /// `failure`, as Go words it.
    pub fn go_failure(&self, failure: &Failure) -> LookupFailure {
        if let Some(failure) = failure.exchange.and_then(|id| self.failures.get(&id)) {
            return failure.clone();
        }
        match failure.reason {
            Reason::NotFound | Reason::BadName => LookupFailure::NotFound,
            Reason::ServerFailed => LookupFailure::ServerFailure,
            Reason::ServerRefused | Reason::ServerCode(_) => LookupFailure::Misbehaving,
            Reason::Lame => LookupFailure::LameReferral,
            Reason::TimedOut => LookupFailure::Timeout("i/o timeout".to_owned()),
            Reason::Unreachable => LookupFailure::Socket("connect: connection refused".to_owned()),
        }
    }
}

/// Asks what `walk` asks until it ends. Past the deadline every further try ends at once as a time-out.
pub async fn drive(mut walk: Walk, line: &Line) -> Driven {
    let mut failures = HashMap::new();
    let mut running = FuturesUnordered::new();
    loop {
        match walk.step() {
            Step::Ask(exchanges) => running.extend(
                exchanges.into_iter().map(async |exchange| (exchange.id, hold(&exchange, line).await)),
            ),
            Step::Wait => {
                if let Some((id, end)) = running.next().await {
                    failures.extend(end.failure.map(|failure| (id, failure)));
                    walk.reply(id, end.reply);
                }
            }
            Step::Done(outcome) => return Driven { outcome, failures },
        }
    }
}
