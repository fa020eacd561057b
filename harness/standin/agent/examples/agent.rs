//! The stand-in as a program of its own, with the flags and variables of the real agent.

use std::process::ExitCode;

fn main() -> ExitCode {
    standin_agent::main(std::env::args().skip(1).collect())
}
