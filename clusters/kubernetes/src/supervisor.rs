//! The supervisor of such a cluster: an embedded one's, with root's privileges and a heavier crew.

use std::process::ExitCode;

use embedded::supervision::{Privilege, serve, supervise};

use crate::spec::NodeSpec;
use crate::{boot, cgroups};

/// Entry point of the re-executed process. Standard input is the control socket; the arguments are the cluster's name and
/// its state's directory, for the one process that outlives it to clean up after.
pub(crate) fn main(arguments: Vec<String>) -> ExitCode {
    let afterwards = || {
        let [name, state] = arguments.as_slice() else { return };
        cgroups::remove(name);
        // What cannot be removed is in the harness's cache, and found there by the next run.
        let _ = std::fs::remove_dir_all(state);
    };
    supervise(Privilege::Root, afterwards, |control, border| {
        serve(control, async move |spec: &NodeSpec| boot::boot(spec, border).await)
    })
}
