use records::verdict::Judgement;

use super::*;

fn specimen(bug: Bug, found: bool, comes_back: bool) -> BugResult {
    let known = known_bug(bug);
    let workaround = known.workaround.map(|fault| Workaround {
        fault: fault.name(),
        landed: true,
        comes_back,
        verdict: Verdict::Pass,
    });
    BugResult {
        bug: bug.name().to_owned(),
        switched_on: true,
        window: known.window,
        found,
        oracle: Vec::new(),
        trials: 2,
        trials_that_found: 0,
        found_in: None,
        exits: Vec::new(),
        reasons: Vec::new(),
        inconclusive: 0,
        workaround,
        doubts: Vec::new(),
        directory: String::new(),
    }
}

// The zoo measures the harness: a bug that slips through must not look green.
#[test]
fn every_bug_must_be_found_and_every_workaround_must_work() {
    let all = |found, comes_back| Bug::ALL.map(|bug| specimen(bug, found, comes_back));
    let game = ZooTask::Bugs(Vec::new());
    assert_eq!(verdict(&all(true, true), &game), Verdict::Pass);
    assert_eq!(verdict(&all(false, true), &game), Verdict::Fail);
    assert_eq!(verdict(&all(true, false), &game), Verdict::Fail);
    assert_eq!(verdict(&all(true, true)[..1], &game), Verdict::Fail);
    // Of a choice of bugs all must be found, and of nothing nothing.
    let chosen = ZooTask::Bugs(vec![Bug::ALL[0], Bug::ALL[1], Bug::ALL[0]]);
    assert_eq!(verdict(&all(true, true)[..2], &chosen), Verdict::Pass);
    assert_eq!(verdict(&all(true, true)[..1], &chosen), Verdict::Fail);
}

// A firewall, or a kernel without memory limits: the other bugs are hunted, and this one is no miss.
#[test]
fn a_bug_that_this_host_cannot_show_is_unclear() {
    let game = ZooTask::Bugs(Vec::new());
    let mut all = Bug::ALL.map(|bug| specimen(bug, true, true));
    all[3] = specimen(Bug::ALL[3], false, true);
    all[3].trials = 0;
    assert_eq!(verdict(&all, &game), Verdict::Fail, "for no reason nothing is excused");
    all[3].doubts.push("oom is not possible here: the memory limit does not hold".to_owned());
    assert_eq!(verdict(&all, &game), Verdict::Inconclusive);
    all[4] = specimen(Bug::ALL[4], false, true);
    assert_eq!(verdict(&all, &game), Verdict::Fail);
}

#[test]
fn the_control_must_find_nothing_and_say_something() {
    let all = |found| Bug::ALL.map(|bug| specimen(bug, found, true));
    let game = ZooTask::CleanTablet(Vec::new());
    assert_eq!(verdict(&all(false), &game), Verdict::Pass);
    assert_eq!(verdict(&all(true), &game), Verdict::Fail);
    assert_eq!(verdict(&all(false)[..1], &game), Verdict::Inconclusive);
    let mut unclear = all(false);
    unclear[0].inconclusive = 1;
    assert_eq!(verdict(&unclear, &game), Verdict::Inconclusive);
}

// A deadline that came before the second trial, or trials in which nothing landed, prove no absence.
#[test]
fn a_control_or_patch_that_was_cut_short_or_landed_too_little_is_no_pass() {
    let patch = ZooTask::Patch(Patch::default());
    for game in [ZooTask::CleanTablet(Vec::new()), patch] {
        for doubt in ["the run was interrupted: its deadline of 900 s", "0 faults landed, below"] {
            let mut cut = Bug::ALL.map(|bug| specimen(bug, false, true));
            cut[0].doubts.push(doubt.to_owned());
            assert_eq!(verdict(&cut, &game), Verdict::Inconclusive, "{doubt}");
            cut[1].found = true;
            assert_eq!(verdict(&cut, &game), Verdict::Fail);
        }
    }
}

#[test]
fn what_must_find_nothing_has_the_floor_of_a_campaign() {
    let prey = |bug, is_on| Hunted {
        name: "a".to_owned(),
        bug,
        is_on,
        works: Vec::new(),
        images: ImageOptions::default(),
        program: String::new(),
    };
    assert_eq!(prey(Some(Bug::ALL[0]), true).floor(), Some(1));
    assert_eq!(prey(Some(Bug::ALL[0]), false).floor(), None, "two thirds of its trials");
    assert_eq!(prey(None, true).floor(), None);
}

// Nothing is known of a patch: any broken invariant finds it, and silence is no proof.
#[test]
fn a_patch_is_found_by_any_oracle_and_cleared_only_by_trials_that_say_something() {
    let patch = ZooTask::Patch(Patch::default());
    let one = |found| [specimen(Bug::ALL[0], found, true)];
    assert_eq!(verdict(&one(true), &patch), Verdict::Fail);
    assert_eq!(verdict(&one(false), &patch), Verdict::Pass);
    assert_eq!(verdict(&[], &patch), Verdict::Inconclusive);
    let mut unclear = one(false);
    unclear[0].inconclusive = 1;
    assert_eq!(verdict(&unclear, &patch), Verdict::Inconclusive);
}

// A patch may show where nothing is struck: in a recording. That trial failed, so it was found.
#[test]
fn a_recording_that_fails_has_found_a_patch_and_one_that_passes_hunts_for_nothing() {
    let prey = Hunted {
        name: "patch:a".to_owned(),
        bug: None,
        is_on: true,
        works: Vec::new(),
        images: ImageOptions::default(),
        program: String::new(),
    };
    let recording = |verdict| {
        let frame = Frame::small(1, None);
        let schedule = frame.recording(0, crate::crash_points::plan::SCRIPTS[0]).unwrap();
        let invariant = Invariant::I1;
        let reasons = Vec::new();
        let judgement = Judgement {
            invariant,
            verdict,
            checks: 1,
            reasons,
            not_applicable: false,
            excused: false,
        };
        [TrialRecord { schedule, records: Vec::new(), judgements: vec![judgement] }]
    };
    let found = prey.specimen(&recording(Verdict::Fail), std::path::Path::new("run"));
    assert_eq!((found.found, found.found_in, found.trials), (true, Some(1), 1));
    let clean = prey.specimen(&recording(Verdict::Pass), std::path::Path::new("run"));
    assert_eq!((clean.found, clean.trials), (false, 0));
}
