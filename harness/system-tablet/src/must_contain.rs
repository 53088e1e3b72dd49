//! What the tablet's conversation must contain, whatever else it does: the checked-in list.

use system::Demand;

const LIST: &str = include_str!("must-contain.json");

/// The list.
#[must_use]
pub fn must_contain() -> Vec<Demand> {
    serde_json::from_str(LIST).expect("a test reads the checked-in list")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Class;
    use wire::recording::Recorded;

    #[test]
    fn the_list_is_readable_and_its_names_differ() {
        let demands = must_contain();
        let mut names: Vec<&str> = demands.iter().map(|demand| demand.what.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), demands.len());
        assert!(demands.iter().all(|demand| !demand.words.is_empty()));
    }

    // A list that nothing can miss would hide a crash point that went away.
    #[test]
    fn one_exchange_meets_its_demand_and_a_reading_one_none() {
        for demand in must_contain() {
            let said = |class| Recorded {
                link: demand.link,
                life: 1,
                fingerprint: demand.words.join(" "),
                class,
                phase: None,
                nth: 1,
                text: String::new(),
            };
            assert!(demand.is_met_by(&said(Class::Writes)), "{}", demand.what);
            assert!(!demand.is_met_by(&said(Class::Reads)), "{}", demand.what);
        }
    }
}
