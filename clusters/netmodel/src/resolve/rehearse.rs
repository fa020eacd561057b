//! A walk in virtual time: what a program would ask, find and wait for, given a world of names.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::conf::ResolvConf;
use super::exchange::{Exchange, Question, Reply, Take};
use super::outcome::Outcome;
use super::walk::{Family, Stack, Step, Walk};

/// A rehearsed walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsal {
    /// How it ends.
    pub outcome: Outcome,
    /// How long it takes when answers take no time and silence lasts an exchange's `wait`.
    pub elapsed: Duration,
    /// Every question in the order it was first sent, with the server asked.
    pub asked: Vec<(IpAddr, Question)>,
}

/// Runs one look-up against `world`, which says what a server answers to a question
/// ([`Reply::Timeout`] for silence).
pub fn rehearse(
    conf: &ResolvConf,
    stack: Stack,
    name: &str,
    family: Family,
    mut world: impl FnMut(IpAddr, &Question) -> Reply,
) -> Rehearsal {
    let mut walk = Walk::new(conf, stack, name, family);
    let mut now = Duration::ZERO;
    let mut asked = Vec::new();
    let mut running: VecDeque<(Duration, Exchange, Reply)> = VecDeque::new();
    loop {
        match walk.step() {
            Step::Done(outcome) => return Rehearsal { outcome, elapsed: now, asked },
            Step::Ask(exchanges) => {
                for exchange in exchanges {
                    asked.push((exchange.server, exchange.question.clone()));
                    let (took, reply) = settle(&exchange, &mut world);
                    running.push_back((now + took, exchange, reply));
                }
            }
            Step::Wait => {
                // The earliest end; of equal ones the first started.
                let next = (0..running.len()).min_by_key(|index| running[*index].0);
                let Some((end, exchange, reply)) = next.and_then(|index| running.remove(index)) else {
                    unreachable!("a walk that waits has an exchange running");
                };
                now = now.max(end);
                walk.reply(exchange.id, reply);
            }
        }
    }
}

/// What one exchange reports and after how long.
fn settle(exchange: &Exchange, world: &mut impl FnMut(IpAddr, &Question) -> Reply) -> (Duration, Reply) {
    let mut sent_at = Duration::ZERO;
    loop {
        let mut failures = 0;
        loop {
            let reply = world(exchange.server, &exchange.question);
            if reply == Reply::Timeout {
                break;
            }
            match exchange.take(&reply, failures) {
                Take::Report => return (sent_at, reply),
                Take::AskAgain => failures += 1,
                Take::Ignore => break,
            }
        }
        match exchange.resend {
            Some(pause) if sent_at + pause < exchange.wait => sent_at += pause,
            _ => return (exchange.wait, Reply::Timeout),
        }
    }
}
