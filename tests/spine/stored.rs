//! What people can make the store keep: so many bytes a day, and files of refused submissions for a while.

use shuyu::submission::accept::AcceptError;
use shuyu::submission::actions::{self, ActionError};
use shuyu::submission::model::State;
use shuyu::submission::{queue, rejected};
use tokio::io::AsyncRead;

use super::bundles::{native, predictions};
use super::world::World;

/// An upload without an end.
fn endless() -> impl AsyncRead + Send + Unpin {
    tokio::io::repeat(b'x')
}

const DAY: i64 = 86_400_000;

#[tokio::test]
async fn a_person_hands_in_so_many_bytes_a_day_and_is_refused_before_the_rest_is_read() {
    for mut world in [World::new().await, World::large().await] {
        let file = predictions(7);
        world.house.daily_bytes = 2 * file.len() as u64 + 2;
        let contest = world.import("bytes", &native()).await;
        let other = world.import("other", &native()).await;
        let alice = world.contestant(&contest, "alice").await;
        let bob = world.contestant(&contest, "bob").await;
        world.register(&other, alice).await;
        for _ in 0..2 {
            world.submit(&contest, alice, "a.csv", &file).await;
        }
        // two bytes are left: of what would go on for ever, no more than that is taken
        let refused = world.try_submit(&contest, 0, world.request(alice, "a.csv"), endless()).await;
        assert!(matches!(refused, Err(AcceptError::DailyBytes { .. })), "{refused:?}");
        world.submit(&contest, alice, "a.csv", b"id").await;
        let none = world.try_submit(&contest, 0, world.request(alice, "a.csv"), &file[..1]).await;
        assert!(matches!(none, Err(AcceptError::DailyBytes { .. })), "{none:?}");
        assert_eq!(world.objects("submissions/").len(), 3, "a refused upload leaves no object");
        world.submit(&contest, bob, "a.csv", &file).await;
        world.submit(&other, alice, "a.csv", &file).await;
        world.clock.shift(DAY);
        world.submit(&contest, alice, "a.csv", &file).await;
    }
}

#[tokio::test]
async fn the_file_of_a_refused_submission_goes_after_some_days_and_the_rest_stays() {
    for world in [World::new().await, World::large().await] {
        let carrier = world.carrier().await;
        let contest = world.import("refused", &native()).await;
        let alice = world.contestant(&contest, "alice").await;
        let bad = world.submit(&contest, alice, "bad.csv", b"id,label\n0,nope\n").await;
        let good = world.submit(&contest, alice, "good.csv", &predictions(7)).await;
        world.run_all(&carrier).await;
        assert_eq!(world.submission(bad).await.state, State::Rejected);
        world.clock.shift(7 * DAY - 60_000);
        assert_eq!(rejected::remove_files(&world.house, 7).await.unwrap(), 0);
        world.clock.shift(120_000);
        assert_eq!(rejected::remove_files(&world.house, 7).await.unwrap(), 1);
        assert_eq!(rejected::remove_files(&world.house, 7).await.unwrap(), 0);

        let kept = world.objects("submissions/");
        assert!(kept.len() == 1 && kept[0].contains(&good.to_string()), "{kept:?}");
        let gone = world.submission(bad).await;
        assert!(!gone.has_file() && gone.state == State::Rejected && gone.disclosed_reason.faults.is_some());
        assert!(world.submission(good).await.has_file());
        let again = actions::run_again(&world.house, bad, contest.organizer, queue::NORMAL).await;
        assert!(matches!(again, Err(ActionError::FileGone)), "{again:?}");
        let recorded = "SELECT COUNT(*) FROM audit_log WHERE action = 'submission.file_removed'";
        assert_eq!(world.number(recorded).await, 1);
    }
}
