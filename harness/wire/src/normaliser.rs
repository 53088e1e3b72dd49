//! Names that differ from trial to trial, and what stands for them in fingerprints.

use super::vocabulary::Vocabulary;

/// Replaces the names of one trial (sidecar database, topology root, MySQL users …) by names that are
/// the same in every trial, and knows the words that stay.
#[derive(Clone, Debug)]
pub struct Normaliser {
    /// The longest first: one name may begin with another.
    replacements: Vec<(String, String)>,
    vocabulary: &'static Vocabulary,
}

impl Default for Normaliser {
    fn default() -> Self {
        Self { replacements: Vec::new(), vocabulary: Vocabulary::SILENT }
    }
}

impl Normaliser {
    /// Replaces nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Each first name is replaced by its second. Empty ones are left out.
    #[must_use]
    pub fn new<A: Into<String>, B: Into<String>>(
        replacements: impl IntoIterator<Item = (A, B)>,
    ) -> Self {
        let replacements = replacements.into_iter().map(|(name, by)| (name.into(), by.into()));
        let mut replacements: Vec<(String, String)> =
            replacements.filter(|(name, _): &(String, String)| !name.is_empty()).collect();
        replacements.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self { replacements, ..Self::default() }
    }

    /// With the words of a system.
    #[must_use]
    pub fn speaking(self, vocabulary: &'static Vocabulary) -> Self {
        Self { vocabulary, ..self }
    }

    pub(super) fn vocabulary(&self) -> &'static Vocabulary {
        self.vocabulary
    }

    /// What stands for this name, which is a whole one.
    #[must_use]
    pub fn name(&self, name: &[u8]) -> Option<&str> {
        let (_, by) = self.replacements.iter().find(|(known, _)| known.as_bytes() == name)?;
        Some(by)
    }

    /// The text with every name in it replaced.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let known = self.replacements.iter().find(|(name, _)| rest.starts_with(name.as_str()));
            if let Some((name, by)) = known {
                result.push_str(by);
                rest = &rest[name.len()..];
            } else {
                let next = rest.chars().next().map_or(rest.len(), char::len_utf8);
                result.push_str(&rest[..next]);
                rest = &rest[next..];
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_wins() {
        let names = Normaliser::new([("s1-t1", "T"), ("s1-t12", "U"), ("", "nothing")]);
        assert_eq!(names.text("/vc/s1-t12/x/s1-t1/é"), "/vc/U/x/T/é");
        assert_eq!(names.name(b"s1-t1"), Some("T"));
        assert_eq!(names.name(b"s1-t1x"), None);
    }
}
