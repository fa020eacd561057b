//! The rules by which the node's kernel logs packets that begin a connection: where they come, and where they go on.

use embedded::supervision::{CAME, LOGGED_BYTES, PACKET_GROUP, WENT_ON};

use crate::netfilter::Rules;

/// In tables behind whose chains nobody else has rules that stop a packet.
pub(crate) fn logging() -> Rules {
    let [came, _] = both("! -i lo", CAME);
    Rules {
        name: "the rules that log packets",
        programs: ["packet-log", "packet-log-check"],
        text: rules(),
        one: ("mangle", "PREROUTING", came.split(' ').map(str::to_owned).collect()),
    }
}

fn rules() -> String {
    let log = |chain: &str, from: &str, word: &str| {
        both(from, word).map(|rule| format!("-A {chain} {rule}\n")).concat()
    };
    format!(
        "*mangle\n{}{}COMMIT\n*security\n{}COMMIT\n",
        log("PREROUTING", "! -i lo", CAME),
        log("POSTROUTING", "! -o lo", WENT_ON),
        log("INPUT", "! -i lo", WENT_ON),
    )
}

/// The rules for either protocol.
fn both(from: &str, word: &str) -> [String; 2] {
    ["tcp", "udp"].map(|protocol| {
        format!(
            "{from} -p {protocol} -m conntrack --ctstate NEW -j NFLOG --nflog-group {PACKET_GROUP} \
             --nflog-prefix {word} --nflog-size {LOGGED_BYTES} --nflog-threshold 1"
        )
    })
}
