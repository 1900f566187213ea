//! The calls to the engine about one container, by its name or id.

use std::pin::{Pin, pin};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as DockerError;
use bollard::models::{ContainerCreateBody, ContainerState, ContainerWaitResponse};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectContainerOptions,
    KillContainerOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWrite;
use tokio::time::sleep;

use super::SandboxError;
use super::engine::Engine;

/// How long the engine may take to hear that a container was killed for memory.
const SECOND_THOUGHT: Duration = Duration::from_millis(250);
/// How often a container is frozen before it is given up, a second thought apart.
const FREEZES: u32 = 5;

/// What a container prints, as it comes.
pub(super) type LogStream = Pin<Box<dyn Stream<Item = Result<LogOutput, DockerError>> + Send>>;

/// What a container reads on its standard input.
pub(super) type InputStream = Pin<Box<dyn AsyncWrite + Send>>;

impl Engine {
    /// The name of the container that has this slug.
    pub(super) fn container_name(&self, slug: &str) -> String {
        format!("shuyu-{}-{slug}", self.0.settings.instance)
    }

    pub(super) async fn create(&self, name: &str, body: ContainerCreateBody) -> Result<(), SandboxError> {
        let image = body.image.clone().unwrap_or_default();
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        match self.0.docker.create_container(Some(options), body).await {
            Ok(_) => Ok(()),
            Err(DockerError::DockerResponseServerError { status_code: 404, message })
                if message.to_lowercase().contains("no such image") =>
            {
                Err(SandboxError::ImageMissing { image })
            }
            Err(error) => Err(SandboxError::engine("create a container", error)),
        }
    }

    /// What the container prints from now on. Refused while it is paused.
    pub(super) async fn attach(&self, name: &str) -> Result<LogStream, SandboxError> {
        let options = AttachContainerOptionsBuilder::new().stream(true).stdout(true).stderr(true).build();
        let attached = self.0.docker.attach_container(name, Some(options)).await;
        Ok(attached.map_err(|error| SandboxError::engine("attach to a container", error))?.output)
    }

    /// The same, and its standard input.
    pub(super) async fn attach_both(&self, name: &str) -> Result<(LogStream, InputStream), SandboxError> {
        let options = AttachContainerOptionsBuilder::new().stream(true).stdout(true).stderr(true).stdin(true);
        let attached = self.0.docker.attach_container(name, Some(options.build())).await;
        let attached = attached.map_err(|error| SandboxError::engine("attach to a container", error))?;
        Ok((attached.output, attached.input))
    }

    /// What the engine has kept of what the container printed, where it has a log driver.
    pub(super) fn kept_log(&self, name: &str) -> LogStream {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail("all").build();
        Box::pin(self.0.docker.logs(name, Some(options)))
    }

    pub(super) async fn start(&self, name: &str) -> Result<(), SandboxError> {
        let started = self.0.docker.start_container(name, None::<StartContainerOptions>).await;
        started.map_err(|error| SandboxError::engine("start a container", error))
    }

    /// The exit code, as soon as there is one. It asks for "not running", which also answers for a
    /// container that is gone already (and auto-remove is off, so that its code is still there).
    pub(super) async fn exit_code(&self, name: &str) -> Result<i64, SandboxError> {
        let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
        let mut answers = pin!(self.0.docker.wait_container(name, Some(options)));
        match answers.next().await {
            Some(Ok(ContainerWaitResponse { status_code, .. })) => Ok(status_code),
            Some(Err(DockerError::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(lost("wait for a container", error.to_string())),
            None => Err(lost("wait for a container", "it closed the connection".to_owned())),
        }
    }

    pub(super) async fn kill(&self, name: &str) -> Result<(), SandboxError> {
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        match self.0.docker.kill_container(name, Some(options)).await {
            // 409: it has just stopped by itself.
            Ok(()) | Err(DockerError::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(SandboxError::engine("kill a container", error)),
        }
    }

    /// Asks with SIGTERM, and after `seconds` does not ask any more. One that has stopped is no error.
    pub(super) async fn terminate(&self, name: &str, seconds: i32) -> Result<(), SandboxError> {
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        match self.0.docker.stop_container(name, Some(options)).await {
            Ok(()) | Err(DockerError::DockerResponseServerError { status_code: 304 | 404, .. }) => Ok(()),
            Err(error) => Err(SandboxError::engine("stop a container", error)),
        }
    }

    /// Freezes every process of it. One that is frozen already is no error. On a busy machine the first
    /// control groups may not catch processes that are being born; then it is tried again.
    pub(super) async fn freeze(&self, name: &str) -> Result<(), SandboxError> {
        let mut left = FREEZES;
        loop {
            left -= 1;
            match self.0.docker.pause_container(name).await {
                Err(error) if left > 0 && says(&error, "unable to freeze") => sleep(SECOND_THOUGHT).await,
                Err(error) if !says(&error, "already paused") => {
                    return Err(SandboxError::engine("pause a container", error));
                }
                _ => return Ok(()),
            }
        }
    }

    /// Lets its processes go on. One that is not frozen is no error.
    pub(super) async fn thaw(&self, name: &str) -> Result<(), SandboxError> {
        match self.0.docker.unpause_container(name).await {
            Err(error) if !says(&error, "not paused") && !says(&error, "No such container") => {
                Err(SandboxError::engine("unpause a container", error))
            }
            _ => Ok(()),
        }
    }

    /// What the engine says of it; `None` when there is no such container.
    pub(super) async fn inspect(&self, name: &str) -> Result<Option<ContainerState>, SandboxError> {
        match self.0.docker.inspect_container(name, None::<InspectContainerOptions>).await {
            Ok(container) => match container.state {
                Some(state) => Ok(Some(state)),
                None => Err(lost("inspect a container", "it has no state".to_owned())),
            },
            Err(DockerError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(lost("inspect a container", error.to_string())),
        }
    }

    /// The same of a container that has just ended. The engine hears of the exit in one way and of a kill
    /// for memory in another: where the first says SIGKILL, it is given time for the second.
    pub(super) async fn inspect_ended(&self, name: &str) -> Result<Option<ContainerState>, SandboxError> {
        let told = self.inspect(name).await?;
        let killed = |state: &ContainerState| state.exit_code == Some(137) && state.oom_killed != Some(true);
        if !told.as_ref().is_some_and(killed) {
            return Ok(told);
        }
        sleep(SECOND_THOUGHT).await;
        self.inspect(name).await
    }

    /// Kills and removes a container by name or id; one that is gone already is no error.
    pub(super) async fn remove(&self, name: &str) -> Result<(), SandboxError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match self.0.docker.remove_container(name, Some(options)).await {
            // 409: somebody else removes it at this moment.
            Ok(()) | Err(DockerError::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(SandboxError::engine("remove a container", error)),
        }
    }

    /// The same of one that may be frozen: on gVisor that dies only when it goes on, and the engine
    /// gives up waiting.
    pub(super) async fn thaw_and_remove(&self, name: &str) -> Result<(), SandboxError> {
        // It is about to be killed: whatever is wrong with it, the removal tells.
        let _ = self.thaw(name).await;
        self.remove(name).await
    }
}

pub(super) fn lost(action: &'static str, cause: String) -> SandboxError {
    SandboxError::EngineLost { action, cause }
}

fn says(error: &DockerError, words: &str) -> bool {
    matches!(error, DockerError::DockerResponseServerError { message, .. } if message.contains(words))
}
