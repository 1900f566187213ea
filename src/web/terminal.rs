//! [`Terminal`]: the words for those who hand a file in from inside a sandbox. They read them in a
//! terminal, so they are short lines without markup.

use std::sync::Arc;

use axum::http::StatusCode;

use super::error::{Explain, Explanation, FieldFault};
use super::format;
use super::lang::Lang;
use super::limits::{Limited, Limits};
use super::pages::competition::hall::{locale as tag, public_columns};
use super::pages::competition::submission::reason_key;
use super::words::{Args, Words, WordsError};
use crate::config::Settings;
use crate::contest::model::Competition;
use crate::ids::UserId;
use crate::lab::hand_in::{Clerk, Refusal, Refused, Said, Standing};
use crate::scoring::predictions::FaultReport;
use crate::submission::model::{Reason, State};

/// The words and the pace of the counter in each sandbox.
pub struct Terminal {
    words: Words,
    limits: Arc<Limits>,
    public_url: String,
}

impl Terminal {
    /// With the pace that uploads have: one for both.
    ///
    /// # Errors
    /// When a text cannot be read.
    pub fn new(settings: &Settings, limits: Arc<Limits>) -> Result<Self, WordsError> {
        let public_url = settings.public_url.trim_end_matches('/').to_owned();
        Ok(Self { words: Words::load()?, limits, public_url })
    }

    fn text(&self, lang: Lang, key: &str, args: Args) -> String {
        self.words.say_or_key(lang, key, &args)
    }

    fn page(&self, lang: Lang, page: &str) -> String {
        self.text(lang, "hand-in-page", vec![("address", format!("{}{page}", self.public_url).into())])
    }

    fn standing(&self, lang: Lang, competition: &Competition, standing: &Standing) -> String {
        match standing {
            Standing::Uploaded => self.text(lang, "waits-for-organizer", Args::new()),
            Standing::Queued { ahead, expected_seconds } => {
                let time = format::duration(lang, *expected_seconds);
                let args = vec![("place", (ahead + 1).into()), ("time", time.into())];
                let place = self.text(lang, "queue-place", args);
                self.text(lang, "hand-in-queued", vec![("place", place.into())])
            }
            Standing::Running { closed: false } => self.text(lang, "hand-in-running", Args::new()),
            Standing::Running { closed: true } => {
                let why = self.text(lang, "closed-run", Args::new());
                self.text(lang, "hand-in-running-closed", vec![("why", why.into())])
            }
            Standing::Scored(scores) => {
                let mut lines = vec![self.text(lang, "hand-in-scored", Args::new())];
                for column in public_columns(competition, tag(lang)) {
                    if let Some(value) = scores.get().get(&column.key) {
                        let value = format::decimal(*value, column.precision as usize);
                        lines.push(format!("  {}  {value}", column.title));
                    }
                }
                lines.join("\n")
            }
            Standing::Ended(State::Received, _) => self.text(lang, "received-text", Args::new()),
            Standing::Ended(_, reason) => self.reason(lang, reason),
        }
    }

    fn reason(&self, lang: Lang, reason: &Reason) -> String {
        let key = format!("reason-{}", reason_key(&self.words, lang, &reason.code));
        let mut lines = vec![self.text(lang, &key, Args::new())];
        if self.words.has(lang, &format!("{key}.mend")) {
            lines.push(self.text(lang, &format!("{key}.mend"), Args::new()));
        }
        match reason.faults.clone().and_then(|faults| serde_json::from_value(faults).ok()) {
            Some(report) => lines.extend(self.faults(lang, &report)),
            // the room's own words, in English
            None => lines.extend(reason.text.lines().map(printable)),
        }
        lines.join("\n  ")
    }

    /// The first faults of a result file, a line each, as the submission's page words them.
    fn faults(&self, lang: Lang, report: &FaultReport) -> Vec<String> {
        let count = i64::try_from(report.total).unwrap_or(i64::MAX);
        let mut lines = vec![self.text(lang, "faults", vec![("count", count.into())])];
        for fault in &report.first {
            let expected = match lang {
                Lang::En => fault.expected.clone(),
                Lang::Zh => self.text(lang, &format!("fault-kind-{}", fault.kind), Args::new()),
            };
            let mut parts = Vec::new();
            if let Some(line) = fault.line.and_then(|line| i64::try_from(line).ok()) {
                parts.push(self.text(lang, "hand-in-fault-line", vec![("line", line.into())]));
            }
            parts.extend(fault.column.clone());
            let found = fault.found.clone().unwrap_or_default();
            parts.push(match found.is_empty() {
                true => self.text(lang, "hand-in-fault-wanted", vec![("expected", expected.into())]),
                false => self.text(
                    lang,
                    "hand-in-fault-found",
                    vec![("found", found.into()), ("expected", expected.into())],
                ),
            });
            lines.push(printable(&parts.join("  ")));
        }
        let more = count - i64::try_from(report.first.len()).unwrap_or(0);
        if more > 0 {
            lines.push(self.text(lang, "hand-in-faults-more", vec![("count", more.into())]));
        }
        lines
    }
}

/// Without what would move the cursor or colour the terminal: file names and cells come along.
fn printable(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).collect()
}

impl Clerk for Terminal {
    fn admit(&self, user: UserId) -> Result<(), u64> {
        self.limits.check(Limited::Upload, &user.to_string()).map_err(|too_many| too_many.seconds)
    }

    fn say(&self, locale: &str, competition: &Competition, said: &Said<'_>) -> String {
        let lang = Lang::from_tag(locale).unwrap_or(Lang::Zh);
        match said {
            Said::Accepted { submission, phase, page, left } => {
                let key = format!("phases.{}", phase.position);
                let name = competition.named(tag(lang), &key, &phase.definition.name);
                let id = submission.id.to_string();
                let accepted = vec![
                    ("file", printable(&submission.file_name).into()),
                    ("size", format::size(i64::try_from(submission.size).unwrap_or(i64::MAX)).into()),
                    ("phase", printable(name).into()),
                ];
                let number =
                    vec![("id", id.as_str().into()), ("short", crate::lab::hand_in::short(&id).into())];
                let left = left.map(|left| self.text(lang, "quota-left", vec![("left", left.into())]));
                let lines = [
                    Some(self.text(lang, "hand-in-accepted", accepted)),
                    left,
                    Some(self.text(lang, "hand-in-number", number)),
                    Some(self.page(lang, page)),
                ];
                lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
            }
            Said::Stands(standing) => self.standing(lang, competition, standing),
            Said::GoesOn { page } => {
                [self.text(lang, "hand-in-goes-on", Args::new()), self.page(lang, page)].join("\n")
            }
        }
    }

    fn refuse(&self, locale: &str, refusal: &Refusal) -> Refused {
        let lang = Lang::from_tag(locale).unwrap_or(Lang::Zh);
        let explanation = Explanation::of(refusal);
        let worded = explanation.worded(&self.words, lang);
        let mut lines = vec![self.text(lang, "hand-in-refused", vec![("what", worded.title.into())])];
        // where a field is at fault, it says more than the rule
        if worded.faults.is_empty() {
            lines.extend([worded.why, worded.mend]);
        }
        lines.extend(worded.faults.into_iter().map(|fault| fault.text));
        if worded_needs_answers(&explanation.faults) {
            lines.push(self.text(lang, "hand-in-answers", Args::new()));
        }
        let lines: Vec<String> = lines.iter().map(|line| printable(line)).collect();
        Refused { code: explanation.code, text: lines.join("\n  ") }
    }
}

/// Whether it is the fact sheet that was not answered.
fn worded_needs_answers(faults: &[FieldFault]) -> bool {
    faults.iter().any(|fault| fault.field.starts_with("fact-"))
}

impl Explain for Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Header => StatusCode::BAD_REQUEST,
            Self::NoPhase(_) => StatusCode::NOT_FOUND,
            Self::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Closed => StatusCode::CONFLICT,
            Self::Leaving => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotAccepted(error) => error.status(),
            Self::Store(error) => error.status(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Header => "hand-in-header",
            Self::NoPhase(_) => "hand-in-phase",
            Self::TooOften(_) => "too-many-requests",
            Self::Closed => "sandbox-closed",
            Self::Leaving => "hand-in-leaving",
            Self::NotAccepted(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn args(&self) -> Args {
        match self {
            Self::NoPhase(asked) => vec![("phase", (*asked).into())],
            Self::TooOften(seconds) => {
                vec![("seconds", i64::try_from(*seconds).unwrap_or(i64::MAX).into())]
            }
            Self::NotAccepted(error) => error.args(),
            _ => Args::new(),
        }
    }

    fn faults(&self) -> Vec<FieldFault> {
        match self {
            Self::NotAccepted(error) => error.faults(),
            _ => Vec::new(),
        }
    }
}
