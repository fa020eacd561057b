//! Transcripts of HTTP exchanges: `>` is the request, `<` the reply. The recorded one says which requests to send.

use harness::mesh::InstalledMesh;
use harness::{Detail, Probe, World};

use crate::normal;

/// Sends the requests of a recorded transcript from the visitor's pod and writes down the replies in the same form.
pub(crate) async fn replay(
    world: &World,
    mesh: &InstalledMesh,
    recorded: &str,
) -> anyhow::Result<Vec<String>> {
    let mut transcript = Vec::new();
    for exchange in exchanges(recorded) {
        let request: Vec<&str> = exchange.iter().copied().take_while(|line| !line.starts_with('<')).collect();
        transcript.extend(request.iter().map(|line| (*line).to_owned()));
        let observation = world.probe(&mesh.visitor(), &probe(&request)?).await?;
        let Detail::Http { status, headers, body } = &observation.detail else {
            transcript.push(format!("< {observation}"));
            continue;
        };
        transcript.extend(reply(*status, headers, body));
    }
    Ok(transcript)
}

fn exchanges(recorded: &str) -> Vec<Vec<&str>> {
    let mut all: Vec<Vec<&str>> = Vec::new();
    for line in recorded.lines() {
        match all.last_mut() {
            Some(exchange) if !line.starts_with("## ") => exchange.push(line),
            _ => all.push(vec![line]),
        }
    }
    all
}

fn probe(request: &[&str]) -> anyhow::Result<Probe> {
    let mut said = request.iter().filter_map(|line| line.strip_prefix('>').map(str::trim));
    let first = said.next().unwrap_or_default();
    let (method, url) =
        first.split_once(' ').ok_or_else(|| anyhow::anyhow!("no request line in {request:?}"))?;
    let (mut headers, mut body) = (Vec::new(), None);
    for line in said {
        match line.split_once(": ") {
            Some((name, value)) if !line.starts_with('{') => {
                headers.push((name.to_owned(), value.to_owned()))
            }
            _ => body = Some(line.to_owned()),
        }
    }
    Ok(Probe::Http { method: method.into(), url: url.into(), headers, body, limit_ms: 10_000 })
}

/// A reply's lines. HTTP's header names know no case.
fn reply(status: u16, headers: &[(String, String)], body: &str) -> Vec<String> {
    let mut lines = vec![format!("< {status}")];
    for (name, value) in headers {
        let name = name.to_lowercase();
        let value = match name.as_str() {
            "x-envoy-upstream-service-time" => "<ms>".to_owned(),
            // A sortable id of 20 letters and digits, or a UUID.
            "x-request-id" if value.len() == 20 => "<request id>".to_owned(),
            _ => normal::text(value),
        };
        lines.push(format!("< {name}: {value}"));
    }
    lines.extend(
        body.lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| format!("<   {}", normal::text(line.trim_end()))),
    );
    lines
}

/// `curl -i` transcripts in our form.
pub(crate) fn from_curl(recorded: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for exchange in exchanges(recorded) {
        lines.push(exchange[0].to_owned());
        let Some(command) = exchange.get(1).and_then(|line| line.strip_prefix("$ curl -i ")) else {
            continue;
        };
        lines.extend(request_of(command));
        let mut answer = exchange[2..].iter();
        let status = answer.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let headers: Vec<(String, String)> = answer
            .by_ref()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect();
        let body: Vec<&str> = answer.copied().filter(|line| !line.starts_with("[http_code=")).collect();
        lines.extend(reply(status.unwrap_or_default(), &headers, &body.join("\n")));
    }
    lines
}

fn request_of(command: &str) -> Vec<String> {
    let (command, body) = match command.split_once(" -d ") {
        Some((command, body)) => (command, Some(body)),
        None => (command, None),
    };
    let mut parts = command.split(" -H ");
    let mut words: Vec<&str> = parts.next().unwrap_or_default().split(' ').collect();
    let url = words.pop().unwrap_or_default();
    let method = match words.as_slice() {
        ["-I"] => "HEAD",
        ["-X", method] => method,
        _ if body.is_some() => "POST",
        _ => "GET",
    };
    let mut lines = vec![format!("> {method} {url}")];
    lines.extend(parts.map(|header| format!("> {header}")));
    lines.extend(body.map(|body| format!("> {body}")));
    lines
}
