//! Times how long a run waits for a container that waits for it: what `scripts/bench` compares with a
//! bare `docker run` of the same image.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Entropy};
use crate::sandbox::{
    End, Engine, OutputSpec, PYTHON_IMAGE, Profile, RunLabel, RunSpec, SandboxSettings, Step,
};

/// Prints the seconds from asking for a run to its program's first act, as JSON, for so many runs. The
/// first argument is a directory to work in, the second how many.
pub(super) fn main(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let directory = arguments.next().unwrap_or_default();
    let runs = arguments.next().and_then(|runs| runs.parse().ok()).unwrap_or(10);
    let measured = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(measure(&directory, runs)));
    match measured {
        Ok(seconds) => {
            println!("{}", serde_json::json!(seconds));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-claim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(directory: &str, runs: usize) -> Result<Vec<f64>> {
    let clock = Clock::system();
    let engine = Engine::connect(SandboxSettings {
        instance: format!("bench_{}", hex::encode(Entropy.bytes::<4>())),
        work_dir: std::path::absolute(directory)?,
        runtime: "runc".to_owned(),
        socket: None,
        clock: clock.clone(),
    })
    .await?;
    let stop = CancellationToken::new();
    let keeping = tokio::spawn({
        let (engine, stop) = (engine.clone(), stop.clone());
        async move { engine.keep_warm(1, stop).await }
    });
    let measured = claims(&engine, &clock, runs).await;
    stop.cancel();
    keeping.await.context("keeping containers broke off")?;
    engine.settle().await;
    measured
}

async fn claims(engine: &Engine, clock: &Clock, runs: usize) -> Result<Vec<f64>> {
    let mut seconds = Vec::new();
    while seconds.len() < runs {
        let spec = first_act(clock);
        let asked = clock.now();
        let outcome = engine.run(spec, CancellationToken::new()).await?;
        let printed = outcome.log.text();
        outcome.output.release().await?;
        ensure!(outcome.end == End::Exited(0), "the program ended with {:?}: {printed}", outcome.end);
        let acted: f64 = printed.trim().parse().context("no time was printed")?;
        if outcome.waited {
            seconds.push(acted - asked.as_duration().as_secs_f64());
        }
        while engine.waiting_warm() == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(seconds)
}

/// A program that says what time it is, by the clock that host and container share.
fn first_act(clock: &Clock) -> RunSpec {
    let profile = Profile::Submission;
    RunSpec {
        profile,
        label: RunLabel { run: Entropy.id(clock), attempt: 1, step: Step::Prediction },
        image: PYTHON_IMAGE.to_owned(),
        command: vec!["date".to_owned(), "+%s.%N".to_owned()],
        workdir: "/app".to_owned(),
        env: Vec::new(),
        binds: Vec::new(),
        output: OutputSpec { container: "/app/output".to_owned(), bytes: 1 << 20, inodes: 16, seed: None },
        shared: None,
        relay: None,
        resources: profile.default_resources(),
        gpus: None,
        wall_clock: Duration::from_secs(60),
        silent_limit: None,
        log_cap: 4096,
        log_sink: None,
    }
}
