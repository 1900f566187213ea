//! [`Boards`]: the leaderboards in memory, one for each phase that somebody looks at. A board is asked
//! for with every page; it reads the phase's version, and what changed since the version it holds, so
//! that a new score costs one small query and a sort of rows that are nearly sorted already. Beside a
//! board stand the ranks of the morning ([`mark`]) and, for rows that somebody looked at, the way there
//! ([`spark`]).
//!
//! It works on values that the airlock has cleared and on nothing else.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::leaderboard::{Entry, Scores, sort};
use crate::airlock::standings::db as standings;
use crate::airlock::{Cleared, Organizer, Public, shown};
use crate::contest::definition::{Leaderboard, Sorting};
use crate::contest::entry::db as entry_db;
use crate::contest::model::Phase;
use crate::ids::{CompetitionId, PhaseId, SubmissionId, TeamId};
use crate::store::{Connection, StoreError};
use crate::submission::db as submission_db;

mod db;
pub mod mark;
pub mod spark;

pub use mark::{Mark, Movement};
pub use spark::Spark;

/// How long the teams' names, and what a board is compared with, are kept before they are asked for again.
const KEPT: Duration = Duration::from_secs(10);

/// A team as the board shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamLabel {
    /// Its name.
    pub name: String,
    /// The names of its present members, in the order in which they joined.
    pub members: Vec<String>,
}

/// A row's answers to the fact sheet, by the question's key.
pub type Facts = BTreeMap<String, serde_json::Value>;

/// A phase's board at one version: its rows in order.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// The version of the phase's board that this is.
    pub version: i64,
    /// The rows, the best first: a row's rank is its place, counted from 1.
    pub rows: Vec<Entry<Public>>,
    hidden: HashMap<SubmissionId, Cleared<Scores, Organizer>>,
    facts: HashMap<SubmissionId, Facts>,
    ranks: HashMap<SubmissionId, usize>,
    best: HashMap<TeamId, usize>,
    /// The version at which a team's rows were last read.
    changed: HashMap<TeamId, i64>,
}

impl Board {
    /// Brings it up to date.
    async fn catch_up(
        &mut self,
        conn: &mut Connection,
        phase: PhaseId,
        definition: &Leaderboard,
    ) -> Result<(), StoreError> {
        // read before the rows: a change in between is then read twice, never missed
        let version = standings::board_version(conn, phase).await?;
        if self.version != version {
            let changes = standings::board_changes(conn, phase, self.version).await?;
            let facts = submission_db::facts_on_board(conn, phase, self.version).await?;
            self.facts.extend(facts);
            self.changed.extend(changes.iter().map(|change| (change.entry.team, version)));
            self.renew(definition, changes);
            self.version = version;
        }
        Ok(())
    }

    /// The rank of a submission, counted from 1, if it stands.
    pub fn rank(&self, submission: SubmissionId) -> Option<usize> {
        self.ranks.get(&submission).copied()
    }

    /// The rank of a team's best row, counted from 1, if it has one.
    pub fn best_rank(&self, team: TeamId) -> Option<usize> {
        self.best.get(&team).copied()
    }

    /// A team's best row.
    pub fn best_row(&self, team: TeamId) -> Option<&Entry<Public>> {
        self.rows.get(self.best_rank(team)?.checked_sub(1)?)
    }

    /// A row's hidden columns, for organizers.
    pub fn hidden(&self, submission: SubmissionId) -> Option<&Cleared<Scores, Organizer>> {
        self.hidden.get(&submission)
    }

    /// A row's answers to the fact sheet.
    pub fn facts(&self, submission: SubmissionId) -> Option<&Facts> {
        self.facts.get(&submission)
    }

    /// Takes in what changed and puts the rows in order.
    fn renew(&mut self, board: &Leaderboard, changes: Vec<standings::BoardChange>) {
        for change in changes {
            let id = change.entry.submission;
            let place = self.ranks.get(&id).and_then(|rank| rank.checked_sub(1));
            match (place, change.removed) {
                (_, true) => {
                    self.hidden.remove(&id);
                    self.facts.remove(&id);
                    self.rows.retain(|row| row.submission != id);
                    self.number();
                }
                (Some(place), false) if self.rows.get(place).is_some_and(|row| row.submission == id) => {
                    self.hidden.insert(id, change.organizer);
                    self.rows[place] = change.entry;
                }
                (_, false) => {
                    self.hidden.insert(id, change.organizer);
                    self.ranks.insert(id, self.rows.len() + 1);
                    self.rows.push(change.entry);
                }
            }
        }
        sort(board, &mut self.rows);
        self.number();
    }

    fn number(&mut self) {
        self.ranks.clear();
        self.best.clear();
        for (row, rank) in self.rows.iter().zip(1..) {
            self.ranks.insert(row.submission, rank);
            self.best.entry(row.team).or_insert(rank);
        }
    }
}

/// The teams of a competition by id.
pub type Teams = HashMap<TeamId, TeamLabel>;

struct HeldTeams {
    teams: Arc<Teams>,
    read: Instant,
    /// The last board whose teams were all found among these.
    whole: Option<(PhaseId, i64)>,
}

struct HeldMark {
    mark: Option<Arc<Mark>>,
    day: i64,
    read: Instant,
}

struct HeldSpark {
    spark: Option<Arc<Spark>>,
    /// The version of the board beside which it was drawn.
    version: i64,
}

#[derive(Default)]
struct Shelf {
    boards: HashMap<PhaseId, Arc<tokio::sync::Mutex<Arc<Board>>>>,
    teams: HashMap<CompetitionId, HeldTeams>,
    marks: HashMap<PhaseId, HeldMark>,
    sparks: HashMap<PhaseId, HashMap<TeamId, HeldSpark>>,
}

/// The lines of some teams, by team; a team without one has had one score, or none that is shown.
pub type Sparks = HashMap<TeamId, Arc<Spark>>;

/// The boards of this process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Boards(Arc<Mutex<Shelf>>);

impl std::fmt::Debug for Boards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Boards")
    }
}

impl Boards {
    /// The board of a phase as it is now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn board(
        &self,
        conn: &mut Connection,
        phase: &Phase,
        definition: &Leaderboard,
    ) -> Result<Arc<Board>, StoreError> {
        let slot = Arc::clone(self.shelf().boards.entry(phase.id).or_default());
        let mut held = slot.lock().await;
        if held.version != standings::board_version(conn, phase.id).await? {
            Arc::make_mut(&mut held).catch_up(conn, phase.id, definition).await?;
        }
        Ok(Arc::clone(&held))
    }

    /// The teams of a competition; a new name is seen within ten seconds.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn teams(
        &self,
        conn: &mut Connection,
        competition: CompetitionId,
    ) -> Result<Arc<Teams>, StoreError> {
        if let Some(held) = self.shelf().teams.get(&competition)
            && held.read.elapsed() < KEPT
        {
            return Ok(Arc::clone(&held.teams));
        }
        self.read_teams(conn, competition).await
    }

    /// The teams of a competition, read again when one that stands on `board` is not among those held.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn teams_on(
        &self,
        conn: &mut Connection,
        competition: CompetitionId,
        (phase, board): (PhaseId, &Board),
    ) -> Result<Arc<Teams>, StoreError> {
        let mut teams = self.teams(conn, competition).await?;
        let this = Some((phase, board.version));
        if self.shelf().teams.get(&competition).is_some_and(|held| held.whole == this) {
            return Ok(teams);
        }
        if !board.best.keys().all(|team| teams.contains_key(team)) {
            teams = self.read_teams(conn, competition).await?;
        }
        if let Some(held) = self.shelf().teams.get_mut(&competition) {
            held.whole = this;
        }
        Ok(teams)
    }

    async fn read_teams(
        &self,
        conn: &mut Connection,
        competition: CompetitionId,
    ) -> Result<Arc<Teams>, StoreError> {
        let mut teams: Teams = HashMap::new();
        for (id, name, member) in entry_db::team_labels(conn, competition).await? {
            let label = teams.entry(id).or_insert_with(|| TeamLabel { name, members: Vec::new() });
            label.members.extend(member);
        }
        let teams = Arc::new(teams);
        let held = HeldTeams { teams: Arc::clone(&teams), read: Instant::now(), whole: None };
        self.shelf().teams.insert(competition, held);
        Ok(teams)
    }

    /// What a phase's board is compared with: its ranks when the day began. One that was just taken is
    /// seen within ten seconds.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mark(
        &self,
        conn: &mut Connection,
        phase: PhaseId,
        now: Timestamp,
    ) -> Result<Option<Arc<Mark>>, StoreError> {
        let day = mark::day_of(now);
        let held = {
            let shelf = self.shelf();
            let held = shelf.marks.get(&phase);
            if let Some(held) = held.filter(|held| held.day == day && held.read.elapsed() < KEPT) {
                return Ok(held.mark.clone());
            }
            held.and_then(|held| held.mark.clone())
        };
        let taken_at = db::taken_at(conn, phase).await?;
        let mark = match held {
            Some(mark) if Some(mark.taken_at) == taken_at => Some(mark),
            _ => Mark::read(conn, phase).await?.map(Arc::new),
        };
        self.shelf().marks.insert(phase, HeldMark { mark: mark.clone(), day, read: Instant::now() });
        Ok(mark)
    }

    /// The lines of the teams given; those that changed since they were drawn, or never were, are read
    /// with one query.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sparks(
        &self,
        conn: &mut Connection,
        (phase, board): (PhaseId, &Board),
        definition: &Leaderboard,
        teams: &[TeamId],
    ) -> Result<Sparks, StoreError> {
        let mut found = Sparks::new();
        let mut wanted: Vec<TeamId> = Vec::new();
        {
            let mut shelf = self.shelf();
            let held = shelf.sparks.entry(phase).or_default();
            for team in teams.iter().filter(|team| board.best.contains_key(team)) {
                let changed = board.changed.get(team).copied().unwrap_or(0);
                match held.get(team).filter(|held| held.version >= changed) {
                    Some(held) => found.extend(held.spark.clone().map(|spark| (*team, spark))),
                    None if wanted.contains(team) => {}
                    None => wanted.push(*team),
                }
            }
        }
        if wanted.is_empty() {
            return Ok(found);
        }
        let courses = shown::courses(conn, definition, phase, &wanted).await?;
        let ascending = definition.primary().is_some_and(|column| column.sorting == Sorting::Asc);
        let mut shelf = self.shelf();
        let held = shelf.sparks.entry(phase).or_default();
        for team in wanted {
            let spark =
                courses.get(&team).and_then(|course| Spark::of(course.get(), ascending)).map(Arc::new);
            found.extend(spark.clone().map(|spark| (team, spark)));
            held.insert(team, HeldSpark { spark, version: board.version });
        }
        Ok(found)
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
