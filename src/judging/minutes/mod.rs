//! The minutes (纪要) of a panel: every change in order, each row bound to the one before by its digest, and
//! the same in the audit log. They name people and entries by number, never a mark.

pub mod db;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Seat;
use super::model::Panel;
use crate::audit::{self, Actor, Entry, canonical};
use crate::crypto::sm3;
use crate::ids::PanelId;
use crate::store::{Connection, StoreError, Tx};

/// One row of a panel's minutes.
#[derive(Clone, Debug, PartialEq)]
pub struct Minute {
    /// Its number, from 1.
    pub number: i64,
    /// When it was written.
    pub at: Timestamp,
    /// Who did it, as the audit log has them.
    pub actor: String,
    /// What happened: a word of the translations, `minute-KIND`.
    pub kind: String,
    /// More of it.
    pub detail: Map<String, Value>,
    /// SM3 over the digest before and this row, in hexadecimal.
    pub digest: String,
}

/// What happened, on its way into the minutes.
pub(super) struct Note {
    kind: &'static str,
    detail: Map<String, Value>,
}

impl Note {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind, detail: Map::new() }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }
}

fn digest(before: &str, minute: &Minute) -> String {
    let row = json!({
        "before": before, "number": minute.number, "at": minute.at.as_millisecond(),
        "actor": minute.actor, "kind": minute.kind, "detail": minute.detail,
    });
    sm3(&canonical(&row)).to_string()
}

/// Writes a row, and the audit log's, in the caller's transaction, which has locked the panel.
pub(super) async fn write(
    tx: &mut Tx,
    panel: &Panel,
    (at, actor): (Timestamp, Actor),
    note: Note,
) -> Result<(), StoreError> {
    let head = db::head(tx, panel.id).await?;
    let (before, number) = head.map_or((String::new(), 1), |(number, digest)| (digest, number + 1));
    let mut minute = Minute {
        number,
        at,
        actor: actor.to_string(),
        kind: note.kind.to_owned(),
        detail: note.detail,
        digest: String::new(),
    };
    minute.digest = digest(&before, &minute);
    db::insert(tx, panel.id, &minute).await?;
    let entry = Entry::new(at, actor, "judging.noted", ("panel", panel.id)).competition(panel.competition);
    let entry =
        entry.detail("kind", note.kind).detail("minute", number).detail("digest", minute.digest.as_str());
    let told = minute.detail.iter().fold(entry, |entry, (name, value)| entry.detail(name, value.clone()));
    audit::record(tx, told).await
}

/// Who stands in a row in place of somebody whom its reader may not know.
pub const TEAM: &str = "team";

/// All rows, in order, for somebody who runs the panel. Who may not know who made what is not told either
/// which person of a team withdrew or submitted an entry.
///
/// # Errors
/// When the database fails.
pub async fn shown(
    conn: &mut Connection,
    panel: &Panel,
    seat: Seat,
    blind: bool,
) -> Result<Vec<Minute>, StoreError> {
    let mut rows = db::all(conn, panel.id).await?;
    if !seat.sees_names(panel, blind) {
        let on_teams = super::panel::db::on_teams(conn, panel.competition).await?;
        let of_team = |actor: &str| {
            let user = actor.parse::<Actor>().ok().and_then(|actor| actor.user());
            user.is_some_and(|user| on_teams.contains(&user))
        };
        for row in rows.iter_mut().filter(|row| of_team(&row.actor)) {
            row.actor = TEAM.to_owned();
        }
    }
    Ok(rows)
}

/// The first row that does not follow from the one before, if any: the minutes were changed there.
///
/// # Errors
/// When the database fails.
pub async fn broken(conn: &mut Connection, panel: PanelId) -> Result<Option<i64>, StoreError> {
    let mut before = String::new();
    for (minute, expected) in db::all(conn, panel).await?.into_iter().zip(1..) {
        if minute.number != expected || minute.digest != digest(&before, &minute) {
            return Ok(Some(expected));
        }
        before = minute.digest;
    }
    Ok(None)
}
