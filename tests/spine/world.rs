//! An installation for one test: database, objects, engine and a clock that the test moves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shuyu::airlock::lane1;
use shuyu::airlock::standings::db as standings;
use shuyu::cli::assembly;
use shuyu::clock::Clock;
use shuyu::config::{ObjectsKind, Secret, Settings};
use shuyu::contest::model::{Competition, Phase};
use shuyu::contest::{bundle, db as contest_db, entry, import, terms_digest};
use shuyu::house::House;
use shuyu::ids::{SubmissionId, UserId, WorkerId};
use shuyu::people::{By, NewUser, People, Role, SessionTerms};
use shuyu::submission::accept::{self, AcceptError, Request};
use shuyu::submission::model::{Aim, Origin, Run, RunState, Submission};
use shuyu::submission::queue::{self, Lease};
use shuyu::submission::run::{Carrier, RunError};
use shuyu::submission::worker::Worker;
use shuyu::submission::{db as submission_db, disclose};
use sqlx::Row as _;
use tokio::io::AsyncRead;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::bundles::Folder;
use super::support::leftovers;
use super::support::postgres::PostgresServer;
use super::support::s3::S3Server;

/// An installation.
pub struct World {
    pub house: House,
    pub clock: Clock,
    pub settings: Settings,
    pub dir: tempfile::TempDir,
    pub worker: WorkerId,
    postgres: Option<PostgresServer>,
    s3: Option<S3Server>,
}

/// A competition in it, with its phases.
pub struct Contest {
    pub competition: Competition,
    pub phases: Vec<Phase>,
    pub organizer: UserId,
}

impl World {
    /// On SQLite and a directory.
    pub async fn new() -> Self {
        Self::with(None, None).await
    }

    /// On PostgreSQL and an S3 server.
    pub async fn large() -> Self {
        let postgres = tokio::task::spawn_blocking(PostgresServer::start).await.unwrap();
        Self::with(Some(postgres), Some(S3Server::start().await)).await
    }

    async fn with(postgres: Option<PostgresServer>, s3: Option<S3Server>) -> Self {
        // what the service says is shown with a test that fails
        let told = tracing_subscriber::fmt().with_env_filter("warn,shuyu=debug").with_test_writer();
        told.with_ansi(false).try_init().ok();
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::under(dir.path());
        // a lab that waits is for the tests that are about it
        settings.sandboxes.spares = 0;
        if let Some(server) = &postgres {
            settings.database = server.address();
        }
        if let Some(server) = &s3 {
            let s3 = server.settings();
            settings.objects.kind = ObjectsKind::S3;
            settings.objects.endpoint = s3.endpoint;
            settings.objects.bucket = s3.bucket;
            settings.objects.region = s3.region;
            settings.objects.access_key = s3.access_key;
            settings.objects.secret_key = Secret(s3.secret_key);
            settings.objects.allow_http = true;
        }
        let clock = Clock::movable();
        let house = assembly::house(&settings, clock.clone()).await.unwrap();
        let worker = house.entropy.id(&clock);
        Self { house, clock, settings, dir, worker, postgres, s3 }
    }

    /// What carries runs, scoring with the real binary.
    pub async fn carrier(&self) -> Carrier {
        let instance = assembly::instance_of(&self.settings).unwrap();
        let mut carrier =
            assembly::carrier(&self.settings, self.house.clone(), &instance).await.expect("Docker runs");
        carrier.scorer = PathBuf::from(env!("CARGO_BIN_EXE_shuyu"));
        carrier
    }

    /// The environment of a process of this installation.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("SHUYU_DATA_DIR", self.settings.data_dir.display().to_string()),
            ("SHUYU_DATABASE", self.settings.database.clone()),
            ("SHUYU_KEY_FILE", self.settings.key_file.display().to_string()),
            // what waits is for the tests that are about it
            ("SHUYU_WORKER__WARM", "0".to_owned()),
            ("SHUYU_SANDBOXES__SPARES", "0".to_owned()),
        ];
        if self.s3.is_some() {
            let o = &self.settings.objects;
            all.extend([
                ("SHUYU_OBJECTS__KIND", "s3".to_owned()),
                ("SHUYU_OBJECTS__ENDPOINT", o.endpoint.clone()),
                ("SHUYU_OBJECTS__BUCKET", o.bucket.clone()),
                ("SHUYU_OBJECTS__REGION", o.region.clone()),
                ("SHUYU_OBJECTS__ACCESS_KEY", o.access_key.clone()),
                ("SHUYU_OBJECTS__SECRET_KEY", o.secret_key.0.clone()),
                ("SHUYU_OBJECTS__ALLOW_HTTP", "true".to_owned()),
            ]);
        }
        all
    }

    /// Whether it is on PostgreSQL.
    pub fn is_large(&self) -> bool {
        self.postgres.is_some()
    }

    /// A new user.
    pub async fn person(&self, login: &str) -> UserId {
        let people = People::new(
            self.house.db.clone(),
            self.clock.clone(),
            self.house.entropy,
            SessionTerms::default(),
        );
        let new = NewUser {
            login: login.to_owned(),
            name: login.to_owned(),
            email: format!("{login}@example.cn"),
            password: "correct horse battery".to_owned(),
            ..NewUser::default()
        };
        people.add_user(By::Machine, new, &[Role::Organizer]).await.unwrap()
    }

    /// Reads a folder as a checked bundle.
    pub fn bundle(&self, folder: &Folder) -> bundle::Bundle {
        let root = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        folder.write(&root);
        self.bundle_at(&root)
    }

    /// Reads what lies there, a folder or a zip.
    pub fn bundle_at(&self, path: &Path) -> bundle::Bundle {
        let staging = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        let (bundle, report) = bundle::read(path, &staging, &bundle::Limits::default()).unwrap();
        bundle.unwrap_or_else(|| panic!("{report}"))
    }

    /// Imports a folder.
    pub async fn import(&self, slug: &str, folder: &Folder) -> Contest {
        let organizer = self.person(&format!("org-{slug}")).await;
        self.reimport(slug, folder, organizer).await.0
    }

    /// Imports a folder for an organizer who exists.
    pub async fn reimport(
        &self,
        slug: &str,
        folder: &Folder,
        organizer: UserId,
    ) -> (Contest, import::Imported) {
        let bundle = self.bundle(folder);
        let packed = tempfile::tempdir_in(self.dir.path()).unwrap();
        let imported = import::import(&self.house, &bundle, slug, organizer, packed.path()).await.unwrap();
        (self.contest(slug, organizer).await, imported)
    }

    /// A competition as it is now.
    pub async fn contest(&self, slug: &str, organizer: UserId) -> Contest {
        let mut conn = self.house.db.read().await.unwrap();
        let competition = contest_db::by_slug(&mut conn, slug).await.unwrap().unwrap();
        let phases = contest_db::phases(&mut conn, competition.id).await.unwrap();
        Contest { competition, phases, organizer }
    }

    /// A new user who is registered.
    pub async fn contestant(&self, contest: &Contest, login: &str) -> UserId {
        let user = self.person(login).await;
        self.register(contest, user).await;
        user
    }

    /// Registers a user, who accepts the current terms.
    pub async fn register(&self, contest: &Contest, user: UserId) {
        let terms =
            terms_digest(&mut self.house.db.read().await.unwrap(), &contest.competition).await.unwrap();
        let mut tx = self.house.db.begin().await.unwrap();
        entry::register(&mut tx, &self.clock, &contest.competition, user, &terms).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// What a user asks for when submitting a file of that name.
    pub fn request(&self, user: UserId, file_name: &str) -> Request {
        Request {
            user,
            display_name: "Somebody".to_owned(),
            file_name: file_name.to_owned(),
            message: String::new(),
            facts: BTreeMap::new(),
            aim: Aim::Compete,
            origin: Origin::Outside,
            began: self.clock.now(),
        }
    }

    /// Submits to a phase.
    pub async fn try_submit(
        &self,
        contest: &Contest,
        phase: usize,
        request: Request,
        content: impl AsyncRead + Send + Unpin,
    ) -> Result<Submission, AcceptError> {
        accept::accept(&self.house, &contest.competition, &contest.phases[phase], request, content, 1 << 20)
            .await
    }

    /// Submits a file to the first phase.
    pub async fn submit(&self, contest: &Contest, user: UserId, name: &str, content: &[u8]) -> SubmissionId {
        self.try_submit(contest, 0, self.request(user, name), content).await.unwrap().id
    }

    /// Leases the next run as this test's own worker.
    pub async fn lease(&self) -> Option<Lease> {
        queue::lease(&self.house.db, &self.clock, self.worker).await.unwrap()
    }

    /// Carries every waiting run to its end, one after the other, with no worker beside.
    pub async fn run_all(&self, carrier: &Carrier) -> usize {
        let mut carried = 0;
        while let Some(lease) = self.lease().await {
            self.carry(carrier, lease).await.unwrap();
            carried += 1;
        }
        carried
    }

    pub async fn carry(&self, carrier: &Carrier, lease: Lease) -> Result<(), RunError> {
        carrier.carry(lease, CancellationToken::new()).await
    }

    /// Moves the clock to a submission's tick and tells what is due.
    pub async fn tick(&self, id: SubmissionId) {
        let at = self.submission(id).await.release_at.expect("an outcome is waiting");
        self.clock.shift((at.as_millisecond() - self.clock.millis()).max(0));
        assert_eq!(disclose::tell_due(&self.house).await.unwrap(), 1);
    }

    pub async fn submission(&self, id: SubmissionId) -> Submission {
        submission_db::by_id(&mut self.house.db.read().await.unwrap(), id).await.unwrap().unwrap()
    }

    pub async fn runs(&self, id: SubmissionId) -> Vec<Run> {
        queue::db::of_submission(&mut self.house.db.read().await.unwrap(), id).await.unwrap()
    }

    /// The scores that the team was told, key by key.
    pub async fn scores(&self, contest: &Contest, id: SubmissionId) -> BTreeMap<String, f64> {
        let mut conn = self.house.db.read().await.unwrap();
        let board = &contest.competition.definition.leaderboard;
        let row = lane1::row_for_team(&mut conn, board, id).await.unwrap();
        row.scores.get().iter().map(|(key, value)| (key.clone(), *value)).collect()
    }

    /// The submissions on a phase's board, the best first.
    pub async fn standing(&self, contest: &Contest, phase: usize) -> Vec<SubmissionId> {
        let mut conn = self.house.db.read().await.unwrap();
        let changes = standings::board_changes(&mut conn, contest.phases[phase].id, 0).await.unwrap();
        let board = &contest.competition.definition.leaderboard;
        let mut entries: Vec<_> = changes.into_iter().map(|c| c.entry).collect();
        let columns = board.ranking_columns();
        entries.sort_by(|a, b| {
            shuyu::scoring::leaderboard::compare(&columns, a.scores.get(), b.scores.get())
                .then(a.submitted_at.cmp(&b.submitted_at))
        });
        entries.into_iter().map(|e| e.submission).collect()
    }

    /// A number from the database.
    pub async fn number(&self, sql: &'static str) -> i64 {
        let mut conn = self.house.db.read().await.unwrap();
        sqlx::query(sql).fetch_one(&mut *conn).await.unwrap().get::<i64, _>(0)
    }

    /// Bits of all replies about a submission, by kind.
    pub async fn bits(&self, id: SubmissionId) -> Vec<(String, f64)> {
        let mut conn = self.house.db.read().await.unwrap();
        let rows = sqlx::query("SELECT kind, bits FROM replies WHERE submission_id = $1 ORDER BY kind")
            .bind(id.to_string())
            .fetch_all(&mut *conn)
            .await
            .unwrap();
        rows.iter().map(|row| (row.get::<String, _>(0), row.get::<f64, _>(1))).collect()
    }

    /// Kinds of the events published about a submission, in order.
    pub async fn events(&self, id: SubmissionId) -> Vec<(String, String)> {
        let mut conn = self.house.db.read().await.unwrap();
        let rows = sqlx::query("SELECT kind, payload FROM events WHERE topic = $1 ORDER BY number")
            .bind(shuyu::submission::topic(id))
            .fetch_all(&mut *conn)
            .await
            .unwrap();
        rows.iter().map(|row| (row.get::<String, _>(0), row.get::<String, _>(1))).collect()
    }

    /// Objects whose key begins so, in the directory store.
    pub fn objects(&self, prefix: &str) -> Vec<String> {
        fn walk(at: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(at).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => walk(&path, root, found),
                    path => found.push(path.strip_prefix(root).unwrap().display().to_string()),
                }
            }
        }
        let root = match &self.s3 {
            Some(server) => server.bucket(),
            None => self.settings.data_dir.join("objects"),
        };
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        found.retain(|key| key.contains(prefix) && !key.contains(".attrs"));
        found
    }

    /// Starts a real worker in this process.
    pub async fn start_worker(&self, carrier: Carrier, slots: usize) -> Working {
        let stop = CancellationToken::new();
        let task = tokio::spawn(Worker::new(carrier, "test", slots).work(stop.clone()));
        Working { stop, task }
    }

    /// Lets a second pass while a submission's first run waits (a run under way keeps its lease).
    pub async fn hurry(&self, id: SubmissionId) {
        if self.runs(id).await[0].state == RunState::Queued {
            self.clock.shift(1_000);
        }
    }

    /// Waits until a submission's true state is final.
    pub async fn over(&self, id: SubmissionId) -> Submission {
        self.until("the submission is over", || async { self.submission(id).await.state.is_final() }).await;
        self.submission(id).await
    }

    /// Waits for what other tasks and processes do; fails after ninety seconds.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, mut condition: impl FnMut() -> F) {
        for _ in 0..4500 {
            if condition().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it did not happen: {what}");
    }

    /// Containers of this installation, under every work directory.
    pub fn containers(&self, settings: &Settings) -> Vec<String> {
        leftovers::containers(settings)
    }

    /// Checks, with other means than ours, that no run has left anything on this machine.
    pub fn assert_clean(&self, settings: &Settings) {
        assert_eq!(self.containers(settings), Vec::<String>::new(), "containers are left");
        let name = settings.work_dir.to_str().unwrap();
        let table = std::fs::read_to_string("/proc/mounts").unwrap();
        let mounts: Vec<&str> = table.lines().filter(|l| l.contains(name)).collect();
        assert_eq!(mounts, Vec::<&str>::new(), "mounts are left");
        let runs: Vec<_> =
            std::fs::read_dir(settings.work_dir.join("runs")).into_iter().flatten().flatten().collect();
        assert!(runs.is_empty(), "directories are left: {runs:?}");
    }
}

impl Drop for World {
    /// A test that failed leaves what it had.
    fn drop(&mut self) {
        leftovers::clear(&self.settings);
    }
}

/// A worker at work.
pub struct Working {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Working {
    /// Asks it to stop and waits until it has.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}
