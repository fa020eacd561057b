//! A cluster that is up, for the tests that use one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::door::{Answer, as_nobody, binary};
use crate::machine::Footprint;
use crate::place::Place;

/// A cluster that is up; down when dropped, so that a failed test leaves nothing.
pub(crate) struct Up<'a> {
    place: &'a Place,
    name: &'static str,
    account: Account,
    pub(crate) said: String,
    pub(crate) footprint: Footprint,
}

/// Whose cluster it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Account {
    /// The tester's.
    Own,
    /// Nobody's, whose the place is then.
    Nobody,
}

impl<'a> Up<'a> {
    pub(crate) fn new(place: &'a Place, name: &'static str, address: &str, more: &[&str]) -> Up<'a> {
        Up::begin(place, name, Account::Own, &[&["--host-address", address], more].concat())
    }

    /// By another account than the tester's, where the tester is root.
    pub(crate) fn of_somebody_else(
        place: &'a Place,
        name: &'static str,
        address: &str,
        more: &[&str],
    ) -> Up<'a> {
        let account = if nix::unistd::Uid::effective().is_root() { Account::Nobody } else { Account::Own };
        Up::begin(place, name, account, &[&["--host-address", address], more].concat())
    }

    fn begin(place: &'a Place, name: &'static str, account: Account, more: &[&str]) -> Up<'a> {
        let mut up = Up { place, name, account, said: String::new(), footprint: Footprint::default() };
        up.said = up.ask_program(&[&["cluster", "up", name], more].concat()).expect(0).out;
        up.footprint = Footprint::of(up.pid());
        up
    }

    fn ask_program(&self, arguments: &[&str]) -> Answer {
        let mut command = match self.account {
            Account::Own => binary(self.place, arguments),
            Account::Nobody => as_nobody(self.place, arguments).unwrap(),
        };
        Answer::of(&mut command)
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
        self.ask_program(&["cluster", "down", self.name])
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        drop(self.down());
    }
}
