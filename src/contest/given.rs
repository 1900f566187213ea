//! What a competition gives out of its bundle, and to whom: the one answer that the pages and the API
//! share.

use jiff::Timestamp;
use serde::Serialize;

use super::definition::{BundlePath, Definition, InputVisibility};
use super::entry::{self, EntryError};
use super::model::{Competition, Phase, PhaseTime, StoredFile};
use super::terms_digest;
use crate::ids::UserId;
use crate::store::{Class, Connection, ObjectKey};

/// What a file is given out as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// Data of a phase, to work with.
    PublicData,
    /// What one starts from.
    StartingKit,
    /// What submissions are run on, where the organizer shows it.
    InputData,
    /// The program that runs a submission's predictions, where the organizer shows it.
    IngestionProgram,
    /// The program that scores, where the organizer shows it.
    ScoringProgram,
}

/// A path of the bundle that is given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// As what.
    pub kind: Use,
    /// The path.
    pub path: BundlePath,
    /// The phases it belongs to, counted from 0.
    pub phases: Vec<i64>,
}

/// Everything that is given out, by path. Data of a phase that has not begun is for organizers alone,
/// as the phase is not there to be worked on yet.
pub fn given_out(d: &Definition, phases: &[Phase], now: Timestamp, organizer: bool) -> Vec<Given> {
    let mut out: Vec<Given> = Vec::new();
    let mut give = |kind: Use, path: &Option<BundlePath>, phase: i64| {
        let Some(path) = path else { return };
        match out.iter_mut().find(|given| given.path == *path) {
            Some(known) if !known.phases.contains(&phase) => known.phases.push(phase),
            Some(_) => {}
            None => out.push(Given { kind, path: path.clone(), phases: vec![phase] }),
        }
    };
    for phase in phases.iter().filter(|phase| organizer || phase.time(now) != PhaseTime::Ahead) {
        let p = phase.position;
        give(Use::StartingKit, &phase.definition.starting_kit, p);
        give(Use::PublicData, &phase.definition.public_data, p);
        for task in d.tasks.iter().filter(|t| phase.definition.tasks.contains(&t.index)) {
            if d.make_input_data_available && task.input == InputVisibility::Public {
                give(Use::InputData, &task.input_data, p);
            }
            if d.make_programs_available {
                give(Use::IngestionProgram, &task.ingestion_program, p);
                give(Use::ScoringProgram, &task.scoring_program, p);
            }
        }
    }
    // what is reference data under any name stays inside
    let secret = |path: &BundlePath| d.tasks.iter().any(|t| t.reference_data.as_ref() == Some(path));
    out.retain(|given| !secret(&given.path));
    out
}

/// Whether a stored file may be given out at all: what is sealed stays here, whatever a bundle says.
pub fn is_plain(file: &StoredFile) -> bool {
    file.object_key.parse::<ObjectKey>().is_ok_and(|key| key.class() == Class::Plain)
}

/// Makes sure that somebody may have what is given out: they are admitted and have accepted the terms
/// as they are now. Organizers may have it without; that is for the caller to know.
///
/// # Errors
/// [`EntryError::NotAdmitted`] or [`EntryError::TermsNotAccepted`].
pub async fn may_have(
    conn: &mut Connection,
    competition: &Competition,
    user: UserId,
) -> Result<(), EntryError> {
    let terms = terms_digest(conn, competition).await?;
    entry::admitted(conn, competition, user, &terms).await
}
