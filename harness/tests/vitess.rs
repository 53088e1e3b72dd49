//! Real Vitess under test, where `VDIFF_CHAOS_VITESS` names one: nothing of it is in this repository.

use std::time::Duration;

use harness::campaign::{self, CampaignOptions, Work};
use harness::plan::{self, PlanOptions};
use harness::systems::{SystemKind, SystemOptions};
use records::schedule::Fault;
use system_vitess::{VitessOptions, VitessSource};
use tokio_util::sync::CancellationToken;

// A kill in mid-diff, to the verdict: whatever this release makes of it, the harness has an opinion, and its own part
// of the trial is done in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_diff_of_vitess_is_killed_in_its_middle_and_judged() {
    let Some(source) = VitessSource::of_environment() else {
        println!(
            "not run: VDIFF_CHAOS_VITESS names no Vitess (a directory of programs, or an image)"
        );
        return;
    };
    let out = tempfile::tempdir().unwrap();
    let options = CampaignOptions {
        work: Work::Planned {
            seed: 17_637,
            plan: PlanOptions {
                trials: 1,
                faults: vec![Fault::Sigkill],
                rows: plan::rows_of(SystemKind::Vitess),
                system: SystemKind::Vitess,
                ..PlanOptions::default()
            },
            shard: None,
            duration: None,
        },
        jobs: 1,
        fail_fast: false,
        floor: Some(1),
        deadline: Duration::from_secs(1_200),
        out: Some(out.path().join("run")),
        junit: None,
        system: SystemOptions {
            vitess: Some(VitessOptions { source, tablet_flags: Vec::new() }),
            ..SystemOptions::default()
        },
        program: "vdiff-chaos".to_owned(),
    };
    let say = |line: &str| eprintln!("{line}");
    let outcome = Box::pin(campaign::run(&options, &CancellationToken::new(), &say)).await.unwrap();
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    let summary = &outcome.summary;
    assert!(summary.inconclusive.is_empty(), "{:?}", summary.inconclusive);
    assert_eq!(outcome.trials.len(), 1);
    assert!(summary.images.keys().any(|name| name.starts_with("vitess-")), "{:?}", summary.images);
}
