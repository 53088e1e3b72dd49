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

/// An option that the feature run does not know.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown option {option:?}: expected a part of a scenario's name, --list, --exact, --skip NAME, \
     --nocapture or --test-threads N"
)]
pub struct UnknownOption {
    option: String,
}

impl Arguments {
    /// Parses the arguments after the program's name.
    ///
    /// # Errors
    /// When an option is unknown.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, UnknownOption> {
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
                "--skip" => parsed.skip.extend(value.or_else(|| arguments.next())),
                // Accepted for the sake of the callers; the feature run has its own concurrency
                // and always shows its output.
                "--test-threads" | "--format" | "--color" | "-Z" | "--report-time" => {
                    if value.is_none() {
                        arguments.next();
                    }
                }
                "--nocapture" | "--no-capture" | "--show-output" | "--include-ignored"
                | "--quiet" | "-q" => {}
                _ if option.starts_with('-') => return Err(UnknownOption { option }),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, UnknownOption> {
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
}
