//! The stand-in as a program of its own: `cargo run -p standin-mlserver --example mlserver -- MODELS`.

use std::process::ExitCode;

fn main() -> ExitCode {
    standin_mlserver::main(std::env::args().skip(1).collect())
}
