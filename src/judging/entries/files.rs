//! Files of entries: taken in, kept, opened, forgotten.

use tokio::sync::Semaphore;

use super::model::{Content, Entry, EntryFile, FileFacts, FileKind, Picture};
use super::pdf::{self, PdfError};
use super::picture::{self, PictureError};
use super::{CAPTION, EntryFault, db};
use crate::contest::definition::EntryRules;
use crate::house::House;
use crate::ids::{EntryFileId, EntryId, UserId};
use crate::store::{Connection, ObjectKey, ObjectReader, StoreError, Tx};

/// Pictures that are decoded at a time in this process: each may take hundreds of megabytes.
static DECODING: Semaphore = Semaphore::const_new(2);

/// A file that was looked over and is not kept yet.
pub struct Incoming {
    kind: FileKind,
    media_type: &'static str,
    bytes: Vec<u8>,
    width: u32,
    height: u32,
    facts: FileFacts,
    caption: String,
}

/// Looks a file over, and encodes a picture anew.
///
/// # Errors
/// [`EntryFault::Picture`] or [`EntryFault::Pdf`] for what cannot be taken.
pub async fn look_over(kind: FileKind, bytes: Vec<u8>, caption: &str) -> Result<Incoming, EntryFault> {
    let _one = DECODING.acquire().await;
    let caption: String = caption.trim().chars().take(CAPTION).collect();
    let looking = tokio::task::spawn_blocking(move || match kind {
        FileKind::Picture => {
            let picture::Encoded { bytes, media_type, width, height } = picture::encode_anew(&bytes)?;
            let facts = FileFacts::default();
            Ok(Incoming { kind, media_type, bytes, width, height, facts, caption })
        }
        FileKind::Report => {
            let facts = pdf::inspect(&bytes)?;
            Ok(Incoming { kind, media_type: "application/pdf", bytes, width: 0, height: 0, facts, caption })
        }
    });
    // a decoder that panics on a broken file has refused it
    looking.await.unwrap_or_else(|_| Err(PictureError::Broken("the decoder gave up".to_owned()).into()))
}

impl From<PictureError> for EntryFault {
    fn from(error: PictureError) -> Self {
        Self::Picture(error)
    }
}

impl From<PdfError> for EntryFault {
    fn from(error: PdfError) -> Self {
        Self::Pdf(error)
    }
}

/// A file that was kept, with the caption it came with.
pub(super) struct Kept {
    file: EntryFile,
    caption: String,
}

/// Keeps files beside those that are there, within the team's room. The objects of what is not committed are for
/// the caller to delete.
pub(super) async fn keep(
    house: &House,
    tx: &mut Tx,
    rules: &EntryRules,
    entry: &Entry,
    by: UserId,
    pictures: Vec<Incoming>,
    pdf: Option<Incoming>,
) -> Result<Vec<Kept>, EntryFault> {
    let there: u64 = db::files(tx, entry.id).await?.iter().map(|file| file.size).sum();
    let incoming: Vec<Incoming> = pictures.into_iter().chain(pdf).collect();
    let added: u64 = incoming.iter().map(|file| file.bytes.len() as u64).sum();
    if added > 0 && there + added > rules.total_bytes {
        return Err(EntryFault::NoRoom { limit: rules.total_bytes });
    }
    let mut kept = Vec::new();
    for file in incoming {
        match keep_one(house, tx, entry, by, file).await {
            Ok(one) => kept.push(one),
            Err(fault) => {
                delete(house, &kept).await;
                return Err(fault);
            }
        }
    }
    Ok(kept)
}

async fn keep_one(
    house: &House,
    tx: &mut Tx,
    entry: &Entry,
    by: UserId,
    incoming: Incoming,
) -> Result<Kept, EntryFault> {
    let id: EntryFileId = house.entropy.id(&house.clock);
    let key = ObjectKey::plain(format!("entries/{}/{id}", entry.id))?;
    let stored = house.objects.put_bytes(&key, &incoming.bytes).await?;
    let file = EntryFile {
        id,
        entry: entry.id,
        kind: incoming.kind,
        media_type: incoming.media_type.to_owned(),
        size: stored.size,
        width: incoming.width,
        height: incoming.height,
        digest: stored.sm3.to_string(),
        object_key: key.as_str().to_owned(),
        facts: incoming.facts,
        added_at: house.clock.now(),
        added_by: by,
    };
    let kept = Kept { file, caption: incoming.caption };
    if let Err(error) = db::insert_file(tx, &kept.file).await {
        delete(house, std::slice::from_ref(&kept)).await;
        return Err(error.into());
    }
    Ok(kept)
}

/// Enters files that were kept into what an entry says.
pub(super) fn enter(content: &mut Content, kept: &[Kept], rules: &EntryRules) -> Result<(), EntryFault> {
    for Kept { file, caption } in kept {
        match file.kind {
            FileKind::Picture => content.pictures.push(Picture { file: file.id, caption: caption.clone() }),
            FileKind::Report => content.pdf = Some(file.id),
        }
    }
    let most = usize::try_from(rules.pictures).unwrap_or(usize::MAX);
    if content.pictures.len() > most && kept.iter().any(|kept| kept.file.kind == FileKind::Picture) {
        return Err(EntryFault::TooManyPictures { most });
    }
    Ok(())
}

/// Forgets the files that neither the draft nor a version names, and gives them, so that their objects go too
/// once that is committed.
pub(super) async fn forget_unnamed(tx: &mut Tx, id: EntryId) -> Result<Vec<Kept>, EntryFault> {
    let draft = db::draft(tx, id).await?;
    let versions = db::versions(tx, id).await?;
    let contents = versions.iter().map(|version| &version.content).chain([&draft.content]);
    let named: Vec<EntryFileId> = contents.flat_map(Content::files).collect();
    let mut gone = Vec::new();
    for file in db::files(tx, id).await?.into_iter().filter(|file| !named.contains(&file.id)) {
        db::forget_file(tx, file.id).await?;
        gone.push(Kept { file, caption: String::new() });
    }
    Ok(gone)
}

/// Deletes the objects of files that are not kept.
pub(super) async fn delete(house: &House, files: &[Kept]) {
    for Kept { file, .. } in files {
        let deleted = async { house.objects.delete(&file.object_key.parse()?).await };
        if let Err(error) = deleted.await {
            tracing::warn!(file = %file.id, %error, "a file of an entry could not be removed");
        }
    }
}

/// A file that this content names, to be read. Whoever asks was let in by the caller.
///
/// # Errors
/// [`EntryFault::NoFile`] where the content names none of this id.
pub async fn open(
    house: &House,
    conn: &mut Connection,
    entry: EntryId,
    content: &Content,
    id: EntryFileId,
) -> Result<(EntryFile, ObjectReader), EntryFault> {
    match content.files().any(|named| named == id) {
        true => open_any(house, conn, entry, id).await,
        false => Err(EntryFault::NoFile),
    }
}

/// Any file of an entry that is kept, for its team and for organizers.
///
/// # Errors
/// [`EntryFault::NoFile`] where there is none of this id.
pub async fn open_any(
    house: &House,
    conn: &mut Connection,
    entry: EntryId,
    id: EntryFileId,
) -> Result<(EntryFile, ObjectReader), EntryFault> {
    let file = db::file_of(conn, entry, id).await?.ok_or(EntryFault::NoFile)?;
    let reader = house.objects.get_stream(&file.object_key.parse().map_err(StoreError::Object)?).await?;
    Ok((file, reader))
}
