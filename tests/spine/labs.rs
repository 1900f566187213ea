//! Sandboxes as they are asked for, wait for a place, and are entered; without a container.

use std::sync::Arc;

use shuyu::contest::entry::{self, EntryError};
use shuyu::contest::model::{ParticipantState, Phase};
use shuyu::contest::terms_digest;
use shuyu::ids::{SandboxId, UserId};
use shuyu::lab::ask::{self, AskError};
use shuyu::lab::db::{self, Change};
use shuyu::lab::keeper::{Keeper, LAB_PORT, Means};
use shuyu::lab::model::{Sandbox, State, Wanted};
use shuyu::lab::ticket;
use shuyu::people::Visitor;
use shuyu::sandbox::Homes;
use shuyu::store::Connection;
use shuyu::web::Terminal;
use shuyu::web::limits::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::bundles::native;
use super::world::{Contest, World};

pub(super) async fn offered(world: &World, slug: &str) -> Contest {
    world.import(slug, &native().edit("shuyu:", "shuyu:\n  sandbox: {image: python, session: 2h}")).await
}

pub(super) async fn open(world: &World, contest: &Contest, user: UserId) -> Result<Sandbox, AskError> {
    let terms = terms_digest(&mut world.house.db.read().await.unwrap(), &contest.competition).await.unwrap();
    ask::open(&world.house, &contest.competition, &[], user, &terms).await
}

/// Moves a sandbox on as its keeper would.
async fn moved(world: &World, sandbox: &Sandbox, from: State, to: State) -> bool {
    let mut tx = world.house.db.begin().await.unwrap();
    let change = Change { from, to, host: Some("here"), deadline_at: None, reason: "" };
    let done = db::change(&mut tx, sandbox.id, &change, world.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    done
}

async fn next(world: &World) -> Option<UserId> {
    let mut conn = world.house.db.read().await.unwrap();
    db::next_waiting(&mut conn, "here", world.clock.now()).await.unwrap().map(|s| s.user)
}

#[tokio::test]
async fn a_sandbox_is_asked_for_once_by_somebody_who_takes_part() {
    let world = World::large().await;
    let plain = world.import("plain", &native()).await;
    let contest = offered(&world, "offered").await;
    let alice = world.contestant(&contest, "alice").await;
    world.register(&plain, alice).await;
    assert!(matches!(open(&world, &plain, alice).await.unwrap_err(), AskError::NotOffered));
    let stranger = world.person("stranger").await;
    let refused = open(&world, &contest, stranger).await.unwrap_err();
    assert!(matches!(refused, AskError::Entry(EntryError::NotAdmitted(_))), "{refused}");
    let now = world.clock.now();
    let hour = jiff::SignedDuration::from_hours(1);
    let phase = |starts_at, ends_at| Phase { starts_at, ends_at, ..contest.phases[0].clone() };
    let (over, ahead) = ([phase(now - hour, Some(now))], [phase(now + hour, None)]);
    let terms = terms_digest(&mut world.house.db.read().await.unwrap(), &contest.competition).await.unwrap();
    let refused = ask::open(&world.house, &contest.competition, &over, alice, &terms).await.unwrap_err();
    assert!(matches!(refused, AskError::Over(at) if at == now), "{refused}");
    let refused = ask::open(&world.house, &contest.competition, &ahead, alice, &terms).await.unwrap_err();
    assert!(matches!(refused, AskError::NotBegun(at) if at == now + hour), "{refused}");

    let opened = tokio::join!(
        open(&world, &contest, alice),
        open(&world, &contest, alice),
        open(&world, &contest, alice),
    );
    let ids = [opened.0.unwrap().id, opened.1.unwrap().id, opened.2.unwrap().id];
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[0], ids[2]);
    assert_eq!(world.number("SELECT COUNT(*) FROM sandboxes").await, 1);
    let audited = "SELECT COUNT(*) FROM audit_log WHERE action = 'sandbox.requested'";
    assert_eq!(world.number(audited).await, 1);

    // stopped while it waits it is over at once, and a new one gets the same home
    ask::stop(&world.house, ids[0], alice, Wanted::Stopped).await.unwrap();
    let again = ask::stop(&world.house, ids[0], alice, Wanted::Stopped).await.unwrap_err();
    assert!(matches!(again, AskError::None), "{again}");
    let new = open(&world, &contest, alice).await.unwrap();
    assert_ne!(new.id, ids[0]);
    assert_eq!(world.number("SELECT COUNT(*) FROM homes").await, 1);
}

#[tokio::test]
async fn places_go_round_the_competitions_and_then_by_age() {
    let world = World::new().await;
    let (one, two) = (offered(&world, "one").await, offered(&world, "two").await);
    let mut people = Vec::new();
    for login in ["anna", "berta", "carla", "dora"] {
        people.push(world.contestant(&one, login).await);
        world.register(&two, people[people.len() - 1]).await;
    }
    let mut asked = Vec::new();
    for (contest, user) in [(&one, people[0]), (&one, people[1]), (&one, people[2]), (&two, people[3])] {
        asked.push(open(&world, contest, user).await.unwrap());
        world.clock.shift(1_000);
    }
    let mut conn = world.house.db.read().await.unwrap();
    let list = ask::WaitingList::read(&mut conn, 2, world.clock.now()).await.unwrap();
    for (number, ahead) in [0, 2, 3, 1].into_iter().enumerate() {
        let told = list.place(asked[number].id).unwrap();
        assert_eq!(told.ahead, ahead, "they are told the order in which they come");
        // nobody has given a place up yet, and two are free
        assert_eq!(told.expected_seconds, (ahead < 2).then_some(0));
    }
    drop(conn);
    let mut order = Vec::new();
    while let Some(user) = next(&world).await {
        order.push(people.iter().position(|p| *p == user).unwrap());
        let sandbox = asked.iter().find(|s| s.user == user).unwrap();
        assert!(moved(&world, sandbox, State::Waiting, State::Starting).await);
        assert!(!moved(&world, sandbox, State::Waiting, State::Starting).await, "once");
    }
    assert_eq!(order, [0, 3, 1, 2], "one competition's first, the other's, then the rest by age");
    // in four hours of four people one has left, and all three places are taken: the next leaves a third of
    // four hours from now
    for sandbox in &asked {
        moved(&world, sandbox, State::Starting, State::Ready).await;
    }
    world.clock.shift(3_600_000);
    moved(&world, &asked[0], State::Ready, State::Stopping).await;
    moved(&world, &asked[0], State::Stopping, State::Stopped).await;
    let late = open(&world, &two, people[0]).await.unwrap();
    let mut conn = world.house.db.read().await.unwrap();
    let told = async |conn: &mut Connection, places: i64| {
        let list = ask::WaitingList::read(conn, places, world.clock.now()).await.unwrap();
        let place = list.place(late.id).unwrap();
        (place.ahead, place.expected_seconds.unwrap() / 60)
    };
    assert_eq!(told(&mut conn, 3).await, (0, 80));
    assert_eq!(told(&mut conn, 4).await, (0, 0));
    assert_eq!(db::places_taken(&mut conn, "here").await.unwrap(), 3);
    // a home on another worker's disk is that worker's to open
    drop(conn);
    let mut tx = world.house.db.begin().await.unwrap();
    db::set_home_host(&mut tx, late.home, Some("elsewhere")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(next(&world).await, None);
}

#[tokio::test]
async fn a_ticket_opens_its_own_sandbox_once_and_the_visit_ends_with_the_login() {
    let world = World::new().await;
    let contest = offered(&world, "entered").await;
    let (alice, bob) = (world.contestant(&contest, "alice").await, world.contestant(&contest, "bob").await);
    let (hers, his) =
        (open(&world, &contest, alice).await.unwrap(), open(&world, &contest, bob).await.unwrap());
    let people = shuyu::people::People::new(
        world.house.db.clone(),
        world.clock.clone(),
        world.house.entropy,
        shuyu::people::SessionTerms::default(),
    );
    let from = Visitor { agent: "test".to_owned(), address: "127.0.0.1".to_owned() };
    let opened = people.login("alice", "correct horse battery".to_owned(), &from).await.unwrap();
    let signed = people.signed_in(&opened.secret, &from).await.unwrap().unwrap();
    let phone = people.login("alice", "correct horse battery".to_owned(), &from).await.unwrap();

    let secret = ticket::make(&world.house, &hers, signed.session).await.unwrap();
    assert!(ticket::redeem(&world.house, &his, &secret).await.unwrap().is_none(), "another's sandbox");
    let (visit, _) = ticket::redeem(&world.house, &hers, &secret).await.unwrap().unwrap();
    assert!(ticket::redeem(&world.house, &hers, &secret).await.unwrap().is_none(), "replayed");
    let late = ticket::make(&world.house, &hers, signed.session).await.unwrap();
    world.clock.shift(61_000);
    assert!(ticket::redeem(&world.house, &hers, &late).await.unwrap().is_none(), "too late");

    let who = async |sandbox: &Sandbox, secret: &str| {
        let mut conn = world.house.db.read().await.unwrap();
        ticket::visitor(&mut conn, sandbox.id, secret, world.clock.now()).await.unwrap()
    };
    assert_eq!(who(&hers, &visit).await, Some(alice));
    assert_eq!(who(&his, &visit).await, None, "one user's cookie on another's sandbox");
    assert_eq!(who(&hers, "guess").await, None);
    // removed from the competition, then signed out
    let mut tx = world.house.db.begin().await.unwrap();
    for state in [ParticipantState::Removed, ParticipantState::Approved] {
        entry::decide(&mut tx, &world.clock, &contest.competition, contest.organizer, alice, state, "r")
            .await
            .unwrap();
        if state == ParticipantState::Removed {
            tx.commit().await.unwrap();
            assert_eq!(who(&hers, &visit).await, None);
            tx = world.house.db.begin().await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    assert_eq!(who(&hers, &visit).await, Some(alice));
    people.end_session(&signed.actor, signed.session).await.unwrap();
    assert_eq!(who(&hers, &visit).await, None, "whatever goes on elsewhere");
    assert!(people.signed_in(&phone.secret, &from).await.unwrap().is_some());
}

/// A keeper of the world's sandboxes at work, until its token fires.
pub(super) async fn keep(world: &World) -> (Keeper, CancellationToken, tokio::task::JoinHandle<()>) {
    let carrier = world.carrier().await;
    let place = |name: &str| {
        let directory = world.dir.path().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        directory
    };
    let limits = Arc::new(Limits::new(&world.settings.limits, &world.clock));
    let keeper = Keeper::new(Means {
        carrier: carrier.clone(),
        demos_dir: place("demos"),
        house: world.house.clone(),
        homes: Homes::probe(&world.settings.work_dir, 0).await.unwrap(),
        engine: carrier.engine,
        images: carrier.images,
        gpus: carrier.gpus,
        homes_dir: place("homes"),
        data_dir: place("datasets"),
        packages: carrier.packages,
        sockets_dir: place("s"),
        host: "here".to_owned(),
        settings: world.settings.sandboxes.clone(),
        upload: world.settings.upload.clone(),
        clerk: Arc::new(Terminal::new(&world.settings, limits).unwrap()),
    });
    let stop = CancellationToken::new();
    let working = tokio::spawn(keeper.clone().work(stop.clone()));
    (keeper, stop, working)
}

/// What the lab inside answers to a request of its owner.
pub(super) async fn answer(keeper: &Keeper, id: SandboxId, request: &str, body: &str) -> String {
    let token = keeper.way_in(id).unwrap().token;
    let mut stream = keeper.dial(id, LAB_PORT).await.unwrap();
    let length = body.len();
    let text = format!(
        "{request} HTTP/1.1\r\nHost: localhost\r\nAuthorization: token {token}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

pub(super) async fn until_it_is(world: &World, id: SandboxId, state: State) -> Sandbox {
    let now = async || db::by_id(&mut world.house.db.read().await.unwrap(), id).await.unwrap().unwrap();
    world.until(&format!("the sandbox is {state}"), || async { now().await.state == state }).await;
    now().await
}

#[tokio::test]
async fn a_lab_goes_on_through_a_restart_and_its_home_through_a_stop() {
    let world = World::new().await;
    let contest = offered(&world, "kept").await;
    let alice = world.contestant(&contest, "alice").await;
    let (keeper, stop, working) = keep(&world).await;
    let first = open(&world, &contest, alice).await.unwrap().id;
    until_it_is(&world, first, State::Ready).await;
    let file = r#"{"type":"file","format":"text","content":"kept"}"#;
    let made = answer(&keeper, first, "PUT /api/contents/a.txt", file).await;
    assert!(made.starts_with("HTTP/1.1 201"), "{made}");
    stop.cancel();
    working.await.unwrap();
    // with the process, its end of the relay goes
    drop(keeper);

    let (keeper, stop, working) = keep(&world).await;
    world.until("it is found again", || async { keeper.way_in(first).is_ok() }).await;
    let read = answer(&keeper, first, "GET /api/contents/a.txt", "").await;
    assert!(read.contains("\"kept\""), "{read}");
    ask::stop(&world.house, first, alice, Wanted::Stopped).await.unwrap();
    let over = until_it_is(&world, first, State::Stopped).await;
    assert_eq!(over.reason, "stopped");
    assert!(over.used.cpu_ms > 0, "{:?}", over.used);
    assert!(keeper.way_in(first).is_err());

    // a new one with the same home, until its owner takes part no more
    let second = open(&world, &contest, alice).await.unwrap().id;
    until_it_is(&world, second, State::Ready).await;
    let read = answer(&keeper, second, "GET /api/contents/a.txt", "").await;
    assert!(read.contains("\"kept\""), "{read}");
    let mut tx = world.house.db.begin().await.unwrap();
    let (competition, removed) = (&contest.competition, ParticipantState::Removed);
    entry::decide(&mut tx, &world.clock, competition, contest.organizer, alice, removed, "r").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(until_it_is(&world, second, State::Stopped).await.reason, "removed");
    stop.cancel();
    working.await.unwrap();
    assert!(world.containers(&world.settings).is_empty());
}
