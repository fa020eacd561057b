//! `cache`: answers for as long as their TTL says, within bounds.
//!
//! As in CoreDNS, a cached answer always carries AA; RA stays as it was. The clock of the cache runs by the pace: at
//! pace 0.02 an answer that lives 30 s is gone after 600 ms, and its TTL counts down as fast.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};

use super::number;
use crate::chain::Visit;
use crate::corefile::{self, CorefileError, Directive, Line};
use crate::name;
use crate::outcome::Outcome;
use outside::Request;

/// The least time that anything is kept, in seconds.
const LEAST: u32 = 5;
/// The most that one class of answers may hold.
const CAPACITY: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    name: String,
    kind: RecordType,
    dnssec: bool,
    unchecked: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    message: Message,
    lifetime: u32,
    stored: Instant,
}

/// The bounds for one class of answers, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    least: u32,
    most: u32,
}

/// What kind of answer it is to the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Success,
    Denial,
    ServerError,
    /// Never kept.
    Other,
}

#[derive(Debug, Default)]
struct Shelves {
    success: HashMap<Key, Entry>,
    denial: HashMap<Key, Entry>,
}

/// The settings of one `cache` directive and what it holds.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    zones: Vec<String>,
    success: Bounds,
    denial: Bounds,
    server_error: u32,
    keep_ttl: bool,
    no_success: Vec<String>,
    no_denial: Vec<String>,
    shelves: Arc<Mutex<Shelves>>,
}

impl Cache {
    pub(crate) fn parse(directive: &Directive, block_zones: &[String]) -> Result<Cache, CorefileError> {
        let mut arguments = directive.arguments.as_slice();
        let mut cache = Cache {
            zones: Vec::new(),
            success: Bounds { least: LEAST, most: 3600 },
            denial: Bounds { least: LEAST, most: 1800 },
            server_error: LEAST,
            keep_ttl: false,
            no_success: Vec::new(),
            no_denial: Vec::new(),
            shelves: Arc::default(),
        };
        if let Some((first, rest)) = arguments.split_first()
            && let Ok(ttl) = first.text.parse::<i64>()
        {
            let most = u32::try_from(ttl).ok().filter(|ttl| *ttl > 0);
            let most =
                most.ok_or_else(|| plugin_error(format!("cache TTL can not be zero or negative: {ttl}")))?;
            cache.success.most = most;
            cache.denial.most = most;
            arguments = rest;
        }
        cache.zones = Directive::zones(arguments, block_zones);
        for line in &directive.block {
            cache.line(line)?;
        }
        Ok(cache)
    }

    fn line(&mut self, line: &Line) -> Result<(), CorefileError> {
        let bounds = |bounds: &mut Bounds| {
            if line.arguments.is_empty() {
                return Err(line.name.wrong_count());
            }
            if let Some(token) = line.arguments.get(1) {
                bounds.most = number(token)?;
            }
            if let Some(token) = line.arguments.get(2) {
                bounds.least = number(token)?;
            }
            Ok(())
        };
        match line.name.text.as_str() {
            "success" => bounds(&mut self.success)?,
            "denial" => bounds(&mut self.denial)?,
            "servfail" => {
                let token = line.one()?;
                let limit = corefile::duration(&token.text).ok_or_else(|| token.error("invalid duration"))?;
                self.server_error = u32::try_from(limit.as_secs()).unwrap_or(300);
            }
            "keepttl" => {
                line.none()?;
                self.keep_ttl = true;
            }
            // Fetching ahead changes when the upstream is asked, never what is answered.
            "prefetch" => {}
            "disable" => {
                let Some((which, zones)) = line.arguments.split_first() else {
                    return Err(line.name.wrong_count());
                };
                let zones = Directive::zones(zones, &[".".to_owned()]);
                match which.text.as_str() {
                    "success" => self.no_success = zones,
                    "denial" => self.no_denial = zones,
                    _ => {
                        return Err(plugin_error(
                            "cache type for disable must be \"success\" or \"denial\"".to_owned(),
                        ));
                    }
                }
            }
            "serve_stale" => return Err(line.name.error("property 'serve_stale' is not supported here")),
            _ => return Err(line.name.wrong_count()),
        }
        Ok(())
    }

    pub(crate) async fn serve(&self, request: &Request, visit: &Visit<'_>) -> Outcome {
        if name::closest(&self.zones, &request.name).is_none() {
            return visit.next(request).await;
        }
        let key = Key {
            name: request.name.clone(),
            kind: request.kind,
            dnssec: request.wants_dnssec(),
            unchecked: request.message.metadata.checking_disabled,
        };
        let factor = visit.surroundings().pace.factor();
        if let Some(reply) = self.held(&key, request, factor) {
            return Outcome::Written(reply);
        }
        match visit.next(request).await {
            Outcome::Written(message) => Outcome::Written(self.keep(key, message)),
            other => other,
        }
    }

    fn held(&self, key: &Key, request: &Request, factor: f64) -> Option<Message> {
        let shelves = self.shelves.lock().ok()?;
        let alive = |entry: &&Entry| age(entry, factor) < entry.lifetime;
        let entry =
            shelves.denial.get(key).filter(alive).or_else(|| shelves.success.get(key).filter(alive))?;
        let left = entry.lifetime - if self.keep_ttl { 0 } else { age(entry, factor) };
        let mut reply = request.reply(entry.message.metadata.response_code);
        reply.metadata.authoritative = true;
        reply.metadata.recursion_available = entry.message.metadata.recursion_available;
        let with_ttl = |records: &[Record]| -> Vec<Record> {
            records
                .iter()
                .map(|record| {
                    let mut record = record.clone();
                    record.ttl = left;
                    record
                })
                .collect()
        };
        reply.answers = with_ttl(&entry.message.answers);
        reply.authorities = with_ttl(&entry.message.authorities);
        reply.additionals = with_ttl(&entry.message.additionals);
        Some(reply)
    }

    /// Keeps an answer if it may be kept, and returns it with its TTLs capped.
    fn keep(&self, key: Key, mut message: Message) -> Message {
        let class = classify(&message);
        let shortest = shortest_ttl(&message, class);
        let lifetime = match class {
            Class::ServerError => self.server_error,
            Class::Denial => shortest.max(self.denial.least).min(self.denial.most),
            Class::Success | Class::Other => shortest.max(self.success.least).min(self.success.most),
        };
        let excepted = match class {
            Class::Success => &self.no_success,
            _ => &self.no_denial,
        };
        let keepable = !message.metadata.truncation && class != Class::Other && lifetime > 0;
        if keepable
            && name::closest(excepted, &key.name).is_none()
            && let Ok(mut shelves) = self.shelves.lock()
        {
            let shelf = if class == Class::Success { &mut shelves.success } else { &mut shelves.denial };
            if shelf.len() >= CAPACITY {
                shelf.clear();
            }
            shelf.insert(key, Entry { message: message.clone(), lifetime, stored: Instant::now() });
        }
        let Message { answers, authorities, additionals, .. } = &mut message;
        for record in answers.iter_mut().chain(authorities).chain(additionals) {
            record.ttl = record.ttl.min(lifetime);
        }
        message
    }
}

fn plugin_error(message: String) -> CorefileError {
    CorefileError::Plugin { plugin: "cache".to_owned(), message }
}

fn age(entry: &Entry, factor: f64) -> u32 {
    let aged = Duration::from_secs_f64(entry.stored.elapsed().as_secs_f64() / factor);
    u32::try_from(aged.as_secs()).unwrap_or(u32::MAX)
}

fn classify(message: &Message) -> Class {
    let code = message.metadata.response_code;
    let has_authority = message.authorities.iter().any(|record| record.record_type() == RecordType::SOA);
    match code {
        ResponseCode::NoError if !message.answers.is_empty() => Class::Success,
        ResponseCode::NoError | ResponseCode::NXDomain if has_authority => Class::Denial,
        ResponseCode::ServFail | ResponseCode::NotImp => Class::ServerError,
        ResponseCode::NoError => Class::Success,
        _ => Class::Other,
    }
}

fn shortest_ttl(message: &Message, class: Class) -> u32 {
    let Message { answers, authorities, additionals, .. } = message;
    let records = answers.iter().chain(authorities).chain(additionals);
    let ttl = |record: &Record| match &record.data {
        RData::SOA(soa) if class == Class::Denial => record.ttl.min(soa.minimum),
        _ => record.ttl,
    };
    records.map(ttl).min().map_or(LEAST, |shortest| shortest.min(3600))
}
