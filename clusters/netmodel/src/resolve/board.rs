//! What a machine has asked, what is open, and how it ended.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::exchange::{Cut, Exchange, ExchangeId, Question, Reply, Taste};
use super::outcome::{Failure, Found, GaiCode, Reason};

/// Book-keeping shared by the four machines.
#[derive(Debug, Clone, Default)]
pub(super) struct Board {
    next_id: u64,
    /// Exchanges not handed out yet.
    pub(super) fresh: Vec<Exchange>,
    /// Exchanges handed out or about to be, not answered yet.
    pub(super) open: HashMap<ExchangeId, Exchange>,
    pub(super) replies: Vec<(Question, Reply)>,
    pub(super) result: Option<Result<Found, Failure>>,
}

/// How one machine asks: its patience and its taste.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) wait: Duration,
    pub(super) resend: Option<Duration>,
    pub(super) payload: Option<u16>,
    pub(super) cut: Cut,
    pub(super) taste: Taste,
}

impl Board {
    pub(super) fn ask(&mut self, server: IpAddr, question: Question, manner: Manner) {
        let id = ExchangeId(self.next_id);
        self.next_id += 1;
        let Manner { wait, resend, payload, cut, taste } = manner;
        let exchange = Exchange { id, server, question, wait, resend, payload, cut, taste };
        self.open.insert(id, exchange.clone());
        self.fresh.push(exchange);
    }

    /// Forgets what is still open: its answers no longer matter.
    pub(super) fn abandon(&mut self) {
        self.open.clear();
        self.fresh.clear();
    }

    pub(super) fn found(&mut self, addresses: Vec<IpAddr>, name: &str) {
        self.abandon();
        self.result = Some(Ok(Found { addresses, name: name.to_owned() }));
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        self.abandon();
        self.result = Some(Err(failure));
    }
}

/// A failure that `exchange` brought about.
pub(super) fn failure(exchange: &Exchange, reply: &Reply, code: Option<GaiCode>) -> Failure {
    Failure { reason: Reason::of(reply), code, server: Some(exchange.server), exchange: Some(exchange.id) }
}
