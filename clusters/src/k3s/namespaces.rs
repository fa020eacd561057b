//! Namespaces in which k3s, as root, leaves nothing on the machine; or a scope of the user's, without root.
//!
//! k3s writes to `/run`, `/var`, `/etc` and `/opt`, sets up links and rules, and starts processes that outlive it. So
//! it gets a network, a mount and a pid namespace: links and rules go with the first, files are written to layers below
//! the cluster's directory, and processes go with the last.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::command::Command;
use crate::plan::{Expectation, Plan, Task};
use crate::real::{Home, RealName, RealRequest};

/// How long each of these small commands may take.
const MOMENT: Duration = Duration::from_secs(30);

/// The script that arranges the file system and becomes k3s, as first process of its pid namespace.
const ENTER: &str = include_str!("enter.sh");
/// The script that ends what is in the network namespace and removes what was made for it.
const LEAVE: &str = include_str!("leave.sh");

/// What this user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Privilege {
    /// Namespaces of every kind.
    Root,
    /// What the user's own service manager delegates.
    Rootless,
}

pub(super) fn privilege() -> Privilege {
    if nix::unistd::Uid::effective().is_root() { Privilege::Root } else { Privilege::Rootless }
}

/// Names of links have 15 characters, those of clusters have more; two caches may each have a cluster of one name.
fn short(home: &Home) -> String {
    format!("cf{}", hex::encode(&digest(home)[..4]))
}

fn digest(home: &Home) -> Vec<u8> {
    Sha256::digest(home.directory().as_os_str().as_encoded_bytes()).to_vec()
}

fn third(home: &Home) -> u8 {
    digest(home)[4]
}

/// The address of k3s, seen from the host.
pub(super) fn inside(home: &Home) -> String {
    format!("10.213.{}.2", third(home))
}

fn outside(home: &Home) -> String {
    format!("10.213.{}.1", third(home))
}

fn moment(words: &str) -> Command {
    let mut words = words.split(' ');
    Command::new(words.next().unwrap_or_default()).args(words).within(MOMENT)
}

/// Makes the network namespace and its link to the host.
pub(super) fn make(up: &mut Plan, request: &RealRequest, home: &Home) {
    let link = short(home);
    let (host, own) = (outside(home), inside(home));
    let pin = home.file("netns").display().to_string();
    let free = Task::look(moment("ls /sys/class/net")).expecting(Expectation::Lacks(link.clone()));
    up.run("see that the name of its link is free", free);
    if request.mirror.is_none() {
        // Images are pulled: packets must leave the machine. Whether it forwards is its owner's to say.
        let forwards = Task::look(moment("sysctl -n net.ipv4.ip_forward")).expecting(Expectation::Forwarding);
        up.run("see that this machine forwards", forwards);
    }
    up.write("write how k3s is entered", home.file("enter.sh"), ENTER);
    let inside = format!("--net={pin}");
    let words = |line: &[&str]| Command::new(line[0]).args(&line[1..]).within(MOMENT);
    for (what, command) in [
        ("make the file that names a network namespace", words(&["touch", &pin])),
        // Not `ip netns`, which would leave a mount on the machine.
        ("make the network namespace", words(&["unshare", &inside, "true"])),
        (
            "make a link into it",
            words(&["ip", "link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &pin]),
        ),
        (
            "give its end here an address",
            words(&["ip", "address", "add", &format!("{host}/30"), "dev", &link]),
        ),
        ("raise its end here", words(&["ip", "link", "set", &link, "up"])),
        (
            "give its end there an address",
            words(&["nsenter", &inside, "ip", "address", "add", &format!("{own}/30"), "dev", "eth0"]),
        ),
        ("raise its end there", words(&["nsenter", &inside, "ip", "link", "set", "eth0", "up"])),
        ("raise its loopback", words(&["nsenter", &inside, "ip", "link", "set", "lo", "up"])),
        ("give it a way out", words(&["nsenter", &inside, "ip", "route", "add", "default", "via", &host])),
    ] {
        up.run(what, Task::new(command));
    }
    if request.mirror.is_none() {
        let rules = format!(
            "table ip {link} {{\n  chain post {{\n    type nat hook postrouting priority srcnat; policy accept;\n    ip \
             saddr {own} oifname != \"{link}\" masquerade\n  }}\n}}\n"
        );
        let file = home.file("nat.nft");
        up.write("write how its address is translated on the way out", &file, rules);
        let load = moment("nft --file").arg(&file);
        up.run("translate its address on the way out", Task::new(load));
    }
}

/// The words before `server`: k3s in all its namespaces.
pub(super) fn enter(home: &Home) -> Command {
    let link = short(home);
    Command::new("nsenter")
        .arg(format!("--net={}", home.file("netns").display()))
        .args([
            "unshare",
            "--mount",
            "--pid",
            "--ipc",
            "--uts",
            "--fork",
            "--kill-child=SIGKILL",
            "--mount-proc",
        ])
        .args(["sh", "-e"])
        .arg(home.file("enter.sh"))
        .arg(home.file("layers"))
        .arg(link)
}

/// The words before a program that is to run in its network.
pub(super) fn beside(home: &Home) -> Command {
    Command::new("nsenter").arg(format!("--net={}", home.file("netns").display()))
}

/// The same without root: k3s writes down the first process of the namespaces that it made.
pub(super) fn beside_rootless(home: &Home) -> Command {
    let line = r#"exec nsenter --preserve-credentials --user --net --target "$(cat "$0")" "$@""#;
    Command::new("sh").args(["-c", line]).arg(home.file("k3s/rootless/child_pid"))
}

/// Ends everything in the namespaces and removes them.
pub(super) fn remove(home: &Home) -> Plan {
    let mut plan = Plan::new();
    let leave = home.file("leave.sh");
    let link = short(home);
    plan.write("write how k3s is left", &leave, LEAVE);
    let leave = Command::new("sh").arg("-eu").arg(leave).arg(&link).arg(home.directory()).within(MOMENT);
    let look = moment("ls /sys/class/net");
    plan.run(
        "end k3s and remove its namespaces",
        Task::new(leave).proved_by(vec![(look, Expectation::Lacks(link))], 3),
    );
    plan
}

/// Rootless k3s needs a cgroup of its own in the second version.
pub(super) fn see_cgroups() -> Command {
    moment("test -f /sys/fs/cgroup/cgroup.controllers")
}

/// The words before k3s: a scope of the user's service manager.
pub(super) fn delegate(name: &RealName) -> Command {
    Command::new("systemd-run")
        .args(["--user", "--scope", "--quiet", "--collect", "--property=Delegate=yes"])
        .arg(format!("--unit={}", scope(name)))
}

/// Ends the scope with everything in it.
pub(super) fn undelegate(name: &RealName) -> Command {
    let unit = format!("{}.scope", scope(name));
    Command::new("systemctl").args(["--user", "stop"]).arg(unit).within(MOMENT)
}

fn scope(name: &RealName) -> String {
    format!("seldon-conformance-{name}")
}
