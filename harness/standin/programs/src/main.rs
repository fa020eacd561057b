//! `conformance-programs`: the executable of our own image. Small, because it has no cluster in it; linked statically, it
//! needs nothing beside it.

use std::process::ExitCode;

use standin_programs::BUILTINS;

fn main() -> ExitCode {
    if let Some(code) = builtin::intercept(BUILTINS.iter().chain([&builtin::PAUSE])) {
        return code;
    }
    let names: Vec<&str> = BUILTINS.iter().map(|program| program.name).collect();
    eprintln!(
        "usage: conformance-programs builtin NAME [ARGUMENT...]; NAME is one of {}, pause",
        names.join(", ")
    );
    ExitCode::from(2)
}
