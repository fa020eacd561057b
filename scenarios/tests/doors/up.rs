//! A cluster that is up, for the tests that use one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::door::{Answer, binary};
use crate::machine::Footprint;
use crate::place::Place;

/// A cluster that is up. Its place takes it down.
pub(crate) struct Up<'a> {
    place: &'a Place,
    name: &'static str,
    pub(crate) said: String,
    pub(crate) footprint: Footprint,
}

impl<'a> Up<'a> {
    pub(crate) fn new(place: &'a Place, name: &'static str, address: &str, more: &[&str]) -> Up<'a> {
        let arguments = [&["cluster", "up", name, "--host-address", address], more].concat();
        let said = Answer::of(&mut binary(place, &arguments)).expect(0).out;
        let mut up = Up { place, name, said, footprint: Footprint::default() };
        up.footprint = Footprint::of(up.pid());
        up
    }

    /// Where its owner is at home.
    pub(crate) fn place(&self) -> &Place {
        self.place
    }

    /// Its name, which is its context's.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn pid(&self) -> u32 {
        let (_, rest) = self.said.split_once("process ").unwrap();
        rest.split(')').next().unwrap().parse().unwrap()
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        let line = self.said.lines().find_map(|line| line.trim().strip_prefix("export KUBECONFIG=")).unwrap();
        PathBuf::from(line)
    }

    /// The printed `curl`, sent with a plain socket; the status line and the body.
    pub(crate) fn ask(&self) -> (String, String) {
        let line = self.said.lines().find(|line| line.trim().starts_with("curl ")).unwrap();
        let url = line.split_whitespace().nth(1).unwrap().strip_prefix("http://").unwrap();
        let (authority, path) = url.split_once('/').unwrap();
        let body = line.split_once("-d '").unwrap().1.trim_end_matches('\'');
        let mut stream = TcpStream::connect(authority).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(
            stream,
            "POST /{path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    pub(crate) fn list(place: &Place) -> String {
        Answer::of(&mut binary(place, &["cluster", "list"])).expect(0).out
    }

    pub(crate) fn down(&self) -> Answer {
        Answer::of(&mut binary(self.place, &["cluster", "down", self.name]))
    }
}
