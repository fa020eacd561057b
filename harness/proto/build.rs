//! Generates the gRPC types from `proto/` without needing `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["proto/scheduler.proto", "proto/agent.proto", "proto/inference.proto"];
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
