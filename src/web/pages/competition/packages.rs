//! Extra packages on pages: the list that participants and organizers see, and the upload of a
//! participant's own, on the page of their sandbox or where they submit programs.

use axum::Router;
use axum::extract::multipart::Multipart;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use jiff::Timestamp;
use serde::Serialize;

use super::hall::Hall;
use super::upload;
use crate::contest::entry;
use crate::contest::packages::{self, Package, PackageError, PackageSet, WheelError};
use crate::ids::UserId;
use crate::lab::ask;
use crate::submission::unpack::{UnpackError, shown};
use crate::web::App;
use crate::web::error::{Explain, PageError};
use crate::web::format;
use crate::web::guard::User;
use crate::web::limits::Limited;
use crate::web::page::Frame;
use crate::web::words::{Arg, Args};

pub(super) fn router() -> Router<App> {
    Router::new().route("/competitions/{slug}/packages/{id}/remove", post(remove))
}

pub(super) fn uploads() -> Router<App> {
    Router::new().route("/competitions/{slug}/packages", post(add))
}

impl Explain for PackageError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Wheel(WheelError::Archive(UnpackError::Io { .. })) | Self::Io(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Wheel(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany | Self::TooMuch | Self::NameTaken { .. } | Self::Clash { .. } => {
                StatusCode::CONFLICT
            }
            Self::Gone => StatusCode::NOT_FOUND,
            Self::Entry(error) => error.status(),
            Self::Upload(error) => error.status(),
            Self::Store(error) => error.status(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Wheel(error) => wheel_code(error),
            Self::TooMany => "packages-too-many",
            Self::TooMuch => "packages-too-large",
            Self::NameTaken { .. } => "package-name-taken",
            Self::Clash { .. } => "package-clash",
            Self::Gone => "package-gone",
            Self::Io(_) => "internal",
            Self::Entry(error) => error.code(),
            Self::Upload(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn args(&self) -> Args {
        let text = |value: &str| Arg::Text(value.to_owned());
        match self {
            Self::Wheel(error) => wheel_args(error),
            Self::TooMany => vec![("most", i64::try_from(packages::PACKAGES).unwrap_or(0).into())],
            Self::TooMuch => vec![
                ("total", size(packages::TOTAL_BYTES).into()),
                ("unpacked", size(packages::UNPACKED_BYTES).into()),
            ],
            Self::NameTaken { name, version } => vec![("name", text(name)), ("version", text(version))],
            Self::Clash { file, name } => vec![("file", text(file)), ("name", text(name))],
            Self::Entry(error) => error.args(),
            Self::Upload(error) => error.args(),
            Self::Gone | Self::Io(_) | Self::Store(_) => Args::new(),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

fn size(bytes: u64) -> String {
    format::size(i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn wheel_code(error: &WheelError) -> &'static str {
    match error {
        WheelError::FileName { .. } => "wheel-file-name",
        WheelError::Tags { .. } => "wheel-tags",
        WheelError::Python { .. } => "wheel-python",
        WheelError::Says { .. } => "wheel-says",
        WheelError::Mismatch { .. } => "wheel-mismatch",
        WheelError::Unrecorded { .. } => "wheel-unrecorded",
        WheelError::Lost { .. } => "wheel-lost",
        WheelError::Changed { .. } => "wheel-changed",
        WheelError::AtStart { .. } => "wheel-at-start",
        WheelError::Twice { .. } => "wheel-twice",
        WheelError::InTheWay { .. } => "wheel-in-the-way",
        WheelError::Paths => "wheel-too-large",
        WheelError::Archive(UnpackError::Io { .. }) => "internal",
        WheelError::Archive(
            UnpackError::UnsafeName { .. }
            | UnpackError::NotRegular { .. }
            | UnpackError::TooDeep { .. }
            | UnpackError::PathTooLong { .. },
        ) => "wheel-unsafe",
        WheelError::Archive(
            UnpackError::TooManyEntries { .. }
            | UnpackError::FileTooLarge { .. }
            | UnpackError::TotalTooLarge { .. }
            | UnpackError::Bomb { .. },
        ) => "wheel-too-large",
        WheelError::Archive(_) => "wheel-unreadable",
    }
}

fn wheel_args(error: &WheelError) -> Args {
    let text = |value: &str| Arg::Text(shown(value.as_bytes()));
    match error {
        WheelError::Tags { tags, python, machine } => {
            vec![("tags", text(tags)), ("python", i64::from(*python).into()), ("machine", text(machine))]
        }
        WheelError::Python { wanted, python } => {
            vec![("wanted", text(wanted)), ("python", i64::from(*python).into())]
        }
        WheelError::Mismatch { file, said } => vec![("file", text(file)), ("said", text(said))],
        WheelError::FileName { file }
        | WheelError::Says { file }
        | WheelError::Unrecorded { file }
        | WheelError::Lost { file }
        | WheelError::Changed { file }
        | WheelError::AtStart { file }
        | WheelError::Twice { file }
        | WheelError::InTheWay { file } => vec![("file", text(file))],
        WheelError::Archive(
            UnpackError::UnsafeName { entry, .. }
            | UnpackError::NotRegular { entry, .. }
            | UnpackError::TooDeep { entry, .. }
            | UnpackError::PathTooLong { entry, .. },
        ) => vec![("file", text(entry))],
        WheelError::Archive(_) | WheelError::Paths => Args::new(),
    }
}

/// A package in a list.
#[derive(Serialize)]
pub(in crate::web::pages) struct PackageView {
    id: String,
    name: String,
    version: String,
    size: u64,
    added_at: Timestamp,
    /// Projects that it cannot do without and that nobody brings.
    lacks: String,
    /// The version that the image has, which is the one that is imported.
    in_image: Option<&'static str>,
    /// Whether the organizer's come before it.
    left_out: bool,
}

impl PackageView {
    fn of(package: &Package, set: &PackageSet, left_out: bool) -> Self {
        Self {
            id: package.id.to_string(),
            name: package.name.clone(),
            version: package.version.clone(),
            size: package.size,
            added_at: package.added_at,
            lacks: set.lacks(package).join(", "),
            in_image: packages::in_image(&package.name),
            left_out,
        }
    }
}

/// The packages of a page: everybody's, and where there is a person, theirs.
#[derive(Serialize)]
pub(in crate::web::pages) struct PackagesView {
    shared: Vec<PackageView>,
    own: Vec<PackageView>,
    cap: u64,
    most: usize,
    total: u64,
}

impl PackagesView {
    /// Of a competition, with a person's own.
    pub(in crate::web::pages) async fn of(
        app: &App,
        hall: &Hall,
        user: Option<UserId>,
    ) -> Result<Self, PageError> {
        let found = packages::found(&app.house, hall.competition.id, user).await?;
        let set = &found.set;
        let shared = set.shared.iter().map(|package| PackageView::of(package, set, false)).collect();
        let own = found.own.iter().map(|(package, out)| PackageView::of(package, set, *out)).collect();
        Ok(Self {
            shared,
            own,
            cap: packages::WHEEL_BYTES,
            most: packages::PACKAGES,
            total: packages::TOTAL_BYTES,
        })
    }
}

/// Reads a form with a wheel in it, adds it, and goes back to the page where that is told.
pub(in crate::web::pages) async fn take(
    app: &App,
    frame: &Frame,
    (hall, page): (&Hall, &str),
    user: &User,
    whose: Option<UserId>,
    multipart: &mut Multipart,
) -> Result<Response, PageError> {
    upload::receive(multipart, |_, file_name, content| async move {
        let by = (&user.actor).into();
        packages::add(&app.house, &hall.competition, whose, by, &file_name, content).await
    })
    .await?;
    Ok(frame.done(page, "flash-package-added"))
}

/// Removes a package by the id in a path, and goes back to the page where that is told.
pub(in crate::web::pages) async fn take_away(
    app: &App,
    frame: &Frame,
    (hall, page): (&Hall, &str),
    user: &User,
    whose: Option<UserId>,
    id: &str,
) -> Result<Response, PageError> {
    let id = id.parse().map_err(|_| PageError::not_found())?;
    packages::remove(&app.house, hall.competition.id, whose, id, (&user.actor).into()).await?;
    Ok(frame.done(page, "flash-package-removed"))
}

/// Where a competition's people see their packages: on the page of their sandbox, or where they submit
/// programs; none where neither is.
pub(super) fn place(hall: &Hall) -> Option<String> {
    let page = match (ask::is_offered(&hall.competition), packages::takes_code(&hall.phases)) {
        (true, _) => "sandbox",
        (false, true) => "submit",
        (false, false) => return None,
    };
    Some(format!("{}/{page}#packages", hall.base()))
}

async fn add(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    mut multipart: Multipart,
) -> Result<Response, PageError> {
    let own = user.actor.user;
    app.limits.check(Limited::Upload, &own.to_string())?;
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let page = place(&hall).ok_or_else(PageError::not_found)?;
    entry::admitted(&mut *app.db.read().await?, &hall.competition, own, &hall.terms).await?;
    take(&app, &frame, (&hall, &page), &user, Some(own), &mut multipart).await
}

async fn remove(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let page = place(&hall).ok_or_else(PageError::not_found)?;
    take_away(&app, &frame, (&hall, &page), &user, Some(user.actor.user), &id).await
}
