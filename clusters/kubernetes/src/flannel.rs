//! The rules that flannel makes on a node: pods' traffic is forwarded, and hidden behind the node where it leaves the cluster.

use crate::spec::{CLUSTER_CIDR, POD_CIDR};
use crate::step::{Action, Program, Step};

/// Makes them as flannel 0.26 does for a cluster of one node, with `iptables-restore`.
pub(crate) fn steps() -> [Step; 2] {
    let file = "/run/flannel.rules";
    let restore = Program::new("iptables-restore").args(["--noflush", "--wait", file]);
    [
        Step::new("write flannel's rules", Action::Write { file: file.into(), text: rules() }),
        Step::new("make flannel's rules", Action::Run("flannel-rules", restore)),
    ]
}

fn rules() -> String {
    let comment = "-m comment --comment \"flanneld masq\"";
    let forward = "-m comment --comment \"flanneld forward\"";
    let masquerade = [
        format!("-m mark --mark 0x4000/0x4000 {comment} -j RETURN"),
        format!("-s {POD_CIDR} -d {CLUSTER_CIDR} {comment} -j RETURN"),
        format!("-s {CLUSTER_CIDR} -d {POD_CIDR} {comment} -j RETURN"),
        format!("! -s {CLUSTER_CIDR} -d {POD_CIDR} {comment} -j RETURN"),
        format!("-s {CLUSTER_CIDR} ! -d 224.0.0.0/4 {comment} -j MASQUERADE --random-fully"),
        format!("! -s {CLUSTER_CIDR} -d {CLUSTER_CIDR} {comment} -j MASQUERADE --random-fully"),
    ];
    let mut text = String::from("*nat\n:FLANNEL-POSTRTG - [0:0]\n");
    for rule in masquerade {
        text.push_str(&format!("-A FLANNEL-POSTRTG {rule}\n"));
    }
    text.push_str(&format!("-A POSTROUTING {comment} -j FLANNEL-POSTRTG\nCOMMIT\n"));
    text.push_str("*filter\n:FLANNEL-FWD - [0:0]\n");
    text.push_str(&format!("-A FLANNEL-FWD -s {CLUSTER_CIDR} {forward} -j ACCEPT\n"));
    text.push_str(&format!("-A FLANNEL-FWD -d {CLUSTER_CIDR} {forward} -j ACCEPT\n"));
    text.push_str(&format!("-A FORWARD {forward} -j FLANNEL-FWD\nCOMMIT\n"));
    text
}
