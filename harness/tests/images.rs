//! The images of a cluster, on the real engine.

use std::sync::Mutex;

use harness::docker::Engine;
use harness::images::{self, Recipe};

/// With the image there, a second call must not build: it says nothing, and names the same image.
#[tokio::test(flavor = "multi_thread")]
async fn a_servers_image_is_built_once() {
    let engine = Engine::connect().await.unwrap();
    for recipe in [Recipe::mysql(), Recipe::etcd()] {
        let build = images::ensure_server(&engine, &recipe, None, &|line| println!("{line}"));
        let first = build.await.unwrap();
        assert!(first.by_recipe);
        let said = Mutex::new(Vec::new());
        let say = |line: &str| said.lock().unwrap().push(line.to_owned());
        let second = images::ensure_server(&engine, &recipe, None, &say).await.unwrap();
        assert_eq!(first, second);
        assert!(said.lock().unwrap().is_empty());
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
