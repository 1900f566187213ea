//! [`Act`]: what is done to a panel, in one transaction in which nobody else changes it, with its row of the
//! minutes.

use jiff::Timestamp;

use super::minutes::{self, Note};
use super::model::Panel;
use super::{JudgingError, Seat, assign, panel};
use crate::contest::model::Competition;
use crate::house::House;
use crate::ids::PanelId;
use crate::store::{StoreError, Tx};

/// Something that is being done to a panel. Dropped before [`Act::commit`], nothing of it was.
pub(super) struct Act {
    pub tx: Tx,
    /// The panel as it is now that nobody else can change it.
    pub panel: Panel,
    /// Who does it.
    pub seat: Seat,
    pub now: Timestamp,
}

impl Act {
    pub async fn begin(
        house: &House,
        competition: &Competition,
        id: PanelId,
        seat: Seat,
    ) -> Result<Self, JudgingError> {
        let mut tx = house.db.begin().await?;
        let panel = panel::held(&mut tx, competition.id, id).await?;
        Ok(Self { tx, panel, seat, now: house.clock.now() })
    }

    /// Writes where the panel stands.
    pub async fn save(&mut self) -> Result<(), StoreError> {
        panel::db::save(&mut self.tx, &self.panel).await
    }

    /// Writes a row of the minutes.
    pub async fn note(&mut self, note: Note) -> Result<(), StoreError> {
        minutes::write(&mut self.tx, &self.panel, (self.now, self.seat.actor), note).await
    }

    /// Makes the assignments of the open round right again.
    pub async fn redraw(&mut self) -> Result<(), StoreError> {
        assign::redraw(&mut self.tx, &self.panel, (self.now, self.seat.actor)).await
    }

    pub async fn commit(self) -> Result<(), JudgingError> {
        Ok(self.tx.commit().await?)
    }
}
