//! What our own image holds: the stand-ins for Seldon's programs and for MLServer, and the toolbox.

use builtin::Builtin;

/// Built-in programs that images of this project name.
pub const BUILTINS: &[Builtin] = &[
    Builtin { name: "standin-controller", main: standin_controller::main },
    Builtin { name: "standin-scheduler", main: standin_scheduler::main },
    Builtin { name: "standin-agent", main: standin_agent::main },
    Builtin { name: "standin-mlserver", main: standin_mlserver::main },
    Builtin { name: "toolbox", main: toolbox::main },
];
