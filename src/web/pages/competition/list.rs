//! The list of competitions, and those under way for the first page.

use std::collections::{BTreeMap, HashMap};

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use serde::Serialize;

use super::hall::locale;
use crate::contest::db as contest_db;
use crate::contest::entry;
use crate::contest::model::{Phase, PhaseTime};
use crate::ids::CompetitionId;
use crate::web::App;
use crate::web::error::PageError;
use crate::web::page::Frame;

pub(super) fn router() -> Router<App> {
    Router::new().route("/competitions", get(list))
}

/// A competition on a list.
#[derive(Serialize)]
pub(in crate::web::pages) struct Card {
    slug: String,
    title: String,
    description: String,
    organiser: Option<String>,
    reward: Option<String>,
    draft: bool,
    /// What the visitor has to do with it: `entered`, or a role's name.
    mine: Option<String>,
    /// `now`, `next` or `past`.
    state: &'static str,
    phase: Option<String>,
    ends_at: Option<Timestamp>,
    starts_at: Option<Timestamp>,
    left_seconds: Option<i64>,
    entrants: i64,
}

async fn cards(app: &App, frame: &Frame) -> Result<Vec<Card>, PageError> {
    let mut conn = app.db.read().await?;
    let competitions = contest_db::competitions(&mut conn).await?;
    let mut phases: HashMap<CompetitionId, Vec<Phase>> = HashMap::new();
    for phase in contest_db::all_phases(&mut conn).await? {
        phases.entry(phase.competition).or_default().push(phase);
    }
    let entrants = entry::db::admitted_counts(&mut conn).await?;
    let mine = match frame.actor() {
        Some(actor) => contest_db::competitions_of(&mut conn, actor.user).await?,
        None => BTreeMap::new(),
    };
    let (now, locale) = (app.clock.now(), locale(frame.lang()));
    let mut cards = Vec::new();
    for c in competitions {
        let organizer = frame.actor().is_some_and(|actor| actor.may_manage(c.id));
        if c.published_at.is_none() && !organizer {
            continue;
        }
        let phases = phases.remove(&c.id).unwrap_or_default();
        let with = |time| phases.iter().find(move |p| p.time(now) == time);
        let (state, phase) = match (with(PhaseTime::Open), with(PhaseTime::Ahead)) {
            (Some(open), _) => ("now", Some(open)),
            (None, Some(ahead)) => ("next", Some(ahead)),
            (None, None) => ("past", phases.last()),
        };
        let name = phase.map(|p| {
            let names = c.definition.locale.get(locale).map(|l| &l.names);
            let translated = names.and_then(|n| n.get(&format!("phases.{}", p.position)));
            translated.unwrap_or(&p.definition.name).clone()
        });
        let until = if state == "next" { phase.map(|p| p.starts_at) } else { phase.and_then(|p| p.ends_at) };
        cards.push(Card {
            title: c.title(locale).to_owned(),
            description: c.description(locale).to_owned(),
            organiser: c.definition.organiser.clone(),
            reward: c.definition.reward.clone(),
            draft: c.published_at.is_none(),
            mine: mine.get(&c.id).cloned(),
            state,
            phase: name,
            ends_at: phase.and_then(|p| p.ends_at),
            starts_at: phase.map(|p| p.starts_at),
            left_seconds: until.map(|at| at.duration_since(now).as_secs()),
            entrants: entrants.get(&c.id).copied().unwrap_or(0),
            slug: c.slug,
        });
    }
    Ok(cards)
}

/// The competitions under way or about to begin, for the first page: six at most.
pub(in crate::web::pages) async fn running(app: &App, frame: &Frame) -> Result<Vec<Card>, PageError> {
    let mut cards = cards(app, frame).await?;
    cards.retain(|card| !card.draft && card.state != "past");
    cards.sort_by_key(|card| (card.state != "now", card.left_seconds.unwrap_or(i64::MAX)));
    cards.truncate(6);
    Ok(cards)
}

async fn list(frame: Frame, State(app): State<App>) -> Result<Response, PageError> {
    let mut cards = cards(&app, &frame).await?;
    let place = |state| ["now", "next", "past"].iter().position(|s| *s == state);
    cards.sort_by_key(|card| (card.mine.is_none(), place(card.state)));
    let may_create = frame.actor().is_some_and(|actor| actor.may_create_competitions());
    frame.page("competition/list.html").with("cards", &cards).with("may_create", &may_create).render()
}
