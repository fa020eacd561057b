//! gRPC types of Seldon Core 2.9.1 and of the Open Inference Protocol, generated from `proto/`.
//!
//! Nothing here is written by hand: field numbers and names are what the real programs put on the wire.

#![allow(missing_docs, unreachable_pub, clippy::large_enum_variant, clippy::doc_markdown)]

/// Generated modules, nested as their proto packages are.
pub mod seldon {
    pub mod mlops {
        pub mod scheduler {
            tonic::include_proto!("seldon.mlops.scheduler");
        }
        pub mod agent {
            tonic::include_proto!("seldon.mlops.agent");
        }
    }
}

/// `seldon.mlops.scheduler`, port 9004.
pub use seldon::mlops::scheduler;

/// `seldon.mlops.agent`, port 9005.
pub use seldon::mlops::agent;

/// Open Inference Protocol: MLServer 9500, agent proxy 9501, Envoy 9000.
pub mod inference {
    tonic::include_proto!("inference");
}
