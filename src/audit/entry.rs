//! [`Entry`]: what the log says happened.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::canonical;
use crate::clock::Entropy;
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

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub(super) id: AuditId,
    pub(super) at: Timestamp,
    pub(super) actor: Actor,
    pub(super) action: &'static str,
    pub(super) object_kind: &'static str,
    pub(super) object_id: String,
    pub(super) competition: Option<CompetitionId>,
    detail: Map<String, Value>,
}

impl Entry {
    /// What `actor` did to `object` at that time. `action` is a dotted name in the past tense, the
    /// object's kind first: `submission.created`, `participant.approved`, `session.revoked`. `object` is
    /// a kind (`submission`, `user`, …: a word of the design) and an id, slug or name.
    pub fn new(
        at: Timestamp,
        actor: Actor,
        action: &'static str,
        object: (&'static str, impl fmt::Display),
    ) -> Self {
        debug_assert!(is_action(action), "{action:?}: an action is lower-case words joined by dots");
        Self {
            id: Entropy.id_at(at),
            at,
            actor,
            action,
            object_kind: object.0,
            object_id: object.1.to_string(),
            competition: None,
            detail: Map::new(),
        }
    }

    /// Who did it.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// The competition it belongs to: its organizers may read the entry.
    #[must_use]
    pub fn competition(mut self, competition: CompetitionId) -> Self {
        self.competition = Some(competition);
        self
    }

    /// Something else there is to say. No secrets: auditors read it. Numbers with a fraction or beyond
    /// 2^53 are kept as text (see [`canonical`]).
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }

    /// The bytes that are hashed.
    pub(super) fn bytes(&self) -> Vec<u8> {
        canonical(&json!({
            "v": 1,
            "id": self.id,
            "at": self.at.as_millisecond(),
            "actor": self.actor.to_string(),
            "action": self.action,
            "object": {"kind": self.object_kind, "id": self.object_id},
            "competition": self.competition,
            "detail": self.detail,
        }))
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
    use crate::clock::Clock;

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
        let entry = Entry::new(Clock::system().now(), Actor::System, "phase.ended", ("phase", 7));
        let one = entry.clone().detail("a", 1).detail("b", "2").bytes();
        let two = entry.clone().detail("b", "2").detail("a", 1).bytes();
        assert_eq!(one, two);
        let text = String::from_utf8(one).unwrap();
        assert!(text.starts_with(r#"{"action":"phase.ended","actor":"system","at":"#), "{text}");
        assert!(text.contains(r#""detail":{"a":1,"b":"2"}"#), "{text}");
        assert_ne!(two, entry.detail("a", 1).detail("b", 2).bytes());
    }

    #[test]
    fn an_action_is_words_joined_by_dots() {
        assert!(is_action("phase.ended") && is_action("data_use.approved.late"));
        for bad in ["", "ended", "Phase.ended", "phase.", "phase ended.x"] {
            assert!(!is_action(bad), "{bad}");
        }
    }
}
