//! People: users, organisations (单位), sessions, API tokens, roles.
//!
//! Central types: [`People`] does what a person or an administrator asks, each in one transaction
//! with its audit row; [`Actor`] is somebody who has been recognised, and answers what they may do.
//! May call `store`, `audit`, `clock`; knows neither HTTP nor any competition's content. A password,
//! token or cookie secret never leaves this room except to the person it was made for, and is stored
//! only as a digest.

mod account;
mod db;
mod grant;
mod keys;
mod login;
mod organisation;
mod password;
mod record;
mod role;

use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;

pub(crate) use account::invisible;
pub use account::{AccountPage, Addressed, NewUser, Profile, UserFilter, UserRow, addressed};
pub use grant::{Candidate, Holder, make_organizer, set_judge, standing_named};
pub use keys::{NewToken, Opened, SessionRow, SessionTerms, Signed, TokenRow};
pub use login::{Confirmed, Visitor};
pub use organisation::Organisation;
pub use password::Fault;
pub use record::By;
pub use role::{Actor, Grant, Role, Scope};

use crate::audit;
use crate::clock::{Clock, Entropy};
use crate::ids::UserId;
use crate::store::{Db, StoreError, Tx};

/// What can go wrong with people.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was filled in cannot be taken.
    #[error("some fields cannot be taken: {0:?}")]
    Faults(Vec<Fault>),
    /// Login or password is wrong. It does not say which, nor whether the account is disabled.
    #[error("login or password is wrong, or the account is disabled")]
    WrongLogin,
    /// Too many failed logins in a row.
    #[error("too many failed logins: wait {seconds} s before the next attempt")]
    Locked {
        /// How long to wait, in seconds.
        seconds: i64,
    },
    /// More logins at once than the machine can check.
    #[error("too many logins are being checked at this moment; try again in a few seconds")]
    Busy,
    /// There is no such user, organisation, session or token.
    #[error("there is no such {0}")]
    Unknown(&'static str),
    /// The person may not do this.
    #[error("this needs the right to {0}")]
    Forbidden(&'static str),
    /// A reset link was used, ran out or never existed.
    #[error("this link has been used or has run out; ask an administrator for a new one")]
    StaleLink,
    /// The last administrator cannot be disabled or lose the role.
    #[error("this is the last administrator who can log in; name another one first")]
    LastAdministrator,
    /// The password hash could not be made or read.
    #[error("the password could not be hashed: {0}")]
    Hash(String),
}

/// What has to follow elsewhere when somebody belongs to another organisation, in the transaction of that
/// change. This room knows none of it.
pub type Follow = for<'t> fn(
    &'t mut Tx,
    UserId,
    (Timestamp, audit::Actor),
) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 't>>;

/// Does what people and administrators ask. Cheap to clone.
#[derive(Clone, Debug)]
pub struct People {
    organisation_follows: Option<Follow>,
    db: Db,
    clock: Clock,
    entropy: Entropy,
    terms: SessionTerms,
    gate: password::Gate,
    strangers: Arc<login::Strangers>,
}

impl People {
    /// Over a database.
    pub fn new(db: Db, clock: Clock, entropy: Entropy, terms: SessionTerms) -> Self {
        let gate = password::Gate::for_this_machine();
        Self { organisation_follows: None, db, clock, entropy, terms, gate, strangers: Arc::default() }
    }

    /// Says what follows when somebody belongs to another organisation.
    #[must_use]
    pub fn followed_by(self, follow: Follow) -> Self {
        Self { organisation_follows: Some(follow), ..self }
    }
}

/// The digest (SM3, hexadecimal) under which a secret of ours is stored. The secrets are 256 random
/// bits, so a plain digest suffices: there is nothing to guess from a dictionary.
fn digest(secret: &str) -> String {
    use sm3::{Digest as _, Sm3};
    hex::encode(Sm3::digest(secret.as_bytes()))
}
