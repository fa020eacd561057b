//! The program k3s without root, with programs that only pretend.

use std::fs;

use crate::door::Answer;
use crate::machine::Footprint;
use crate::place::Place;
use crate::stage::{BUSYBOX, K3S, K3S_UP, Stage};

#[test]
fn it_listens_on_a_free_port_and_ends_with_its_scope() {
    let (stage, owner) = (Stage::new(), Place::new());
    for (name, text) in [
        ("k3s", K3S),
        ("busybox", BUSYBOX),
        ("systemd-run", include_str!("pretend/systemd-run")),
        ("systemctl", include_str!("pretend/systemctl")),
        ("nsenter", include_str!("pretend/nsenter")),
        // Whether this machine could delegate cgroups is not what is tried.
        ("test", "#!/bin/sh\nexit 0\n"),
    ] {
        stage.program(name, text);
    }
    let _behind = stage.behind(&owner, "127.69.0.10");
    let Some(mut up) = stage.command_as_nobody(&K3S_UP) else { return };
    let up = Answer::of(&mut up).expect(0);
    assert!(up.out.starts_with("cluster conformance is up (k3s flannel)\n"), "{}", up.out);
    let seen = fs::read_to_string(stage.state("seen")).unwrap();
    let after = |word: &str| seen.lines().find_map(|line| line.strip_prefix(word)).unwrap();
    let port: u16 = after("listens 127.0.0.1:").parse().unwrap();
    assert!(port > 1024 && port != 6443, "{seen}");
    assert_eq!(after("entered "), after("pid "), "its DNS is asked inside its namespaces: {seen}");
    assert!(seen.contains("asked beside link "), "{seen}");

    let footprint = Footprint::of(after("pid ").parse().unwrap());
    assert!(footprint.len() > 1, "the pretended k3s and what it starts should run");
    let mut down = stage.command_as_nobody(&["cluster", "down", "conformance"]).unwrap();
    assert_eq!(Answer::of(&mut down).expect(0).out, "cluster conformance is down\n");
    footprint.assert_gone();
    assert_eq!(stage.kept("scopes"), [""; 0]);
    assert_eq!(stage.ledgers(), [""; 0]);
}
