//! Puts the rooms together from the settings: the database, the object store, the engine.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::clock::{Clock, Entropy};
use crate::config::{ObjectsKind, Settings};
use crate::contest::packages::cache::PackageCache;
use crate::crypto::{KeyFile, Sealer};
use crate::house::House;
use crate::lab::door::Door;
use crate::lab::keeper::{Keeper, Means};
use crate::sandbox::{Engine, Homes, ImageTable, SandboxSettings};
use crate::store::{Db, ObjectPlace, Objects, S3Settings};
use crate::submission::run::{self, Carrier};
use crate::submission::worker::Worker;
use crate::web::Terminal;
use crate::web::limits::Limits;

/// Bytes of the disk that homes leave free.
const HOMES_RESERVE: u64 = 2 << 30;

/// Opens the database and the object store; makes what is missing in the data directory.
///
/// # Errors
/// When a directory, the key file, the database or the object store cannot be used.
pub async fn house(settings: &Settings, clock: Clock) -> Result<House> {
    crate::crypto::self_test().context("the cryptographic self-test failed; do not use this build")?;
    std::fs::create_dir_all(&settings.data_dir)
        .with_context(|| format!("cannot make the data directory {}", settings.data_dir.display()))?;
    let is_new = !settings.key_file.exists();
    let keys = KeyFile::load_or_create(&settings.key_file, &Entropy)?;
    let objects = Objects::open(&object_place(settings), Sealer::new(keys))?;
    if let Some(foreign) = objects.foreign_key().await? {
        if is_new {
            std::fs::remove_file(&settings.key_file).context("cannot remove the key file just made")?;
        }
        let path = settings.key_file.display();
        anyhow::bail!(
            "the hidden data is sealed with master key {foreign}, which {path} does not hold; put the key \
             file that belongs to this data there (a backup made with --with-key has it), or set SHUYU_KEY_FILE"
        );
    }
    let db = Db::connect(&settings.database).await.context("cannot open the database")?;
    Ok(House::new(db, objects, clock).taking_daily(settings.upload.daily_bytes))
}

/// Where the objects lie.
pub(crate) fn object_place(settings: &Settings) -> ObjectPlace {
    let o = &settings.objects;
    match o.kind {
        ObjectsKind::Local => ObjectPlace::Directory(settings.data_dir.join("objects")),
        ObjectsKind::S3 => ObjectPlace::S3(S3Settings {
            endpoint: o.endpoint.clone(),
            bucket: o.bucket.clone(),
            region: o.region.clone(),
            access_key: o.access_key.clone(),
            secret_key: o.secret_key.0.clone(),
            allow_http: o.allow_http,
            path_style: true,
        }),
    }
}

/// Connects to the Docker engine and gives what carries runs.
///
/// # Errors
/// When the engine cannot be reached or the work directory cannot be used.
pub async fn carrier(settings: &Settings, house: House, instance: &str) -> Result<Carrier> {
    let work_dir = absolute(&settings.work_dir)?;
    std::fs::create_dir_all(&work_dir)
        .with_context(|| format!("cannot make the work directory {}", work_dir.display()))?;
    let cache = work_dir.join("cache");
    std::fs::create_dir_all(&cache).context("cannot make the cache of public inputs")?;
    run::tidy_cache(&cache).context("cannot tidy the cache of public inputs")?;
    let packages =
        PackageCache::open(&work_dir.join("packages")).context("cannot make the cache of packages")?;
    for filled in [packages.wheels(), packages.sets()] {
        run::tidy_cache(filled).context("cannot tidy the cache of packages")?;
    }
    let engine = Engine::connect(SandboxSettings {
        instance: instance.to_owned(),
        work_dir,
        runtime: match settings.runtime {
            crate::config::Runtime::Runc => "runc".to_owned(),
            crate::config::Runtime::Runsc => "runsc".to_owned(),
        },
        socket: settings.docker_host.strip_prefix("unix://").map(PathBuf::from),
        clock: house.clock.clone(),
    })
    .await?;
    if let Err(error) = engine.check_relay() {
        tracing::warn!(%error, "apps that are submitted will fail here, without using quota");
    }
    let images = ImageTable::with(settings.images.clone());
    let scorer = std::env::current_exe().context("cannot find our own binary, which scores")?;
    let gpus = settings.sandboxes.gpu_grants();
    Ok(Carrier { house, engine, images, gpus, scorer, cache, packages })
}

/// The keeper of this worker's sandboxes, where browsers can reach them.
///
/// # Errors
/// When the directories for homes, data and sockets cannot be made. Where the engine's runtime lets no relay in,
/// there is none, and the log says why.
pub async fn keeper(
    settings: &Settings,
    carrier: &Carrier,
    host: &str,
    limits: &Arc<Limits>,
) -> Result<Option<Keeper>> {
    if Door::of(settings).is_none() || settings.sandboxes.places == 0 {
        return Ok(None);
    }
    if let Err(error) = carrier.engine.check_relay() {
        tracing::warn!(%error, "this worker holds neither sandboxes nor apps to try");
        return Ok(None);
    }
    let work_dir = absolute(&settings.work_dir)?;
    let homes_dir = absolute(&settings.data_dir)?.join("homes");
    // the path of a socket has 107 bytes at most
    let sockets_dir = PathBuf::from("/run/shuyu").join(instance_of(settings)?);
    let data_dir = work_dir.join("datasets");
    for directory in [&homes_dir, &data_dir, &sockets_dir] {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    }
    run::tidy_cache(&data_dir).context("cannot tidy the directory of data sets")?;
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&sockets_dir, private).context("cannot close the directory of sockets")?;
    let homes = Homes::probe(&work_dir, HOMES_RESERVE).await?;
    if let Some(why) = homes.why() {
        tracing::warn!(why, "homes are kept in memory and saved when they are stopped");
    }
    Ok(Some(Keeper::new(Means {
        house: carrier.house.clone(),
        engine: carrier.engine.clone(),
        images: carrier.images.clone(),
        gpus: carrier.gpus.clone(),
        homes,
        homes_dir,
        data_dir,
        packages: carrier.packages.clone(),
        sockets_dir,
        host: host.to_owned(),
        settings: settings.sandboxes.clone(),
        upload: settings.upload.clone(),
        clerk: Arc::new(Terminal::new(settings, Arc::clone(limits))?),
        carrier: carrier.clone(),
        demos_dir: work_dir.join("demos"),
    })))
}

/// Has the worker's row say where the sandboxes are reached that its process holds.
pub(crate) fn says_it_holds(worker: Worker, settings: &Settings, keeper: Option<&Keeper>) -> Worker {
    match Door::of(settings).filter(|_| keeper.is_some()) {
        Some(door) => worker.holding(door.pattern(), settings.sandboxes.places),
        None => worker,
    }
}

fn absolute(path: &std::path::Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot make {} absolute", path.display()))
}

/// A work directory that is this process's alone for as long as this is held.
#[derive(Debug)]
pub struct WorkLock {
    _file: std::fs::File,
}

/// Locks the work directory: a second worker on it would take the first one's containers and mounts
/// for forgotten ones and remove them.
///
/// # Errors
/// When another process holds it, or the directory cannot be written.
pub fn lock(settings: &Settings) -> Result<WorkLock> {
    let work_dir = absolute(&settings.work_dir)?;
    let shown = work_dir.display();
    std::fs::create_dir_all(&work_dir).with_context(|| format!("cannot make the work directory {shown}"))?;
    let file = std::fs::File::create(work_dir.join("lock"))
        .with_context(|| format!("cannot write in the work directory {shown}"))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(WorkLock { _file: file }),
        Err(rustix::io::Errno::WOULDBLOCK) => anyhow::bail!(
            "another shuyu works in {shown}: stop it first (it may still be ending its runs), give this one a \
             work directory of its own with SHUYU_WORK_DIR, or start it with --no-worker"
        ),
        Err(error) => Err(error).with_context(|| format!("cannot lock the work directory {shown}")),
    }
}

/// A name for what belongs to this work directory on this machine, the same after a restart.
pub fn instance_of(settings: &Settings) -> Result<String> {
    let work_dir = absolute(&settings.work_dir)?;
    let digest = crate::crypto::sm3(work_dir.as_os_str().as_encoded_bytes()).to_string();
    Ok(digest.chars().take(12).collect())
}
