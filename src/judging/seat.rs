//! [`Seat`]: what somebody may do on a panel.

use super::model::{JudgeState, Panel, PanelState};
use super::{JudgingError, panel};
use crate::audit::Actor;
use crate::ids::UserId;
use crate::store::{Connection, StoreError};

/// Somebody beside a panel.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// As whom they act.
    pub actor: Actor,
    /// Who they are.
    pub user: UserId,
    /// Whether they run the competition.
    pub organizer: bool,
    /// Whether they judge on the panel now.
    pub judge: bool,
    /// Whether they are in its chair.
    pub chair: bool,
}

impl Seat {
    /// Looks up what somebody is on a panel; `organizer` is what their roles say.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of(
        conn: &mut Connection,
        panel: &Panel,
        (actor, user): (Actor, UserId),
        organizer: bool,
    ) -> Result<Self, StoreError> {
        let found = panel::db::judge(conn, panel.id, user).await?;
        let judge = found.as_ref().is_some_and(|judge| judge.state == JudgeState::Accepted);
        let chair = judge && found.is_some_and(|judge| judge.chair);
        Ok(Self { actor, user, organizer, judge, chair })
    }

    /// Who prepares a panel and looks after it: organizers and its chair.
    pub(super) fn runs(&self) -> Result<(), JudgingError> {
        if self.organizer || self.chair {
            Ok(())
        } else {
            Err(JudgingError::NotYours("an organizer or the chair"))
        }
    }

    /// Who appoints and publishes.
    pub(super) fn organizes(&self) -> Result<(), JudgingError> {
        if self.organizer { Ok(()) } else { Err(JudgingError::NotYours("an organizer")) }
    }

    /// Who decides about rounds and signs.
    pub(super) fn chairs(&self) -> Result<(), JudgingError> {
        if self.chair { Ok(()) } else { Err(JudgingError::NotYours("the chair")) }
    }

    /// Whether everybody's marks may be shown to them: those who run the panel, once no round is open.
    pub fn sees_marks(&self, panel: &Panel) -> bool {
        (self.organizer || self.chair) && matches!(panel.state, PanelState::Closed | PanelState::Signed)
    }

    /// Whether they may be told who made an entry: organizers always, the chair once it is signed.
    pub fn sees_names(&self, panel: &Panel, blind: bool) -> bool {
        self.organizer || (self.chair && (!blind || panel.state == PanelState::Signed))
    }
}
