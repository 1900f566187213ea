//! How the red team's programs are held here: as a submission's run, in a container that waited for it.

use std::time::Duration;

use shuyu::clock::Entropy;
use shuyu::sandbox::{End, Engine, RunOutcome, RunSpec, SandboxError};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::lab::Lab;

pub type Outcome = RunOutcome;

/// Working directory and root of the container's first process.
pub const FIRST_DIRECTORY: &str = "/ /";

/// How many files fit in the output directory.
pub const OUTPUT_INODES: u32 = 1000;

/// A shelf that is kept.
pub struct Kept {
    stop: CancellationToken,
    keeping: JoinHandle<()>,
}

impl Kept {
    pub fn start(engine: &Engine, most: usize) -> Self {
        let stop = CancellationToken::new();
        let (engine, token) = (engine.clone(), stop.clone());
        Self { stop, keeping: tokio::spawn(async move { engine.keep_warm(most, token).await }) }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.keeping.await.expect("it ends");
    }
}

/// Waits until so many containers wait.
pub async fn until_waiting(engine: &Engine, count: usize) {
    let waiting = async {
        while engine.waiting_warm() != count {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), waiting).await.expect("containers wait within a minute");
}

/// A run of the same kind that does nothing: it has one kept for the next.
pub fn nothing(lab: &Lab, spec: &RunSpec) -> RunSpec {
    let mut label = spec.label;
    label.run = Entropy.id(&lab.settings.clock);
    RunSpec {
        profile: spec.profile,
        label,
        image: spec.image.clone(),
        command: vec!["true".to_owned()],
        workdir: "/".to_owned(),
        env: Vec::new(),
        binds: Vec::new(),
        output: spec.output.clone(),
        shared: spec.shared.clone(),
        relay: spec.relay.clone(),
        resources: spec.resources,
        gpus: spec.gpus.clone(),
        wall_clock: spec.wall_clock,
        silent_limit: None,
        log_cap: spec.log_cap,
        log_sink: None,
    }
}

pub async fn hold(lab: &Lab, spec: RunSpec, cancel: CancellationToken) -> Result<Outcome, SandboxError> {
    let kept = Kept::start(&lab.engine, 1);
    let first = lab.engine.run(nothing(lab, &spec), CancellationToken::new()).await?;
    assert_eq!(first.end, End::Exited(0));
    first.output.release().await?;
    until_waiting(&lab.engine, 1).await;
    let outcome = lab.engine.run(spec, cancel).await;
    kept.stop().await;
    assert!(outcome.as_ref().map_or(true, |outcome| outcome.waited), "a container waited for it");
    outcome
}
