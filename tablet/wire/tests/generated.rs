//! That the checked-in types are those of the protos. No `protoc` is needed.

use std::path::Path;

/// After a change of a proto: `GENERATE=1 cargo test -p tablet-wire`.
const HOW: &str = "GENERATE=1 cargo test -p tablet-wire";

#[test]
fn the_generated_types_are_those_of_the_protos() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = tempfile::tempdir().unwrap();
    let protos = ["tabletmanagerservice.proto", "queryservice.proto", "etcd.proto"];
    let descriptors = protox::compile(protos, [root.join("proto")]).unwrap();
    tonic_prost_build::configure().out_dir(fresh.path()).compile_fds(descriptors).unwrap();
    let checked_in = root.join("src/generated");
    if std::env::var_os("GENERATE").is_some() {
        for (name, text) in sources(fresh.path()).unwrap() {
            std::fs::write(checked_in.join(name), text).unwrap();
        }
    }
    let (fresh, there) = (sources(fresh.path()).unwrap(), sources(&checked_in).unwrap());
    let names =
        |of: &[(String, String)]| of.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&fresh), names(&there), "packages came or went: {HOW}");
    for ((name, fresh), (_, there)) in fresh.into_iter().zip(there) {
        assert!(fresh == there, "{name} is not what the protos say: {HOW}");
    }
}

/// Names and texts of a directory's files, by name.
fn sources(dir: &Path) -> std::io::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        found.push((name, std::fs::read_to_string(entry.path())?));
    }
    found.sort();
    Ok(found)
}
