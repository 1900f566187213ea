//! A panel at a glance: its judges, how far they are, who is short, what is to be done next.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Court;
use crate::ids::{EntryId, UserId};
use crate::judging::{
    Assignment, AssignmentState, Conflict, Judge, JudgeState, Panel, assign, entries, minutes, panel, result,
};
use crate::store::Connection;
use crate::web::App;
use crate::web::error::PageError;
use crate::web::page::Frame;

/// Entries on a page.
const PAGE: usize = 100;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/desk/judging", get(page))
        .route("/competitions/{slug}/desk/judging/{panel}/minutes", get(shown_minutes))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    panel: String,
    /// Whom to look for, to be appointed.
    q: String,
    page: usize,
}

#[derive(Serialize)]
struct JudgeView {
    id: UserId,
    login: String,
    name: String,
    organisation: Option<String>,
    chair: bool,
    state: &'static str,
    stands: bool,
    changed_at: Timestamp,
    reason: String,
    /// To mark in this round, and submitted.
    all: usize,
    done: usize,
}

#[derive(Serialize)]
struct EntryView {
    number: i64,
    title: String,
    team: Option<String>,
    all: usize,
    done: usize,
    wanted: usize,
    /// Judges who are kept from it by a conflict, where it is short of them.
    conflicts: usize,
    /// Whether it is judged a second time.
    second: bool,
}

#[derive(Serialize)]
struct ConflictView {
    id: String,
    judge: String,
    entry: Option<i64>,
    organisation: Option<String>,
    reason: String,
    at: Timestamp,
}

fn judge_view(judge: Judge, assignments: &[Assignment], round: i64) -> JudgeView {
    let own = || assignments.iter().filter(|a| a.judge == judge.user && a.round == round);
    let counts = |a: &&Assignment| a.state != AssignmentState::Ended;
    JudgeView {
        all: own().filter(counts).count(),
        done: own().filter(|a| a.state == AssignmentState::Submitted).count(),
        id: judge.user,
        login: judge.login,
        name: judge.name,
        organisation: judge.organisation.map(|(_, name)| name),
        chair: judge.chair,
        stands: judge.state.stands(),
        state: judge.state.as_str(),
        changed_at: judge.changed_at,
        reason: judge.reason,
    }
}

/// Everything that the page shows of one panel.
struct Glance {
    judges: Vec<Judge>,
    assignments: Vec<Assignment>,
    entries: Vec<entries::Entry>,
    conflicts: Vec<Conflict>,
    barred: BTreeSet<(UserId, EntryId)>,
    /// What is judged a second time, by how many.
    again: BTreeMap<EntryId, usize>,
}

impl Glance {
    async fn of(conn: &mut Connection, panel: &Panel) -> Result<Self, PageError> {
        Ok(Self {
            judges: panel::db::judges(conn, panel.id).await?,
            assignments: assign::db::of_panel(conn, panel.id).await?,
            entries: assign::entries_of(conn, panel).await?,
            conflicts: panel::db::conflicts(conn, panel.competition).await?,
            barred: assign::conflicts(conn, panel).await?,
            again: assign::db::asked_again(conn, panel.id).await?,
        })
    }

    /// Numbers of entries that were drawn and are judged no more.
    fn withdrawn(&self) -> Vec<i64> {
        let there = |entry| self.entries.iter().any(|known| known.id == entry);
        let gone = self.assignments.iter().filter(|a| !there(a.entry)).map(|a| a.number);
        gone.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn entries(
        &self,
        wanted: usize,
        (titles, teams): (&BTreeMap<EntryId, String>, Option<&crate::scoring::board::Teams>),
    ) -> Vec<EntryView> {
        // by entry: how many of its latest round are to be marked, and are submitted
        let mut counts: BTreeMap<EntryId, (usize, usize)> = BTreeMap::new();
        for a in self.assignments.iter().filter(|a| a.state != AssignmentState::Ended) {
            if a.round == if self.again.contains_key(&a.entry) { 2 } else { 1 } {
                let count = counts.entry(a.entry).or_default();
                count.0 += 1;
                count.1 += usize::from(a.state == AssignmentState::Submitted);
            }
        }
        let accepted = |user: &UserId| {
            self.judges.iter().any(|judge| judge.user == *user && judge.state == JudgeState::Accepted)
        };
        let view = |entry: &entries::Entry| {
            let (all, done) = counts.get(&entry.id).copied().unwrap_or_default();
            let again = self.again.get(&entry.id).copied();
            let barred = self.barred.iter().filter(|(user, other)| *other == entry.id && accepted(user));
            EntryView {
                number: entry.number,
                title: titles.get(&entry.id).cloned().unwrap_or_default(),
                team: teams.and_then(|teams| teams.get(&entry.team)).map(|team| team.name.clone()),
                all,
                done,
                wanted: again.unwrap_or(wanted),
                conflicts: barred.count(),
                second: again.is_some(),
            }
        };
        self.entries.iter().map(view).collect()
    }
}

/// How far a round is, in sheets.
fn progress(assignments: &[Assignment], round: i64) -> (usize, usize) {
    let of = |state| assignments.iter().filter(|a| a.round == round && a.state == state).count();
    let (done, open) = (of(AssignmentState::Submitted), of(AssignmentState::Assigned));
    (done, done + open)
}

/// What the page shows of a panel.
#[derive(Default)]
struct Part {
    judges: Vec<JudgeView>,
    entries: Vec<EntryView>,
    /// Numbers of entries that were withdrawn after the draw.
    withdrawn: Vec<i64>,
    conflicts: Vec<ConflictView>,
    /// Sheets of the round that are submitted, and all.
    round: (usize, usize),
    signed: Option<serde_json::Value>,
}

async fn part(app: &App, court: &Court) -> Result<Part, PageError> {
    let (Some(panel), Some(seat)) = (&court.panel, &court.seat) else { return Ok(Part::default()) };
    let mut conn = app.db.read().await?;
    let glance = Glance::of(&mut conn, panel).await?;
    let titles: BTreeMap<_, _> =
        entries::blind_titles(&mut conn, panel.competition).await?.into_iter().collect();
    let teams = match seat.sees_names(panel, court.blind()) {
        true => Some(app.boards.teams(&mut conn, panel.competition).await?),
        false => None,
    };
    let signed = result::db::of_panel(&mut conn, panel.id).await?.into_iter().next();
    let name = |user| glance.judges.iter().find(|j| j.user == user).map(|j| j.name.clone());
    let number = |entry| glance.entries.iter().find(|e| e.id == entry).map(|e| e.number);
    let conflicts = glance.conflicts.iter().filter_map(|c| {
        Some(ConflictView {
            id: c.id.to_string(),
            judge: name(c.user)?,
            entry: c.entry.and_then(number),
            organisation: c.organisation.as_ref().map(|(_, name)| name.clone()),
            reason: c.reason.clone(),
            at: c.declared_at,
        })
    });
    let view = |judge: &Judge| judge_view(judge.clone(), &glance.assignments, panel.round);
    Ok(Part {
        conflicts: conflicts.collect(),
        judges: glance.judges.iter().map(view).collect(),
        entries: glance.entries(court.per_entry(), (&titles, teams.as_deref())),
        withdrawn: glance.withdrawn(),
        round: progress(&glance.assignments, panel.round),
        signed: signed.map(|s| {
            json!({"edition": s.edition, "at": s.signed_at.to_string(), "digest": s.digest, "holds": s.holds()})
        }),
    })
}

/// Accounts that a search finds, for organizers to appoint.
async fn candidates(
    app: &App,
    court: &Court,
    text: &str,
    part: &Part,
) -> Result<Vec<serde_json::Value>, PageError> {
    if text.trim().is_empty() || !court.hall.organizer {
        return Ok(Vec::new());
    }
    let found = panel::db::accounts(&mut *app.db.read().await?, text).await?;
    let there = |login: &String| part.judges.iter().any(|judge| judge.stands && judge.login == *login);
    let view = |(_, login, name, organisation): (UserId, String, String, Option<String>)| json!({"there": there(&login), "login": login, "name": name, "organisation": organisation});
    Ok(found.into_iter().map(view).collect())
}

async fn page(
    frame: Frame,
    State(app): State<App>,
    Path(slug): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let court = Court::enter(&app, &frame, &slug, &wanted.panel).await?;
    let part = part(&app, &court).await?;
    let found = candidates(&app, &court, &wanted.q, &part).await?;
    let waiting = match &court.panel {
        Some(_) => part.entries.len(),
        None => entries::submitted(&mut *app.db.read().await?, court.hall.competition.id).await?.len(),
    };
    let total = part.entries.len();
    let from = wanted.page.saturating_mul(PAGE).min(total);
    let accepted = part.judges.iter().filter(|judge| judge.state == JudgeState::Accepted.as_str()).count();
    // in a second round, those that were chosen for it
    let first = court.panel.as_ref().is_none_or(|panel| panel.round == 1);
    let short = |entry: &&EntryView| (first || entry.second) && entry.all < entry.wanted;
    let short = part.entries.iter().filter(short).count();
    let declared = court.hall.competition.definition.judging.as_ref();
    let differs = declared.is_some_and(|declared| court.force.as_ref().is_some_and(|(_, f)| f != declared));
    court
        .hall
        .page(&app, &frame, "desk/judging/overview.html", "judging")
        .await?
        .with("panel", &court.panel.as_ref().map(panel_view))
        .with("panels", &court.panels.iter().map(panel_view).collect::<Vec<_>>())
        .with("chair", &court.seat.is_some_and(|seat| seat.chair))
        .with("judges", &part.judges)
        .with("accepted", &accepted)
        .with("entries", &part.entries[from..total.min(from + PAGE)])
        .with("total", &total)
        .with("page", &wanted.page)
        .with("page_size", &PAGE)
        .with("waiting", &waiting)
        .with("done", &part.round.0)
        .with("all", &part.round.1)
        .with("short", &short)
        .with("conflicts", &part.conflicts)
        .with("withdrawn", &part.withdrawn)
        .with("found", &found)
        .with("q", &wanted.q)
        .with("rubric", &court.force.as_ref().map(|(version, _)| *version))
        .with("per_entry", &court.per_entry())
        .with("deadline", &court.force.as_ref().and_then(|(_, judging)| judging.deadline))
        .with("differs", &differs)
        .with("signed", &part.signed)
        .with("faults", &Vec::<()>::new())
        .render()
}

pub(super) fn panel_view(panel: &Panel) -> serde_json::Value {
    json!({
        "id": panel.id, "name": panel.name, "main": panel.main, "state": panel.state, "round": panel.round,
        "edition": panel.edition, "peek": panel.peek, "seed": panel.seed,
    })
}

#[derive(Serialize)]
struct MinuteView {
    number: i64,
    at: Timestamp,
    who: String,
    kind: String,
    lines: Vec<(String, String)>,
    digest: String,
}

async fn shown_minutes(
    frame: Frame,
    State(app): State<App>,
    Path((slug, id)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let court = Court::enter(&app, &frame, &slug, &id).await?;
    let (Some(panel), Some(seat)) = (court.panel.clone(), court.seat) else {
        return Err(PageError::not_found());
    };
    let mut conn = app.db.read().await?;
    let mut all = minutes::shown(&mut conn, &panel, seat, court.blind()).await?;
    let broken = minutes::broken(&mut conn, panel.id).await?;
    let judges = panel::db::judges(&mut conn, panel.id).await?;
    drop(conn);
    all.reverse();
    let total = all.len();
    let page: Vec<_> = all.into_iter().skip(wanted.page.saturating_mul(PAGE)).take(PAGE).collect();
    let actors = page.iter().filter_map(|minute| minute.actor.parse::<crate::audit::Actor>().ok()?.user());
    let actors: Vec<UserId> = actors.collect::<BTreeSet<_>>().into_iter().collect();
    let logins = app.people.logins(&actors).await?;
    let who = |actor: &str| {
        if actor == minutes::TEAM {
            return frame.say("minute-team", &vec![]);
        }
        let user = actor.parse::<crate::audit::Actor>().ok().and_then(|actor| actor.user());
        let judge = user.and_then(|user| judges.iter().find(|judge| judge.user == user));
        let login = user.and_then(|user| logins.get(&user));
        judge.map(|judge| judge.name.clone()).or_else(|| login.cloned()).unwrap_or_else(|| actor.to_owned())
    };
    let views: Vec<MinuteView> = page
        .into_iter()
        .map(|minute| MinuteView {
            number: minute.number,
            at: minute.at,
            who: who(&minute.actor),
            lines: minute.detail.iter().filter_map(|(n, v)| Some((n.clone(), said(&frame, n, v)?))).collect(),
            kind: minute.kind,
            digest: minute.digest,
        })
        .collect();
    court
        .hall
        .page(&app, &frame, "desk/judging/minutes.html", "judging")
        .await?
        .with("panel", &panel_view(&panel))
        .with("minutes", &views)
        .with("broken", &broken)
        .with("total", &total)
        .with("page", &wanted.page)
        .with("page_size", &PAGE)
        .render()
}

/// A value of the minutes as a line; nothing of what is empty.
fn said(frame: &Frame, name: &str, value: &serde_json::Value) -> Option<String> {
    use serde_json::Value;
    match (name, value) {
        (_, Value::Null) => None,
        (_, Value::Bool(yes)) => Some(frame.say(if *yes { "detail-yes" } else { "detail-no" }, &vec![])),
        (_, Value::String(text)) if text.is_empty() => None,
        ("state", Value::String(text)) => Some(frame.say(&format!("judge-{text}"), &vec![])),
        (_, Value::String(text)) => Some(text.clone()),
        (_, Value::Array(items)) if items.is_empty() => None,
        (_, Value::Array(items)) => {
            Some(items.iter().filter_map(|item| said(frame, name, item)).collect::<Vec<_>>().join(", "))
        }
        // an entry that is short of judges: how many of how many
        (_, Value::Object(short)) => {
            Some(format!("{} ({}/{})", short.get("entry")?, short.get("judges")?, short.get("wanted")?))
        }
        (_, other) => Some(other.to_string()),
    }
}
