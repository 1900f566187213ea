//! What an author reads of the public probes: each with its requests and in what the answers were not as
//! expected. Kept as one JSON document of a run.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::AskError;
use super::compare::Unmet;
use super::latency::LatencyClass;
use super::session::{Asked, Made, Outcome};
use super::suite::Texts;

/// Bytes of a report at most, as JSON.
pub const REPORT_BYTES: u64 = 16 << 20;
/// Expectations that are told of one step.
const UNMET: usize = 20;
/// Characters of a request's target that are told.
const TARGET: usize = 500;
/// Bytes that are quoted in all: from there on it is told whether probes passed, and no more.
const QUOTED: usize = 2 << 20;

/// The report of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The public probes, in the order in which they were asked.
    pub probes: Vec<ProbeReport>,
    /// How many hidden probes there are beside them, of which nothing is told one by one.
    pub hidden: usize,
}

/// What came of one probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProbeReport {
    /// Its name; of one that is drawn several times with the number of the draw, from 1.
    pub name: String,
    /// What it looks for, by locale tag.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub title: Texts,
    /// Its group; empty for none.
    pub group: String,
    /// Its weight.
    pub weight: f64,
    /// Whether it passed.
    pub passed: bool,
    /// The steps that were made.
    pub steps: Vec<StepReport>,
    /// How many steps were not made after the last of those.
    pub left: usize,
}

/// One request and what is to be said of its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StepReport {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The answer's status.
    pub status: Option<u16>,
    /// The latency class.
    pub latency: LatencyClass,
    /// Why there is no answer.
    pub fault: Option<AskError>,
    /// In what the answer was not as expected.
    pub unmet: Vec<Unmet>,
}

impl Report {
    /// The report of what was asked and is public, beside so many hidden probes.
    pub fn of(asked: &[Asked<'_>], outcomes: &[Outcome], hidden: usize) -> Self {
        let mut room = QUOTED;
        let probes = asked.iter().zip(outcomes).map(|(asked, outcome)| {
            let mut probe = probe(asked, outcome);
            for step in &mut probe.steps {
                step.unmet.retain(|unmet| {
                    let bytes = unmet.place.len() + unmet.expected.len() + unmet.found.len();
                    room = room.saturating_sub(bytes);
                    room > 0
                });
            }
            probe
        });
        Self { probes: probes.collect(), hidden }
    }

    /// How many probes passed.
    pub fn passed(&self) -> usize {
        self.probes.iter().filter(|probe| probe.passed).count()
    }
}

fn probe(asked: &Asked<'_>, outcome: &Outcome) -> ProbeReport {
    let probe = asked.probe;
    ProbeReport {
        name: match asked.turn {
            Some(turn) => format!("{} #{}", probe.name, turn + 1),
            None => probe.name.clone(),
        },
        title: probe.title.clone(),
        group: probe.group.clone(),
        weight: probe.weight,
        passed: outcome.passed,
        steps: outcome.steps.iter().map(step).collect(),
        left: probe.steps.len().saturating_sub(outcome.steps.len()),
    }
}

fn step(made: &Made) -> StepReport {
    StepReport {
        method: made.method.clone(),
        target: made.target.chars().take(TARGET).collect(),
        status: made.status,
        latency: made.class,
        fault: made.fault.clone(),
        unmet: made.unmet.iter().take(UNMET).cloned().collect(),
    }
}
