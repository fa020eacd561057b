//! Log lines as MLServer writes them: `2026-11-22 04:41:44,600 [mlserver.rest] INFO - HTTP server running on …`.

use std::io::Write;

pub(crate) fn info(logger: &str, text: &str) {
    line(logger, "INFO", text);
}

pub(crate) fn error(logger: &str, text: &str) {
    line(logger, "ERROR", text);
}

fn line(logger: &str, level: &str, text: &str) {
    let now = jiff::Zoned::now();
    let time = now.strftime("%Y-%m-%d %H:%M:%S");
    // Whoever collected the log may be gone; the server stays.
    let _ = writeln!(
        std::io::stdout(),
        "{time},{:03} [{logger}] {level} - {text}",
        now.subsec_nanosecond() / 1_000_000
    );
}
