//! A team's history of scores as a chart: geometry alone, the values come from what it was told.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use super::hall::Hall;
use crate::airlock::db as airlock_db;
use crate::contest::definition::Sorting;
use crate::contest::model::Phase;
use crate::ids::{SubmissionId, TeamId};
use crate::scoring::leaderboard::{Scores, join};
use crate::store::{Connection, StoreError};
use crate::submission::db;
use crate::submission::model::State;

/// Width of the chart, in its own units.
const WIDTH: f64 = 640.0;
/// Height of the chart.
const HEIGHT: f64 = 180.0;
/// Room for the labels at the left, and free space around.
const LEFT: f64 = 84.0;
const AROUND: f64 = 14.0;
/// Points that are drawn: the latest ones.
const POINTS: usize = 200;

/// One point.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Point {
    x: f64,
    y: f64,
    value: f64,
    at: Timestamp,
    /// Whether it was better than all before.
    best: bool,
    id: String,
}

/// A chart ready to be drawn.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Chart {
    width: f64,
    height: f64,
    left: f64,
    points: Vec<Point>,
    /// The line of the best score so far, as `x,y x,y`.
    line: String,
    /// Labels at the side: place and value.
    ticks: Vec<(f64, f64)>,
    title: String,
    precision: u32,
    ascending: bool,
}

/// The history of a team's primary column in a phase; none before there are two scores.
pub(super) async fn of_team(
    conn: &mut Connection,
    hall: &Hall,
    phase: &Phase,
    team: TeamId,
) -> Result<Option<Chart>, StoreError> {
    let Some(column) = hall.public_columns().into_iter().find(|c| c.primary) else { return Ok(None) };
    // what is not told yet is not drawn either
    let told: HashMap<SubmissionId, Timestamp> = db::of_team(conn, phase.id, team)
        .await?
        .into_iter()
        .filter(|s| s.disclosed_state == State::Finished && s.competes())
        .map(|s| (s.id, s.created_at))
        .collect();
    let history = airlock_db::team_history(conn, phase.id, team).await?;
    let mut order: Vec<SubmissionId> = Vec::new();
    let mut newest: HashMap<(SubmissionId, Option<crate::ids::TaskId>), &Scores> = HashMap::new();
    for reply in history.iter().filter(|reply| told.contains_key(&reply.submission)) {
        if !order.contains(&reply.submission) {
            order.push(reply.submission);
        }
        newest.insert((reply.submission, reply.task), reply.scores.get());
    }
    let board = crate::airlock::lane1::visible(&hall.competition.definition.leaderboard);
    let ascending = board.columns.iter().any(|c| c.key == column.key && c.sorting == Sorting::Asc);
    let value = |id: SubmissionId| {
        let tasks = newest.iter().filter(|((submission, _), _)| *submission == id).map(|(_, scores)| *scores);
        join(&board, tasks).get(&column.key).copied()
    };
    let values: Vec<(SubmissionId, Timestamp, f64)> =
        order.into_iter().filter_map(|id| Some((id, *told.get(&id)?, value(id)?))).collect();
    Ok(draw(&values, ascending, column.title, column.precision))
}

fn draw(
    values: &[(SubmissionId, Timestamp, f64)],
    ascending: bool,
    title: String,
    precision: u32,
) -> Option<Chart> {
    let values = &values[values.len().saturating_sub(POINTS)..];
    if values.len() < 2 {
        return None;
    }
    let low = values.iter().map(|v| v.2).fold(f64::INFINITY, f64::min);
    let high = values.iter().map(|v| v.2).fold(f64::NEG_INFINITY, f64::max);
    let reach = if high > low { high - low } else { 1.0 };
    #[expect(clippy::cast_precision_loss, reason = "200 points at most")]
    let x = |place: usize| LEFT + (WIDTH - LEFT - AROUND) * place as f64 / (values.len() - 1) as f64;
    // better is higher up, whichever way the column runs
    let y = |value: f64| {
        let share = (value - low) / reach;
        let share = if ascending { 1.0 - share } else { share };
        AROUND + (HEIGHT - 2.0 * AROUND) * (1.0 - share)
    };
    let mut record: Option<f64> = None;
    let mut points = Vec::new();
    let mut line = String::new();
    for (place, (id, at, value)) in values.iter().enumerate() {
        let better = record.is_none_or(|r| if ascending { *value < r } else { *value > r });
        if better {
            if let Some(before) = record {
                line.push_str(&format!("{:.1},{:.1} ", x(place), y(before)));
            }
            record = Some(*value);
            line.push_str(&format!("{:.1},{:.1} ", x(place), y(*value)));
        }
        points.push(Point {
            x: x(place),
            y: y(*value),
            value: *value,
            at: *at,
            best: better,
            id: id.to_string(),
        });
    }
    if let Some(record) = record {
        line.push_str(&format!("{:.1},{:.1}", x(values.len() - 1), y(record)));
    }
    let ticks = vec![(y(low), low), (y(high), high)];
    Some(Chart { width: WIDTH, height: HEIGHT, left: LEFT, points, line, ticks, title, precision, ascending })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Entropy};

    fn values(list: &[f64]) -> Vec<(SubmissionId, Timestamp, f64)> {
        list.iter().map(|v| (Entropy.id(&Clock::system()), Timestamp::UNIX_EPOCH, *v)).collect()
    }

    #[test]
    fn a_better_score_is_drawn_higher_whichever_way_the_column_runs() {
        for ascending in [true, false] {
            let (worse, better) = if ascending { (2.0, 1.0) } else { (1.0, 2.0) };
            let chart = draw(&values(&[worse, better, worse]), ascending, "x".into(), 2).unwrap();
            assert!(chart.points[1].y < chart.points[0].y);
            assert_eq!(chart.points.iter().map(|p| p.best).collect::<Vec<_>>(), [true, true, false]);
        }
    }

    #[test]
    fn equal_scores_draw_a_level_line_and_one_score_draws_nothing() {
        assert!(draw(&values(&[1.0]), true, "x".into(), 2).is_none());
        let chart = draw(&values(&[1.0, 1.0]), true, "x".into(), 2).unwrap();
        assert!(chart.points.iter().all(|p| p.y.is_finite() && (p.y - chart.points[0].y).abs() < 1e-9));
    }
}
