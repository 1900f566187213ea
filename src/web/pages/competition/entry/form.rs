//! The form of an entry: texts, files and the button pressed, in one request, so that nothing that was
//! typed is lost when a picture is added, also without scripts.

use std::collections::BTreeMap;

use axum::extract::multipart::{Field, Multipart};

use super::super::upload::UploadError;
use crate::contest::definition::EntryRules;
use crate::judging::entries::{Content, EntryFault, FileKind, Incoming, Picture, look_over};
use crate::store::ObjectError;
use crate::web::error::PageError;

/// The largest text field, in bytes: more characters than any part may have.
const FIELD_BYTES: usize = 1 << 20;
/// Parts of a form.
const PARTS: usize = 200;

/// A form as it was sent.
#[derive(Default)]
pub(super) struct Form {
    fields: BTreeMap<String, String>,
    /// The pictures it names, in their order.
    pictures: Vec<String>,
    /// Files: whether a picture or a report, and the bytes.
    files: Vec<(FileKind, Vec<u8>)>,
}

/// What the button asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Press {
    /// Keep it.
    Save,
    /// Keep it while the member goes on writing.
    Auto,
    /// Keep it and hand it in.
    Submit,
}

impl Form {
    /// Reads a form; nothing larger than the rules allow.
    ///
    /// # Errors
    /// When it breaks off, or a file or field is too large.
    pub(super) async fn read(multipart: &mut Multipart, rules: &EntryRules) -> Result<Self, PageError> {
        let mut form = Self::default();
        for _ in 0..PARTS {
            let Some(mut field) = multipart.next_field().await.map_err(UploadError::Broken)? else {
                return Ok(form);
            };
            let name = field.name().unwrap_or_default().to_owned();
            let kind = match name.as_str() {
                "new-picture" => Some((FileKind::Picture, rules.picture_bytes)),
                "new-pdf" => Some((FileKind::Report, rules.report_bytes)),
                _ => None,
            };
            match kind {
                Some((kind, cap)) => {
                    let Some(bytes) = read(&mut field, usize::try_from(cap).unwrap_or(usize::MAX)).await?
                    else {
                        return Err(ObjectError::TooLarge { object: "the file".to_owned(), cap }.into());
                    };
                    // a field that nothing was chosen in comes as an empty file
                    if !bytes.is_empty() && form.files.len() < 20 {
                        form.files.push((kind, bytes));
                    }
                }
                None => {
                    let Some(bytes) = read(&mut field, FIELD_BYTES).await? else {
                        return Err(UploadError::Fields.into());
                    };
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    match name.as_str() {
                        "picture" => form.pictures.push(text),
                        _ => drop(form.fields.insert(name, text)),
                    }
                }
            }
        }
        Err(UploadError::Fields.into())
    }

    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// The button that was pressed.
    pub(super) fn press(&self) -> Press {
        match self.field("do") {
            "submit" => Press::Submit,
            "auto" => Press::Auto,
            _ => Press::Save,
        }
    }

    /// The revision that the member saw.
    pub(super) fn seen(&self) -> i64 {
        self.field("seen").parse().unwrap_or(0)
    }

    /// Whether there are files in it.
    pub(super) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// What the entry is to say, after the button's own change: a picture removed or moved forward, the
    /// report removed.
    pub(super) fn content(&self) -> Content {
        let text = |name: &str| self.field(name).to_owned();
        let pressed = self.field("do");
        let mut pictures: Vec<Picture> = Vec::new();
        for id in &self.pictures {
            let Ok(file) = id.parse() else { continue };
            if pressed != format!("remove-{id}") && pictures.iter().all(|other| other.file != file) {
                pictures.push(Picture { file, caption: text(&format!("caption-{id}")) });
            }
        }
        let moved = pressed.strip_prefix("up-").and_then(|id| id.parse().ok());
        if let Some(place) = moved.and_then(|id| pictures.iter().position(|picture| picture.file == id))
            && place > 0
        {
            pictures.swap(place, place - 1);
        }
        Content {
            title: text("title"),
            summary: text("summary"),
            report: text("report"),
            pdf: self.field("pdf").parse().ok().filter(|_| pressed != "remove-pdf"),
            pictures,
            demo: text("demo"),
            submission: self.field("submission").parse().ok(),
        }
    }

    /// The files, looked over.
    ///
    /// # Errors
    /// [`EntryFault`] for the first that cannot be taken.
    pub(super) async fn files(self) -> Result<(Vec<Incoming>, Option<Incoming>), EntryFault> {
        let (mut pictures, mut pdf) = (Vec::new(), None);
        for (kind, bytes) in self.files {
            let incoming = look_over(kind, bytes, "").await?;
            match kind {
                FileKind::Picture => pictures.push(incoming),
                FileKind::Report => pdf = Some(incoming),
            }
        }
        Ok((pictures, pdf))
    }
}

/// A field's bytes; none where there are more than `cap`.
async fn read(field: &mut Field<'_>, cap: usize) -> Result<Option<Vec<u8>>, PageError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(UploadError::Broken)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > cap {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}
