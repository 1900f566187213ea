//! Which files a sandbox finds in its home: those on this worker's disk, or the copy in the store where
//! they are not (any more); and clearing away homes that were removed or went elsewhere.

use std::collections::HashSet;

use super::Keeper;
use super::copy::CopyError;
use crate::audit::{self, Actor, Entry};
use crate::ids::{HomeId, SandboxId};
use crate::lab::db as lab_db;
use crate::lab::homes::{self, db};
use crate::lab::model::{Home as Known, Sandbox, Wanted};
use crate::sandbox::{Home, HomeKind, HomeQuota, SandboxError};
use crate::store::StoreError;

/// Why a home could not be given to a sandbox.
#[derive(Debug, thiserror::Error)]
pub(super) enum HomeGone {
    /// What is on the disk cannot be opened.
    #[error("the home could not be opened: {0}")]
    Disk(#[from] SandboxError),
    /// It is not on the disk, and its copy could not be fetched.
    #[error("the home could not be restored from its copy: {0}")]
    Copy(#[from] CopyError),
    /// It was on this disk, is there no more, and was never copied: an empty one in its place would hide that.
    #[error("the home's file is not on this worker's disk any more, and there is no copy of it")]
    Lost,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl HomeGone {
    /// The stable word that the sandbox's owner is told.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Disk(_) => "home",
            Self::Copy(_) => "copy",
            Self::Lost => "home-lost",
            Self::Store(_) => "engine",
        }
    }
}

/// What could not be cleared away.
#[derive(Debug, thiserror::Error)]
enum ClearError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the homes cannot be listed: {0}")]
    Io(#[from] std::io::Error),
}

impl Keeper {
    /// Mounts a sandbox's home for its container, with all its files. The database says that a home is on this
    /// disk only once it is there as a whole, so that a restoring that broke off is begun again.
    pub(super) async fn open_home(
        &self,
        sandbox: &Sandbox,
        container: SandboxId,
        known: &Known,
        quota: HomeQuota,
    ) -> Result<Home, HomeGone> {
        let means = self.means();
        let file = self.home_file(sandbox);
        let here = known.host.as_deref() == Some(means.host.as_str()) && means.homes.keeps(&file);
        let copy = known.snapshot.as_ref().filter(|_| !here);
        // one in memory is gone with a crash of the machine
        if known.host.is_some() && !here && copy.is_none() && means.homes.kind() == HomeKind::Image {
            return Err(HomeGone::Lost);
        }
        if copy.is_some() {
            self.note_host(known, None).await?;
            // what an earlier stay here, or a restoring that broke off, has left
            means.homes.erase(&file).await?;
        }
        let home = means.homes.attach(container, &file, quota).await?;
        if let Some(copy) = copy
            && let Err(error) = self.fill_from(sandbox, &home, copy).await
        {
            if let Err(error) = home.detach().await {
                tracing::warn!(sandbox = %sandbox.id, %error, "its home is left to the reaper");
            }
            return Err(error.into());
        }
        self.note_host(known, Some(&means.host)).await?;
        Ok(home)
    }

    async fn fill_from(
        &self,
        sandbox: &Sandbox,
        home: &Home,
        copy: &(String, jiff::Timestamp),
    ) -> Result<(), CopyError> {
        let taken_at = self.restore_home(home, copy).await?;
        tracing::warn!(home = %sandbox.home, %taken_at, "a home was not on this disk; its copy was restored");
        let house = &self.means().house;
        let mut tx = house.db.begin().await?;
        db::set_restored(&mut tx, sandbox.id, taken_at).await?;
        let entry = Entry::new(house.clock.now(), Actor::System, "home.restored", ("home", sandbox.home))
            .competition(sandbox.competition)
            .detail("taken_at", taken_at.to_string());
        audit::record(&mut tx, entry).await?;
        Ok(tx.commit().await?)
    }

    async fn note_host(&self, known: &Known, host: Option<&str>) -> Result<(), StoreError> {
        let mut tx = self.means().house.db.begin().await?;
        lab_db::set_home_host(&mut tx, known.id, host).await?;
        tx.commit().await
    }

    /// Puts the home of a sandbox that has stopped away, copied where it stays.
    pub(super) async fn put_home_away(&self, sandbox: &Sandbox, home: &Home) -> Result<(), SandboxError> {
        match sandbox.wanted {
            // it is mounted again in a moment
            Wanted::Restart => home.detach().await,
            // it goes once the sandbox is over
            Wanted::Reset => home.detach().await,
            Wanted::Running | Wanted::Stopped | Wanted::Dismissed => {
                self.copy_home(sandbox, home).await;
                home.detach().await
            }
        }
    }

    /// Removes homes whose time is over, and clears away what is left of removed ones.
    pub(super) async fn look_after_homes(&self) {
        let means = self.means();
        match homes::remove_due(&means.house, means.settings.keep_homes_days).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed homes whose time is over"),
            Err(error) => tracing::warn!(%error, "homes whose time is over were not removed"),
        }
        self.clear_homes().await;
    }

    /// Clears away what nobody may find any more: tried again while anything is left.
    pub(super) async fn clear_homes(&self) {
        for cleared in [self.clear_disk().await, self.clear_store().await] {
            if let Err(error) = cleared {
                tracing::warn!(%error, "what is left of removed homes could not be cleared away");
            }
        }
    }

    async fn clear_disk(&self) -> Result<(), ClearError> {
        let means = self.means();
        let mut lying = HashSet::new();
        for entry in std::fs::read_dir(&means.homes_dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()?.split('.').next());
            lying.extend(name.and_then(|name| name.parse::<HomeId>().ok()));
        }
        for home in lying {
            let mut conn = means.house.db.read().await?;
            let elsewhere = db::is_elsewhere(&mut conn, home, &means.host).await?;
            drop(conn);
            if elsewhere && let Err(error) = means.homes.erase(&means.homes_dir.join(home.to_string())).await
            {
                // one that cannot be removed yet keeps no other
                tracing::warn!(%home, %error, "what is left of a home could not be removed");
            }
        }
        Ok(())
    }

    async fn clear_store(&self) -> Result<(), ClearError> {
        let house = &self.means().house;
        let left = db::left_in_store(&mut *house.db.read().await?).await?;
        for (home, key) in left {
            let removed = match key.parse() {
                Ok(key) => house.objects.delete(&key).await,
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                tracing::warn!(%home, object = key, %error, "a removed home's copy is still in the store");
                continue;
            }
            let mut tx = house.db.begin().await?;
            db::forget_snapshot(&mut tx, home).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
