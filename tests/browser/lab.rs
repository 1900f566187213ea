//! A lab in a real Chromium, on the real binary: opened by the button, used as a person uses it, reloaded,
//! and still there when the service was restarted under it; and a notebook that reaches for the main site.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::Locator;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use serde_json::{Value, json};
use shuyu::config::Settings;
use shuyu::people::Role;

use super::support::chromium::{Chromium, DESK};
use super::support::{PASSWORD, TestApp, leftovers};
use super::{AUTO, C, take_part};

/// How long a lab, or a service, may take to show what is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// The real binary on the data of a test's service, on a port that stays the same.
pub(super) struct Service {
    child: Child,
    settings: Settings,
    port: u16,
}

impl Service {
    pub(super) async fn start(app: &TestApp, port: u16) -> Self {
        let settings = app.app.settings.clone();
        let child = Self::spawn(&settings, port);
        let service = Self { child, settings, port };
        service.until_ready().await;
        service
    }

    fn spawn(settings: &Settings, port: u16) -> Child {
        Command::new(env!("CARGO_BIN_EXE_shuyu"))
            .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("SHUYU_DATA_DIR", &settings.data_dir)
            .env("SHUYU_WORK_DIR", &settings.work_dir)
            .env("SHUYU_KEY_FILE", &settings.key_file)
            .env("SHUYU_DATABASE", &settings.database)
            .env("SHUYU_PUBLIC_URL", format!("http://127.0.0.1:{port}"))
            .env("SHUYU_SANDBOXES__HOST", format!("{{id}}.localhost:{port}"))
            .env("SHUYU_WORKER__NAME", "test")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    async fn until_ready(&self) {
        let ready = format!("{}/readyz", self.base());
        let begun = Instant::now();
        while !reqwest::get(&ready).await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(begun.elapsed() < PATIENCE, "the service does not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// SIGTERM, and waits until it has ended well.
    pub(super) async fn stop(&mut self) {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let begun = Instant::now();
        loop {
            match self.child.try_wait().unwrap() {
                Some(status) => return assert!(status.success(), "{status}"),
                None => assert!(begun.elapsed() < PATIENCE, "the service does not end"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops it, and starts it again.
    async fn restart(&mut self) {
        self.stop().await;
        self.child = Self::spawn(&self.settings, self.port);
        self.until_ready().await;
    }

    /// What a command prints in the only sandbox that is open; labs that wait are paused and say nothing.
    fn inside(&self, command: &str) -> String {
        let run = |container: String| {
            let done =
                Command::new("docker").args(["exec", &container, "sh", "-c", command]).output().unwrap();
            String::from_utf8_lossy(&done.stdout).into_owned()
        };
        leftovers::containers(&self.settings).into_iter().map(run).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        leftovers::clear(&self.settings);
    }
}

/// Runs a script's body in the lab until it gives something.
pub(super) async fn until(page: &Chromium, what: &str, body: &str) -> Value {
    let begun = Instant::now();
    loop {
        // a page that is being loaded has no scripts yet
        let found = page.client.execute(body, Vec::new()).await.unwrap_or(Value::Null);
        if !matches!(found, Value::Null | Value::Bool(false)) {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {found} in\n{}", page.text().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// From the page around the lab into its frame, once the lab is there.
async fn into_lab(page: &Chromium) {
    page.find("iframe").await.enter_frame().await.unwrap();
    until(page, "the lab", "return !!document.querySelector('.jp-DirListing-item')").await;
}

/// Opens a file of the home by a double click on it.
async fn open_file(page: &Chromium, name: &str) {
    let click = format!(
        "const item = [...document.querySelectorAll('.jp-DirListing-item')].find(i => i.textContent.includes({})); \
         item?.dispatchEvent(new MouseEvent('dblclick', {{ bubbles: true }})); return !!item",
        json!(name)
    );
    until(page, name, &click).await;
    until(
        page,
        "the notebook",
        "return !!document.querySelector('.jp-Notebook .jp-CodeCell .cm-content')?.offsetParent",
    )
    .await;
}

/// What the first cell of code has printed, with the kinds of its outputs.
const OUTPUTS: &str = "const cell = document.querySelector('.jp-Notebook .jp-CodeCell'); \
     return [...cell.querySelectorAll('.jp-OutputArea-output')].map(o => [o.dataset.mimeType, o.innerText, \
     o.querySelector('img')?.naturalWidth ?? 0])";

/// Types code into the first cell of code in the place of what is there, and runs it; false when the cell was
/// drawn anew meanwhile, as while a notebook is being loaded.
async fn typed(page: &Chromium, code: &str) -> Result<bool, CmdError> {
    let cell = ".jp-Notebook .jp-CodeCell .cm-content";
    let editor = page.client.find(Locator::Css(cell)).await?;
    editor.click().await?;
    // letters are commands where no cell is being edited
    let edited = format!(
        "return document.activeElement === document.querySelector('{cell}') && \
         !!document.querySelector('.jp-Notebook.jp-mod-editMode .jp-CodeCell.jp-mod-active')"
    );
    if page.client.execute(&edited, Vec::new()).await? != true {
        return Ok(false);
    }
    editor.send_keys(&(Key::Control + "a")).await?;
    editor.send_keys(code).await?;
    let holds = format!("return document.querySelector('{cell}').innerText.trim() === {}", json!(code));
    if page.client.execute(&holds, Vec::new()).await? != true {
        return Ok(false);
    }
    editor.send_keys(&(Key::Control + &Key::Enter)).await?;
    Ok(true)
}

/// Runs code in the first cell of code, and waits until its outputs satisfy `enough`, a script's expression
/// of `text` and `outputs`.
async fn run(page: &Chromium, code: &str, enough: &str) -> Value {
    let body = format!(
        "const outputs = (() => {{ {OUTPUTS} }})(); const text = outputs.map(o => o[1]).join(' '); \
         return ({enough}) ? outputs : null"
    );
    let begun = Instant::now();
    loop {
        // what is run while a notebook is still being connected to its kernel is not run: it is asked for anew
        let ran = typed(page, code).await.unwrap_or(false);
        let pressed = Instant::now();
        while ran && pressed.elapsed() < Duration::from_secs(10) {
            match page.client.execute(&body, Vec::new()).await {
                Ok(found) if !found.is_null() => return found,
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        assert!(begun.elapsed() < PATIENCE, "{code:?} does not run in\n{}", page.text().await);
        accept_dialog(page).await;
    }
}

/// Says yes where the lab asks, as for a kernel, or whether one has read that the server is away.
async fn accept_dialog(page: &Chromium) {
    let accept = "document.querySelector('.jp-Dialog .jp-mod-accept')?.click()";
    let _ = page.client.execute(accept, Vec::new()).await;
}

/// Opens a terminal from the launcher.
async fn open_terminal(page: &Chromium) {
    page.click("#jp-main-dock-panel .lm-TabBar-addButton").await;
    let card = "const icon = document.querySelector('.jp-LauncherCard [data-icon=\"ui-components:terminal\"]'); \
                icon?.closest('.jp-LauncherCard').click(); return !!icon";
    until(page, "a terminal in the launcher", card).await;
    until(page, "the terminal", "return !!document.querySelector('.jp-Terminal .xterm-helper-textarea')")
        .await;
}

async fn in_terminal(page: &Chromium, service: &Service, line: &str, file: &str, wanted: &str) {
    let begun = Instant::now();
    while !service.inside(&format!("cat {file} 2>/dev/null")).contains(wanted) {
        assert!(begun.elapsed() < PATIENCE, "the terminal does not do {line:?}");
        page.find(".xterm-helper-textarea").await.send_keys(&format!("{line}\n")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// What a foreign page tries with the main site, written down in that page; `act` is a path whose POST would do
/// something there.
pub(super) fn reaches(base: &str, act: &str) -> String {
    let script = "
const tried = {}, base = 'BASE';
const note = (name, attempt) => Promise.resolve().then(attempt).then(
  got => { tried[name] = got ? 'reached ' + got : 'nothing'; }, error => { tried[name] = 'failed ' + error.name; });
Promise.all([
  note('fetch', async () => (await fetch(base + '/account', {credentials: 'include'})).text()),
  note('post', async () => (await fetch(base + 'STOP', {method: 'POST', credentials: 'include'})).status),
  note('api', async () => (await fetch(base + '/api/v1/me', {credentials: 'include'})).text()),
  note('xhr', () => new Promise((good, bad) => { const x = new XMLHttpRequest(); x.withCredentials = true;
    x.onload = () => good(x.responseText); x.onerror = () => bad(new TypeError()); x.open('GET', base + '/'); x.send(); })),
  note('opener', () => window.opener || window.top.opener),
  note('top', () => window.top.location.origin === base),
  note('cookies', () => document.cookie.includes('shuyu') && document.cookie),
  note('toss', () => { document.cookie = 'shuyu_session=x; domain=localhost'; document.cookie = 'shuyu_session=x; domain=127.0.0.1';
    return document.cookie.includes('shuyu_session'); }),
  note('frame', () => new Promise((good, bad) => { const f = document.createElement('iframe'); f.src = base + '/';
    f.onload = () => { try { good(f.contentDocument && f.contentDocument.body.innerText); } catch (e) { bad(e); } };
    document.body.append(f); })),
  note('blind', () => fetch(base + 'STOP', {method: 'POST', mode: 'no-cors', credentials: 'include'}).then(a => a.ok && a.status)),
  note('script', () => new Promise((good, bad) => { const s = document.createElement('script'); s.src = base + '/api/openapi.json';
    s.onload = () => good('loaded'); s.onerror = () => bad(new TypeError()); document.head.append(s); })),
  note('message', () => new Promise(good => { addEventListener('message', e => e.origin === base && good(e.data));
    window.top.postMessage('tell', '*'); window.parent.postMessage('tell', base); setTimeout(good, 500); })),
]).then(() => { document.body.dataset.tried = JSON.stringify(tried); });
";
    script.replace("BASE", base).replace("STOP", act)
}

#[tokio::test]
async fn a_lab_is_used_reloaded_and_outlives_the_service() {
    let app = TestApp::start().await;
    app.user_with("org", &[Role::Organizer]).await;
    app.import_with_sandboxes(&AUTO, "small", "org").await;
    app.user("alice").await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut service = Service::start(&app, port).await;

    let page = Chromium::open(&service.base(), DESK).await;
    page.log_in("alice", PASSWORD).await;
    take_part(&page).await;
    page.go(&format!("{C}/sandbox")).await;
    page.click("form[action$='/open'] button").await;
    let main = page.client.window().await.unwrap();
    page.click("form[action$='/enter'] button").await;
    let begun = Instant::now();
    let lab = loop {
        let windows = page.client.windows().await.unwrap();
        if let Some(other) = windows.into_iter().find(|window| *window != main) {
            break other;
        }
        assert!(begun.elapsed() < PATIENCE, "no new tab");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    page.client.switch_to_window(lab.clone()).await.unwrap();
    page.find("iframe").await;
    let address = page.client.current_url().await.unwrap();
    assert!(address.host_str().unwrap().ends_with(".localhost") && address.path() == "/shuyu/", "{address}");
    assert!(address.query().is_none(), "the ticket is not left in the address");
    assert_eq!(page.flaws().await, Vec::<String>::new());

    into_lab(&page).await;
    open_file(&page, "start.ipynb").await;
    run(&page, "x = 20; print('x', x * 2)", "text.includes('x 40')").await;
    let plot = "import matplotlib.pyplot as plt; plt.plot([1, 3, 2]); plt.title('各小时航班延误（分钟）'); plt.show()";
    let plotted = run(&page, plot, "outputs.some(o => o[2] > 100)").await;
    assert!(!plotted.to_string().contains("issing"), "a glyph is missing: {plotted}");

    // a notebook whose output contains script
    let display = format!(
        "from IPython.display import HTML, Javascript; display(HTML({}), Javascript({}))",
        json!("<b>ran</b><script>document.body.dataset.ran = 'yes'</script>"),
        json!(reaches(&service.base(), &format!("{C}/sandbox/stop")).replace('\n', " "))
    );
    run(&page, &display, "text.includes('ran')").await;
    let tried = until(&page, "the script", "return document.body.dataset.tried").await;
    let tried: Value = serde_json::from_str(tried.as_str().unwrap()).unwrap();
    assert_eq!(tried.as_object().unwrap().len(), 12, "{tried}");
    let reached =
        tried.as_object().unwrap().values().any(|told| told.as_str().unwrap().starts_with("reached"));
    assert!(!reached, "{tried}");

    open_terminal(&page).await;
    in_terminal(&page, &service, "id -u > ~/said; echo $((40 + 2)) >> ~/said", "~/said", "61000\n42").await;

    // reloaded: the kernel is there with its variable
    open_file(&page, "start.ipynb").await;
    run(&page, "print('saved', x)", "text.includes('saved 20')").await;
    page.client.active_element().await.unwrap().send_keys(&(Key::Control + "s")).await.unwrap();
    let saved = Instant::now();
    while !service.inside("cat ~/start.ipynb").contains("saved 20") {
        assert!(saved.elapsed() < PATIENCE, "it is not saved");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    page.client.enter_parent_frame().await.unwrap();
    page.client.refresh().await.unwrap();
    into_lab(&page).await;
    open_file(&page, "start.ipynb").await;
    run(&page, "print('reloaded', x)", "text.includes('reloaded 20')").await;

    // the service is restarted under it: the same kernel goes on, nobody reloads
    service.restart().await;
    run(&page, "print('restarted', x)", "text.includes('restarted 20')").await;

    page.client.switch_to_window(main).await.unwrap();
    page.script("document.querySelector(\"form[action$='/stop']\").requestSubmit()").await;
    page.shows("已按您的要求停止").await;
    page.close().await;
    service.stop().await;
    assert_eq!(leftovers::containers(&service.settings), Vec::<String>::new());
}
