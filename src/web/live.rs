//! Live updates: one task reads new rows of `events` and hands them to everybody who listens.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream;
use jiff::SignedDuration;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use super::limits::TooMany;
use crate::clock::Clock;
use crate::store::events::{self, Event};
use crate::store::{Db, StoreError};

/// How often the table is read when nobody in this process published.
const POLL: Duration = Duration::from_millis(700);
/// How long a lower number may still turn up on PostgreSQL, after a higher one was seen.
const OVERLAP: SignedDuration = SignedDuration::from_secs(15);
/// Events read at once.
const BATCH: i64 = 1000;
/// Events a slow listener may lag behind before it is told to load the page anew.
const LAG: usize = 512;
/// How long events are kept, for listeners that come back.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// The hub of live updates. Cheap to clone.
#[derive(Clone)]
pub struct Live(Arc<Hub>);

struct Hub {
    db: Db,
    clock: Clock,
    cap: usize,
    wake: Notify,
    news: broadcast::Sender<Arc<Event>>,
    open: Mutex<HashMap<String, usize>>,
    /// Fires once the reading task knows where the table ends: what is published later is handed on.
    begun: CancellationToken,
    closing: CancellationToken,
}

impl Live {
    pub(super) fn new(db: Db, clock: Clock, cap: usize) -> Self {
        let (news, _) = broadcast::channel(LAG);
        let (wake, open) = (Notify::new(), Mutex::default());
        let (begun, closing) = (CancellationToken::new(), CancellationToken::new());
        Self(Arc::new(Hub { db, clock, cap, wake, news, open, begun, closing }))
    }

    /// Has the table read at once, after something was published in this process.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Ends every stream, when the service stops.
    pub fn close(&self) {
        self.0.closing.cancel();
    }

    /// Reads new events and hands them on, until [`Live::close`]. A database that fails is asked
    /// again.
    pub async fn run(&self) {
        let mut reader = Reader::default();
        let mut swept = self.0.clock.now();
        loop {
            match self.read_on(&mut reader).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "live updates: the events cannot be read"),
            }
            let now = self.0.clock.now();
            if now.duration_since(swept) > SignedDuration::from_hours(1) {
                swept = now;
                if let Err(error) = self.sweep().await {
                    tracing::warn!(%error, "live updates: old events cannot be forgotten");
                }
            }
            tokio::select! {
                () = self.0.closing.cancelled() => return,
                () = self.0.wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Reads one batch; says whether it was full, so that there may be more.
    async fn read_on(&self, reader: &mut Reader) -> Result<bool, StoreError> {
        let mut connection = self.0.db.read().await?;
        let Some(floor) = reader.floor else {
            reader.floor = Some(events::latest(&mut connection).await?);
            self.0.begun.cancel();
            return Ok(false);
        };
        let batch = events::after(&mut connection, floor, BATCH).await?;
        drop(connection);
        let full = batch.len() == usize::try_from(BATCH).unwrap_or(usize::MAX);
        let settled = self.0.clock.now().checked_sub(OVERLAP).unwrap_or(jiff::Timestamp::MIN);
        for event in reader.fresh(batch, settled, full) {
            // Nobody listens: fine.
            let _ = self.0.news.send(Arc::new(event));
        }
        Ok(full)
    }

    async fn sweep(&self) -> Result<(), StoreError> {
        let before = self.0.clock.now().checked_sub(KEPT).unwrap_or(jiff::Timestamp::MIN);
        let mut tx = self.0.db.begin().await?;
        events::forget(&mut tx, before).await?;
        tx.commit().await
    }

    /// A stream of the events on `topics`, for a response. `who` is the person or address whose
    /// connections are counted; `headers` may say where a listener that comes back left off. Events
    /// are named by their kind; `reload` tells the page to load itself anew.
    ///
    /// # Errors
    /// [`TooMany`] when `who` has too many streams open.
    pub async fn stream(
        &self,
        who: &str,
        topics: Vec<String>,
        headers: &HeaderMap,
    ) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>> + use<>>, TooMany> {
        let place = self.place(who)?;
        tokio::select! {
            () = self.0.begun.cancelled() => {}
            () = self.0.closing.cancelled() => {}
        }
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<i64>().ok());
        let listener = Listener {
            live: self.clone(),
            news: self.0.news.subscribe(),
            topics: topics.into_iter().collect(),
            missed: last,
            waiting: Vec::new(),
            sent: HashSet::new(),
            _place: place,
        };
        let stream = stream::unfold(listener, |mut listener| async move {
            let next = listener.next().await?;
            Some((Ok(next), listener))
        });
        Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(20))))
    }

    fn place(&self, who: &str) -> Result<Place, TooMany> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(who.to_owned()).or_default();
        if self.0.cap > 0 && *count >= self.0.cap {
            return Err(TooMany { seconds: 30 });
        }
        *count += 1;
        Ok(Place { live: self.clone(), who: who.to_owned() })
    }
}

/// One open stream; gives its place back when dropped.
struct Place {
    live: Live,
    who: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.live.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.who);
            }
        }
    }
}

/// Where the reading task is in the table.
#[derive(Default)]
struct Reader {
    /// Everything up to this number has been handed on, and nothing below it can still turn up.
    floor: Option<i64>,
    /// What was handed on above the floor.
    seen: HashSet<i64>,
}

impl Reader {
    /// Those of a batch that were not handed on before. The floor rises past what is older than
    /// `settled`, and past everything when the batch was full, so that a flood is not read twice.
    fn fresh(&mut self, batch: Vec<Event>, settled: jiff::Timestamp, full: bool) -> Vec<Event> {
        let passed = batch.iter().filter(|event| full || event.at <= settled).map(|event| event.number).max();
        let fresh: Vec<_> = batch.into_iter().filter(|event| self.seen.insert(event.number)).collect();
        if let Some(passed) = passed {
            self.floor = self.floor.max(Some(passed));
            self.seen.retain(|number| *number > passed);
        }
        fresh
    }
}

/// One browser that listens.
struct Listener {
    live: Live,
    news: broadcast::Receiver<Arc<Event>>,
    topics: HashSet<String>,
    missed: Option<i64>,
    waiting: Vec<Event>,
    sent: HashSet<i64>,
    _place: Place,
}

impl Listener {
    async fn next(&mut self) -> Option<Sent> {
        if let Some(last) = self.missed.take() {
            self.waiting = self.catch_up(last).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "live updates: missed events cannot be read");
                Vec::new()
            });
            self.waiting.reverse();
        }
        if let Some(event) = self.waiting.pop() {
            self.sent.insert(event.number);
            return Some(sent(&event));
        }
        loop {
            let news = tokio::select! {
                () = self.live.0.closing.cancelled() => return None,
                news = self.news.recv() => news,
            };
            match news {
                Ok(event) if self.topics.contains(&event.topic) && !self.sent.remove(&event.number) => {
                    return Some(sent(&event));
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    return Some(Sent::default().event("reload").data("{}"));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// What happened on the topics since a listener left off.
    async fn catch_up(&self, last: i64) -> Result<Vec<Event>, StoreError> {
        let mut connection = self.live.0.db.read().await?;
        let missed = events::after(&mut connection, last, BATCH).await?;
        Ok(missed.into_iter().filter(|event| self.topics.contains(&event.topic)).collect())
    }
}

fn sent(event: &Event) -> Sent {
    // A line break would end the field (HTML, section 9.2.6); JSON has none outside of texts.
    Sent::default()
        .id(event.number.to_string())
        .event(&event.kind)
        .data(event.payload.replace(['\n', '\r'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: i64, at: i64) -> Event {
        let at = jiff::Timestamp::from_millisecond(at).unwrap();
        Event { number, topic: "t".into(), kind: "k".into(), payload: "{}".into(), at }
    }

    #[test]
    fn a_late_lower_number_is_still_handed_on_and_nothing_twice() {
        let mut reader = Reader { floor: Some(0), ..Reader::default() };
        let settled = jiff::Timestamp::from_millisecond(0).unwrap();
        let numbers = |events: Vec<Event>| events.into_iter().map(|e| e.number).collect::<Vec<_>>();
        assert_eq!(numbers(reader.fresh(vec![event(1, 10), event(3, 10)], settled, false)), [1, 3]);
        assert_eq!(numbers(reader.fresh(vec![event(1, 10), event(2, 9), event(3, 10)], settled, false)), [2]);
        assert_eq!(reader.floor, Some(0));
        let settled = jiff::Timestamp::from_millisecond(20).unwrap();
        assert!(
            numbers(reader.fresh(vec![event(1, 10), event(2, 9), event(3, 10)], settled, false)).is_empty()
        );
        assert_eq!((reader.floor, reader.seen.len()), (Some(3), 0));
    }
}
