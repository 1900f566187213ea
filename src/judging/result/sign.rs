//! The chair's signature: the ranking with all that it came from, as one document, frozen by its digest.
//!
//! The service has no key to sign with, so the digest stands in the audit log, whose Merkle tree is what
//! others can hold us to; that the chair meant it is shown by their password, given for this very act.

use jiff::Timestamp;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{Around, Outcome, Points, db, now};
use crate::airlock::shown;
use crate::audit::{self, Entry, canonical};
use crate::contest::model::Competition;
use crate::crypto::sm3;
use crate::house::House;
use crate::ids::{PanelId, UserId};
use crate::judging::act::Act;
use crate::judging::minutes::{self, Note};
use crate::judging::model::PanelState;
use crate::judging::{JudgingError, Seat, panel};
use crate::people::Confirmed;
use crate::store::{Connection, StoreError};

/// A signed ranking.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The panel.
    pub panel: PanelId,
    /// Which of the panel's it is.
    pub edition: i64,
    /// The whole document.
    pub document: Value,
    /// SM3 of the document in canonical form (RFC 8785, numbers with a fraction as text), in hexadecimal.
    pub digest: String,
    /// When it was signed.
    pub signed_at: Timestamp,
    /// By whom.
    pub signed_by: UserId,
    /// Since when teams see their part of it.
    pub published_at: Option<Timestamp>,
}

impl Signature {
    /// The ranking as it was signed. What it has from the board is read back by the airlock.
    ///
    /// # Errors
    /// When the document is not one of ours.
    pub async fn outcome(&self, conn: &mut Connection) -> Result<Outcome, StoreError> {
        let read = Outcome::deserialize(&self.document["outcome"]);
        let mut outcome = read.map_err(|error| StoreError::Unreadable {
            column: "document".to_owned(),
            value: self.digest.clone(),
            problem: error.to_string(),
        })?;
        let mut parts = shown::signed_parts(conn, self.panel, self.edition).await?;
        let counts = outcome.judging.automatic.is_some();
        for row in &mut outcome.entries {
            let part = parts.remove(&row.id).unwrap_or_default();
            row.board = part.board;
            row.automatic = counts.then_some(Points(part.points));
        }
        Ok(outcome)
    }

    /// Whether the document is still the one that was signed.
    pub fn holds(&self) -> bool {
        digest(&self.document) == self.digest
    }
}

fn digest(document: &Value) -> String {
    sm3(&canonical(document)).to_string()
}

/// Signs the ranking of a panel whose round is closed: from then on nothing of it changes.
///
/// # Errors
/// [`JudgingError::NotYours`] for others than the chair, [`JudgingError::WrongState`],
/// [`JudgingError::NothingMarked`].
pub async fn sign(
    house: &House,
    competition: &Competition,
    id: PanelId,
    (seat, confirmed): (Seat, &Confirmed),
    around: &Around,
) -> Result<Signature, JudgingError> {
    seat.chairs()?;
    if confirmed.user() != seat.user {
        return Err(JudgingError::NotYours("the chair"));
    }
    let mut act = Act::begin(house, competition, id, seat).await?;
    if act.panel.state != PanelState::Closed {
        return Err(JudgingError::WrongState { state: act.panel.state });
    }
    let outcome = now(&mut act.tx, &act.panel, around).await?;
    if outcome.sheets.is_empty() {
        return Err(JudgingError::NothingMarked);
    }
    let chair = panel::db::judge(&mut act.tx, id, seat.user).await?.ok_or(JudgingError::Unknown("judge"))?;
    let head = minutes::db::head(&mut act.tx, id).await?;
    let document = json!({
        "v": 1,
        "competition": { "id": competition.id, "slug": competition.slug, "title": competition.definition.title },
        "panel": { "id": act.panel.id, "name": act.panel.name },
        "edition": act.panel.edition,
        "outcome": outcome,
        "minutes": head.map(|(number, digest)| json!({ "number": number, "digest": digest })),
        "signed": { "at": act.now.to_string(), "by": seat.user, "name": chair.name },
    });
    let signature = Signature {
        panel: id,
        edition: act.panel.edition,
        digest: digest(&document),
        document,
        signed_at: act.now,
        signed_by: seat.user,
        published_at: None,
    };
    db::insert(&mut act.tx, &signature).await?;
    act.panel.state = PanelState::Signed;
    act.save().await?;
    let note =
        Note::new("signed").with("edition", act.panel.edition).with("digest", signature.digest.as_str());
    act.note(note).await?;
    let entry = Entry::new(act.now, seat.actor, "ranking.signed", ("panel", id)).competition(competition.id);
    let entry = entry.detail("edition", act.panel.edition).detail("digest", signature.digest.as_str());
    audit::record(&mut act.tx, entry.detail("confirmed_by", "password")).await?;
    act.commit().await?;
    Ok(signature)
}

/// Shows the signed ranking to everybody who sees the competition, and its comments and mean marks to the
/// team that they are about; or takes that back.
///
/// # Errors
/// [`JudgingError::WrongState`] unless the panel is signed.
pub async fn publish(
    house: &House,
    competition: &Competition,
    id: PanelId,
    seat: Seat,
    shown: bool,
) -> Result<(), JudgingError> {
    seat.organizes()?;
    let mut act = Act::begin(house, competition, id, seat).await?;
    if act.panel.state != PanelState::Signed {
        return Err(JudgingError::WrongState { state: act.panel.state });
    }
    db::set_published(&mut act.tx, (id, act.panel.edition), shown.then_some(act.now)).await?;
    let note = Note::new(if shown { "published" } else { "unpublished" }).with("edition", act.panel.edition);
    act.note(note).await?;
    act.commit().await
}
