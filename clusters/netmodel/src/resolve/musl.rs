//! musl 1.2.3: every server at once, the datagrams sent again within one patience per name,
//! and the first name that is not NXDOMAIN decides.

use std::net::IpAddr;

use super::board::{Board, Manner, failure};
use super::conf::ResolvConf;
use super::exchange::{Cut, Exchange, Question, RecordType, Reply, Taste};
use super::outcome::{Failure, GaiCode, Reason};
use super::walk::{Family, Rooted, unrooted};

#[derive(Debug, Clone)]
pub(super) struct Musl {
    conf: ResolvConf,
    names: Vec<String>,
    at: usize,
    lanes: Vec<Lane>,
    last: Option<Failure>,
}

/// One record type of the name at hand.
#[derive(Debug, Clone)]
struct Lane {
    record: RecordType,
    /// Servers that have not given up on this question yet.
    open: usize,
    end: Option<Reply>,
}

impl Musl {
    pub(super) fn start(conf: &ResolvConf, name: &str, family: Family, board: &mut Board) -> Self {
        let (bare, rooted) = unrooted(name);
        let given = || bare.to_owned();
        // Dots enough: only as given, the search list is never looked at.
        let names = if rooted == Rooted::Yes || conf.dotted_enough(bare) {
            vec![given()]
        } else {
            conf.searched(bare).chain([given()]).collect()
        };
        let lane = |record: &RecordType| Lane { record: *record, open: 0, end: None };
        let lanes = family.records().iter().map(lane).collect();
        let mut musl = Self { conf: conf.clone(), names, at: 0, lanes, last: None };
        musl.ask_name(board);
        musl
    }

    pub(super) fn reply(&mut self, board: &mut Board, exchange: &Exchange, reply: Reply) {
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.record == exchange.question.record) else {
            return;
        };
        if lane.end.is_some() {
            return;
        }
        lane.open = lane.open.saturating_sub(1);
        let useful = !matches!(
            reply,
            Reply::Timeout | Reply::Unreachable | Reply::ServFail | Reply::Refused | Reply::Code(_)
        );
        if useful {
            if matches!(reply, Reply::NxDomain) {
                self.last = Some(failure(exchange, &reply, Some(GaiCode::NoName)));
            }
            lane.end = Some(reply);
        } else if lane.open == 0 {
            lane.end = Some(Reply::Timeout);
        }
        if self.lanes.iter().all(|lane| lane.end.is_some()) {
            self.finish_name(board, exchange);
        }
    }

    fn ask_name(&mut self, board: &mut Board) {
        board.abandon();
        let Some(name) = self.names.get(self.at) else {
            let code = Some(GaiCode::NoName);
            let unasked = Failure { reason: Reason::NotFound, code, server: None, exchange: None };
            board.failed(self.last.take().unwrap_or(unasked));
            return;
        };
        let resend = self.conf.timeout / self.conf.attempts;
        let manner = Manner {
            wait: self.conf.timeout,
            resend: Some(resend),
            payload: None,
            cut: Cut::TakeAsIs,
            taste: Taste::OnlyUseful,
        };
        for lane in &mut self.lanes {
            lane.open = self.conf.nameservers.len();
            lane.end = None;
            for server in &self.conf.nameservers {
                let question = Question { name: name.clone(), record: lane.record };
                board.ask(*server, question, manner);
            }
        }
    }

    /// The first lane with something to say decides: silence ends the walk, NXDOMAIN goes on to
    /// the next name even if the other lane brought addresses.
    fn finish_name(&mut self, board: &mut Board, exchange: &Exchange) {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for lane in &self.lanes {
            match &lane.end {
                Some(Reply::NxDomain) => {
                    self.at += 1;
                    self.ask_name(board);
                    return;
                }
                Some(Reply::Addresses(own)) => addresses.extend(own),
                Some(Reply::Timeout) => {
                    board.failed(failure(exchange, &Reply::Timeout, Some(GaiCode::Again)));
                    return;
                }
                _ => {}
            }
        }
        if addresses.is_empty() {
            board.failed(failure(exchange, &Reply::NoData, Some(GaiCode::NoName)));
        } else {
            board.found(addresses, &self.names[self.at]);
        }
    }
}
