//! The counter of one sandbox: takes the files that the command `submit` hands in through the relay,
//! as submissions of the sandbox's owner, and tells how they fare.
//!
//! What comes from inside says only which file, which phase and what note. The person and the
//! competition are the sandbox's own; a submission goes through the same door as an upload.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf, Take};
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::Means;
use crate::contest::model::{self, Competition, Phase};
use crate::contest::{db as contest_db, entry};
use crate::ids::{SandboxId, UserId};
use crate::lab::db;
use crate::lab::hand_in::{Refusal, Said, Standing, short};
use crate::people;
use crate::sandbox::{HandedIn, Relay, RelayStream};
use crate::store::{Connection, ObjectError, StoreError};
use crate::submission::accept::{self, AcceptError, Request};
use crate::submission::db as submission_db;
use crate::submission::model::{Aim, Origin, State, Submission};
use crate::submission::quota::quota;

/// How often it is looked how a submission fares.
const LOOK: Duration = Duration::from_millis(500);
/// How long somebody may wait at the counter; the submission's page tells the rest.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// What is spoken to somebody who is not known yet.
const DEFAULT_LOCALE: &str = "zh-CN";

/// What all counters of a keeper share: that the service is going down, and who still stands there.
#[derive(Default)]
pub(super) struct Hours {
    /// Fires when nobody more is served, and those who wait are sent to the page.
    pub closing: CancellationToken,
    /// The files under way.
    pub served: TaskTracker,
}

/// The counter of one sandbox; closed when this is dropped. A file under way goes on.
pub(super) struct Counter {
    _taking: AbortOnDropHandle<()>,
}

impl Counter {
    /// Takes what is handed in through `relay` as its owner's.
    pub(super) fn open(
        means: &Arc<Means>,
        hours: &Arc<Hours>,
        (sandbox, user): (SandboxId, UserId),
        relay: &Arc<Relay>,
    ) -> Self {
        // neither holds the keeper: it may go while somebody stands here
        let (means, hours, relay) = (Arc::clone(means), Arc::clone(hours), Arc::clone(relay));
        let taking = async move {
            while let Some(handed_in) = relay.handed_in().await {
                let (means, closing) = (Arc::clone(&means), hours.closing.clone());
                let served = Served { means, closing, sandbox, user };
                hours.served.spawn(served.serve(handed_in));
            }
        };
        Self { _taking: AbortOnDropHandle::new(tokio::spawn(taking)) }
    }
}

/// What the command says of its file.
#[derive(Deserialize)]
struct Header {
    name: String,
    size: u64,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    phase: Option<i64>,
}

/// The owner of a sandbox, and what it is a sandbox of.
struct Owner {
    user: UserId,
    name: String,
    locale: String,
    competition: Competition,
    phases: Vec<Phase>,
}

/// A file that was accepted.
struct Accepted {
    submission: Submission,
    phase: Phase,
    page: String,
    /// How many more may follow today.
    left: Option<i64>,
}

/// The last line of an answer, for programs.
#[derive(Serialize)]
struct Last<'a> {
    // first: it is what the command looks for
    ok: bool,
    id: String,
    short: &'a str,
    status: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    scores: Option<serde_json::Value>,
    page: &'a str,
}

/// One file at the counter.
struct Served {
    means: Arc<Means>,
    closing: CancellationToken,
    sandbox: SandboxId,
    user: UserId,
}

impl Served {
    async fn serve(self, HandedIn { header, mut stream }: HandedIn) {
        let mut locale = DEFAULT_LOCALE.to_owned();
        let told = match self.owner().await {
            Ok(owner) => {
                locale.clone_from(&owner.locale);
                match self.take(&owner, header, &mut stream).await {
                    Ok(accepted) => return self.wait(&owner, &accepted, stream).await,
                    Err(refusal) => refusal,
                }
            }
            Err(refusal) => refusal,
        };
        if let Refusal::Store(error) = &told {
            tracing::error!(sandbox = %self.sandbox, %error, "a file could not be handed in");
        }
        let refused = self.means.clerk.refuse(&locale, &told);
        let last = serde_json::json!({ "ok": false, "code": refused.code });
        // whoever is gone reads nothing
        let _ = stream.write_all(format!("{}\n{last}\n", refused.text).as_bytes()).await;
    }

    async fn owner(&self) -> Result<Owner, Refusal> {
        if self.closing.is_cancelled() {
            return Err(Refusal::Leaving);
        }
        // before anything is looked up: a program inside can ask as often as it likes
        self.means.clerk.admit(self.user).map_err(Refusal::TooOften)?;
        let mut conn = self.means.house.db.read().await?;
        let sandbox = db::by_id(&mut conn, self.sandbox).await?.filter(|sandbox| !sandbox.state.is_over());
        let sandbox = sandbox.ok_or(Refusal::Closed)?;
        let person = people::addressed(&mut conn, sandbox.user).await?.ok_or(Refusal::Closed)?;
        let competition = contest_db::by_id(&mut conn, sandbox.competition).await?.ok_or(Refusal::Closed)?;
        let phases = contest_db::phases(&mut conn, competition.id).await?;
        let people::Addressed { name, locale } = person;
        Ok(Owner { user: sandbox.user, name, locale, competition, phases })
    }

    async fn take(
        &self,
        owner: &Owner,
        header: serde_json::Value,
        stream: &mut RelayStream,
    ) -> Result<Accepted, Refusal> {
        let Means { house, upload, .. } = &*self.means;
        let began = house.clock.now();
        let header: Header = serde_json::from_value(header).map_err(|_| Refusal::Header)?;
        let phase = match header.phase {
            Some(wanted) => owner.phases.iter().find(|phase| phase.position == wanted),
            None => model::current(&owner.phases, began),
        };
        let phase = phase.ok_or_else(|| Refusal::NoPhase(header.phase.unwrap_or_default()))?;
        if header.size > upload.cap_bytes {
            let object = "the file".to_owned();
            return Err(AcceptError::Upload(ObjectError::TooLarge { object, cap: upload.cap_bytes }).into());
        }
        let facts = answers(&mut *house.db.read().await?, owner, phase).await?;
        let request = Request {
            user: owner.user,
            display_name: owner.name.clone(),
            file_name: header.name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned(),
            message: header.message.unwrap_or_default().trim().to_owned(),
            facts,
            aim: Aim::Compete,
            origin: Origin::Sandbox,
            began,
        };
        let limit = Duration::from_secs(upload.timeout_seconds);
        let content = Exactly::new(stream, header.size, limit);
        let competition = &owner.competition;
        let submission =
            accept::accept(house, competition, phase, request, content, upload.cap_bytes).await?;
        let page = format!("/competitions/{}/submissions/{}", competition.slug, submission.id);
        let mut conn = house.db.read().await?;
        let left = quota(&mut conn, phase, submission.team, house.clock.now()).await?.left_today();
        Ok(Accepted { submission, phase: phase.clone(), page, left })
    }

    /// Tells how a submission fares, for as long as somebody listens. It goes on whoever does.
    async fn wait(&self, owner: &Owner, accepted: &Accepted, mut stream: RelayStream) {
        let Accepted { submission, phase, page, left } = accepted;
        let id = submission.id;
        let say =
            |said: &Said<'_>| format!("{}\n", self.means.clerk.say(&owner.locale, &owner.competition, said));
        let until = Instant::now() + PATIENCE;
        let mut words = say(&Said::Accepted { submission, phase, page, left: *left });
        let mut told: Option<Standing> = None;
        let standing = loop {
            let standing = match self.standing(&owner.competition, submission).await {
                Ok(standing) => standing,
                Err(error) => {
                    tracing::error!(submission = %id, %error, "how a submission fares is not known");
                    None
                }
            };
            let Some(standing) = standing else { break told };
            if told.as_ref().is_none_or(|told| standing.differs_from(told)) {
                words.push_str(&say(&Said::Stands(&standing)));
            }
            if stream.write_all(words.as_bytes()).await.is_err() || stream.is_gone() {
                return;
            }
            words.clear();
            let over = standing.is_final();
            told = Some(standing);
            if over || Instant::now() >= until {
                break told;
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = self.closing.cancelled() => break told,
            }
        };
        if !standing.as_ref().is_some_and(Standing::is_final) {
            words.push_str(&say(&Said::GoesOn { page }));
        }
        words.push_str(&last(submission, standing.as_ref(), page));
        if let Err(error) = stream.write_all(words.as_bytes()).await {
            tracing::debug!(submission = %id, %error, "nobody waits at the counter any more");
        }
    }

    async fn standing(
        &self,
        competition: &Competition,
        submission: &Submission,
    ) -> Result<Option<Standing>, StoreError> {
        let house = &self.means.house;
        Standing::of(&mut *house.db.read().await?, &house.clock, competition, submission.id).await
    }
}

/// The last line: what a program wants to know.
fn last(submission: &Submission, standing: Option<&Standing>, page: &str) -> String {
    let id = submission.id.to_string();
    let scores = match standing {
        Some(Standing::Scored(scores)) => serde_json::to_value(scores).ok(),
        _ => None,
    };
    let status = standing.map_or(submission.disclosed_state, Standing::state);
    let last = Last { ok: true, short: short(&id), id: id.clone(), status, scores, page };
    serde_json::to_string(&last).map(|line| format!("{line}\n")).unwrap_or_default()
}

/// The fact sheet of a file that is handed in from inside: as the same person last answered it in
/// this competition, since there is no form to fill in there.
async fn answers(
    conn: &mut Connection,
    owner: &Owner,
    phase: &Phase,
) -> Result<BTreeMap<String, serde_json::Value>, StoreError> {
    let nothing = BTreeMap::new();
    if owner.competition.definition.fact_sheet.is_empty() {
        return Ok(nothing);
    }
    let Some(team) = entry::db::team_of(conn, owner.competition.id, owner.user).await? else {
        return Ok(nothing);
    };
    // the phase's own first, then the others
    let others = owner.phases.iter().filter(|other| other.id != phase.id);
    for phase in std::iter::once(phase).chain(others) {
        let made = submission_db::of_team(conn, phase.id, team.id).await?;
        if let Some(latest) = made.into_iter().find(|s| s.user == owner.user && !s.facts.is_empty()) {
            return Ok(latest.facts);
        }
    }
    Ok(nothing)
}

/// Reads as many bytes as were announced, and fails on fewer, on more, and when they take too long:
/// what ends is not always whole.
struct Exactly<R> {
    /// As far as was announced.
    announced: Take<R>,
    late: Pin<Box<Sleep>>,
}

impl<R: AsyncRead> Exactly<R> {
    fn new(inner: R, bytes: u64, limit: Duration) -> Self {
        Self { announced: inner.take(bytes), late: Box::pin(sleep_until(Instant::now() + limit)) }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Exactly<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.late.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if self.announced.limit() == 0 {
            let mut byte = [0];
            let mut more = ReadBuf::new(&mut byte);
            ready!(Pin::new(self.announced.get_mut()).poll_read(context, &mut more))?;
            return Poll::Ready(match more.filled().is_empty() {
                true => Ok(()),
                false => Err(io::Error::new(io::ErrorKind::InvalidData, "longer than announced")),
            });
        }
        let (before, full) = (buffer.filled().len(), buffer.remaining() == 0);
        ready!(Pin::new(&mut self.announced).poll_read(context, buffer))?;
        match buffer.filled().len() == before && !full {
            true => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            false => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_whole_or_none() {
        let read = async |bytes: &[u8], announced| {
            let mut content = Vec::new();
            let mut reader = Exactly::new(bytes, announced, Duration::from_secs(60));
            reader.read_to_end(&mut content).await.map(|_| content).map_err(|error| error.kind())
        };
        assert_eq!(read(b"whole", 5).await, Ok(b"whole".to_vec()));
        assert_eq!(read(b"", 0).await, Ok(Vec::new()));
        assert_eq!(read(b"cut", 5).await, Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(read(b"longer", 5).await, Err(io::ErrorKind::InvalidData));
        let (never, _held) = tokio::io::duplex(1);
        let mut slow = Exactly::new(never, 5, Duration::ZERO);
        let late = slow.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }
}
