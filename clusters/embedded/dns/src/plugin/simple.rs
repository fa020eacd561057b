//! Small plugins: `errors`, `loadbalance` and those that are only switches.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use outside::Request;
use outside::message::code_word;
use rand::seq::SliceRandom;

use crate::log::Journal;
use crate::outcome::{Failure, Outcome};

/// `errors`: a line for every failure that has a reason, and the failure passed on.
pub(crate) fn report(journal: &Journal, request: &Request, failure: &Failure) {
    if let Some(reason) = &failure.reason {
        let code = u16::from(failure.code);
        journal.error(format!("plugin/errors: {code} {} {}: {reason}", request.name, request.kind));
    }
}

/// `log`: one line for an answer.
pub(crate) fn record(journal: &Journal, request: &Request, outcome: &Outcome) {
    let code = match outcome {
        Outcome::Written(message) => message.metadata.response_code,
        Outcome::Failed(failure) => failure.code,
        Outcome::Dropped => return,
    };
    let transport = match request.transport {
        outside::Transport::Udp => "udp",
        outside::Transport::Tcp => "tcp",
    };
    journal.info(format!(
        "{} - {} \"{} {} {} {transport} {} {}\" {}",
        request.client,
        request.message.metadata.id,
        request.kind,
        request.class,
        request.name,
        request.wants_dnssec(),
        request.room(),
        code_word(code),
    ));
}

/// `loadbalance`: the address records of an answer in random order, aliases before them.
pub(crate) fn balance(message: &mut Message) {
    let answers = std::mem::take(&mut message.answers);
    let is_address = |kind| matches!(kind, RecordType::A | RecordType::AAAA);
    let (mut addresses, others): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|record| is_address(record.record_type()));
    addresses.shuffle(&mut rand::rng());
    message.answers = others.into_iter().chain(addresses).collect();
}

/// The response code that a word of a Corefile stands for.
pub(crate) fn code_of(word: &str) -> Option<ResponseCode> {
    let known = [
        ResponseCode::NoError,
        ResponseCode::FormErr,
        ResponseCode::ServFail,
        ResponseCode::NXDomain,
        ResponseCode::NotImp,
        ResponseCode::Refused,
        ResponseCode::NotAuth,
    ];
    known.into_iter().find(|code| code_word(*code) == word)
}
