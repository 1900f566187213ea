//! Datasets, their versions and forms, and the proof that a use of one is authorised.
//!
//! Central types: [`Dataset`] (a catalogue entry), [`Form`] (restricted, sandbox or public),
//! [`Authorised`] (proof that a use was checked a moment ago; starting a run, mounting or downloading
//! a form need one). May call `store` and `audit`; must never touch HTTP or Docker, and never gives a
//! restricted file out in plain.

mod authorise;
pub mod db;
mod import;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use authorise::{
    Authorised, CatalogError, Download, Interactive, MountsSandboxForm, Scoring, Spare, authorise_download,
    authorise_sandbox, authorise_scoring, authorise_spare,
};
pub use import::{DatasetImported, import, withdraw};

use crate::contest::model::word;
use crate::ids::{DatasetId, DatasetVersionId};

word! {
    /// The forms of a dataset version.
    Form {
        /// As collected, sealed at rest.
        Restricted = "restricted",
        /// Desensitized; mounted in sandboxes, stays inside.
        Sandbox = "sandbox",
        /// What the holder opens unconditionally; may be downloaded.
        Public = "public",
    }
}

/// A text in Chinese and English.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Chinese.
    #[serde(default)]
    pub zh: String,
    /// English.
    #[serde(default)]
    pub en: String,
}

/// What a catalogue entry says of itself: `dataset.yaml` as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Short name in addresses.
    pub slug: String,
    /// Version number, from 1.
    pub version: i64,
    /// Title.
    pub title: Text,
    /// Description.
    #[serde(default)]
    pub description: Text,
    /// The holder (department).
    #[serde(default)]
    pub holder: Text,
    /// Theme, a word of the catalogue's list, such as 交通运输.
    #[serde(default)]
    pub theme: String,
    /// Licence or terms of use.
    #[serde(default)]
    pub licence: String,
    /// Opening type: 无条件开放, 有条件开放 or 不予开放.
    #[serde(default)]
    pub opening: String,
    /// The forms that come with the version, by their words.
    pub forms: BTreeMap<String, DocumentForm>,
    /// Tables with their columns.
    #[serde(default)]
    pub tables: Vec<Table>,
    /// Everything else the author wrote, kept as it is.
    #[serde(flatten)]
    pub more: BTreeMap<String, serde_json::Value>,
}

/// Where a form's files are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentForm {
    /// Folder beside `dataset.yaml`.
    pub path: String,
    /// A note to whoever uses it.
    #[serde(default)]
    pub note: Text,
}

/// A table of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The file, the same in every form.
    pub file: String,
    /// Title.
    #[serde(default)]
    pub title: Text,
    /// Columns in order.
    #[serde(default)]
    pub columns: Vec<ColumnNote>,
    /// Everything else the author wrote.
    #[serde(flatten)]
    pub more: BTreeMap<String, serde_json::Value>,
}

/// What is said of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnNote {
    /// Name in the file.
    pub name: String,
    /// Type.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Unit of its values.
    #[serde(default)]
    pub unit: String,
    /// Sensitivity, from 1 (lowest) to 4.
    #[serde(default)]
    pub level: u8,
    /// What it means.
    #[serde(default)]
    pub meaning: Text,
}

/// A dataset with its newest version.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Its id.
    pub id: DatasetId,
    /// Its short name.
    pub slug: String,
    /// Its newest version.
    pub version: DatasetVersionId,
    /// What it says of itself.
    pub document: Document,
    /// When the version came in.
    pub created_at: Timestamp,
    /// When the version was withdrawn: new uses are refused since.
    pub withdrawn_at: Option<Timestamp>,
}

/// A file of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FormFile {
    /// The form.
    pub form: Form,
    /// Path inside the form.
    pub path: String,
    /// Where the object store holds it.
    #[serde(skip)]
    pub object_key: String,
    /// Size in bytes.
    pub size: u64,
    /// SM3, in hexadecimal.
    pub digest: String,
}
