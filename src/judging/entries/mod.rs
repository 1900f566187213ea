//! Entries (作品): what a team shows of its work beside its submissions: title, summary, pictures, a
//! report, a link, the submission it is about.
//!
//! Central types: [`Entry`] (whose it is, where it stands), [`Content`] (what it says) and its two
//! keepings, [`Draft`] and [`Version`]. A team's members all write on one draft; a version is never
//! changed. Judges see an entry by its number, through the [`mask`], and the version submitted alone:
//! [`for_judge`].

mod act;
pub mod archive;
pub mod db;
mod files;
mod leaks;
pub mod mask;
mod model;
pub mod pdf;
pub mod picture;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use jiff::Timestamp;

use self::mask::Names;
use self::pdf::PdfError;
use self::picture::PictureError;
use super::rubric;
use crate::contest::definition::{Definition, EntryPart, EntryRules};
use crate::contest::model::{Competition, Phase};
use crate::ids::{CompetitionId, EntryId, TeamId};
use crate::store::{Connection, ObjectError, StoreError};

pub use act::{
    Change, Desk, LATE_DAYS, allow_late, follow_team, lacking, publish, restore, save, submit, take_down,
    unsubmit, withdraw,
};
pub use db::{Choice, by_id, submitted};
pub use files::{Incoming, look_over, open, open_any};
pub use leaks::{Leak, leaks};
pub use model::{Cause, Content, Draft, Entry, EntryFile, EntryState, FileFacts, FileKind, Picture, Version};

/// Characters of a title.
pub const TITLE: usize = 120;
/// Characters of a summary.
pub const SUMMARY: usize = 6_000;
/// Characters of a report written as text.
pub const REPORT: usize = 120_000;
/// Characters of what stands under a picture.
pub const CAPTION: usize = 200;
/// Characters of a link.
pub const DEMO: usize = 500;

/// Why something was not done to an entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryFault {
    /// Entries are not taken yet.
    #[error("entries are taken from {0} on")]
    NotBegun(Timestamp),
    /// Entries are taken no more.
    #[error("entries were taken until {0}; what was submitted last counts. Ask the organizer")]
    Over(Timestamp),
    /// Its judges have it since then.
    #[error("judges have it since {0}: what they mark stays as it is. An organizer can let you change it")]
    Judged(Timestamp),
    /// The ranking is signed.
    #[error("the ranking that it stands in is signed; only an organizer can take it back, with a reason")]
    Signed,
    /// Somebody else changed the draft since it was looked at; what stands there now.
    #[error("another member has saved the entry since you opened it; compare, and save again")]
    Changed(Box<Draft>),
    /// Something required is missing.
    #[error("the entry is not complete: {}", listed(*.title, .parts))]
    Lacks {
        /// Whether the title is.
        title: bool,
        /// The parts that are.
        parts: Vec<EntryPart>,
    },
    /// A text is too long.
    #[error("{field} has more than {most} characters")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Characters it may have.
        most: usize,
    },
    /// The title has several lines or invisible characters.
    #[error("a title is one line, without invisible characters")]
    Title,
    /// The link cannot be one.
    #[error("a link begins with https:// and names a host")]
    Demo,
    /// A picture cannot be taken.
    #[error(transparent)]
    Picture(PictureError),
    /// A report cannot be taken.
    #[error(transparent)]
    Pdf(PdfError),
    /// There are as many pictures as there may be.
    #[error("an entry here may have {most} pictures; remove one first")]
    TooManyPictures {
        /// How many.
        most: usize,
    },
    /// The team's files are too many bytes together.
    #[error("all files of the entry, those of earlier versions too, may have {limit} bytes together")]
    NoRoom {
        /// Bytes.
        limit: u64,
    },
    /// There is no such file in it.
    #[error("this file does not belong to the entry (any more)")]
    NoFile,
    /// The submission is not one of the team's that were scored.
    #[error("an entry can only be about a submission of your team that was scored")]
    NoSubmission,
    /// Nothing is submitted.
    #[error("nothing is submitted")]
    NotSubmitted,
    /// It is about a submission from a sandbox.
    #[error(
        "the entry is about a submission from a sandbox, which may embed data of the domain: it cannot be \
         shown to visitors before a release"
    )]
    Unreleased,
    /// An organizer took it out of the showcase.
    #[error("the organizer took this entry out of the showcase; ask them")]
    TakenDown,
    /// Organizers say why.
    #[error("give a reason; the team will read it")]
    NoReason,
    /// The time given to a team is past or too far away.
    #[error("choose a time from now on, within {LATE_DAYS} days")]
    Late,
    /// It is not there.
    #[error("this is not there (any more)")]
    Gone,
    /// An upload, or the object store, failed.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn listed(title: bool, parts: &[EntryPart]) -> String {
    let title = title.then_some("title");
    title.into_iter().chain(parts.iter().map(|part| part.as_str())).collect::<Vec<_>>().join(", ")
}

/// When a competition takes entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From then on.
    pub opens: Option<Timestamp>,
    /// Until just before then; none: without end.
    pub closes: Option<Timestamp>,
}

impl Window {
    /// As the rules say, else from the first phase's beginning to the last one's end.
    pub fn of(rules: &EntryRules, phases: &[Phase]) -> Self {
        Self {
            opens: rules.opens.or_else(|| phases.first().map(|phase| phase.starts_at)),
            closes: rules.closes.or_else(|| phases.last().and_then(|phase| phase.ends_at)),
        }
    }

    /// Whether an entry may be changed: in time and before judges have it, or because an organizer lets its team.
    ///
    /// # Errors
    /// [`EntryFault::NotBegun`], [`EntryFault::Over`], [`EntryFault::Judged`] or [`EntryFault::Signed`].
    pub fn open(&self, entry: Option<&Entry>, now: Timestamp) -> Result<(), EntryFault> {
        let late = entry.and_then(|entry| entry.late_until).is_some_and(|until| now < until);
        let judged = entry.and_then(|entry| entry.judged_since);
        match (self.opens, self.closes) {
            _ if entry.is_some_and(|entry| entry.signed) => Err(EntryFault::Signed),
            _ if late => Ok(()),
            (Some(opens), _) if now < opens => Err(EntryFault::NotBegun(opens)),
            (_, Some(closes)) if now >= closes => Err(EntryFault::Over(closes)),
            _ => judged.map_or(Ok(()), |since| Err(EntryFault::Judged(since))),
        }
    }

    /// Until when this entry may be changed.
    pub fn until(&self, entry: Option<&Entry>) -> Option<Timestamp> {
        let late = entry.and_then(|entry| entry.late_until);
        let judged = entry.and_then(|entry| entry.judged_since);
        let closes = [self.closes, judged].into_iter().flatten().min();
        closes.map(|closes| late.map_or(closes, |late| late.max(closes)))
    }
}

/// What a competition asks of entries; none: it has no entries. A jury has something to judge, whether or not
/// the bundle says more of it, and also where a bundle that came later says nothing of judging any more: the
/// rubric in force stays.
///
/// # Errors
/// When the database fails.
pub async fn rules(
    conn: &mut Connection,
    competition: &Competition,
) -> Result<Option<EntryRules>, StoreError> {
    let Definition { entries, judging, .. } = &competition.definition;
    if entries.is_some() {
        return Ok(entries.clone());
    }
    let judged = judging.is_some() || rubric::db::latest(conn, competition.id).await?.is_some();
    Ok(judged.then(EntryRules::default))
}

/// A number that is not taken, drawn at random from a range that does not grow while it is less than half
/// full: it tells nothing of who came first.
fn drawn(taken: &[i64], mut random: impl FnMut() -> u64) -> i64 {
    let mut range: u64 = 999;
    while taken.len() as u64 * 2 > range {
        range = range * 10 + 9;
    }
    loop {
        let number = i64::try_from(random() % range).unwrap_or(0) + 1;
        if !taken.contains(&number) {
            return number;
        }
    }
}

/// What a member wrote, made ready to be kept: line ends of one kind, nothing longer than it may be.
fn checked(mut content: Content, rules: &EntryRules) -> Result<Content, EntryFault> {
    content.title = content.title.trim().to_owned();
    content.demo = content.demo.trim().to_owned();
    for text in [&mut content.summary, &mut content.report] {
        *text = text.replace("\r\n", "\n").replace('\r', "\n").trim_end().to_owned();
    }
    for picture in &mut content.pictures {
        picture.caption = picture.caption.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    let captions = content.pictures.iter().map(|picture| ("caption", picture.caption.as_str(), CAPTION));
    let texts = [
        ("title", content.title.as_str(), TITLE),
        ("summary", &content.summary, SUMMARY),
        ("report", &content.report, REPORT),
        ("demo", &content.demo, DEMO),
    ];
    for (field, text, most) in texts.into_iter().chain(captions) {
        if text.chars().count() > most {
            return Err(EntryFault::TooLong { field, most });
        }
    }
    if content.title.chars().any(crate::people::invisible) {
        return Err(EntryFault::Title);
    }
    if !content.demo.is_empty() && !is_link(&content.demo) {
        return Err(EntryFault::Demo);
    }
    let most = usize::try_from(rules.pictures).unwrap_or(usize::MAX);
    if content.pictures.len() > most {
        return Err(EntryFault::TooManyPictures { most });
    }
    Ok(content)
}

/// Whether a text is the address of a page over TLS, without a name or password in it.
fn is_link(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '<' | '>' | '\\' | '`');
    !host.is_empty() && !host.contains('@') && text.chars().all(plain)
}

/// The names that blind judges must not read in a team's entry: the team's, and for everybody who was
/// ever a member, theirs, their login's and their organisation's.
///
/// # Errors
/// When the database fails.
pub async fn names(
    conn: &mut Connection,
    competition: CompetitionId,
    team: TeamId,
) -> Result<Names, StoreError> {
    let people = db::people(conn, competition, Some(team)).await?;
    let all: Vec<String> = people.into_iter().flat_map(|(_, names)| names).flatten().collect();
    Ok(Names::new(all.iter().map(String::as_str)))
}

/// The same for every team of a competition.
///
/// # Errors
/// When the database fails.
pub async fn all_names(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<HashMap<TeamId, Names>, StoreError> {
    let mut of_teams: HashMap<TeamId, Vec<String>> = HashMap::new();
    for (team, names) in db::people(conn, competition, None).await? {
        of_teams.entry(team).or_default().extend(names.into_iter().flatten());
    }
    let names = |(team, all): (TeamId, Vec<String>)| (team, Names::new(all.iter().map(String::as_str)));
    Ok(of_teams.into_iter().map(names).collect())
}

/// What a judge is shown of an entry: the version that stands, and the names to blot out.
pub struct Judged {
    /// Its id.
    pub id: EntryId,
    /// The number the judge knows it by.
    pub number: i64,
    /// What was submitted; to be shown through [`Judged::names`].
    pub content: Content,
    /// The names to blot out.
    pub names: Names,
}

impl Judged {
    /// The title as a blind judge reads it.
    pub fn title(&self) -> String {
        self.names.mask(&self.content.title)
    }
}

/// An entry for a judge; none where nothing of it stands as submitted. Whether this judge may see it is
/// for the caller to know.
///
/// # Errors
/// When the database fails.
pub async fn for_judge(conn: &mut Connection, entry: &Entry) -> Result<Option<Judged>, StoreError> {
    let Some(number) = entry.standing_version() else { return Ok(None) };
    let Some(version) = db::version_of(conn, entry.id, number).await? else { return Ok(None) };
    let names = names(conn, entry.competition, entry.team).await?;
    Ok(Some(Judged { id: entry.id, number: entry.number, content: version.content, names }))
}

/// The titles of the entries that stand as submitted, as blind judges read them, by the entries' numbers.
///
/// # Errors
/// When the database fails.
pub async fn blind_titles(
    conn: &mut Connection,
    competition: CompetitionId,
) -> Result<Vec<(EntryId, String)>, StoreError> {
    let names = all_names(conn, competition).await?;
    let titles = db::standing_titles(conn, competition).await?;
    let blind = |(id, team, title): (EntryId, TeamId, String)| {
        let masked = names.get(&team).map_or_else(|| title.clone(), |names| names.mask(&title));
        (id, masked)
    };
    Ok(titles.into_iter().map(blind).collect())
}
