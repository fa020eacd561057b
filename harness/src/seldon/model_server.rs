//! What models are loaded into.

/// What serves models in a mesh of stand-ins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelServer {
    /// The real MLServer.
    MlServer,
    /// A stand-in for it, which speaks as it does and runs no model: small enough for nodes that have nothing else.
    StandIn,
}
