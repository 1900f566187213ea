//! Results: from submitted sheets and the public leaderboard to a ranking, and its signature.
//!
//! Central types: [`Outcome`], everything that a ranking came from, and [`Signature`], an outcome that the
//! chair signed. The automatic part is what the board shows to everybody: `Cleared<f64, Public>` from
//! [`Around::of`] to the pages; exact scores never come here.

pub mod db;
mod sign;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use super::arithmetic::{self, Marks, Standing, normalise, sheet_score, spread, total};
use super::model::{Assignment, AssignmentState, Panel, PanelState, Sheet};
use super::{JudgingError, Seat, assign, panel, rubric};
use crate::airlock::{Cleared, Public};
use crate::contest::definition::judging::{Automatic, Judging, Normalisation};
use crate::contest::model::{Competition, Phase};
use crate::ids::{EntryId, TeamId, UserId};
use crate::scoring::board::{Boards, Teams};
use crate::store::{Connection, StoreError};

pub use sign::{Signature, publish, sign};

/// What a ranking needs beside the sheets: what the board shows, and how teams are called.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// The value that stands on the board for each team, of the column that counts.
    pub board: BTreeMap<TeamId, Cleared<f64, Public>>,
    /// The teams.
    pub teams: Arc<Teams>,
}

impl Around {
    /// Reads what the board shows to everybody now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of(
        conn: &mut Connection,
        boards: &Boards,
        (competition, phases): (&Competition, &[Phase]),
        judging: Option<&Judging>,
    ) -> Result<Self, StoreError> {
        let teams = boards.teams(conn, competition.id).await?;
        let Some(source) = judging.and_then(|judging| judging.automatic.as_ref()) else {
            return Ok(Self { board: BTreeMap::new(), teams });
        };
        let Some(phase) = source.of_phase(phases) else { return Ok(Self { board: BTreeMap::new(), teams }) };
        let board = boards.board(conn, phase, &competition.definition.leaderboard).await?;
        let mut shown = BTreeMap::new();
        for row in &board.rows {
            // the first row of a team is its best
            if let (Some(value), false) = (row.scores.column(&source.column), shown.contains_key(&row.team)) {
                shown.insert(row.team, value);
            }
        }
        Ok(Self { board: shown, teams })
    }
}

/// One judge's sheet that counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SheetRow {
    /// The entry's number.
    pub entry: i64,
    /// The judge.
    pub judge: UserId,
    /// The name shown.
    pub name: String,
    /// The round it is of.
    pub round: i64,
    /// What it says.
    pub sheet: Sheet,
    /// Its points before normalisation, 0–100.
    pub score: f64,
    /// Its points after it.
    pub normalised: f64,
    /// When it was submitted.
    pub submitted_at: Option<Timestamp>,
}

/// The automatic part of an entry, 0–100: points of what the board shows to everybody, and nothing else. A team
/// that stands on no board has 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Points(Option<Cleared<f64, Public>>);

impl Points {
    /// As a number, to be reckoned with.
    pub fn get(&self) -> f64 {
        self.0.as_ref().map_or(0.0, |points| *points.get())
    }
}

impl Serialize for Points {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.get())
    }
}

/// One entry in the ranking. What it has from the board can be written down and not read back but by the
/// airlock: [`Signature::outcome`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryRow {
    /// Its rank, shared by equals; none without a judged part.
    pub rank: Option<usize>,
    /// The rank that it would have without normalisation.
    pub rank_before: Option<usize>,
    /// The entry.
    pub id: EntryId,
    /// Its number.
    pub number: i64,
    /// The team.
    pub team: TeamId,
    /// The team's name.
    pub team_name: String,
    /// The total, 0–100 but for what z-scores add.
    pub total: Option<f64>,
    /// The judged part: the mean of its judges' points after normalisation.
    pub judged: Option<f64>,
    /// The same before normalisation.
    pub judged_before: Option<f64>,
    /// The automatic part, where there is one.
    #[serde(skip_deserializing)]
    pub automatic: Option<Points>,
    /// The value on the board that it comes from.
    #[serde(skip_deserializing)]
    pub board: Option<Cleared<f64, Public>>,
    /// How far apart its judges are, in points.
    pub spread: Option<f64>,
    /// Whether that is more than the threshold.
    pub flagged: bool,
    /// Sheets that count.
    pub sheets: usize,
    /// The mean mark of each criterion.
    pub criteria: Marks,
    /// When it was submitted.
    pub submitted_at: Option<Timestamp>,
}

/// Everything that a ranking came from, the best entry first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The version of the rubric.
    pub rubric: i64,
    /// The rubric, weights and rules.
    pub judging: Judging,
    /// The entries in order.
    pub entries: Vec<EntryRow>,
    /// The sheets, by entry and judge.
    pub sheets: Vec<SheetRow>,
}

/// The ranking of a panel as it would be now; of a signed panel read [`Signature::outcome`] instead.
///
/// # Errors
/// [`JudgingError::NoRubric`].
pub async fn now(conn: &mut Connection, panel: &Panel, around: &Around) -> Result<Outcome, JudgingError> {
    let (rubric, judging) = rubric::in_force(conn, panel.competition).await?.ok_or(JudgingError::NoRubric)?;
    let names = panel::db::judges(conn, panel.id).await?;
    let names: BTreeMap<UserId, String> = names.into_iter().map(|judge| (judge.user, judge.name)).collect();
    let mut counting: BTreeMap<(i64, UserId), Assignment> = BTreeMap::new();
    for assignment in assign::db::of_panel(conn, panel.id).await? {
        if assignment.state == AssignmentState::Submitted {
            // by round: the second takes the first one's place
            counting.insert((assignment.number, assignment.judge), assignment);
        }
    }
    let sheets = sheets(&judging, counting.into_values(), &names);
    let mut entries = Vec::new();
    for entry in assign::entries_of(conn, panel).await? {
        let own: Vec<&SheetRow> = sheets.iter().filter(|row| row.entry == entry.number).collect();
        let before: Vec<f64> = own.iter().map(|row| row.score).collect();
        let after: Vec<f64> = own.iter().map(|row| row.normalised).collect();
        let board = around.board.get(&entry.team).cloned();
        let in_points = |source: &Automatic| board.as_ref().map(|value| value.points(source.from, source.to));
        let automatic = judging.automatic.as_ref().map(|source| Points(in_points(source)));
        let judged = arithmetic::mean(&after);
        let apart = judging.disagreement.and_then(|rule| spread(rule.measure, &before));
        entries.push(EntryRow {
            rank: None,
            rank_before: None,
            id: entry.id,
            number: entry.number,
            team: entry.team,
            team_name: around.teams.get(&entry.team).map(|team| team.name.clone()).unwrap_or_default(),
            total: total(judging.weights, automatic.as_ref().map(Points::get), judged),
            judged,
            judged_before: arithmetic::mean(&before),
            automatic,
            board,
            spread: apart,
            flagged: apart
                .zip(judging.disagreement)
                .is_some_and(|(apart, rule)| apart > rule.threshold + 1e-9),
            sheets: own.len(),
            criteria: means(&judging, &own),
            submitted_at: entry.submitted_at,
        });
    }
    Ok(Outcome { rubric, entries: ranked(&judging, entries), judging, sheets })
}

/// A ranking that may be shown to somebody who runs the panel.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The ranking.
    pub outcome: Outcome,
    /// Its signature, where it is signed.
    pub signature: Option<Signature>,
    /// Whether they may be told who made what.
    pub named: bool,
}

/// The ranking of a panel for who runs it, once no round is open: as it was signed, or as it is now.
///
/// # Errors
/// [`JudgingError::WrongState`] while a round is open; [`JudgingError::NotYours`].
pub async fn shown(
    conn: &mut Connection,
    boards: &Boards,
    of: (&Competition, &[Phase]),
    (panel, seat): (&Panel, Seat),
) -> Result<Shown, JudgingError> {
    seat.runs()?;
    if !seat.sees_marks(panel) {
        return Err(JudgingError::WrongState { state: panel.state });
    }
    let force = rubric::in_force(conn, panel.competition).await?;
    let judging = force.as_ref().map(|(_, judging)| judging);
    let named = seat.sees_names(panel, judging.is_none_or(|judging| judging.blind));
    if panel.state == PanelState::Signed {
        let signed = db::of_panel(conn, panel.id).await?;
        if let Some(signature) = signed.into_iter().find(|signature| signature.edition == panel.edition) {
            return Ok(Shown { outcome: signature.outcome(conn).await?, signature: Some(signature), named });
        }
    }
    let around = Around::of(conn, boards, of, judging).await?;
    Ok(Shown { outcome: now(conn, panel, &around).await?, signature: None, named })
}

impl Shown {
    /// All of it as one document: the signed one with its digest, or the ranking as it is now, without
    /// teams for who may not know them.
    pub fn document(&self) -> serde_json::Value {
        if let Some(s) = &self.signature {
            return json!({ "algorithm": "SM3", "digest": s.digest, "document": s.document });
        }
        let mut outcome = serde_json::to_value(&self.outcome).unwrap_or_default();
        let entries = outcome["entries"].as_array_mut().filter(|_| !self.named);
        for entry in entries.into_iter().flatten().filter_map(|entry| entry.as_object_mut()) {
            entry.remove("team");
            entry.remove("team_name");
        }
        json!({ "outcome": outcome })
    }
}

fn sheets(
    judging: &Judging,
    counting: impl Iterator<Item = Assignment>,
    names: &BTreeMap<UserId, String>,
) -> Vec<SheetRow> {
    let mut rows: Vec<SheetRow> = counting
        .filter_map(|assignment| {
            let score = sheet_score(&judging.criteria, &assignment.sheet.marks)?;
            Some(SheetRow {
                entry: assignment.number,
                judge: assignment.judge,
                name: names.get(&assignment.judge).cloned().unwrap_or_default(),
                round: assignment.round,
                sheet: assignment.sheet,
                score,
                normalised: score,
                submitted_at: assignment.submitted_at,
            })
        })
        .collect();
    let mut place: BTreeMap<UserId, usize> = BTreeMap::new();
    let scores: Vec<(usize, f64)> = rows
        .iter()
        .map(|row| {
            let next = place.len();
            (*place.entry(row.judge).or_insert(next), row.score)
        })
        .collect();
    for (row, normalised) in rows.iter_mut().zip(normalise(judging.normalisation, &scores)) {
        row.normalised = normalised;
    }
    rows
}

fn means(judging: &Judging, own: &[&SheetRow]) -> Marks {
    let mean = |key: &String| {
        let marks: Vec<f64> = own.iter().filter_map(|row| row.sheet.marks.get(key).copied()).collect();
        arithmetic::mean(&marks)
    };
    let keys = judging.criteria.iter().map(|criterion| &criterion.key);
    keys.filter_map(|key| Some((key.clone(), mean(key)?))).collect()
}

/// Puts the entries in order, each with its rank, and the one it would have without normalisation.
fn ranked(judging: &Judging, mut entries: Vec<EntryRow>) -> Vec<EntryRow> {
    let standing = |row: &EntryRow, judged: Option<f64>| Standing {
        total: total(judging.weights, row.automatic.as_ref().map(Points::get), judged),
        judged,
        automatic: row.automatic.as_ref().map(Points::get),
        criteria: row.criteria.clone(),
        submitted_at: row.submitted_at.map_or(i64::MAX, Timestamp::as_millisecond),
    };
    let before: Vec<Standing> = entries.iter().map(|row| standing(row, row.judged_before)).collect();
    let after: Vec<Standing> = entries.iter().map(|row| standing(row, row.judged)).collect();
    for (index, rank) in arithmetic::rank(&judging.ties, &before) {
        entries[index].rank_before = rank;
    }
    let order = arithmetic::rank(&judging.ties, &after);
    for (index, rank) in &order {
        entries[*index].rank = *rank;
    }
    let mut by_place: Vec<Option<EntryRow>> = entries.into_iter().map(Some).collect();
    order.iter().filter_map(|(index, _)| by_place[*index].take()).collect()
}

/// What normalisation did to one judge: how many sheets, and mean and deviation before it.
#[derive(Clone, Debug, Serialize)]
pub struct JudgeRow {
    /// The judge.
    pub judge: UserId,
    /// The name shown.
    pub name: String,
    /// Sheets that count.
    pub sheets: usize,
    /// Mean of their points before normalisation.
    pub mean: f64,
    /// Their standard deviation, of a population.
    pub deviation: f64,
    /// Mean after it.
    pub mean_after: f64,
    /// Standard deviation after it.
    pub deviation_after: f64,
    /// Whether they told no entries apart, so that normalisation leaves nothing of what they gave.
    pub flat: bool,
}

impl Outcome {
    /// The judges, by name: how strict each was, before and after.
    pub fn judges(&self) -> Vec<JudgeRow> {
        let mut by: BTreeMap<(String, UserId), Vec<&SheetRow>> = BTreeMap::new();
        for row in &self.sheets {
            by.entry((row.name.clone(), row.judge)).or_default().push(row);
        }
        let row = |((name, judge), rows): ((String, UserId), Vec<&SheetRow>)| {
            let before: Vec<f64> = rows.iter().map(|row| row.score).collect();
            let after: Vec<f64> = rows.iter().map(|row| row.normalised).collect();
            let (mean, deviation) = arithmetic::moments(&before);
            let (mean_after, deviation_after) = arithmetic::moments(&after);
            let flat = deviation < 1e-6 && self.judging.normalisation != Normalisation::None;
            JudgeRow { judge, name, sheets: rows.len(), mean, deviation, mean_after, deviation_after, flat }
        };
        by.into_iter().map(row).collect()
    }

    /// The sheets of one entry.
    pub fn sheets_of(&self, number: i64) -> impl Iterator<Item = &SheetRow> {
        self.sheets.iter().filter(move |row| row.entry == number)
    }
}
