//! A participant's sandbox, where it stands, and what a competition grants of it.

use std::time::Duration;

use jiff::Timestamp;

use crate::contest::bundle::quantity::{read_size, read_span};
use crate::contest::model::word;
use crate::ids::{CompetitionId, HomeId, SandboxId, UserId};

word! {
    /// Where a sandbox stands.
    State {
        /// Asked for; all places are taken.
        Waiting = "waiting",
        /// Its container is being started, or its lab comes up.
        Starting = "starting",
        /// It can be used.
        Ready = "ready",
        /// Nobody has done anything for a while: frozen, and resumed by the next visit.
        Paused = "paused",
        /// Its container goes, its home stays.
        Stopping = "stopping",
        /// Over.
        Stopped = "stopped",
        /// It could not be started, or its lab broke.
        Failed = "failed",
    }
}

impl State {
    /// Whether nothing more will happen to it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }

    /// Whether it takes a place on its host.
    pub fn takes_a_place(self) -> bool {
        matches!(self, Self::Starting | Self::Ready | Self::Paused | Self::Stopping)
    }

    /// The transitions there are: the one place that says so.
    pub fn may_become(self, next: Self) -> bool {
        use State::{Failed, Paused, Ready, Starting, Stopped, Stopping, Waiting};
        match (self, next) {
            (Waiting, Starting | Stopped) => true,
            (Starting, Ready | Stopping | Failed | Waiting) => true,
            // back to starting when the lab has to be looked at again after a restart of the service
            (Ready, Paused | Stopping | Failed | Starting) => true,
            (Paused, Ready | Stopping | Failed | Starting) => true,
            (Stopping, Stopped | Failed) => true,
            _ => false,
        }
    }
}

word! {
    /// What was last asked of a sandbox.
    Wanted {
        /// To be there.
        Running = "running",
        /// To be gone; the home stays.
        Stopped = "stopped",
        /// To be gone, by the organizer's will; the home stays.
        Dismissed = "dismissed",
        /// To be gone and come again in the same place, with the same home.
        Restart = "restart",
        /// To be gone, and the home with it.
        Reset = "reset",
    }
}

impl Wanted {
    /// Why a sandbox of which this is asked ends, in the stable word of its row.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Running => None,
            Self::Stopped => Some("stopped"),
            Self::Dismissed => Some("organizer"),
            Self::Restart => Some("restart"),
            Self::Reset => Some("reset"),
        }
    }
}

/// A participant's sandbox.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// Its id, which its own origin is named after.
    pub id: SandboxId,
    /// The competition.
    pub competition: CompetitionId,
    /// The participant.
    pub user: UserId,
    /// The participant's home in the competition.
    pub home: HomeId,
    /// Where it stands.
    pub state: State,
    /// What was last asked of it.
    pub wanted: Wanted,
    /// The worker that holds it.
    pub host: Option<String>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When its container was started, or claimed.
    pub started_at: Option<Timestamp>,
    /// When its lab answered first.
    pub ready_at: Option<Timestamp>,
    /// When a person last did something in it.
    pub active_at: Option<Timestamp>,
    /// When it was frozen.
    pub paused_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// When its session is over, whatever is done in it.
    pub deadline_at: Option<Timestamp>,
    /// Why it failed or was stopped: a stable word, empty when there is nothing to say.
    pub reason: String,
    /// What the organizer has to say to whoever uses it.
    pub message: String,
    /// The organizer's words when they stopped it.
    pub said: String,
    /// Programs that the kernel stopped at the memory limit.
    pub memory_kills: i64,
    /// When the copy was taken that its home was restored from, if it was.
    pub restored_from: Option<Timestamp>,
    /// What it has used.
    pub used: Used,
}

impl Sandbox {
    /// Why it is over, in its stable word; `left` when its owner gave up waiting for it.
    pub fn why_over(&self) -> &str {
        match self.reason.as_str() {
            "stopped" if self.started_at.is_none() => "left",
            reason => reason,
        }
    }
}

/// What a sandbox has used (计量).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Used {
    /// Processor time of everything in it, in milliseconds.
    pub cpu_ms: i64,
    /// Memory held, summed over its time: MiB × seconds.
    pub memory_mib_s: i64,
    /// Bytes of content (not of the interface) that browsers were shown.
    pub shown_bytes: i64,
    /// Kernels started.
    pub kernels: i64,
    /// Terminals started.
    pub terminals: i64,
}

impl Used {
    /// Memory held over its time, in GiB × hours.
    pub fn memory_gib_hours(&self) -> f64 {
        self.memory_mib_s as f64 / 1024.0 / 3600.0
    }
}

/// A participant's home.
#[derive(Clone, Debug)]
pub struct Home {
    /// Its id.
    pub id: HomeId,
    /// The competition.
    pub competition: CompetitionId,
    /// The participant.
    pub user: UserId,
    /// The worker that has it on its disk.
    pub host: Option<String>,
    /// How much it can hold, in bytes.
    pub bytes: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// The object with its last snapshot, and when that was taken.
    pub snapshot: Option<(String, Timestamp)>,
    /// Whether its owner waits for a snapshot.
    pub copy_asked: bool,
    /// Why the last snapshot could not be taken, in a stable word; empty when it was.
    pub copy_problem: String,
}

/// What `/tmp` of a sandbox holds, in bytes: memory besides that of its grant.
pub const TMP_BYTES: u64 = 1 << 30;
/// What `/dev/shm` of a sandbox holds, in bytes: memory besides that of its grant.
pub const SHM_BYTES: u64 = 256 << 20;

/// What a competition grants each of its sandboxes: `shuyu.sandbox` of its bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The image, by the name that bundles use.
    pub image: String,
    /// Processors.
    pub cpus: f64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of the home.
    pub disk: u64,
    /// How long nobody may do anything before it is frozen.
    pub idle: Duration,
    /// How long a session may last.
    pub session: Duration,
}

impl Default for Grant {
    fn default() -> Self {
        Self {
            image: "python".to_owned(),
            cpus: 2.0,
            memory: 4 << 30,
            disk: 2 << 30,
            idle: Duration::from_secs(30 * 60),
            session: Duration::from_secs(8 * 3600),
        }
    }
}

impl Grant {
    /// Reads what a bundle says; what it does not say, or says wrongly, is the default. The bundle's
    /// reader has reported the latter.
    pub fn of(written: Option<&serde_json::Value>) -> Self {
        let mut grant = Self::default();
        let Some(written) = written else { return grant };
        let text = |key: &str| match &written[key] {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        if let Some(image) = text("image") {
            grant.image = image;
        }
        if let Some(cpus) = written["cpus"].as_f64().filter(|cpus| *cpus > 0.0) {
            grant.cpus = cpus;
        }
        let size = |key| text(key).and_then(|text| read_size(&text)).filter(|size| *size > 0);
        let span = |key| text(key).and_then(|text| read_span(&text)).map(Duration::from_secs);
        grant.memory = size("memory").unwrap_or(grant.memory);
        grant.disk = size("disk").unwrap_or(grant.disk);
        grant.idle = span("idle").unwrap_or(grant.idle);
        grant.session = span("session").unwrap_or(grant.session);
        grant
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_bundle_does_not_say_is_the_default() {
        assert_eq!(Grant::of(None), Grant::default());
        let written = json!({"cpus": 1, "memory": "512MiB", "idle": "10m", "disk": "?"});
        let grant = Grant::of(Some(&written));
        let minutes = Duration::from_secs(600);
        assert_eq!((grant.cpus, grant.memory, grant.idle), (1.0, 512 << 20, minutes));
        assert_eq!((grant.disk, grant.session), (Grant::default().disk, Grant::default().session));
    }

    #[test]
    fn what_is_over_stays_over() {
        for &from in State::ALL {
            for &to in State::ALL {
                assert!(!(from.is_over() && from.may_become(to)), "{from} → {to}");
            }
        }
        for &state in State::ALL {
            assert!(State::ALL.iter().any(|from| from.may_become(state)), "{state}");
        }
    }
}
