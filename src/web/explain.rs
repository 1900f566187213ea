//! How the errors of the rooms behind competitions are told: one [`Explain`] for each. The texts stand
//! in `locales/*/explain.ftl`.

use axum::http::StatusCode;
use jiff::Timestamp;

use super::error::{Explain, FieldFault};
use super::words::{Arg, Args};
use crate::catalog::CatalogError;
use crate::contest::bundle::BundleError;
use crate::contest::desk::DeskError;
use crate::contest::draft::DraftError;
use crate::contest::entry::EntryError;
use crate::contest::expected::ExpectedError;
use crate::contest::import::{ImportError, PublishError};
use crate::lab::ask::AskError;
use crate::store::ObjectError;
use crate::submission::accept::{AcceptError, DRY_RUNS_AT_A_TIME};
use crate::submission::actions::ActionError;
use crate::submission::book::ReportError;

/// A time inside a text: to the minute, in UTC, which is what quotas and phases are counted in.
pub(super) fn minute(at: Timestamp) -> Arg {
    Arg::Text(at.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn text(value: &str) -> Arg {
    Arg::Text(value.to_owned())
}

impl Explain for ObjectError {
    fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Source { .. } => StatusCode::BAD_REQUEST,
            Self::Full { .. } => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "upload-too-large",
            Self::Source { .. } => "upload-broken",
            Self::Full { .. } => "storage-full",
            _ => "internal",
        }
    }

    fn args(&self) -> Args {
        match self {
            Self::TooLarge { cap, .. } => {
                vec![("cap", super::format::size(i64::try_from(*cap).unwrap_or(i64::MAX)).into())]
            }
            _ => Args::new(),
        }
    }
}

impl Explain for ExpectedError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Objects(error) => error.status(),
            Self::Store(error) => error.status(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Objects(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

impl Explain for ReportError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Objects(error) => error.status(),
            Self::Document(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Objects(error) => error.code(),
            Self::Document(_) => "internal",
        }
    }
}

impl Explain for EntryError {
    fn status(&self) -> StatusCode {
        match self {
            Self::TermsNotAccepted | Self::NotAdmitted(_) | Self::TeamsLocked(_) | Self::Judges => {
                StatusCode::FORBIDDEN
            }
            Self::InTeam(_)
            | Self::NoTeam
            | Self::TeamFull(_)
            | Self::LastMember(_)
            | Self::UnderWay(_)
            | Self::TooManyTogether { .. } => StatusCode::CONFLICT,
            Self::NameTaken(_) | Self::BadName | Self::NoReason => StatusCode::UNPROCESSABLE_ENTITY,
            Self::BadInvitation => StatusCode::GONE,
            Self::NoRegistration => StatusCode::NOT_FOUND,
            Self::Store(error) => error.status(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::TermsNotAccepted => "terms-not-accepted",
            Self::NotAdmitted(_) => "not-admitted",
            Self::Judges => "judge-cannot-enter",
            Self::TeamsLocked(_) => "teams-locked",
            Self::InTeam(_) => "in-team",
            Self::NoTeam => "no-team",
            Self::NameTaken(_) | Self::BadName => "invalid",
            Self::BadInvitation => "bad-invitation",
            Self::TeamFull(_) => "team-full",
            Self::LastMember(_) => "last-member",
            Self::UnderWay(_) => "team-under-way",
            Self::TooManyTogether { .. } => "too-many-together",
            Self::NoReason => "no-reason",
            Self::NoRegistration => "not-found",
            Self::Store(error) => error.code(),
        }
    }

    fn args(&self) -> Args {
        match self {
            Self::TeamsLocked(at) => vec![("at", minute(*at))],
            Self::InTeam(team) | Self::TeamFull(team) | Self::LastMember(team) | Self::UnderWay(team) => {
                vec![("team", text(team))]
            }
            Self::TooManyTogether { phase, together, limit } => {
                vec![("phase", text(phase)), ("together", (*together).into()), ("limit", (*limit).into())]
            }
            _ => Args::new(),
        }
    }

    fn faults(&self) -> Vec<FieldFault> {
        match self {
            Self::NameTaken(_) => vec![FieldFault::new("name", "team-name-taken")],
            Self::BadName => vec![FieldFault::new("name", "team-name-bad")],
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl Explain for AcceptError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoPhase(_) => StatusCode::NOT_FOUND,
            Self::NotBegun(_) | Self::Over(_) => StatusCode::CONFLICT,
            Self::Entry(error) => error.status(),
            Self::DailyQuota { .. }
            | Self::TotalQuota { .. }
            | Self::DailyBytes { .. }
            | Self::TooManyTrials
            | Self::TooManyDryRuns => StatusCode::TOO_MANY_REQUESTS,
            Self::Ending(_)
            | Self::Pickle(_)
            | Self::ResultsOnly
            | Self::Empty
            | Self::Message
            | Self::Facts { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NoTwin => StatusCode::CONFLICT,
            Self::Upload(error) => error.status(),
            Self::Store(error) => error.status(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoPhase(_) => "not-found",
            Self::NotBegun(_) => "phase-not-begun",
            Self::Over(_) => "phase-over",
            Self::Entry(error) => error.code(),
            Self::DailyQuota { .. } => "daily-quota",
            Self::TotalQuota { .. } => "total-quota",
            Self::DailyBytes { .. } => "daily-bytes",
            Self::TooManyTrials => "too-many-trials",
            Self::TooManyDryRuns => "too-many-dry-runs",
            Self::Ending(_)
            | Self::Pickle(_)
            | Self::ResultsOnly
            | Self::Empty
            | Self::Message
            | Self::Facts { .. } => "invalid",
            Self::NoTwin => "no-twin",
            Self::Upload(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn args(&self) -> Args {
        match self {
            Self::NotBegun(at) | Self::Over(at) => vec![("at", minute(*at))],
            Self::DailyQuota { used, limit, again } => {
                vec![("used", (*used).into()), ("limit", (*limit).into()), ("again", minute(*again))]
            }
            Self::TotalQuota { limit } => vec![("limit", (*limit).into())],
            Self::DailyBytes { limit, again } => {
                let limit = super::format::size(i64::try_from(*limit).unwrap_or(i64::MAX));
                vec![("limit", limit.into()), ("again", minute(*again))]
            }
            Self::TooManyDryRuns => vec![("limit", DRY_RUNS_AT_A_TIME.into())],
            Self::Entry(error) => error.args(),
            Self::Upload(error) => error.args(),
            _ => Args::new(),
        }
    }

    fn faults(&self) -> Vec<FieldFault> {
        let one = |field: &str, code| vec![FieldFault::new(field, code)];
        match self {
            Self::Ending(name) => {
                let mut fault = FieldFault::new("file", "file-ending");
                fault.args = vec![("name", text(name))];
                vec![fault]
            }
            Self::Pickle(name) => {
                let mut fault = FieldFault::new("file", "file-pickle");
                fault.args = vec![("name", text(name))];
                vec![fault]
            }
            Self::ResultsOnly => one("file", "results-only"),
            Self::Empty => one("file", "file-empty"),
            Self::Message => one("message", "message-long"),
            Self::Facts { key, title, .. } => {
                let mut fault = FieldFault::new(format!("fact-{key}"), "fact-answer");
                fault.args = vec![("title", text(title))];
                vec![fault]
            }
            Self::Entry(error) => error.faults(),
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Store(error) => error.retry_after(),
            Self::TooManyTrials | Self::TooManyDryRuns => Some(30),
            _ => None,
        }
    }
}

impl Explain for AskError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotOffered | Self::Gone => StatusCode::NOT_FOUND,
            Self::NotBegun(_) | Self::Over(_) | Self::None | Self::Stopping | Self::Copied(_) => {
                StatusCode::CONFLICT
            }
            Self::TooLong => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Entry(error) => error.status(),
            Self::Catalog(CatalogError::Store(error)) => error.status(),
            Self::Catalog(_) => StatusCode::CONFLICT,
            Self::Store(error) => error.status(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotOffered => "sandbox-not-offered",
            Self::NotBegun(_) => "sandbox-not-begun",
            Self::Over(_) => "sandbox-over",
            Self::None => "sandbox-none",
            Self::Copied(_) => "sandbox-copied",
            Self::Stopping => "sandbox-stopping",
            Self::Gone => "sandbox-gone",
            Self::TooLong => "invalid",
            Self::Entry(error) => error.code(),
            Self::Catalog(CatalogError::Store(error)) => error.code(),
            Self::Catalog(_) => "sandbox-data",
            Self::Store(error) => error.code(),
        }
    }

    fn args(&self) -> Args {
        match self {
            Self::NotBegun(at) | Self::Over(at) | Self::Copied(at) => vec![("at", minute(*at))],
            Self::Entry(error) => error.args(),
            _ => Args::new(),
        }
    }

    fn faults(&self) -> Vec<FieldFault> {
        match self {
            Self::TooLong => vec![FieldFault::new("message", "message-long")],
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Stopping => Some(2),
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl Explain for ActionError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::State { .. }
            | Self::TooManyNominations(_)
            | Self::BoardIsAutomatic(_)
            | Self::AddIsFinal
            | Self::StaysPrivate => StatusCode::CONFLICT,
            Self::NotAdmitted => StatusCode::FORBIDDEN,
            Self::Disqualified => StatusCode::CONFLICT,
            Self::FileGone => StatusCode::GONE,
            Self::NoReason => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Store(error) => error.status(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "not-found",
            Self::NotAdmitted => "not-admitted",
            Self::Disqualified => "disqualified",
            Self::State { .. } => "wrong-state",
            Self::TooManyNominations(_) => "too-many-nominations",
            Self::BoardIsAutomatic(_) => "board-is-automatic",
            Self::AddIsFinal => "add-is-final",
            Self::StaysPrivate => "stays-private",
            Self::FileGone => "file-gone",
            Self::NoReason => "no-reason",
            Self::Store(error) => error.code(),
        }
    }

    fn args(&self) -> Args {
        match self {
            Self::TooManyNominations(most) => vec![("most", i64::from(*most).into())],
            _ => Args::new(),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl Explain for ImportError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Slug(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NotYours(_) => StatusCode::CONFLICT,
            Self::File { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Objects(error) => error.status(),
            Self::Store(error) => error.status(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Slug(_) => "invalid",
            Self::NotYours(_) => "slug-taken",
            Self::File { .. } => "internal",
            Self::Objects(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn args(&self) -> Args {
        match self {
            Self::NotYours(slug) => vec![("slug", text(slug))],
            Self::Objects(error) => error.args(),
            _ => Args::new(),
        }
    }

    fn faults(&self) -> Vec<FieldFault> {
        match self {
            Self::Slug(_) => vec![FieldFault::new("slug", "slug-bad")],
            _ => Vec::new(),
        }
    }
}

impl Explain for PublishError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::Target { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Objects(error) => error.status(),
            Self::Store(error) => error.status(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "not-found",
            Self::Target { .. } => "internal",
            Self::Objects(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
}

impl Explain for BundleError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Missing { .. } | Self::Io { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooManyFiles { .. } | Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::Io { .. } => "internal",
            Self::TooManyFiles { .. } | Self::TooLarge { .. } => "bundle-too-large",
        }
    }
}

impl Explain for DeskError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Dates { .. } | Self::Empty(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NoPhase | Self::NoAnnouncement => StatusCode::NOT_FOUND,
            Self::Store(error) => error.status(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Dates { .. } | Self::Empty(_) => "invalid",
            Self::NoPhase | Self::NoAnnouncement => "not-found",
            Self::Store(error) => error.code(),
        }
    }

    fn faults(&self) -> Vec<FieldFault> {
        match self {
            Self::Dates { position, code } => vec![FieldFault::new(format!("end-{position}"), code)],
            Self::Empty(field) => vec![FieldFault::new(*field, "required")],
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Store(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl Explain for DraftError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Scratch(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Bundle(error) => error.status(),
            Self::Objects(ObjectError::Missing { .. }) | Self::Other => StatusCode::CONFLICT,
            Self::Objects(error) => error.status(),
            Self::Import(error) => error.status(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Scratch(_) => "internal",
            Self::Bundle(error) => error.code(),
            Self::Objects(ObjectError::Missing { .. }) | Self::Other => "draft-gone",
            Self::Objects(error) => error.code(),
            Self::Import(error) => error.code(),
        }
    }

    fn args(&self) -> Args {
        match self {
            Self::Objects(error) => error.args(),
            Self::Import(error) => error.args(),
            _ => Args::new(),
        }
    }

    fn faults(&self) -> Vec<FieldFault> {
        match self {
            Self::Import(error) => error.faults(),
            _ => Vec::new(),
        }
    }
}
