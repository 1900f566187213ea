//! SQL of who may be in a sandbox.

use crate::ids::{SandboxId, UserId};
use crate::store::{Connection, StoreError};

/// Whether a sandbox is somebody's who still takes part.
pub(super) async fn is_theirs(
    conn: &mut Connection,
    sandbox: SandboxId,
    user: UserId,
) -> Result<bool, StoreError> {
    let row = sqlx::query(
        "SELECT 1 AS one FROM sandboxes b \
         JOIN participants p ON p.competition_id = b.competition_id AND p.user_id = b.user_id \
         AND p.state = 'approved' WHERE b.id = $1 AND b.user_id = $2",
    )
    .bind(sandbox.to_string())
    .bind(user.to_string())
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}
