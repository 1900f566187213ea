//! What this room decides goes into the audit log.

use serde_json::Value;

use super::{Actor, People, PeopleError};
use crate::audit::{self, Entry};
use crate::ids::{CompetitionId, UserId};
use crate::store::Tx;

/// On whose word something is done.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// Somebody recognised by a session or a token.
    Actor(&'a Actor),
    /// Whoever holds the machine: the command line.
    Machine,
}

impl<'a> From<&'a Actor> for By<'a> {
    fn from(actor: &'a Actor) -> Self {
        Self::Actor(actor)
    }
}

impl By<'_> {
    /// As stored in `created_by`, `granted_by` and the like.
    pub(super) fn name(self) -> String {
        match self {
            Self::Actor(actor) => actor.user.to_string(),
            Self::Machine => audit::Actor::Operator.to_string(),
        }
    }

    /// Refuses whoever may not run the service.
    pub(super) fn administering(self, what: &'static str) -> Result<(), PeopleError> {
        match self {
            Self::Actor(actor) if !actor.may_administer() => Err(PeopleError::Forbidden(what)),
            _ => Ok(()),
        }
    }
}

impl From<By<'_>> for audit::Actor {
    fn from(by: By<'_>) -> Self {
        match by {
            By::Actor(actor) => actor.into(),
            By::Machine => Self::Operator,
        }
    }
}

impl From<&Actor> for audit::Actor {
    fn from(actor: &Actor) -> Self {
        match actor.token {
            Some(token) => Self::Token { user: actor.user, token },
            None => Self::User(actor.user),
        }
    }
}

/// One decision.
pub(super) struct Deed {
    actor: audit::Actor,
    action: &'static str,
    kind: &'static str,
    object: String,
    competition: Option<CompetitionId>,
    detail: Value,
}

impl Deed {
    /// Something that `by` did.
    pub(super) fn by(
        by: impl Into<audit::Actor>,
        action: &'static str,
        kind: &'static str,
        object: impl ToString,
    ) -> Self {
        let object = object.to_string();
        Self { actor: by.into(), action, kind, object, competition: None, detail: Value::Null }
    }

    /// Something that happened to a person's own account by their own doing.
    pub(super) fn own(user: UserId, action: &'static str) -> Self {
        Self::by(audit::Actor::User(user), action, "user", user)
    }

    pub(super) fn competition(mut self, competition: Option<CompetitionId>) -> Self {
        self.competition = competition;
        self
    }

    /// Further facts: a JSON object.
    pub(super) fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

impl People {
    /// Writes the audit row of a decision, in the transaction of the decision.
    pub(super) async fn audited(&self, tx: &mut Tx, deed: Deed) -> Result<(), PeopleError> {
        let mut entry = Entry::new(self.clock.now(), deed.actor, deed.action, (deed.kind, deed.object));
        if let Some(competition) = deed.competition {
            entry = entry.competition(competition);
        }
        if let Value::Object(facts) = deed.detail {
            for (name, value) in facts {
                entry = entry.detail(&name, value);
            }
        }
        Ok(audit::record(tx, entry).await?)
    }
}
