//! Label selectors and field selectors.

mod fields;
mod labels;
mod lexer;

pub use fields::Fields;
pub use labels::{Labels, Operator, Requirement};

/// Why a selector cannot be read; the text is the API server's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub(crate) String);
