//! One look-up by one program.

use std::net::IpAddr;

use super::board::Board;
use super::conf::ResolvConf;
use super::exchange::{Exchange, ExchangeId, RecordType, Reply};
use super::glibc::Glibc;
use super::go::Go;
use super::musl::Musl;
use super::nslookup::Nslookup;
use super::outcome::{Failure, GaiCode, Outcome, Reason};

/// Whose habits a walk follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stack {
    /// Go 1.24's own resolver (`net`, not cgo).
    Go,
    /// `getaddrinfo` of glibc 2.36: also the JVM, CPython, tokio and cgo.
    Glibc,
    /// `getaddrinfo` of musl 1.2.3.
    Musl,
    /// The `nslookup` of busybox 1.36.
    BusyboxNslookup,
}

/// Which addresses are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `AF_UNSPEC`.
    Any,
    /// `AF_INET`.
    V4,
    /// `AF_INET6`. `getent hosts` walks with this first, then with `V4`.
    V6,
}

impl Family {
    pub(super) fn records(self) -> &'static [RecordType] {
        match self {
            Self::Any => &[RecordType::A, RecordType::Aaaa],
            Self::V4 => &[RecordType::A],
            Self::V6 => &[RecordType::Aaaa],
        }
    }
}

/// What the driver does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Start all of these at once. Each is handed out once.
    Ask(Vec<Exchange>),
    /// Nothing new until an exchange that runs is answered.
    Wait,
    /// The walk is over; what still runs may be dropped.
    Done(Outcome),
}

/// One look-up as a state machine. See the [module](super) for how to drive it.
#[derive(Debug, Clone)]
pub struct Walk {
    board: Board,
    machine: Machine,
}

#[derive(Debug, Clone)]
enum Machine {
    /// Decided without a question: a literal address, or no domain name.
    Idle,
    Go(Go),
    Glibc(Glibc),
    Musl(Musl),
    Nslookup(Nslookup),
}

impl Walk {
    /// Begins the look-up of `name`. A literal address is found at once; what cannot be a domain
    /// name fails at once. `/etc/hosts` is the caller's business ([`super::Hosts`]).
    #[must_use]
    pub fn new(conf: &ResolvConf, stack: Stack, name: &str, family: Family) -> Self {
        let mut board = Board::default();
        if let (Ok(address), false) = (name.parse(), stack == Stack::BusyboxNslookup) {
            let address: IpAddr = address;
            board.found(vec![address], name);
            return Self { board, machine: Machine::Idle };
        }
        if !is_domain_name(name) {
            let code = matches!(stack, Stack::Glibc | Stack::Musl).then_some(GaiCode::NoName);
            board.failed(Failure { reason: Reason::BadName, code, server: None, exchange: None });
            return Self { board, machine: Machine::Idle };
        }
        let machine = match stack {
            Stack::Go => Machine::Go(Go::start(conf, name, family.records(), &mut board)),
            Stack::Glibc => Machine::Glibc(Glibc::start(conf, name, family, &mut board)),
            Stack::Musl => Machine::Musl(Musl::start(conf, name, family, &mut board)),
            Stack::BusyboxNslookup => Machine::Nslookup(Nslookup::start(conf, name, family, &mut board)),
        };
        Self { board, machine }
    }

    /// Begins Go's `LookupTXT` of `name`: the names of an address look-up, one question each. It
    /// ends with no addresses where it finds text.
    #[must_use]
    pub fn text(conf: &ResolvConf, name: &str) -> Self {
        let mut board = Board::default();
        if !is_domain_name(name) {
            board.failed(Failure { reason: Reason::BadName, code: None, server: None, exchange: None });
            return Self { board, machine: Machine::Idle };
        }
        let machine = Machine::Go(Go::start(conf, name, &[RecordType::Txt], &mut board));
        Self { board, machine }
    }

    /// What to do now.
    pub fn step(&mut self) -> Step {
        if let Some(result) = &self.board.result {
            let replies = self.board.replies.clone();
            return Step::Done(Outcome { result: result.clone(), replies });
        }
        match std::mem::take(&mut self.board.fresh) {
            fresh if fresh.is_empty() => Step::Wait,
            fresh => Step::Ask(fresh),
        }
    }

    /// Takes the end of exchange `id`. Ends that no longer matter are passed over, so a late
    /// answer does no harm.
    pub fn reply(&mut self, id: ExchangeId, reply: Reply) {
        let Some(exchange) = self.board.open.remove(&id) else { return };
        self.board.replies.push((exchange.question.clone(), reply.clone()));
        match &mut self.machine {
            Machine::Idle => {}
            Machine::Go(go) => go.reply(&mut self.board, &exchange, reply),
            Machine::Glibc(glibc) => glibc.reply(&mut self.board, &exchange, reply),
            Machine::Musl(musl) => musl.reply(&mut self.board, &exchange, reply),
            Machine::Nslookup(tool) => tool.reply(&mut self.board, &exchange, reply),
        }
    }
}

/// Labels of 1 to 63 bytes, 253 in all, an optional final dot.
fn is_domain_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| (1..=63).contains(&label.len()) && !label.contains(char::is_whitespace);
    name.len() <= 253 && name.split('.').all(label)
}

/// The name without its final dot, and whether it had one.
pub(super) fn unrooted(name: &str) -> (&str, Rooted) {
    match name.strip_suffix('.') {
        Some(name) => (name, Rooted::Yes),
        None => (name, Rooted::No),
    }
}

/// Whether a name was written with a final dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rooted {
    Yes,
    No,
}
