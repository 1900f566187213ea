//! Entries over the API: a team's own, its files, and on the desk everybody's.

mod desk;
mod files;
mod team;

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

use super::Time;
use super::ask::{Answer, Here, Refusal};
use crate::contest::definition::EntryRules;
use crate::contest::entry;
use crate::contest::model::{Phase, PhaseTime, Team};
use crate::contest::{db as contest_db, terms_digest};
use crate::ids::SubmissionId;
use crate::judging::entries::{self, Content, Desk, Draft, Entry, EntryFile, Picture, Window, db, leaks};
use crate::people::Actor;
use crate::web::App;

pub(super) use files::uploads;

pub(super) fn router() -> OpenApiRouter<App> {
    team::router().merge(files::router()).merge(desk::router())
}

/// A picture of an entry.
#[derive(Serialize, Deserialize, ToSchema)]
pub(super) struct PictureDocument {
    /// The file.
    pub file: Uuid,
    /// What stands under it.
    #[serde(default)]
    #[schema(example = "Delays by hour")]
    pub caption: String,
}

/// What an entry says.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryText {
    /// Title, one line.
    #[schema(example = "A map of delays")]
    pub title: String,
    /// Summary, Markdown.
    pub summary: String,
    /// Report, Markdown.
    pub report: String,
    /// Report as PDF: the file.
    pub pdf: Option<Uuid>,
    /// Pictures in their order.
    pub pictures: Vec<PictureDocument>,
    /// A link, `https://…`, or empty.
    #[schema(example = "https://demo.example.cn")]
    pub demo: String,
    /// The submission it is about; none: the team's best on the board.
    pub submission: Option<Uuid>,
}

/// Something that tells who made an entry.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryLeak {
    /// The part of the entry.
    #[schema(example = "summary")]
    pub part: &'static str,
    /// `named`, `address`, `link`, `file`, `locked` or `unread`.
    #[schema(example = "named")]
    pub kind: &'static str,
    /// The word.
    pub word: String,
    /// Whether judges get to see it.
    pub seen: bool,
}

/// A team's entry.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryDocument {
    /// The number that blind judges know it by; none before it is first saved.
    #[schema(example = 417)]
    pub number: Option<i64>,
    /// `draft`, `submitted` or `withdrawn`.
    #[schema(example = "draft")]
    pub state: &'static str,
    /// Counts the changes of the draft: send back what you read.
    #[schema(example = 3)]
    pub revision: i64,
    /// The draft.
    pub draft: EntryText,
    /// The version that judges see.
    pub submitted_version: Option<i64>,
    /// When it was last submitted.
    pub submitted_at: Option<Time>,
    /// Until when it may be changed; none: without end.
    pub closes: Option<Time>,
    /// Required parts that the draft lacks.
    pub lacks: Vec<&'static str>,
    /// What in the draft tells who made it.
    pub leaks: Vec<EntryLeak>,
    /// Why an organizer gave it back; empty otherwise.
    pub withdrawn_reason: String,
    /// Whether the team shows it to visitors once the competition is over.
    pub published: bool,
    /// Why an organizer took it out of the showcase; empty otherwise.
    pub hidden_reason: String,
}

/// The competition with what it asks of entries, and the asker's team.
struct Place {
    rules: EntryRules,
    phases: Vec<Phase>,
    team: Team,
}

impl Place {
    /// For somebody who takes part; one without a team gets one of their own where `writes`.
    async fn of(app: &App, here: &Here, actor: &Actor, writes: bool) -> Answer<Self> {
        let mut conn = app.db.read().await?;
        let rules = entries::rules(&mut conn, &here.competition).await?.ok_or_else(Refusal::not_found)?;
        let phases = contest_db::phases(&mut conn, here.competition.id).await?;
        let terms = terms_digest(&mut conn, &here.competition).await?;
        entry::admitted(&mut conn, &here.competition, actor.user, &terms).await?;
        let team = entry::db::team_of(&mut conn, here.competition.id, actor.user).await?;
        drop(conn);
        let team = match team {
            Some(team) => team,
            None if !writes => return Err(Refusal::not_found()),
            None => {
                let mut tx = app.db.begin().await?;
                let (clock, entropy, name) = (&app.clock, app.entropy, &actor.name);
                let made =
                    entry::team_for_submitting(&mut tx, clock, entropy, &here.competition, actor.user, name);
                let team = made.await?;
                tx.commit().await?;
                team
            }
        };
        Ok(Self { rules, phases, team })
    }

    fn desk<'a>(&'a self, here: &'a Here) -> Desk<'a> {
        let window = Window::of(&self.rules, &self.phases);
        Desk { competition: &here.competition, rules: &self.rules, window, team: &self.team }
    }

    async fn best(&self, app: &App, here: &Here) -> Answer<Option<SubmissionId>> {
        let now = app.clock.now();
        let open = self.phases.iter().find(|phase| phase.time(now) == PhaseTime::Open);
        let begun = self.phases.iter().rev().find(|phase| phase.time(now) != PhaseTime::Ahead);
        let Some(phase) = open.or(begun) else { return Ok(None) };
        let board = &here.competition.definition.leaderboard;
        let board = app.boards.board(&mut *app.db.read().await?, phase, board).await?;
        Ok(board.best_row(self.team.id).map(|row| row.submission))
    }
}

fn text(content: &Content) -> EntryText {
    let picture = |p: &Picture| PictureDocument { file: p.file.0, caption: p.caption.clone() };
    EntryText {
        title: content.title.clone(),
        summary: content.summary.clone(),
        report: content.report.clone(),
        pdf: content.pdf.map(|id| id.0),
        pictures: content.pictures.iter().map(picture).collect(),
        demo: content.demo.clone(),
        submission: content.submission.map(|id| id.0),
    }
}

async fn document(app: &App, here: &Here, place: &Place) -> Answer<Json<EntryDocument>> {
    let best = place.best(app, here).await?;
    let mut conn = app.db.read().await?;
    let found = db::of_team(&mut conn, place.team.id).await?;
    let window = Window::of(&place.rules, &place.phases);
    let mut content = Content::default();
    let (mut revision, mut told) = (0, Vec::new());
    if let Some(entry) = &found {
        let Draft { content: draft, revision: number, .. } = db::draft(&mut conn, entry.id).await?;
        let files: Vec<EntryFile> = db::files(&mut conn, entry.id).await?;
        let names = entries::names(&mut conn, here.competition.id, place.team.id).await?;
        told = leaks(&draft, &files, &names);
        (content, revision) = (draft, number);
    }
    let lacks = entries::lacking(&content, &place.rules, best);
    let leaks = told.into_iter().map(|leak| EntryLeak {
        part: leak.part,
        kind: leak.kind,
        seen: leak.is_seen(),
        word: leak.word,
    });
    Ok(Json(EntryDocument {
        number: found.as_ref().map(|e| e.number),
        state: found.as_ref().map_or("draft", |e| e.state.as_str()),
        revision,
        draft: text(&content),
        submitted_version: found.as_ref().and_then(Entry::standing_version),
        submitted_at: found.as_ref().and_then(|e| e.submitted_at).map(Time),
        closes: window.until(found.as_ref()).map(Time),
        lacks: lacks.iter().map(|part| part.as_str()).collect(),
        leaks: leaks.collect(),
        published: found.as_ref().is_some_and(|e| e.published_at.is_some()),
        hidden_reason: found.as_ref().map(|e| e.hidden_reason.clone()).unwrap_or_default(),
        withdrawn_reason: found.map(|e| e.withdrawn_reason).unwrap_or_default(),
    }))
}
