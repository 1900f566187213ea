//! How people are recognised: browser sessions, API tokens, one-time reset links. Each is a secret
//! that only its holder has, and a row with its digest.

mod db;
mod reset;
mod session;
mod token;

pub use session::{Opened, SessionRow, SessionTerms, Signed};
pub use token::{NewToken, TokenRow};

use crate::ids::{SessionId, TokenId, UserId};
use crate::store::{Connection, StoreError};

/// Ends at once a person's sessions, but for the one kept.
pub(super) async fn end_sessions(
    connection: &mut Connection,
    user: UserId,
    keep: Option<SessionId>,
    at: jiff::Timestamp,
) -> Result<u64, StoreError> {
    db::revoke_sessions(connection, user, (None, keep), at).await
}

/// Revokes a person's tokens: one, or all.
pub(super) async fn end_tokens(
    connection: &mut Connection,
    user: UserId,
    only: Option<TokenId>,
    at: jiff::Timestamp,
) -> Result<u64, StoreError> {
    db::revoke_tokens(connection, user, only, at).await
}
