//! busybox 1.36 `nslookup`: no `ndots`. A name with a dot is asked as it stands; a single label
//! is asked under every search domain at once and never bare. Servers one after the other.

use std::net::IpAddr;

use super::board::{Board, Manner, failure};
use super::conf::ResolvConf;
use super::exchange::{Cut, Exchange, Question, Reply, Taste};
use super::outcome::Failure;
use super::walk::{Family, Rooted, unrooted};

#[derive(Debug, Clone)]
pub(super) struct Nslookup {
    conf: ResolvConf,
    questions: Vec<Question>,
    server: usize,
    /// Questions of this server not ended yet.
    open: usize,
    /// What this server has answered.
    answered: Vec<(Question, Reply)>,
    last: Option<Failure>,
}

impl Nslookup {
    pub(super) fn start(conf: &ResolvConf, name: &str, family: Family, board: &mut Board) -> Self {
        let (bare, rooted) = unrooted(name);
        let as_given = rooted == Rooted::Yes || bare.contains('.') || conf.search.is_empty();
        let names: Vec<String> = if as_given { vec![bare.to_owned()] } else { conf.searched(bare).collect() };
        let questions = family
            .records()
            .iter()
            .flat_map(|record| names.iter().map(|name| Question { name: name.clone(), record: *record }));
        let mut tool = Self {
            conf: conf.clone(),
            questions: questions.collect(),
            server: 0,
            open: 0,
            answered: Vec::new(),
            last: None,
        };
        tool.ask_server(board);
        tool
    }

    pub(super) fn reply(&mut self, board: &mut Board, exchange: &Exchange, reply: Reply) {
        self.open = self.open.saturating_sub(1);
        let failed = !matches!(reply, Reply::Addresses(_));
        if failed {
            self.last = Some(failure(exchange, &reply, None));
        }
        match reply {
            // The next write to the connected socket fails: this server is given up.
            Reply::Unreachable => self.next_server(board),
            Reply::Timeout if self.open == 0 && self.answered.is_empty() => self.next_server(board),
            Reply::Timeout if self.open == 0 => self.finish(board),
            Reply::Timeout => {}
            reply => {
                self.answered.push((exchange.question.clone(), reply));
                if self.open == 0 {
                    self.finish(board);
                }
            }
        }
    }

    fn next_server(&mut self, board: &mut Board) {
        self.server += 1;
        self.answered.clear();
        self.ask_server(board);
    }

    fn ask_server(&mut self, board: &mut Board) {
        board.abandon();
        let Some(server) = self.conf.nameservers.get(self.server) else {
            self.finish(board);
            return;
        };
        self.open = self.questions.len();
        let resend = self.conf.timeout / self.conf.attempts;
        let manner = Manner {
            wait: self.conf.timeout,
            resend: Some(resend),
            payload: None,
            cut: Cut::TakeAsIs,
            taste: Taste::AskAgainOnFailure,
        };
        for question in &self.questions {
            board.ask(*server, question.clone(), manner);
        }
    }

    fn finish(&mut self, board: &mut Board) {
        let mut found: Option<(Vec<IpAddr>, String)> = None;
        for (question, reply) in &self.answered {
            if let Reply::Addresses(addresses) = reply {
                let (all, _) = found.get_or_insert_with(|| (Vec::new(), question.name.clone()));
                all.extend(addresses);
            }
        }
        match (found, self.last.take()) {
            (Some((addresses, name)), _) => board.found(addresses, &name),
            (None, Some(failure)) => board.failed(failure),
            (None, None) => {}
        }
    }
}
