//! Who may submit, how often, and uploads that go wrong.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use shuyu::airlock::db as airlock_db;
use shuyu::contest::entry::{self, EntryError};
use shuyu::contest::model::ParticipantState;
use shuyu::contest::terms_digest;
use shuyu::scoring::board::Boards;
use shuyu::submission::accept::AcceptError;
use shuyu::submission::actions::{self, ActionError};
use shuyu::submission::model::State;
use shuyu::submission::{merge, quota};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use super::bundles::{native, predictions};
use super::world::World;

const DAY: i64 = 86_400_000;

/// A connection that gives some bytes and then breaks.
struct Broken(bool);

impl AsyncRead for Broken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.0, false) {
            buf.put_slice(b"id,label\n0,1\n");
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}

/// A connection that gives some bytes, and then nothing while it lasts.
struct Stalled(bool);

impl AsyncRead for Stalled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.0, false) {
            buf.put_slice(&[b'x'; 8]);
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }
}

#[tokio::test]
async fn of_twenty_at_once_exactly_the_quota_is_accepted() {
    for world in [World::new().await, World::large().await] {
        let world = Arc::new(world);
        let folder = native().edit("max_submissions: 0", "max_submissions: 5");
        let contest = Arc::new(world.import("race", &folder).await);
        // nobody has a team yet: the first requests race for that too
        let alice = world.contestant(&contest, "alice").await;
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (world, contest) = (Arc::clone(&world), Arc::clone(&contest));
            all.spawn(async move {
                let request = world.request(alice, "a.csv");
                world.try_submit(&contest, 0, request, &predictions(3)[..]).await
            });
        }
        let (mut accepted, mut refused) = (0, 0);
        while let Some(done) = all.join_next().await {
            match done.unwrap() {
                Ok(_) => accepted += 1,
                Err(AcceptError::TotalQuota { limit: 5 }) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!((accepted, refused), (5, 15), "PostgreSQL: {}", world.is_large());
        assert_eq!(world.number("SELECT COUNT(*) FROM submissions").await, 5);
        assert_eq!(world.number("SELECT COUNT(*) FROM teams").await, 1);
        assert_eq!(world.objects("submissions/").len(), 5, "a refused upload leaves no object");
    }
}

#[tokio::test]
async fn a_days_quota_comes_back_at_midnight_and_not_by_straddling_it() {
    let world = World::new().await;
    let contest = world.import("day", &native().edit("per_day: 0", "per_day: 2")).await;
    let alice = world.contestant(&contest, "alice").await;
    let (_, midnight) = quota::day_of(world.clock.now());
    // half a minute before midnight
    world.clock.shift(midnight.as_millisecond() - world.clock.millis() - 30_000);
    world.submit(&contest, alice, "a.csv", &predictions(1)).await;
    let late = world.request(alice, "b.csv");
    let later = world.request(alice, "c.csv");
    world.clock.shift(60_000);
    // it is tomorrow; these two began yesterday and count there
    world.try_submit(&contest, 0, late, &predictions(1)[..]).await.unwrap();
    let refused = world.try_submit(&contest, 0, later, &predictions(1)[..]).await.unwrap_err();
    assert!(matches!(refused, AcceptError::DailyQuota { used: 2, limit: 2, .. }), "{refused}");
    for _ in 0..2 {
        world.submit(&contest, alice, "a.csv", &predictions(1)).await;
    }
    let refused =
        world.try_submit(&contest, 0, world.request(alice, "a.csv"), &predictions(1)[..]).await.unwrap_err();
    let again = quota::day_of(world.clock.now()).1;
    assert!(
        matches!(refused, AcceptError::DailyQuota { used: 2, again: at, .. } if at == again),
        "{refused}"
    );
    world.clock.shift(DAY);
    world.submit(&contest, alice, "a.csv", &predictions(1)).await;
}

#[tokio::test]
async fn a_phase_takes_what_began_in_its_time() {
    let world = World::new().await;
    let contest = world.import("time", &native().edit("start: '2020-01-01'", "start: '2030-01-01'")).await;
    let alice = world.contestant(&contest, "alice").await;
    let refused =
        world.try_submit(&contest, 0, world.request(alice, "a.csv"), &predictions(1)[..]).await.unwrap_err();
    assert!(matches!(refused, AcceptError::NotBegun(_)), "{refused}");
    let end = contest.phases[0].ends_at.unwrap().as_millisecond();
    world.clock.shift(end - world.clock.millis() - 60_000);
    // the clock passes the phase's end while the file is on its way
    let request = world.request(alice, "a.csv");
    let clock = world.clock.clone();
    let content = Passing { clock, passed: false };
    let taken = world.try_submit(&contest, 0, request, content).await.unwrap();
    assert!(world.clock.millis() >= end);
    assert_eq!(world.submission(taken.id).await.state, State::Queued);
    let refused =
        world.try_submit(&contest, 0, world.request(alice, "a.csv"), &predictions(1)[..]).await.unwrap_err();
    assert!(matches!(refused, AcceptError::Over(_)), "{refused}");
}

/// A file during whose upload two minutes pass.
struct Passing {
    clock: shuyu::clock::Clock,
    passed: bool,
}

impl AsyncRead for Passing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.passed, true) {
            self.clock.shift(120_000);
            buf.put_slice(b"id,label\n0,1\n");
        }
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn an_upload_that_goes_wrong_leaves_nothing() {
    for world in [World::new().await, World::large().await] {
        let folder = native().edit("max_submissions: 0", "max_submissions: 1");
        let contest = world.import("upload", &folder).await;
        let alice = world.contestant(&contest, "alice").await;
        let broken =
            world.try_submit(&contest, 0, world.request(alice, "a.csv"), Broken(true)).await.unwrap_err();
        assert!(matches!(broken, AcceptError::Upload(_)), "{broken}");
        let empty = world.try_submit(&contest, 0, world.request(alice, "a.csv"), &b""[..]).await.unwrap_err();
        assert!(matches!(empty, AcceptError::Empty), "{empty}");
        let large = tokio::io::repeat(b'x').take((1 << 20) + 1);
        let large = world.try_submit(&contest, 0, world.request(alice, "a.csv"), large).await.unwrap_err();
        assert!(matches!(large, AcceptError::Upload(_)), "{large}");
        // the person hangs up in the middle: the request is dropped where it stands
        let request = world.request(alice, "a.csv");
        let hung = world.try_submit(&contest, 0, request, Stalled(true));
        let gone = tokio::time::timeout(std::time::Duration::from_millis(200), hung).await;
        assert!(gone.is_err());
        world.until("nothing is left", || async { world.objects("submissions/").is_empty() }).await;
        assert_eq!(world.number("SELECT COUNT(*) FROM submissions").await, 0);
        world.submit(&contest, alice, "a.csv", &predictions(1)).await;
    }
}

#[tokio::test]
async fn what_a_submission_needs_is_checked_before_the_upload() {
    let world = World::new().await;
    let folder = native()
        .edit(
            "shuyu:\n",
            "fact_sheet:\n  method: {key: method, title: Method, type: select, selection: [trees, nets], is_required: true}\n  \
             open: {key: open, title: Open, type: checkbox, selection: [true, false], is_required: false}\nshuyu:\n",
        )
        .edit("execution_time_limit: 60", "execution_time_limit: 60, accepts_only_result_submissions: true");
    let contest = world.import("checks", &folder).await;
    let alice = world.contestant(&contest, "alice").await;
    let facts = |pairs: &[(&str, serde_json::Value)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect::<BTreeMap<_, _>>()
    };
    let good = facts(&[("method", "trees".into()), ("unasked", "x".into())]);
    let submit = async |name: &str, facts: BTreeMap<String, serde_json::Value>, message: String| {
        let mut request = world.request(alice, name);
        request.facts = facts;
        request.message = message;
        world.try_submit(&contest, 0, request, &predictions(1)[..]).await
    };
    for name in ["a.exe", "csv", "a.csv.gz", ""] {
        let refused = submit(name, good.clone(), String::new()).await.unwrap_err();
        assert!(matches!(refused, AcceptError::Ending(_)), "{name}: {refused}");
    }
    let refused = submit("a.py", good.clone(), String::new()).await.unwrap_err();
    assert!(matches!(refused, AcceptError::ResultsOnly), "{refused}");
    for wrong in [
        facts(&[]),
        facts(&[("method", "guessing".into())]),
        facts(&[("method", 3.into())]),
        facts(&[("method", "trees".into()), ("open", "yes".into())]),
    ] {
        let refused = submit("a.csv", wrong.clone(), String::new()).await.unwrap_err();
        assert!(matches!(refused, AcceptError::Facts { .. }), "{wrong:?}: {refused}");
    }
    let refused = submit("a.csv", good.clone(), "长".repeat(501)).await.unwrap_err();
    assert!(matches!(refused, AcceptError::Message), "{refused}");
    assert!(world.objects("submissions/").is_empty());
    let taken = submit("a.csv", good, "长".repeat(500)).await.unwrap();
    let kept = world.submission(taken.id).await.facts;
    assert_eq!(kept, facts(&[("method", "trees".into())]), "only what was asked is kept");
}

#[tokio::test]
async fn only_the_admitted_submit_and_new_terms_are_to_be_accepted() {
    let world = World::new().await;
    let folder = native().edit("registration_auto_approve: true", "registration_auto_approve: false");
    let contest = world.import("terms", &folder).await;
    let stranger = world.person("stranger").await;
    let refused = world
        .try_submit(&contest, 0, world.request(stranger, "a.csv"), &predictions(1)[..])
        .await
        .unwrap_err();
    assert!(matches!(refused, AcceptError::Entry(EntryError::NotAdmitted(_))), "{refused}");
    let alice = world.contestant(&contest, "alice").await;
    let refused =
        world.try_submit(&contest, 0, world.request(alice, "a.csv"), &predictions(1)[..]).await.unwrap_err();
    assert!(matches!(refused, AcceptError::Entry(EntryError::NotAdmitted(_))), "{refused}");
    let decide = async |state| {
        let mut tx = world.house.db.begin().await.unwrap();
        let (c, by) = (&contest.competition, contest.organizer);
        entry::decide(&mut tx, &world.clock, c, by, alice, state, "so").await.unwrap();
        tx.commit().await.unwrap();
    };
    decide(ParticipantState::Approved).await;
    world.submit(&contest, alice, "a.csv", &predictions(1)).await;

    let (contest, imported) =
        world.reimport("terms", &folder.clone().file("terms.md", "Be kinder."), contest.organizer).await;
    assert_eq!(imported.files, ["terms.md"]);
    let refused =
        world.try_submit(&contest, 0, world.request(alice, "a.csv"), &predictions(1)[..]).await.unwrap_err();
    assert!(matches!(refused, AcceptError::Entry(EntryError::TermsNotAccepted)), "{refused}");
    world.register(&contest, alice).await;
    world.submit(&contest, alice, "a.csv", &predictions(1)).await;
    decide(ParticipantState::Removed).await;
    let refused =
        world.try_submit(&contest, 0, world.request(alice, "a.csv"), &predictions(1)[..]).await.unwrap_err();
    assert!(matches!(refused, AcceptError::Entry(EntryError::NotAdmitted(_))), "{refused}");
}

/// Who was removed brings nothing forward, and what still waits is stopped.
#[tokio::test]
async fn removing_the_last_member_stops_what_waits_and_what_would_go_on() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("removed", &native()).await;
    let alice = world.contestant(&contest, "alice").await;
    let bob = world.contestant(&contest, "bob").await;
    let done = world.submit(&contest, alice, "a.csv", &predictions(5)).await;
    world.run_all(&carrier).await;
    let waits = world.submit(&contest, alice, "b.csv", &predictions(6)).await;
    let bobs = world.submit(&contest, bob, "c.csv", &predictions(6)).await;
    assert_eq!(actions::cancel_of_removed(&world.house).await.unwrap(), 0);
    let mut tx = world.house.db.begin().await.unwrap();
    let (clock, competition) = (&world.clock, &contest.competition);
    let removed = ParticipantState::Removed;
    entry::decide(&mut tx, clock, competition, contest.organizer, alice, removed, "cheated").await.unwrap();
    tx.commit().await.unwrap();
    for wanted in [
        actions::nominate(&world.house, competition, done, alice, true).await,
        actions::choose(&world.house, competition, done, alice, true).await,
        actions::publish(&world.house, competition, done, alice, true).await,
    ] {
        assert!(matches!(wanted, Err(ActionError::NotAdmitted)), "{wanted:?}");
    }
    assert_eq!(actions::cancel_of_removed(&world.house).await.unwrap(), 1);
    assert_eq!(world.submission(waits).await.disclosed_state, State::Cancelled);
    assert_eq!(world.submission(bobs).await.state, State::Queued);
    let team = world.submission(done).await.team;
    let mut conn = world.house.db.read().await.unwrap();
    assert!(!shuyu::submission::db::takes_part(&mut conn, team).await.unwrap());
}

#[tokio::test]
async fn the_last_of_a_team_that_has_submitted_brings_its_submissions_along() {
    let world = World::large().await;
    let carrier = world.carrier().await;
    let contest = world.import("merger", &native().edit("max_submissions: 0", "max_submissions: 3")).await;
    let (alice, bob) = (world.contestant(&contest, "alice").await, world.contestant(&contest, "bob").await);
    world.submit(&contest, alice, "a.csv", &predictions(3)).await;
    let best = world.submit(&contest, bob, "b.csv", &predictions(6)).await;
    let terms = terms_digest(&mut world.house.db.read().await.unwrap(), &contest.competition).await.unwrap();
    let mut tx = world.house.db.begin().await.unwrap();
    let secret =
        entry::invite(&mut tx, &world.clock, world.house.entropy, &contest.competition, alice).await.unwrap();
    tx.commit().await.unwrap();
    let join = || merge::join(&world.house, &contest.competition, bob, &terms, &secret);
    let early = join().await.unwrap_err();
    assert!(matches!(early, EntryError::UnderWay(_)), "{early}");
    world.run_all(&carrier).await;
    assert_eq!(world.standing(&contest, 0).await.len(), 2);
    // a board that was looked at before is patched with what changes
    let boards = Boards::default();
    let definition = &contest.competition.definition.leaderboard;
    let mut conn = world.house.db.read().await.unwrap();
    assert_eq!(boards.board(&mut conn, &contest.phases[0], definition).await.unwrap().rows.len(), 2);
    drop(conn);

    // four together where three are allowed
    let more = [
        world.submit(&contest, bob, "b.csv", &predictions(1)).await,
        world.submit(&contest, bob, "b.csv", &predictions(2)).await,
    ];
    world.run_all(&carrier).await;
    let refused = join().await.unwrap_err();
    assert!(matches!(refused, EntryError::TooManyTogether { together: 4, limit: 3, .. }), "{refused}");
    assert_eq!(world.standing(&contest, 0).await.len(), 2, "nothing has changed");
    // one of them cost nothing after all
    let mut tx = world.house.db.begin().await.unwrap();
    shuyu::submission::db::set_counts(&mut tx, more[0], false).await.unwrap();
    tx.commit().await.unwrap();

    let team = join().await.unwrap();
    assert_eq!(world.submission(best).await.team, team.id);
    assert_eq!(world.standing(&contest, 0).await, [best], "one row, the best of both");
    let refused = world
        .try_submit(&contest, 0, world.request(bob, "b.csv"), predictions(1).as_slice())
        .await
        .unwrap_err();
    assert!(matches!(refused, AcceptError::TotalQuota { limit: 3 }), "{refused}");
    let mut conn = world.house.db.read().await.unwrap();
    let board = boards.board(&mut conn, &contest.phases[0], definition).await.unwrap();
    assert_eq!(board.best_rank(team.id), Some(1));
    assert_eq!(board.rows.len(), 1);
    let labels = entry::db::team_labels(&mut conn, contest.competition.id).await.unwrap();
    assert!(labels.iter().all(|(id, _, _)| *id == team.id), "the other team is over: {labels:?}");
    let bits = airlock_db::bits_by_team(&mut conn, contest.competition.id).await.unwrap();
    assert_eq!(bits.keys().collect::<Vec<_>>(), [&team.id], "what it was told goes with its submissions");
    // asked again it is done already
    drop(conn);
    assert_eq!(join().await.unwrap().id, team.id);
    // leaving makes no new quota: what bob submitted counts in his next team
    let mut tx = world.house.db.begin().await.unwrap();
    entry::leave(&mut tx, &world.clock, &contest.competition, bob).await.unwrap();
    tx.commit().await.unwrap();
    let next = world.submit(&contest, bob, "b.csv", &predictions(1)).await;
    let submission = world.submission(next).await;
    assert_ne!(submission.team, team.id);
    let mut conn = world.house.db.read().await.unwrap();
    let quota =
        quota::quota(&mut conn, &contest.phases[0], submission.team, world.clock.now()).await.unwrap();
    assert_eq!(quota.used, 3, "two of his before, and this one");
}
