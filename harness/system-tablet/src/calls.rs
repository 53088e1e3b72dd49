//! The client's calls on a tablet in a container, at its present address.

use serde_json::Value;
use tablet_wire::query::QueryResult;
use tablet_wire::tabletmanagerdata::VDiffResponse;

use super::{ContainerTablet, RowStream, ShowRow, TabletError};

impl ContainerTablet {
    /// See [`super::Client::vdiff_create`].
    pub async fn vdiff_create(
        &self,
        workflow: &str,
        uuid: &str,
    ) -> Result<VDiffResponse, TabletError> {
        self.client().vdiff_create(workflow, uuid).await
    }

    /// See [`super::Client::vdiff_stop`].
    pub async fn vdiff_stop(
        &self,
        workflow: &str,
        uuid: &str,
    ) -> Result<VDiffResponse, TabletError> {
        self.client().vdiff_stop(workflow, uuid).await
    }

    /// See [`super::Client::vdiff_resume`].
    pub async fn vdiff_resume(
        &self,
        workflow: &str,
        uuid: &str,
    ) -> Result<VDiffResponse, TabletError> {
        self.client().vdiff_resume(workflow, uuid).await
    }

    /// See [`super::Client::vdiff_delete`].
    pub async fn vdiff_delete(
        &self,
        workflow: &str,
        uuid: &str,
    ) -> Result<VDiffResponse, TabletError> {
        self.client().vdiff_delete(workflow, uuid).await
    }

    /// See [`super::Client::vdiff_show`].
    pub async fn vdiff_show(
        &self,
        workflow: &str,
        which: &str,
    ) -> Result<Vec<ShowRow>, TabletError> {
        self.client().vdiff_show(workflow, which).await
    }

    /// See [`super::Client::vreplication_exec`].
    pub async fn vreplication_exec(&self, query: &str) -> Result<QueryResult, TabletError> {
        self.client().vreplication_exec(query).await
    }

    /// See [`super::Client::vstream_rows`].
    pub async fn vstream_rows(&self, query: &str) -> Result<RowStream, TabletError> {
        self.client().vstream_rows(query).await
    }

    /// See [`super::Client::debug_vars`].
    pub async fn debug_vars(&self) -> Result<Value, TabletError> {
        self.client().debug_vars().await
    }

    /// See [`super::Client::set_rows_per_second`].
    pub async fn set_rows_per_second(&self, rows: u64) -> Result<(), TabletError> {
        self.client().set_rows_per_second(rows).await
    }
}
