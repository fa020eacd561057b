//! Lines for a person. Whoever stopped reading (`… | head -1`) ends the showing, never the work.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};

/// One line on standard output.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(stdout(), "{line}");
}

/// One line on standard error.
pub(crate) fn remark(line: impl Display) {
    let _ = writeln!(stderr(), "{line}");
}
