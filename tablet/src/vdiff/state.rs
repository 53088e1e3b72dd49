//! States of a diff and of its tables, and which step from one to another is legal.

/// The state of a diff, as it stands in `vdiff.state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiffState {
    Pending,
    Started,
    Stopped,
    Completed,
    Error,
}

impl DiffState {
    pub(super) const ALL: [DiffState; 5] = [
        DiffState::Pending,
        DiffState::Started,
        DiffState::Stopped,
        DiffState::Completed,
        DiffState::Error,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            DiffState::Pending => "pending",
            DiffState::Started => "started",
            DiffState::Stopped => "stopped",
            DiffState::Completed => "completed",
            DiffState::Error => "error",
        }
    }

    /// The state of that name; rows are written by others too.
    pub(super) fn parse(text: &str) -> Option<DiffState> {
        DiffState::ALL.into_iter().find(|state| state.name() == text)
    }

    /// Whether a step from here to there is legal.
    #[cfg(test)]
    fn may_become(self, next: DiffState) -> bool {
        next.reached_from().contains(&self)
    }

    /// The states from which this one is reached: the `where` of the statement that writes it.
    pub(super) fn reached_from(self) -> &'static [DiffState] {
        match self {
            // By resume, or by the retry of an ephemeral error.
            DiffState::Pending => &[DiffState::Stopped, DiffState::Completed, DiffState::Error],
            // Again at every run.
            DiffState::Started => &[DiffState::Pending, DiffState::Started],
            DiffState::Stopped => &[DiffState::Pending, DiffState::Started, DiffState::Error],
            DiffState::Completed => &[DiffState::Started],
            DiffState::Error => &[DiffState::Pending, DiffState::Started],
        }
    }

    /// The `where` condition of the statement that writes this state.
    pub(super) fn reached_from_condition(self) -> String {
        let names: Vec<String> =
            self.reached_from().iter().map(|state| format!("'{}'", state.name())).collect();
        format!("state in ({})", names.join(", "))
    }
}

/// What is done with a table, as it stands in `vdiff_table.phase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TablePhase {
    Snapshot,
    Streaming,
    Reconcile,
    Done,
}

impl TablePhase {
    pub(super) fn name(self) -> &'static str {
        match self {
            TablePhase::Snapshot => "snapshot",
            TablePhase::Streaming => "streaming",
            TablePhase::Reconcile => "reconcile",
            TablePhase::Done => "done",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_read_back_as_they_are_written() {
        for state in DiffState::ALL {
            assert_eq!(DiffState::parse(state.name()), Some(state));
        }
        assert_eq!(DiffState::parse(""), None);
    }

    /// A completed diff that could become stopped or failed would take back its result.
    #[test]
    fn only_a_resume_leaves_completed() {
        for next in DiffState::ALL {
            let legal = DiffState::Completed.may_become(next);
            assert_eq!(legal, next == DiffState::Pending, "{next:?}");
        }
    }

    #[test]
    fn stopped_stays_stopped_until_it_is_resumed() {
        for next in DiffState::ALL {
            assert_eq!(DiffState::Stopped.may_become(next), next == DiffState::Pending, "{next:?}");
        }
    }

    #[test]
    fn every_state_but_completed_can_be_stopped_or_is_stopped() {
        for state in DiffState::ALL {
            let at_rest = matches!(state, DiffState::Completed | DiffState::Stopped);
            assert_eq!(state.may_become(DiffState::Stopped), !at_rest, "{state:?}");
        }
    }
}
