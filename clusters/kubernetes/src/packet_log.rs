//! The rules by which the node's kernel logs packets that begin a connection: where they come, and where they go on.

use embedded::supervision::{CAME, LOGGED_BYTES, PACKET_GROUP, WENT_ON};

use crate::step::{Action, Program, Step};

/// Makes them with `iptables-restore`: in tables behind whose chains nobody else has rules that stop a packet.
pub(crate) fn steps() -> [Step; 2] {
    let file = "/run/packet-log.rules";
    let restore = Program::new("iptables-restore").args(["--noflush", "--wait", file]);
    [
        Step::new("write the rules that log packets", Action::Write { file: file.into(), text: rules() }),
        Step::new("log packets that begin connections", Action::Run("packet-log", restore)),
    ]
}

fn rules() -> String {
    let log = |chain: &str, from: &str, word: &str| {
        let target = format!("-j NFLOG --nflog-group {PACKET_GROUP} --nflog-prefix {word}");
        let size = format!("--nflog-size {LOGGED_BYTES} --nflog-threshold 1");
        ["tcp", "udp"]
            .map(|protocol| {
                format!("-A {chain}{from} -p {protocol} -m conntrack --ctstate NEW {target} {size}\n")
            })
            .concat()
    };
    format!(
        "*mangle\n{}{}COMMIT\n*security\n{}COMMIT\n",
        log("PREROUTING", " ! -i lo", CAME),
        log("POSTROUTING", "", WENT_ON),
        log("INPUT", " ! -i lo", WENT_ON),
    )
}
