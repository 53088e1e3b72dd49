//! What a vttablet says to its MySQL, as far as its statements have to be told apart.

use wire::Vocabulary;

pub(super) const VOCABULARY: &Vocabulary =
    &Vocabulary { words: &WORDS, lines: &LINES, announces: |_| None };

/// States of diffs, tables and workflows, and what VDiff writes into a workflow's row.
const WORDS: [&str; 13] = [
    "pending",
    "started",
    "stopped",
    "completed",
    "error",
    "Init",
    "Running",
    "Stopped",
    "Copying",
    "Error",
    "for vdiff",
    "synchronizing for vdiff",
    "State changed to: started",
];

/// Lines of `vdiff_log`: how they begin, and what stands for them.
const LINES: [(&str, &str); 4] = [
    ("started: ", "started: …"),
    ("completed: ", "completed: …"),
    ("State changed to: ", "State changed to: …"),
    ("Error: ", "Error: …"),
];
