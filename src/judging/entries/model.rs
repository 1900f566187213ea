//! The rows of this room: an entry, what is being written, its versions and files.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::contest::definition::EntryPart;
use crate::contest::model::word;
use crate::ids::{CompetitionId, EntryFileId, EntryId, SubmissionId, TeamId, UserId};

word! {
    /// Where an entry stands.
    EntryState {
        /// Being written; judges do not see it.
        Draft = "draft",
        /// Handed in: judges see [`Entry::submitted_version`].
        Submitted = "submitted",
        /// Taken back by the team or an organizer; it may be submitted again while entries are taken.
        Withdrawn = "withdrawn",
    }
}

word! {
    /// Why a version was kept.
    Cause {
        /// A member saved it.
        Saved = "saved",
        /// It was submitted.
        Submitted = "submitted",
        /// An earlier version was brought back.
        Restored = "restored",
        /// Somebody else's change was to replace it.
        Kept = "kept",
    }
}

word! {
    /// What a file of an entry is.
    FileKind {
        /// A picture: decoded and encoded anew by us.
        Picture = "picture",
        /// A report as PDF.
        Report = "report",
    }
}

/// A team's entry in a competition.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// Its competition.
    pub competition: CompetitionId,
    /// The team that made it: not for judges.
    pub team: TeamId,
    /// What a blind judge knows it by ("Entry 417"): from 1, unique in the competition, drawn at random.
    pub number: i64,
    /// Where it stands.
    pub state: EntryState,
    /// The version that was last submitted; kept when it is withdrawn.
    pub submitted_version: Option<i64>,
    /// When the team began.
    pub created_at: Timestamp,
    /// When it was last submitted.
    pub submitted_at: Option<Timestamp>,
    /// By whom.
    pub submitted_by: Option<UserId>,
    /// When it was withdrawn, if it is.
    pub withdrawn_at: Option<Timestamp>,
    /// Why, where an organizer took it back; empty where the team did.
    pub withdrawn_reason: String,
    /// Until when an organizer lets the team change it after the deadline.
    pub late_until: Option<Timestamp>,
    /// Why.
    pub late_reason: String,
    /// When the team chose to show it to visitors, once the competition is over.
    pub published_at: Option<Timestamp>,
    /// Why an organizer took it down again; empty where none did.
    pub hidden_reason: String,
    /// Since when judges have it to mark: what they mark stays as it is.
    pub judged_since: Option<Timestamp>,
    /// Whether a ranking that its chair has signed is about it.
    pub signed: bool,
}

impl Entry {
    /// The version that counts: what was submitted, unless it was withdrawn.
    pub fn standing_version(&self) -> Option<i64> {
        self.submitted_version.filter(|_| self.state == EntryState::Submitted)
    }
}

/// What an entry says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Content {
    /// Title, one line.
    pub title: String,
    /// Summary, Markdown.
    pub summary: String,
    /// Report, Markdown; may stand beside [`Content::pdf`].
    pub report: String,
    /// Report as PDF.
    pub pdf: Option<EntryFileId>,
    /// Pictures in their order.
    pub pictures: Vec<Picture>,
    /// Address of a demonstration, `https://…`, or empty.
    pub demo: String,
    /// The submission it is about; none: the team's best on the board.
    pub submission: Option<SubmissionId>,
}

/// A picture of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// The file.
    pub file: EntryFileId,
    /// What stands under it, and is read out in its place.
    pub caption: String,
}

impl Content {
    /// The files it names.
    pub fn files(&self) -> impl Iterator<Item = EntryFileId> + '_ {
        self.pictures.iter().map(|picture| picture.file).chain(self.pdf)
    }

    /// The required parts that it lacks. `submission`: whether there is one it is about.
    pub fn lacks(&self, required: &[EntryPart], submission: bool) -> Vec<EntryPart> {
        let blank = |text: &str| text.trim().is_empty();
        let lacks = |part: &EntryPart| match part {
            EntryPart::Summary => blank(&self.summary),
            EntryPart::Pictures => self.pictures.is_empty(),
            EntryPart::Report => blank(&self.report) && self.pdf.is_none(),
            EntryPart::Demo => blank(&self.demo),
            EntryPart::Submission => !submission,
        };
        required.iter().copied().filter(lacks).collect()
    }

    /// The names of the parts in which two differ, as the form names them.
    pub fn differs(&self, other: &Self) -> Vec<&'static str> {
        let parts = [
            ("title", self.title != other.title),
            ("summary", self.summary != other.summary),
            ("pictures", self.pictures != other.pictures),
            ("report", self.report != other.report),
            ("pdf", self.pdf != other.pdf),
            ("demo", self.demo != other.demo),
            ("submission", self.submission != other.submission),
        ];
        parts.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
    }
}

/// What a team works on.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What it says.
    pub content: Content,
    /// Counts the changes, from 1.
    pub revision: i64,
    /// Who changed it last.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
}

/// What an entry was at a time that counts; never changed.
#[derive(Clone, Debug)]
pub struct Version {
    /// Counts the entry's versions, from 1.
    pub number: i64,
    /// Why it was kept.
    pub cause: Cause,
    /// What it says.
    pub content: Content,
    /// When it was made.
    pub at: Timestamp,
    /// By whom.
    pub by: UserId,
}

/// A picture or a report of an entry.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryFile {
    /// Its id.
    pub id: EntryFileId,
    /// Of this entry.
    pub entry: EntryId,
    /// What it is.
    pub kind: FileKind,
    /// `image/jpeg`, `image/png` or `application/pdf`.
    pub media_type: String,
    /// Bytes, as kept.
    pub size: u64,
    /// Pixels across; 0 for a report.
    pub width: u32,
    /// Pixels down; 0 for a report.
    pub height: u32,
    /// SM3, in hexadecimal.
    pub digest: String,
    /// Where the object store holds it.
    pub object_key: String,
    /// What the file itself says of its authors.
    pub facts: FileFacts,
    /// When it was added.
    pub added_at: Timestamp,
    /// By whom.
    pub added_by: UserId,
}

/// What a file itself says of its authors: a judge who opens it may read that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileFacts {
    /// Field of the file's description and what stands in it, such as `Author`.
    pub says: Vec<(String, String)>,
    /// Whether the description could not be read, since the file is encrypted.
    pub locked: bool,
}
