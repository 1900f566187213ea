//! The audit log on SQLite and PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use serde_json::json;
use shuyu::audit::{Actor, AuditError, Entry, Fault, Filter, Sequencer, list, record, verify};
use shuyu::clock::{Clock, Entropy};
use shuyu::crypto::sm3;
use shuyu::ids::{CompetitionId, UserId};
use shuyu::store::Db;
use sqlx::Row as _;
use support::databases::TestDb;
use tokio_util::sync::CancellationToken;

async fn write(db: &Db, entry: Entry) {
    let mut tx = db.begin().await.unwrap();
    record(&mut tx, entry).await.unwrap();
    tx.commit().await.unwrap();
}

fn entry(clock: &Clock, n: usize) -> Entry {
    Entry::new(clock.now(), Actor::Operator, "user.created", ("user", n)).detail("n", n)
}

async fn execute(db: &Db, sql: &'static str) {
    let mut tx = db.begin().await.unwrap();
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_and_sequencers_give_one_gapless_log() {
    for bench in TestDb::both().await {
        let clock = Clock::system();
        let stop = CancellationToken::new();
        let mut sequencers = tokio::task::JoinSet::new();
        for _ in 0..3 {
            sequencers.spawn(Sequencer::new(bench.db.clone()).run(stop.clone()));
        }
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..6 {
            let (db, clock) = (bench.db.clone(), clock.clone());
            writers.spawn(async move {
                for n in 0..50 {
                    write(&db, entry(&clock, writer * 50 + n)).await;
                }
            });
        }
        while let Some(done) = writers.join_next().await {
            done.unwrap();
        }
        stop.cancel();
        while let Some(done) = sequencers.join_next().await {
            done.unwrap();
        }
        let verified = verify(&bench.db).await.unwrap();
        assert_eq!((verified.entries, verified.waiting), (300, 0));
        assert_eq!(Sequencer::new(bench.db.clone()).number_waiting().await.unwrap(), 0);
        assert_eq!(verify(&bench.db).await.unwrap(), verified, "a verified log stays as it is");
    }
}

/// The hashes recomputed here from the rows, by RFC 6962's rule for leaves and ours for the chain.
#[tokio::test]
async fn leaves_and_chain_are_what_the_documentation_says() {
    let bench = TestDb::sqlite().await;
    let clock = Clock::system();
    for n in 0..3 {
        write(&bench.db, entry(&clock, n)).await;
    }
    assert_eq!(Sequencer::new(bench.db.clone()).number_waiting().await.unwrap(), 3);
    let rows = sqlx::query("SELECT bytes, leaf, chain FROM audit_log ORDER BY number")
        .fetch_all(&mut *bench.db.read().await.unwrap())
        .await
        .unwrap();
    let mut chain = vec![0u8; 32];
    for row in &rows {
        let leaf = sm3(&[&[0u8][..], &row.get::<Vec<u8>, _>("bytes")].concat());
        assert_eq!(row.get::<Vec<u8>, _>("leaf"), leaf.0);
        chain = sm3(&[&[2u8][..], &chain, &leaf.0].concat()).0.to_vec();
        assert_eq!(row.get::<Vec<u8>, _>("chain"), chain);
    }
    assert_eq!(verify(&bench.db).await.unwrap().head.0[..], chain[..]);
}

#[tokio::test]
async fn an_entry_is_kept_exactly_if_its_change_is() {
    for bench in TestDb::both().await {
        let clock = Clock::system();
        let mut tx = bench.db.begin().await.unwrap();
        record(&mut tx, entry(&clock, 1)).await.unwrap();
        drop(tx);
        let verified = verify(&bench.db).await.unwrap();
        assert_eq!((verified.entries, verified.waiting), (0, 0));
    }
}

/// Every way to rewrite the past that a person with the database's password has.
#[tokio::test]
async fn whatever_is_changed_the_first_broken_entry_is_named() {
    let tampering: [(&str, &[&'static str], i64, Fault); 8] = [
        ("content", &["UPDATE audit_log SET bytes = leaf WHERE number = 2"], 2, Fault::Content),
        (
            "content with a fitting leaf",
            &["UPDATE audit_log SET bytes = (SELECT bytes FROM audit_log WHERE number = 4),
                      leaf = (SELECT leaf FROM audit_log WHERE number = 4) WHERE number = 2"],
            2,
            Fault::Chain,
        ),
        ("no leaf", &["UPDATE audit_log SET leaf = NULL WHERE number = 3"], 3, Fault::Content),
        ("no chain", &["UPDATE audit_log SET chain = NULL WHERE number = 3"], 3, Fault::Chain),
        ("a column", &["UPDATE audit_log SET actor = 'system' WHERE number = 1"], 1, Fault::Column("actor")),
        ("a time", &["UPDATE audit_log SET at = at + 1 WHERE number = 1"], 1, Fault::Column("at")),
        ("a row", &["DELETE FROM audit_log WHERE number = 0"], 0, Fault::Missing),
        (
            "an exchange",
            &[
                "UPDATE audit_log SET number = -1 WHERE number = 1",
                "UPDATE audit_log SET number = 1 WHERE number = 3",
                "UPDATE audit_log SET number = 3 WHERE number = -1",
            ],
            1,
            Fault::Chain,
        ),
    ];
    let [sqlite, postgres] = TestDb::both().await;
    for bench in [&sqlite, &postgres] {
        for (case, statements, number, fault) in &tampering {
            execute(&bench.db, "DELETE FROM audit_log").await;
            let clock = Clock::system();
            for n in 0..6 {
                write(&bench.db, entry(&clock, n)).await;
            }
            Sequencer::new(bench.db.clone()).number_waiting().await.unwrap();
            verify(&bench.db).await.unwrap();
            for statement in *statements {
                execute(&bench.db, statement).await;
            }
            let error = verify(&bench.db).await.unwrap_err();
            let named =
                matches!(&error, AuditError::Broken { number: n, fault: f, .. } if n == number && f == fault);
            assert!(named, "{case}: {error}");
        }
    }
}

#[tokio::test]
async fn entries_are_found_by_what_one_knows_of_them() {
    for bench in TestDb::both().await {
        let clock = Clock::system();
        let (ann, bob): (UserId, UserId) = (Entropy.id(&clock), Entropy.id(&clock));
        let (one, two): (CompetitionId, CompetitionId) = (Entropy.id(&clock), Entropy.id(&clock));
        let at = |n: i64| jiff::Timestamp::from_second(1_700_000_000 + n).unwrap();
        for n in 0..25i64 {
            let actor = if n % 2 == 0 {
                Actor::User(ann)
            } else {
                Actor::Token { user: if n < 10 { ann } else { bob }, token: Entropy.id(&clock) }
            };
            let action = if n < 20 { "submission.created" } else { "submission_x.created" };
            let entry = Entry::new(at(n), actor, action, ("submission", n % 5))
                .competition(if n < 15 { one } else { two })
                .detail("n", n);
            write(&bench.db, entry).await;
        }
        write(&bench.db, Entry::new(at(84), Actor::System, "phase.ended", ("phase", 1))).await;

        let found = async |filter: Filter| {
            let page = list(&bench.db, &Filter { per_page: 200, ..filter }).await.unwrap();
            assert_eq!(page.total as usize, page.entries.len());
            page.entries
        };
        let all = found(Filter::default()).await;
        assert_eq!(all.len(), 26);
        assert!(all.is_sorted_by(|a, b| (a.at, a.id) > (b.at, b.id)), "latest first");
        assert_eq!(all[1].detail, json!({"n": 24}));
        assert_eq!(all[1].actor, Actor::User(ann));
        assert_eq!(all[1].number, None);

        let count = async |filter: Filter| found(filter).await.len();
        assert_eq!(count(Filter { user: Some(ann), ..Filter::default() }).await, 13 + 5);
        assert_eq!(count(Filter { user: Some(bob), ..Filter::default() }).await, 7);
        let action = |text: &str| Filter { action: Some(text.to_owned()), ..Filter::default() };
        assert_eq!(count(action("submission")).await, 25);
        assert_eq!(count(action("submission_")).await, 5, "_ stands for itself");
        assert_eq!(count(action("%")).await, 0, "% stands for itself");
        let object = Some(("submission".to_owned(), "3".to_owned()));
        assert_eq!(count(Filter { object, ..Filter::default() }).await, 5);
        assert_eq!(count(Filter { competition: Some(two), ..Filter::default() }).await, 10);
        let times = Filter { from: Some(at(0)), until: Some(at(24)), ..Filter::default() };
        assert_eq!(count(times).await, 24, "the end is not included");
        let both = Filter { user: Some(ann), competition: Some(one), ..Filter::default() };
        assert_eq!(count(both).await, 8 + 5);

        let page = Filter { page: 2, per_page: 10, ..Filter::default() };
        let page = list(&bench.db, &page).await.unwrap();
        assert_eq!((page.total, page.entries.len()), (26, 6));
        assert_eq!(page.entries[5].detail, json!({"n": 0}));
    }
}
