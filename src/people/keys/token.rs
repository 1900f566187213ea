//! API tokens: `shy_` and 64 hexadecimal digits, with a scope and an end.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::db;
use crate::ids::TokenId;
use crate::people::password::Fault;
use crate::people::record::Deed;
use crate::people::{Actor, People, PeopleError, Scope, digest};

/// What every token begins with, so that one that leaked is found by a search.
const PREFIX: &str = "shy_";
/// How exactly the time of last use is kept.
const USED: SignedDuration = SignedDuration::from_secs(60);

/// What a person asks for.
#[derive(Clone, Debug, Deserialize)]
pub struct NewToken {
    /// What it is for, 1 to 60 characters.
    pub name: String,
    /// The word of a [`Scope`].
    pub scope: String,
    /// Days until it ends, 1 to 365.
    pub days: u32,
}

/// One token in its owner's list.
#[derive(Clone, Debug, Serialize)]
pub struct TokenRow {
    /// Which.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// What it may be used for.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was last used, to the minute.
    pub used_at: Option<Timestamp>,
}

impl People {
    /// Makes a token and says its secret, this once.
    ///
    /// # Errors
    /// [`PeopleError::Faults`] naming each field that cannot be taken; [`PeopleError::Forbidden`]
    /// when the asker holds a narrower token.
    pub async fn make_token(&self, actor: &Actor, new: &NewToken) -> Result<(TokenRow, String), PeopleError> {
        let name = new.name.trim();
        let mut faults = Vec::new();
        match name.chars().count() {
            0 => faults.push(Fault::new("name", "required")),
            61.. => faults.push(Fault::new("name", "too-long")),
            _ => {}
        }
        if !(1..=365).contains(&new.days) {
            faults.push(Fault::new("days", "token-days"));
        }
        let scope = match new.scope.parse::<Scope>() {
            Ok(scope) if faults.is_empty() => scope,
            Ok(_) => return Err(PeopleError::Faults(faults)),
            Err(_) => {
                faults.push(Fault::new("scope", "token-scope"));
                return Err(PeopleError::Faults(faults));
            }
        };
        if scope > actor.scope {
            return Err(PeopleError::Forbidden("make a token wider than the one in use"));
        }
        let now = self.clock.now();
        let expires_at =
            now.checked_add(SignedDuration::from_hours(24 * i64::from(new.days))).unwrap_or(Timestamp::MAX);
        let id = self.entropy.id(&self.clock);
        let row = TokenRow { id, name: name.into(), scope, created_at: now, expires_at, used_at: None };
        let secret = format!("{PREFIX}{}", self.entropy.secret());
        let mut tx = self.db.begin().await?;
        db::insert_token(&mut tx, actor.user, &digest(&secret), &row).await?;
        let detail = json!({ "token": id, "name": name, "scope": scope, "days": new.days });
        self.audited(&mut tx, Deed::by(actor, "token.made", "user", actor.user).detail(detail)).await?;
        tx.commit().await?;
        Ok((row, secret))
    }

    /// Who the holder of a token is, when it still stands.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bearer(&self, secret: &str) -> Result<Option<Actor>, PeopleError> {
        if !secret.starts_with(PREFIX) {
            return Ok(None);
        }
        let now = self.clock.now();
        let mut connection = self.db.read().await?;
        let Some((user, token)) = db::token_by_digest(&mut connection, &digest(secret)).await? else {
            return Ok(None);
        };
        if token.expires_at <= now {
            return Ok(None);
        }
        let actor = self.actor(&mut connection, user, (token.scope, Some(token.id))).await?;
        drop(connection);
        let stale = now.checked_sub(USED).unwrap_or(Timestamp::MIN);
        if actor.is_some() && token.used_at.is_none_or(|used| used <= stale) {
            let mut tx = self.db.begin().await?;
            db::touch_token(&mut tx, token.id, now).await?;
            tx.commit().await?;
        }
        Ok(actor)
    }

    /// A person's tokens that were not revoked, the newest first; some may have run out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tokens(&self, actor: &Actor) -> Result<Vec<TokenRow>, PeopleError> {
        Ok(db::tokens(&mut *self.db.read().await?, actor.user).await?)
    }

    /// Revokes a token of the person's own.
    ///
    /// # Errors
    /// [`PeopleError::Unknown`] when there is none to revoke.
    pub async fn revoke_token(&self, actor: &Actor, token: TokenId) -> Result<(), PeopleError> {
        let mut tx = self.db.begin().await?;
        if db::revoke_tokens(&mut tx, actor.user, Some(token), self.clock.now()).await? == 0 {
            return Err(PeopleError::Unknown("token"));
        }
        let detail = json!({ "token": token });
        self.audited(&mut tx, Deed::by(actor, "token.revoked", "user", actor.user).detail(detail)).await?;
        Ok(tx.commit().await?)
    }
}
