//! Judging on the desk: for organizers, and for the chair of a panel, who sees nothing else of the desk.

mod acts;
mod exports;
mod overview;
mod reading;
mod results;
mod rubric_form;
mod rubric_page;

use axum::Router;
use axum::http::StatusCode;

use crate::ids::PanelId;
use crate::judging::rubric::{self, InForce};
use crate::judging::{Panel, Seat, panel};
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::LOGIN_NEEDED;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::Hall;

pub(super) fn router() -> Router<App> {
    Router::new()
        .merge(overview::router())
        .merge(acts::router())
        .merge(rubric_page::router())
        .merge(reading::router())
        .merge(results::router())
        .merge(exports::router())
}

/// Somebody who runs a panel, at the desk.
struct Court {
    hall: Hall,
    /// The panels that they run, the main one first.
    panels: Vec<Panel>,
    /// The one that is looked at; none before the first judge is appointed.
    panel: Option<Panel>,
    seat: Option<Seat>,
    force: Option<InForce>,
}

impl Court {
    /// Lets in organizers, and the chair to their own panels; `wanted` is a panel's id, `main`, or nothing.
    async fn enter(app: &App, frame: &Frame, slug: &str, wanted: &str) -> Result<Self, PageError> {
        let hall = Hall::enter(app, frame, slug).await?;
        let Some(actor) = frame.actor() else {
            return Err(PageError::plain(StatusCode::UNAUTHORIZED, LOGIN_NEEDED));
        };
        let mut conn = app.db.read().await?;
        let who = (actor.into(), actor.user);
        let mut seats = Vec::new();
        for panel in panel::db::of_competition(&mut conn, hall.competition.id).await? {
            let seat = Seat::of(&mut conn, &panel, who, hall.organizer).await?;
            if hall.organizer || (seat.chair && actor.may_judge(hall.competition.id)) {
                seats.push((panel, seat));
            }
        }
        if seats.is_empty() && !hall.organizer {
            return Err(PageError::forbidden());
        }
        let force = rubric::in_force(&mut conn, hall.competition.id).await?;
        let found = match (wanted, wanted.parse::<PanelId>()) {
            ("" | "main", _) => seats.first().cloned(),
            (_, Ok(id)) => {
                Some(seats.iter().find(|(p, _)| p.id == id).cloned().ok_or_else(PageError::not_found)?)
            }
            (_, Err(_)) => return Err(PageError::not_found()),
        };
        let (panel, seat) = found.unzip();
        let panels = seats.into_iter().map(|(panel, _)| panel).collect();
        Ok(Self { hall, panels, panel, seat, force })
    }

    /// The panel that is looked at, and what the visitor is on it; the main one is made where there is none.
    async fn at(self, app: &App, frame: &Frame) -> Result<(Hall, Panel, Seat), PageError> {
        if let (Some(panel), Some(seat)) = (self.panel, self.seat) {
            return Ok((self.hall, panel, seat));
        }
        let actor = frame.actor().ok_or_else(PageError::forbidden)?;
        let panel = panel::main(&app.house, &self.hall.competition, actor.into()).await?;
        let mut conn = app.db.read().await?;
        let seat = Seat::of(&mut conn, &panel, (actor.into(), actor.user), self.hall.organizer).await?;
        Ok((self.hall, panel, seat))
    }

    fn per_entry(&self) -> usize {
        self.force.as_ref().map_or(0, |(_, judging)| judging.per_entry as usize)
    }

    fn blind(&self) -> bool {
        self.force.as_ref().is_none_or(|(_, judging)| judging.blind)
    }
}

/// Where a panel's page is.
fn page_of(hall: &Hall, panel: &Panel) -> String {
    format!("{}/desk/judging?panel={}", hall.base(), panel.id)
}
