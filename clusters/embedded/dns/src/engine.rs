//! A Corefile at work: which server block a question belongs to, and what is answered.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures::future::BoxFuture;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::DNSClass;
use outside::Request;
use pace::Pace;

use crate::chain::{Chain, Extras, Visit};
use crate::corefile::{Corefile, CorefileError, zone_and_port};
use crate::directory::Directory;
use crate::log::Journal;
use crate::name;
use crate::outcome::{Failure, Outcome};
use crate::plugin::hosts::Hosts;

/// What the plugins need of the world around them.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The cluster's names.
    pub directory: Directory,
    /// The factor of the timers: cache, forward, reloads.
    pub pace: Pace,
    /// Where log lines go.
    pub journal: Journal,
    /// The server's own address; by it `ns.dns.<zone>` is known.
    pub own_address: Option<IpAddr>,
}

/// Server blocks by port and zone, with their plugins.
#[derive(Debug)]
pub struct Engine {
    ports: BTreeMap<u16, BTreeMap<String, usize>>,
    chains: Vec<Chain>,
    surroundings: Surroundings,
}

impl Engine {
    /// Sets up the plugins of a Corefile.
    ///
    /// # Errors
    /// The first directive that is unknown or wrongly set, with its place.
    pub fn new(corefile: &Corefile, surroundings: Surroundings) -> Result<Engine, CorefileError> {
        let mut engine = Engine { ports: BTreeMap::new(), chains: Vec::new(), surroundings };
        for block in &corefile.blocks {
            let keys = block.keys.iter().map(|key| zone_and_port(key).map(|found| (key, found)));
            let keys = keys.collect::<Result<Vec<_>, _>>()?;
            let zones: Vec<String> = keys.iter().map(|(_, (zone, _))| zone.clone()).collect();
            for (key, (zone, port)) in keys {
                let taken = engine.ports.entry(port).or_default().insert(zone.clone(), engine.chains.len());
                if taken.is_some() {
                    return Err(
                        key.error(format!("cannot serve dns://{zone}:{port} - it is already defined"))
                    );
                }
            }
            engine.chains.push(Chain::parse(block, &zones)?);
        }
        for pattern in &corefile.unmatched_imports {
            engine.surroundings.journal.warning(format!("No files matching import glob pattern: {pattern}"));
        }
        Ok(engine)
    }

    /// The ports on which DNS is served.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.ports.keys().copied()
    }

    /// The lines that say what is served, such as `.:53`.
    #[must_use]
    pub fn banner(&self) -> Vec<String> {
        let served = self
            .ports
            .iter()
            .flat_map(|(port, zones)| zones.keys().map(move |zone| format!("{zone}:{port}")));
        served.collect()
    }

    pub(crate) fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// Whether the cluster's names are needed, and with them the pods.
    pub(crate) fn needs(&self) -> Option<bool> {
        self.chains.iter().filter_map(Chain::needs).reduce(|one, other| one || other)
    }

    pub(crate) fn extras(&self) -> impl Iterator<Item = &Extras> {
        self.chains.iter().map(|chain| &chain.extras)
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Hosts> {
        self.chains.iter().flat_map(Chain::hosts)
    }

    /// The answer to a request that came in on `port`; `None` when nothing is to be answered.
    pub async fn answer(&self, request: &Request, port: u16) -> Option<Message> {
        match self.outcome(request, port, 0).await {
            Outcome::Written(message) => Some(message),
            Outcome::Failed(failure) => Some(request.reply(failure.code)),
            Outcome::Dropped => None,
        }
    }

    /// The answer as bytes that fit the asker.
    pub async fn answer_bytes(&self, request: &Request, port: u16) -> Option<Vec<u8>> {
        let reply = self.answer(request, port).await?;
        request.encode(reply)
    }

    pub(crate) fn outcome<'a>(
        &'a self,
        request: &'a Request,
        port: u16,
        depth: u8,
    ) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            if request.class != DNSClass::IN {
                return Outcome::Failed(Failure::silent(ResponseCode::Refused));
            }
            let zones = self.ports.get(&port);
            let closest = zones.into_iter().flatten().filter(|(zone, _)| name::within(zone, &request.name));
            match closest.max_by_key(|(zone, _)| zone.len()).and_then(|(_, index)| self.chains.get(*index)) {
                Some(chain) if !chain.stages.is_empty() => {
                    Visit { engine: self, chain, port, at: 0, depth }.serve(request).await
                }
                _ => Outcome::Failed(Failure::silent(ResponseCode::Refused)),
            }
        })
    }
}
