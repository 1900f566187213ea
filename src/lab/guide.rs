//! `/submit`: a folder that says what to hand in, with a sample where the competition has one to show. It is
//! the same for every sandbox of a competition, and laid out once for each state of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::Timestamp;

use super::kit::{self, Found};
use crate::contest::db as contest_db;
use crate::contest::expected::{self, Expected, ExpectedError};
use crate::contest::given::{self, Use};
use crate::contest::model::{Competition, Phase, PhaseTime};
use crate::contest::packages::Package;
use crate::crypto::sm3;
use crate::house::House;
use crate::sandbox::ReadOnlyBind;
use crate::store::StoreError;

/// Where it is seen.
const TARGET: &str = "/submit";
/// The largest sample, in bytes.
const SAMPLE_BYTES: u64 = 16 << 20;

/// Why it could not be laid out.
#[derive(Debug, thiserror::Error)]
pub(super) enum GuideError {
    /// What a task expects cannot be told.
    #[error(transparent)]
    Expected(#[from] ExpectedError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The worker's disk failed.
    #[error("the folder for {TARGET} could not be written: {0}")]
    Io(#[from] std::io::Error),
}

/// A phase as the guide tells of it.
struct Chapter {
    position: i64,
    name: (String, String),
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
    results_only: bool,
    /// What each of its tasks expects, with the task's name; none before the phase has begun, as nothing
    /// of it is there to be worked on yet.
    tasks: Vec<((String, String), Expected)>,
    sample: Option<Found>,
}

/// Lays the folder out under `directory`, where that has not been done for what it says now. `packages`
/// are those that everybody finds.
///
/// # Errors
/// [`GuideError`].
pub(super) async fn lay_out(
    house: &House,
    directory: &Path,
    competition: &Competition,
    phases: &[Phase],
    packages: &[Package],
) -> Result<ReadOnlyBind, GuideError> {
    let now = house.clock.now();
    let names: Vec<_> =
        packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
    let state = state(competition, phases, &names, now);
    let target = directory.join(format!("submit-{}-{state}", competition.slug));
    if !target.exists() {
        let mut chapters = Vec::new();
        for phase in phases.iter().filter(|phase| phase.time(now) != PhaseTime::Over) {
            chapters.push(chapter(house, directory, competition, phases, phase).await?);
        }
        let title = (competition.title("zh"), competition.title("en"));
        fill(house, directory, &target, &readme(title, &chapters, &names), &chapters)?;
    }
    Ok(ReadOnlyBind { host: target, container: TARGET.to_owned() })
}

/// A name for all that decides what the folder says: the bundle, the packages, and where its phases stand.
fn state(competition: &Competition, phases: &[Phase], packages: &[String], now: Timestamp) -> String {
    let mut all = format!("{} {} {}", competition.id, competition.revision, packages.join(" "));
    for phase in phases {
        all.push_str(&format!("\n{} {:?} {:?}", phase.starts_at, phase.ends_at, phase.time(now)));
    }
    sm3(all.as_bytes()).to_string().chars().take(16).collect()
}

fn fill(
    house: &House,
    directory: &Path,
    target: &Path,
    readme: &str,
    chapters: &[Chapter],
) -> std::io::Result<()> {
    let unique = hex::encode(house.entropy.bytes::<8>());
    let filling = directory.join(format!("{unique}.filling"));
    fs::create_dir_all(&filling)?;
    let write = |name: &str, content: &[u8]| {
        let place = filling.join(name);
        fs::write(&place, content)?;
        fs::set_permissions(&place, Permissions::from_mode(0o644))
    };
    write("README.md", readme.as_bytes())?;
    for chapter in chapters {
        if let Some(sample) = &chapter.sample {
            write(&sample_name(chapter.position, sample), &sample.content)?;
        }
    }
    match fs::rename(&filling, target) {
        // another sandbox was quicker
        Err(_) if target.exists() => fs::remove_dir_all(&filling),
        done => done,
    }
}

async fn chapter(
    house: &House,
    scratch: &Path,
    competition: &Competition,
    phases: &[Phase],
    phase: &Phase,
) -> Result<Chapter, GuideError> {
    let names = |key: &str, own: &str| {
        (competition.named("zh", key, own).to_owned(), competition.named("en", key, own).to_owned())
    };
    let mut tasks = Vec::new();
    if phase.time(house.clock.now()) == PhaseTime::Open {
        let known = contest_db::tasks_of_phase(&mut *house.db.read().await?, phase.id).await?;
        for task in known {
            let expected = expected::expected(house, competition.id, &task.definition).await?;
            tasks.push((names(&format!("tasks.{}", task.position), &task.definition.name), expected));
        }
    }
    Ok(Chapter {
        position: phase.position,
        name: names(&format!("phases.{}", phase.position), &phase.definition.name),
        starts_at: phase.starts_at,
        ends_at: phase.ends_at,
        results_only: phase.definition.accepts_only_result_submissions,
        tasks,
        sample: sample(house, scratch, competition, phases, phase).await?,
    })
}

/// A sample of a result file, from what the competition gives out for the phase: one that is called so.
async fn sample(
    house: &House,
    scratch: &Path,
    competition: &Competition,
    phases: &[Phase],
    phase: &Phase,
) -> Result<Option<Found>, StoreError> {
    let is_sample = |name: &str| {
        let of_results = ["sample_submission", "sample_result"].iter().any(|stem| name.starts_with(stem));
        of_results && [".csv", ".parquet", ".zip"].iter().any(|ending| name.ends_with(ending))
    };
    let mut given = given::given_out(&competition.definition, phases, house.clock.now(), false);
    given.retain(|given| {
        matches!(given.kind, Use::StartingKit | Use::PublicData) && given.phases.contains(&phase.position)
    });
    for given in given {
        let stored = contest_db::file(&mut *house.db.read().await?, competition.id, &given.path).await?;
        let Some(stored) = stored else { continue };
        match kit::find(house, scratch, &stored, is_sample, SAMPLE_BYTES).await {
            Ok(None) => {}
            Ok(found) => return Ok(found),
            Err(error) => {
                tracing::warn!(competition = competition.slug, path = given.path, %error, "no sample was looked for");
            }
        }
    }
    Ok(None)
}

/// What a sample is called in the folder.
fn sample_name(phase: i64, sample: &Found) -> String {
    let ending = sample.name.rsplit_once('.').map_or("", |(_, ending)| ending);
    format!("sample-phase-{phase}.{ending}")
}

/// The text in Chinese, then in English.
fn readme(title: (&str, &str), chapters: &[Chapter], packages: &[String]) -> String {
    let mut text = format!("# {}\n\n{HOW_ZH}", title.0);
    if !packages.is_empty() {
        text.push_str(&format!(
            "\n主办方提供的扩展包（沙箱和提交的程序都可 import）：{}\n",
            packages.join("、")
        ));
    }
    for chapter in chapters {
        text.push_str(&phase_zh(chapter));
    }
    text.push_str(&format!("\n---\n\n# {}\n\n{HOW_EN}", title.1));
    if !packages.is_empty() {
        let names = packages.join(", ");
        text.push_str(&format!(
            "\nThe organizer's packages, to import here and in programs that are submitted: {names}\n"
        ));
    }
    for chapter in chapters {
        text.push_str(&phase_en(chapter));
    }
    text
}

fn span(chapter: &Chapter, open: &str) -> String {
    let minute = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M UTC").to_string();
    let end = chapter.ends_at.map_or_else(|| open.to_owned(), minute);
    format!("{} — {end}", minute(chapter.starts_at))
}

fn phase_zh(chapter: &Chapter) -> String {
    let Chapter { position, name, .. } = chapter;
    let mut text = format!("\n## 阶段 {position}：{}\n\n{}\n\n", name.0, span(chapter, "无截止时间"));
    text.push_str(match chapter.results_only {
        true => "只接收结果文件：.csv、.parquet，或由它们组成的 .zip。\n",
        false => "接收结果文件（.csv、.parquet，或由它们组成的 .zip）和程序（含 metadata.yaml 的 .zip，或单个 .py）。\n",
    });
    for (task, expected) in &chapter.tasks {
        text.push_str(&format!("\n任务“{}”：\n", task.0));
        match expected.columns.is_empty() {
            true => text.push_str("\n结果文件的格式见竞赛页面“评测”。\n"),
            false => text.push_str(&columns("结果文件的列：", "示例：", expected)),
        }
        if expected.models && !chapter.results_only {
            text.push_str("- 也可只提交模型（.onnx），不写程序：模型可读取的列见“提交”页\n");
        }
    }
    if let Some(sample) = &chapter.sample {
        text.push_str(&format!("\n样例文件：`{TARGET}/{}`\n", sample_name(*position, sample)));
    }
    text
}

fn phase_en(chapter: &Chapter) -> String {
    let Chapter { position, name, .. } = chapter;
    let mut text = format!("\n## Phase {position}: {}\n\n{}\n\n", name.1, span(chapter, "no end"));
    text.push_str(match chapter.results_only {
        true => "Results only: .csv, .parquet, or a .zip of them.\n",
        false => "Results (.csv, .parquet, or a .zip of them) and programs (a .zip with metadata.yaml, or one .py).\n",
    });
    for (task, expected) in &chapter.tasks {
        text.push_str(&format!("\nTask “{}”:\n", task.1));
        match expected.columns.is_empty() {
            true => text
                .push_str("\nThe tab Evaluation of the competition's page says what a result file holds.\n"),
            false => text.push_str(&columns("Columns of a result file: ", "As in:", expected)),
        }
        if expected.models && !chapter.results_only {
            text.push_str(
                "- Or a model (.onnx) without a program: the Submit page has the columns that it may read\n",
            );
        }
    }
    if let Some(sample) = &chapter.sample {
        text.push_str(&format!("\nA sample: `{TARGET}/{}`\n", sample_name(*position, sample)));
    }
    text
}

fn columns(word: &str, sample: &str, expected: &Expected) -> String {
    let names: Vec<_> = expected.columns.iter().map(|column| format!("`{column}`")).collect();
    let mut text = format!("\n- {word}{}\n", names.join(", "));
    if !expected.rows.is_empty() {
        text.push_str(&format!("- {sample}\n\n      {}\n", expected.columns.join(",")));
        for row in &expected.rows {
            text.push_str(&format!("      {}\n", row.join(",")));
        }
    }
    text
}

const HOW_ZH: &str = "\
在终端运行（笔记本中在前面加 `!`）：

    submit 文件 [-m 说明] [--phase 阶段序号]

不写 `--phase` 即提交到当前阶段。文件以您的名义提交，规则与网页提交相同；还可提交几次见竞赛页面“提交”。
排队、运行和成绩直接显示在终端；按 Ctrl-C 只是不再等待，提交仍继续。从沙箱提交的文件不能再下载，请自行留存。
";

const HOW_EN: &str = "\
In a terminal (in a notebook, with `!` before it):

    submit FILE [-m MESSAGE] [--phase N]

Without `--phase` it goes to the current phase. It is submitted in your name, by the same rules as on the page; \
the tab Submit there says how many are left.
The queue, the run and the score are shown in the terminal; Ctrl-C only stops waiting, and the submission goes on. \
What is submitted from a sandbox cannot be downloaded again: keep your copy.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_says_in_both_languages_what_each_phase_expects() {
        let row = |id: &str| vec![id.to_owned(), "0.0".to_owned()];
        let expected = Expected {
            columns: vec!["row_id".into(), "arr_delay".into()],
            rows: vec![row("7"), row("8")],
            models: true,
        };
        let chapter = |position, results_only, tasks, sample| Chapter {
            position,
            name: ("反馈".to_owned(), "Feedback".to_owned()),
            starts_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            ends_at: None,
            results_only,
            tasks,
            sample,
        };
        let sample = Found { name: "sample_submission.csv".to_owned(), content: b"row_id".to_vec() };
        let chapters = [
            chapter(0, false, vec![(("任务".to_owned(), "Task".to_owned()), expected)], Some(sample)),
            chapter(1, true, vec![(("任务".to_owned(), "Task".to_owned()), Expected::default())], None),
        ];
        insta::assert_snapshot!(readme(("航班", "Flights"), &chapters, &[]));
        let with = readme(("航班", "Flights"), &chapters, &["thing 1.0".to_owned()]);
        assert_eq!(with.matches("thing 1.0").count(), 2, "{with}");
    }
}
