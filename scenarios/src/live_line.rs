//! The live line at the bottom of a terminal, and result lines above it.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::sync::{Arc, Mutex, PoisonError};

use reports::{Style, failure_block, result_line};
use scenarios::SuiteEvent;

use crate::screen::{remark, say};

/// Shows a suite's events. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LiveLine(Arc<Mutex<State>>);

struct State {
    total: usize,
    ended: usize,
    running: BTreeMap<String, String>,
    live: bool,
    style: Style,
}

impl LiveLine {
    /// For a suite of `total` cases.
    pub(crate) fn new(total: usize) -> LiveLine {
        let coloured = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let state = State {
            total,
            ended: 0,
            running: BTreeMap::new(),
            live: stderr().is_terminal(),
            style: if coloured { Style::Coloured } else { Style::Plain },
        };
        LiveLine(Arc::new(Mutex::new(state)))
    }

    /// Shows one event.
    pub(crate) fn show(&self, event: &SuiteEvent<'_>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            SuiteEvent::Started(case) => {
                if !state.live {
                    remark(format!("started       {}", case.full_name()));
                }
                state.running.insert(case.full_name(), "starting".into());
            }
            SuiteEvent::Waiting(case, what) => {
                state.running.insert(case.full_name(), (*what).to_owned());
            }
            SuiteEvent::Finished(case, record) => {
                state.running.remove(&case.full_name());
                state.ended += 1;
                state.erase();
                say(result_line(record, state.style));
                let block = failure_block(record);
                if !block.is_empty() {
                    say(block);
                }
            }
        }
        state.draw();
    }

    /// Removes the live line.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).erase();
    }
}

/// Columns of the terminal; 80 when it does not say.
fn width() -> usize {
    terminal_size::terminal_size_of(stderr()).map_or(80, |(width, _)| usize::from(width.0))
}

/// What of `line` fits into one row: a row that is full may already have begun the next, which no erasing reaches.
fn fitting(line: &str, width: usize) -> String {
    line.chars().take(width.saturating_sub(1)).collect()
}

impl State {
    fn erase(&self) {
        if self.live {
            // A terminal that cannot be written to has nobody before it.
            let _ = write!(stderr(), "\r\u{1b}[2K");
        }
    }

    fn draw(&self) {
        if !self.live || self.running.is_empty() {
            return;
        }
        let running: Vec<String> = self
            .running
            .iter()
            .map(|(name, what)| format!("{}: {what}", name.split(" [").next().unwrap_or(name)))
            .collect();
        let line: String = format!("[{}/{}] {}", self.ended, self.total, running.join(" · "));
        let _ = write!(stderr(), "\r\u{1b}[2K{}", fitting(&line, width()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_stays_in_its_row() {
        assert_eq!(fitting("[1/18] policy: waiting", 9), "[1/18] p");
        assert_eq!(fitting("[1/18]", 80), "[1/18]");
        assert_eq!(fitting("[1/18]", 0), "");
    }
}
