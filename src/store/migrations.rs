//! The migrations: one text for both engines, compiled in, with the few words that differ put in the
//! engine's own dialect.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use super::Engine;

const TEXTS: &[(i64, &str, &str)] = &[
    (1, "spine", include_str!("../../migrations/0001_spine.sql")),
    (2, "desk", include_str!("../../migrations/0002_desk.sql")),
    (3, "board_marks", include_str!("../../migrations/0003_board_marks.sql")),
    (4, "sandboxes", include_str!("../../migrations/0004_sandboxes.sql")),
    (5, "sandbox_containers", include_str!("../../migrations/0005_sandbox_containers.sql")),
    (6, "sandbox_desk", include_str!("../../migrations/0006_sandbox_desk.sql")),
    (7, "packages", include_str!("../../migrations/0007_packages.sql")),
    (8, "sandbox_hosts", include_str!("../../migrations/0008_sandbox_hosts.sql")),
    (9, "sandbox_reports", include_str!("../../migrations/0009_sandbox_reports.sql")),
    (10, "package_verdicts", include_str!("../../migrations/0010_package_verdicts.sql")),
    (11, "entries", include_str!("../../migrations/0011_entries.sql")),
    (12, "judging", include_str!("../../migrations/0012_judging.sql")),
    (13, "apps", include_str!("../../migrations/0013_apps.sql")),
    (14, "demos", include_str!("../../migrations/0014_demos.sql")),
    (15, "demos_of_judges", include_str!("../../migrations/0015_demos_of_judges.sql")),
    (16, "second_rounds", include_str!("../../migrations/0016_second_rounds.sql")),
    (17, "tickets", include_str!("../../migrations/0017_tickets.sql")),
];

/// The migrations in the dialect of `engine`.
pub(super) fn migrator(engine: Engine) -> Migrator {
    let migrations = TEXTS
        .iter()
        .map(|&(version, description, text)| {
            let sql = AssertSqlSafe(dialect(engine, text)).into_sql_str();
            Migration::new(version, description.into(), MigrationType::Simple, sql, false)
        })
        .collect();
    Migrator::with_migrations(migrations)
}

fn dialect(engine: Engine, text: &str) -> String {
    match engine {
        Engine::Sqlite => text.replace("SERIAL_KEY", "INTEGER PRIMARY KEY AUTOINCREMENT"),
        Engine::Postgres => text
            .replace("SERIAL_KEY", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
            .replace(" BLOB", " BYTEA"),
    }
}
