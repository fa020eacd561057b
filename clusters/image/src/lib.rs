//! Container images made of this machine's files, without a container engine.
//!
//! An [`Image`] is a name, a configuration and [`Layer`]s; [`write_archive`] writes several as one file that every kind of
//! cluster can load: an OCI image layout in a tar, with the `manifest.json` that older engines read beside it.
//! [`Layer::add_program`] brings a program together with the libraries it is linked with.
//!
//! The same files with the same times give the same bytes.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod archive;
mod archived;
mod layer;
mod libraries;
mod reference;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

pub use archive::write_archive;
pub use archived::{ArchivedImage, Blob, read_archive};
pub use layer::{Entry, Layer};
pub use reference::{full_reference, parse_reference, without_registry};

/// An image to be written.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Name and tag in full: `docker.io/library/busybox:1.36`.
    pub reference: String,
    /// What a container runs unless its manifest says otherwise.
    pub entrypoint: Vec<String>,
    /// Arguments after the entry point, unless a manifest says otherwise.
    pub command: Vec<String>,
    /// Environment.
    pub environment: BTreeMap<String, String>,
    /// Directory in which it runs; `/` when absent.
    pub working_directory: Option<String>,
    /// Files, lowest layer first. Layers of several images that hold the same are written once.
    pub layers: Vec<Layer>,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A file of the host could not be read.
    #[error("cannot put {} into an image: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The archive could not be written.
    #[error("cannot write the image archive {}: {source}", .path.display())]
    Write {
        /// The archive.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// An archive could not be read.
    #[error("cannot read the image archive {}: {source}", .path.display())]
    ReadArchive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Which libraries a program is linked with could not be asked.
    #[error("cannot tell the libraries of {}: {why}", .program.display())]
    Libraries {
        /// The program.
        program: PathBuf,
        /// Why.
        why: String,
    },
    /// The image's description cannot be said in OCI's terms.
    #[error("image {reference} cannot be described: {why}")]
    Describe {
        /// The image.
        reference: String,
        /// Why.
        why: String,
    },
}
