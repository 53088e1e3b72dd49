//! A schedule as a scenario, in the steps that CONTRIBUTING.md lists. What a scenario would do anyhow
//! (the usual pace and data) is not said.

use std::collections::BTreeSet;

use records::schedule::{
    Bug, CrashPoint, DiffOutcome, Ends, Fault, Link, Moment, Pace, Schedule, Step, Trigger,
    Workload,
};
use records::verdict::Invariant;

use super::moves::step_text;
use crate::campaign::is_exclusive;
use crate::plan;
use crate::systems::SystemKind;
use system::WORKFLOW;

/// The scenario of a schedule; `broken` is what it broke.
#[must_use]
pub fn render(schedule: &Schedule, broken: &BTreeSet<Invariant>) -> String {
    let mut text = String::from("@shrunk\n");
    let whose = schedule.bug.map_or("the tablet", Bug::name);
    let titles: Vec<&str> = broken.iter().map(|invariant| invariant.title()).collect();
    text.push_str(&format!("Feature: {whose}: {}\n", or(titles.join(", "), "shrunk")));
    text.push_str("  Written by `vdiff-chaos shrink`. The schedule broke:\n");
    for invariant in broken {
        text.push_str(&format!("  {}: {}\n", invariant.code(), invariant.sentence()));
    }
    text.push_str("\n  Background:\n");
    said(&mut text, "Given", &background(schedule));
    let steps: Vec<String> = schedule.steps.iter().map(scenario_name_of).collect();
    let fills = schedule.steps.iter().any(|step| step.fault == Fault::DiskFull);
    let tag = match (fills, is_exclusive(schedule)) {
        (true, _) => "  @own-servers @small-disk\n",
        (false, true) => "  @own-servers\n",
        (false, false) => "",
    };
    let name = or(steps.join(", then "), "undisturbed");
    text.push_str(&format!("\n{tag}  Scenario: {name}\n"));
    said(&mut text, "Given", &[format!("a VDiff of \"{WORKFLOW}\" is running")]);
    for (keyword, lines) in acts(schedule) {
        said(&mut text, keyword, &lines);
    }
    text
}

fn or(text: String, other: &str) -> String {
    if text.is_empty() { other.to_owned() } else { text }
}

/// Lines of one keyword.
fn said(text: &mut String, keyword: &str, lines: &[String]) {
    for (place, line) in lines.iter().enumerate() {
        let keyword = if place == 0 { keyword } else { "And" };
        text.push_str(&format!("    {keyword} {line}\n"));
    }
}

/// A scenario is selected by its name on the command line: without quotes and fingerprints.
fn scenario_name_of(step: &Step) -> String {
    match &step.trigger {
        Trigger::CrashPoint { point } => {
            format!("{} at a {} point of {}", step.fault, point.moment, point.link)
        }
        Trigger::Time { .. }
        | Trigger::Progress { .. }
        | Trigger::Phase { .. }
        | Trigger::DuringRecovery { .. }
        | Trigger::DuringFault { .. } => step_text(step),
    }
}

fn background(schedule: &Schedule) -> Vec<String> {
    let Workload { seed, tables, rows, differences, run_length, keys_alike: _ } =
        &schedule.workload;
    let mut lines = Vec::new();
    if let Some(bug) = schedule.bug {
        lines.push(format!("a tablet with the known bug \"{}\"", bug.name()));
    }
    lines.push(format!("{rows} rows in each of the tables \"{}\"", tables.join(", ")));
    lines.push(format!("{differences} planted differences"));
    let usual = plan::usual(tables, *rows, SystemKind::of(schedule));
    let differs = |one: fn(&Schedule) -> u64| one(&usual) != one(schedule);
    // Where no difference is planted, there is no run of them either.
    if differs(|schedule| schedule.workload.run_length) && (*differences, *run_length) != (0, 0) {
        lines.push(format!("planted runs of {run_length} differences"));
    }
    if differs(|schedule| schedule.workload.seed) {
        lines.push(format!("data of the seed {seed}"));
    }
    lines.extend(pace(&schedule.pace, &usual.pace));
    if schedule.is_proxied() && !schedule.steps.iter().any(Step::is_at_point) {
        lines.push("links of the target tablet that pass the wire proxy".to_owned());
    }
    if schedule.unwatched {
        lines.push("nobody who asks the tablets while the VDiff is waited for".to_owned());
    }
    let points = schedule.steps.iter().filter_map(|step| match &step.trigger {
        Trigger::CrashPoint { point } => Some((step.fault, point)),
        _ => None,
    });
    lines.extend(points.map(|(fault, point)| match death(fault) {
        Some(death) => format!("the target tablet will be {death} {}", point_text(point)),
        None => format!("the fault \"{}\" will strike {}", fault.name(), point_text(point)),
    }));
    lines
}

/// What of the pace is not as usual.
fn pace(pace: &Pace, usual: &Pace) -> Vec<String> {
    let differs = |one: fn(&Pace) -> u64| one(usual) != one(pace);
    let mut lines = Vec::new();
    if differs(|pace| pace.rows_per_second) {
        lines.push(format!("a pace of {} rows per second", pace.rows_per_second));
    }
    if differs(|pace| pace.checkpoint_rows) || differs(|pace| pace.checkpoint_interval_ms) {
        let Pace { checkpoint_rows, checkpoint_interval_ms, .. } = pace;
        lines.push(format!(
            "a checkpoint every {checkpoint_rows} rows or {checkpoint_interval_ms} milliseconds"
        ));
    }
    if differs(|pace| pace.packet_bytes) {
        lines.push(format!("packets of {} bytes", pace.packet_bytes));
    }
    if differs(|pace| pace.memory_limit_bytes) {
        lines.push(format!("{} bytes of memory for the tablet", pace.memory_limit_bytes));
    }
    lines
}

/// The lines after the beginning of the diff, by keyword.
fn acts(schedule: &Schedule) -> Vec<(&'static str, Vec<String>)> {
    let ready_within = seconds(schedule.deadlines.ready_ms);
    let mut acts = Vec::new();
    let others: Vec<&Step> = schedule.steps.iter().filter(|step| !step.is_at_point()).collect();
    for (place, step) in others.iter().enumerate() {
        let next = others.get(place + 1);
        let on_top_follows = next.is_some_and(|next| next.is_on_top());
        let (strike, heal) = fault_text(step);
        let mut lines = vec![strike];
        match (step.is_on_top(), on_top_follows) {
            (_, true) => {}
            (true, false) => lines.push(Ends::OVER.to_owned()),
            (false, false) => lines.extend(heal),
        }
        acts.push(("When", lines));
        if on_top_follows {
            continue;
        }
        let recovery_follows =
            next.is_some_and(|next| matches!(next.trigger, Trigger::DuringRecovery { .. }));
        if step.fault.ends_target() && next.is_some() && !recovery_follows {
            let ready =
                format!("it is ready within {ready_within} seconds and stays ready for 0 seconds");
            acts.push(("Then", vec![ready]));
        }
    }
    if schedule.steps.iter().any(Step::is_at_point) {
        acts.push(("When", vec!["the crash points are behind it".to_owned()]));
    }
    let holds = seconds(schedule.deadlines.ready_holds_ms);
    let settles = seconds(schedule.deadlines.settle_ms);
    let outcome = |step: &Step| step.fault.facts().outcome;
    let unaided = schedule.steps.iter().all(|step| outcome(step) == DiffOutcome::Completes);
    let completes = if unaided { "resumes by itself and completes" } else { "completes" };
    let then = vec![
        format!("it is ready within {ready_within} seconds and stays ready for {holds} seconds"),
        format!("the VDiff {completes} within {settles} seconds"),
        "every invariant holds".to_owned(),
    ];
    acts.push(("Then", then));
    acts
}

/// A fault in its steps: what strikes, and what ends it.
fn fault_text(step: &Step) -> (String, Option<String>) {
    let moment = moment_text(&step.trigger);
    if let (Fault::Freeze, Some(lasts_ms)) = (step.fault, step.lasts_ms) {
        let strike = format!("the target tablet is frozen for {lasts_ms} milliseconds {moment}");
        return (strike, Some(Ends::OVER.to_owned()));
    }
    let Some(said) = step.fault.facts().said else {
        let strike =
            format!("the fault \"{}\" strikes{} {moment}", step.fault.name(), manner(step));
        return (strike, Some(Ends::OVER.to_owned()));
    };
    let ends = match said.ends {
        Ends::Itself => None,
        Ends::Over => Some(Ends::OVER),
        Ends::Step(step) => Some(step),
    };
    let again = matches!(step.trigger, Trigger::DuringRecovery { .. });
    let moment =
        if again && death(step.fault).is_some() { format!("again {moment}") } else { moment };
    (said.strikes.replace("{}", &moment), ends.map(str::to_owned))
}

/// Where and how long, of a fault that has a link or a length: ` the link to etcd for 900 milliseconds`.
fn manner(step: &Step) -> String {
    let link = step.link.map(|link| format!(" the link to {}", peer_text(link)));
    let length = step.lasts_ms.map(|ms| format!(" for {ms} milliseconds"));
    link.unwrap_or_default() + &length.unwrap_or_default()
}

fn death(fault: Fault) -> Option<&'static str> {
    match fault {
        Fault::Sigkill => Some("killed"),
        Fault::Oom => Some("OOM-killed"),
        Fault::Sigterm => Some("asked to terminate"),
        _ => None,
    }
}

fn moment_text(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Time { fraction } => format!("after {}% of the diff's time", percent(*fraction)),
        Trigger::Progress { fraction } => format!("at {}% of the diff", percent(*fraction)),
        Trigger::Phase { phase } => format!("in the {phase} phase"),
        Trigger::DuringRecovery { after_ms } => format!("{after_ms} milliseconds after its start"),
        Trigger::DuringFault { after_ms } => {
            format!("{after_ms} milliseconds into the fault before it")
        }
        Trigger::CrashPoint { point } => point_text(point),
    }
}

/// `after the unanswered 2nd "update …" to its MySQL in the streaming phase`
fn point_text(point: &CrashPoint) -> String {
    let CrashPoint { link, fingerprint, phase, nth, moment } = point;
    let moment = match moment {
        Moment::Before => "before the",
        Moment::Executed => "after the unanswered",
        Moment::Replied => "after the answered",
    };
    let peer = peer_text(*link);
    let phase = phase.map(|phase| format!(" in the {phase} phase")).unwrap_or_default();
    format!("{moment} {} {} to {peer}{phase}", ordinal(*nth), quoted(fingerprint))
}

fn peer_text(link: Link) -> &'static str {
    match link {
        Link::Mysql => "its MySQL",
        Link::Etcd => "etcd",
        Link::SourceTablet => "the source tablet",
    }
}

/// In double quotes, on one line; a backslash stands before what would end it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// `12` or `12.3`: nothing of the fraction is lost.
fn percent(fraction: f64) -> f64 {
    (fraction * 1_000_000.0).round() / 10_000.0
}

/// Whole seconds; a little more, rather than less.
fn seconds(ms: u64) -> u64 {
    ms.div_ceil(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PlanOptions;

    fn schedule(steps: Vec<Step>) -> Schedule {
        let mut schedule = plan::usual(&PlanOptions::default().tables, 4_000, SystemKind::Tablet);
        schedule.steps = steps;
        schedule
    }

    // What a scenario does anyhow would only hide what is special about this one.
    #[test]
    fn a_usual_schedule_says_no_more_than_a_scenario_by_hand() {
        let steps = vec![Step::new(Trigger::Progress { fraction: 0.1 }, Fault::Sigkill)];
        let text = render(&schedule(steps), &[Invariant::I1].into());
        assert_eq!(
            text,
            r#"@shrunk
Feature: the tablet: comes back
  Written by `vdiff-chaos shrink`. The schedule broke:
  I1: After a restart the tablet is ready in time and stays so; never a crash loop.

  Background:
    Given 4000 rows in each of the tables "corder, customer, product"
    And 37 planted differences

  Scenario: sigkill at 10.0 % of the rows
    Given a VDiff of "move" is running
    When the target tablet is killed at 10% of the diff
    And the supervisor restarts it
    Then it is ready within 15 seconds and stays ready for 2 seconds
    And the VDiff resumes by itself and completes within 60 seconds
    And every invariant holds
"#
        );
    }

    #[test]
    fn ordinals_are_english() {
        let said: Vec<String> = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal).to_vec();
        assert_eq!(said.join(" "), "1st 2nd 3rd 4th 11th 12th 13th 21st 102nd 111th");
    }
}
