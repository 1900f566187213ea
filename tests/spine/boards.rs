//! Rules of the board, what stands on it, rescoring and the way into the next phase.

use shuyu::airlock::standings::db as standings;
use shuyu::airlock::{db as airlock_db, lane1, shown};
use shuyu::ids::{SubmissionId, UserId};
use shuyu::scoring::board::{Boards, Movement, mark};
use shuyu::submission::actions::{self, ActionError};
use shuyu::submission::model::{Purpose, State};
use shuyu::submission::{migrate, queue, rescore};

use super::bundles::{self, Folder, board, closed, labels, native, phase, predictions, programmed, zipped};
use super::world::{Contest, World};

/// Scores several accuracies for one person, in order; gives the submissions.
async fn scored(world: &World, contest: &Contest, user: UserId, right: &[i32]) -> Vec<SubmissionId> {
    let carrier = world.carrier().await;
    let mut ids = Vec::new();
    for right in right {
        ids.push(world.submit(contest, user, "a.csv", &predictions(*right)).await);
        world.run_all(&carrier).await;
        world.clock.shift(1);
    }
    ids
}

async fn with_rule(rule: &str) -> (World, Contest, UserId) {
    let world = World::new().await;
    let folder = native().edit("submission_rule: Force_Best", &format!("submission_rule: {rule}"));
    let contest = world.import("rule", &folder).await;
    let alice = world.contestant(&contest, "alice").await;
    (world, contest, alice)
}

#[tokio::test]
async fn the_best_the_last_or_all_stand_by_themselves() {
    for (rule, expected) in
        [("Force_Best", vec![1]), ("Force_Last", vec![2]), ("Force_Latest_Multiple", vec![1, 2, 0])]
    {
        let (world, contest, alice) = with_rule(rule).await;
        // of equals the earlier one stands
        let ids = scored(&world, &contest, alice, &[3, 6, 6]).await;
        let expected: Vec<_> = expected.into_iter().map(|i| ids[i]).collect();
        assert_eq!(world.standing(&contest, 0).await, expected, "{rule}");
        let refused =
            actions::choose(&world.house, &contest.competition, ids[0], alice, true).await.unwrap_err();
        assert!(matches!(refused, ActionError::BoardIsAutomatic(_)), "{refused}");
    }
}

#[tokio::test]
async fn a_teams_way_is_what_stood_on_the_board_and_nothing_else() {
    let accuracy = |right: i32| (f64::from(right) / 7.0 * 1e6).round() / 1e6;
    for (rule, stood) in [
        ("Force_Best", vec![3, 6, 6]),
        ("Force_Last", vec![3, 6, 5]),
        ("Force_Latest_Multiple", vec![3, 6, 5]),
        ("Add_And_Delete_Multiple", vec![5]),
    ] {
        let (world, contest, alice) = with_rule(rule).await;
        let bob = world.contestant(&contest, "bob").await;
        let ids = scored(&world, &contest, alice, &[3, 6, 5, 7]).await;
        scored(&world, &contest, bob, &[1]).await;
        if rule.starts_with("Add") {
            actions::choose(&world.house, &contest.competition, ids[2], alice, true).await.unwrap();
        }
        // one disqualified never stood
        let by = contest.organizer;
        actions::disqualify(&world.house, &contest.competition, ids[3], by, Some("no")).await.unwrap();
        let team = world.submission(ids[0]).await.team;
        let board = &contest.competition.definition.leaderboard;
        let mut conn = world.house.db.read().await.unwrap();
        let phase = contest.phases[0].id;
        let courses = shown::courses(&mut conn, board, phase, &[team]).await.unwrap();
        assert_eq!(courses.len(), 1, "of the teams asked for alone");
        let expected: Vec<f64> = stood.into_iter().map(accuracy).collect();
        assert_eq!(courses[&team].get(), &expected, "{rule}");
    }
}

#[tokio::test]
async fn a_mark_of_every_board_is_taken_once_a_day() {
    for world in [World::new().await, World::large().await] {
        let contest = world.import("marks", &native()).await;
        let (alice, bob) =
            (world.contestant(&contest, "alice").await, world.contestant(&contest, "bob").await);
        assert_eq!(mark::take_due(&world.house).await.unwrap(), 1, "a new board has a mark at once");
        let hers = scored(&world, &contest, alice, &[4]).await[0];
        let team = world.submission(hers).await.team;
        assert_eq!(mark::take_due(&world.house).await.unwrap(), 0);
        let phase = &contest.phases[0];
        let board = &contest.competition.definition.leaderboard;
        let boards = Boards::default();
        let mut conn = world.house.db.read().await.unwrap();
        let first = boards.mark(&mut conn, phase.id, world.clock.now()).await.unwrap().unwrap();
        assert!(first.is_empty());

        world.clock.shift(86_400_000);
        assert_eq!(mark::take_due(&world.house).await.unwrap(), 1);
        let his = scored(&world, &contest, bob, &[6]).await[0];
        let other = world.submission(his).await.team;
        let now = boards.board(&mut conn, phase, board).await.unwrap();
        let mark = boards.mark(&mut conn, phase.id, world.clock.now()).await.unwrap().unwrap();
        assert!(mark.taken_at > first.taken_at);
        let movement = |team| mark.movement(team, now.best_rank(team).unwrap());
        assert_eq!((movement(team), movement(other)), (Movement::Down(1), Movement::New));
        let sparks = boards.sparks(&mut conn, (phase.id, &now), board, &[team, other]).await.unwrap();
        assert!(sparks.is_empty(), "one score is no line");

        world.clock.shift(86_400_000);
        assert_eq!(mark::take_due(&world.house).await.unwrap(), 1);
        world.clock.shift(86_400_000);
        assert_eq!(mark::take_due(&world.house).await.unwrap(), 0, "an unchanged board is not written again");
        let mark = boards.mark(&mut conn, phase.id, world.clock.now()).await.unwrap().unwrap();
        assert!(world.clock.now().duration_since(mark.taken_at).as_secs() < 60, "but its mark is of today");
        assert_eq!(mark.movement(team, 2), Movement::Same);
    }
}

#[tokio::test]
async fn under_add_the_team_chooses_once() {
    let (world, contest, alice) = with_rule("Add").await;
    let ids = scored(&world, &contest, alice, &[3, 6]).await;
    assert!(world.standing(&contest, 0).await.is_empty());
    let choose =
        async |id, wanted| actions::choose(&world.house, &contest.competition, id, alice, wanted).await;
    choose(ids[0], true).await.unwrap();
    assert_eq!(world.standing(&contest, 0).await, [ids[0]]);
    assert!(matches!(choose(ids[1], true).await, Err(ActionError::AddIsFinal)));
    assert!(matches!(choose(ids[0], false).await, Err(ActionError::AddIsFinal)));
    // what the organizer took off the board does not bind the team
    let (c, by) = (&contest.competition, contest.organizer);
    actions::disqualify(&world.house, c, ids[0], by, Some("copied")).await.unwrap();
    choose(ids[1], true).await.unwrap();
    assert_eq!(world.standing(&contest, 0).await, [ids[1]]);
}

#[tokio::test]
async fn under_add_and_delete_the_team_chooses_again() {
    for (rule, both) in [("Add_And_Delete", false), ("Add_And_Delete_Multiple", true)] {
        let (world, contest, alice) = with_rule(rule).await;
        let ids = scored(&world, &contest, alice, &[3, 6]).await;
        let choose = async |id, wanted| {
            actions::choose(&world.house, &contest.competition, id, alice, wanted).await.unwrap()
        };
        choose(ids[1], true).await;
        choose(ids[0], true).await;
        let expected = if both { vec![ids[1], ids[0]] } else { vec![ids[0]] };
        assert_eq!(world.standing(&contest, 0).await, expected, "{rule}");
        choose(ids[0], false).await;
        let expected = if both { vec![ids[1]] } else { vec![] };
        assert_eq!(world.standing(&contest, 0).await, expected, "{rule}");
    }
}

#[tokio::test]
async fn a_disqualified_submission_leaves_the_board_and_comes_back() {
    let (world, contest, alice) = with_rule("Force_Best").await;
    let ids = scored(&world, &contest, alice, &[3, 6]).await;
    let (c, by) = (&contest.competition, contest.organizer);
    let refused = actions::disqualify(&world.house, c, ids[1], by, Some(" ")).await.unwrap_err();
    assert!(matches!(refused, ActionError::NoReason));
    actions::disqualify(&world.house, c, ids[1], by, Some("used outside data")).await.unwrap();
    assert_eq!(world.standing(&contest, 0).await, [ids[0]]);
    assert_eq!(world.submission(ids[1]).await.disqualified_reason, "used outside data");
    let refused = actions::nominate(&world.house, c, ids[1], alice, true).await.unwrap_err();
    assert!(matches!(refused, ActionError::Disqualified), "{refused}");
    let phase = contest.phases[0].id;
    let mut conn = world.house.db.read().await.unwrap();
    let before = standings::board_version(&mut conn, phase).await.unwrap();
    actions::disqualify(&world.house, c, ids[1], by, None).await.unwrap();
    assert_eq!(world.standing(&contest, 0).await, [ids[1]]);
    // a page that holds an older version learns of both changes
    let changes = standings::board_changes(&mut conn, phase, before).await.unwrap();
    let mut changed: Vec<_> = changes.iter().map(|c| (c.entry.submission, c.removed)).collect();
    changed.sort();
    let mut expected = vec![(ids[0], true), (ids[1], false)];
    expected.sort();
    assert_eq!(changed, expected);
}

#[tokio::test]
async fn hidden_and_computed_columns_go_to_whom_they_are_for() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let columns = [
        ("mean", "sorting: desc, computation: avg, computation_indexes: [1, 2]"),
        ("a", "sorting: desc"),
        ("b", "sorting: desc"),
        ("secret", "sorting: desc, hidden: true"),
        ("both", "sorting: desc, computation: sum, computation_indexes: [1, 3]"),
    ];
    let folder = Folder::new(
        "- {index: 0, name: T0, description: d, scoring_program: scoring, reference_data: reference}",
        &phase(0, 0, 0, "[0]"),
        &board("Force_Best", &columns),
        "  organiser: Somebody",
    )
    .file("scoring/metadata.yaml", "command: python3 $program/score.py $input $output")
    .file("scoring/score.py", bundles::ECHO)
    .file("reference/labels.csv", labels());
    let contest = world.import("columns", &folder).await;
    let alice = world.contestant(&contest, "alice").await;
    let written = b"{\"a\": 1, \"b\": 0.33333333, \"secret\": 7, \"undeclared\": 9}";
    let id = world.submit(&contest, alice, "a.zip", &zipped(&[("out.json", written)])).await;
    world.run_all(&carrier).await;
    let told: Vec<_> = world.scores(&contest, id).await.into_iter().collect();
    let pair = |key: &str, value| (key.to_owned(), value);
    assert_eq!(told, [pair("a", 1.0), pair("b", 0.333_333), pair("mean", 0.666_667)]);
    let mut conn = world.house.db.read().await.unwrap();
    let board = &contest.competition.definition.leaderboard;
    let row = lane1::row_for_organizer(&mut conn, board, id).await.unwrap();
    assert_eq!((row.scores.get()["secret"], row.scores.get()["both"]), (7.0, 8.0));
    assert!(!row.scores.get().contains_key("undeclared"));
    let changes = standings::board_changes(&mut conn, contest.phases[0].id, 0).await.unwrap();
    let public: Vec<&String> = changes[0].entry.scores.get().keys().collect();
    assert_eq!(public, ["a", "b", "mean"]);
}

#[tokio::test]
async fn a_rescore_uses_the_new_labels_and_keeps_the_old_score_beside() {
    let (world, contest, alice) = with_rule("Force_Best").await;
    let carrier = world.carrier().await;
    let ids = scored(&world, &contest, alice, &[3, 6]).await;
    // every label is the other one now
    let other: String = (0..7).map(|i| format!("{i},{}\n", 1 - i % 2)).collect();
    let folder = native().file("reference/labels.csv", format!("id,label\n{other}"));
    let (contest, imported) = world.reimport("rule", &folder, contest.organizer).await;
    assert_eq!(imported.files, ["reference"]);
    assert_eq!(world.standing(&contest, 0).await, [ids[1]], "the board stands until the rescore");
    let wanted = |reason| rescore::Wanted { phase: None, team: None, reason, priority: queue::NORMAL };
    let refused =
        rescore::begin(&world.house, &contest.competition, contest.organizer, &wanted("")).await.unwrap_err();
    assert!(matches!(refused, ActionError::NoReason));
    let count =
        rescore::begin(&world.house, &contest.competition, contest.organizer, &wanted("labels")).await;
    assert_eq!(count.unwrap(), 2);
    let announced = "SELECT COUNT(*) FROM announcements WHERE body = 'labels'";
    assert_eq!(world.number(announced).await, 1, "the participants are told why");
    assert_eq!(world.submission(ids[0]).await.disclosed_state, State::Finished);
    assert_eq!(world.run_all(&carrier).await, 2);
    assert_eq!(world.standing(&contest, 0).await, [ids[0]]);
    assert_eq!(world.scores(&contest, ids[0]).await["accuracy"], 0.571_429);
    let mut conn = world.house.db.read().await.unwrap();
    let history = airlock_db::history(&mut conn, ids[0]).await.unwrap();
    let told: Vec<_> = history.iter().map(|t| (t.rescored, t.scores.get()["accuracy"])).collect();
    assert_eq!(told, [(false, 0.428_571), (true, 0.571_429)]);
    let definition = &contest.competition.definition.leaderboard;
    let (old, new) = lane1::rescored_for_team(&mut conn, definition, ids[0]).await.unwrap();
    assert_eq!((old.get()["accuracy"], new.get()["accuracy"]), (0.428_571, 0.571_429));
}

#[tokio::test]
async fn what_the_scorer_failed_is_scored_after_the_organizer_mended_it() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("mend", &programmed("raise SystemExit('no good')")).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "a.zip", &zipped(&[("out.json", b"{\"points\": 4}")])).await;
    world.run_all(&carrier).await;
    assert_eq!(world.submission(id).await.state, State::Failed);
    let (contest, _) = world.reimport("mend", &programmed(bundles::ECHO), contest.organizer).await;
    actions::run_again(&world.house, id, contest.organizer, queue::URGENT).await.unwrap();
    assert_eq!(world.submission(id).await.disclosed_state, State::Queued);
    world.run_all(&carrier).await;
    assert_eq!(world.submission(id).await.state, State::Finished);
    assert_eq!(world.scores(&contest, id).await["points"], 4.0);
    assert_eq!(world.standing(&contest, 0).await, [id]);
}

/// Two phases, the second with other labels and auto-migration.
fn two_phases(choose: &str) -> Folder {
    let other: String = (0..7).map(|i| format!("{i},{}\n", i64::from(i < 4))).collect();
    let second = phase(1, 0, 0, "[1]").replace("tasks: [1]", "tasks: [1], auto_migrate_to_this_phase: true");
    native()
        .edit("reference_data: reference}", "reference_data: reference}\n- {index: 1, name: T1, description: d, reference_data: final}")
        .edit("leaderboards:", &format!("{second}leaderboards:"))
        .edit(
            "shuyu:\n  tasks:\n",
            &format!(
                "shuyu:\n{choose}  tasks:\n    1: {{metric: {{name: accuracy, column: accuracy, prediction: label, target: label, id: id}}}}\n"
            ),
        )
        .file("final/labels.csv", format!("id,label\n{other}"))
}

async fn to_second_phase(world: &World, contest: &Contest) {
    let start = contest.phases[1].starts_at.as_millisecond();
    world.clock.shift(start - world.clock.millis() + 1_000);
}

#[tokio::test]
async fn nominated_submissions_go_into_the_last_phase_once() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("finals", &two_phases("  finals: {choose: 2}\n")).await;
    let alice = world.contestant(&contest, "alice").await;
    let bob = world.contestant(&contest, "bob").await;
    let hers = scored(&world, &contest, alice, &[3, 6, 5]).await;
    let his = scored(&world, &contest, bob, &[2, 4, 1, 5]).await;
    let nominate =
        async |id, wanted| actions::nominate(&world.house, &contest.competition, id, alice, wanted).await;
    nominate(hers[0], true).await.unwrap();
    nominate(hers[2], true).await.unwrap();
    assert!(matches!(nominate(hers[1], true).await, Err(ActionError::TooManyNominations(2))));
    assert_eq!(migrate::migrate_due(&world.house).await.unwrap(), 0, "it has not begun");
    // a run of the last minute is waited for: it may become the best
    let last = world.submit(&contest, bob, "a.csv", &predictions(7)).await;
    to_second_phase(&world, &contest).await;
    assert_eq!(migrate::migrate_due(&world.house).await.unwrap(), 0, "a run is still to come");
    world.run_all(&carrier).await;
    assert_eq!(migrate::migrate_due(&world.house).await.unwrap(), 4);
    assert_eq!(migrate::migrate_due(&world.house).await.unwrap(), 0);
    world.run_all(&carrier).await;

    let mut conn = world.house.db.read().await.unwrap();
    let filter = shuyu::submission::desk::db::Filter {
        phase: Some(contest.phases[1].id),
        limit: 100,
        ..shuyu::submission::desk::db::Filter::default()
    };
    let (finals, total) =
        shuyu::submission::desk::db::filtered(&mut conn, contest.competition.id, &filter).await.unwrap();
    assert_eq!(total, 4);
    let mut from: Vec<_> = finals.iter().filter_map(|s| s.migrated_from).collect();
    from.sort();
    // hers as nominated; his last two improvements
    let mut expected = vec![hers[0], hers[2], his[3], last];
    expected.sort();
    assert_eq!(from, expected);
    assert!(finals.iter().all(|s| s.state == State::Finished));
    drop(conn);
    assert_eq!(world.standing(&contest, 1).await.len(), 2, "the best of each team");
    // another hidden set, so another ledger
    assert_eq!(world.number("SELECT COUNT(DISTINCT hidden_set_id) FROM replies").await, 2);
}

#[tokio::test]
async fn a_rerun_of_a_closed_submission_is_refused_before_its_tick() {
    let world = World::new().await;
    let carrier = world.carrier().await;
    let contest = world.import("early", &closed()).await;
    let alice = world.contestant(&contest, "alice").await;
    let id = world.submit(&contest, alice, "main.py", b"raise SystemExit(1)").await;
    world.run_all(&carrier).await;
    let early = actions::run_again(&world.house, id, contest.organizer, queue::NORMAL).await;
    assert!(matches!(early, Err(ActionError::State { .. })));
    world.tick(id).await;
    world.run_all(&carrier).await;
    actions::run_again(&world.house, id, contest.organizer, queue::NORMAL).await.unwrap();
    let purposes: Vec<Purpose> = world.runs(id).await.iter().map(|r| r.purpose).collect();
    assert_eq!(purposes, [Purpose::Score, Purpose::Twin, Purpose::Score]);
}
