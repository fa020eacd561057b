//! `rewrite`: names changed on the way in, and back on the way out.

use hickory_proto::rr::rdata::{CNAME, PTR, SRV};
use hickory_proto::rr::{Name, RData, Record};
use outside::Request;
use outside::message::to_name;
use regex::Regex;

use crate::chain::Visit;
use crate::corefile::{CorefileError, Directive, Token};
use crate::name;
use crate::outcome::Outcome;

#[derive(Debug, Clone)]
enum Match {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Substring(String),
    Regex(Regex),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Stop,
    Continue,
}

/// Whether the names in the answer are turned back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    AsTheyAre,
    TurnedBack,
}

/// One `rewrite` directive.
#[derive(Debug, Clone)]
pub(crate) struct Rewrite {
    matches: Match,
    to: String,
    then: Then,
    answers: Answers,
}

/// How to turn a name of the answer back.
enum Back {
    Whole { from: String, to: String },
    Suffix { from: String, to: String },
}

impl Back {
    fn apply(&self, name: &Name) -> Name {
        let text = name::normal(&name.to_ascii());
        let turned = match self {
            Back::Whole { from, to } if text == *from => Some(to.clone()),
            Back::Whole { from, to } => {
                text.strip_suffix(from).filter(|head| head.ends_with('.')).map(|head| format!("{head}{to}"))
            }
            Back::Suffix { from, to } => text.strip_suffix(from).map(|head| format!("{head}{to}")),
        };
        turned.and_then(|text| to_name(&text)).unwrap_or_else(|| name.clone())
    }

    fn record(&self, record: &mut Record) {
        record.name = self.apply(&record.name);
        match &mut record.data {
            RData::CNAME(CNAME(target)) | RData::PTR(PTR(target)) => *target = self.apply(target),
            RData::SRV(SRV { target, .. }) => *target = self.apply(target),
            _ => {}
        }
    }
}

impl Rewrite {
    pub(crate) fn parse(directive: &Directive) -> Result<Rewrite, CorefileError> {
        let mut words = directive.arguments.as_slice();
        let mut then = Then::Stop;
        if let Some((first, rest)) = words.split_first()
            && matches!(first.text.as_str(), "stop" | "continue")
        {
            then = if first.text == "continue" { Then::Continue } else { Then::Stop };
            words = rest;
        }
        let Some((kind, mut words)) = words.split_first() else { return Err(directive.name.wrong_count()) };
        if kind.text != "name" || !directive.block.is_empty() {
            return Err(kind.error(format!(
                "rewrite of '{}' is not supported here; only 'name' on one line is",
                kind.text
            )));
        }
        let how = match words.split_first() {
            Some((first, rest)) if is_match_kind(first) && rest.len() >= 2 => {
                words = rest;
                first.text.as_str()
            }
            _ => "exact",
        };
        let [from, to, rest @ ..] = words else { return Err(kind.wrong_count()) };
        let rest: Vec<&str> = rest.iter().map(|token| token.text.as_str()).collect();
        let answers = match rest.as_slice() {
            [] if how == "exact" => Answers::TurnedBack,
            [] => Answers::AsTheyAre,
            ["answer", "auto"] => Answers::TurnedBack,
            _ => {
                return Err(to.error(format!(
                    "'{}' of a name rewrite is not supported here; 'answer auto' is",
                    rest.join(" ")
                )));
            }
        };
        let matches = match how {
            "exact" => Match::Exact(name::normal(&from.text)),
            "prefix" => Match::Prefix(from.text.to_ascii_lowercase()),
            "suffix" => Match::Suffix(name::normal(&from.text)),
            "substring" => Match::Substring(from.text.to_ascii_lowercase()),
            _ => Match::Regex(
                Regex::new(&from.text)
                    .map_err(|_| from.error(format!("invalid regex matching pattern: {}", from.text)))?,
            ),
        };
        let to = match matches {
            Match::Prefix(_) | Match::Substring(_) => to.text.to_ascii_lowercase(),
            _ => name::normal(&to.text),
        };
        Ok(Rewrite { matches, to, then, answers })
    }

    fn changed(&self, name: &str) -> Option<String> {
        let to = &self.to;
        match &self.matches {
            Match::Exact(from) => (name == from).then(|| to.clone()),
            Match::Prefix(from) => name.strip_prefix(from.as_str()).map(|rest| format!("{to}{rest}")),
            Match::Suffix(from) => name.strip_suffix(from.as_str()).map(|head| format!("{head}{to}")),
            Match::Substring(from) => name.contains(from.as_str()).then(|| name.replace(from.as_str(), to)),
            Match::Regex(pattern) => {
                let groups = pattern.captures(name)?;
                let numbered = groups.iter().enumerate();
                Some(numbered.fold(to.clone(), |text, (number, group)| {
                    text.replace(&format!("{{{number}}}"), group.map_or("", |group| group.as_str()))
                }))
            }
        }
    }
}

fn is_match_kind(token: &Token) -> bool {
    matches!(token.text.as_str(), "exact" | "prefix" | "suffix" | "substring" | "regex")
}

/// All `rewrite` directives of a server block, in file order.
pub(crate) async fn serve(rules: &[Rewrite], request: &Request, visit: &Visit<'_>) -> Outcome {
    let mut current = request.clone();
    let mut back = Vec::new();
    for rule in rules {
        let Some(changed) = rule.changed(&current.name) else { continue };
        let Some(asked) = to_name(&changed) else { continue };
        if rule.answers == Answers::TurnedBack {
            back.push(match &rule.matches {
                Match::Suffix(from) => Back::Suffix { from: rule.to.clone(), to: from.clone() },
                _ => Back::Whole { from: changed, to: current.name.clone() },
            });
        }
        current = current.with_question(&asked, current.kind);
        if rule.then == Then::Stop {
            break;
        }
    }
    let mut outcome = visit.next(&current).await;
    if let Outcome::Written(message) = &mut outcome {
        message.queries.clone_from(&request.message.queries);
        for rule in back.iter().rev() {
            for record in message.answers.iter_mut().chain(&mut message.additionals) {
                rule.record(record);
            }
        }
    }
    outcome
}
