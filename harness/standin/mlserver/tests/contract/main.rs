//! The stand-in beside the real MLServer: the same requests on the same models, and what each answers.
//!
//! MLServer is the one in the cache, fetched when it is not there yet. Both listen on loopback, on ports that were free.
//! A row of a table says in what the answers differ on purpose; that they differ in this and in nothing else is tested.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod difference;
mod grpc;
mod http;
mod servers;

use serde_json::Value;

use crate::difference::places;
use crate::servers::{Server, Servers};

/// A prediction of the stand-in's says whose it is.
const CONFESSES: &[&str] = &["/body/parameters/stand_in"];

/// Compares what both servers answered, row by row, and panics with all rows that are not as they should be.
fn compare(rows: impl Iterator<Item = (String, &'static [&'static str], [Value; 2])>) {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (label, expected, [real, standin]) in rows {
        count += 1;
        let found = places(&real, &standin);
        if found != expected {
            wrong.push(format!(
                "{label}\n  differs in {found:?}, expected {expected:?}\n  MLServer: {real}\n  stand-in: {standin}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} rows:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 0, "nothing was compared");
}

#[tokio::test]
async fn over_http_both_answer_alike() {
    let servers = Servers::start().await;
    let mut rows = Vec::new();
    for (method, path, body, expected) in http::ROWS {
        let answers = [
            http::ask(servers.real.http, method, path, *body).await,
            http::ask(servers.standin.http, method, path, *body).await,
        ];
        rows.push((format!("{method} {path} {}", body.unwrap_or_default()), *expected, answers));
    }
    compare(rows.into_iter());
}

#[tokio::test]
async fn over_grpc_both_answer_alike() {
    let servers = Servers::start().await;
    let mut real = grpc::Caller::connect(servers.real.grpc).await;
    let mut standin = grpc::Caller::connect(servers.standin.grpc).await;
    let mut rows = Vec::new();
    for (label, call, expected) in grpc::rows() {
        let answers = [real.call(&call).await, standin.call(&call).await];
        rows.push((label.to_owned(), expected, answers));
    }
    compare(rows.into_iter());
}

#[tokio::test]
async fn a_signal_ends_it_with_success() {
    let folder = tempfile::tempdir().unwrap();
    let mut standin = Server::standin(folder.path(), folder.path());
    standin.until_live().await;
    assert_eq!(standin.end().await, Some(0));
}
