//! The rows of this room: a competition, its phases and tasks, teams and participants.

use jiff::Timestamp;

use super::definition::{self, Definition};
use crate::ids::{CompetitionId, HiddenSetId, PhaseId, TaskId, TeamId, UserId};

/// A competition as the installation holds it.
#[derive(Clone, Debug)]
pub struct Competition {
    /// Its id.
    pub id: CompetitionId,
    /// The folder's name; part of every address.
    pub slug: String,
    /// What its author declared.
    pub definition: Definition,
    /// SM3 of the bundle it was last imported from, in hexadecimal.
    pub digest: String,
    /// Counts the imports, from 1.
    pub revision: i64,
    /// When it was published; until then only its organizers see it.
    pub published_at: Option<Timestamp>,
    /// After this time teams can no longer be formed, joined or left.
    pub merge_lock_at: Option<Timestamp>,
    /// When it was first imported.
    pub created_at: Timestamp,
    /// Who first imported it.
    pub created_by: UserId,
    /// When it was last imported or edited.
    pub updated_at: Timestamp,
}

impl Competition {
    /// Title in a locale (`zh`, `en`), or in the bundle's own language.
    pub fn title(&self, locale: &str) -> &str {
        let localised = self.definition.locale.get(locale).and_then(|l| l.title.as_deref());
        localised.unwrap_or(&self.definition.title)
    }

    /// Description in a locale, or in the bundle's own language.
    pub fn description(&self, locale: &str) -> &str {
        let localised = self.definition.locale.get(locale).and_then(|l| l.description.as_deref());
        localised.unwrap_or(&self.definition.description)
    }

    /// A name in a locale (`phases.0`, `columns.rmse`), or `own`, the bundle's.
    pub fn named<'a>(&'a self, locale: &str, key: &str, own: &'a str) -> &'a str {
        let localised = self.definition.locale.get(locale);
        localised.and_then(|l| l.names.get(key)).map_or(own, String::as_str)
    }
}

/// A phase of a competition.
#[derive(Clone, Debug)]
pub struct Phase {
    /// Its id.
    pub id: PhaseId,
    /// Its competition.
    pub competition: CompetitionId,
    /// Its place, counted from 0; part of addresses.
    pub position: i64,
    /// When submitting becomes possible. The organizer may have moved it since the import.
    pub starts_at: Timestamp,
    /// When submitting ends (exclusive), if it does.
    pub ends_at: Option<Timestamp>,
    /// What its author declared.
    pub definition: definition::Phase,
    /// When nominated submissions of the phase before were migrated here.
    pub migrated_at: Option<Timestamp>,
    /// Counts the changes of its board.
    pub board_version: i64,
}

/// Where a phase stands in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseTime {
    /// Not begun.
    Ahead,
    /// Open for submissions.
    Open,
    /// Over.
    Over,
}

impl Phase {
    /// Where the phase stands at `now`; it is open from its start to just before its end.
    pub fn time(&self, now: Timestamp) -> PhaseTime {
        if now < self.starts_at {
            PhaseTime::Ahead
        } else if self.ends_at.is_none_or(|end| now < end) {
            PhaseTime::Open
        } else {
            PhaseTime::Over
        }
    }
}

/// The phase that a competition is about at `now`: the open one, else the next, else the last.
pub fn current(phases: &[Phase], now: Timestamp) -> Option<&Phase> {
    let with = |time| phases.iter().find(move |phase| phase.time(now) == time);
    with(PhaseTime::Open).or_else(|| with(PhaseTime::Ahead)).or_else(|| phases.last())
}

/// A task of a competition.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Its competition.
    pub competition: CompetitionId,
    /// Its place among the competition's tasks, counted from 0.
    pub position: i64,
    /// The hidden set its reference data is.
    pub hidden_set: HiddenSetId,
    /// What its author declared.
    pub definition: definition::Task,
}

/// A file of the bundle as the object store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Path in the bundle.
    pub path: String,
    /// Whether the bundle had a file or a directory there (then the object is a zip of it).
    pub kind: FileKind,
    /// Where the object store holds it.
    pub object_key: String,
    /// Size of the object's plain content in bytes.
    pub size: u64,
    /// SM3 of the object's plain content, in hexadecimal.
    pub digest: String,
}

/// A team: one person alone, or several.
#[derive(Clone, Debug)]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Its competition.
    pub competition: CompetitionId,
    /// Its name, unique in the competition.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: UserId,
}

/// One person's time in a team.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The person.
    pub user: UserId,
    /// The name others see.
    pub name: String,
    /// When the person joined.
    pub joined_at: Timestamp,
    /// When the person left, if so.
    pub left_at: Option<Timestamp>,
}

/// A person's registration for a competition.
#[derive(Clone, Debug)]
pub struct Participant {
    /// The person.
    pub user: UserId,
    /// The login.
    pub login: String,
    /// The name others see.
    pub name: String,
    /// The organisation's name, if any.
    pub organisation: Option<String>,
    /// Where the registration stands.
    pub state: ParticipantState,
    /// When the person registered.
    pub registered_at: Timestamp,
    /// Why the organizer decided so.
    pub reason: String,
}

/// Where one person's registration for a competition stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Where it stands.
    pub state: ParticipantState,
    /// SM3 digest of the terms accepted, in hexadecimal.
    pub terms: String,
    /// What the organizer said with the latest decision; empty before one and where nothing was said.
    pub reason: String,
}

impl Registration {
    /// Why the person does not take part: the organizer's words, where they refused or removed them.
    pub fn refusal(&self) -> Option<&str> {
        let refused = matches!(self.state, ParticipantState::Denied | ParticipantState::Removed);
        Some(self.reason.as_str()).filter(|reason| refused && !reason.is_empty())
    }
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every variant.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word the database, the interface and the translations use.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("{text:?} is no {}", stringify!($name))),
                }
            }
        }
    };
}
pub(crate) use word;

word! {
    /// What a bundle path holds.
    FileKind {
        /// One file, kept as it is.
        File = "file",
        /// A directory, kept as a zip.
        Directory = "directory",
    }
}

word! {
    /// Where a registration stands.
    ParticipantState {
        /// Waiting for the organizer.
        Pending = "pending",
        /// Admitted.
        Approved = "approved",
        /// Refused.
        Denied = "denied",
        /// Removed after having been admitted.
        Removed = "removed",
    }
}
