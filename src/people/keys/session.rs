//! Browser sessions. The cookie holds a secret, the table its digest. Every hour the secret changes:
//! a new row takes over, and the old one lives on for a minute, for requests under way in parallel.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::db;
use crate::ids::{SessionId, UserId};
use crate::people::record::Deed;
use crate::people::{Actor, People, PeopleError, Scope, Visitor, digest};
use crate::store::Tx;

/// How long a secret is used before it changes.
const ROTATION: SignedDuration = SignedDuration::from_hours(1);
/// How long the old secret still works after a change.
const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// How exactly the time of last use is kept.
const SEEN: SignedDuration = SignedDuration::from_secs(60);
/// How long ended sessions are kept in the table.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// When sessions end.
#[derive(Clone, Copy, Debug)]
pub struct SessionTerms {
    /// Unused for so long.
    pub idle: Duration,
    /// So long after the login.
    pub absolute: Duration,
}

/// A session that was opened, or whose secret changed.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Which.
    pub session: SessionId,
    /// Whose.
    pub user: UserId,
    /// What the cookie must hold; it is nowhere else.
    pub secret: String,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// Somebody recognised by a cookie.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The session.
    pub session: SessionId,
    /// Who it is.
    pub actor: Actor,
    /// A new secret for the cookie, when it changed just now.
    pub renewed: Option<Opened>,
}

/// One session in its owner's list.
#[derive(Clone, Debug, Serialize)]
pub struct SessionRow {
    /// Which.
    pub id: SessionId,
    /// When the login was.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// What the browser calls itself.
    pub agent: String,
    /// The address it was last used from.
    pub address: String,
}

impl Default for SessionTerms {
    /// As in the default settings: a day unused, two weeks at most.
    fn default() -> Self {
        Self { idle: Duration::from_secs(24 * 3600), absolute: Duration::from_secs(14 * 24 * 3600) }
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn earlier(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}

impl People {
    /// Opens a session for a user who has just been recognised.
    pub(in crate::people) async fn open_session(
        &self,
        tx: &mut Tx,
        user: UserId,
        from: &Visitor,
    ) -> Result<Opened, PeopleError> {
        let now = self.clock.now();
        let expires_at = later(now, signed(self.terms.absolute));
        db::forget_sessions(tx, earlier(now, KEPT)).await?;
        self.insert_session(tx, (user, now, expires_at), from).await
    }

    async fn insert_session(
        &self,
        tx: &mut Tx,
        (user, created_at, expires_at): (UserId, Timestamp, Timestamp),
        from: &Visitor,
    ) -> Result<Opened, PeopleError> {
        let (session, secret) = (self.entropy.id(&self.clock), self.entropy.secret());
        let now = self.clock.now();
        let row = db::StoredSession {
            id: session,
            digest: digest(&secret),
            user,
            created_at,
            seen_at: now,
            rotated_at: now,
            expires_at,
            revoked_at: None,
            agent: from.agent.chars().take(200).collect(),
            address: from.address.clone(),
        };
        db::insert_session(tx, &row).await?;
        Ok(Opened { session, user, secret, expires_at })
    }

    /// Who the holder of a cookie's secret is, when the session still stands. Changes the secret
    /// when it is an hour old.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn signed_in(&self, secret: &str, from: &Visitor) -> Result<Option<Signed>, PeopleError> {
        let now = self.clock.now();
        let mut connection = self.db.read().await?;
        let Some(stored) = db::session_by_digest(&mut connection, &digest(secret)).await? else {
            return Ok(None);
        };
        let idle_since = earlier(now, signed(self.terms.idle));
        let in_grace = stored.revoked_at.is_some();
        if stored.revoked_at.is_some_and(|at| at <= now)
            || stored.expires_at <= now
            || stored.seen_at <= idle_since
        {
            return Ok(None);
        }
        let Some(actor) = self.actor(&mut connection, stored.user, (Scope::Admin, None)).await? else {
            return Ok(None);
        };
        drop(connection);

        let mut renewed = None;
        if !in_grace && stored.rotated_at <= earlier(now, ROTATION) {
            renewed = self.rotate(&stored, from).await?;
        } else if !in_grace && stored.seen_at <= earlier(now, SEEN) {
            let mut tx = self.db.begin().await?;
            db::touch_session(&mut tx, stored.id, (now, &from.address)).await?;
            tx.commit().await?;
        }
        let session = renewed.as_ref().map_or(stored.id, |opened: &Opened| opened.session);
        Ok(Some(Signed { session, actor, renewed }))
    }

    /// Replaces the secret; `None` when a request in parallel has done so already.
    async fn rotate(&self, old: &db::StoredSession, from: &Visitor) -> Result<Option<Opened>, PeopleError> {
        let mut tx = self.db.begin().await?;
        if !db::retire_session(&mut tx, old.id, later(self.clock.now(), GRACE)).await? {
            return Ok(None);
        }
        let from = Visitor { agent: old.agent.clone(), address: from.address.clone() };
        let opened = self.insert_session(&mut tx, (old.user, old.created_at, old.expires_at), &from).await?;
        tx.commit().await?;
        Ok(Some(opened))
    }

    /// The sessions of a person that still stand, the last used first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sessions(&self, actor: &Actor) -> Result<Vec<SessionRow>, PeopleError> {
        let now = self.clock.now();
        let idle_since = earlier(now, signed(self.terms.idle));
        Ok(db::open_sessions(&mut *self.db.read().await?, actor.user, (now, idle_since)).await?)
    }

    /// Ends one session of the person's own.
    ///
    /// # Errors
    /// When the database fails. Ending a session that has ended is no error.
    pub async fn end_session(&self, actor: &Actor, session: SessionId) -> Result<(), PeopleError> {
        self.end_sessions(actor, (Some(session), None)).await
    }

    /// Ends all sessions of the person's own but the one kept.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_other_sessions(&self, actor: &Actor, keep: SessionId) -> Result<(), PeopleError> {
        self.end_sessions(actor, (None, Some(keep))).await
    }

    async fn end_sessions(
        &self,
        actor: &Actor,
        which: (Option<SessionId>, Option<SessionId>),
    ) -> Result<(), PeopleError> {
        let mut tx = self.db.begin().await?;
        let ended = db::revoke_sessions(&mut tx, actor.user, which, self.clock.now()).await?;
        let detail = json!({ "session": which.0, "kept": which.1, "ended": ended });
        self.audited(&mut tx, Deed::by(actor, "session.revoked", "user", actor.user).detail(detail)).await?;
        Ok(tx.commit().await?)
    }
}
