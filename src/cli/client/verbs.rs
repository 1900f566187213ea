//! The verbs that list: competitions, files, submissions, the leaderboard.

use std::collections::BTreeSet;

use anyhow::Context as _;
use jiff::Timestamp;
use reqwest::Method;

use super::dto::{Board, Competition, CompetitionLine, File, List, Row, Submission};
use super::server::Server;
use super::show::{number, table};
use super::{Common, Done, Failure, LeaderboardArgs};

fn minute(at: Timestamp) -> String {
    at.strftime("%F %H:%M UTC").to_string()
}

/// The address of a competition; its name as typed may hold anything.
pub(super) fn competition_path(slug: &str) -> String {
    let slug = percent_encoding::utf8_percent_encode(slug, percent_encoding::NON_ALPHANUMERIC);
    format!("/api/v1/competitions/{slug}")
}

/// `shuyu competitions list`.
pub(super) async fn list(common: &Common) -> Done {
    let server = Server::of(common)?;
    let found: List<CompetitionLine> = server.get("/api/v1/competitions").await?;
    let rows: Vec<Vec<String>> = found
        .items
        .into_iter()
        .map(|c| {
            let open = c.open_phase.map_or_else(|| "-".to_owned(), |phase| phase.to_string());
            let ends = c.ends_at.map_or_else(|| "-".to_owned(), minute);
            vec![c.slug, open, ends, c.organiser.unwrap_or_default(), c.title]
        })
        .collect();
    if rows.is_empty() && !common.csv {
        println!("There is no competition yet.");
        return Ok(());
    }
    table(&["competition", "open phase", "ends", "organiser", "title"], &rows, common.csv)
}

/// `shuyu competitions files`.
pub(super) async fn files(common: &Common, competition: &str) -> Done {
    let server = Server::of(common)?;
    let found: List<File> = server.get(&format!("{}/files", competition_path(competition))).await?;
    let rows: Vec<Vec<String>> = found
        .items
        .into_iter()
        .map(|f| vec![f.name, f.size.to_string(), f.phase.to_string(), f.kind, f.path])
        .collect();
    if rows.is_empty() && !common.csv {
        println!("The competition has no files to download now.");
        return Ok(());
    }
    table(&["name", "bytes", "phase", "kind", "path"], &rows, common.csv)
}

/// `shuyu competitions submissions`.
pub(super) async fn submissions(common: &Common, competition: &str, phase: Option<i64>) -> Done {
    let server = Server::of(common)?;
    let wanted = phase.map(|phase| format!("&phase={phase}")).unwrap_or_default();
    let mut all: Vec<Submission> = Vec::new();
    loop {
        let path =
            format!("{}/submissions?limit=200&offset={}{wanted}", competition_path(competition), all.len());
        let page: List<Submission> = server.get(&path).await?;
        let (count, total) = (page.items.len(), page.total);
        all.extend(page.items);
        if count == 0 || all.len() >= total {
            break;
        }
    }
    if all.is_empty() && !common.csv {
        println!("Your team has submitted nothing yet.");
        return Ok(());
    }
    let keys: BTreeSet<&String> = all.iter().flat_map(|s| s.scores.keys()).collect();
    let mut head = vec!["id", "phase", "file", "handed in", "status"];
    head.extend(keys.iter().map(|key| key.as_str()));
    head.extend(["improved", "message"]);
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|s| {
            let trial = if s.trial { " (trial)" } else { "" };
            let mut row = vec![s.id.clone(), s.phase.to_string(), s.file_name.clone(), minute(s.created_at)];
            row.push(format!("{}{trial}", s.status));
            row.extend(keys.iter().map(|key| s.scores.get(*key).map(|v| number(*v)).unwrap_or_default()));
            row.push(s.improved.map(|yes| if yes { "yes" } else { "no" }.to_owned()).unwrap_or_default());
            row.push(s.message.clone());
            row
        })
        .collect();
    table(&head, &rows, common.csv)
}

/// The phase that is meant when none is named: the one that is open, else the last that has begun.
pub(super) fn phase_to_look_at(competition: &Competition) -> Option<i64> {
    let open = competition.phases.iter().find(|phase| phase.state == "open");
    let begun = || competition.phases.iter().rev().find(|phase| phase.state == "over");
    open.or_else(begun).or(competition.phases.first()).map(|phase| phase.index)
}

/// `shuyu competitions leaderboard`.
pub(super) async fn leaderboard(args: &LeaderboardArgs) -> Done {
    let server = Server::of(&args.common)?;
    let base = competition_path(&args.competition);
    let phase = match args.phase {
        Some(phase) => phase,
        None => {
            let competition: Competition = server.get(&base).await?;
            let none = || Failure::Usage("the competition has no phase".to_owned());
            phase_to_look_at(&competition).ok_or_else(none)?
        }
    };
    let path = format!("{base}/phases/{phase}/leaderboard");
    if args.download {
        return download(&server, args, &path, phase).await;
    }
    let board: Board = server.get(&format!("{path}?limit=500")).await?;
    if board.total == 0 && !args.common.csv {
        println!("Nothing stands on the leaderboard of phase {phase} yet.");
        return Ok(());
    }
    let mut head = vec!["rank", "team"];
    head.extend(
        board.columns.iter().map(|column| if args.common.csv { &column.key } else { &column.title }.as_str()),
    );
    head.extend(["entries", "last improved"]);
    let row = |row: &Row| {
        let mut cells = vec![row.rank.to_string(), row.team.name.clone()];
        cells.extend(
            board
                .columns
                .iter()
                .map(|column| row.scores.get(&column.key).map(|value| number(*value)).unwrap_or_default()),
        );
        cells.extend([row.entries.to_string(), minute(row.last_improved)]);
        cells
    };
    let mut rows: Vec<Vec<String>> = board.entries.iter().map(row).collect();
    let unseen = board.mine.as_ref().filter(|mine| !board.entries.iter().any(|e| e.rank == mine.rank));
    rows.extend(unseen.map(row));
    table(&head, &rows, args.common.csv)?;
    if board.total > board.entries.len() {
        eprintln!("{} of {} rows; -d downloads all of them.", board.entries.len(), board.total);
    }
    Ok(())
}

async fn download(server: &Server, args: &LeaderboardArgs, path: &str, phase: i64) -> Done {
    let response = server.send(server.request(Method::GET, &format!("{path}?format=csv"))).await?;
    let bytes = response.bytes().await.map_err(|error| server.unreachable(&error))?;
    let name: String = args.competition.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let file = args.path.join(format!("{name}-{phase}-leaderboard.csv"));
    std::fs::write(&file, &bytes).with_context(|| format!("cannot write {}", file.display()))?;
    println!("{}", file.display());
    Ok(())
}
