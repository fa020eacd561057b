//! Kernel switches of the calling thread's network namespace, under `/proc/sys/net`.

use std::io;

use super::LinkError;

/// Writes a switch and reads it back: in a user namespace some writes fail, and some are taken without effect.
pub(super) fn set(name: &str, value: &str) -> Result<(), LinkError> {
    let path = format!("/proc/sys/net/{name}");
    let step = || format!("set {path} to {value}");
    std::fs::write(&path, value).map_err(|error| LinkError::system(step(), error))?;
    let seen = std::fs::read_to_string(&path).map_err(|error| LinkError::system(step(), error))?;
    if seen.trim() == value {
        Ok(())
    } else {
        Err(LinkError::system(step(), io::Error::other(format!("it reads {:?} afterwards", seen.trim()))))
    }
}

/// As [`set`], for a switch that this kernel may not have.
pub(super) fn set_if_there(name: &str, value: &str) -> Result<(), LinkError> {
    if std::path::Path::new(&format!("/proc/sys/net/{name}")).exists() { set(name, value) } else { Ok(()) }
}
