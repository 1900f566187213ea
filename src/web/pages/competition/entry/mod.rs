//! A team's entry (作品): one form that all members write in, its history, the preview as judges see it.

mod acts;
mod form;
mod page;

use axum::Router;
use axum::extract::multipart::Multipart;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};

use self::form::{Form, Press};
use self::page::Sent;
use super::hall::Hall;
use crate::contest::definition::EntryRules;
use crate::contest::entry as taking_part;
use crate::contest::model::Team;
use crate::ids::SubmissionId;
use crate::judging::entries::{self, Change, Desk, EntryFault, Window};
use crate::store::Connection;
use crate::web::App;
use crate::web::error::{Explain as _, PageError, Problem};
use crate::web::guard::User;
use crate::web::limits::Limited;
use crate::web::page::{Frame, Notice};

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/entry", get(show))
        .route("/competitions/{slug}/entry/preview", get(acts::preview))
        .route("/competitions/{slug}/entry/files/{id}", get(acts::file))
        .route("/competitions/{slug}/entry/versions/{number}", get(acts::version))
        .route("/competitions/{slug}/entry/versions/{number}/restore", post(acts::restore))
        .route("/competitions/{slug}/entry/withdraw", post(acts::withdraw))
        .route("/competitions/{slug}/entry/publish", post(acts::publish))
}

pub(super) fn uploads() -> Router<App> {
    Router::new().route("/competitions/{slug}/entry/save", post(save))
}

/// What a competition asks of entries; the page is not there where it asks nothing.
fn rules(hall: &Hall) -> Result<&EntryRules, PageError> {
    hall.entries.as_ref().ok_or_else(PageError::not_found)
}

/// Where the visitor's team writes.
fn desk<'a>(hall: &'a Hall, team: &'a Team) -> Result<Desk<'a>, PageError> {
    let rules = rules(hall)?;
    Ok(Desk { competition: &hall.competition, rules, window: Window::of(rules, &hall.phases), team })
}

/// The visitor's team, which takes part and has accepted the terms.
async fn own_team<'a>(app: &App, hall: &'a Hall, user: &User) -> Result<&'a Team, PageError> {
    let mut conn = app.db.read().await?;
    taking_part::admitted(&mut conn, &hall.competition, user.actor.user, &hall.terms).await?;
    hall.team.as_ref().ok_or_else(|| taking_part::EntryError::NoTeam.into())
}

/// A team's best submission on the board: of the phase that is open, or the last one that began.
async fn best(
    app: &App,
    conn: &mut Connection,
    hall: &Hall,
    team: &Team,
) -> Result<Option<SubmissionId>, PageError> {
    let Ok(phase) = hall.phase_begun(None) else { return Ok(None) };
    let board = app.boards.board(conn, phase, &hall.competition.definition.leaderboard).await?;
    Ok(board.best_row(team.id).map(|row| row.submission))
}

async fn show(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    page::show(&frame, &app, &user, &hall, None).await
}

/// Takes the form: saves it, and hands it in where that was asked for.
async fn save(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    mut multipart: Multipart,
) -> Result<Response, PageError> {
    app.limits.check(Limited::Api, &user.actor.user.to_string())?;
    let mut hall = Hall::enter(&app, &frame, &slug).await?;
    let form = Form::read(&mut multipart, rules(&hall)?).await?;
    if form.has_files() {
        app.limits.check(Limited::Upload, &user.actor.user.to_string())?;
    }
    make_team(&app, &mut hall, &user).await?;
    let team = own_team(&app, &hall, &user).await?;
    let (press, seen, content) = (form.press(), form.seen(), form.content());
    let taken = async {
        let (pictures, pdf) = form.files().await?;
        let change = Change { seen, content: content.clone(), pictures, pdf, asked: press == Press::Save };
        let draft = entries::save(&app.house, desk(&hall, team)?, (&user.actor).into(), change).await?;
        Ok::<_, Refused>(draft)
    };
    let draft = match taken.await {
        Ok(draft) => draft,
        Err(Refused::Page(error)) => return Err(error),
        Err(Refused::Fault(fault)) => {
            let sent = Sent { content, seen, fault };
            return refused(&frame, &app, &user, &hall, press, sent).await;
        }
    };
    if press == Press::Auto {
        let at = app.clock.now();
        return Ok(axum::Json(serde_json::json!({ "revision": draft.revision, "at": at })).into_response());
    }
    let page = format!("{}/entry", hall.base());
    if press == Press::Save {
        return Ok(frame.done(&page, "flash-entry-saved"));
    }
    let best = best(&app, &mut *app.db.read().await?, &hall, team).await?;
    let by = (&user.actor).into();
    match entries::submit(&app.house, desk(&hall, team)?, by, draft.revision, best).await {
        Ok(_) => Ok(frame.done(&page, "flash-entry-submitted")),
        // a script that sent files with it finds them on the page, and what is missing
        Err(EntryFault::Lacks { .. }) if frame.visit().wants_json() => {
            frame.flash(Notice::Bad, "flash-entry-lacks", &[]);
            Ok(frame.go(&page))
        }
        Err(fault) => {
            let sent = Sent { content: draft.content, seen: draft.revision, fault };
            refused(&frame, &app, &user, &hall, press, sent).await
        }
    }
}

/// Why a form was not taken: something about the entry, or the page as such.
enum Refused {
    Fault(EntryFault),
    Page(PageError),
}

impl From<EntryFault> for Refused {
    fn from(fault: EntryFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<PageError> for Refused {
    fn from(error: PageError) -> Self {
        Self::Page(error)
    }
}

/// The form again with what was sent, where the fault is about that; a script is told in its own way.
async fn refused(
    frame: &Frame,
    app: &App,
    user: &User,
    hall: &Hall,
    press: Press,
    sent: Sent,
) -> Result<Response, PageError> {
    let about_it = matches!(sent.fault, EntryFault::Changed(_)) || !sent.fault.faults().is_empty();
    if press == Press::Auto || frame.visit().wants_json() {
        return Ok(Problem::from(sent.fault).into_response());
    }
    match about_it {
        true => page::show(frame, app, user, hall, Some(sent)).await,
        false => Err(sent.fault.into()),
    }
}

/// Somebody who takes part and has no team gets one of their own, as with the first submission.
async fn make_team(app: &App, hall: &mut Hall, user: &User) -> Result<(), PageError> {
    if hall.team.is_some() {
        return Ok(());
    }
    let mut tx = app.db.begin().await?;
    let id = user.actor.user;
    taking_part::admitted(&mut tx, &hall.competition, id, &hall.terms).await?;
    let (clock, entropy) = (&app.clock, app.entropy);
    let team =
        taking_part::team_for_submitting(&mut tx, clock, entropy, &hall.competition, id, &user.actor.name);
    let team = team.await?;
    tx.commit().await?;
    hall.team = Some(team);
    Ok(())
}
