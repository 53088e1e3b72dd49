//! Compiles the protos in pure Rust: no `protoc` is needed to build the project.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let protos =
        ["proto/tabletmanagerservice.proto", "proto/queryservice.proto", "proto/etcd.proto"];
    let descriptors = protox::compile(protos, ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
