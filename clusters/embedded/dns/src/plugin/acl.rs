//! `acl`: who may ask what.

use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use outside::Request;

use crate::chain::Visit;
use crate::corefile::{CorefileError, Directive, Line};
use crate::name;
use crate::outcome::Outcome;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Allow,
    Block,
    Filter,
    Drop,
}

#[derive(Debug, Clone)]
struct Rule {
    verdict: Verdict,
    /// All kinds when empty.
    kinds: Vec<RecordType>,
    /// All sources when empty.
    sources: Vec<ipnet::IpNet>,
}

/// One `acl` directive.
#[derive(Debug, Clone)]
pub(crate) struct Acl {
    zones: Vec<String>,
    rules: Vec<Rule>,
}

impl Acl {
    pub(crate) fn parse(directive: &Directive, block_zones: &[String]) -> Result<Acl, CorefileError> {
        let rules = directive.block.iter().map(rule).collect::<Result<_, _>>()?;
        Ok(Acl { zones: Directive::zones(&directive.arguments, block_zones), rules })
    }

    pub(crate) async fn serve(&self, request: &Request, visit: &Visit<'_>) -> Outcome {
        match self.verdict(request) {
            Verdict::Allow => visit.next(request).await,
            Verdict::Block => Outcome::Written(request.reply(ResponseCode::Refused)),
            Verdict::Filter => Outcome::Written(request.reply(ResponseCode::NoError)),
            Verdict::Drop => Outcome::Dropped,
        }
    }

    fn verdict(&self, request: &Request) -> Verdict {
        if name::closest(&self.zones, &request.name).is_none() {
            return Verdict::Allow;
        }
        let from = |source: &ipnet::IpNet, client: IpAddr| source.contains(&client);
        let applies = |rule: &&Rule| {
            (rule.kinds.is_empty() || rule.kinds.contains(&request.kind))
                && (rule.sources.is_empty() || rule.sources.iter().any(|source| from(source, request.client)))
        };
        self.rules.iter().find(applies).map_or(Verdict::Allow, |rule| rule.verdict)
    }
}

fn rule(line: &Line) -> Result<Rule, CorefileError> {
    let verdict = match line.name.text.as_str() {
        "allow" => Verdict::Allow,
        "block" => Verdict::Block,
        "filter" => Verdict::Filter,
        "drop" => Verdict::Drop,
        other => {
            return Err(line.name.error(format!(
                "unexpected token \"{other}\"; expect 'allow', 'block', 'filter' or 'drop'"
            )));
        }
    };
    let mut rule = Rule { verdict, kinds: Vec::new(), sources: Vec::new() };
    let mut section = "";
    for token in &line.arguments {
        match (section, token.text.as_str()) {
            (_, word @ ("type" | "net")) => section = word,
            (_, "*") => {}
            ("type", kind) => rule.kinds.push(
                kind.to_ascii_uppercase()
                    .parse()
                    .map_err(|_| token.error(format!("unexpected token \"{kind}\"; expect legal QTYPE")))?,
            ),
            ("net", source) => {
                let net = source.parse().or_else(|_| source.parse::<IpAddr>().map(ipnet::IpNet::from));
                rule.sources
                    .push(net.map_err(|_| token.error(format!("illegal CIDR notation \"{source}\"")))?);
            }
            (_, word) => return Err(token.error(format!("unexpected token \"{word}\"; expect 'type | net'"))),
        }
    }
    Ok(rule)
}
