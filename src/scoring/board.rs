//! [`Boards`]: the leaderboards in memory, one for each phase that somebody looks at. A board is asked
//! for with every page; it reads the phase's version, and what changed since the version it holds, so
//! that a new score costs one small query and a sort of rows that are nearly sorted already.
//!
//! It works on values that the airlock has cleared and on nothing else.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::leaderboard::{Entry, Scores, sort};
use crate::airlock::{Cleared, Organizer, Public, db as airlock_db};
use crate::contest::definition::Leaderboard;
use crate::contest::entry::db as entry_db;
use crate::contest::model::Phase;
use crate::ids::{CompetitionId, PhaseId, SubmissionId, TeamId};
use crate::store::{Connection, StoreError};
use crate::submission::db as submission_db;

/// How long the teams' names are kept before they are read again.
const NAMES_KEPT: Duration = Duration::from_secs(10);

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
}

impl Board {
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
    fn renew(&mut self, board: &Leaderboard, changes: Vec<airlock_db::BoardChange>) {
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

#[derive(Default)]
struct Shelf {
    boards: HashMap<PhaseId, Arc<tokio::sync::Mutex<Arc<Board>>>>,
    teams: HashMap<CompetitionId, HeldTeams>,
}

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
        // read before the rows: a change in between is then read twice, never missed
        let version = airlock_db::board_version(conn, phase.id).await?;
        if held.version != version {
            let changes = airlock_db::board_changes(conn, phase.id, held.version).await?;
            let facts = submission_db::facts_on_board(conn, phase.id, held.version).await?;
            let board = Arc::make_mut(&mut held);
            board.facts.extend(facts);
            board.renew(definition, changes);
            board.version = version;
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
            && held.read.elapsed() < NAMES_KEPT
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

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
