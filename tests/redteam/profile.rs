//! How the red team's programs are held here: as a submission's run. `tests/sandboxes/` holds the same
//! programs in interactive sandboxes.

use shuyu::sandbox::{RunOutcome, RunSpec, SandboxError};
use tokio_util::sync::CancellationToken;

use super::lab::Lab;

pub type Outcome = RunOutcome;

/// Working directory and root of the container's first process.
pub const FIRST_DIRECTORY: &str = "/app/program /";

/// How many files fit in the output directory.
pub const OUTPUT_INODES: u32 = 1000;

pub async fn hold(lab: &Lab, spec: RunSpec, cancel: CancellationToken) -> Result<Outcome, SandboxError> {
    lab.engine.run(spec, cancel).await
}
