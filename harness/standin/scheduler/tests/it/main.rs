//! The stand-in as others meet it: an operator, agents, and the real Envoy.

mod agents;
mod baseline;
mod envoy;
mod experiments;
mod gate;
mod mesh;
mod proxy;
mod restart;
