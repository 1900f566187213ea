//! Whose a container, mount, directory or cgroup is: written on each of them, so that the reaper can
//! ask whether the owner still lives.

use std::collections::HashMap;
use std::fmt;

use uuid::Uuid;

use crate::ids::{RunId, SandboxId};

pub(super) const INSTANCE: &str = "shuyu.instance";
pub(super) const KIND: &str = "shuyu.kind";
/// The kind of an interactive sandbox; the others are [`super::Profile`]'s.
pub(super) const SANDBOX: &str = "sandbox";
/// The kind of a run container that waits for its run.
pub(super) const WARM: &str = "warm";
const SLUG: &str = "shuyu.step";
const DEADLINE: &str = "shuyu.deadline";
/// Bytes of its output that are kept, for whoever finds the container again.
const LOG_CAP: &str = "shuyu.log_cap";

/// The steps of a run that take a container of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The submission's program, or the ingestion program around it, on the input data.
    Prediction,
    /// The organizer's scoring program on predictions and reference data.
    Scoring,
    /// The organizer's ingestion program around the submission, while the scoring program runs.
    Beside,
    /// The prediction step on the debug twin's public data.
    TwinPrediction,
    /// The scoring step on the debug twin's public data.
    TwinScoring,
    /// The ingestion program beside it.
    TwinBeside,
}

impl Step {
    const ALL: [Self; 6] = [
        Self::Prediction,
        Self::Scoring,
        Self::Beside,
        Self::TwinPrediction,
        Self::TwinScoring,
        Self::TwinBeside,
    ];

    /// The step of the ingestion program that runs while scoring, on the same data.
    pub fn beside(self) -> Self {
        match self {
            Self::Prediction | Self::Scoring | Self::Beside => Self::Beside,
            Self::TwinPrediction | Self::TwinScoring | Self::TwinBeside => Self::TwinBeside,
        }
    }

    /// The name used in labels and paths: lower-case letters and `_`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prediction => "prediction",
            Self::Scoring => "scoring",
            Self::Beside => "beside",
            Self::TwinPrediction => "twin_prediction",
            Self::TwinScoring => "twin_scoring",
            Self::TwinBeside => "twin_beside",
        }
    }
}

/// The one attempt at a run to which something belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The run.
    pub run: RunId,
    /// Which attempt at it, counted from 0 or 1 as the queue does.
    pub attempt: i64,
}

impl Owner {
    /// `<run>-<attempt>-<what>`, the name of everything that belongs to this owner.
    pub(super) fn slug(&self, what: impl fmt::Display) -> String {
        format!("{}-{}-{what}", self.run, self.attempt)
    }

    /// Reads a [slug](Owner::slug) back; `None` for a name that is not ours.
    pub(super) fn from_slug(slug: &str) -> Option<Self> {
        let run = slug.get(..36)?.parse().ok()?;
        let (attempt, what) = slug.get(36..)?.strip_prefix('-')?.split_once('-')?;
        let known = what.starts_with("staged") || Step::ALL.iter().any(|step| step.as_str() == what);
        known.then_some(Self { run, attempt: attempt.parse().ok()? })
    }
}

/// Which step of which attempt at which run a container holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunLabel {
    /// The run.
    pub run: RunId,
    /// Which attempt at it.
    pub attempt: i64,
    /// Which of its steps.
    pub step: Step,
}

impl RunLabel {
    /// The attempt this step belongs to.
    pub fn owner(&self) -> Owner {
        Owner { run: self.run, attempt: self.attempt }
    }

    pub(super) fn slug(&self) -> String {
        self.owner().slug(self.step.as_str())
    }

    /// The container's labels; `deadline` in milliseconds since 1970.
    pub(super) fn to_docker(self, instance: &str, kind: &str, deadline: i64) -> HashMap<String, String> {
        HashMap::from([
            (INSTANCE.to_owned(), instance.to_owned()),
            (KIND.to_owned(), kind.to_owned()),
            (SLUG.to_owned(), self.slug()),
            (DEADLINE.to_owned(), deadline.to_string()),
        ])
    }
}

/// Owner and deadline (milliseconds since 1970) of a container with these labels.
pub(super) fn read_docker(labels: &HashMap<String, String>) -> Option<(Owner, i64)> {
    let owner = Owner::from_slug(labels.get(SLUG)?)?;
    Some((owner, labels.get(DEADLINE)?.parse().ok()?))
}

/// `<id>-sandbox`, the name of what belongs to an interactive sandbox.
pub(super) fn sandbox_slug(id: SandboxId) -> String {
    format!("{id}-{SANDBOX}")
}

/// Reads a [slug](sandbox_slug) back; `None` for a name that is not a sandbox's.
pub(super) fn sandbox_from_slug(slug: &str) -> Option<SandboxId> {
    let id = slug.get(..36)?.parse().ok()?;
    (slug.get(36..)?.strip_prefix('-')? == SANDBOX).then_some(id)
}

/// What a run container says of itself that waits for its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WarmLabel {
    pub(super) id: Uuid,
    /// Milliseconds since 1970.
    pub(super) deadline: i64,
}

impl WarmLabel {
    /// `<id>-warm`, the name of what belongs to it.
    pub(super) fn slug(&self) -> String {
        format!("{}-{WARM}", self.id)
    }

    pub(super) fn to_docker(self, instance: &str) -> HashMap<String, String> {
        HashMap::from([
            (INSTANCE.to_owned(), instance.to_owned()),
            (KIND.to_owned(), WARM.to_owned()),
            (SLUG.to_owned(), self.slug()),
            (DEADLINE.to_owned(), self.deadline.to_string()),
        ])
    }

    pub(super) fn read(labels: &HashMap<String, String>) -> Option<Self> {
        let id = warm_from_slug(labels.get(SLUG)?)?;
        Some(Self { id, deadline: labels.get(DEADLINE)?.parse().ok()? })
    }
}

/// Reads a [slug](WarmLabel::slug) back; `None` for another's name.
pub(super) fn warm_from_slug(slug: &str) -> Option<Uuid> {
    let id = slug.get(..36)?.parse().ok()?;
    (slug.get(36..)?.strip_prefix('-')? == WARM).then_some(id)
}

/// What an interactive sandbox's container says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SandboxLabel {
    pub(super) id: SandboxId,
    /// Milliseconds since 1970.
    pub(super) deadline: i64,
    pub(super) log_cap: usize,
}

impl SandboxLabel {
    pub(super) fn to_docker(self, instance: &str) -> HashMap<String, String> {
        HashMap::from([
            (INSTANCE.to_owned(), instance.to_owned()),
            (KIND.to_owned(), SANDBOX.to_owned()),
            (SLUG.to_owned(), sandbox_slug(self.id)),
            (DEADLINE.to_owned(), self.deadline.to_string()),
            (LOG_CAP.to_owned(), self.log_cap.to_string()),
        ])
    }

    pub(super) fn read(labels: &HashMap<String, String>) -> Option<Self> {
        Some(Self {
            id: sandbox_from_slug(labels.get(SLUG)?)?,
            deadline: labels.get(DEADLINE)?.parse().ok()?,
            log_cap: labels.get(LOG_CAP)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_not_taken_for_a_run() {
        let id: SandboxId = "0193e4a0-0000-7000-8000-00000000002a".parse().expect("a UUID");
        let label = SandboxLabel { id, deadline: 1_700_000_000_000, log_cap: 65_536 };
        let labels = label.to_docker("here");
        assert_eq!(SandboxLabel::read(&labels), Some(label));
        assert_eq!(read_docker(&labels), None);
        assert_eq!(Owner::from_slug(&sandbox_slug(id)), None);
        for name in
            ["", "0193e4a0-0000-7000-8000-00000000002a", "0193e4a0-0000-7000-8000-00000000002a-1-scoring"]
        {
            assert_eq!(sandbox_from_slug(name), None, "{name}");
        }
    }

    #[test]
    fn one_that_waits_is_nobodys_run() {
        let id = "0193e4a0-0000-7000-8000-00000000002a".parse().expect("a UUID");
        let label = WarmLabel { id, deadline: 1_700_000_000_000 };
        let labels = label.to_docker("here");
        assert_eq!(WarmLabel::read(&labels), Some(label));
        assert_eq!((read_docker(&labels), SandboxLabel::read(&labels)), (None, None));
        assert_eq!(Owner::from_slug(&label.slug()), None);
        assert_eq!(warm_from_slug(&sandbox_slug(id.into())), None);
    }

    #[test]
    fn labels_and_slugs_are_read_back() {
        let run: RunId = "0193e4a0-0000-7000-8000-00000000002a".parse().expect("a UUID");
        for step in Step::ALL {
            let label = RunLabel { run, attempt: 12, step };
            let labels = label.to_docker("here", "submission", 1_700_000_000_000);
            assert_eq!(read_docker(&labels), Some((label.owner(), 1_700_000_000_000)));
        }
        let owner = Owner { run, attempt: 0 };
        assert_eq!(Owner::from_slug(&owner.slug("staged3")), Some(owner));
    }

    #[test]
    fn names_that_are_not_ours_have_no_owner() {
        for name in [
            "",
            "lost+found",
            "0193e4a0-0000-7000-8000-00000000002a",
            "0193e4a0-0000-7000-8000-00000000002a-1",
            "0193e4a0-0000-7000-8000-00000000002a-x-scoring",
            "0193e4a0-0000-7000-8000-00000000002a-1-home",
            "一二三四五六七八九十一二三四五六七八九十",
        ] {
            assert_eq!(Owner::from_slug(name), None, "{name}");
        }
    }
}
