//! The plugins of one server block in CoreDNS's order, and a request's way through them.

use futures::future::BoxFuture;
use hickory_proto::op::Message;
use outside::Request;

use crate::corefile::{CorefileError, Directive, ServerBlock};
use crate::engine::{Engine, Surroundings};
use crate::outcome::{Failure, Outcome};
use crate::plugin::acl::Acl;
use crate::plugin::cache::Cache;
use crate::plugin::forward::Forward;
use crate::plugin::hosts::Hosts;
use crate::plugin::kubernetes::Kubernetes;
use crate::plugin::rewrite::Rewrite;
use crate::plugin::template::Template;
use crate::plugin::{rewrite, simple, template};

/// How often a plugin may ask the server again for an alias's target.
const DEEPEST_QUESTION: u8 = 8;

/// CoreDNS's plugins that exist but are not served here; a Corefile that needs one is refused by name.
const FOREIGN: &[&str] = &[
    "root",
    "metadata",
    "geoip",
    "cancel",
    "tls",
    "timeouts",
    "multisocket",
    "nsid",
    "bufsize",
    "bind",
    "debug",
    "trace",
    "pprof",
    "dnstap",
    "local",
    "dns64",
    "any",
    "chaos",
    "tsig",
    "header",
    "dnssec",
    "autopath",
    "minimal",
    "transfer",
    "route53",
    "azure",
    "clouddns",
    "k8s_external",
    "file",
    "auto",
    "secondary",
    "etcd",
    "grpc",
    "erratic",
    "whoami",
    "on",
    "sign",
    "view",
];

/// One plugin at work. The order of the variants is the order of CoreDNS 1.12.1's `plugin.cfg`.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    Errors,
    Log,
    Acl(Acl),
    LoadBalance,
    Cache(Cache),
    Rewrite(Vec<Rewrite>),
    Template(Vec<Template>),
    Hosts(Hosts),
    Kubernetes(Kubernetes),
    Forward(Forward),
}

impl Stage {
    fn name(&self) -> &'static str {
        match self {
            Stage::Errors => "errors",
            Stage::Log => "log",
            Stage::Acl(_) => "acl",
            Stage::LoadBalance => "loadbalance",
            Stage::Cache(_) => "cache",
            Stage::Rewrite(_) => "rewrite",
            Stage::Template(_) => "template",
            Stage::Hosts(_) => "hosts",
            Stage::Kubernetes(_) => "kubernetes",
            Stage::Forward(_) => "forward",
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Stage::Errors => 0,
            Stage::Log => 1,
            Stage::Acl(_) => 2,
            Stage::LoadBalance => 3,
            Stage::Cache(_) => 4,
            Stage::Rewrite(_) => 5,
            Stage::Template(_) => 6,
            Stage::Hosts(_) => 7,
            Stage::Kubernetes(_) => 8,
            Stage::Forward(_) => 9,
        }
    }
}

/// Ports that a server block opens besides DNS, and whether it watches its Corefile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extras {
    pub(crate) health: Option<String>,
    pub(crate) ready: Option<String>,
    pub(crate) metrics: Option<String>,
    pub(crate) reload: bool,
}

/// The plugins of one server block.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) stages: Vec<Stage>,
    pub(crate) extras: Extras,
}

impl Chain {
    /// Reads a server block's directives; `zones` are the block's own.
    pub(crate) fn parse(block: &ServerBlock, zones: &[String]) -> Result<Chain, CorefileError> {
        let mut chain = Chain { stages: Vec::new(), extras: Extras::default() };
        for directive in &block.directives {
            let name = directive.name.text.as_str();
            let read = chain.directive(name, directive, zones);
            read.map_err(|error| match error {
                CorefileError::Syntax { .. } if known(name) => error.of_plugin(name),
                other => other,
            })?;
        }
        chain.stages.sort_by_key(Stage::rank);
        Ok(chain)
    }

    fn directive(
        &mut self,
        name: &str,
        directive: &Directive,
        zones: &[String],
    ) -> Result<(), CorefileError> {
        let address = |default: &str| {
            directive.arguments.first().map_or_else(|| default.to_owned(), |token| token.text.clone())
        };
        match name {
            "errors" => self.stages.push(Stage::Errors),
            "log" => self.stages.push(Stage::Log),
            "health" => self.extras.health = Some(address(":8080")),
            "ready" => self.extras.ready = Some(address(":8181")),
            "prometheus" => self.extras.metrics = Some(address("localhost:9153")),
            "reload" => self.extras.reload = true,
            // The loop that it looks for ends CoreDNS; here the question's depth is bounded instead.
            "loop" => {}
            "loadbalance" => self.stages.push(Stage::LoadBalance),
            "acl" => self.stages.push(Stage::Acl(Acl::parse(directive, zones)?)),
            "cache" => self.stages.push(Stage::Cache(Cache::parse(directive, zones)?)),
            "hosts" => self.stages.push(Stage::Hosts(Hosts::parse(directive, zones)?)),
            "kubernetes" => self.stages.push(Stage::Kubernetes(Kubernetes::parse(directive, zones)?)),
            "forward" => self.stages.push(Stage::Forward(Forward::parse(directive)?)),
            "rewrite" => {
                let rule = Rewrite::parse(directive)?;
                match self
                    .stages
                    .iter_mut()
                    .find_map(|stage| if let Stage::Rewrite(rules) = stage { Some(rules) } else { None })
                {
                    Some(rules) => rules.push(rule),
                    None => self.stages.push(Stage::Rewrite(vec![rule])),
                }
            }
            "template" => {
                let rule = Template::parse(directive, zones)?;
                match self
                    .stages
                    .iter_mut()
                    .find_map(|stage| if let Stage::Template(rules) = stage { Some(rules) } else { None })
                {
                    Some(rules) => rules.push(rule),
                    None => self.stages.push(Stage::Template(vec![rule])),
                }
            }
            other if FOREIGN.contains(&other) => {
                return Err(directive
                    .name
                    .error(format!("the plugin '{other}' of CoreDNS is not served here")));
            }
            other => return Err(directive.name.error(format!("Unknown directive '{other}'"))),
        }
        Ok(())
    }

    /// Whether a plugin needs the cluster's names, and whether it needs the pods too.
    pub(crate) fn needs(&self) -> Option<bool> {
        self.stages.iter().find_map(|stage| {
            if let Stage::Kubernetes(plugin) = stage { Some(plugin.needs_pods()) } else { None }
        })
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Hosts> {
        self.stages
            .iter()
            .filter_map(|stage| if let Stage::Hosts(hosts) = stage { Some(hosts) } else { None })
    }
}

fn known(name: &str) -> bool {
    matches!(name, "acl" | "cache" | "hosts" | "kubernetes" | "forward" | "rewrite" | "template")
}

/// Where a request stands in its chain.
#[derive(Clone, Copy)]
pub(crate) struct Visit<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) chain: &'a Chain,
    pub(crate) port: u16,
    pub(crate) at: usize,
    pub(crate) depth: u8,
}

impl<'a> Visit<'a> {
    pub(crate) fn surroundings(&self) -> &'a Surroundings {
        self.engine.surroundings()
    }

    /// What the plugins after this one make of the request.
    pub(crate) fn next<'b>(&'b self, request: &'b Request) -> BoxFuture<'b, Outcome> {
        let after = Visit { at: self.at + 1, ..*self };
        Box::pin(async move { after.serve(request).await })
    }

    /// The server's own answer to another question, from its first plugin on.
    pub(crate) async fn ask_again(&self, request: &Request) -> Option<Message> {
        if self.depth >= DEEPEST_QUESTION {
            return None;
        }
        match self.engine.outcome(request, self.port, self.depth + 1).await {
            Outcome::Written(message) => Some(message),
            Outcome::Failed(_) | Outcome::Dropped => None,
        }
    }

    pub(crate) async fn serve(&self, request: &Request) -> Outcome {
        let journal = &self.surroundings().journal;
        let Some(stage) = self.chain.stages.get(self.at) else {
            let last = self.chain.stages.last().map_or("server", Stage::name);
            return Outcome::Failed(Failure::because(format!("plugin/{last}: no next plugin found")));
        };
        match stage {
            Stage::Errors => {
                let outcome = self.next(request).await;
                if let Outcome::Failed(failure) = &outcome {
                    simple::report(journal, request, failure);
                }
                outcome
            }
            Stage::Log => {
                let outcome = self.next(request).await;
                simple::record(journal, request, &outcome);
                outcome
            }
            Stage::LoadBalance => {
                let mut outcome = self.next(request).await;
                if let Outcome::Written(message) = &mut outcome {
                    simple::balance(message);
                }
                outcome
            }
            Stage::Acl(acl) => acl.serve(request, self).await,
            Stage::Cache(cache) => cache.serve(request, self).await,
            Stage::Rewrite(rules) => rewrite::serve(rules, request, self).await,
            Stage::Template(templates) => template::serve(templates, request, self).await,
            Stage::Hosts(hosts) => hosts.serve(request, self).await,
            Stage::Kubernetes(plugin) => plugin.serve(request, self).await,
            Stage::Forward(forward) => forward.serve(request, self).await,
        }
    }
}
