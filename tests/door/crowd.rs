//! Red team: fifty people press the button at once on a machine with two places.

use std::collections::{BTreeMap, HashMap};

use shuyu::ids::{CompetitionId, UserId};
use shuyu::lab::db;
use shuyu::lab::model::{Sandbox, State};

use super::scene::{Person, enter, offer, participant};
use super::support::{TestApp, leftovers};

const PEOPLE: usize = 50;
const PLACES: usize = 2;

/// The open sandboxes, by the person's number.
async fn sandboxes(app: &TestApp, people: &[(Person, UserId)]) -> Vec<Sandbox> {
    let mut all = Vec::new();
    let mut conn = app.app.db.read().await.unwrap();
    for slug in ["one", "two"] {
        let contest = shuyu::contest::db::by_slug(&mut conn, slug).await.unwrap().unwrap();
        all.extend(db::open_in(&mut conn, contest.id).await.unwrap());
    }
    all.sort_by_key(|s| people.iter().position(|(_, user)| *user == s.user));
    all
}

/// Who comes when, worked out by hand: whoever's competition has the fewest places then, and of those the
/// one who has waited longest.
fn in_turn(all: &[Sandbox]) -> Vec<UserId> {
    let mut places: HashMap<CompetitionId, usize> = HashMap::new();
    for held in all.iter().filter(|s| s.state.takes_a_place()) {
        *places.entry(held.competition).or_default() += 1;
    }
    let mut waiting: Vec<&Sandbox> = all.iter().filter(|s| s.state == State::Waiting).collect();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let has = |s: &Sandbox| places.get(&s.competition).copied().unwrap_or(0);
        waiting.sort_by_key(|s| (has(s), s.requested_at, s.id.to_string()));
        let next = waiting.remove(0);
        *places.entry(next.competition).or_default() += 1;
        order.push(next.user);
    }
    order
}

/// What a page says of its reader's place.
fn told(page: &str) -> Option<usize> {
    page.split("排队第 ").nth(1)?.split(' ').next()?.parse().ok()
}

async fn until_rest(app: &TestApp, people: &[(Person, UserId)], ready: usize) -> Vec<Sandbox> {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(120);
    loop {
        let all = sandboxes(app, people).await;
        let holding = all.iter().filter(|s| s.state.takes_a_place()).count();
        assert!(holding <= PLACES, "{holding} hold a place");
        if all.iter().filter(|s| s.state == State::Ready).count() == ready {
            return all;
        }
        assert!(std::time::Instant::now() < end, "{all:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn fifty_at_once_are_answered_and_come_in_their_turn() {
    let app = TestApp::start_keeping_with(|settings| {
        settings.sandboxes.places = u32::try_from(PLACES).unwrap();
    })
    .await;
    offer(&app, "one", "python").await;
    offer(&app, "two", "python").await;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        // more want in to the one than to the other
        let slug = if number % 5 < 3 { "one" } else { "two" };
        let login = format!("person{number}");
        let person = participant(&app, &login, slug).await;
        people.push((person, app.id_of(&login).await));
    }
    let reader = participant(&app, "reader", "one").await;
    enter(&reader.browser, "two").await;

    // all at once, while somebody reads
    let opens = futures_util::future::join_all(people.iter().map(|(person, _)| async move {
        let open = format!("{}/open", person.page());
        person.browser.post(&open, &[]).await.see_other(&person.page());
        person.browser.get(&person.page()).await.ok();
    }));
    let reads = async {
        for number in 0..100 {
            let path = [
                "/",
                "/competitions",
                "/competitions/one/leaderboard",
                "/competitions/two/sandbox",
                "/readyz",
            ];
            reader.browser.get(path[number % path.len()]).await.ok();
        }
    };
    tokio::join!(opens, reads);
    let all = until_rest(&app, &people, PLACES).await;
    assert_eq!(all.len(), PEOPLE, "one sandbox each");
    assert_eq!(leftovers::containers(&app.app.settings).len(), PLACES);

    // everybody else is told their place, and each place is told once
    let mut places = BTreeMap::new();
    for (number, (person, user)) in people.iter().enumerate() {
        let page = person.browser.get(&person.page()).await.ok();
        match all[number].state {
            State::Ready => assert_eq!(told(&page.body), None),
            _ => assert_eq!(places.insert(told(&page.body).expect("a place"), *user), None),
        }
    }
    assert_eq!(places.keys().copied().collect::<Vec<_>>(), (1..=PEOPLE - PLACES).collect::<Vec<_>>());
    assert_eq!(places.into_values().collect::<Vec<_>>(), in_turn(&all));

    // when one stops the next in turn begins
    for slug in ["one", "two"] {
        let all = sandboxes(&app, &people).await;
        let open = |s: &&Sandbox| s.state == State::Ready;
        let of = |s: &&Sandbox| people.iter().any(|(p, user)| *user == s.user && p.slug == slug);
        let ends = all.iter().filter(open).find(of).or(all.iter().find(open)).unwrap().clone();
        let left: Vec<Sandbox> = all.iter().filter(|s| s.id != ends.id).cloned().collect();
        let next = in_turn(&left)[0];
        people.iter().find(|(_, user)| *user == ends.user).unwrap().0.press("stop").await;
        // those that begin and end hold a place meanwhile
        let (person, _) = people.iter().find(|(_, user)| *user == next).unwrap();
        person.until(&app, State::Ready).await;
        let now = until_rest(&app, &people, PLACES).await;
        assert_eq!(now.len(), all.len() - 1);
        assert_eq!(leftovers::containers(&app.app.settings).len(), PLACES);
    }
    app.end_keeping().await;
}
