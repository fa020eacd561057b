//! The rules that flannel makes on a node: pods' traffic is forwarded, and hidden behind the node where it leaves the cluster.

use crate::netfilter::Rules;
use crate::spec::{CLUSTER_CIDR, POD_CIDR};

/// As flannel 0.26 makes them for a cluster of one node.
pub(crate) fn flannels() -> Rules {
    let last = ["-m", "comment", "--comment", "flanneld forward", "-j", "FLANNEL-FWD"];
    Rules {
        name: "flannel's rules",
        programs: ["flannel-rules", "flannel-rules-check"],
        text: rules(),
        one: ("filter", "FORWARD", last.map(str::to_owned).to_vec()),
    }
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
