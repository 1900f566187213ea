//! How the red team's programs are held here: in an interactive sandbox, with the home in the place of
//! the output directory.

use std::fs;
use std::pin::pin;
use std::time::{Duration, Instant};

use shuyu::sandbox::{
    CappedLog, End, HOME_PATH, HomeQuota, Homes, InteractiveSpec, LogChunk, RunSpec, Sandbox, SandboxError,
    SandboxState,
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::lab::{Lab, MIB};
use super::stage::later;

/// Working directory and root of the container's first process.
pub const FIRST_DIRECTORY: &str = "/app/program /";

/// How many files fit in the home, beside the outbox.
pub const OUTPUT_INODES: u32 = 1013;

pub struct Outcome {
    pub end: End,
    pub log: CappedLog,
    pub wall: Duration,
    pub peak_memory: Option<u64>,
    pub output: Gone,
}

/// The sandbox is gone by now, and its home put away.
pub struct Gone;

impl Gone {
    pub async fn release(self) -> Result<(), SandboxError> {
        Ok(())
    }
}

pub async fn hold(lab: &Lab, spec: RunSpec, cancel: CancellationToken) -> Result<Outcome, SandboxError> {
    for bind in &spec.binds {
        let program = bind.host.join("main.py");
        let code = fs::read_to_string(&program).expect("a program");
        fs::write(&program, code.replace("/app/output", HOME_PATH)).expect("rewritten");
    }
    let homes = Homes::probe(&lab.settings.work_dir, 0).await?;
    let home = HomeQuota { bytes: spec.output.bytes, inodes: u64::from(OUTPUT_INODES) + 1 };
    let interactive = InteractiveSpec {
        id: later(lab),
        image: spec.image,
        command: spec.command,
        workdir: spec.workdir,
        env: spec.env,
        binds: spec.binds,
        socket_dir: lab.folder("socket", &[]),
        resources: spec.resources,
        gpus: spec.gpus,
        tmp_bytes: 512 * MIB,
        shm_bytes: 64 * MIB,
        home,
        home_kind: homes.kind(),
        log_cap: spec.log_cap,
        deadline: lab.settings.clock.now() + Duration::from_secs(3600),
    };
    let kept = lab.folder("homes", &[]).join(interactive.id.to_string());
    let home = homes.attach(interactive.id, &kept, home).await?;
    let started = Instant::now();
    let sandbox = lab.engine.start_sandbox(interactive, Some(&home)).await?;
    let end = {
        let mut told = pin!(tell(&sandbox, spec.log_sink));
        let watched = async {
            tokio::select! {
                () = cancel.cancelled() => Ok(None),
                state = sandbox.ended() => state.map(Some),
                () = &mut told => unreachable!(),
            }
        };
        match timeout(spec.wall_clock, watched).await {
            Ok(state) => state?.map_or(End::Cancelled, ending),
            Err(_) => End::TimedOut,
        }
    };
    let wall = started.elapsed();
    sandbox.stop(Duration::ZERO).await?;
    sandbox.ended().await?;
    let outcome = Outcome { end, log: sandbox.log(), wall, peak_memory: sandbox.peak_memory(), output: Gone };
    sandbox.remove().await?;
    home.detach().await?;
    Ok(outcome)
}

fn ending(state: SandboxState) -> End {
    match state {
        SandboxState::Stopped { out_of_memory: true, .. } => End::OutOfMemory,
        SandboxState::Stopped { code, .. } => End::Exited(code),
        other => panic!("it has ended and is {other:?}"),
    }
}

/// Passes on what is printed, up to the cap, for ever.
async fn tell(sandbox: &Sandbox, sink: Option<tokio::sync::mpsc::Sender<LogChunk>>) {
    let mut told = 0;
    loop {
        let log = sandbox.log();
        if let (Some(sink), false) = (&sink, log.truncated()) {
            let fresh = log.bytes().split_off(told);
            told += fresh.len();
            if !fresh.is_empty() {
                let _ = sink.send(LogChunk { stderr: false, bytes: fresh.into() }).await;
            }
        }
        sleep(Duration::from_millis(10)).await;
    }
}
