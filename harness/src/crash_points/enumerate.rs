//! From recorded conversations to the list of crash points, purely.
//!
//! A kind is (link, fingerprint, phase). Its exchanges are told apart by their place: the first, the
//! second, one in the middle, the last; where there are few, each one. A kind that is not in every
//! recording, or that a clock drives, is timed: it is listed apart, since no schedule can promise it.

use std::collections::BTreeMap;

use records::coverage::{Occurrence, PointKey};
use records::schedule::{CrashPoint, Link, Moment, Phase};
use serde::{Deserialize, Serialize};

use wire::Class;
use wire::recording::Recorded;

/// Of a kind with at most so many exchanges each one is a point ([`Occurrence::classes`]).
const FEW: u32 = 4;
/// How the proxy calls the end of a stream.
const STREAM_END: &str = " end";
/// What a clock drives, by a part of its fingerprint.
const CLOCK_DRIVEN: [&str; 1] = ["LeaseKeepAlive"];

/// One kind of exchange, over all recordings of one script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// With whom.
    pub link: Link,
    /// Without literals.
    pub fingerprint: String,
    /// The diff's phase.
    pub phase: Option<Phase>,
    /// What it does.
    pub class: Class,
    /// How often it came, at least, in a recording; 0: it was missing in one.
    pub count_min: u32,
    /// How often it came, at most.
    pub count_max: u32,
    /// One as it was sent.
    pub example: String,
}

/// A crash point of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The point.
    pub point: CrashPoint,
    /// Its place among its kind.
    pub occurrence: Occurrence,
    /// Driven by time: no schedule can promise that it comes.
    pub timed: bool,
}

impl Listed {
    /// What makes it the same point in another run.
    #[must_use]
    pub fn key(&self) -> PointKey {
        let CrashPoint { link, fingerprint, phase, nth: _, moment } = self.point.clone();
        PointKey { phase, link, fingerprint, occurrence: self.occurrence, moment }
    }
}

impl Kind {
    /// Whether the kind is driven by time.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.count_min == 0 || CLOCK_DRIVEN.iter().any(|word| self.fingerprint.contains(word))
    }

    /// The exchanges that stand for the kind: place and number, from 1.
    #[must_use]
    pub fn occurrences(&self) -> Vec<(Occurrence, u32)> {
        Occurrence::classes(self.count_min.max(1))
    }

    /// The kind's points.
    #[must_use]
    pub fn points(&self) -> Vec<Listed> {
        let moments = Moment::ALL.into_iter().filter(|moment| self.has(*moment));
        let at = |(occurrence, nth)| {
            moments.clone().map(move |moment| self.listed(occurrence, nth, moment))
        };
        self.occurrences().into_iter().flat_map(at).collect()
    }

    /// The end of a stream is said by the other side: there is no request to hold.
    fn has(&self, moment: Moment) -> bool {
        let is_end = self.link != Link::Mysql && self.fingerprint.ends_with(STREAM_END);
        !(is_end && moment == Moment::Before)
    }

    /// The point after the last one, of a kind with few: it is tried until it does not come any more.
    #[must_use]
    pub fn beyond(&self, tried: u32) -> Option<Listed> {
        let few = !self.is_timed() && self.count_max <= FEW && self.has(Moment::Before);
        few.then(|| self.listed(Occurrence::Nth(tried + 1), tried + 1, Moment::Before))
    }

    fn listed(&self, occurrence: Occurrence, nth: u32, moment: Moment) -> Listed {
        let point = CrashPoint {
            link: self.link,
            fingerprint: self.fingerprint.clone(),
            phase: self.phase,
            nth,
            moment,
        };
        Listed { point, occurrence, timed: self.is_timed() }
    }
}

/// The kinds that matter (they write, lock, or begin or end a snapshot) in one life of the tablet, over
/// several recordings of the same script, in the order in which they first came.
#[must_use]
pub fn kinds(recordings: &[Vec<Recorded>], life: u32) -> Vec<Kind> {
    let mut found: Vec<Kind> = Vec::new();
    let mut places: BTreeMap<(Link, &str, Option<Phase>), usize> = BTreeMap::new();
    for recording in recordings {
        for said in recording.iter().filter(|said| said.life == life && said.class.matters()) {
            let place = *places
                .entry((said.link, said.fingerprint.as_str(), said.phase))
                .or_insert_with(|| {
                    found.push(Kind {
                        link: said.link,
                        fingerprint: said.fingerprint.clone(),
                        phase: said.phase,
                        class: said.class,
                        count_min: 0,
                        count_max: 0,
                        example: said.text.clone(),
                    });
                    found.len() - 1
                });
            found[place].count_max = found[place].count_max.max(said.nth);
        }
    }
    for kind in &mut found {
        let count = |recording: &Vec<Recorded>| {
            let same = |said: &&Recorded| {
                said.life == life
                    && (said.link, said.phase) == (kind.link, kind.phase)
                    && said.fingerprint == kind.fingerprint
            };
            recording.iter().filter(same).map(|said| said.nth).max().unwrap_or(0)
        };
        kind.count_min = recordings.iter().map(count).min().unwrap_or(0);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(fingerprint: &str, nth: u32) -> Recorded {
        Recorded {
            link: Link::Mysql,
            life: 1,
            fingerprint: fingerprint.to_owned(),
            class: Class::Writes,
            phase: Some(Phase::Streaming),
            nth,
            text: String::new(),
        }
    }

    fn several(fingerprint: &str, count: u32) -> Vec<Recorded> {
        (1..=count).map(|nth| said(fingerprint, nth)).collect()
    }

    fn places(count: u32) -> Vec<(Occurrence, u32)> {
        kinds(&[several("a", count)], 1)[0].occurrences()
    }

    // A point that no recording promises would count as never reached in every run; a place left out
    // would be a window that nobody tries.
    #[test]
    fn few_are_all_points_and_many_are_four() {
        let numbers = |count| places(count).into_iter().map(|(_, nth)| nth).collect::<Vec<_>>();
        assert_eq!(numbers(1), [1]);
        assert_eq!(numbers(FEW), [1, 2, 3, 4]);
        assert_eq!(numbers(31), [1, 2, 16, 31]);
    }

    #[test]
    fn the_list_is_the_union_and_what_one_recording_lacks_is_timed() {
        let first = [several("a", 9), several("b", 1)].concat();
        let second = several("a", 7);
        let found = kinds(&[first, second], 1);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].count_min, found[0].count_max), (7, 9));
        assert!(!found[0].is_timed() && found[1].is_timed());
        // The last one that every recording has.
        assert_eq!(found[0].occurrences().last(), Some(&(Occurrence::Last, 7)));
        assert_eq!(found[0].points().len(), 12);
    }

    #[test]
    fn what_only_reads_and_other_lives_are_no_points() {
        let mut reads = said("select", 1);
        reads.class = Class::Reads;
        let mut later = said("later", 1);
        later.life = 2;
        assert!(kinds(&[vec![reads, later.clone()]], 1).is_empty());
        assert_eq!(kinds(&[vec![later]], 2).len(), 1);
    }

    // A moment that cannot come would never be reached, whatever the tablet does.
    #[test]
    fn the_end_of_a_stream_has_no_request() {
        let mut end = said("Query/VStreamRows commerce/0 select * from a end", 1);
        end.link = Link::SourceTablet;
        let kind = &kinds(&[vec![end]], 1)[0];
        let moments: Vec<Moment> = kind.points().iter().map(|one| one.point.moment).collect();
        assert_eq!(moments, [Moment::Executed, Moment::Replied]);
        assert_eq!(kind.beyond(1), None);
    }

    #[test]
    fn few_go_on_until_one_does_not_come() {
        let few = &kinds(&[several("a", 2)], 1)[0];
        assert_eq!(few.beyond(2).map(|listed| listed.point.nth), Some(3));
        assert_eq!(kinds(&[several("a", 9)], 1)[0].beyond(9), None);
    }
}
