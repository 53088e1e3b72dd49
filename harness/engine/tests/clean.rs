//! `clean`, on the real engine: what dead owners left goes, everything else stays.

use std::collections::HashMap;

use engine::clean;
use engine::docker::owner::Owner;
use engine::docker::{Engine, LABEL_OWNER, LABEL_RUN, NAME_PREFIX, Run};

/// A dead owner's network beside a living run, a network without owner, and a stranger whose name
/// begins like ours. Only the first may go; each of the others would be somebody's loss.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_dead_owner_left_is_removed() {
    let engine = Engine::connect().await.unwrap();
    let id = Run::fresh_id();
    let living = Run::begin(&engine, &format!("clean-living-{id}")).await.unwrap();
    let me = Owner::current().unwrap().to_string();
    let (rest, ticks) = me.rsplit_once('/').unwrap();
    let dead = format!("{rest}/{}", ticks.parse::<u64>().unwrap() - 1);

    let name = |what: &str| format!("{NAME_PREFIX}clean-{what}-{id}");
    let labels = |owner: Option<&str>| {
        let run = (LABEL_RUN.to_owned(), format!("clean-{id}"));
        let owner = owner.map(|owner| (LABEL_OWNER.to_owned(), owner.to_owned()));
        std::iter::once(run).chain(owner).collect::<HashMap<_, _>>()
    };
    let left = engine.create_network(&name("dead"), &labels(Some(&dead))).await.unwrap();
    let ownerless = engine.create_network(&name("ownerless"), &labels(None)).await.unwrap();
    let stranger = engine.create_network(&name("stranger"), &HashMap::new()).await.unwrap();

    let report = clean::sweep(&engine).await.unwrap();

    let all = engine.network_ids().await.unwrap();
    let there = |id: &String| all.contains(id);
    let seen = (there(&left), there(&ownerless), there(&stranger));
    let kept = engine.labelled(&format!("{LABEL_RUN}={}", living.id())).await.unwrap();
    for network in [&ownerless, &stranger] {
        engine.remove_network(network).await.unwrap();
    }
    let directory_stayed = living.directory().is_dir();
    living.remove().await.unwrap();
    assert_eq!(seen, (false, true, true), "{report}");
    assert_eq!(kept.len(), 1, "{report}");
    assert!(directory_stayed);
    assert!(report.removed.iter().any(|line| line.contains(&name("dead"))));
}
