//! What a tablet's conversation must contain, whatever else it does (`must-contain.json`): a recording
//! that lacks one of these has lost a crash point, and the run fails rather than cover less.

use records::schedule::Link;
use serde::Deserialize;

use wire::recording::Recorded;

const LIST: &str = include_str!("must-contain.json");

/// One thing that must be said.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Demand {
    /// Its name, for people.
    what: String,
    /// On which link.
    link: Link,
    /// Parts of the fingerprint, all of them in one exchange that matters.
    words: Vec<String>,
}

/// Names of what nobody said.
pub(super) fn lacking<'a>(said: impl Iterator<Item = &'a Recorded> + Clone) -> Vec<String> {
    let is_said = |demand: &Demand| {
        said.clone().any(|said| {
            said.link == demand.link
                && said.class.matters()
                && demand.words.iter().all(|word| said.fingerprint.contains(word.as_str()))
        })
    };
    demands().into_iter().filter(|demand| !is_said(demand)).map(|demand| demand.what).collect()
}

fn demands() -> Vec<Demand> {
    serde_json::from_str(LIST).expect("a test reads the checked-in list")
}

/// An exchange for each demand, for tests.
#[cfg(test)]
pub(super) fn examples() -> Vec<(Link, String)> {
    demands().into_iter().map(|demand| (demand.link, demand.words.join(" "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Class;

    #[test]
    fn the_list_is_readable_and_its_names_differ() {
        let demands = demands();
        let mut names: Vec<&str> = demands.iter().map(|demand| demand.what.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), demands.len());
        assert!(demands.iter().all(|demand| !demand.words.is_empty()));
    }

    // A list that nothing can miss would hide a crash point that went away.
    #[test]
    fn silence_lacks_everything_and_one_exchange_gives_one() {
        let demands = demands();
        assert_eq!(lacking([].iter()).len(), demands.len());
        let first = &demands[0];
        let said = Recorded {
            link: first.link,
            life: 1,
            fingerprint: first.words.join(" "),
            class: Class::Writes,
            phase: None,
            nth: 1,
            text: String::new(),
        };
        assert!(!lacking([said].iter()).contains(&first.what));
    }
}
