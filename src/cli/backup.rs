//! `shuyu backup` and `shuyu restore`.

use std::fs::{self, File, OpenOptions};
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::clock::{Clock, Entropy};
use crate::crypto::{KeyFile, KeyRing, MasterKey, Sealer};
use crate::store::backup::{Summary, backup, restore};
use crate::store::{Db, ObjectPlace, Objects};

/// Copies the database and all objects into one file; the service may go on running.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// The archive to write; it must not exist yet
    #[arg(long, value_name = "FILE.tar")]
    pub to: PathBuf,
    /// Put the master keys into the archive too: whoever has it can then open every sealed object
    #[arg(long)]
    pub with_key: bool,
}

/// Restores an archive into an empty data directory or database.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The archive to read
    #[arg(long, value_name = "FILE.tar")]
    pub from: PathBuf,
}

/// Writes the archive, under another name until it is whole, readable by its owner alone.
///
/// # Errors
/// When the file exists or cannot be written, or the database or an object cannot be read; then no
/// archive is left.
pub async fn run_backup(
    args: &BackupArgs,
    db: &Db,
    objects: &Objects,
    clock: &Clock,
) -> anyhow::Result<Summary> {
    if args.to.exists() {
        bail!("{} exists already; name another file", args.to.display());
    }
    let mut part = args.to.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    // What a killed backup left; a file of somebody else's making would not have our mode.
    let _ = fs::remove_file(&part);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .with_context(|| format!("{} cannot be written", part.display()))?;
    let handle = file.try_clone().with_context(|| format!("{} cannot be written", part.display()))?;
    let key = args.with_key.then(|| objects.sealer().ring().clone());
    let bar = spinner("backing up");
    let made = backup(db, objects, clock, key, BufWriter::new(file), told(&bar)).await;
    let kept = made.map_err(anyhow::Error::from).and_then(|summary| {
        handle.sync_all()?;
        fs::rename(&part, &args.to)?;
        Ok(summary)
    });
    bar.finish_and_clear();
    if kept.is_err() {
        // The error to tell is the first one.
        let _ = fs::remove_file(&part);
    }
    let summary = kept.with_context(|| format!("{} was not written", args.to.display()))?;
    eprintln!(
        "{}: {} rows, {} objects, {}",
        args.to.display(),
        summary.rows,
        summary.objects,
        HumanBytes(summary.bytes)
    );
    if !args.with_key {
        eprintln!("The master keys are not in it: keep a copy of the key file apart from it.");
    }
    Ok(summary)
}

/// Restores the archive; writes the key file when the archive brings keys and there is none.
///
/// # Errors
/// When the archive is damaged or of another schema, or the database or the object store is not empty;
/// both are as before then.
pub async fn run_restore(
    args: &RestoreArgs,
    db: &Db,
    place: &ObjectPlace,
    key_file: &Path,
) -> anyhow::Result<Summary> {
    let archive =
        File::open(&args.from).with_context(|| format!("{} cannot be read", args.from.display()))?;
    let present = if key_file.exists() { Some(KeyFile::load(key_file)?) } else { None };
    // Objects come back as they were stored, so restoring needs no key; this one seals nothing.
    let ring = present.clone().unwrap_or_else(|| KeyRing::new(MasterKey::generate(&Entropy)));
    let objects = Objects::open(place, Sealer::new(ring))?;
    let bar = spinner("restoring");
    let restored = restore(db, &objects, archive, told(&bar)).await;
    bar.finish_and_clear();
    let summary = restored.with_context(|| format!("{} was not restored", args.from.display()))?;
    let ring = match (present, &summary.ring) {
        (None, Some(brought)) => {
            KeyFile::restore(key_file, brought, &Entropy)?;
            eprintln!("The master keys were written to {}.", key_file.display());
            Some(brought.clone())
        }
        (present, _) => present,
    };
    let held: Vec<String> = ring.iter().flat_map(KeyRing::ids).map(|id| id.to_string()).collect();
    let missing: Vec<&str> =
        summary.keys.iter().filter(|key| !held.contains(key)).map(String::as_str).collect();
    if !missing.is_empty() {
        eprintln!(
            "Sealed objects need the master keys {}. Put your copy of the key file at {} before you start \
             the service.",
            missing.join(", "),
            key_file.display()
        );
    }
    eprintln!(
        "Restored {} rows and {} objects, {}.",
        summary.rows,
        summary.objects,
        HumanBytes(summary.bytes)
    );
    Ok(summary)
}

fn spinner(doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix}: {bytes}, {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style).with_prefix(doing);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn told(bar: &ProgressBar) -> impl FnMut(&str, u64) + Send + 'static {
    let bar = bar.clone();
    move |path, size| {
        bar.inc(size);
        bar.set_message(path.to_owned());
    }
}
