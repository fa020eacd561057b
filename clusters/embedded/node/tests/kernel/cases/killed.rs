//! `kill -9` of the process that holds the node.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netmodel::Profile;
use serde_json::json;

use crate::world::{World, container};

/// Says so when its pods run. Run by [`nothing_is_left`], which kills it; alone it just ends.
pub(crate) async fn to_be_killed() {
    let world = World::start(Profile::Flannel).await;
    let containers = json!([
        container("one", "sleep 600 & exec sleep 600"),
        container("two", "setsid sleep 600 & exec sleep 600")
    ]);
    world.create("a", json!({"containers": containers})).await;
    world.ready("a").await;
    println!("pods run");
    if std::env::var_os("STAY").is_some() {
        std::future::pending::<()>().await;
    }
}

/// Kills the process that holds the node, and sees that every other process goes within two seconds; with the last of
/// them go the namespaces, links, rules and mounts.
pub(crate) fn nothing_is_left() -> Result<(), String> {
    let mut case = Command::new("/proc/self/exe")
        .args(["case", "killed::to_be_killed"])
        .env("STAY", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(case.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let family = descendants(case.id());
    assert!(line == "pods run\n" && family.len() >= 5, "{line:?} {family:?}");
    let holder = nix::unistd::Pid::from_raw(i32::try_from(family[0]).unwrap());
    nix::sys::signal::kill(holder, nix::sys::signal::Signal::SIGKILL).unwrap();
    case.wait().unwrap();
    let began = Instant::now();
    loop {
        let left: Vec<_> = family.iter().filter(|it| alive(**it)).collect();
        if left.is_empty() {
            return Ok(());
        }
        if began.elapsed() > Duration::from_secs(2) {
            return Err(format!("processes {left:?} outlived the node by two seconds"));
        }
        std::thread::yield_now();
    }
}

fn alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

/// The children of a process, theirs, and so on; the nearest first.
fn descendants(pid: u32) -> Vec<u32> {
    let number = |it: std::fs::DirEntry| it.file_name().to_str()?.parse::<u32>().ok();
    let all: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(number)
        .filter_map(|it| Some((it, parent(it)?)))
        .collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(all.iter().filter(|(_, it)| *it == parent).map(|(it, _)| it));
        next += 1;
    }
    found.remove(0);
    found
}

fn parent(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    status.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
