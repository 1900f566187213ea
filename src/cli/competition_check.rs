//! `shuyu competition check BUNDLE`: everything that is wrong with a bundle, at once.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::clock::Entropy;
use crate::contest::bundle::{self, Finding, ImageTable, Limits, Report, Severity};

/// Arguments of `shuyu competition check`.
#[derive(Args, Clone, Debug)]
pub struct CompetitionCheckArgs {
    /// The folder that holds competition.yaml, or a zip of it
    pub bundle: PathBuf,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// Exit code for a bundle with errors.
const HAS_ERRORS: u8 = 1;
/// Exit code when there was nothing to read.
const UNREADABLE: u8 = 2;

/// Checks the bundle at `path` and prints its findings on standard output: as text, or with `json`
/// as `{"errors", "warnings", "notes", "findings": [{severity, code, file, key, line, problem,
/// mend}]}`. Returns 0 without errors, 1 with errors, 2 when there is nothing to read.
pub fn run(path: &Path, json: bool) -> ExitCode {
    run_with_images(path, json, None)
}

/// As [`run`], and checks the names of images against a table.
pub fn run_with_images(path: &Path, json: bool, images: Option<ImageTable<'_>>) -> ExitCode {
    let (report, code) = check(path, images);
    let text = if json { as_json(&report) } else { report.to_string() };
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::from(UNREADABLE),
    }
}

fn check(path: &Path, images: Option<ImageTable<'_>>) -> (Report, u8) {
    let read = Staging::new().and_then(|staging| {
        bundle::read_with_images(path, &staging.0, &Limits::default(), images).map_err(io::Error::other)
    });
    match read {
        Ok((_, report)) => {
            let code = if report.has_errors() { HAS_ERRORS } else { 0 };
            (report, code)
        }
        Err(error) => (unreadable(path, &error), UNREADABLE),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Report {
    let finding = Finding {
        severity: Severity::Error,
        code: "bundle-unreadable".to_owned(),
        file: path.display().to_string(),
        key: String::new(),
        line: None,
        problem: error.to_string(),
        mend: "name the folder that holds competition.yaml, or its zip".to_owned(),
    };
    Report { findings: vec![finding] }
}

fn as_json(report: &Report) -> String {
    let document = json!({
        "errors": report.count(Severity::Error),
        "warnings": report.count(Severity::Warning),
        "notes": report.count(Severity::Note),
        "findings": report.findings,
    });
    format!("{document:#}\n")
}

/// A directory for an unpacked bundle, removed when done.
struct Staging(PathBuf);

impl Staging {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("shuyu-check-{}", hex::encode(Entropy.bytes::<12>())));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the staging directory stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_errors_from_nothing_to_read() {
        let dir = tempfile::tempdir().unwrap();
        let (report, code) = check(&dir.path().join("nowhere"), None);
        assert_eq!((code, report.findings[0].code.as_str()), (UNREADABLE, "bundle-unreadable"));
        fs::write(dir.path().join("competition.yaml"), "title: x\n").unwrap();
        let (report, code) = check(dir.path(), None);
        assert_eq!(code, HAS_ERRORS);
        let document: serde_json::Value = serde_json::from_str(&as_json(&report)).unwrap();
        assert_eq!(document["errors"], 1);
        assert_eq!(document["findings"][0]["code"], "version-1");
        assert_eq!(document["findings"][0]["severity"], "error");
        assert_eq!(document["findings"][0]["file"], "competition.yaml");
    }
}
