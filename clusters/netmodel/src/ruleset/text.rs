//! Writing nft text: one statement a line, blocks indented. nft 1.0.6 reads `; }` wrongly inside
//! nested blocks, so closing braces stand alone.

/// Comments longer than this are refused by nft.
const MAX_COMMENT: usize = 120;

#[derive(Debug, Default)]
pub(super) struct Script {
    text: String,
    depth: usize,
}

impl Script {
    /// Begins a table that replaces the one of this name.
    pub(super) fn replace_table(&mut self, name: &str, body: impl FnOnce(&mut Self)) {
        self.line(&format!("table ip {name}"));
        self.line(&format!("delete table ip {name}"));
        self.block(&format!("table ip {name}"), body);
    }

    pub(super) fn block(&mut self, head: &str, body: impl FnOnce(&mut Self)) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        body(self);
        self.depth -= 1;
        self.line("}");
    }

    pub(super) fn line(&mut self, line: &str) {
        self.text.extend(std::iter::repeat_n('\t', self.depth));
        self.text.push_str(line.trim());
        self.text.push('\n');
    }

    /// A chain without a hook.
    pub(super) fn chain(&mut self, name: &str, rules: &[String]) {
        self.block(&format!("chain {name}"), |script| {
            for rule in rules {
                script.line(rule);
            }
        });
    }

    /// A named set or map; nft refuses an empty list of elements, so that is left out.
    pub(super) fn elements(&mut self, head: &str, kind: &str, elements: &[String]) {
        self.block(head, |script| {
            script.line(&format!("type {kind}"));
            if !elements.is_empty() {
                script.block("elements =", |script| {
                    for element in elements {
                        script.line(&format!("{element},"));
                    }
                });
            }
        });
    }

    /// A named set of addresses, blocks and ranges.
    pub(super) fn intervals(&mut self, head: &str, elements: &[String]) {
        self.elements(head, "ipv4_addr; flags interval", elements);
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// A quoted comment, shortened to what nft takes, without characters that end it.
pub(super) fn comment(text: &str) -> String {
    let legible = |letter: char| if letter == '"' || letter.is_control() { '_' } else { letter };
    let mut short: String = text.chars().map(legible).take(MAX_COMMENT).collect();
    while short.len() > MAX_COMMENT {
        short.pop();
    }
    format!("comment \"{short}\"")
}
