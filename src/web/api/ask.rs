//! What requests to the API carry, taken apart: the place a path names, JSON bodies, queries; and
//! [`Refusal`], what every handler fails with.

use std::convert::Infallible;
use std::fmt;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use crate::contest::db as contest_db;
use crate::contest::entry::db as entry_db;
use crate::contest::model::{Competition, Phase};
use crate::ids::{SubmissionId, TeamId};
use crate::people::{Actor, Scope};
use crate::submission::db as submission_db;
use crate::submission::model::{Aim, Submission};
use crate::web::App;
use crate::web::error::{Explain, FieldFault, Problem};
use crate::web::guard::{Bearer, NoBearer};
use crate::web::words::Args;

/// What a handler of the API answers.
pub(super) type Answer<T> = Result<T, Refusal>;

/// Why a request to the API was refused.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A token is missing or does not stand.
    Token(NoBearer),
    /// Anything else.
    Problem(Problem),
}

impl Refusal {
    pub(super) fn not_found() -> Self {
        Self::Problem(Problem::not_found())
    }

    pub(super) fn forbidden() -> Self {
        Self::Problem(Problem::forbidden())
    }
}

impl<E: Explain> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Problem(error.into())
    }
}

impl From<NoBearer> for Refusal {
    fn from(error: NoBearer) -> Self {
        Self::Token(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Token(refused) => refused.into_response(),
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

/// A request that cannot be understood.
#[derive(Debug)]
pub(super) struct Misread {
    status: StatusCode,
    code: &'static str,
    why: Option<String>,
    faults: Vec<FieldFault>,
}

impl Misread {
    /// Of the wrong media type; `wanted` is the one taken.
    pub(super) fn media_type(wanted: &str) -> Self {
        let why = Some(format!("Content-Type: {wanted}"));
        Self {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            code: "unsupported-media-type",
            why,
            faults: vec![],
        }
    }

    /// Not readable at all.
    pub(super) fn broken(why: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "bad-request", why: Some(why.into()), faults: vec![] }
    }

    /// Readable, but a field cannot be taken.
    pub(super) fn field(field: &str, code: &'static str) -> Self {
        Self::faults(vec![FieldFault::new(field, code)])
    }

    /// Readable, but a field cannot be taken; `text` says why.
    pub(super) fn field_with(field: &str, code: &'static str, text: String) -> Self {
        let mut fault = FieldFault::new(field, code);
        fault.text = Some(text);
        Self::faults(vec![fault])
    }

    fn faults(faults: Vec<FieldFault>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, code: "invalid", why: None, faults }
    }
}

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request cannot be read: {}", self.why.as_deref().unwrap_or(self.code))
    }
}

impl Explain for Misread {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn code(&self) -> &'static str {
        self.code
    }

    fn args(&self) -> Args {
        Args::new()
    }

    fn why(&self) -> Option<String> {
        self.why.clone()
    }

    fn faults(&self) -> Vec<FieldFault> {
        self.faults.clone()
    }
}

/// A JSON body, read, but not asked for before the handler knows who asks: somebody without a token
/// is told that, whatever they sent.
pub(super) struct Body<T>(pub Answer<T>);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Infallible;

    async fn from_request(request: Request, app: &App) -> Result<Self, Infallible> {
        let read = Json::<T>::from_request(request, app).await;
        Ok(Self(read.map(|Json(value)| value).map_err(unread)))
    }
}

fn unread(rejection: JsonRejection) -> Refusal {
    match rejection {
        JsonRejection::JsonDataError(error) => Misread::field_with("body", "form", error.body_text()).into(),
        JsonRejection::JsonSyntaxError(error) => Misread::broken(error.body_text()).into(),
        JsonRejection::MissingJsonContentType(_) => Misread::media_type("application/json").into(),
        other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Refusal::Problem(Problem::plain(StatusCode::PAYLOAD_TOO_LARGE, "too-large"))
        }
        other => Misread::broken(other.body_text()).into(),
    }
}

/// The query of an address.
pub(super) struct Asked<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        match Query::<T>::from_request_parts(parts, app).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Misread::broken(rejection.body_text()).into()),
        }
    }
}

/// A parameter of the path. One that is missing or not UTF-8 names nothing.
pub(super) async fn in_path(parts: &mut Parts, app: &App, name: &str) -> Answer<String> {
    let all = RawPathParams::from_request_parts(parts, app).await.map_err(|_| Refusal::not_found())?;
    let found = all.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    found.ok_or_else(Refusal::not_found)
}

/// A competition that the asker may know of, and who asks.
pub(super) struct Here {
    /// Who asks, when they sent a token.
    pub actor: Option<Actor>,
    /// The competition.
    pub competition: Competition,
}

impl FromRequestParts<App> for Here {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let actor: Option<Bearer> = Option::from_request_parts(parts, app).await?;
        let slug = in_path(parts, app, "slug").await?;
        let found = contest_db::by_slug(&mut *app.db.read().await?, &slug).await?;
        let here = Self {
            actor: actor.map(|Bearer(actor)| actor),
            competition: found.ok_or_else(Refusal::not_found)?,
        };
        // a draft is known to those who make it alone
        match here.competition.published_at.is_some() || here.is_organizer() {
            true => Ok(here),
            false => Err(Refusal::not_found()),
        }
    }
}

impl Here {
    /// Whether the asker manages the competition, by role and by the token's scope.
    pub fn is_organizer(&self) -> bool {
        self.actor.as_ref().is_some_and(|actor| actor.may_manage(self.competition.id))
    }

    /// Whoever asks, when they sent a token.
    pub fn person(&self) -> Answer<&Actor> {
        self.actor.as_ref().ok_or(Refusal::Token(NoBearer::Unauthorized))
    }

    /// Somebody whose token reaches as far as taking part.
    pub fn participant(&self) -> Answer<&Actor> {
        let actor = self.person()?;
        if actor.scope < Scope::Submit { Err(Refusal::forbidden()) } else { Ok(actor) }
    }

    /// Somebody who manages the competition.
    pub fn organizer(&self) -> Answer<&Actor> {
        let actor = self.person()?;
        if self.is_organizer() { Ok(actor) } else { Err(Refusal::forbidden()) }
    }

    /// The asker's team.
    pub async fn team(&self, app: &App) -> Answer<Option<TeamId>> {
        let Some(actor) = &self.actor else { return Ok(None) };
        let team = entry_db::team_of(&mut *app.db.read().await?, self.competition.id, actor.user).await?;
        Ok(team.map(|team| team.id))
    }

    /// The phase at this place.
    pub async fn phase(&self, app: &App, position: i64) -> Answer<Phase> {
        let phases = contest_db::phases(&mut *app.db.read().await?, self.competition.id).await?;
        phases.into_iter().find(|phase| phase.position == position).ok_or_else(Refusal::not_found)
    }
}

/// A phase of a competition that the asker may know of, and who asks.
pub(super) struct InPhase {
    /// The competition, and who asks.
    pub here: Here,
    /// The phase.
    pub phase: Phase,
}

impl FromRequestParts<App> for InPhase {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let here = Here::from_request_parts(parts, app).await?;
        let index = in_path(parts, app, "index").await?;
        let index: i64 = index.parse().map_err(|_| Refusal::not_found())?;
        let phase = here.phase(app, index).await?;
        Ok(Self { here, phase })
    }
}

/// A submission that the asker may see: their team's, or one of a competition they manage. Any other
/// is as if it were not there.
pub(super) struct Theirs {
    /// The competition, and who asks.
    pub here: Here,
    /// The phase.
    pub phase: Phase,
    /// The submission.
    pub submission: Submission,
}

impl FromRequestParts<App> for Theirs {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let Bearer(actor) = <Bearer as FromRequestParts<App>>::from_request_parts(parts, app).await?;
        let id = in_path(parts, app, "id").await?;
        let id: SubmissionId = id.parse().map_err(|_| Refusal::not_found())?;
        let mut conn = app.db.read().await?;
        let submission = submission_db::by_id(&mut conn, id).await?.ok_or_else(Refusal::not_found)?;
        let team = entry_db::team_of(&mut conn, submission.competition, actor.user).await?;
        let theirs = submission.user == actor.user || team.is_some_and(|team| team.id == submission.team);
        // a dry run is the desk's, also from somebody who has left it
        let theirs = theirs && submission.aim != Aim::DryRun;
        if !theirs && !actor.may_manage(submission.competition) {
            return Err(Refusal::not_found());
        }
        let competition = contest_db::by_id(&mut conn, submission.competition).await?;
        let phase = contest_db::phase_by_id(&mut conn, submission.phase).await?;
        let competition = competition.ok_or_else(Refusal::not_found)?;
        let phase = phase.ok_or_else(Refusal::not_found)?;
        Ok(Self { here: Here { actor: Some(actor), competition }, phase, submission })
    }
}

impl Theirs {
    /// Somebody of the submission's own team, whose token reaches as far as submitting.
    pub async fn member(&self, app: &App) -> Answer<&Actor> {
        let actor = self.here.participant()?;
        match self.here.team(app).await? == Some(self.submission.team) {
            true => Ok(actor),
            false => Err(Refusal::forbidden()),
        }
    }

    /// The submission as it is after a change.
    pub async fn again(mut self, app: &App) -> Answer<Self> {
        let found = submission_db::by_id(&mut *app.db.read().await?, self.submission.id).await?;
        self.submission = found.ok_or_else(Refusal::not_found)?;
        Ok(self)
    }
}
