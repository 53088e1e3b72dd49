//! Ready, as Vitess tells it: its status says that it serves as a primary, and its shard's record names
//! it.

use serde::Deserialize;
use system::Tablet;

use super::names::uid;
use super::tablet::VitessTablet;

/// How the status of a tablet begins that serves as a primary.
const SERVES: &str = "PRIMARY: Serving";

/// A line of `/debug/status_details`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Detail {
    key: String,
    value: String,
}

impl VitessTablet {
    /// Why it is not ready; empty: it is.
    pub(super) async fn not_ready_for(&self) -> Vec<String> {
        let (status, named) = tokio::join!(self.status(), self.is_named());
        [status, named].into_iter().filter_map(Result::err).collect()
    }

    async fn status(&self) -> Result<(), String> {
        let page = self.page("/debug/status_details").await.map_err(|error| error.to_string())?;
        serves(&page)
    }

    /// Whether the shard's record names it.
    async fn is_named(&self) -> Result<(), String> {
        let record = self.shard_record().await;
        let record = record
            .map_err(|error| format!("the shard record: {}", engine::errors::innermost(&error)))?;
        let primary = record.and_then(|record| record.primary_alias);
        match primary.is_some_and(|alias| alias.uid == uid(self.side())) {
            true => Ok(()),
            false => Err(format!("the shard record does not name {}", self.alias())),
        }
    }
}

/// Whether the page of a tablet's status says that it serves; the error says what it says.
fn serves(page: &str) -> Result<(), String> {
    let details: Vec<Detail> =
        serde_json::from_str(page).map_err(|error| format!("its status: {error}"))?;
    let state = details.iter().find(|detail| detail.key == "Current State");
    let state = state.map_or("nothing", |detail| detail.value.as_str());
    match state.starts_with(SERVES) {
        true => Ok(()),
        false => Err(format!("its status says {state}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read() {
        let page = |state: &str| {
            format!(r#"[{{"Key":"Current State","Class":"healthy","Value":"{state}"}}]"#)
        };
        assert_eq!(serves(&page("PRIMARY: Serving, Nov 28, 2026")), Ok(()));
        assert!(serves(&page("REPLICA: Serving")).unwrap_err().contains("REPLICA"));
        assert!(serves(&page("PRIMARY: Not Serving")).is_err());
        assert!(serves("<html>").is_err());
    }
}
