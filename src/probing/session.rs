//! Asks an app everything a suite holds, one probe after the other.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, AskError};
use super::ask::{self, Ready};
use super::compare::{self, Unmet};
use super::draw::draw;
use super::fill::Bindings;
use super::latency::LatencyClass;
use super::suite::{BODY, Probe, Step, Suite};

/// How soon the app is looked for again while it starts: most are there within [`AT_FIRST`], and to look costs
/// a connection that is refused.
const SOON: Duration = Duration::from_millis(5);
const AT_FIRST: Duration = Duration::from_secs(2);
/// How soon after that.
const LATER: Duration = Duration::from_millis(100);
/// How long one look at the health path may take.
const LOOK: Duration = Duration::from_secs(5);

/// What opens connections to the app.
pub trait App: Sync {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// A fresh connection to the port that the app listens on.
    fn open(&self) -> impl Future<Output = Result<Self::Stream, AskError>> + Send;

    /// That port.
    fn port(&self) -> u16;
}

/// What came of one probe.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Whether every answer was as expected.
    pub passed: bool,
    /// The steps that were made; the last one is where it ended.
    pub steps: Vec<Made>,
}

/// One step that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The method.
    pub method: String,
    /// Path and query; empty where they could not be made.
    pub target: String,
    /// The answer's status.
    pub status: Option<u16>,
    /// How long it took; the last class without an answer.
    pub class: LatencyClass,
    /// Why there is no answer.
    pub fault: Option<AskError>,
    /// In what the answer is not as expected.
    pub unmet: Vec<Unmet>,
}

impl Made {
    fn passed(&self) -> bool {
        self.fault.is_none() && self.unmet.is_empty()
    }

    fn failed(ready: Option<&Ready>, method: &str, fault: AskError) -> Self {
        Self {
            method: method.to_owned(),
            target: ready.map(|ready| ready.target.clone()).unwrap_or_default(),
            status: None,
            class: LatencyClass::Slower,
            fault: Some(fault),
            unmet: Vec::new(),
        }
    }
}

/// A probe as it is asked once: with the values that were drawn for it.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The probe.
    pub probe: &'a Probe,
    /// Which of its draws, from 0; `None` for one that is asked once.
    pub turn: Option<usize>,
    /// The values.
    pub bindings: Bindings,
}

/// Everything that is asked, in order. `submission` tells submissions apart, for probes that draw anew for each.
pub fn unrolled<'a>(suites: impl IntoIterator<Item = &'a Suite>, submission: &str) -> Vec<Asked<'a>> {
    let mut asked = Vec::new();
    for probe in suites.into_iter().flat_map(|suite| &suite.probes) {
        match &probe.draw {
            None => asked.push(Asked { probe, turn: None, bindings: Bindings::new() }),
            Some(values) => {
                let drawn = draw(values, &probe.name, submission);
                let several = drawn.len() > 1;
                for (turn, bindings) in drawn.into_iter().enumerate() {
                    asked.push(Asked { probe, turn: several.then_some(turn), bindings });
                }
            }
        }
    }
    asked
}

/// Waits until the app answers a GET of `path` with a status below 400.
///
/// # Errors
/// What it answered or did last, when that was not within `limit` or `gone` fired.
pub async fn until_healthy<A: App>(
    app: &A,
    path: &str,
    limit: Duration,
    gone: &CancellationToken,
) -> Result<(), Unhealthy> {
    let begin = Instant::now();
    let deadline = begin + limit;
    loop {
        let look = async {
            let ready = Ready::get(path, LOOK.min(limit), BODY);
            ask::ask(app.open().await?, app.port(), ready).await
        };
        let looked = tokio::select! {
            looked = timeout(LOOK, look) => looked.unwrap_or(Err(AskError::NoConnection)),
            () = gone.cancelled() => return Err(Unhealthy::Said(AskError::Gone)),
        };
        let why = match looked {
            Ok(answer) if answer.status < 400 => return Ok(()),
            Ok(answer) => Unhealthy::Status(answer.status),
            Err(error) => Unhealthy::Said(error),
        };
        let pause = if begin.elapsed() < AT_FIRST { SOON } else { LATER };
        if Instant::now() + pause >= deadline {
            return Err(why);
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = gone.cancelled() => return Err(Unhealthy::Said(AskError::Gone)),
        }
    }
}

/// Why an app does not count as started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unhealthy {
    /// It answered with this status.
    #[error("it answered with status {0}")]
    Status(u16),
    /// It did not answer.
    #[error("{0}")]
    Said(AskError),
}

/// Asks everything, in order; once `gone` fires, what is left counts as not answered. `told` is called with
/// the number of probes that are done.
pub async fn ask_all<A: App>(
    app: &A,
    asked: &[Asked<'_>],
    gone: &CancellationToken,
    told: &mut (dyn FnMut(usize) + Send),
) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(asked.len());
    for one in asked {
        outcomes.push(ask_one(app, one, gone).await);
        told(outcomes.len());
    }
    outcomes
}

async fn ask_one<A: App>(app: &A, asked: &Asked<'_>, gone: &CancellationToken) -> Outcome {
    let mut bindings = asked.bindings.clone();
    let mut steps = Vec::new();
    for step in &asked.probe.steps {
        let made = make(app, step, &mut bindings, gone).await;
        let passed = made.passed();
        steps.push(made);
        if !passed {
            break;
        }
    }
    let passed = steps.len() == asked.probe.steps.len() && steps.iter().all(Made::passed);
    Outcome { passed, steps }
}

async fn make<A: App>(app: &A, step: &Step, bindings: &mut Bindings, gone: &CancellationToken) -> Made {
    let method = step.request.method.as_str();
    let ready = match ask::fill(&step.request, bindings) {
        Ok(ready) => ready,
        Err(error) => return Made::failed(None, method, AskError::NotAsked { what: error.to_string() }),
    };
    let answering = async { ask::ask(app.open().await?, app.port(), ready.clone()).await };
    let answered = tokio::select! {
        biased;
        answered = answering => answered,
        () = gone.cancelled() => Err(AskError::Gone),
    };
    let answer = match answered {
        Ok(answer) => answer,
        Err(fault) => return Made::failed(Some(&ready), method, fault),
    };
    let (step, known) = (step.clone(), bindings.clone());
    // an answer of many megabytes takes a while to be looked through
    let compared = tokio::task::spawn_blocking(move || compared(&step, &answer, &known)).await;
    match compared {
        Ok((made, captured)) => {
            bindings.extend(captured);
            Made { method: method.to_owned(), target: ready.target, ..made }
        }
        Err(_) => {
            let what = "the answer could not be compared".to_owned();
            Made::failed(Some(&ready), method, AskError::Malformed { what })
        }
    }
}

fn compared(step: &Step, answer: &Answer, bindings: &Bindings) -> (Made, Bindings) {
    let mut unmet = compare::unmet(&step.expect, answer, bindings);
    let captured = compare::capture(&step.capture, answer, bindings).unwrap_or_else(|missing| {
        unmet.push(missing);
        Bindings::new()
    });
    let made = Made {
        method: String::new(),
        target: String::new(),
        status: Some(answer.status),
        class: LatencyClass::of(answer.took),
        fault: None,
        unmet,
    };
    (made, captured)
}
