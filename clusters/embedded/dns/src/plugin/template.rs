//! `template`: answers made from the question.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Record, RecordType};
use regex::Regex;

use super::Fallthrough;
use super::simple::code_of;
use super::template_text::{Scene, Text, record};
use crate::chain::Visit;
use crate::corefile::{CorefileError, Directive, Line, Token};
use crate::name;
use crate::outcome::{Failure, Outcome};
use outside::Request;

/// One `template` directive.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    /// `None` for ANY.
    class: Option<DNSClass>,
    /// `None` for ANY.
    kind: Option<RecordType>,
    zones: Vec<String>,
    patterns: Vec<Regex>,
    code: ResponseCode,
    answer: Vec<Text>,
    additional: Vec<Text>,
    authority: Vec<Text>,
    fallthrough: Fallthrough,
}

enum Matched<'a> {
    Yes(Scene<'a>),
    /// Another template may match.
    No,
    /// The zone is ours and the name did not match: the search ends in SERVFAIL.
    Barred,
}

impl Template {
    pub(crate) fn parse(directive: &Directive, block_zones: &[String]) -> Result<Template, CorefileError> {
        let [class, kind, zones @ ..] = directive.arguments.as_slice() else {
            return Err(directive.name.wrong_count());
        };
        let mut template = Template {
            class: parse_class(class)?,
            kind: parse_kind(kind)?,
            zones: Directive::zones(zones, block_zones),
            patterns: Vec::new(),
            code: ResponseCode::NoError,
            answer: Vec::new(),
            additional: Vec::new(),
            authority: Vec::new(),
            fallthrough: Fallthrough::default(),
        };
        for line in &directive.block {
            template.line(line)?;
        }
        Ok(template)
    }

    fn line(&mut self, line: &Line) -> Result<(), CorefileError> {
        let needs_arguments =
            matches!(line.name.text.as_str(), "match" | "answer" | "additional" | "authority" | "rcode");
        if needs_arguments && line.arguments.is_empty() {
            return Err(line.name.wrong_count());
        }
        let texts = || line.arguments.iter().map(Text::parse).collect::<Result<Vec<_>, _>>();
        match line.name.text.as_str() {
            "match" => {
                for token in &line.arguments {
                    let pattern = Regex::new(&token.text);
                    self.patterns.push(pattern.map_err(|error| {
                        token.error(format!("could not parse regex: {}, {error}", token.text))
                    })?);
                }
            }
            "answer" => self.answer.extend(texts()?),
            "additional" => self.additional.extend(texts()?),
            "authority" => self.authority.extend(texts()?),
            "rcode" => {
                let token = &line.arguments[0];
                self.code = code_of(&token.text)
                    .ok_or_else(|| token.error(format!("unknown rcode {}", token.text)))?;
            }
            "fallthrough" => self.fallthrough = Fallthrough::parse(&line.arguments),
            "upstream" => {}
            _ => return Err(line.name.wrong_count()),
        }
        Ok(())
    }

    fn matches<'a>(&'a self, request: &'a Request) -> Matched<'a> {
        let Some(zone) = name::closest(&self.zones, &request.name) else { return Matched::No };
        let class_differs =
            self.class.is_some_and(|class| class != request.class && request.class != DNSClass::ANY);
        let kind_differs =
            self.kind.is_some_and(|kind| kind != request.kind && request.kind != RecordType::ANY);
        if class_differs || kind_differs {
            return Matched::No;
        }
        let groups = if self.patterns.is_empty() {
            Some(None)
        } else {
            self.patterns
                .iter()
                .find_map(|pattern| pattern.captures(&request.name).map(|found| Some((pattern, found))))
        };
        match groups {
            Some(groups) => Matched::Yes(Scene { request, zone, groups }),
            None if self.fallthrough.takes(&request.name) => Matched::No,
            None => Matched::Barred,
        }
    }

    fn write(&self, scene: &Scene<'_>) -> Result<Message, Failure> {
        let mut reply = scene.request.reply(self.code);
        reply.metadata.authoritative = true;
        let made = |texts: &[Text]| -> Result<Vec<Record>, Failure> {
            texts.iter().map(|text| record(&text.fill(scene)).map_err(Failure::because)).collect()
        };
        reply.answers = made(&self.answer)?;
        reply.additionals = made(&self.additional)?;
        reply.authorities = made(&self.authority)?;
        Ok(reply)
    }
}

/// All `template` directives of a server block, in file order.
pub(crate) async fn serve(templates: &[Template], request: &Request, visit: &Visit<'_>) -> Outcome {
    for template in templates {
        match template.matches(request) {
            Matched::No => {}
            Matched::Barred => return Outcome::Failed(Failure::silent(ResponseCode::ServFail)),
            Matched::Yes(_) if template.code == ResponseCode::ServFail => {
                return Outcome::Failed(Failure::silent(ResponseCode::ServFail));
            }
            Matched::Yes(scene) => {
                return template.write(&scene).map_or_else(Outcome::Failed, Outcome::Written);
            }
        }
    }
    visit.next(request).await
}

fn parse_class(token: &Token) -> Result<Option<DNSClass>, CorefileError> {
    match token.text.as_str() {
        "IN" => Ok(Some(DNSClass::IN)),
        "CH" => Ok(Some(DNSClass::CH)),
        "HS" => Ok(Some(DNSClass::HS)),
        "ANY" => Ok(None),
        other => Err(token.error(format!("invalid query class {other}"))),
    }
}

fn parse_kind(token: &Token) -> Result<Option<RecordType>, CorefileError> {
    match token.text.as_str() {
        "ANY" => Ok(None),
        other => other.parse().map(Some).map_err(|_| token.error(format!("invalid RR class {other}"))),
    }
}
