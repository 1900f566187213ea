//! What in an entry tells who made it although it is shown blind: said to the team before a judge reads it.

use super::mask::Names;
use super::model::{Content, EntryFile, FileKind};

/// Something that tells, or may tell, who made an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The part: `title`, `summary`, `report`, `caption`, `demo` or `pdf`.
    pub part: &'static str,
    /// The kind, in kebab case: `named` (a text has the word, which is blotted out), `address` (the link
    /// has it, which is left out), `link` (a link leads to a page that may say it), `file` (the file
    /// itself says it), `locked` (the file cannot be looked into), `unread` (its pages are not looked
    /// through).
    pub kind: &'static str,
    /// The word; empty where none is known.
    pub word: String,
}

impl Leak {
    /// Whether judges get to see it although the entry is shown blind.
    pub fn is_seen(&self) -> bool {
        matches!(self.kind, "file" | "locked" | "link")
    }
}

/// What tells, in the order of the form. `files`: those that the content names.
pub fn leaks(content: &Content, files: &[EntryFile], names: &Names) -> Vec<Leak> {
    let mut leaks = Vec::new();
    let mut add = |part, kind, word: &str| {
        let leak = Leak { part, kind, word: word.to_owned() };
        if !leaks.contains(&leak) {
            leaks.push(leak);
        }
    };
    let texts = [("title", &content.title), ("summary", &content.summary), ("report", &content.report)];
    let captions = content.pictures.iter().map(|picture| ("caption", &picture.caption));
    for (part, text) in texts.into_iter().chain(captions) {
        for word in names.named(text) {
            add(part, "named", word);
        }
    }
    if !content.demo.is_empty() {
        let named = names.named_in_address(&content.demo);
        match named.first() {
            Some(word) => add("demo", "address", word),
            None => add("demo", "link", ""),
        }
    }
    let report = files.iter().find(|file| file.kind == FileKind::Report && content.pdf == Some(file.id));
    if let Some(report) = report {
        for (field, value) in &report.facts.says {
            add("pdf", "file", &format!("{field}: {value}"));
        }
        if report.facts.locked {
            add("pdf", "locked", "");
        }
        add("pdf", "unread", "");
    }
    leaks
}
