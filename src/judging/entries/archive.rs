//! Everything that was submitted, as one ZIP: a folder for each entry, named by its number, with what it says
//! as JSON, its report and its pictures. Names in it are ours alone. It is written while it is sent, an entry
//! at a time, so that it takes as little memory for a thousand entries as for one.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, BufReader};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::model::{Entry, EntryFile, FileKind, Version};
use super::{EntryFault, db, files};
use crate::audit::{self, Actor};
use crate::contest::entry::db as entry_db;
use crate::house::House;
use crate::ids::{CompetitionId, EntryFileId};

/// Bytes gathered before they are sent on.
const PIECE: usize = 64 << 10;
/// Pieces that wait for a slow receiver.
const PIECES: usize = 8;

/// The bytes of the ZIP; an error where something could not be read, so that nobody takes it for whole.
pub struct Archive(mpsc::Receiver<io::Result<Bytes>>);

impl Stream for Archive {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

/// What was submitted of every entry of a competition, those that were taken back among them; a draft is its
/// team's alone. That it was given out is written to the audit log.
///
/// # Errors
/// When the database fails.
pub async fn all(house: &House, competition: CompetitionId, by: Actor) -> Result<Archive, EntryFault> {
    let entries = db::all(&mut *house.db.read().await?, competition).await?;
    let entries: Vec<Entry> = entries.into_iter().filter(|entry| entry.submitted_version.is_some()).collect();
    let row = audit::Entry::new(house.clock.now(), by, "entries.exported", ("competition", competition))
        .competition(competition)
        .detail("entries", entries.len());
    let mut tx = house.db.begin().await?;
    audit::record(&mut tx, row).await?;
    tx.commit().await?;
    let (sender, receiver) = mpsc::channel(PIECES);
    let (house, handle) = (house.clone(), Handle::current());
    tokio::task::spawn_blocking(move || {
        let pipe = Pipe { sender: sender.clone(), gathered: Vec::with_capacity(PIECE) };
        let mut pack = Pack { house, handle, zip: ZipWriter::new_stream(pipe) };
        let written = entries.iter().try_for_each(|entry| pack.entry(entry));
        let written = written.and_then(|()| {
            let mut pipe = pack.zip.finish().map_err(io::Error::other)?.into_inner();
            pipe.flush()
        });
        if let Err(error) = written
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            tracing::warn!(%competition, %error, "a ZIP of entries could not be written to its end");
            // whoever went away needs no error
            drop(sender.blocking_send(Err(error)));
        }
    });
    Ok(Archive(receiver))
}

/// Sends on what is written to it.
struct Pipe {
    sender: mpsc::Sender<io::Result<Bytes>>,
    gathered: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE));
        let sent = self.sender.blocking_send(Ok(piece.into()));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody receives it any more"))
    }
}

struct Pack {
    house: House,
    handle: Handle,
    zip: ZipWriter<StreamWriter<Pipe>>,
}

impl Pack {
    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let found = self.handle.block_on(read(&self.house, entry)).map_err(io::Error::other)?;
        let Some(Found { version, files, team, members }) = found else { return Ok(()) };
        let folder = format!("entry-{}", entry.number);
        let content = &version.content;
        let file = |id: EntryFileId| files.iter().find(|file| file.id == id);
        let pictures: Vec<_> = content
            .pictures
            .iter()
            .zip(1..)
            .filter_map(|(picture, place)| {
                let file = file(picture.file)?;
                let ending = if file.media_type == "image/png" { "png" } else { "jpg" };
                Some((format!("picture-{place}.{ending}"), picture, file))
            })
            .collect();
        let pdf = content.pdf.and_then(file).filter(|file| file.kind == FileKind::Report);
        let described: Vec<_> = pictures
            .iter()
            .map(
                |(name, picture, file)| json!({"file": name, "caption": picture.caption, "sm3": file.digest}),
            )
            .collect();
        let document = json!({
            "number": entry.number, "team": team, "members": members, "state": entry.state,
            "version": version.number, "submitted_at": entry.submitted_at.map(|at| at.to_string()),
            "withdrawn_reason": entry.withdrawn_reason, "title": content.title, "summary": content.summary,
            "report": (!content.report.is_empty()).then_some("report.md"),
            "pdf": pdf.map(|file| json!({"file": "report.pdf", "sm3": file.digest})),
            "pictures": described, "demo": content.demo, "submission": content.submission,
        });
        let document = serde_json::to_vec_pretty(&document)?;
        self.text(&format!("{folder}/entry.json"), &document)?;
        if !content.report.is_empty() {
            self.text(&format!("{folder}/report.md"), content.report.as_bytes())?;
        }
        for (name, _, file) in &pictures {
            self.object(&format!("{folder}/{name}"), entry, file)?;
        }
        match pdf {
            Some(file) => self.object(&format!("{folder}/report.pdf"), entry, file),
            None => Ok(()),
        }
    }

    fn begin(&mut self, name: &str, method: CompressionMethod) -> io::Result<()> {
        let options = SimpleFileOptions::default().compression_method(method);
        // the time would make two of the same ZIP differ
        let options = options.last_modified_time(DateTime::default()).unix_permissions(0o644);
        self.zip.start_file(name, options).map_err(io::Error::other)
    }

    fn text(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.begin(name, CompressionMethod::Deflated)?;
        self.zip.write_all(bytes)
    }

    /// A picture or PDF, which deflating makes no smaller.
    fn object(&mut self, name: &str, entry: &Entry, file: &EntryFile) -> io::Result<()> {
        self.begin(name, CompressionMethod::Stored)?;
        let open = async {
            let mut conn = self.house.db.read().await?;
            files::open_any(&self.house, &mut conn, entry.id, file.id).await
        };
        let (_, reader) = self.handle.block_on(open).map_err(io::Error::other)?;
        let mut reader = BufReader::with_capacity(PIECE, reader);
        let mut piece = vec![0; PIECE];
        loop {
            let read = self.handle.block_on(reader.read(&mut piece))?;
            if read == 0 {
                return Ok(());
            }
            self.zip.write_all(&piece[..read])?;
        }
    }
}

/// What is written of an entry.
struct Found {
    version: Version,
    files: Vec<EntryFile>,
    team: String,
    members: Vec<String>,
}

async fn read(house: &House, entry: &Entry) -> Result<Option<Found>, EntryFault> {
    let mut conn = house.db.read().await?;
    let Some(number) = entry.submitted_version else { return Ok(None) };
    let Some(version) = db::version_of(&mut conn, entry.id, number).await? else { return Ok(None) };
    let files = db::files(&mut conn, entry.id).await?;
    let team = entry_db::team_by_id(&mut conn, entry.team).await?.map(|team| team.name).unwrap_or_default();
    let members = entry_db::members(&mut conn, entry.team).await?.into_iter();
    let members = members.filter(|member| member.left_at.is_none()).map(|member| member.name).collect();
    Ok(Some(Found { version, files, team, members }))
}
