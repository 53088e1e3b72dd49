//! The images of a cluster, on the real engine.

use std::sync::Mutex;

use engine::docker::{Engine, RootFileSystem, Run, Tar};
use engine::images::{self, ImageError, Recipe};

/// With the image there, a second call must not build or pull: it says nothing, and names the same
/// image. It comes from packages where the host has them, or else from a registry; where neither is to
/// be had, the error must say so of both.
#[tokio::test(flavor = "multi_thread")]
async fn a_servers_image_is_built_once() {
    let engine = Engine::connect().await.unwrap();
    let packages = images::packages_possible();
    for recipe in [Recipe::mysql(), Recipe::etcd()] {
        let build = images::ensure_server(&engine, &recipe, None, &|line| println!("{line}"));
        let first = match (build.await, &packages) {
            (Ok(first), _) => first,
            (Err(error @ ImageError::NoSource { .. }), Err(why)) => {
                println!("neither packages nor a registry here: {why}");
                assert!(error.to_string().contains(&recipe.official), "{error}");
                continue;
            }
            (Err(error), _) => panic!("{error}"),
        };
        let ours = first.reference == recipe.reference();
        assert_eq!(first.by_recipe, ours, "{first:?}");
        assert!(ours || (first.reference == recipe.official && packages.is_err()), "{first:?}");
        let said = Mutex::new(Vec::new());
        let say = |line: &str| said.lock().unwrap().push(line.to_owned());
        let second = images::ensure_server(&engine, &recipe, None, &say).await.unwrap();
        assert_eq!(first, second);
        assert_eq!(*said.lock().unwrap(), Vec::<String>::new());
    }
}

/// On a host whose packages cannot be had (a mirror that is down, a suite in transition) the official
/// image is taken, without asking a registry for what lies here already; and it is said why.
#[tokio::test(flavor = "multi_thread")]
async fn a_local_official_image_stands_in_for_packages_that_cannot_be_had() {
    let engine = Engine::connect().await.unwrap();
    let run = Run::begin(&engine, &format!("test-{}", Run::fresh_id())).await.unwrap();
    let official = format!("localhost:1/official-{}", run.id());
    let mut tar = Tar::default();
    tar.directory("etc/", 0o755);
    let root = RootFileSystem::Bytes(tar.finish());
    let id = engine.import(&official, "1", root, vec![]).await.unwrap();
    let recipe = Recipe::etcd().with_source("no-such-package-anywhere", &format!("{official}:1"));
    let said = Mutex::new(Vec::new());
    let say = |line: &str| said.lock().unwrap().push(line.to_owned());

    let taken = images::ensure_server(&engine, &recipe, None, &say).await;

    engine.remove_image(&format!("{official}:1")).await.unwrap();
    run.remove().await.unwrap();
    let taken = taken.unwrap();
    assert_eq!((taken.id, taken.by_recipe), (id, false));
    let said = said.into_inner().unwrap().join("\n");
    assert!(!said.contains("pulling"), "{said}");
    if images::packages_possible().is_ok() {
        assert!(said.contains("no-such-package-anywhere"), "{said}");
    }
}

/// A name that nobody has must be told as such, and not be replaced by a build.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_image_by_name_is_an_error() {
    let engine = Engine::connect().await.unwrap();
    let named = Some("localhost:1/no/such-image:1");
    let error = images::ensure_server(&engine, &Recipe::etcd(), named, &|_| ()).await.unwrap_err();
    assert!(error.to_string().contains("no/such-image"), "{error}");
}
