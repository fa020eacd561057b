//! `hosts`: names from a file such as k3s's NodeHosts, and from the Corefile itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::PTR;
use hickory_proto::rr::{RData, Record, RecordType};

use super::Fallthrough;
use crate::chain::Visit;
use crate::corefile::{self, CorefileError, Directive};
use crate::name;
use crate::outcome::{Failure, Outcome};
use outside::Request;
use outside::message::{address_record, to_name};

/// The table of one hosts file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Table {
    by_name: HashMap<String, Vec<IpAddr>>,
    by_address: HashMap<IpAddr, Vec<String>>,
}

impl Table {
    fn add(&mut self, text: &str, reverse: bool) {
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
            for word in words {
                let host = name::normal(word);
                self.by_name.entry(host.clone()).or_default().push(address);
                if reverse {
                    self.by_address.entry(address).or_default().push(host);
                }
            }
        }
    }
}

/// The settings of one `hosts` directive and what its file said last.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    path: PathBuf,
    zones: Vec<String>,
    fallthrough: Fallthrough,
    ttl: u32,
    reload: Duration,
    inline: String,
    reverse: bool,
    table: Arc<RwLock<Table>>,
}

impl Hosts {
    pub(crate) fn parse(directive: &Directive, block_zones: &[String]) -> Result<Hosts, CorefileError> {
        let (path, zones) = match directive.arguments.split_first() {
            Some((path, zones)) => (PathBuf::from(&path.text), zones),
            None => (PathBuf::from("/etc/hosts"), [].as_slice()),
        };
        let mut hosts = Hosts {
            path,
            zones: Directive::zones(zones, block_zones),
            fallthrough: Fallthrough::default(),
            ttl: 3600,
            reload: Duration::from_secs(5),
            inline: String::new(),
            reverse: true,
            table: Arc::default(),
        };
        let mut falls_through = false;
        for line in &directive.block {
            match line.name.text.as_str() {
                "fallthrough" => {
                    falls_through = true;
                    hosts.fallthrough = Fallthrough::parse(&line.arguments);
                }
                "no_reverse" => hosts.reverse = false,
                "ttl" => {
                    let Some(token) = line.arguments.first() else {
                        return Err(line.name.error("ttl needs a time in second"));
                    };
                    hosts.ttl =
                        token.text.parse().map_err(|_| token.error("ttl needs a number of second"))?;
                    if !(1..=65535).contains(&hosts.ttl) {
                        return Err(token.error("ttl provided is invalid"));
                    }
                }
                "reload" => {
                    let [token] = line.arguments.as_slice() else {
                        return Err(line.name.error("reload needs a duration (zero seconds to disable)"));
                    };
                    hosts.reload = corefile::duration(&token.text).ok_or_else(|| {
                        token.error(format!("invalid duration for reload '{}'", token.text))
                    })?;
                }
                other if falls_through => return Err(line.name.error(format!("unknown property '{other}'"))),
                other => {
                    hosts.inline.push_str(&format!("{other} {}\n", line.words().join(" ")));
                }
            }
        }
        hosts.read();
        Ok(hosts)
    }

    pub(crate) fn file(&self) -> &Path {
        &self.path
    }

    /// How often the file is looked at, before the pace; `None` when never.
    pub(crate) fn reload_interval(&self) -> Option<Duration> {
        (!self.reload.is_zero()).then_some(self.reload)
    }

    /// When the file changed last; a change is seen by this value.
    pub(crate) fn stamp(&self) -> Option<(SystemTime, u64)> {
        let data = std::fs::metadata(&self.path).ok()?;
        Some((data.modified().ok()?, data.len()))
    }

    /// Reads the file anew.
    pub(crate) fn read(&self) {
        let mut table = Table::default();
        if let Ok(text) = std::fs::read_to_string(&self.path) {
            table.add(&text, self.reverse);
        }
        table.add(&self.inline, self.reverse);
        if let Ok(mut held) = self.table.write() {
            *held = table;
        }
    }

    /// The addresses of a name, and whether it has any of either family.
    fn addresses(&self, host: &str) -> Vec<IpAddr> {
        self.table
            .read()
            .map(|table| table.by_name.get(host).cloned().unwrap_or_default())
            .unwrap_or_default()
    }

    fn names(&self, address: IpAddr) -> Vec<String> {
        self.table
            .read()
            .map(|table| table.by_address.get(&address).cloned().unwrap_or_default())
            .unwrap_or_default()
    }

    pub(crate) async fn serve(&self, request: &Request, visit: &Visit<'_>) -> Outcome {
        if name::closest(&self.zones, &request.name).is_none() && request.kind != RecordType::PTR {
            return visit.next(request).await;
        }
        let known = self.addresses(&request.name);
        let records: Vec<Record> = match request.kind {
            RecordType::PTR => {
                let names = name::reverse_address(&request.name)
                    .map(|address| self.names(address))
                    .unwrap_or_default();
                if names.is_empty() {
                    return visit.next(request).await;
                }
                let targets = names.iter().filter_map(|name| to_name(name));
                targets
                    .map(|name| Record::from_rdata(request.asked.clone(), self.ttl, RData::PTR(PTR(name))))
                    .collect()
            }
            RecordType::A | RecordType::AAAA => {
                let wanted = known.iter().filter(|ip| ip.is_ipv4() == (request.kind == RecordType::A));
                wanted.map(|address| address_record(&request.asked, self.ttl, *address)).collect()
            }
            _ => Vec::new(),
        };
        if records.is_empty() && known.is_empty() {
            if self.fallthrough.takes(&request.name) {
                return visit.next(request).await;
            }
            return Outcome::Failed(Failure::silent(ResponseCode::ServFail));
        }
        let mut reply = request.reply(ResponseCode::NoError);
        reply.metadata.authoritative = true;
        reply.answers = records;
        Outcome::Written(reply)
    }
}
