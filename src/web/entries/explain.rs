//! How the errors of entries are told.

use axum::http::StatusCode;

use crate::judging::entries::EntryFault;
use crate::judging::entries::pdf::PdfError;
use crate::judging::entries::picture::{PIXELS, PictureError};
use crate::web::error::{Explain, FieldFault};
use crate::web::explain::minute;
use crate::web::format;
use crate::web::words::Args;

fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

impl Explain for EntryFault {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotBegun(_) | Self::Over(_) | Self::Changed(_) | Self::NotSubmitted => StatusCode::CONFLICT,
            Self::Judged(_) | Self::Signed => StatusCode::CONFLICT,
            Self::Unreleased | Self::TakenDown | Self::NoRoom { .. } => StatusCode::CONFLICT,
            Self::NoFile | Self::Gone => StatusCode::NOT_FOUND,
            Self::Object(error) => error.status(),
            Self::Store(error) => error.status(),
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotBegun(_) => "entries-not-begun",
            Self::Over(_) => "entries-over",
            Self::Judged(_) => "entry-judged",
            Self::Signed => "entry-signed",
            Self::Changed(_) => "entry-changed",
            Self::Lacks { .. } => "entry-lacks",
            Self::NotSubmitted => "entry-not-submitted",
            Self::Unreleased => "entry-unreleased",
            Self::TakenDown => "entry-taken-down",
            Self::NoRoom { .. } => "entry-no-room",
            Self::NoReason => "no-reason",
            Self::NoFile | Self::Gone => "not-found",
            Self::Object(error) => error.code(),
            Self::Store(error) => error.code(),
            _ => "invalid",
        }
    }

    fn args(&self) -> Args {
        match self {
            Self::NotBegun(at) | Self::Over(at) | Self::Judged(at) => vec![("at", minute(*at))],
            Self::NoRoom { limit } => vec![("limit", format::size(number(*limit)).into())],
            Self::Object(error) => error.args(),
            _ => Args::new(),
        }
    }

    fn faults(&self) -> Vec<FieldFault> {
        let with = |field: &str, code: &'static str, args: Args| {
            let mut fault = FieldFault::new(field, code);
            fault.args = args;
            vec![fault]
        };
        match self {
            Self::Lacks { title, parts } => {
                let title = title.then(|| FieldFault::new("title", "entry-required"));
                let parts = parts.iter().map(|part| FieldFault::new(part.as_str(), "entry-required"));
                title.into_iter().chain(parts).collect()
            }
            Self::TooLong { field, most } => {
                with(field, "entry-too-long", vec![("most", number(*most).into())])
            }
            Self::Title => with("title", "entry-title", Args::new()),
            Self::Demo => with("demo", "entry-demo", Args::new()),
            Self::Picture(PictureError::Kind) => with("pictures", "picture-kind", Args::new()),
            Self::Picture(PictureError::Broken(_)) => with("pictures", "picture-broken", Args::new()),
            Self::Picture(PictureError::Pixels { width, height }) => {
                let args: Args = vec![
                    ("width", i64::from(*width).into()),
                    ("height", i64::from(*height).into()),
                    ("most", number(PIXELS / 1_000_000).into()),
                ];
                with("pictures", "picture-pixels", args)
            }
            Self::Pdf(PdfError::Kind) => with("pdf", "pdf-kind", Args::new()),
            Self::Pdf(PdfError::CutOff) => with("pdf", "pdf-cut-off", Args::new()),
            Self::TooManyPictures { most } => {
                with("pictures", "pictures-too-many", vec![("most", number(*most).into())])
            }
            Self::NoSubmission => with("submission", "entry-submission", Args::new()),
            Self::Late => with("until", "entry-late", Args::new()),
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
