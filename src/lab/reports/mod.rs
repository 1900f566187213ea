//! What a worker tells of the sandboxes it holds to pages that another process serves: only while somebody
//! looks at such a page, and only for a minute or so.

pub(super) mod db;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::keeper::Look;
use super::outbox::Outbox;
use crate::house::House;
use crate::ids::SandboxId;
use crate::store::StoreError;

/// A sandbox as its worker saw it a moment ago.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// What it uses.
    pub look: Option<Look>,
    /// What lies in its outbox; `None` where that could not be read.
    pub outbox: Option<Outbox>,
    /// The end of what it printed, where that was asked for.
    pub printed: Option<String>,
}

/// What a page asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Gauges and outbox.
    Use,
    /// Those, and what the lab printed.
    Log,
}

/// Asks the workers that hold these sandboxes about them, and gives what they told within the last half minute. A
/// worker takes a second or two to answer; the first answer rings for whoever listens to the sandbox.
///
/// # Errors
/// When the database fails.
pub async fn ask(
    house: &House,
    sandboxes: &[SandboxId],
    about: About,
) -> Result<HashMap<SandboxId, Report>, StoreError> {
    if sandboxes.is_empty() {
        return Ok(HashMap::new());
    }
    let now = house.clock.now();
    let mut tx = house.db.begin().await?;
    let mut told = HashMap::new();
    for id in sandboxes {
        db::ask(&mut tx, *id, about, now).await?;
        if let Some(report) = db::told(&mut tx, *id, now).await? {
            told.insert(*id, report);
        }
    }
    tx.commit().await?;
    house.ring();
    Ok(told)
}
