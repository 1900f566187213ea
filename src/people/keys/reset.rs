//! One-time links with which a person sets a new password: an administrator makes one and hands it
//! over; no mail server is needed.

use jiff::SignedDuration;

use super::db;
use crate::ids::UserId;
use crate::people::db as people_db;
use crate::people::record::{By, Deed};
use crate::people::{People, PeopleError, digest, password};

/// How long a link can be used.
const LIFE: SignedDuration = SignedDuration::from_hours(24);

impl People {
    /// Makes a link's secret for a user and voids earlier ones. It works once, for 24 hours.
    ///
    /// # Errors
    /// [`PeopleError::Forbidden`] for others than administrators.
    pub async fn make_reset(&self, by: By<'_>, user: UserId) -> Result<String, PeopleError> {
        by.administering("manage users")?;
        let secret = self.entropy.secret();
        let now = self.clock.now();
        let until = now.checked_add(LIFE).unwrap_or(now);
        let mut tx = self.db.begin().await?;
        people_db::user(&mut tx, user).await?.ok_or(PeopleError::Unknown("user"))?;
        db::insert_reset(&mut tx, &digest(&secret), user, &by.name(), (now, until)).await?;
        self.audited(&mut tx, Deed::by(by, "reset_link.made", "user", user)).await?;
        tx.commit().await?;
        Ok(secret)
    }

    /// The login of the person a link is for, as long as it can be used.
    ///
    /// # Errors
    /// [`PeopleError::StaleLink`] otherwise.
    pub async fn reset_login(&self, secret: &str) -> Result<String, PeopleError> {
        let mut connection = self.db.read().await?;
        let owner = db::reset_owner(&mut connection, &digest(secret), self.clock.now()).await?;
        let owner = owner.ok_or(PeopleError::StaleLink)?;
        Ok(people_db::user(&mut connection, owner).await?.ok_or(PeopleError::StaleLink)?.login)
    }

    /// Sets a new password with a link, ends all sessions, revokes all tokens and lifts a lock-out.
    ///
    /// # Errors
    /// [`PeopleError::StaleLink`], or [`PeopleError::Faults`] when the password cannot be taken;
    /// then the link can still be used.
    pub async fn use_reset(&self, secret: &str, new: String) -> Result<(), PeopleError> {
        let stored = {
            let mut connection = self.db.read().await?;
            let owner = db::reset_owner(&mut connection, &digest(secret), self.clock.now()).await?;
            let owner = owner.ok_or(PeopleError::StaleLink)?;
            people_db::user(&mut connection, owner).await?.ok_or(PeopleError::StaleLink)?
        };
        if let Some(fault) = password::fault(&new, &stored.login, &stored.email) {
            return Err(PeopleError::Faults(vec![fault]));
        }
        let hash = self.gate.hash(new).await?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let user = db::use_reset(&mut tx, &digest(secret), now).await?.ok_or(PeopleError::StaleLink)?;
        people_db::set_password(&mut tx, user, &hash).await?;
        db::revoke_sessions(&mut tx, user, (None, None), now).await?;
        db::revoke_tokens(&mut tx, user, None, now).await?;
        self.audited(&mut tx, Deed::own(user, "user.password.reset")).await?;
        Ok(tx.commit().await?)
    }
}
