//! Organisations (单位). Anybody may name theirs; an administrator verifies it.

use jiff::Timestamp;
use serde::Serialize;

use super::record::{By, Deed};
use super::{People, PeopleError, db};
use crate::ids::OrganisationId;

/// An organisation.
#[derive(Clone, Debug, Serialize)]
pub struct Organisation {
    /// Which.
    pub id: OrganisationId,
    /// Its name.
    pub name: String,
    /// When somebody first named it.
    pub created_at: Timestamp,
    /// When an administrator verified it.
    pub verified_at: Option<Timestamp>,
    /// How many people belong to it.
    pub members: i64,
}

impl People {
    /// One organisation.
    ///
    /// # Errors
    /// [`PeopleError::Unknown`] when there is none.
    pub async fn organisation(&self, id: OrganisationId) -> Result<Organisation, PeopleError> {
        let found = db::organisation(&mut *self.db.read().await?, id).await?;
        found.ok_or(PeopleError::Unknown("organisation"))
    }

    /// The first thousand organisations: those to verify first, then by name.
    ///
    /// # Errors
    /// [`PeopleError::Forbidden`] for others than administrators.
    pub async fn organisations(&self, by: By<'_>) -> Result<Vec<Organisation>, PeopleError> {
        by.administering("see all organisations")?;
        Ok(db::organisations(&mut *self.db.read().await?).await?)
    }

    /// Verifies an organisation, or takes the verification back.
    ///
    /// # Errors
    /// [`PeopleError::Forbidden`] for others than administrators.
    pub async fn set_verified(
        &self,
        by: By<'_>,
        organisation: OrganisationId,
        verified: bool,
    ) -> Result<(), PeopleError> {
        by.administering("verify organisations")?;
        let mut tx = self.db.begin().await?;
        db::organisation(&mut tx, organisation).await?.ok_or(PeopleError::Unknown("organisation"))?;
        let at = verified.then(|| self.clock.now());
        db::set_verified(&mut tx, organisation, (at, &by.name())).await?;
        let action = if verified { "organisation.verified" } else { "organisation.unverified" };
        self.audited(&mut tx, Deed::by(by, action, "organisation", organisation)).await?;
        Ok(tx.commit().await?)
    }
}
