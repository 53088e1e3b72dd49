//! Each incarnation has a MySQL user of its own: what a dead one left there can be told from the living.

use super::{ContainerTablet, MysqlUser};
use crate::TabletError;
use servers::ClusterError;

impl ContainerTablet {
    /// The user of an incarnation. A supervisor restarts a tablet also while its MySQL is away, so
    /// each start makes the user of the next one too; when even that one is used up, the last
    /// user serves again: without MySQL nobody has connected under it in between.
    pub(super) async fn user_of(&self, incarnation: u32) -> Result<MysqlUser, TabletError> {
        let (prepared, last) = {
            let mut life = self.life();
            (life.prepared.take(), life.last.clone())
        };
        if let Some(prepared) = prepared {
            return Ok(prepared);
        }
        match (self.create_user(incarnation).await, last) {
            (Ok(user), _) | (Err(_), Some(user)) => Ok(user),
            (Err(source), None) => {
                let tablet = self.spec.alias.clone();
                let source = Box::new(source);
                Err(TabletError::Cluster { tablet, phase: "creating its MySQL user", source })
            }
        }
    }

    async fn create_user(&self, incarnation: u32) -> Result<MysqlUser, ClusterError> {
        let name = format!("{}_i{incarnation}", self.spec.user_prefix);
        let password = hex::encode(rand::random::<[u8; 12]>());
        self.mysql().create_user(&name, &password).await?;
        Ok(MysqlUser { name, password })
    }

    pub(super) async fn prepare_user(&self, incarnation: u32) {
        match self.create_user(incarnation).await {
            Ok(user) => self.life().prepared = Some(user),
            Err(error) => tracing::debug!(%error, "the next MySQL user must wait"),
        }
    }
}
