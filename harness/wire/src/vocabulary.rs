//! What a system says to its MySQL, as far as its statements have to be told apart.

use records::schedule::Phase;

/// The words of a system under test.
#[derive(Debug)]
pub struct Vocabulary {
    /// String literals that tell one change of state from another: they stay visible in a fingerprint.
    pub words: &'static [&'static str],
    /// Literals that go on with a name, a cursor or a reason: how they begin, and what stands for them.
    pub lines: &'static [(&'static str, &'static str)],
    /// The phase of the diff that begins with the statement of a fingerprint; the inner none ends a table's
    /// phases.
    pub announces: fn(&str) -> Option<Option<Phase>>,
}

impl Vocabulary {
    /// No literal shows, and nothing is announced.
    pub const SILENT: &'static Vocabulary =
        &Vocabulary { words: &[], lines: &[], announces: |_| None };

    /// What stays visible of a string literal.
    pub(super) fn spoken(&self, literal: &[u8]) -> Option<&'static str> {
        let word = self.words.iter().find(|word| word.as_bytes() == literal);
        let line = || self.lines.iter().find(|(begin, _)| literal.starts_with(begin.as_bytes()));
        word.copied().or_else(|| line().map(|(_, whole)| *whole))
    }
}
