//! `shuyu competitions download`, and the bars of what goes up and down.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;

use super::dto::{File, List, Problem};
use super::server::Server;
use super::show::clean;
use super::verbs::competition_path;
use super::{Done, DownloadArgs, Failure};
use crate::crypto::Sm3Hasher;

/// A bar for so many bytes; none when `quiet`, and none where nobody watches.
pub(super) fn bar(bytes: u64, what: &str, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let template = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bytes).with_style(style.progress_chars("=> ")).with_message(clean(what))
}

/// `shuyu competitions download`.
pub(super) async fn download_all(args: &DownloadArgs) -> Done {
    let server = Server::of(&args.common)?;
    let list: List<File> = server.get(&format!("{}/files", competition_path(&args.competition))).await?;
    let wanted: Vec<&File> = match &args.file {
        Some(name) => list.items.iter().filter(|file| file.name == *name || file.path == *name).collect(),
        None => list.items.iter().collect(),
    };
    if wanted.is_empty() {
        let title = match &args.file {
            Some(name) => format!("the competition has no file {name:?} to download"),
            None => "the competition has no files to download now".to_owned(),
        };
        let mend = format!("`shuyu competitions files {}` lists what there is", args.competition);
        return Err(Failure::Refused(Box::new(Problem { title, mend, ..Problem::default() })));
    }
    fs::create_dir_all(&args.path).with_context(|| format!("cannot make {}", args.path.display()))?;
    for file in wanted {
        download(&server, args, file).await?;
    }
    Ok(())
}

fn digest_of(path: &Path) -> anyhow::Result<String> {
    let open = fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Sm3Hasher::digest_reader(open)?.0.to_string())
}

async fn download(server: &Server, args: &DownloadArgs, file: &File) -> Done {
    // the server's name for it may not lead out of the folder
    let name = Path::new(&file.name).file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| anyhow!("the server's name {:?} is no file name", clean(&file.name)))?;
    let target = args.path.join(name);
    if target.exists() && !args.force {
        if digest_of(&target)? == file.digest {
            println!("{}: here already", target.display());
            return Ok(());
        }
        let title = format!("{} exists and differs from the server's file", target.display());
        let mend = "give another folder with -p, or --force to replace it".to_owned();
        return Err(Failure::Refused(Box::new(Problem { title, mend, ..Problem::default() })));
    }
    let part = args.path.join(format!(".{name}.part"));
    let received = receive(server, args, file, &part).await;
    let kept = received.and_then(|()| {
        let renamed = fs::rename(&part, &target);
        Ok(renamed.with_context(|| format!("cannot write {}", target.display()))?)
    });
    if kept.is_err() {
        let _ = fs::remove_file(&part);
    }
    kept?;
    println!("{}", target.display());
    Ok(())
}

async fn receive(server: &Server, args: &DownloadArgs, file: &File, part: &Path) -> Done {
    let response = server.send(server.request(Method::GET, &file.url)).await?;
    let bar = bar(file.size, &file.name, args.common.quiet);
    let mut out = fs::File::create(part).with_context(|| format!("cannot write {}", part.display()))?;
    let mut content = response.bytes_stream();
    while let Some(chunk) = content.next().await {
        let chunk = chunk.map_err(|error| server.unreachable(&error))?;
        out.write_all(&chunk).with_context(|| format!("cannot write {}", part.display()))?;
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    drop(out);
    match digest_of(part)? == file.digest {
        true => Ok(()),
        false => Err(anyhow!("{} arrived damaged; download it again", clean(&file.name)).into()),
    }
}
