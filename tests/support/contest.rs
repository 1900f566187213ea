//! A small competition with a native metric, made in a directory of its own, and a worker in this
//! process. Native scoring mounts a tmpfs, so these tests need root, and the Docker engine.

use std::fs;
use std::path::{Path, PathBuf};

use shuyu::cli::assembly;
use shuyu::contest::bundle;
use shuyu::contest::import;
use shuyu::ids::UserId;
use shuyu::people::By;
use shuyu::submission::worker::Worker;
use tokio_util::sync::CancellationToken;

use super::TestApp;

/// Rows of the little test set.
pub const ROWS: usize = 6;

/// What a test wants otherwise than the default in `competition.yaml`.
#[derive(Default)]
pub struct Wanted {
    /// Lines at the top level.
    pub top: &'static str,
    /// Lines of the only phase, indented by four.
    pub phase: &'static str,
    /// Lines of the leaderboard, indented by four.
    pub board: &'static str,
}

/// Writes a bundle: two columns (`rmse`, and the hidden `secret_mae`), one phase that is open for
/// years, six rows to predict.
pub fn bundle_in(directory: &Path, wanted: &Wanted) -> PathBuf {
    let root = directory.join("bundle");
    fs::create_dir_all(root.join("labels")).unwrap();
    fs::create_dir_all(root.join("open")).unwrap();
    // one black pixel
    let pixel = "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763606060000000040001\
                 27348a5a0000000049454e44ae426082";
    fs::write(root.join("logo.png"), hex::decode(pixel.replace(' ', "")).unwrap()).unwrap();
    fs::write(root.join("terms.md"), "# Terms\nBe fair. <script>alert('terms')</script>\n").unwrap();
    fs::write(root.join("overview.md"), "# Welcome\n<img src=x alt=x onerror=alert(1)> Predict the delay.\n")
        .unwrap();
    let ids: String = (0..ROWS).map(|i| format!("r{i}\n")).collect();
    fs::write(root.join("open/ids.csv"), format!("row\n{ids}")).unwrap();
    let labels: String = (0..ROWS).map(|i| format!("r{i},{}.5\n", i * 7 + 1000)).collect();
    fs::write(root.join("labels/labels.csv"), format!("row,y\n{labels}")).unwrap();
    let Wanted { top, phase, board } = wanted;
    let yaml = format!(
        "version: 2
title: 小竞赛
description: 测试用
image: logo.png
terms: terms.md
{top}
pages:
  - {{title: 概览, file: overview.md}}
tasks:
  - index: 0
    name: 任务
    reference_data: labels
phases:
  - name: 反馈
    start: 2020-01-01
    end: 2090-01-01
    public_data: open
    tasks: [0]
{phase}
leaderboards:
  - title: 榜
    key: main
    submission_rule: Force_Best
{board}
    columns:
      - {{title: RMSE, key: rmse, index: 0, sorting: asc, precision: 3}}
      - {{title: 暗栏, key: secret_mae, index: 1, sorting: asc, hidden: true}}
shuyu:
  tasks:
    0:
      metric:
        - {{name: rmse, column: rmse, prediction: y, target: y, id: row, range: [0, 10000]}}
        - {{name: mae, column: secret_mae, prediction: y, target: y, id: row, range: [0, 10000]}}
      ids: open/ids.csv
"
    );
    fs::write(root.join("competition.yaml"), yaml).unwrap();
    root
}

/// Predictions that are all off by so much.
pub fn predictions(off: f64) -> Vec<u8> {
    let rows: String = (0..ROWS).map(|i| format!("r{i},{}\n", (i * 7 + 1000) as f64 + 0.5 + off)).collect();
    format!("row,y\n{rows}").into_bytes()
}

/// A worker in this process; it ends when dropped.
pub struct RunningWorker {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl RunningWorker {
    /// Lets it finish what it has begun.
    pub async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

impl TestApp {
    /// The id of a user.
    pub async fn id_of(&self, login: &str) -> UserId {
        self.app.people.user_named(By::Machine, login).await.unwrap().id
    }

    /// Imports a bundle for an owner and publishes it.
    pub async fn import(&self, wanted: &Wanted, slug: &str, owner: &str) {
        let directory = tempfile::tempdir().unwrap();
        let root = bundle_in(directory.path(), wanted);
        self.import_from(&root, slug, owner).await;
    }

    /// The same of a competition that offers sandboxes.
    pub async fn import_with_sandboxes(&self, wanted: &Wanted, slug: &str, owner: &str) {
        self.import_offering("{image: python}", wanted, slug, owner).await;
    }

    /// The same, granting what `sandbox` says.
    pub async fn import_offering(&self, sandbox: &str, wanted: &Wanted, slug: &str, owner: &str) {
        self.import_and(&format!("sandbox: {sandbox}"), wanted, slug, owner).await;
    }

    /// Imports a competition that takes entries by these rules.
    pub async fn import_with_entries(&self, rules: &str, wanted: &Wanted, slug: &str, owner: &str) {
        self.import_and(&format!("entries: {rules}"), wanted, slug, owner).await;
    }

    /// The same with a further key below `shuyu`.
    async fn import_and(&self, key: &str, wanted: &Wanted, slug: &str, owner: &str) {
        let directory = tempfile::tempdir().unwrap();
        let root = bundle_in(directory.path(), wanted);
        let yaml = fs::read_to_string(root.join("competition.yaml")).unwrap();
        fs::write(root.join("competition.yaml"), format!("{yaml}  {key}\n")).unwrap();
        self.import_from(&root, slug, owner).await;
    }

    /// The same from the bundle in a directory.
    pub async fn import_from(&self, root: &Path, slug: &str, owner: &str) {
        let directory = tempfile::tempdir().unwrap();
        let staging = directory.path().join("staging");
        let packed = directory.path().join("packed");
        fs::create_dir(&staging).unwrap();
        fs::create_dir(&packed).unwrap();
        let (read, report) = bundle::read(root, &staging, &bundle::Limits::default()).unwrap();
        let read = read.unwrap_or_else(|| panic!("{report}"));
        let owner = self.id_of(owner).await;
        import::import(&self.app.house, &read, slug, owner, &packed).await.unwrap();
        import::publish(&self.app.house, slug, Some(owner)).await.unwrap();
    }

    /// Starts a worker in this process.
    pub async fn worker(&self) -> RunningWorker {
        let instance = hex::encode(self.app.entropy.bytes::<6>());
        let mut carrier =
            assembly::carrier(&self.app.settings, self.app.house.clone(), &instance).await.unwrap();
        carrier.scorer = env!("CARGO_BIN_EXE_shuyu").into();
        let stop = CancellationToken::new();
        let worker = Worker::new(carrier, "test", 2);
        let task = tokio::spawn(worker.work(stop.clone()));
        RunningWorker { stop, task }
    }
}
