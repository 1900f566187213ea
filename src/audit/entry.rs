//! [`Entry`]: what the log says happened.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AuditError, canonical};
use crate::clock::{Clock, Entropy};
use crate::ids::{AuditId, CompetitionId, TokenId, UserId, WorkerId};

/// Who did it. As text: `user:ID`, `user:ID/token:ID`, `worker:ID`, `operator`, `system`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A person, in a browser.
    User(UserId),
    /// A person's program, by an API token.
    Token {
        /// The person.
        user: UserId,
        /// The token.
        token: TokenId,
    },
    /// A worker, on its own.
    Worker(WorkerId),
    /// Somebody at the command line of the server.
    Operator,
    /// The service, on its own: a phase that ended, a lease that ran out.
    System,
}

impl Actor {
    /// The person behind it, when there is one.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::User(user) | Self::Token { user, .. } => Some(*user),
            Self::Worker(_) | Self::Operator | Self::System => None,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user:{user}"),
            Self::Token { user, token } => write!(f, "user:{user}/token:{token}"),
            Self::Worker(worker) => write!(f, "worker:{worker}"),
            Self::Operator => f.write_str("operator"),
            Self::System => f.write_str("system"),
        }
    }
}

/// A text that names no actor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no actor: user:ID, user:ID/token:ID, worker:ID, operator or system")]
pub struct ActorSyntax(String);

impl FromStr for Actor {
    type Err = ActorSyntax;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |_| ActorSyntax(text.chars().take(120).collect());
        match (text, text.split_once(':')) {
            ("operator", _) => Ok(Self::Operator),
            ("system", _) => Ok(Self::System),
            (_, Some(("worker", id))) => id.parse().map(Self::Worker).map_err(wrong),
            (_, Some(("user", ids))) => match ids.split_once("/token:") {
                None => ids.parse().map(Self::User).map_err(wrong),
                Some((user, token)) => Ok(Self::Token {
                    user: user.parse().map_err(wrong)?,
                    token: token.parse().map_err(wrong)?,
                }),
            },
            _ => Err(ActorSyntax(text.chars().take(120).collect())),
        }
    }
}

/// What it was done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    kind: &'static str,
    id: String,
}

impl Object {
    /// An object of a kind (`submission`, `user`, `competition`, …: the word of the design) with its
    /// id, slug or name.
    pub fn new(kind: &'static str, id: impl fmt::Display) -> Self {
        Self { kind, id: id.to_string() }
    }

    /// Its kind.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub(super) id: AuditId,
    pub(super) at: Timestamp,
    pub(super) actor: Actor,
    pub(super) action: &'static str,
    pub(super) object: Object,
    pub(super) competition: Option<CompetitionId>,
    pub(super) detail: Value,
}

impl Entry {
    /// What `actor` did now. `action` is a dotted name in the past tense, the room's word first:
    /// `submission.created`, `participant.approved`, `session.revoked`.
    pub fn new(clock: &Clock, actor: Actor, action: &'static str, object: Object) -> Self {
        let (id, at) = (Entropy.id(clock), clock.now());
        Self { id, at, actor, action, object, competition: None, detail: Value::Null }
    }

    /// The competition it belongs to: its organizers may read it.
    #[must_use]
    pub fn in_competition(mut self, competition: CompetitionId) -> Self {
        self.competition = Some(competition);
        self
    }

    /// What else there is to say: whole numbers and texts (fractions as texts), no secrets.
    #[must_use]
    pub fn with(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    /// The bytes that are hashed.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, AuditError> {
        let refused = |problem: String| AuditError::Entry { action: self.action.to_owned(), problem };
        if !is_action(self.action) {
            return Err(refused("an action is lower-case words joined by dots, at least two".to_owned()));
        }
        if self.object.kind.is_empty() || self.object.id.is_empty() {
            return Err(refused("the object has no kind or no id".to_owned()));
        }
        let document = json!({
            "v": 1,
            "id": self.id,
            "at": self.at.as_millisecond(),
            "actor": self.actor.to_string(),
            "action": self.action,
            "object": {"kind": self.object.kind, "id": self.object.id},
            "competition": self.competition,
            "detail": self.detail,
        });
        canonical(&document).map_err(|error| refused(error.to_string()))
    }
}

fn is_action(action: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    action.contains('.') && action.split('.').all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_survive_their_text() {
        let clock = Clock::system();
        let user = Entropy.id(&clock);
        for actor in [
            Actor::User(user),
            Actor::Token { user, token: Entropy.id(&clock) },
            Actor::Worker(Entropy.id(&clock)),
            Actor::Operator,
            Actor::System,
        ] {
            assert_eq!(actor.to_string().parse::<Actor>().unwrap(), actor);
        }
        for bad in ["", "user", "user:", "user:x", "root", "user:x/token:y", "system:1"] {
            assert!(bad.parse::<Actor>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_order_of_the_detail() {
        let clock = Clock::system();
        let entry = Entry::new(&clock, Actor::System, "phase.ended", Object::new("phase", 7));
        let one = entry.clone().with(json!({"a": 1, "b": "2"})).bytes().unwrap();
        let two = entry.clone().with(json!({"b": "2", "a": 1})).bytes().unwrap();
        assert_eq!(one, two);
        let text = String::from_utf8(one).unwrap();
        assert!(text.starts_with(r#"{"action":"phase.ended","actor":"system","at":"#), "{text}");
        assert_ne!(two, entry.with(json!({"a": 1, "b": 2})).bytes().unwrap());
    }

    #[test]
    fn a_wrong_name_or_a_fraction_is_refused() {
        let clock = Clock::system();
        let entry = |action| Entry::new(&clock, Actor::System, action, Object::new("phase", 7));
        for action in ["", "ended", "Phase.ended", "phase.", "phase ended.x"] {
            assert!(matches!(entry(action).bytes(), Err(AuditError::Entry { .. })), "{action}");
        }
        let error = entry("score.shown").with(json!({"bits": 0.5})).bytes().unwrap_err();
        assert!(error.to_string().contains("/detail/bits"), "{error}");
        let nameless = Entry::new(&clock, Actor::System, "phase.ended", Object::new("phase", ""));
        assert!(nameless.bytes().is_err());
    }
}
