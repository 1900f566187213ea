//! Findings about files that people write for us, as pages show them.

use serde::Serialize;

use super::App;
use super::lang::Lang;
use super::page::Frame;
use super::words::Args;
use crate::contest::bundle::Finding;

/// A finding, and on Chinese pages what it means in general; its own text, which names the value found,
/// is English.
#[derive(Serialize)]
pub(in crate::web) struct FindingView<'f> {
    #[serde(flatten)]
    finding: &'f Finding,
    said: Option<String>,
    said_mend: Option<String>,
}

impl<'f> FindingView<'f> {
    /// A finding for a page in the reader's language.
    pub(in crate::web) fn of(app: &App, frame: &Frame, finding: &'f Finding) -> Self {
        let words = app.templates.words();
        let said = |key: String| {
            let known = frame.lang() == Lang::Zh && words.has(Lang::Zh, &key);
            known.then(|| frame.say(&key, &Args::new()))
        };
        let key = format!("finding-{}", finding.code);
        Self { finding, said_mend: said(format!("{key}.mend")), said: said(key) }
    }
}
