//! The texts of `template`: the part of Go's templates that answers use, and records from text.

use std::net::IpAddr;

use hickory_proto::rr::rdata::{CNAME, MX, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use outside::Request;
use outside::message::{address_record, to_name};
use regex::{Captures, Regex};

use crate::corefile::{CorefileError, Token};

/// What a text may speak of.
pub(crate) struct Scene<'a> {
    pub(crate) request: &'a Request,
    pub(crate) zone: &'a str,
    pub(crate) groups: Option<(&'a Regex, Captures<'a>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Plain(String),
    Name,
    Zone,
    Class,
    Kind,
    Client,
    Group(String),
    Match(usize),
}

/// A template text, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(Vec<Piece>);

impl Text {
    pub(crate) fn parse(token: &Token) -> Result<Text, CorefileError> {
        let mut pieces = Vec::new();
        let mut rest = token.text.as_str();
        while let Some(start) = rest.find("{{") {
            let Some(length) = rest[start..].find("}}") else {
                return Err(
                    token.error(format!("could not compile template: {}, unclosed action", token.text))
                );
            };
            pieces.push(Piece::Plain(rest[..start].to_owned()));
            let action: Vec<&str> = rest[start + 2..start + length].split_whitespace().collect();
            pieces.push(match action.as_slice() {
                [".Name"] => Piece::Name,
                [".Zone"] => Piece::Zone,
                [".Class"] => Piece::Class,
                [".Type"] => Piece::Kind,
                [".Remote"] => Piece::Client,
                ["index", ".Match", number] if number.parse::<usize>().is_ok() => {
                    Piece::Match(number.parse().unwrap_or(0))
                }
                ["index", ".Group", name] => Piece::Group(name.trim_matches('"').to_owned()),
                [word] if word.starts_with(".Group.") => Piece::Group(word[".Group.".len()..].to_owned()),
                _ => {
                    return Err(token.error(format!(
                        "could not compile template: {}, '{}' is not supported here",
                        token.text,
                        action.join(" ")
                    )));
                }
            });
            rest = &rest[start + length + 2..];
        }
        pieces.push(Piece::Plain(rest.to_owned()));
        Ok(Text(pieces))
    }

    pub(crate) fn fill(&self, scene: &Scene<'_>) -> String {
        let groups = scene.groups.as_ref().map(|(_, groups)| groups);
        let piece = |piece: &Piece| match piece {
            Piece::Plain(text) => text.clone(),
            Piece::Name => scene.request.name.clone(),
            Piece::Zone => scene.zone.to_owned(),
            Piece::Class => scene.request.class.to_string(),
            Piece::Kind => scene.request.kind.to_string(),
            Piece::Client => scene.request.client.to_string(),
            Piece::Group(name) => group_text(groups.and_then(|groups| groups.name(name))),
            Piece::Match(0) if groups.is_none() => scene.request.name.clone(),
            Piece::Match(number) => group_text(groups.and_then(|groups| groups.get(*number))),
        };
        self.0.iter().map(piece).collect()
    }
}

fn group_text(found: Option<regex::Match<'_>>) -> String {
    found.map(|found| found.as_str().to_owned()).unwrap_or_default()
}

/// A record from its text: `name [ttl] [IN] type data`.
pub(crate) fn record(text: &str) -> Result<Record, String> {
    let wrong = || format!("dns: bad record \"{text}\"");
    let mut words = text.split_whitespace().peekable();
    let owner: Name = words.next().and_then(to_name).ok_or_else(wrong)?;
    let mut ttl = 3600;
    let kind: RecordType = loop {
        let word = words.next().ok_or_else(wrong)?;
        if let Ok(number) = word.parse::<u32>() {
            ttl = number;
        } else if word != "IN" {
            break word.parse().map_err(|_| wrong())?;
        }
    };
    let data: Vec<&str> = words.collect();
    let name = |at: usize| data.get(at).and_then(|word| to_name(word)).ok_or_else(wrong);
    fn number<T: std::str::FromStr>(data: &[&str], at: usize) -> Option<T> {
        data.get(at).and_then(|word| word.parse().ok())
    }
    let data = match kind {
        RecordType::A | RecordType::AAAA => {
            let address: IpAddr = data.first().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
            if address.is_ipv4() != (kind == RecordType::A) {
                return Err(wrong());
            }
            return Ok(address_record(&owner, ttl, address));
        }
        RecordType::CNAME => RData::CNAME(CNAME(name(0)?)),
        RecordType::PTR => RData::PTR(PTR(name(0)?)),
        RecordType::NS => RData::NS(NS(name(0)?)),
        RecordType::MX => RData::MX(MX::new(number(&data, 0).ok_or_else(wrong)?, name(1)?)),
        RecordType::SRV => {
            let part = |at| number(&data, at).ok_or_else(wrong);
            RData::SRV(SRV::new(part(0)?, part(1)?, part(2)?, name(3)?))
        }
        RecordType::TXT => RData::TXT(TXT::new(vec![data.join(" ").trim_matches('"').to_owned()])),
        RecordType::SOA => {
            let part = |at| number::<i32>(&data, at).ok_or_else(wrong);
            let serial = number(&data, 2).ok_or_else(wrong)?;
            let minimum = number(&data, 6).ok_or_else(wrong)?;
            RData::SOA(SOA::new(name(0)?, name(1)?, serial, part(3)?, part(4)?, part(5)?, minimum))
        }
        _ => return Err(wrong()),
    };
    Ok(Record::from_rdata(owner, ttl, data))
}
