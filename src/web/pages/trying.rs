//! [`Trying`]: somebody who may try an app, on whatever page they do: start it, wait until it is ready, go in,
//! stop it.

use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Serialize;

use super::competition::hall::Hall;
use crate::demo::ask::{self, AskError};
use crate::demo::model::{Demo, State as Stands};
use crate::demo::rights::As;
use crate::demo::{db, ticket};
use crate::ids::{EntryId, UserId};
use crate::submission::model::Submission;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::limits::Limited;
use crate::web::page::{Frame, Page};
use crate::web::{App, hosts, tunnel};

/// Somebody who may try the app of a submission.
pub(super) struct Trying {
    /// The competition, and who looks at it.
    pub hall: Hall,
    /// The submission.
    pub submission: Submission,
    /// In what capacity they may.
    pub as_whom: As,
    /// The entry that they judge, where they do.
    pub entry: Option<EntryId>,
    /// Who they are.
    pub user: UserId,
    /// Where the pages for them are.
    pub address: String,
}

/// A demo as whoever may try it sees it.
#[derive(Serialize)]
struct DemoView {
    state: &'static str,
    over: bool,
    stopping: bool,
    ahead: i64,
    deadline_at: Option<Timestamp>,
    reason: String,
    /// What the app printed when it did not start: for its team and organizers.
    detail: String,
}

pub(super) fn refused(error: AskError) -> PageError {
    match error {
        AskError::TooMany => PageError::plain(StatusCode::CONFLICT, "demo-too-many"),
        AskError::NotReleased => PageError::plain(StatusCode::FORBIDDEN, "demo-not-released"),
        AskError::Store(error) => error.into(),
    }
}

impl Trying {
    /// The newest that was started for them, over or not.
    async fn demo(&self, app: &App) -> Result<Option<Demo>, PageError> {
        let own = self.entry.map(|_| self.user);
        Ok(db::latest(&mut *app.db.read().await?, self.submission.id, own).await?)
    }

    /// A page that shows the app with its buttons (`demo.panel`), and what `more` adds.
    pub async fn page<'a>(
        &self,
        app: &App,
        frame: &'a Frame,
        (template, tab): (&'static str, &'static str),
        more: impl FnOnce(Page<'a>) -> Page<'a>,
    ) -> Result<Response, PageError> {
        let demo = self.demo(app).await?;
        let mut conn = app.db.read().await?;
        let mut hosts = hosts::alive(app, &mut conn).await?;
        // on one origin for all, a page of an app could reach what else its visitor opens there
        hosts.retain(|host| !host.door.is_shared());
        let mut view = None;
        if let Some(demo) = demo {
            view = Some(DemoView {
                state: demo.state.as_str(),
                over: demo.state.is_over(),
                stopping: demo.stop_asked_at.is_some() && !demo.state.is_over(),
                ahead: if demo.state == Stands::Waiting { db::ahead(&mut conn, &demo).await? } else { 0 },
                deadline_at: demo.deadline_at,
                detail: if self.as_whom.reads_output() { demo.detail } else { String::new() },
                reason: demo.reason,
            });
        }
        drop(conn);
        let page = self.hall.page(app, frame, template, tab).await?;
        let page = page.with("d", &view).with("base", &self.address).with("reachable", &!hosts.is_empty());
        let mut page = more(page).render()?;
        if let Some(policy) = tunnel::policy(&hosts) {
            page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
        Ok(page)
    }

    /// Follows what becomes of it.
    pub async fn live(&self, app: &App, headers: &HeaderMap) -> Result<Response, PageError> {
        let demo = self.demo(app).await?.ok_or_else(PageError::not_found)?;
        let who = self.user.to_string();
        Ok(app.live.stream(&who, vec![ask::topic(demo.id)], headers).await?.into_response())
    }

    /// Starts it.
    pub async fn open(&self, app: &App, frame: &Frame) -> Result<Response, PageError> {
        app.limits.check(Limited::Sandbox, &self.user.to_string())?;
        ask::open(&app.house, &self.submission, self.user, self.entry).await.map_err(refused)?;
        Ok(frame.go(&self.address))
    }

    /// To the app's own origin, with a ticket that opens it once.
    pub async fn enter(&self, app: &App, frame: &Frame, user: &User) -> Result<Response, PageError> {
        let Some(demo) = self.demo(app).await?.filter(|demo| demo.state == Stands::Ready) else {
            return Ok(frame.go(&self.address));
        };
        let hosts = hosts::alive(app, &mut *app.db.read().await?).await?;
        let host = hosts.iter().find(|host| Some(&host.name) == demo.host.as_ref() && !host.door.is_shared());
        let unreachable = || PageError::plain(StatusCode::SERVICE_UNAVAILABLE, "demo-unreachable");
        let door = &host.ok_or_else(unreachable)?.door;
        let secret = ticket::make(&app.house, &demo, (self.user, user.session)).await?;
        Ok(frame.go(&door.entrance(demo.id, &secret)))
    }

    /// Stops it: visitors only what they started.
    pub async fn close(&self, app: &App, frame: &Frame) -> Result<Response, PageError> {
        if let Some(demo) = self.demo(app).await?.filter(|demo| !demo.state.is_over()) {
            if self.as_whom == As::Visitor && demo.requested_by != self.user {
                return Err(PageError::forbidden());
            }
            ask::close(&app.house, &demo, self.user).await.map_err(refused)?;
        }
        Ok(frame.go(&self.address))
    }
}
