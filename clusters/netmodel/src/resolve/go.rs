//! Go 1.24's own resolver: A and AAAA side by side, each with its own tries, name after name.

use std::net::IpAddr;

use super::board::{Board, Manner, failure};
use super::conf::ResolvConf;
use super::exchange::{Cut, Exchange, Question, RecordType, Reply, Taste};
use super::outcome::{Failure, Reason};
use super::walk::{Rooted, unrooted};

/// Names longer than this with their final dot are not asked.
const MAX_NAME: usize = 254;
/// The UDP payload Go announces.
const PAYLOAD: u16 = 1232;

#[derive(Debug, Clone)]
pub(super) struct Go {
    conf: ResolvConf,
    /// Names to ask, first one first. `original` marks the one as given.
    names: Vec<Candidate>,
    at: usize,
    lanes: Vec<Lane>,
    last: Option<Failure>,
}

#[derive(Debug, Clone)]
struct Candidate {
    name: String,
    original: bool,
}

/// One record type of the name at hand.
#[derive(Debug, Clone)]
struct Lane {
    record: RecordType,
    tries: usize,
    end: Option<Result<Vec<IpAddr>, Failure>>,
}

impl Go {
    pub(super) fn start(conf: &ResolvConf, name: &str, records: &[RecordType], board: &mut Board) -> Self {
        let lane = |record: &RecordType| Lane { record: *record, tries: 0, end: None };
        let mut go = Self {
            conf: conf.clone(),
            names: candidates(conf, name),
            at: 0,
            lanes: records.iter().map(lane).collect(),
            last: None,
        };
        go.ask_name(board);
        go
    }

    pub(super) fn reply(&mut self, board: &mut Board, exchange: &Exchange, reply: Reply) {
        let tries_in_all = self.conf.attempts as usize * self.conf.nameservers.len();
        let Some(index) = self.lanes.iter().position(|lane| lane.record == exchange.question.record) else {
            return;
        };
        let lane = &mut self.lanes[index];
        lane.tries += 1;
        match reply {
            Reply::Addresses(addresses) => lane.end = Some(Ok(addresses)),
            Reply::Records => lane.end = Some(Ok(Vec::new())),
            Reply::NxDomain | Reply::NoData | Reply::AliasOnly => {
                lane.end = Some(Err(failure(exchange, &reply, None)));
            }
            _ if lane.tries >= tries_in_all => {
                lane.end = Some(Err(failure(exchange, &reply, None)));
            }
            _ => self.ask_lane(index, board),
        }
        if self.lanes.iter().all(|lane| lane.end.is_some()) {
            self.finish_name(board);
        }
    }

    fn ask_name(&mut self, board: &mut Board) {
        if self.at >= self.names.len() {
            let unasked = Failure { reason: Reason::NotFound, code: None, server: None, exchange: None };
            board.failed(self.last.take().unwrap_or(unasked));
            return;
        }
        for index in 0..self.lanes.len() {
            self.lanes[index].tries = 0;
            self.lanes[index].end = None;
            self.ask_lane(index, board);
        }
    }

    fn ask_lane(&self, index: usize, board: &mut Board) {
        let lane = &self.lanes[index];
        let server = self.conf.nameservers[lane.tries % self.conf.nameservers.len()];
        let question = Question { name: self.names[self.at].name.clone(), record: lane.record };
        let manner = Manner {
            wait: self.conf.timeout,
            resend: None,
            payload: Some(PAYLOAD),
            cut: Cut::AskOverTcp,
            taste: Taste::Everything,
        };
        board.ask(server, question, manner);
    }

    fn finish_name(&mut self, board: &mut Board) {
        let candidate = &self.names[self.at];
        let mut found: Option<Vec<IpAddr>> = None;
        for end in self.lanes.iter_mut().filter_map(|lane| lane.end.take()) {
            match end {
                Ok(own) => found.get_or_insert_default().extend(own),
                // Once an error is kept, that of the name as given does not replace it.
                Err(failure) if self.last.is_none() || !candidate.original => {
                    self.last = Some(failure);
                }
                Err(_) => {}
            }
        }
        match found {
            Some(addresses) => board.found(addresses, &candidate.name),
            None => {
                self.at += 1;
                self.ask_name(board);
            }
        }
    }
}

/// The names Go asks: as given first when it has `ndots` dots, else last; `.onion` never.
fn candidates(conf: &ResolvConf, name: &str) -> Vec<Candidate> {
    let (bare, rooted) = unrooted(name);
    if rooted == Rooted::Yes {
        let only = Candidate { name: bare.to_owned(), original: false };
        return [only].into_iter().filter(askable).collect();
    }
    let searched = conf.searched(bare).map(|name| Candidate { name, original: false });
    let given = Candidate { name: bare.to_owned(), original: true };
    let names: Vec<_> = if conf.dotted_enough(bare) {
        [given].into_iter().chain(searched).collect()
    } else {
        searched.chain([given]).collect()
    };
    names.into_iter().filter(askable).collect()
}

fn askable(candidate: &Candidate) -> bool {
    candidate.name.len() < MAX_NAME && !candidate.name.ends_with(".onion")
}
