//! A real Chromium, driven over WebDriver by Debian's `chromedriver`, and the accessibility checker
//! axe that is run in its pages.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

/// How long a page may take to show what is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a browser window is like.
#[derive(Clone, Copy)]
pub struct Window {
    /// Width in CSS pixels.
    pub width: u32,
    /// Whether the person prefers a dark page.
    pub dark: bool,
    /// Whether scripts run.
    pub script: bool,
}

/// A telephone.
pub const PHONE: Window = Window { width: 390, dark: false, script: true };
/// A desk.
pub const DESK: Window = Window { width: 1440, dark: false, script: true };

/// A running browser.
pub struct Chromium {
    /// The session.
    pub client: Client,
    base: String,
    driver: Child,
    _profile: tempfile::TempDir,
}

impl Chromium {
    /// Opens a window that takes paths of the service at `base`.
    pub async fn open(base: &str, window: Window) -> Self {
        let (driver, port) = tokio::task::spawn_blocking(start_driver).await.unwrap();
        let profile = tempfile::tempdir().unwrap();
        let mut arguments: Vec<String> = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            "--window-size=1440,900",
            "--lang=zh-CN",
        ]
        .map(str::to_owned)
        .into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        if window.dark {
            arguments.push("--blink-settings=preferredColorScheme=0".into());
        }
        let mut options = json!({ "args": arguments });
        let metrics = json!({ "width": window.width, "height": 900, "pixelRatio": 1.0, "touch": false });
        options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        if !window.script {
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let wanted = json!({ "goog:chromeOptions": options });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(wanted.as_object().unwrap().clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("chromedriver opens a window");
        Self { client, base: base.to_owned(), driver, _profile: profile }
    }

    /// Goes to a path.
    pub async fn go(&self, path: &str) {
        self.client.goto(&format!("{}{path}", self.base)).await.unwrap();
    }

    /// The path of the page shown.
    pub async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    /// Waits for an element.
    pub async fn find(&self, css: &str) -> Element {
        match self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => panic!("{css}: {error} in\n{}", self.text().await),
        }
    }

    /// Waits until the page shows a text.
    pub async fn shows(&self, text: &str) {
        let end = std::time::Instant::now() + PATIENCE;
        while !self.text().await.contains(text) {
            assert!(std::time::Instant::now() < end, "{text:?} does not appear in\n{}", self.text().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The text that the page shows.
    pub async fn text(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Types into a field.
    pub async fn fill(&self, css: &str, text: &str) {
        self.find(css).await.send_keys(text).await.unwrap();
    }

    /// Clicks.
    pub async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap();
    }

    /// Runs a script's body in the page.
    pub async fn script(&self, body: &str) -> Value {
        self.client.execute(body, Vec::new()).await.unwrap()
    }

    /// Presses a key.
    pub async fn press(&self, key: char) {
        let keys = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value: key })
            .then(KeyAction::Up { value: key });
        self.client.perform_actions(keys).await.unwrap();
    }

    /// Presses Tab until an element has the focus; fails after a hundred times.
    pub async fn tab_to(&self, css: &str) {
        let here = format!("return document.activeElement.matches({})", json!(css));
        for _ in 0..100 {
            self.press(Key::Tab.into()).await;
            if self.script(&here).await == Value::Bool(true) {
                return;
            }
        }
        panic!("Tab never reaches {css} on {}", self.path().await);
    }

    /// Presses Enter.
    pub async fn enter(&self) {
        self.press(Key::Enter.into()).await;
    }

    /// Logs in by the form.
    pub async fn log_in(&self, login: &str, password: &str) {
        self.go("/login").await;
        self.fill("input[name=login]", login).await;
        self.fill("input[name=password]", password).await;
        self.click("main form button[type=submit], main form button:not([type])").await;
        self.client
            .wait()
            .at_most(PATIENCE)
            .for_url(&format!("{}/", self.base).parse().unwrap())
            .await
            .unwrap();
    }

    /// What is wrong with the page shown: violations that axe finds, a page wider than its window,
    /// more than ten requests, more than 150 kB.
    pub async fn flaws(&self) -> Vec<String> {
        let mut flaws = Vec::new();
        let axe = std::fs::read_to_string(axe_script()).expect("scripts/test fetches axe");
        let run = "const done = arguments[arguments.length - 1]; \
                   axe.run(document, { resultTypes: ['violations'] }).then(r => done(r.violations), e => done(String(e)))";
        let found = self.client.execute_async(&format!("{axe};{run}"), Vec::new()).await.unwrap();
        for violation in found.as_array().unwrap_or_else(|| panic!("axe: {found}")) {
            for node in violation["nodes"].as_array().unwrap() {
                flaws.push(format!("{}: {} {}", violation["id"], node["html"], node["failureSummary"]));
            }
        }
        let figures = self
            .script(
                "const loads = performance.getEntriesByType('resource').filter(e => e.initiatorType !== 'other'); \
                 const page = performance.getEntriesByType('navigation')[0]; \
                 return [document.documentElement.scrollWidth - window.innerWidth, loads.length + 1, \
                 loads.reduce((sum, e) => sum + e.encodedBodySize, page.encodedBodySize)]",
            )
            .await;
        let figure = |place: usize| figures[place].as_f64().unwrap();
        if figure(0) > 0.0 {
            flaws.push(format!("{} px wider than its window", figure(0)));
        }
        if figure(1) > 10.0 {
            flaws.push(format!("{} requests", figure(1)));
        }
        if figure(2) > 150_000.0 {
            flaws.push(format!("{} bytes", figure(2)));
        }
        flaws
    }

    /// Closes the window.
    pub async fn close(self) {
        self.client.clone().close().await.unwrap();
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}

/// Where `scripts/test` puts axe.
fn axe_script() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("data/cache/axe.min.js");
    std::env::var_os("SHUYU_TEST_AXE").map_or_else(default, PathBuf::from)
}

/// Starts `chromedriver` on a port of its choice. It chooses one that is free for IPv4 and ends when somebody
/// has it for IPv6: then it chooses anew.
fn start_driver() -> (Child, u16) {
    (0..10).find_map(|_| try_driver()).expect("chromedriver names its port")
}

fn try_driver() -> Option<(Child, u16)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver is installed (Debian's chromium-driver; scripts/test installs it)");
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let line = lines.find_map(|line| line.ok().filter(|l| l.contains("started successfully on port")));
    let port = line.as_deref().and_then(|l| l.trim_end_matches('.').rsplit(' ').next()?.parse().ok());
    let Some(port) = port else {
        driver.kill().ok();
        driver.wait().ok();
        return None;
    };
    // what it prints later has nowhere to go but must not block it
    std::thread::spawn(move || lines.for_each(drop));
    Some((driver, port))
}
