//! Entries as pages show them: blind for judges, named for their teams and organizers. Judging's pages
//! take [`EntryView::blind`] and [`respond`], and `templates/components/entry.html`.

mod explain;
mod text;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tokio_util::io::ReaderStream;

use crate::judging::entries::mask::Names;
use crate::judging::entries::{Content, EntryFile, FileKind, Judged, Leak};
use crate::store::ObjectReader;

pub use text::render;

/// What a file of an entry may do in a browser: nothing.
const FILE_POLICY: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// An entry as a page shows it.
#[derive(Serialize)]
pub struct EntryView {
    /// The number that blind judges know it by.
    pub number: i64,
    /// Its title.
    pub title: String,
    /// Its summary, HTML.
    pub summary: String,
    /// Its report written as text, HTML.
    pub report: String,
    /// Its pictures.
    pub pictures: Vec<PictureView>,
    /// Its report as PDF.
    pub pdf: Option<PdfView>,
    /// Its link.
    pub demo: Option<DemoView>,
    /// Who made it; none where it is shown blind.
    pub team: Option<TeamView>,
    /// The app that it is about, where there is one to speak of.
    pub app: Option<AppView>,
}

/// What is said of an entry's app.
#[derive(Serialize)]
#[serde(tag = "says", content = "href", rename_all = "kebab-case")]
pub enum AppView {
    /// It can be tried, at this address.
    At(String),
    /// As [`AppView::At`], on a page that shows its team what judges will find.
    Preview(String),
    /// Its file is not kept any more.
    NoFile,
    /// It was not accepted.
    NotAccepted,
}

/// A picture.
#[derive(Serialize)]
pub struct PictureView {
    /// Its address.
    pub href: String,
    /// What stands under it.
    pub caption: String,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// A report as PDF.
#[derive(Serialize)]
pub struct PdfView {
    /// Its address.
    pub href: String,
    /// Bytes.
    pub size: u64,
}

/// A link.
#[derive(Serialize)]
pub struct DemoView {
    /// Its address; none where it is left out, since it names the team.
    pub href: Option<String>,
}

/// Who made an entry.
#[derive(Serialize)]
pub struct TeamView {
    /// The team's name.
    pub name: String,
    /// Its present members' names.
    pub members: Vec<String>,
}

impl EntryView {
    /// As blind judges see it. `files`: those of the entry; `base`: where its files are, as
    /// `/judging/…/files`.
    pub fn blind(judged: &Judged, files: &[EntryFile], base: &str) -> Self {
        Self::of(judged.number, &judged.content, files, base, Some(&judged.names))
    }

    /// With everything in it.
    pub fn named(number: i64, content: &Content, files: &[EntryFile], base: &str, team: TeamView) -> Self {
        Self { team: Some(team), ..Self::of(number, content, files, base, None) }
    }

    fn of(number: i64, content: &Content, files: &[EntryFile], base: &str, names: Option<&Names>) -> Self {
        let plain = |text: &str| names.map_or_else(|| text.to_owned(), |names| names.mask(text));
        let find = |id| files.iter().find(|file| file.id == id);
        let pictures = content.pictures.iter().filter_map(|picture| {
            let file = find(picture.file).filter(|file| file.kind == FileKind::Picture)?;
            Some(PictureView {
                href: format!("{base}/{}", file.id),
                caption: plain(&picture.caption),
                width: file.width,
                height: file.height,
            })
        });
        let pdf = content.pdf.and_then(find);
        let named = |address: &str| names.is_some_and(|names| !names.named_in_address(address).is_empty());
        let demo = (!content.demo.is_empty())
            .then(|| DemoView { href: (!named(&content.demo)).then(|| content.demo.clone()) });
        Self {
            number,
            title: plain(&content.title),
            summary: render(&content.summary, names),
            report: render(&content.report, names),
            pictures: pictures.collect(),
            pdf: pdf.map(|file| PdfView { href: format!("{base}/{}", file.id), size: file.size }),
            demo,
            team: None,
            app: None,
        }
    }

    /// With what is to be said of its app.
    #[must_use]
    pub fn with_app(self, app: Option<AppView>) -> Self {
        Self { app, ..self }
    }
}

/// Something that tells who made an entry, as the team's page says it: `leak-KIND`, `entry-PART`.
#[derive(Serialize)]
pub struct LeakView {
    /// The part of the entry.
    pub part: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The word.
    pub word: String,
    /// Whether judges get to see it.
    pub seen: bool,
}

impl From<Leak> for LeakView {
    fn from(leak: Leak) -> Self {
        Self { part: leak.part, kind: leak.kind, seen: leak.is_seen(), word: leak.word }
    }
}

/// Hands over a file of an entry: pictures to be shown, a report to be saved, under a name that says
/// nothing but the entry's number. Neither may run, load or be framed anywhere.
pub fn respond(number: i64, file: &EntryFile, reader: ObjectReader) -> Response {
    let mut response = Body::from_stream(ReaderStream::with_capacity(reader, 64 << 10)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(file.size));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(FILE_POLICY));
    let (kind, caching) = match (file.kind, file.media_type.as_str()) {
        (FileKind::Picture, "image/png") => ("image/png", "private, max-age=300"),
        (FileKind::Picture, _) => ("image/jpeg", "private, max-age=300"),
        (FileKind::Report, _) => ("application/pdf", "private, no-store"),
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    if file.kind == FileKind::Report {
        let name = format!("attachment; filename=\"entry-{number}.pdf\"");
        headers.insert(
            CONTENT_DISPOSITION,
            HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment")),
        );
    }
    response
}
