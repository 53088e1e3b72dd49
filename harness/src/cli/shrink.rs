//! `shrink`.

use std::time::Instant;

use records::text::shell_argument;
use tokio_util::sync::CancellationToken;

use super::arguments::ShrinkArgs;
use super::values::Limit;
use super::{Exit, Failure, putln, say};
use crate::prepare::PrepareError;
use crate::shrink::{
    self, Aim, Budget, Ending, LabError, Report, SearchError, ShrinkError, ShrinkOptions, search,
};

pub(super) async fn run(args: ShrinkArgs, stop: &CancellationToken) -> Result<Exit, Failure> {
    let (original, broken) =
        shrink::target(&args.target, args.trial).map_err(|error| Failure::usage(&error))?;
    super::campaigns::fits(&original, args.images.kind())?;
    let broken = if args.by.is_empty() { broken } else { args.by.into_iter().collect() };
    let options = ShrinkOptions {
        system: args.images.system(original.bug.is_some())?,
        original,
        aim: Aim { broken, runs: args.runs, budget: budget(&args.budget) },
        jobs: args.jobs,
        out: args.out,
        program: super::campaigns::program(),
    };
    match shrink::run(&options, stop, &say).await {
        Ok(report) => Ok(told(&report, &options)),
        Err(error @ ShrinkError::Search(SearchError::NeverFailed(_))) => {
            Err(Failure::stopped(&error))
        }
        Err(
            error @ (ShrinkError::Prepare(PrepareError::Stopped)
            | ShrinkError::Search(SearchError::Laboratory(LabError::Stopped))),
        ) => Err(Failure::stopped(&error)),
        Err(error) => Err(Failure::harness(&error)),
    }
}

fn budget(limits: &[Limit]) -> Budget {
    let mut budget = Budget::default();
    for limit in limits {
        match limit {
            Limit::Trials(trials) => budget.trials = Some(*trials),
            Limit::Time(time) => budget.until = Some(Instant::now() + *time),
        }
    }
    budget
}

fn told(report: &Report, options: &ShrinkOptions) -> Exit {
    let shrunk = &report.shrunk;
    let (small, large) = (&shrunk.schedule, &options.original);
    putln!(
        "shrunk   {} to {} faults · {} to {} tables · {} to {} rows · {} to {} differences",
        large.steps.len(),
        small.steps.len(),
        large.workload.tables.len(),
        small.workload.tables.len(),
        large.workload.rows,
        small.workload.rows,
        large.workload.differences,
        small.workload.differences,
    );
    for step in &small.steps {
        putln!("fault    {}", shrink::moves::step_text(step));
    }
    let broken = search::names(&shrunk.broken);
    putln!("now      {}, by {broken}; before: {}", shrunk.after, shrunk.before);
    for (invariants, times) in &shrunk.otherwise {
        let names = search::names(invariants);
        putln!("also     {times} times another failure was seen, by {names}: look at the report");
    }
    putln!("report   {}", report.page.display());
    putln!("schedule {}", report.schedule.display());
    putln!("feature  {}", report.feature.display());
    let argument = |path: &std::path::Path| shell_argument(&path.display().to_string());
    let program = &options.program;
    putln!("replay   {program} replay {}", argument(&report.schedule));
    putln!("         {program} features {}", argument(&report.feature));
    let (accepted, candidates, trials) = (shrunk.accepted.len(), shrunk.candidates, shrunk.trials);
    let counts = format!("{trials} trials, {candidates} candidates, {accepted} of them smaller");
    match shrunk.ending {
        Ending::Minimal => {
            putln!("MINIMAL  {counts}: without anything that is left it was not seen to fail");
            Exit::Pass
        }
        Ending::OutOfBudget => {
            putln!("BUDGET   {counts}: out of budget, it may become smaller; raise --budget");
            Exit::Inconclusive
        }
    }
}
