//! `shuyu competition check|import|publish|list`: competitions from folders.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{Common, assembly, block_on, competition_check};
use crate::audit::Actor;
use crate::clock::{Clock, Entropy};
use crate::contest::bundle;
use crate::contest::{db as contest_db, export, import};
use crate::house::House;

/// What `shuyu competition` takes.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Say everything that is wrong with a bundle
    Check(competition_check::CompetitionCheckArgs),
    /// Take a bundle in; the folder's name becomes the competition's short name
    Import(ImportArgs),
    /// Let everybody see a competition
    Publish(NameArgs),
    /// Write a competition as a bundle that imports to the same competition
    Export(ExportArgs),
    /// List the competitions
    List,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ImportArgs {
    /// The folder that holds competition.yaml, or a zip of it
    bundle: PathBuf,
    /// The short name in addresses; the folder's name when not given
    #[arg(long)]
    slug: Option<String>,
    /// Login of the organizer it belongs to
    #[arg(long)]
    owner: String,
    /// Publish it at once
    #[arg(long)]
    publish: bool,
}

#[derive(Args, Clone, Debug)]
pub(super) struct NameArgs {
    /// The competition's short name
    slug: String,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ExportArgs {
    /// The competition's short name
    slug: String,
    /// The zip to write
    #[arg(long)]
    to: PathBuf,
}

pub(super) fn run(common: &Common, command: Command) -> Result<ExitCode> {
    let settings = common.settings(&[])?;
    if let Command::Check(args) = &command {
        let images = crate::sandbox::ImageTable::with(settings.images);
        let knows = |name: &str| images.local(name).is_ok();
        let table =
            bundle::ImageTable { knows: &knows, setting: "SHUYU_IMAGES (or [images] in the configuration)" };
        return Ok(competition_check::run_with_images(&args.bundle, args.json, Some(table)));
    }
    block_on(async {
        let house = assembly::house(&settings, Clock::system()).await?;
        let done = act(&house, command).await;
        house.db.close().await;
        done
    })
}

async fn act(house: &House, command: Command) -> Result<ExitCode> {
    match command {
        Command::Check(_) => {}
        Command::Import(args) => return import_bundle(house, &args).await,
        Command::Publish(args) => {
            let competition = import::publish(house, &args.slug, None).await?;
            println!("{} is published", competition.slug);
        }
        Command::Export(args) => {
            export::export(house, &args.slug, Actor::Operator, &args.to).await?;
            println!("wrote {}", args.to.display());
        }
        Command::List => {
            for c in contest_db::competitions(&mut *house.db.read().await?).await? {
                let state = if c.published_at.is_some() { "published" } else { "draft" };
                println!("{}\t{state}\trevision {}\t{}", c.slug, c.revision, c.title("zh"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn import_bundle(house: &House, args: &ImportArgs) -> Result<ExitCode> {
    let scratch = std::env::temp_dir().join(format!("shuyu-import-{}", hex::encode(Entropy.bytes::<8>())));
    // the bundle's hidden data lies in it
    super::private_directory(&scratch)?;
    let done = import_with(house, args, &scratch).await;
    std::fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    done
}

async fn import_with(house: &House, args: &ImportArgs, scratch: &std::path::Path) -> Result<ExitCode> {
    let (staging, packed) = (scratch.join("bundle"), scratch.join("packed"));
    std::fs::create_dir(&staging)?;
    std::fs::create_dir(&packed)?;
    let (bundle, report) = bundle::read(&args.bundle, &staging, &bundle::Limits::default())?;
    eprint!("{report}");
    let Some(bundle) = bundle else { bail!("nothing was imported: mend the errors above first") };
    let stem = std::path::absolute(&args.bundle)?;
    let stem = stem.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_owned();
    let slug = args.slug.clone().unwrap_or(stem);
    let owner = super::dataset::user(house, &args.owner).await?;
    let imported = import::import(house, &bundle, &slug, owner, &packed).await?;
    for change in &imported.changes {
        let shown = |value: &Option<serde_json::Value>| {
            value.as_ref().map_or("(none)".to_owned(), ToString::to_string)
        };
        println!("changed {}: {} → {}", change.path, shown(&change.old), shown(&change.new));
    }
    for file in &imported.files {
        println!("stored {file}");
    }
    let what = match (imported.created, imported.changes.is_empty() && imported.files.is_empty()) {
        (true, _) => "imported",
        (false, true) => "unchanged",
        (false, false) => "re-imported",
    };
    if args.publish {
        import::publish(house, &slug, Some(owner)).await?;
    }
    println!("{slug}: {what}, revision {}", imported.competition.revision);
    Ok(ExitCode::SUCCESS)
}
