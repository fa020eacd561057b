//! A request for a prediction, however it came.

use serde_json::Value;

/// What is asked of a model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Inference {
    pub(crate) id: Option<String>,
    pub(crate) inputs: Vec<Input>,
    /// Names of the outputs that are wanted; none means the usual one.
    pub(crate) outputs: Vec<String>,
}

/// A tensor that is given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Input {
    pub(crate) shape: Vec<i64>,
    /// As it was said: over gRPC nobody looks at it before the model is found.
    pub(crate) datatype: String,
    pub(crate) data: Value,
}
