//! A competition in a [`TestApp`], imported over the API, with a worker in the process that runs what
//! is submitted for real.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};
use shuyu::cli::assembly;
use shuyu::config::Settings;
use shuyu::people::Role;
use shuyu::submission::worker::Worker;
use tokio_util::sync::CancellationToken;

use super::app::{Answer, Browser, TestApp};

/// The short name of the competition.
pub const SLUG: &str = "rainfall";
/// Rows of the reference data.
pub const ROWS: u32 = 20;

const YAML: &str = r#"version: 2
title: Rainfall
image: logo.png
terms: terms.md
docker_image: python
registration_auto_approve: true
pages:
  - {title: Overview, file: overview.md}
tasks:
  - {index: 0, name: Stations, reference_data: reference}
phases:
  - index: 0
    name: Feedback
    start: 2000-01-01
    end: 2099-12-31
    tasks: [0]
    max_submissions_per_day: PER_DAY
    max_submissions: 100
    public_data: public
    starting_kit: kit
  - index: 1
    name: Final
    start: 2100-01-01
    tasks: [0]
    public_data: later
leaderboards:
  - title: Results
    key: main
    submission_rule: Force_Best
    columns:
      - {title: RMSE, key: rmse, index: 0, sorting: asc, precision: 3}
      - {title: MAE, key: mae_secret, index: 1, sorting: asc, hidden: true}
shuyu:
  tasks:
    0:
      metric:
        - {name: rmse, column: rmse, prediction: rain, target: rain, id: row_id, range: [0, 1000]}
        - {name: mae, column: mae_secret, prediction: rain, target: rain, id: row_id, range: [0, 1000]}
      ids: ids.csv
"#;

/// The files of a bundle.
#[derive(Clone)]
pub struct BundleFiles(pub BTreeMap<String, Vec<u8>>);

impl BundleFiles {
    /// A small competition with a native metric, a hidden column and two phases.
    pub fn new() -> Self {
        let reference = table(|row| f64::from(row) / 10.0);
        let ids: String = (1..=ROWS).map(|row| format!("{row}\n")).collect();
        let files = [
            ("competition.yaml", YAML.replace("PER_DAY", "5")),
            ("logo.png", "not looked at".to_owned()),
            ("terms.md", "Be fair.".to_owned()),
            ("overview.md", "# Rainfall".to_owned()),
            ("reference/reference.csv", reference),
            ("ids.csv", format!("row_id\n{ids}")),
            ("public/stations.csv", "station,height\nA,12\n".to_owned()),
            ("kit/README.md", "Start here.".to_owned()),
            ("later/rain.csv", "not yet\n".to_owned()),
        ];
        Self(files.into_iter().map(|(path, text)| (path.to_owned(), text.into_bytes())).collect())
    }

    /// The bundle with one text of competition.yaml replaced.
    pub fn with(mut self, old: &str, new: &str) -> Self {
        let yaml = String::from_utf8(self.0["competition.yaml"].clone()).unwrap();
        assert!(yaml.contains(old), "{old:?} is not in {yaml}");
        self.0.insert("competition.yaml".to_owned(), yaml.replace(old, new).into_bytes());
        self
    }

    /// All of it as a zip.
    pub fn zip(&self) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (path, bytes) in &self.0 {
            archive.start_file(path.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }
}

/// A result file with one prediction for each row.
pub fn table(prediction: impl Fn(u32) -> f64) -> String {
    let rows: String = (1..=ROWS).map(|row| format!("{row},{}\n", prediction(row))).collect();
    format!("row_id,rain\n{rows}")
}

/// Predictions that are all off by `error`: their RMSE is `error`.
pub fn off_by(error: f64) -> Vec<u8> {
    table(|row| f64::from(row) / 10.0 + error).into_bytes()
}

/// The service, its competition, and the worker when it was asked for.
pub struct Arena {
    /// The service.
    pub app: TestApp,
    /// The organizer, with a token of scope `organize`.
    pub organizer: Browser,
    stop: CancellationToken,
    working: Option<tokio::task::JoinHandle<()>>,
}

impl Arena {
    /// A service with the competition of `bundle`, published, and no worker.
    pub async fn waiting(bundle: &BundleFiles, change: impl FnOnce(&mut Settings)) -> Self {
        let app = TestApp::start_with(change).await;
        let organizer = app.user_with("olga", &[Role::Organizer]).await;
        let organizer = organizer.program(&organizer.token("organize").await);
        put_bundle(&organizer, SLUG, bundle.zip()).await.is(201);
        let publish = format!("/api/v1/competitions/{SLUG}/desk/publish");
        organizer.send(Method::POST, &publish, &[], |request| request).await.ok();
        Self { app, organizer, stop: CancellationToken::new(), working: None }
    }

    /// The same with a worker that runs what is submitted.
    pub async fn working(bundle: &BundleFiles) -> Self {
        let mut arena = Self::waiting(bundle, |_| {}).await;
        arena.work().await;
        arena
    }

    /// Starts the worker.
    pub async fn work(&mut self) {
        let settings = &self.app.app.settings;
        let instance = assembly::instance_of(settings).unwrap();
        let mut carrier = assembly::carrier(settings, self.app.app.house.clone(), &instance).await.unwrap();
        carrier.scorer = PathBuf::from(env!("CARGO_BIN_EXE_shuyu"));
        let worker = Worker::new(carrier, "test", 2);
        self.working = Some(tokio::spawn(worker.work(self.stop.clone())));
    }

    /// Somebody admitted, with a token of that scope.
    pub async fn participant(&self, login: &str, scope: &str) -> Browser {
        let browser = self.app.user(login).await;
        let all = browser.program(&browser.token("submit").await);
        register(&all).await.ok();
        browser.program(&browser.token(scope).await)
    }

    /// Ends the worker after what it is doing.
    pub async fn close(mut self) {
        self.stop.cancel();
        if let Some(working) = self.working.take() {
            working.await.unwrap();
        }
    }
}

/// The address of the phase's submissions.
pub fn submissions() -> String {
    format!("/api/v1/competitions/{SLUG}/phases/0/submissions")
}

/// The address of the phase's leaderboard.
pub fn leaderboard() -> String {
    format!("/api/v1/competitions/{SLUG}/phases/0/leaderboard")
}

/// Sends a bundle.
pub async fn put_bundle(organizer: &Browser, slug: &str, zip: Vec<u8>) -> Answer {
    let part = reqwest::multipart::Part::bytes(zip).file_name("bundle.zip");
    let form = reqwest::multipart::Form::new().part("file", part);
    let path = format!("/api/v1/competitions/{slug}/bundle");
    organizer.send(Method::PUT, &path, &[], |request| request.multipart(form)).await
}

/// Registers, accepting the terms of now.
pub async fn register(program: &Browser) -> Answer {
    let path = format!("/api/v1/competitions/{SLUG}/registration");
    let terms = program.get(&path).await.ok().json()["terms_digest"].clone();
    send_json(program, Method::POST, &path, &json!({ "terms_digest": terms })).await
}

/// Sends a JSON document.
pub async fn send_json(program: &Browser, method: Method, path: &str, body: &Value) -> Answer {
    program.send(method, path, &[], |request| request.json(body)).await
}

/// Asks for a submission until it is over.
pub async fn finished(program: &Browser, location: &str) -> Value {
    for _ in 0..3000 {
        let answer = program.get(location).await.ok().json();
        let status = answer["status"].as_str().unwrap().to_owned();
        if !["uploaded", "queued", "running"].contains(&status.as_str()) {
            return answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{location} is not over after a minute");
}
