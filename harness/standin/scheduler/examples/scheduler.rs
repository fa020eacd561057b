//! The stand-in as a program of its own: `cargo run -p standin-scheduler --example scheduler -- --log-level=debug`.

use std::process::ExitCode;

fn main() -> ExitCode {
    standin_scheduler::main(std::env::args().skip(1).collect())
}
