//! How the errors of judging are told.

use axum::http::StatusCode;

use crate::judging::JudgingError;
use crate::web::error::{Explain, FieldFault};
use crate::web::words::Args;

/// Whether what is not there was named in a field of a form.
fn is_field(what: &str) -> bool {
    matches!(what, "account" | "organisation")
}

impl Explain for JudgingError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Store(error) => error.status(),
            Self::Unknown(what) if is_field(what) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::BadName | Self::Rubric(_) | Self::Marks(_) | Self::NoReason => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::NotYours(_) => StatusCode::FORBIDDEN,
            Self::NoRubric
            | Self::MarksGiven
            | Self::RubricFixed
            | Self::WrongState { .. }
            | Self::OthersSeen
            | Self::TakesPart
            | Self::Runs
            | Self::JudgeAlready
            | Self::NoJudges
            | Self::NoEntries
            | Self::NothingChosen
            | Self::NothingMarked
            | Self::Newer { .. }
            | Self::Submitted => StatusCode::CONFLICT,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoRubric => "no-rubric",
            Self::Rubric(_) | Self::Marks(_) | Self::BadName => "invalid",
            Self::Unknown(what) if is_field(what) => "invalid",
            Self::MarksGiven => "marks-given",
            Self::RubricFixed => "rubric-fixed",
            Self::Unknown(_) => "not-found",
            Self::NotYours(_) => "judging-not-yours",
            Self::WrongState { .. } => "panel-state",
            Self::OthersSeen => "others-seen",
            Self::TakesPart => "judge-takes-part",
            Self::Runs => "judge-runs",
            Self::JudgeAlready => "judge-already",
            Self::NoJudges => "no-judges",
            Self::NoEntries => "no-entries",
            Self::NothingChosen => "nothing-chosen",
            Self::NothingMarked => "nothing-marked",
            Self::Newer { .. } => "marks-newer",
            Self::Submitted => "marks-submitted",
            Self::NoReason => "no-reason",
            Self::Store(error) => error.code(),
        }
    }

    fn args(&self) -> Args {
        match self {
            Self::WrongState { state } => vec![("state", state.as_str().into())],
            Self::Newer { version, .. } => vec![("version", (*version).into())],
            _ => Args::new(),
        }
    }

    fn faults(&self) -> Vec<FieldFault> {
        match self {
            Self::Marks(faults) => {
                faults.iter().map(|(field, code)| FieldFault::new(field.as_str(), code)).collect()
            }
            Self::Rubric(faults) => faults
                .iter()
                .map(|fault| {
                    let mut told = FieldFault::new(fault.key.as_str(), "rubric");
                    told.text = Some(format!("{}: {}", fault.problem, fault.mend));
                    told
                })
                .collect(),
            Self::BadName => vec![FieldFault::new("name", "panel-name")],
            Self::Unknown("account") => vec![FieldFault::new("login", "no-such-login")],
            Self::Unknown("organisation") => vec![FieldFault::new("organisation", "no-such-organisation")],
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
