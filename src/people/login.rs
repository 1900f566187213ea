//! Logging in, and being locked out for a while after failures.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use super::record::Deed;
use super::{Opened, People, PeopleError, db};
use crate::ids::UserId;

/// Failures in a row that cost nothing.
const FREE_FAILURES: i64 = 4;
/// The first wait, in milliseconds; it doubles with each further failure.
const FIRST_WAIT: i64 = 30_000;
/// The longest wait, in milliseconds.
const LONGEST_WAIT: i64 = 3_600_000;
/// Unknown logins remembered at the same time.
const STRANGERS: usize = 10_000;

/// Milliseconds to wait after so many failures in a row.
fn wait(failures: i64) -> i64 {
    if failures <= FREE_FAILURES {
        return 0;
    }
    let doublings = u32::try_from(failures - FREE_FAILURES - 1).unwrap_or(u32::MAX).min(20);
    (FIRST_WAIT << doublings).min(LONGEST_WAIT)
}

/// From where somebody logs in, as they see it in the list of their sessions.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// What the browser calls itself, shortened by us.
    pub agent: String,
    /// The address it comes from.
    pub address: String,
}

/// Failures with logins that do not exist, so that being locked out does not tell which logins do.
/// In this process alone, and bounded.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<HashMap<String, (i64, i64)>>);

impl Strangers {
    fn locked_until(&self, login: &str) -> i64 {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(login).map_or(0, |(_, until)| *until)
    }

    fn count_failure(&self, login: &str, now: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= STRANGERS {
            known.retain(|_, (_, until)| *until > now);
            if known.len() >= STRANGERS {
                known.clear();
            }
        }
        let entry = known.entry(login.to_owned()).or_default();
        entry.0 += 1;
        entry.1 = now + wait(entry.0);
    }
}

/// Proves that somebody gave their password for this very act.
#[derive(Debug)]
pub struct Confirmed(UserId);

impl Confirmed {
    /// Who did.
    pub fn user(&self) -> UserId {
        self.0
    }
}

impl People {
    /// Checks login and password and opens a session.
    ///
    /// # Errors
    /// [`PeopleError::WrongLogin`] whatever was wrong; [`PeopleError::Locked`] after too many
    /// failures, for logins that exist and others alike.
    pub async fn login(&self, login: &str, password: String, from: &Visitor) -> Result<Opened, PeopleError> {
        let login = login.trim().to_lowercase();
        let stored = db::user_by_login(&mut *self.db.read().await?, &login).await?;
        match &stored {
            Some(user) => self.refuse_locked(user.locked_until)?,
            None => self.refuse_locked(self.strangers.locked_until(&login))?,
        }
        let hash = stored.as_ref().map(|user| user.password.clone());
        let matches = self.gate.verify(password, hash).await?;
        let Some(user) = stored else {
            self.strangers.count_failure(&login, self.clock.millis());
            return Err(PeopleError::WrongLogin);
        };
        if !matches {
            self.count_failure(user.id).await?;
            return Err(PeopleError::WrongLogin);
        }

        let mut tx = self.db.begin().await?;
        // Others may have failed, changed the password or disabled the account since it was read.
        let now_stored = db::user(&mut tx, user.id).await?.ok_or(PeopleError::WrongLogin)?;
        self.refuse_locked(now_stored.locked_until)?;
        if now_stored.disabled_at.is_some() || now_stored.password != user.password {
            return Err(PeopleError::WrongLogin);
        }
        if now_stored.failed_logins > 0 {
            db::clear_failures(&mut tx, user.id).await?;
        }
        let opened = self.open_session(&mut tx, user.id, from).await?;
        self.audited(
            &mut tx,
            Deed::own(user.id, "session.opened").detail(json!({ "session": opened.session })),
        )
        .await?;
        tx.commit().await?;
        Ok(opened)
    }

    /// Has a person who is signed in confirm something by their password. A wrong one counts as a failed login.
    ///
    /// # Errors
    /// [`PeopleError::WrongLogin`], [`PeopleError::Locked`].
    pub async fn confirm(&self, user: UserId, password: String) -> Result<Confirmed, PeopleError> {
        let stored = db::user(&mut *self.db.read().await?, user).await?.ok_or(PeopleError::WrongLogin)?;
        self.refuse_locked(stored.locked_until)?;
        if !self.gate.verify(password, Some(stored.password)).await? {
            self.count_failure(user).await?;
            return Err(PeopleError::WrongLogin);
        }
        Ok(Confirmed(user))
    }

    pub(super) fn refuse_locked(&self, locked_until: i64) -> Result<(), PeopleError> {
        let left = locked_until - self.clock.millis();
        if left > 0 { Err(PeopleError::Locked { seconds: (left + 999) / 1000 }) } else { Ok(()) }
    }

    pub(super) async fn count_failure(&self, user: UserId) -> Result<(), PeopleError> {
        let mut tx = self.db.begin().await?;
        let failures = db::count_failure(&mut tx, user).await?;
        let wait = wait(failures);
        if wait > 0 {
            db::lock(&mut tx, user, self.clock.millis() + wait).await?;
            let detail = json!({ "failures": failures, "seconds": wait / 1000 });
            self.audited(&mut tx, Deed::own(user, "user.locked").detail(detail)).await?;
        }
        Ok(tx.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour() {
        assert_eq!([1, 4, 5, 6, 7].map(wait), [0, 0, 30_000, 60_000, 120_000]);
        assert_eq!(wait(12), LONGEST_WAIT);
        assert_eq!(wait(i64::MAX), LONGEST_WAIT);
    }

    #[test]
    fn strangers_are_locked_out_like_users_and_bounded() {
        let strangers = Strangers::default();
        for _ in 0..5 {
            strangers.count_failure("nobody", 1000);
        }
        assert_eq!(strangers.locked_until("nobody"), 31_000);
        for i in 0..STRANGERS * 2 {
            strangers.count_failure(&format!("n{i}"), 1000);
        }
        assert!(strangers.0.lock().unwrap().len() <= STRANGERS);
    }
}
