//! The tags of scenarios: what they ask for, and what they excuse.

use cucumber::gherkin::Scenario;
use records::schedule::Hurts;
use records::verdict::Invariant;

/// The tag of a scenario that has servers of its own.
pub(crate) const OWN_SERVERS: &str = "own-servers";
/// The tag of a scenario whose servers have a small disk, and are its own.
pub(crate) const SMALL_DISK: &str = "small-disk";
/// Before the invariant that a scenario may break.
const ALLOWS: &str = "allows:";
/// A scenario that names what one system alone has: its statements, say.
const ONLY: &str = "only:";

pub(crate) fn tags_are_known(scenario: &Scenario) -> Result<(), String> {
    for tag in &scenario.tags {
        if tag == "retry" || tag.starts_with("retry(") || tag.starts_with("retry.") {
            return Err(format!(
                "the tag @{tag} is refused: another try turns a failure green, and the first one is \
                 the finding"
            ));
        }
        if let Some(system) = tag.strip_prefix(ONLY)
            && !["tablet", "vitess"].contains(&system)
        {
            return Err(format!("the tag @{tag} names no system; there are tablet, vitess"));
        }
        if let Some(code) = tag.strip_prefix(ALLOWS)
            && Invariant::from_code(code).is_none()
        {
            let known = Invariant::ALL.map(Invariant::code).join(", ");
            return Err(format!("the tag @{tag} names no invariant; there are {known}"));
        }
    }
    Ok(())
}

/// The invariants that a scenario's tags excuse.
pub(crate) fn allowed(scenario: &Scenario) -> Vec<Invariant> {
    let codes = scenario.tags.iter().filter_map(|tag| tag.strip_prefix(ALLOWS));
    codes.filter_map(Invariant::from_code).collect()
}

/// Whether a scenario has a tag.
/// The system that the scenario is for; none: any.
pub(crate) fn only(scenario: &Scenario) -> Option<&str> {
    scenario.tags.iter().find_map(|tag| tag.strip_prefix(ONLY))
}

pub(crate) fn is_tagged(scenario: &Scenario, name: &str) -> bool {
    scenario.tags.iter().any(|tag| tag == name)
}

/// Which tag a fault asks for, if the scenario has not got it.
pub(crate) fn servers_are_for(
    fault: records::schedule::Fault,
    scenario: &Scenario,
) -> Result<(), String> {
    servers_suffice(fault, is_tagged(scenario, OWN_SERVERS), is_tagged(scenario, SMALL_DISK))
}

/// Whether a fault hurts nobody but the scenario that has such servers.
///
/// # Errors
/// With the tag to write.
pub(crate) fn servers_suffice(
    fault: records::schedule::Fault,
    own: bool,
    small_disk: bool,
) -> Result<(), String> {
    let (what, tag) = match fault.facts().hurts {
        Hurts::Servers if !own && !small_disk => ("servers that other scenarios use", OWN_SERVERS),
        Hurts::Disk if !small_disk => ("the disk of a server", SMALL_DISK),
        Hurts::NobodyElse | Hurts::Servers | Hurts::Disk => return Ok(()),
    };
    Err(format!(
        "the fault {fault} hurts {what}: write the tag @{tag} above the scenario, its Rule or its Feature"
    ))
}
