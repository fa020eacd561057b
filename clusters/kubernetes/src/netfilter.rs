//! Packet rules of the node, made with `iptables-restore` and then looked for: it ends well also when it has read nothing.

use std::path::PathBuf;

use crate::step::{Action, Program, Step};

/// Rules, and how one knows that they are in force.
pub(crate) struct Rules {
    /// What they are, as the end of "cannot make …".
    pub(crate) name: &'static str,
    /// What making them and looking for them are called, and their logs; the file of rules is called as the first.
    pub(crate) programs: [&'static str; 2],
    /// For `iptables-restore`. What is there already stays.
    pub(crate) text: String,
    /// One of them, as `iptables` takes it: table, chain and rule.
    pub(crate) one: (&'static str, &'static str, Vec<String>),
}

impl Rules {
    /// Makes them, and sees one of them.
    pub(crate) fn steps(self) -> [Step; 3] {
        let Rules { name, programs: [restore, check], text, one: (table, chain, rule) } = self;
        let file = PathBuf::from(format!("/run/{restore}.rules"));
        // Not with --wait, which takes the file for its seconds; there is nobody to wait for either.
        let make =
            Program::new("iptables-restore").args(["--noflush".to_owned(), file.display().to_string()]);
        let see = Program::new("iptables").args(["--table", table, "--check", chain]).args(rule);
        [
            Step::new(format!("write {name}"), Action::Write { file, text }),
            Step::new(format!("make {name}"), Action::Run(restore, make)),
            Step::new(format!("see {name} in force"), Action::Run(check, see)),
        ]
    }
}
