//! The page of a team's entry.

use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;

use super::{best, rules};
use crate::contest::definition::{EntryPart, EntryRules};
use crate::contest::entry::db as entry_db;
use crate::contest::model::{Membership, Team};
use crate::ids::{EntryFileId, UserId};
use crate::judging::entries::{
    self, Content, Draft, Entry, EntryFault, EntryFile, Version, Window, db, leaks,
};
use crate::store::Connection;
use crate::web::App;
use crate::web::entries::{EntryView, LeakView, TeamView};
use crate::web::error::{Explain as _, PageError};
use crate::web::guard::User;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::Hall;

/// A form that was not taken, to be shown again.
pub(super) struct Sent {
    /// What it says.
    pub content: Content,
    /// The revision it was written on.
    pub seen: i64,
    /// Why it was not taken.
    pub fault: EntryFault,
}

/// The fields of the form.
#[derive(Serialize)]
struct Fields {
    seen: i64,
    title: String,
    summary: String,
    report: String,
    demo: String,
    submission: String,
    pictures: Vec<PictureField>,
    pdf: Option<FileField>,
}

#[derive(Serialize)]
struct PictureField {
    id: String,
    caption: String,
    width: u32,
    height: u32,
}

#[derive(Serialize)]
struct FileField {
    id: String,
    size: u64,
}

/// Where the entry stands.
#[derive(Serialize)]
struct Standing {
    number: Option<i64>,
    state: &'static str,
    submitted_at: Option<Timestamp>,
    submitted_by: Option<String>,
    submitted_version: Option<i64>,
    /// Whether the draft says something else than what is submitted.
    changed_since: bool,
    withdrawn_at: Option<Timestamp>,
    withdrawn_reason: String,
    late_until: Option<Timestamp>,
    late_reason: String,
    published: bool,
    hidden_reason: String,
    /// `ahead`, `open` or `over`.
    time: &'static str,
    /// It is over since judges have it.
    judged: bool,
    /// A signed ranking names it.
    signed: bool,
    opens: Option<Timestamp>,
    closes: Option<Timestamp>,
    edited_at: Option<Timestamp>,
    edited_by: Option<String>,
    /// Required parts that the draft lacks.
    lacks: Vec<&'static str>,
}

/// What another member wrote meanwhile.
#[derive(Serialize)]
struct Conflict {
    by: String,
    at: Timestamp,
    parts: Vec<Theirs>,
}

/// One part in which both differ.
#[derive(Serialize)]
struct Theirs {
    part: &'static str,
    /// What stands there now; none where it is no text.
    text: Option<String>,
}

#[derive(Serialize)]
pub(super) struct VersionView {
    pub number: i64,
    pub cause: &'static str,
    pub at: Timestamp,
    pub by: String,
    pub title: String,
    pub standing: bool,
}

#[derive(Serialize)]
struct ChoiceView {
    value: String,
    text: String,
}

/// What the page says of the rules.
#[derive(Serialize)]
struct RulesView {
    required: Vec<&'static str>,
    pictures: u32,
    picture_bytes: u64,
    report_bytes: u64,
    total_bytes: u64,
    used_bytes: u64,
    title: usize,
    summary: usize,
    report: usize,
}

fn member(members: &[Membership], id: UserId) -> String {
    members.iter().find(|member| member.user == id).map(|member| member.name.clone()).unwrap_or_default()
}

fn fields(content: &Content, seen: i64, files: &[EntryFile]) -> Fields {
    let find = |id: EntryFileId| files.iter().find(|file| file.id == id);
    let pictures = content.pictures.iter().filter_map(|picture| {
        let file = find(picture.file)?;
        let caption = picture.caption.clone();
        Some(PictureField { id: file.id.to_string(), caption, width: file.width, height: file.height })
    });
    Fields {
        seen,
        title: content.title.clone(),
        summary: content.summary.clone(),
        report: content.report.clone(),
        demo: content.demo.clone(),
        submission: content.submission.map(|id| id.to_string()).unwrap_or_default(),
        pictures: pictures.collect(),
        pdf: content.pdf.and_then(find).map(|file| FileField { id: file.id.to_string(), size: file.size }),
    }
}

fn conflict(mine: &Content, theirs: &Draft, members: &[Membership]) -> Conflict {
    let text = |part| match part {
        "title" => Some(theirs.content.title.clone()),
        "summary" => Some(theirs.content.summary.clone()),
        "report" => Some(theirs.content.report.clone()),
        "demo" => Some(theirs.content.demo.clone()),
        _ => None,
    };
    let parts = mine.differs(&theirs.content);
    let parts = parts.into_iter().map(|part| Theirs { part, text: text(part) }).collect();
    Conflict { by: member(members, theirs.by), at: theirs.at, parts }
}

/// What is known of a team's entry.
struct Known {
    entry: Option<Entry>,
    draft: Option<Draft>,
    versions: Vec<Version>,
    files: Vec<EntryFile>,
    members: Vec<Membership>,
}

impl Known {
    async fn of(conn: &mut Connection, team: Option<&Team>) -> Result<Self, PageError> {
        let mut known =
            Self { entry: None, draft: None, versions: Vec::new(), files: Vec::new(), members: Vec::new() };
        let Some(team) = team else { return Ok(known) };
        known.members = entry_db::members(conn, team.id).await?;
        known.entry = db::of_team(conn, team.id).await?;
        if let Some(entry) = &known.entry {
            known.draft = Some(db::draft(conn, entry.id).await?);
            known.versions = db::versions(conn, entry.id).await?;
            known.files = db::files(conn, entry.id).await?;
        }
        Ok(known)
    }

    fn submitted(&self) -> Option<&Version> {
        let number = self.entry.as_ref()?.submitted_version?;
        self.versions.iter().find(|version| version.number == number)
    }
}

fn standing(known: &Known, hall: &Hall, window: Window, lacks: &[EntryPart]) -> Standing {
    let entry = known.entry.as_ref();
    let draft = known.draft.as_ref();
    let name = |id| member(&known.members, id);
    let time = match window.open(entry, hall.now) {
        Ok(()) => "open",
        Err(EntryFault::NotBegun(_)) => "ahead",
        Err(_) => "over",
    };
    let same = |draft: &Draft, version: &Version| {
        let mut content = draft.content.clone();
        content.submission = content.submission.or(version.content.submission);
        content == version.content
    };
    let changed = draft.zip(known.submitted()).is_some_and(|(draft, version)| !same(draft, version));
    Standing {
        number: entry.map(|e| e.number),
        state: entry.map_or("none", |e| e.state.as_str()),
        submitted_at: entry.and_then(|e| e.submitted_at),
        submitted_by: entry.and_then(|e| e.submitted_by).map(name),
        submitted_version: entry.and_then(Entry::standing_version),
        changed_since: changed,
        withdrawn_at: entry.and_then(|e| e.withdrawn_at),
        withdrawn_reason: entry.map(|e| e.withdrawn_reason.clone()).unwrap_or_default(),
        late_until: entry.and_then(|e| e.late_until).filter(|until| hall.now < *until),
        late_reason: entry.map(|e| e.late_reason.clone()).unwrap_or_default(),
        published: entry.is_some_and(|e| e.published_at.is_some()),
        hidden_reason: entry.map(|e| e.hidden_reason.clone()).unwrap_or_default(),
        time,
        judged: matches!(window.open(entry, hall.now), Err(EntryFault::Judged(_))),
        signed: entry.is_some_and(|e| e.signed),
        opens: window.opens,
        closes: window.until(entry),
        edited_at: draft.map(|d| d.at),
        edited_by: draft.map(|d| name(d.by)),
        lacks: lacks.iter().map(|part| part.as_str()).collect(),
    }
}

pub(super) fn version_views(
    versions: &[Version],
    standing: Option<i64>,
    members: &[Membership],
) -> Vec<VersionView> {
    let view = |version: &Version| VersionView {
        number: version.number,
        cause: version.cause.as_str(),
        at: version.at,
        by: member(members, version.by),
        title: version.content.title.clone(),
        standing: standing == Some(version.number),
    };
    versions.iter().map(view).collect()
}

fn rules_view(rules: &EntryRules, files: &[EntryFile]) -> RulesView {
    RulesView {
        required: rules.required.iter().map(|part| part.as_str()).collect(),
        pictures: rules.pictures,
        picture_bytes: rules.picture_bytes,
        report_bytes: rules.report_bytes,
        total_bytes: rules.total_bytes,
        used_bytes: files.iter().map(|file| file.size).sum(),
        title: entries::TITLE,
        summary: entries::SUMMARY,
        report: entries::REPORT,
    }
}

async fn choices(
    frame: &Frame,
    app: &App,
    conn: &mut Connection,
    hall: &Hall,
) -> Result<Vec<ChoiceView>, PageError> {
    let Some(team) = &hall.team else { return Ok(Vec::new()) };
    let best = best(app, conn, hall, team).await?;
    let mut views = vec![ChoiceView { value: String::new(), text: frame.say("entry-best", &Vec::new()) }];
    for choice in db::choices(conn, team.id).await? {
        let phase = hall.phases.iter().find(|phase| phase.id == choice.phase);
        let phase = phase.map(|phase| hall.phase_name(phase)).unwrap_or_default();
        let at = choice.created_at.strftime("%Y-%m-%d %H:%M UTC");
        let star = if best == Some(choice.id) { " ★" } else { "" };
        let text = format!("{at} · {phase} · {}{star}", choice.file_name);
        views.push(ChoiceView { value: choice.id.to_string(), text });
    }
    Ok(views)
}

/// The page, with a form that was not taken or as the draft stands.
pub(super) async fn show(
    frame: &Frame,
    app: &App,
    user: &User,
    hall: &Hall,
    sent: Option<Sent>,
) -> Result<Response, PageError> {
    let rules = rules(hall)?;
    let window = Window::of(rules, &hall.phases);
    let mut conn = app.db.read().await?;
    let known = Known::of(&mut conn, hall.team.as_ref()).await?;
    let choices = choices(frame, app, &mut conn, hall).await?;
    let best = match &hall.team {
        Some(team) => best(app, &mut conn, hall, team).await?,
        None => None,
    };
    let empty = Content::default();
    let content = known.draft.as_ref().map_or(&empty, |draft| &draft.content);
    let mut told = Vec::new();
    if let (Some(team), Some(_)) = (&hall.team, &known.entry) {
        let names = entries::names(&mut conn, hall.competition.id, team.id).await?;
        told = leaks(content, &known.files, &names).into_iter().map(LeakView::from).collect();
    }
    drop(conn);
    let lacks = entries::lacking(content, rules, best);
    let standing = standing(&known, hall, window, &lacks);
    let versions = version_views(&known.versions, standing.submitted_version, &known.members);
    let conflict = sent.as_ref().and_then(|sent| match &sent.fault {
        EntryFault::Changed(theirs) => {
            Some((conflict(&sent.content, theirs, &known.members), theirs.revision))
        }
        _ => None,
    });
    let form = match (&sent, &conflict) {
        // saved again from here, it replaces what the member now sees beside their own
        (Some(sent), Some((_, revision))) => fields(&sent.content, *revision, &known.files),
        (Some(sent), None) => fields(&sent.content, sent.seen, &known.files),
        (None, _) => fields(content, known.draft.as_ref().map_or(0, |draft| draft.revision), &known.files),
    };
    let shown = known.submitted().filter(|_| standing.time == "over").zip(hall.team.as_ref());
    let shown = shown.map(|(version, team)| {
        let present = known.members.iter().filter(|member| member.left_at.is_none());
        let team = TeamView { name: team.name.clone(), members: present.map(|m| m.name.clone()).collect() };
        let base = format!("{}/entry/files", hall.base());
        EntryView::named(standing.number.unwrap_or(0), &version.content, &known.files, &base, team)
    });
    let page = hall.page(app, frame, "competition/entry.html", "entry").await?;
    let page = page
        .with("e", &standing)
        .with("form", &form)
        .with("rules", &rules_view(rules, &known.files))
        .with("choices", &choices)
        .with("leaks", &told)
        .with("versions", &versions)
        .with("shown", &shown)
        .with("alone", &(known.members.iter().filter(|m| m.left_at.is_none()).count() < 2))
        .with("who", &user.actor.name)
        .with("conflict", &conflict.as_ref().map(|(conflict, _)| conflict));
    match &sent {
        None => page.with("faults", &Vec::<()>::new()).render(),
        Some(sent) if conflict.is_some() => {
            page.faulty(&sent.fault.faults()).status(StatusCode::CONFLICT).render()
        }
        Some(sent) => page.faulty(&sent.fault.faults()).render(),
    }
}
