//! What a system's conversation must contain, whatever else it does: a recording that lacks one of these has
//! lost a crash point.

use records::schedule::Link;
use serde::Deserialize;
use wire::recording::Recorded;

/// One thing that must be said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demand {
    /// Its name, for people.
    pub what: String,
    /// On which link.
    pub link: Link,
    /// Parts of the fingerprint, all of them in one exchange that matters.
    pub words: Vec<String>,
}

impl Demand {
    /// Whether this exchange is what is demanded.
    #[must_use]
    pub fn is_met_by(&self, said: &Recorded) -> bool {
        said.link == self.link
            && said.class.matters()
            && self.words.iter().all(|word| said.fingerprint.contains(word.as_str()))
    }
}
