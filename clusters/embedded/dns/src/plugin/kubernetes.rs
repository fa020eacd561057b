//! `kubernetes`: the cluster's own zone, answered with authority (AA) and without RA.

use std::collections::HashSet;
use std::net::IpAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::lookup::{Item, NoSuchName, Pods, Rules, Target};
use super::{Fallthrough, number};
use crate::chain::Visit;
use crate::corefile::{CorefileError, Directive};
use crate::directory::{Directory, Names, ServiceKind};
use crate::name;
use crate::outcome::{Failure, Outcome};
use outside::Request;
use outside::message::{address_record, to_name};

/// The longest chain of aliases that is followed.
const LONGEST_ALIAS_CHAIN: usize = 10;

/// The settings of one `kubernetes` directive.
#[derive(Debug, Clone)]
pub(crate) struct Kubernetes {
    zones: Vec<String>,
    primary: String,
    rules: Rules,
    fallthrough: Fallthrough,
    ttl: u32,
}

/// The records of an answer, or that the name does not exist.
type Found = Result<Vec<Record>, NoSuchName>;

impl Kubernetes {
    pub(crate) fn parse(directive: &Directive, block_zones: &[String]) -> Result<Kubernetes, CorefileError> {
        let zones = Directive::zones(&directive.arguments, block_zones);
        let primary = zones.iter().find(|zone| !name::is_reverse(zone)).cloned();
        let Some(primary) = primary else {
            return Err(CorefileError::Plugin {
                plugin: "kubernetes".to_owned(),
                message: "non-reverse zone name must be used".to_owned(),
            });
        };
        let mut plugin = Kubernetes {
            zones,
            primary,
            rules: Rules::default(),
            fallthrough: Fallthrough::default(),
            ttl: 5,
        };
        for line in &directive.block {
            match line.name.text.as_str() {
                "pods" => {
                    plugin.rules.pods = match line.one()?.text.as_str() {
                        "disabled" => Pods::Disabled,
                        "insecure" => Pods::Insecure,
                        "verified" => Pods::Verified,
                        other => {
                            return Err(CorefileError::Plugin {
                                plugin: "kubernetes".to_owned(),
                                message: format!(
                                    "wrong value for pods: {other},  must be one of: disabled, verified, insecure"
                                ),
                            });
                        }
                    };
                }
                "fallthrough" => plugin.fallthrough = Fallthrough::parse(&line.arguments),
                "ttl" => {
                    let token = line.one()?;
                    plugin.ttl = number(token)?;
                    if plugin.ttl > 3600 {
                        return Err(token.error(format!("ttl must be in range [0, 3600]: {}", plugin.ttl)));
                    }
                }
                "namespaces" if !line.arguments.is_empty() => {
                    plugin.rules.namespaces.extend(line.words().into_iter().map(str::to_owned));
                }
                "endpoint_pod_names" => {
                    line.none()?;
                    plugin.rules.endpoint_pod_names = true;
                }
                "ignore" if line.words() == ["empty_service"] => plugin.rules.ignore_empty_service = true,
                "endpoint" | "tls" | "kubeconfig" | "labels" | "namespace_labels" | "noendpoints"
                | "ignore" | "namespaces" => {
                    return Err(line
                        .name
                        .error(format!("property '{}' is not supported here", line.name.text)));
                }
                other => return Err(line.name.error(format!("unknown property '{other}'"))),
            }
        }
        Ok(plugin)
    }

    /// Whether the plugin must know the pods.
    pub(crate) fn needs_pods(&self) -> bool {
        self.rules.pods == Pods::Verified
    }

    pub(crate) async fn serve(&self, request: &Request, visit: &Visit<'_>) -> Outcome {
        let Some(zone) = name::closest(&self.zones, &request.name) else { return visit.next(request).await };
        let directory = &visit.surroundings().directory;
        if matches!(request.kind, RecordType::AXFR | RecordType::IXFR) {
            return Outcome::Failed(Failure::silent(ResponseCode::Refused));
        }
        let mut extra = Vec::new();
        let found = self.records(request, zone, visit, directory, &mut extra).await;
        match found {
            Err(NoSuchName) if self.fallthrough.takes(&request.name) => visit.next(request).await,
            Err(NoSuchName) if !directory.is_synced() => {
                self.empty(request, zone, ResponseCode::ServFail, directory)
            }
            Err(NoSuchName) => self.empty(request, zone, ResponseCode::NXDomain, directory),
            Ok(records) if records.is_empty() => self.empty(request, zone, ResponseCode::NoError, directory),
            Ok(records) => {
                let mut reply = request.reply(ResponseCode::NoError);
                reply.metadata.authoritative = true;
                reply.answers = records;
                reply.additionals = extra;
                Outcome::Written(reply)
            }
        }
    }

    async fn records(
        &self,
        request: &Request,
        zone: &str,
        visit: &Visit<'_>,
        directory: &Directory,
        extra: &mut Vec<Record>,
    ) -> Found {
        let find = |name: &str| self.rules.find(&directory.read(), name, zone);
        let owner = &request.asked;
        match request.kind {
            RecordType::A | RecordType::AAAA => self.addresses(request, zone, visit, directory).await,
            RecordType::SRV => Ok(self.services(owner, &find(&request.name)?, extra)),
            RecordType::CNAME => {
                Ok(find(&request.name)?.iter().take(1).filter_map(|item| self.alias(owner, item)).collect())
            }
            RecordType::TXT if request.name == format!("dns-version.{zone}") => Ok(vec![Record::from_rdata(
                owner.clone(),
                28800,
                RData::TXT(TXT::new(vec!["1.1.0".to_owned()])),
            )]),
            RecordType::TXT => match find(&request.name)? {
                items if items.is_empty() => Err(NoSuchName),
                _ => Ok(Vec::new()),
            },
            RecordType::PTR => match name::reverse_address(&request.name) {
                Some(address) => {
                    let names = self.rules.names_at(&directory.read(), address, &self.primary);
                    let pointers = names.iter().filter_map(|name| to_name(name));
                    let records: Vec<Record> = pointers
                        .map(|name| Record::from_rdata(owner.clone(), self.ttl, RData::PTR(PTR(name))))
                        .collect();
                    if records.is_empty() { Err(NoSuchName) } else { Ok(records) }
                }
                None => find(&request.name).map(|_| Vec::new()),
            },
            RecordType::SOA if request.name == zone => {
                Ok(self.authority(zone, directory).into_iter().collect())
            }
            RecordType::SOA => Ok(Vec::new()),
            RecordType::NS if request.name == zone => {
                Ok(self.name_servers(owner, zone, visit, directory, extra))
            }
            _ => find(&request.name).map(|_| Vec::new()),
        }
    }

    async fn addresses(
        &self,
        request: &Request,
        zone: &str,
        visit: &Visit<'_>,
        directory: &Directory,
    ) -> Found {
        if request.name == format!("ns.dns.{zone}") {
            let own = own_addresses(&directory.read(), visit.surroundings().own_address, zone);
            let records =
                own.into_iter().map(|(_, address)| address_record(&request.asked, self.ttl, address));
            return Ok(records.filter(|record| record.record_type() == request.kind).collect());
        }
        let mut records: Vec<Record> = Vec::new();
        let mut asked = request.asked.clone();
        let mut seen = HashSet::new();
        // An alias inside the zone is followed here; outside of it the server asks itself, so that `forward` answers.
        for _ in 0..=LONGEST_ALIAS_CHAIN {
            let text = name::normal(&asked.to_ascii());
            let items = match self.rules.find(&directory.read(), &text, zone) {
                Ok(items) => items,
                Err(NoSuchName) if records.is_empty() => return Err(NoSuchName),
                Err(NoSuchName) => return Ok(Vec::new()),
            };
            if let Some(Target::Alias(target)) = items.first().map(|item| &item.target) {
                let target = name::normal(target);
                if !seen.insert(text) || seen.contains(&target) {
                    return Ok(Vec::new());
                }
                let Some(next) = to_name(&target) else { return Ok(Vec::new()) };
                records.push(Record::from_rdata(asked.clone(), self.ttl, RData::CNAME(CNAME(next.clone()))));
                if name::within(zone, &target) {
                    asked = next;
                    continue;
                }
                if let Some(answer) = visit.ask_again(&request.with_question(&next, request.kind)).await {
                    records.extend(answer.answers);
                    return Ok(records);
                }
                return Ok(Vec::new());
            }
            let direct = self.plain(&asked, request.kind, &items);
            // An alias without an address behind it is left out altogether.
            return Ok(if direct.is_empty() {
                Vec::new()
            } else {
                records.into_iter().chain(direct).collect()
            });
        }
        Ok(Vec::new())
    }

    fn plain(&self, owner: &Name, kind: RecordType, items: &[Item]) -> Vec<Record> {
        let mut seen = HashSet::new();
        let addresses = items.iter().filter_map(|item| match item.target {
            Target::Address(address) if (kind == RecordType::A) == address.is_ipv4() => Some(address),
            _ => None,
        });
        addresses
            .filter(|address| seen.insert(*address))
            .map(|address| address_record(owner, self.ttl, address))
            .collect()
    }

    fn alias(&self, owner: &Name, item: &Item) -> Option<Record> {
        let Target::Alias(target) = &item.target else { return None };
        Some(Record::from_rdata(
            owner.clone(),
            self.ttl,
            RData::CNAME(CNAME(to_name(&name::normal(target))?)),
        ))
    }

    fn services(&self, owner: &Name, items: &[Item], extra: &mut Vec<Record>) -> Vec<Record> {
        let direct: Vec<(&Item, IpAddr)> = items
            .iter()
            .filter_map(|item| match item.target {
                Target::Address(address) => Some((item, address)),
                Target::Alias(_) => None,
            })
            .collect();
        let weight = u16::try_from(100 / direct.len().max(1)).unwrap_or(1).max(1);
        let (mut seen, mut seen_addresses) = (HashSet::new(), HashSet::new());
        let mut records = Vec::new();
        for (item, address) in direct {
            let (Some(port), Some(target)) = (item.port, to_name(&item.owner)) else { continue };
            if seen.insert((item.owner.clone(), port)) {
                let srv = SRV::new(0, weight, port, target.clone());
                records.push(Record::from_rdata(owner.clone(), self.ttl, RData::SRV(srv)));
            }
            if seen_addresses.insert((item.owner.clone(), address)) {
                extra.push(address_record(&target, self.ttl, address));
            }
        }
        records
    }

    fn name_servers(
        &self,
        owner: &Name,
        zone: &str,
        visit: &Visit<'_>,
        directory: &Directory,
        extra: &mut Vec<Record>,
    ) -> Vec<Record> {
        let own = own_addresses(&directory.read(), visit.surroundings().own_address, zone);
        let mut records: Vec<Record> = Vec::new();
        for (server, address) in own {
            let Some(server) = to_name(&server) else { continue };
            extra.push(address_record(&server, self.ttl, address));
            let record = Record::from_rdata(owner.clone(), self.ttl, RData::NS(NS(server)));
            if !records.contains(&record) {
                records.push(record);
            }
        }
        records
    }

    fn authority(&self, zone: &str, directory: &Directory) -> Option<Record> {
        let serial = directory.read().serial();
        let server = to_name(&format!("ns.dns.{zone}"))?;
        let soa =
            SOA::new(server, to_name(&format!("hostmaster.{zone}"))?, serial, 7200, 1800, 86400, self.ttl);
        Some(Record::from_rdata(to_name(zone)?, self.ttl.min(300), RData::SOA(soa)))
    }

    fn empty(&self, request: &Request, zone: &str, code: ResponseCode, directory: &Directory) -> Outcome {
        let mut reply: Message = request.reply(code);
        reply.metadata.authoritative = true;
        reply.authorities.extend(self.authority(zone, directory));
        Outcome::Written(reply)
    }
}

/// The names and addresses of the Services in front of this very server, or its own address.
fn own_addresses(names: &Names, own: Option<IpAddr>, zone: &str) -> Vec<(String, IpAddr)> {
    let Some(own) = own else { return Vec::new() };
    let mut found = Vec::new();
    for slice in names.slices().filter(|slice| slice.endpoints.iter().any(|endpoint| endpoint.address == own))
    {
        let Some(service) = names.service(&slice.service.0, &slice.service.1) else { continue };
        if let ServiceKind::Cluster(addresses) = &service.kind {
            let name = format!("{}.{}.svc.{zone}", service.name, service.namespace);
            found.extend(addresses.iter().map(|address| (name.clone(), *address)));
        }
    }
    if found.is_empty() {
        found.push((format!("ns.dns.{zone}"), own));
    }
    found
}
