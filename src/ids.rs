//! Identifiers: one newtype for each kind of row, so that a team's id can never be taken for a
//! submission's. All are UUID version 7 (RFC 9562): they sort by the time they were made, and are
//! stored as their 36-character text on both databases.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )+};
}

id! {
    /// A person with an account.
    UserId,
    /// An organisation (单位) a person may belong to.
    OrganisationId,
    /// An entry of the data catalogue.
    DatasetId,
    /// An immutable version of a dataset.
    DatasetVersionId,
    /// A competition.
    CompetitionId,
    /// A phase of a competition.
    PhaseId,
    /// A task of a competition.
    TaskId,
    /// One identified body of reference data.
    HiddenSetId,
    /// A team of one competition.
    TeamId,
    /// A submission to one phase.
    SubmissionId,
    /// A submission's run on one task.
    RunId,
    /// A process that takes runs from the queue.
    WorkerId,
    /// One reply recorded by the airlock.
    ReplyId,
    /// One rescore that an organizer asked for.
    RescoreId,
    /// One interactive sandbox of a participant.
    SandboxId,
    /// A participant's home in a competition.
    HomeId,
    /// A wheel that an organizer or a participant uploaded.
    PackageId,
    /// A team's entry (作品) in a competition.
    EntryId,
    /// A picture or a report of an entry.
    EntryFileId,
    /// An API token.
    TokenId,
    /// A browser session.
    SessionId,
    /// One entry of the audit log.
    AuditId,
    /// An organizer's announcement.
    AnnouncementId,
    /// A panel of judges.
    PanelId,
    /// One entry that one judge marks in one round.
    AssignmentId,
    /// A conflict of interest that was declared.
    ConflictId,
}
