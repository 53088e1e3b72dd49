//! Which tablet, and which start of it.

use std::fmt;
use std::str::FromStr;

/// One start of a tablet, ordered: a greater epoch is a later start. It is etcd's revision at which
/// the incarnation first registered, so it is greater than every epoch before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A tablet's name for life, printed as `zone1-0000000200`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TabletAlias {
    /// The cell it lives in.
    pub cell: String,
    /// Its number in the cell.
    pub uid: u32,
}

/// A text that is no tablet alias.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a tablet alias: expected <cell>-<number>, for instance zone1-0000000200")]
pub struct TabletAliasError(String);

impl fmt::Display for TabletAlias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:010}", self.cell, self.uid)
    }
}

impl FromStr for TabletAlias {
    type Err = TabletAliasError;

    fn from_str(text: &str) -> Result<TabletAlias, TabletAliasError> {
        let refused = || TabletAliasError(text.to_owned());
        let (cell, uid) = text.rsplit_once('-').ok_or_else(refused)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let digits = !uid.is_empty() && uid.bytes().all(|byte| byte.is_ascii_digit());
        if cell.is_empty() || !cell.chars().all(plain) || !digits {
            return Err(refused());
        }
        let uid = uid.parse().map_err(|_| refused())?;
        Ok(TabletAlias { cell: cell.to_owned(), uid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_reads_back_as_it_prints() {
        let alias: TabletAlias = "zone1-200".parse().unwrap();
        assert_eq!(alias.to_string(), "zone1-0000000200");
        assert_eq!(alias.to_string().parse(), Ok(alias));
        assert_eq!("a-b-7".parse(), Ok(TabletAlias { cell: "a-b".to_owned(), uid: 7 }));
    }

    #[test]
    fn what_is_no_alias_is_refused() {
        for text in ["", "zone1", "-1", "zone1-", "zone1-x", "zo/ne-1", "z-+1", "z-99999999999"] {
            assert!(text.parse::<TabletAlias>().is_err(), "{text}");
        }
    }
}
