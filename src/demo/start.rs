//! Starting an app to be tried: its files on this machine's disk, its container, and the wait until it answers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::model::Demo;
use super::stage::{Running, Stage};
use crate::contest::db as contest_db;
use crate::contest::model::{Competition, StoredFile, Task};
use crate::lab::gauge::Gauge;
use crate::probing::answer::AskError;
use crate::probing::session::{self, App};
use crate::sandbox::{
    HomeKind, HomeQuota, InteractiveSpec, ReadOnlyBind, Relay, RelayError, RelayLimits, RelayStream,
    Resources, Sandbox, SandboxError,
};
use crate::store::{ObjectError, ObjectKey, StoreError};
use crate::submission::app::{self, Manifest, files};
use crate::submission::db as submission_db;
use crate::submission::model::Submission;
use crate::submission::run::{RunError, public_input};
use crate::submission::unpack::UnpackLimits;
use crate::submission::unpack::detect::{DetectError, SubmissionKind, lay_out};

/// Bytes of `/tmp` and of `/dev/shm`.
const TMP: u64 = 256 << 20;
const SHM: u64 = 16 << 20;
/// Bytes of its output that are kept, and how many of them are told when it does not start.
const LOG: usize = 256 << 10;
const TOLD: usize = 4 << 10;

/// Why an app did not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotStarted {
    /// The app's own fault: a stable word, and what its team may read.
    #[error("{detail}")]
    App {
        /// The word.
        reason: &'static str,
        /// What happened.
        detail: String,
    },
    /// It was asked to stop meanwhile.
    #[error("it was stopped")]
    Stopped,
    /// Something of it is not there any more.
    #[error("its {0} is not in the database any more")]
    Gone(&'static str),
    /// The sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// Its input could not be had.
    #[error(transparent)]
    Input(#[from] RunError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a demo is about.
struct About {
    submission: Submission,
    competition: Competition,
    /// The first task of its phase that takes apps.
    task: Task,
    files: Vec<StoredFile>,
}

/// The app behind its relay.
struct Behind {
    relay: Arc<Relay>,
    port: u16,
}

impl App for Behind {
    type Stream = RelayStream;

    async fn open(&self) -> Result<RelayStream, AskError> {
        self.relay.open(self.port).await.map_err(|error| match error {
            RelayError::Refused { port } => AskError::Refused { port },
            RelayError::Away | RelayError::Silent { .. } | RelayError::Busy => AskError::NoConnection,
        })
    }

    fn port(&self) -> u16 {
        self.port
    }
}

impl Stage {
    /// Starts the app and waits until it answers. What is made of it on the way stands below the demo's area
    /// and under its name, whatever comes of it.
    pub(super) async fn start(&self, demo: &Demo, stop: &CancellationToken) -> Result<Running, NotStarted> {
        let about = self.about(demo).await?;
        let (area, sockets) = (self.area_of(demo.id), self.sockets_of(demo.id));
        let manifest = self.furnish(&about.submission, &area).await?;
        fs::create_dir_all(&sockets)?;
        let relay = Arc::new(Relay::listen(&sockets, RelayLimits { streams: 64, hand_ins: 0 })?);
        let spec = self.spec(demo, &about, &manifest, (&area, sockets)).await?;
        let sandbox = self.means().carrier.engine.start_sandbox(spec, None).await?;
        let app = Behind { relay: Arc::clone(&relay), port: manifest.port };
        let gone = stop.child_token();
        let ended = async {
            let _ = sandbox.ended().await;
            gone.cancel();
            std::future::pending::<()>().await
        };
        let healthy = tokio::select! {
            healthy = session::until_healthy(&app, &manifest.health, manifest.start_timeout, &gone) => healthy,
            () = ended => Ok(()),
        };
        if stop.is_cancelled() {
            return Err(NotStarted::Stopped);
        }
        if let Err(why) = healthy {
            return Err(not_up(&sandbox, &manifest, &why.to_string()));
        }
        let gauge = Arc::new(Gauge::new(0, self.means().carrier.house.clock.now()));
        gauge.active(self.means().carrier.house.clock.now());
        let (port, submission) = (manifest.port, about.submission);
        Ok(Running { sandbox, relay, gauge, port, submission, judged: demo.entry.is_some() })
    }

    async fn about(&self, demo: &Demo) -> Result<About, NotStarted> {
        let mut conn = self.means().carrier.house.db.read().await?;
        let submission = submission_db::by_id(&mut conn, demo.submission).await?;
        let submission = submission.filter(Submission::has_file).ok_or(NotStarted::Gone("submission"))?;
        let competition = contest_db::by_id(&mut conn, demo.competition).await?;
        let competition = competition.ok_or(NotStarted::Gone("competition"))?;
        let tasks = contest_db::tasks_of_phase(&mut conn, submission.phase).await?;
        let task =
            tasks.into_iter().find(|task| task.definition.takes_apps()).ok_or(NotStarted::Gone("task"))?;
        let files = contest_db::files(&mut conn, demo.competition).await?;
        Ok(About { submission, competition, task, files })
    }

    /// Lays the app's files out in its area.
    async fn furnish(&self, submission: &Submission, area: &Path) -> Result<Manifest, NotStarted> {
        let (upload, unpacked, laid) = (area.join("upload"), area.join("unpacked"), area.join("app"));
        for directory in [&unpacked, &laid] {
            fs::create_dir_all(directory)?;
        }
        let key: ObjectKey = submission.object_key.parse()?;
        self.means().carrier.house.objects.get_to_file(&key, &upload).await?;
        let name = submission.file_name.clone();
        let laying = tokio::task::spawn_blocking(move || -> Result<Manifest, NotStarted> {
            let file = fs::File::open(&upload)?;
            let refused = |reason, detail| NotStarted::App { reason, detail };
            let found =
                lay_out(file, &name, &unpacked, &UnpackLimits::default()).map_err(|error| match error {
                    DetectError::Io(error) => NotStarted::Io(error),
                    error => refused("app-manifest", error.to_string()),
                })?;
            let SubmissionKind::App { manifest } = &found.kind else {
                return Err(refused("app-manifest", "this is no app".to_owned()));
            };
            let manifest =
                app::read(manifest).map_err(|faulty| refused("app-manifest", faulty.to_string()))?;
            files::lay_out(&found.root, &laid, &manifest)?
                .map_err(|reason| refused("app-manifest", reason.text))?;
            fs::remove_file(&upload)?;
            fs::remove_dir_all(&unpacked)?;
            Ok(manifest)
        });
        laying.await.map_err(io::Error::from)?
    }

    async fn spec(
        &self,
        demo: &Demo,
        about: &About,
        manifest: &Manifest,
        (area, sockets): (&Path, PathBuf),
    ) -> Result<InteractiveSpec, NotStarted> {
        let carrier = &self.means().carrier;
        let laid = area.join("app");
        let bind = |host: PathBuf, container: &str| ReadOnlyBind { host, container: container.to_owned() };
        let mut binds = vec![bind(files::program_in(&laid), files::PROGRAM)];
        if !manifest.wheels.is_empty() {
            binds.push(bind(files::wheels_in(&laid), files::WHEELS));
        }
        if let Some(input) = public_input(carrier, &about.files, &about.task.definition).await? {
            binds.push(bind(input.clone(), "/app/input_data"));
            binds.push(bind(input, "/app/input"));
        }
        let given = &about.task.definition.resources;
        let resources = manifest.resources.within(given).unwrap_or(*given);
        let mut command: Vec<String> =
            ["shuyu-relay", "serve", "--socket", "/run/shuyu/relay.sock", "--"].map(str::to_owned).into();
        command.extend(manifest.command(files::PROGRAM, files::WHEELS));
        let image = carrier.images.local(&about.competition.definition.docker_image)?;
        Ok(InteractiveSpec {
            id: demo.id,
            image: carrier.engine.image_id(image).await?,
            command,
            workdir: files::PROGRAM.to_owned(),
            env: vec![("HOME".to_owned(), "/tmp".to_owned())],
            binds,
            socket_dir: sockets,
            resources: Resources { cpus: resources.cpus, memory: resources.memory, pids: resources.pids },
            gpus: None,
            tmp_bytes: TMP,
            shm_bytes: SHM,
            home: HomeQuota { bytes: 16 << 20, inodes: 1024 },
            home_kind: HomeKind::Image,
            log_cap: LOG,
            deadline: demo.deadline_at.unwrap_or(demo.requested_at),
        })
    }
}

fn not_up(sandbox: &Sandbox, manifest: &Manifest, why: &str) -> NotStarted {
    let printed = sandbox.log().text();
    let end = &printed[printed.ceil_char_boundary(printed.len().saturating_sub(TOLD))..];
    let Manifest { health, port, .. } = manifest;
    let detail = format!("GET {health} on 127.0.0.1:{port}: {why}\n\n{end}");
    NotStarted::App { reason: "app-not-up", detail }
}
