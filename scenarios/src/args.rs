//! What the feature run understands of the test harness's command line, so that `cargo test NAME`,
//! `cargo test -- --nocapture` and cargo-nextest work as they do for any other test.

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Print the scenarios' names instead of running them.
    pub list: bool,
    /// A filter must be the whole name.
    pub exact: bool,
    /// Names, or parts of names, of scenarios to run; empty: all.
    pub filters: Vec<String>,
    /// Names, or parts of names, of scenarios to leave out.
    pub skip: Vec<String>,
    /// Only the ignored tests are asked for: scenarios are never ignored, so nothing runs.
    pub ignored_only: bool,
}

/// An option that the feature run does not take.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOption {
    /// Nobody knows it.
    #[error(
        "unknown option {option:?}: expected a part of a scenario's name, --list, --exact, --skip NAME, \
         --nocapture or --test-threads N"
    )]
    Unknown {
        /// The option.
        option: String,
    },
    /// The test harness of Rust has it, and here it would be ignored.
    #[error("the feature run does not take {option}: {why}")]
    Refused {
        /// The option.
        option: String,
        /// Why not.
        why: &'static str,
    },
    /// It has no value.
    #[error("{option} needs a value")]
    NoValue {
        /// The option.
        option: String,
    },
}

/// Options of the test harness of Rust that would change what is run or written, and why they do not.
const REFUSED: [(&str, &str); 7] = [
    ("--shuffle", "scenarios begin in the order of their files; run one by its name instead"),
    ("--shuffle-seed", "scenarios begin in the order of their files; run one by its name instead"),
    ("--logfile", "the report, features.json and junit.xml lie in reports/runs"),
    ("--fail-fast", "every scenario that was asked for is run"),
    ("--ensure-time", "a scenario says its own limits"),
    ("--bench", "there are no benchmarks"),
    ("--exclude-should-panic", "no scenario is to panic"),
];

impl Arguments {
    /// Parses the arguments after the program's name.
    ///
    /// # Errors
    /// When an option is unknown, refused or without its value.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, BadOption> {
        let mut parsed = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (option, value) = match argument.split_once('=') {
                Some((option, value)) => (option.to_owned(), Some(value.to_owned())),
                None => (argument.clone(), None),
            };
            match option.as_str() {
                "--list" => parsed.list = true,
                "--exact" => parsed.exact = true,
                "--ignored" => parsed.ignored_only = true,
                "--skip" => match value.or_else(|| arguments.next()) {
                    Some(name) => parsed.skip.push(name),
                    None => return Err(BadOption::NoValue { option }),
                },
                // Accepted for the sake of the callers; the feature run has its own concurrency
                // and always shows its output.
                "--test-threads" | "--format" | "--color" | "-Z" => {
                    if value.or_else(|| arguments.next()).is_none() {
                        return Err(BadOption::NoValue { option });
                    }
                }
                "--nocapture" | "--no-capture" | "--show-output" | "--include-ignored"
                | "--quiet" | "-q" | "--test" | "--report-time" => {}
                _ if option.starts_with('-') => return Err(refused(option)),
                _ => parsed.filters.push(argument),
            }
        }
        Ok(parsed)
    }

    /// Whether the scenario of this name is asked for.
    #[must_use]
    pub fn selects(&self, name: &str) -> bool {
        let matches = |pattern: &String| {
            if self.exact { name == pattern } else { name.contains(pattern.as_str()) }
        };
        !self.ignored_only
            && (self.filters.is_empty() || self.filters.iter().any(matches))
            && !self.skip.iter().any(matches)
    }

    /// Whether every scenario is asked for: only then the floor applies.
    #[must_use]
    pub fn selects_everything(&self) -> bool {
        self.filters.is_empty() && self.skip.is_empty() && !self.ignored_only
    }
}

fn refused(option: String) -> BadOption {
    match REFUSED.iter().find(|(name, _)| *name == option) {
        Some((_, why)) => BadOption::Refused { option, why },
        None => BadOption::Unknown { option },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, BadOption> {
        Arguments::parse(arguments.iter().map(ToString::to_string))
    }

    #[test]
    fn a_part_of_a_name_selects_and_exact_wants_the_whole() {
        let some = parse(&["kernel", "--nocapture", "--test-threads=1"]).unwrap();
        assert!(some.selects("the kernel kills it") && !some.selects("another"));
        assert!(!some.selects_everything());
        let exact = parse(&["--exact", "the kernel"]).unwrap();
        assert!(!exact.selects("the kernel kills it") && exact.selects("the kernel"));
    }

    #[test]
    fn the_value_of_an_accepted_option_is_not_taken_for_a_filter() {
        assert!(parse(&["--test-threads", "1", "--format", "terse"]).unwrap().selects_everything());
    }

    #[test]
    fn skip_leaves_out_and_ignored_runs_nothing() {
        assert!(!parse(&["--skip", "kernel"]).unwrap().selects("the kernel kills it"));
        assert!(!parse(&["--ignored"]).unwrap().selects("the kernel kills it"));
    }

    #[test]
    fn an_unknown_option_is_named() {
        let error = parse(&["--frobnicate"]).unwrap_err();
        assert!(error.to_string().contains("\"--frobnicate\""), "{error}");
    }

    // With a value it would swallow the name of the scenario that was asked for, and run all.
    #[test]
    fn report_time_takes_no_value() {
        let parsed = parse(&["--report-time", "kernel"]).unwrap();
        assert_eq!(parsed.filters, ["kernel"]);
    }

    #[test]
    fn what_would_be_ignored_is_refused_and_says_why() {
        for option in ["--shuffle", "--logfile=x", "--fail-fast", "--shuffle-seed=1"] {
            let error = parse(&[option]).unwrap_err().to_string();
            assert!(error.contains("does not take"), "{error}");
        }
        for option in ["--skip", "--test-threads", "--format"] {
            assert!(parse(&[option]).unwrap_err().to_string().contains("needs a value"));
        }
    }
}
