//! Homes on their way to the object store and back: a tar of what a participant's home holds, sealed,
//! through a pipe, so that neither memory nor another disk has to hold it. The newest is kept.

use std::io::{self, PipeWriter};

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use tokio::net::unix::pipe;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::io::{ReaderStream, StreamReader};

use super::{Held, Keeper};
use crate::audit::{self, Actor, Entry};
use crate::ids::HomeId;
use crate::lab::ask::announce;
use crate::lab::db as lab_db;
use crate::lab::homes::db;
use crate::lab::model::{Sandbox, State};
use crate::sandbox::{Home, SandboxError, Snapshot, SnapshotLimits};
use crate::store::{ObjectError, ObjectKey, Objects, StoreError};

/// Bytes read at once of a home's tar: what a pipe holds.
const PIECE: usize = 64 << 10;

/// Why a home did not get to the store, or back.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    #[error(transparent)]
    Home(#[from] SandboxError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("the home cannot be passed on: {0}")]
    Io(#[from] io::Error),
    #[error("the home was removed meanwhile")]
    Removed,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CopyError {
    /// The stable word that its owner is told.
    fn reason(&self) -> &'static str {
        match self {
            Self::Home(_) | Self::Io(_) | Self::Removed => "home",
            Self::Object(ObjectError::Full { .. }) => "full",
            Self::Object(_) | Self::Store(_) => "store",
        }
    }
}

impl Keeper {
    /// Copies the home of a sandbox whose programs rest to the store, in place of the copy that is there.
    /// What goes wrong is put down for its owner, and tried again at the next stop.
    pub(super) async fn copy_home(&self, sandbox: &Sandbox, home: &Home) {
        let copied = self.try_copy(sandbox, home).await;
        let Err(error) = copied else { return };
        tracing::error!(home = %sandbox.home, %error, "a home could not be copied to the store");
        let noted = async {
            let mut tx = self.means().house.db.begin().await?;
            db::set_problem(&mut tx, sandbox.home, error.reason()).await?;
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::error!(home = %sandbox.home, %error, "nor could that be written down");
        }
    }

    async fn try_copy(&self, sandbox: &Sandbox, home: &Home) -> Result<(), CopyError> {
        let house = &self.means().house;
        let now = house.clock.now();
        let before = lab_db::home_by_id(&mut *house.db.read().await?, sandbox.home).await?;
        let key = fresh_key(sandbox.home, &hex::encode(house.entropy.bytes::<8>()))?;
        let (stored, held) = put(&house.objects, &key, home).await?;
        let mut tx = house.db.begin().await?;
        if !db::set_snapshot(&mut tx, sandbox.home, key.as_str(), now).await? {
            drop(tx);
            house.objects.delete(&key).await?;
            return Err(CopyError::Removed);
        }
        let entry = Entry::new(now, Actor::System, "home.copied", ("home", sandbox.home))
            .competition(sandbox.competition)
            .detail("bytes", stored)
            .detail("files", u64::try_from(held.files).unwrap_or(u64::MAX))
            .detail("left_out", u64::try_from(held.left_out).unwrap_or(u64::MAX));
        audit::record(&mut tx, entry).await?;
        announce(&mut tx, now, sandbox.id, sandbox.state).await?;
        tx.commit().await?;
        house.ring();
        if let Some((old, _)) = before.and_then(|home| home.snapshot)
            && let Err(error) = house.objects.delete(&old.parse()?).await
        {
            tracing::warn!(object = old, %error, "the copy before the last one could not be removed");
        }
        Ok(())
    }

    /// Fills an empty home from its copy in the store; gives of when that is.
    pub(super) async fn restore_home(
        &self,
        home: &Home,
        (key, taken_at): &(String, Timestamp),
    ) -> Result<Timestamp, CopyError> {
        take(&self.means().house.objects, &key.parse()?, home).await?;
        Ok(*taken_at)
    }

    /// Copies the homes of sandboxes in use whose owners asked for it; each rests as long as that takes.
    pub(super) async fn copy_asked(&self, tasks: &mut JoinSet<()>) -> Result<(), StoreError> {
        let means = self.means();
        let asked = db::copies_asked(&mut *means.house.db.read().await?, &means.host).await?;
        for sandbox in asked {
            let Some(held) = self.get(sandbox.id) else { continue };
            if let Some(mark) = self.copying().mark(sandbox.id) {
                let keeper = self.clone();
                tasks.spawn(async move {
                    keeper.copy_at_rest(&sandbox, &held).await;
                    drop(mark);
                });
            }
        }
        Ok(())
    }

    async fn copy_at_rest(&self, sandbox: &Sandbox, held: &Held) {
        // nobody has it go on, or rest, before the copy is whole
        let _turn = held.turn.lock().await;
        let known = match self.means().house.db.read().await {
            Ok(mut conn) => lab_db::by_id(&mut conn, sandbox.id).await,
            Err(error) => Err(error),
        };
        let state = match known {
            Ok(known) => known.map_or(sandbox.state, |known| known.state),
            Err(error) => {
                tracing::warn!(sandbox = %sandbox.id, %error, "its home is copied later");
                return;
            }
        };
        if let Err(error) = held.sandbox.pause().await {
            tracing::warn!(sandbox = %sandbox.id, %error, "a sandbox could not be paused for its copy");
        }
        self.copy_home(sandbox, &held.home).await;
        if state != State::Paused
            && let Err(error) = held.sandbox.unpause().await
        {
            tracing::error!(sandbox = %sandbox.id, %error, "a sandbox does not go on after its copy");
        }
    }
}

fn fresh_key(home: HomeId, unique: &str) -> Result<ObjectKey, ObjectError> {
    ObjectKey::hidden(format!("homes/{home}/{unique}.tar"))
}

/// Limits that hold whatever fits in a home.
fn everything(home: &Home) -> Result<SnapshotLimits, SandboxError> {
    let usage = home.usage()?;
    let entries = usize::try_from(usage.inodes).unwrap_or(usize::MAX);
    Ok(SnapshotLimits { entries, bytes: usage.bytes })
}

/// Puts a home's tar into the store; gives its length in bytes, and what is in it. A tar that breaks off
/// is never kept: the stream ends in an error then.
async fn put(objects: &Objects, key: &ObjectKey, home: &Home) -> Result<(u64, Snapshot), CopyError> {
    let limits = everything(home)?;
    let (reader, writer) = io::pipe()?;
    let reader = pipe::Receiver::from_owned_fd(reader.into())?;
    let (tell, told) = tokio::sync::oneshot::channel();
    let packing = pack(home.clone(), writer, limits);
    let end = stream::once(async move {
        let packed =
            packing.await.unwrap_or_else(|error| Err(SandboxError::Spec { what: error.to_string() }));
        let ended = match &packed {
            Ok(_) => Ok(bytes::Bytes::new()),
            Err(_) => Err(io::Error::other("the home could not be read")),
        };
        // nobody waits for it once the store has failed
        let _ = tell.send(packed);
        ended
    });
    let content = Box::pin(ReaderStream::with_capacity(reader, PIECE).chain(end));
    let stored = objects.put_stream(key, StreamReader::new(content), u64::MAX).await;
    match (stored, told.await) {
        (Ok(stored), Ok(Ok(packed))) => Ok((stored.size, packed)),
        (_, Ok(Err(error))) => Err(error.into()),
        (Err(error), _) => Err(error.into()),
        (Ok(_), Err(_)) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

fn pack(
    home: Home,
    writer: PipeWriter,
    limits: SnapshotLimits,
) -> JoinHandle<Result<Snapshot, SandboxError>> {
    // the writer is closed with the task, which is how the other end sees that this is all
    tokio::spawn(async move { home.snapshot(writer, limits).await.map(|(_, packed)| packed) })
}

/// Fills a home from a tar in the store.
async fn take(objects: &Objects, key: &ObjectKey, home: &Home) -> Result<Snapshot, CopyError> {
    let limits = everything(home)?;
    let (reader, writer) = io::pipe()?;
    let mut rest = reader.try_clone()?;
    let unpacking = async {
        let unpacked = home.restore(reader, limits).await;
        if unpacked.is_ok() {
            // what follows the end of the archive, up to the seal of the last piece
            let drained = tokio::task::spawn_blocking(move || io::copy(&mut rest, &mut io::sink())).await;
            drained.map_err(io::Error::from)??;
        }
        Ok::<_, CopyError>(unpacked?)
    };
    let (unpacked, poured) = tokio::join!(unpacking, objects.pour_home(key, writer));
    match (unpacked, poured) {
        (Ok(unpacked), Ok(_)) => Ok(unpacked),
        // it hangs up on the store when it refuses the archive
        (Err(error), Ok(_) | Err(ObjectError::File { .. })) => Err(error),
        (_, Err(error)) => Err(error.into()),
    }
}
