//! `getaddrinfo` of glibc 2.36: A and AAAA from one socket, a search that stops at silence and
//! at refusals, and a fall-back to asking one question after the other.

use std::net::IpAddr;
use std::time::Duration;

use super::board::{Board, Manner, failure};
use super::conf::ResolvConf;
use super::exchange::{Cut, Exchange, Question, RecordType, Reply, Taste};
use super::outcome::{Failure, GaiCode, Reason};
use super::walk::{Family, Rooted, unrooted};

#[derive(Debug, Clone)]
pub(super) struct Glibc {
    conf: ResolvConf,
    records: &'static [RecordType],
    bare: String,
    rooted: Rooted,
    stage: Stage,
    /// Rounds over the servers done for the name at hand, and the server within the round.
    round: u32,
    server: usize,
    mode: Mode,
    replies: Vec<Option<Reply>>,
    verdicts: Verdicts,
}

/// Which name is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// As given, before the search list.
    AsGivenFirst,
    /// Under the search domain of this index.
    Search(usize),
    /// As given, after the search list.
    AsGivenLast,
}

/// How A and AAAA share the socket. It only ever moves down, and stays for later names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Together,
    /// One after the other, after an answer to one question alone.
    InTurn,
    /// The same with a new socket.
    InTurnReopened,
}

/// `h_errno` after a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missed {
    HostNotFound,
    NoData,
    /// Try again; `ServFail` lets the search go on, anything else stops it.
    ServFail,
    TryAgain,
    NoRecovery,
}

/// What the names so far add up to.
#[derive(Debug, Clone, Default)]
struct Verdicts {
    /// Of the name as given, when it was asked first.
    saved: Option<Missed>,
    nodata: bool,
    servfail: bool,
}

impl Glibc {
    pub(super) fn start(conf: &ResolvConf, name: &str, family: Family, board: &mut Board) -> Self {
        let (bare, rooted) = unrooted(name);
        let first = if rooted == Rooted::Yes || conf.dotted_enough(bare) {
            Stage::AsGivenFirst
        } else if conf.search.is_empty() {
            Stage::AsGivenLast
        } else {
            Stage::Search(0)
        };
        let records = family.records();
        let mut glibc = Self {
            conf: conf.clone(),
            records,
            bare: bare.to_owned(),
            rooted,
            stage: first,
            round: 0,
            server: 0,
            mode: Mode::Together,
            replies: vec![None; records.len()],
            verdicts: Verdicts::default(),
        };
        glibc.ask_server(board);
        glibc
    }

    pub(super) fn reply(&mut self, board: &mut Board, exchange: &Exchange, reply: Reply) {
        let record = exchange.question.record;
        let Some(index) = self.records.iter().position(|own| *own == record) else { return };
        if reply == Reply::Unreachable {
            board.abandon();
            self.unreachable(board, exchange);
            return;
        }
        let silent = reply == Reply::Timeout;
        self.replies[index] = Some(reply);
        if self.replies.iter().all(Option::is_some) {
            self.finish_pass(board, exchange);
        } else if self.mode != Mode::Together {
            if silent {
                self.next_server(board, exchange);
            } else {
                self.ask(self.records[index + 1], board);
            }
        }
    }

    fn name(&self) -> String {
        match self.stage {
            Stage::Search(index) => format!("{}.{}", self.bare, self.conf.search[index]),
            Stage::AsGivenFirst | Stage::AsGivenLast => self.bare.clone(),
        }
    }

    fn ask_server(&mut self, board: &mut Board) {
        board.abandon();
        self.replies.fill(None);
        let at_once = if self.mode == Mode::Together { self.records.len() } else { 1 };
        for record in &self.records[..at_once] {
            self.ask(*record, board);
        }
    }

    fn ask(&self, record: RecordType, board: &mut Board) {
        let server = self.conf.nameservers[self.server];
        let manner = Manner {
            wait: self.patience(),
            resend: None,
            payload: None,
            cut: Cut::AskOverTcp,
            taste: Taste::Everything,
        };
        board.ask(server, Question { name: self.name(), record }, manner);
    }

    /// The first server has the whole time-out; later ones twice and four times as much, shared
    /// by the number of servers, in whole seconds.
    fn patience(&self) -> Duration {
        let whole = self.conf.timeout.as_secs() << self.server;
        let servers = self.conf.nameservers.len() as u64;
        let seconds = if self.server == 0 { whole } else { whole / servers };
        Duration::from_secs(seconds.max(1))
    }

    /// Every question of this pass has an answer or its silence.
    fn finish_pass(&mut self, board: &mut Board, exchange: &Exchange) {
        let answered = |reply: &&Reply| **reply != Reply::Timeout;
        let got = self.replies.iter().flatten().filter(answered).count();
        if got == 0 {
            self.next_server(board, exchange);
            return;
        }
        if got < self.replies.len() {
            match self.mode {
                Mode::Together => self.mode = Mode::InTurn,
                Mode::InTurn => self.mode = Mode::InTurnReopened,
                Mode::InTurnReopened => return self.finish_name(board, exchange),
            }
            return self.ask_server(board);
        }
        if self.replies.iter().flatten().all(unusable) {
            self.next_server(board, exchange);
        } else {
            self.finish_name(board, exchange);
        }
    }

    fn next_server(&mut self, board: &mut Board, exchange: &Exchange) {
        self.server += 1;
        if self.server == self.conf.nameservers.len() {
            self.server = 0;
            self.round += 1;
        }
        if self.round < self.conf.attempts {
            self.ask_server(board);
            return;
        }
        let missed = match self.replies.iter().flatten().find(|reply| **reply != Reply::Timeout) {
            Some(Reply::ServFail) => Missed::ServFail,
            _ => Missed::TryAgain,
        };
        self.miss(board, exchange, missed);
    }

    /// The replies at hand are the name's.
    fn finish_name(&mut self, board: &mut Board, exchange: &Exchange) {
        let replies: Vec<&Reply> = self.replies.iter().flatten().collect();
        let addresses: Vec<IpAddr> = replies.iter().flat_map(|reply| addresses(reply)).collect();
        if !addresses.is_empty() {
            board.found(addresses, &self.name());
            return;
        }
        if replies.contains(&&Reply::AliasOnly) {
            // An answer, so the search is over, but nothing in it is an address.
            board.failed(failure(exchange, &Reply::NxDomain, Some(GaiCode::NoName)));
            return;
        }
        let telling = |reply: &&&Reply| !matches!(reply, Reply::NoData | Reply::Timeout);
        let usable_first = !replies.first().is_some_and(|reply| unusable(reply));
        let decisive = if usable_first {
            replies.iter().find(|reply| telling(reply) && !unusable(reply))
        } else {
            replies.first()
        };
        let missed = match decisive {
            None | Some(Reply::NoData) => Missed::NoData,
            Some(Reply::NxDomain) => Missed::HostNotFound,
            Some(Reply::ServFail) => Missed::ServFail,
            Some(_) => Missed::NoRecovery,
        };
        self.miss(board, exchange, missed);
    }

    /// ICMP refusal: given up at once, except that a name asked as given first still searches.
    fn unreachable(&mut self, board: &mut Board, exchange: &Exchange) {
        if self.stage == Stage::AsGivenFirst && self.rooted == Rooted::No {
            self.miss(board, exchange, Missed::TryAgain);
        } else {
            board.failed(failure(exchange, &Reply::Unreachable, Some(GaiCode::Again)));
        }
    }

    /// The name at hand brought nothing: the next one, or the end.
    fn miss(&mut self, board: &mut Board, exchange: &Exchange, missed: Missed) {
        let next = match self.stage {
            Stage::AsGivenFirst => {
                self.verdicts.saved = Some(missed);
                let searches = self.rooted == Rooted::No && !self.conf.search.is_empty();
                searches.then_some(Stage::Search(0))
            }
            Stage::Search(index) => self.after_search(index, missed),
            Stage::AsGivenLast => None,
        };
        let Some(next) = next else {
            board.failed(self.verdict(exchange, missed));
            return;
        };
        self.stage = next;
        self.round = 0;
        self.server = 0;
        self.ask_server(board);
    }

    fn after_search(&mut self, index: usize, missed: Missed) -> Option<Stage> {
        let goes_on = match missed {
            Missed::NoData => {
                self.verdicts.nodata = true;
                true
            }
            Missed::ServFail => {
                self.verdicts.servfail = true;
                true
            }
            Missed::HostNotFound => true,
            Missed::TryAgain | Missed::NoRecovery => false,
        };
        if goes_on && index + 1 < self.conf.search.len() {
            return Some(Stage::Search(index + 1));
        }
        self.verdicts.saved.is_none().then_some(Stage::AsGivenLast)
    }

    fn verdict(&self, exchange: &Exchange, last: Missed) -> Failure {
        let missed = match (self.verdicts.saved, &self.verdicts) {
            (Some(saved), _) => saved,
            (None, Verdicts { nodata: true, .. }) => Missed::NoData,
            (None, Verdicts { servfail: true, .. }) => Missed::ServFail,
            (None, _) => last,
        };
        let (code, reason) = match missed {
            Missed::HostNotFound => (GaiCode::NoName, Reason::NotFound),
            Missed::NoData => (GaiCode::NoData, Reason::NotFound),
            Missed::ServFail => (GaiCode::Again, Reason::ServerFailed),
            Missed::TryAgain => {
                let given = self.replies.iter().flatten().next();
                (GaiCode::Again, given.map_or(Reason::TimedOut, Reason::of))
            }
            Missed::NoRecovery => (GaiCode::Fail, Reason::ServerRefused),
        };
        let (server, exchange) = (Some(exchange.server), Some(exchange.id));
        Failure { reason, code: Some(code), server, exchange }
    }
}

/// Answers after which another server is asked.
fn unusable(reply: &Reply) -> bool {
    const NOT_IMPLEMENTED: u8 = 4;
    matches!(reply, Reply::ServFail | Reply::Refused | Reply::Lame | Reply::Code(NOT_IMPLEMENTED))
}

fn addresses(reply: &Reply) -> Vec<IpAddr> {
    match reply {
        Reply::Addresses(addresses) => addresses.clone(),
        _ => Vec::new(),
    }
}
