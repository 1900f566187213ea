//! The outbox on its owner's page: what lies in it, and what each file would have to pass. Names are the
//! participant's to choose, so that they are few, short, and counted as content shown.

use jiff::Timestamp;
use serde::Serialize;

use crate::airlock::lane3::{self, Shape, Way};
use crate::lab::model::{Grant, Sandbox};
use crate::lab::outbox::{Lying, Outbox};
use crate::lab::shown;
use crate::store::StoreError;
use crate::web::gauges::Told;
use crate::web::{App, hosts};

/// Files that a page lists.
const LISTED: usize = 100;
/// Characters that it shows of a path.
const PATH: usize = 80;
/// Bytes counted for the rest of a line: size, time, rows and columns are the participant's to choose as well.
const NUMBERS: u64 = 24;

/// The outbox as its owner sees it while the sandbox is open.
#[derive(Default, Serialize)]
pub(super) struct OutboxView {
    /// Whether the sandbox is open and the outbox could not be read all the same.
    unread: bool,
    /// Whether no names may be shown: as much as may be was shown already.
    spent: bool,
    /// The first of them.
    files: Vec<OutboxFileView>,
    /// Files that are not listed.
    more: usize,
    /// Whether all of it is more than may leave together.
    too_much: bool,
    left_out: usize,
    truncated: bool,
}

#[derive(Serialize)]
struct OutboxFileView {
    /// Its path, or the ends of it.
    path: String,
    bytes: u64,
    changed: Option<Timestamp>,
    /// Its rows and columns, where they were counted.
    shape: Option<Shape>,
    /// What stands before it: the end of a text's key.
    way: &'static str,
    open: bool,
}

impl OutboxFileView {
    fn of(Lying { file, shape }: &Lying) -> Self {
        let way = lane3::way_out(&file.path, file.bytes, *shape);
        Self {
            path: cut(&file.path),
            bytes: file.bytes,
            changed: Timestamp::from_millisecond(file.modified).ok(),
            shape: shape.filter(|shape| shape.rows <= lane3::ROWS),
            way: match way {
                Way::NoType => "type",
                Way::TooLarge => "large",
                Way::TooLong => "long",
                Way::TooWide => "wide",
                Way::Table => "table",
                Way::Picture => "picture",
                Way::Text => "text",
            },
            open: way.is_open(),
        }
    }
}

impl From<&Outbox> for OutboxView {
    fn from(outbox: &Outbox) -> Self {
        Self {
            unread: false,
            spent: false,
            files: outbox.files.iter().take(LISTED).map(OutboxFileView::of).collect(),
            more: outbox.files.len().saturating_sub(LISTED),
            too_much: outbox.files.iter().any(|lying| !lying.file.fits),
            left_out: outbox.left_out,
            truncated: outbox.truncated,
        }
    }
}

impl OutboxView {
    /// What of it comes from the participant, in bytes.
    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.path.len() as u64 + NUMBERS).sum()
    }

    /// The same without names.
    fn nameless(self) -> Self {
        Self { spent: true, more: self.files.len() + self.more, files: Vec::new(), ..self }
    }
}

/// A path that is not long, or the ends of one that is.
fn cut(path: &str) -> String {
    let length = path.chars().count();
    if length <= PATH {
        return path.to_owned();
    }
    // the end tells more: the file's name
    let (start, end) = ((PATH - 1) / 2, PATH - 1 - (PATH - 1) / 2);
    path.chars().take(start).chain(['…']).chain(path.chars().skip(length - end)).collect()
}

/// What lies in the outbox of an open sandbox; `None` when nothing is known of it yet. What it shows is counted.
///
/// # Errors
/// When the database fails.
pub(super) async fn shown(
    app: &App,
    sandbox: &Sandbox,
    grant: &Grant,
    told: &Told,
) -> Result<Option<OutboxView>, StoreError> {
    let outbox = if hosts::is_elsewhere(app, sandbox) {
        let Some(report) = told.of(sandbox.id) else { return Ok(None) };
        report.outbox.clone()
    } else {
        let Some(keeper) = &app.keeper else { return Ok(None) };
        let unread = |error| tracing::warn!(sandbox = %sandbox.id, %error, "an outbox could not be listed");
        keeper.outbox(sandbox.id).await.map_err(unread).ok()
    };
    let Some(outbox) = outbox else { return Ok(Some(OutboxView { unread: true, ..OutboxView::default() })) };
    let view = OutboxView::from(&outbox);
    let keeper = app.keeper.as_ref();
    let admitted = shown::admit(&app.house, keeper, sandbox, grant.session, view.bytes()).await?;
    Ok(Some(if admitted { view } else { view.nameless() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::OutboxFile;

    fn outbox(paths: impl Iterator<Item = String>) -> Outbox {
        let lying =
            |path| Lying { file: OutboxFile { path, bytes: 1, modified: 0, fits: true }, shape: None };
        Outbox { files: paths.map(lying).collect(), left_out: 0, truncated: false }
    }

    #[test]
    fn many_files_with_long_names_make_a_short_page() {
        let long = |n| format!("{n:04}{}.csv", "长".repeat(300));
        let view = OutboxView::from(&outbox((0..963).map(long)));
        assert_eq!((view.files.len(), view.more), (LISTED, 863));
        assert!(view.files.iter().all(|file| file.path.chars().count() == PATH));
        let first = &view.files[0].path;
        assert!(first.starts_with("0000长") && first.ends_with("长.csv") && first.contains('…'), "{first}");
        assert!(view.bytes() < 30_000, "{}", view.bytes());
        let nameless = view.nameless();
        assert!((nameless.more, nameless.bytes(), nameless.spent) == (963, 0, true));
    }

    #[test]
    fn a_path_that_fits_is_whole() {
        let whole = "x".repeat(PATH);
        assert_eq!(cut(&whole), whole);
        assert_eq!(cut(&format!("{whole}y")).chars().count(), PATH);
    }
}
