//! `shuyu competitions submit`: sends the file, waits, and tells the truth about the outcome.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use indicatif::{HumanBytes, ProgressBar};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use tokio_util::io::ReaderStream;

use super::dto::{Competition, Phase, Problem, Submission};
use super::server::Server;
use super::show::{clean, number, table};
use super::transfer::bar;
use super::verbs::competition_path;
use super::{Done, Failure, SubmitArgs};

/// The first pause between two looks at a submission; it grows to the longest.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often in a row the server may be silent while a score is waited for.
const SILENCES: u32 = 30;

fn refused(title: String, mend: &str) -> Failure {
    Failure::Refused(Box::new(Problem { title, mend: mend.to_owned(), ..Problem::default() }))
}

/// `shuyu competitions submit`.
pub(super) async fn submit(args: &SubmitArgs) -> Done {
    let name = args.file.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Failure::Usage(format!("{} is no file's name", args.file.display())))?;
    let metadata = std::fs::metadata(&args.file)
        .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", args.file.display())))?;
    if metadata.is_dir() {
        return Err(Failure::Usage(format!("{} is a folder: zip what is in it", args.file.display())));
    }
    let server = Server::of(&args.common)?;
    let competition: Competition = server.get(&competition_path(&args.competition)).await?;
    let phase = phase(args, &competition)?;
    if metadata.len() > competition.upload_cap_bytes {
        let (size, cap) = (HumanBytes(metadata.len()), HumanBytes(competition.upload_cap_bytes));
        return Err(refused(
            format!("{name} has {size}; the server takes {cap} at most"),
            "leave out what a run does not need",
        ));
    }
    check_quota(args, phase)?;
    let submission = send(&server, args, name, metadata.len(), phase.index).await?;
    eprintln!("accepted: {}", submission.id);
    let over = match args.no_wait {
        true => submission,
        false => wait(&server, submission, args.common.quiet).await?,
    };
    tell(&over, args.common.csv)?;
    match over.status.as_str() {
        "rejected" | "failed" | "cancelled" => Err(Failure::Failed),
        _ => Ok(()),
    }
}

fn phase<'a>(args: &SubmitArgs, competition: &'a Competition) -> Done<&'a Phase> {
    let phases = &competition.phases;
    if let Some(index) = args.phase {
        let found = phases.iter().find(|phase| phase.index == index);
        let none = || Failure::Usage(format!("the competition has no phase {index}; they count from 0"));
        return found.ok_or_else(none);
    }
    if let Some(open) = phases.iter().find(|phase| phase.state == "open") {
        return Ok(open);
    }
    let next = phases.iter().find(|phase| phase.state == "ahead");
    let mend = match next {
        Some(next) => format!("{} begins at {}; submit then", clean(&next.name), next.starts_at),
        None => match phases.iter().filter_map(|phase| phase.ends_at).next_back() {
            Some(end) => format!("the last one ended at {end}; its leaderboard stays open to read"),
            None => String::new(),
        },
    };
    Err(refused("no phase of the competition is open".to_owned(), &mend))
}

/// Says that the quota is used up before anything is sent; the server says so too.
fn check_quota(args: &SubmitArgs, phase: &Phase) -> Done {
    let Some(quota) = phase.quota.as_ref().filter(|quota| quota.left_today == Some(0)) else { return Ok(()) };
    if args.trial {
        return Ok(());
    }
    if quota.in_all > 0 && quota.used >= quota.in_all {
        let title = format!("nothing was submitted: all {} submissions of this phase are used", quota.in_all);
        return Err(refused(title, "a trial run (--trial) takes none, where a task has a public twin"));
    }
    let (used, of) = (quota.used_today, quota.per_day);
    let title = format!("nothing was submitted: {used} of {of} submissions of today are used");
    Err(refused(title, &format!("the next ones can be made from {}", quota.renewed_at)))
}

async fn send(server: &Server, args: &SubmitArgs, name: &str, size: u64, phase: i64) -> Done<Submission> {
    let opened = tokio::fs::File::open(&args.file).await;
    let file = opened.with_context(|| format!("cannot read {}", args.file.display()))?;
    let bar = bar(size, name, args.common.quiet);
    let moving = bar.clone();
    let content = ReaderStream::with_capacity(file, 64 << 10).inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            moving.inc(chunk.len() as u64);
        }
    });
    let part = Part::stream_with_length(Body::wrap_stream(content), size).file_name(name.to_owned());
    // the texts before the file: a submission that cannot be accepted is refused at its first byte
    let mut form = Form::new().text("message", args.message.clone()).text("trial", args.trial.to_string());
    if let Some(facts) = &args.facts {
        form = form.text("facts", facts.clone());
    }
    let path = format!("{}/phases/{phase}/submissions", competition_path(&args.competition));
    let sent = server.send(server.request(Method::POST, &path).multipart(form.part("file", part))).await;
    bar.finish_and_clear();
    server.document(sent?).await
}

async fn wait(server: &Server, submission: Submission, quiet: bool) -> Done<Submission> {
    let spinner = if quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    spinner.enable_steady_tick(Duration::from_millis(120));
    let path = format!("/api/v1/submissions/{}", submission.id);
    let (mut now, mut pause, mut silences) = (submission, PAUSE, 0);
    while !now.is_over() {
        spinner.set_message(match &now.queue {
            Some(place) => {
                format!("{}: {} ahead, about {} s", now.status, place.ahead, place.expected_seconds)
            }
            None => now.status.clone(),
        });
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        match server.get(&path).await {
            Ok(later) => (now, silences) = (later, 0),
            Err(Failure::Unreachable(_)) if silences < SILENCES => silences += 1,
            Err(Failure::Unreachable(text)) => {
                let stands = format!("{text}\n  the submission {} was accepted and goes on", now.id);
                return Err(Failure::Unreachable(stands));
            }
            Err(other) => return Err(other),
        }
    }
    spinner.finish_and_clear();
    Ok(now)
}

/// What became of a submission.
fn tell(s: &Submission, csv: bool) -> Done {
    let improved = s.improved.map(|yes| if yes { "yes" } else { "no" }).unwrap_or_default();
    if csv {
        let mut head = vec!["id", "status"];
        head.extend(s.scores.keys().map(String::as_str));
        head.push("improved");
        let mut row = vec![s.id.clone(), s.status.clone()];
        row.extend(s.scores.values().map(|value| number(*value)));
        row.push(improved.to_owned());
        table(&head, &[row], true)?;
    } else {
        println!("{}", s.status);
        for (key, value) in &s.scores {
            println!("{key}\t{}", number(*value));
        }
        if s.improved == Some(true) {
            println!("better than all your team's earlier ones");
        }
    }
    if let Some(reason) = &s.reason {
        // the text of a faulty file is the list of its faults
        if reason.faults.is_none() {
            eprintln!("{}", clean(&reason.text));
        }
        if let Some(report) = &reason.faults {
            for fault in &report.first {
                eprintln!("  {fault}");
            }
            if report.total > report.first.len() as u64 {
                eprintln!("  … {} faults in all", report.total);
            }
        }
    }
    Ok(())
}
