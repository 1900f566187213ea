//! `app.yaml`: how a submitted app is started and where it listens.

pub mod files;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command;
use crate::contest::bundle::Faulty;
use crate::contest::bundle::finding::{Findings, Place};
use crate::contest::bundle::node;
use crate::contest::bundle::quantity::read_size;
use crate::contest::bundle::section::{Section, missing, scalar_text, wrong_kind};
use crate::contest::definition::Resources;
use crate::probing::read::read_milliseconds;

/// The file that makes an app of a zip.
pub const MANIFEST: &str = "app.yaml";
/// Bytes of it at most.
pub const MANIFEST_BYTES: u64 = 64 << 10;
/// How long an app may take until it answers, where its author says nothing.
const START: Duration = Duration::from_secs(30);
/// The longest that an author can ask for.
const LONGEST_START: Duration = Duration::from_secs(300);
/// Wheels that an app can bring along.
const WHEELS: usize = 64;
/// The port of an app that serves files alone, where its author names none.
const FILES_PORT: u16 = 8000;

/// What an author says of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// For people.
    pub name: String,
    /// What is run.
    pub start: Start,
    /// The loopback port that it listens on.
    pub port: u16,
    /// The path that answers with a status below 400 once the app is ready.
    pub health: String,
    /// How long it may take until then.
    pub start_timeout: Duration,
    /// Processors, memory and processes, where it wants less than its task gives.
    pub resources: Wanted,
    /// Wheels in the zip, by their paths.
    pub wheels: Vec<String>,
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// A program and its arguments.
    Command(Vec<String>),
    /// A server of the files in this folder of the zip.
    Files(String),
}

/// What an app asks for; nothing for what its task gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// Processor cores.
    pub cpus: Option<f64>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// Reads the text of `app.yaml`.
///
/// # Errors
/// Everything that is wrong with it, with lines and how to mend it.
pub fn read(text: &str) -> Result<Manifest, Faulty> {
    let mut findings = Findings::strictly_about(MANIFEST);
    let manifest = node::parse(text.trim_start_matches('\u{feff}'), &mut findings).and_then(|root| {
        let top = Section::of(&root, Place::default(), &mut findings)?;
        manifest(top, &mut findings)
    });
    if !findings.has_errors()
        && let Some(manifest) = manifest
    {
        return Ok(manifest);
    }
    Err(findings.into_faulty())
}

fn manifest(mut top: Section<'_>, findings: &mut Findings) -> Option<Manifest> {
    let name = top.text("name", findings).unwrap_or_default();
    let start = start(&mut top, findings);
    let port = port(&mut top, matches!(start, Some(Start::Files(_))), findings);
    let health = top.text("health", findings).unwrap_or_else(|| "/".to_owned());
    if !health.starts_with('/') || health.chars().any(|c| c.is_control() || c == ' ' || c == '#') {
        let problem = format!("`{health}` is not a path on the app");
        findings.error("app-health", &top.at("health"), problem, "write a path such as /health");
    }
    let start_timeout = start_timeout(&mut top, findings);
    let resources = match top.section("resources", findings) {
        Some(section) => resources(section, findings),
        None => Wanted::default(),
    };
    let wheels = wheels(&mut top, findings);
    top.finish(findings);
    Some(Manifest {
        name: name.chars().take(100).collect(),
        start: start?,
        port: port?,
        health,
        start_timeout,
        resources,
        wheels,
    })
}

fn start(top: &mut Section<'_>, findings: &mut Findings) -> Option<Start> {
    let (at, files_at) = (top.at("command"), top.at("static"));
    let (written, files) = (top.text("command", findings), top.text("static", findings));
    match (written, files) {
        (Some(_), Some(_)) => {
            let problem = "an app is a `command` or a `static` folder, and here are both";
            findings.error("app-start", &files_at, problem, "keep one of them");
            None
        }
        (None, Some(folder)) => match clean(&folder) {
            Some(folder) => Some(Start::Files(folder)),
            None => {
                let problem = format!("`{folder}` is not a folder in the zip");
                findings.error("app-static", &files_at, problem, "name a folder, such as `static: site`");
                None
            }
        },
        (Some(written), None) => match command::split(&written) {
            Ok(words) => Some(Start::Command(words)),
            Err(error) => {
                findings.error(
                    "app-command",
                    &at,
                    error.to_string(),
                    "write it as in a terminal, on one line",
                );
                None
            }
        },
        (None, None) => {
            missing(&at, findings);
            None
        }
    }
}

fn port(top: &mut Section<'_>, serves_files: bool, findings: &mut Findings) -> Option<u16> {
    let at = top.at("port");
    if serves_files && top.get("port").is_none() {
        return Some(FILES_PORT);
    }
    if top.get("port").is_none() {
        missing(&at, findings);
        return None;
    }
    let whole = top.whole("port", findings)?;
    let port = u16::try_from(whole).ok().filter(|port| *port >= 1024);
    if port.is_none() {
        let problem = format!("an app cannot listen on port {whole}");
        findings.error("app-port", &at, problem, "write a port from 1024 to 65535, such as 8000");
    }
    port
}

fn start_timeout(top: &mut Section<'_>, findings: &mut Findings) -> Duration {
    let Some(text) = top.text("start_timeout", findings) else { return START };
    let span = read_milliseconds(&text).map(Duration::from_millis);
    match span.filter(|span| !span.is_zero() && *span <= LONGEST_START) {
        Some(span) => span,
        None => {
            let problem = format!("`{text}` is no span of time up to {} s", LONGEST_START.as_secs());
            findings.error("app-start-timeout", &top.at("start_timeout"), problem, "write 30s or 2m");
            START
        }
    }
}

fn resources(mut section: Section<'_>, findings: &mut Findings) -> Wanted {
    let cpus = section.positive("cpus", findings);
    let memory = section.text("memory", findings).and_then(|text| {
        let size = read_size(&text).filter(|size| *size >= 16 << 20);
        if size.is_none() {
            let problem = format!("`{text}` is no size of 16 MiB or more");
            findings.error("size-unreadable", &section.at("memory"), problem, "write 512MiB or 1GiB");
        }
        size
    });
    let pids = section.get("pids").is_some().then(|| section.count("pids", 0, findings));
    if pids.is_some_and(|pids| pids < 8) {
        let problem = "no app can start with so few processes";
        findings.error("resources-small", &section.at("pids"), problem, "write at least 8");
    }
    section.finish(findings);
    Wanted { cpus, memory, pids }
}

fn wheels(top: &mut Section<'_>, findings: &mut Findings) -> Vec<String> {
    let mut wheels = Vec::new();
    for (place, node) in top.list("wheels", findings) {
        let Some(written) = scalar_text(node) else {
            wrong_kind(&place, &node.value, "a path in the zip", findings);
            continue;
        };
        match clean(&written).filter(|path| path.to_ascii_lowercase().ends_with(".whl")) {
            Some(path) => wheels.push(path),
            None => {
                let problem = format!("`{written}` is not the path of a wheel in the zip");
                findings.error(
                    "app-wheel",
                    &place,
                    problem,
                    "write its path, such as wheels/flask-3.1.0-py3-none-any.whl",
                );
            }
        }
    }
    if wheels.len() > WHEELS {
        let problem = format!("{} wheels; {WHEELS} are the most", wheels.len());
        findings.error("app-wheels", &top.at("wheels"), problem, "leave out what the image brings already");
    }
    wheels
}

/// A path within the zip, `.` for all of it.
fn clean(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches("./").trim_end_matches('/');
    if matches!(text, "" | ".") {
        return Some(".".to_owned());
    }
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let safe = !text.contains(['\\', ':']) && !text.chars().any(char::is_control);
    (safe && text.split('/').all(plain)).then(|| text.to_owned())
}

impl Wanted {
    /// What a container gets: what the task gives, or less.
    ///
    /// # Errors
    /// What is more than the task gives.
    pub fn within(&self, given: &Resources) -> Result<Resources, String> {
        let more = |what: &str, wanted: String, given: String| {
            format!(
                "{MANIFEST} asks for {wanted} of {what} and this task gives {given}; ask for at most that, or leave it out"
            )
        };
        if let Some(cpus) = self.cpus.filter(|cpus| *cpus > given.cpus) {
            return Err(more("processors", cpus.to_string(), given.cpus.to_string()));
        }
        if let Some(memory) = self.memory.filter(|memory| *memory > given.memory) {
            let mebibytes = |bytes: u64| format!("{} MiB", bytes >> 20);
            return Err(more("memory", mebibytes(memory), mebibytes(given.memory)));
        }
        if let Some(pids) = self.pids.filter(|pids| *pids > given.pids) {
            return Err(more("processes", pids.to_string(), given.pids.to_string()));
        }
        Ok(Resources {
            cpus: self.cpus.unwrap_or(given.cpus),
            memory: self.memory.unwrap_or(given.memory),
            pids: self.pids.unwrap_or(given.pids),
            output: given.output,
        })
    }
}

impl Manifest {
    /// The command that starts it in a container where the zip lies at `program`, and wheels, if it brings
    /// any, at `wheels`. It finds its port in `PORT`.
    pub fn command(&self, program: &str, wheels: &str) -> Vec<String> {
        let mut words = vec!["env".to_owned(), format!("PORT={}", self.port)];
        if !self.wheels.is_empty() {
            words.push(format!("PYTHONPATH={wheels}"));
        }
        match &self.start {
            Start::Command(command) => {
                let port = self.port.to_string();
                let table = [
                    ("$program", program),
                    ("$input", "/app/input_data"),
                    ("$output", "/app/output"),
                    ("$port", &port),
                ];
                let fill = |word: &String| {
                    table.iter().fold(word.clone(), |word, (variable, value)| word.replace(variable, value))
                };
                words.extend(command.iter().map(fill));
            }
            Start::Files(folder) => {
                let folder = if folder == "." { program.to_owned() } else { format!("{program}/{folder}") };
                let port = self.port.to_string();
                let serve =
                    ["python3", "-m", "http.server", &port, "--bind", "127.0.0.1", "--directory", &folder];
                words.extend(serve.map(str::to_owned));
            }
        }
        words
    }

    /// The file of the zip that its command runs, if it names one there.
    pub fn program(&self) -> Option<&str> {
        match &self.start {
            Start::Command(words) => {
                let first = words.first()?;
                first.strip_prefix("$program/").or_else(|| first.strip_prefix("./"))
            }
            Start::Files(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_says_what_to_run_and_where_it_listens() {
        let text = "name: 航班\ncommand: python3 $program/app.py --port $port\nport: 8080\nhealth: /health\n\
                    start_timeout: 5s\nresources: {memory: 256MiB}\nwheels: [wheels/a-1-py3-none-any.whl]\n";
        let manifest = read(text).unwrap();
        assert_eq!(
            manifest.command("/app/program", "/app/wheels").join(" "),
            "env PORT=8080 PYTHONPATH=/app/wheels python3 /app/program/app.py --port 8080"
        );
        assert_eq!(manifest.start_timeout, Duration::from_secs(5));
        let given = Resources::default();
        assert_eq!(manifest.resources.within(&given).unwrap().memory, 256 << 20);
        let files = read("static: site").unwrap();
        assert!(files.command("/app/program", "").join(" ").ends_with("--directory /app/program/site"));
        assert_eq!((files.port, files.health.as_str()), (8000, "/"));
        assert_eq!(read("command: $program/server -v\nport: 9000").unwrap().program(), Some("server"));
    }

    #[test]
    fn everything_wrong_is_told_with_its_line() {
        let text = "command: \"python3 'app.py\"\nport: 80\nhealth: health\nstart_timeout: 10 hours\n\
                    resources: {memory: 1KiB, pids: 2}\nwheels: [../x.whl, a.zip]\nstatic: /etc\n";
        insta::assert_snapshot!(read(text).unwrap_err().to_string());
        insta::assert_snapshot!(read("port: [1").unwrap_err().to_string());
        assert!(read("port: 8000").unwrap_err().to_string().contains("`command` is required"));
        let hungry = read("static: .\nresources: {cpus: 64}").unwrap();
        assert!(hungry.resources.within(&Resources::default()).unwrap_err().contains("64"));
    }
}
