//! A form with one file, its other fields in any order.

use std::collections::BTreeMap;

use axum::extract::multipart::{Field, Multipart, MultipartError, MultipartRejection};

use super::ask::{Answer, Misread, Refusal};
use super::spool::Spooled;
use crate::people::Actor;
use crate::web::App;
use crate::web::limits::Limited;

/// Bytes that a text field of a form may have.
const TEXT_BYTES: usize = 64 << 10;

/// A form that was read to its end.
pub(super) struct Upload {
    texts: BTreeMap<String, String>,
    /// The file's name, as the sender gave it.
    pub file_name: String,
    /// The file.
    pub file: Spooled,
}

impl Upload {
    /// Reads a form with the field `file`, of at most `cap` bytes, and of its other fields those of these
    /// names. It counts against the sender's uploads.
    ///
    /// # Errors
    /// When there are too many uploads, the form breaks off, a field is too long, or there is not one file.
    pub async fn take(
        app: &App,
        actor: &Actor,
        multipart: Result<Multipart, MultipartRejection>,
        (names, cap): (&[&str], u64),
    ) -> Answer<Self> {
        app.limits.check(Limited::Upload, &actor.user.to_string())?;
        let mut fields = multipart.map_err(|_| Misread::media_type("multipart/form-data"))?;
        let (mut texts, mut file) = (BTreeMap::new(), None);
        while let Some(field) = fields.next_field().await.map_err(broken)? {
            match field.name().unwrap_or_default() {
                "file" if file.is_some() => return Err(Misread::field("file", "one-file").into()),
                "file" => {
                    let name = field.file_name().unwrap_or_default().to_owned();
                    file = Some((name, Spooled::take(app, field, cap).await?));
                }
                name if names.contains(&name) => {
                    let name = name.to_owned();
                    texts.insert(name, text(field).await?);
                }
                _ => drop(field),
            }
        }
        let (file_name, file) = file.ok_or_else(|| Misread::field("file", "required"))?;
        Ok(Self { texts, file_name, file })
    }

    /// A text field; empty where it was not sent.
    pub fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }
}

/// A form that breaks off, or is not as announced.
pub(super) fn broken(error: MultipartError) -> Refusal {
    Misread::broken(error.body_text()).into()
}

/// A text field, of at most 64 KiB.
pub(super) async fn text(mut field: Field<'_>) -> Answer<String> {
    let name = field.name().unwrap_or_default().to_owned();
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > TEXT_BYTES {
            return Err(Misread::field(&name, "text-long").into());
        }
    }
    String::from_utf8(bytes).map_err(|_| Misread::field(&name, "not-utf8").into())
}
