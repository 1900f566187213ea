//! `shuyu dataset import|list|withdraw`: the catalogue from folders.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{Common, assembly, block_on};
use crate::catalog;
use crate::clock::Clock;
use crate::house::House;
use crate::ids::UserId;
use crate::people::{By, People, SessionTerms};

/// What `shuyu dataset` takes.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Take the dataset version in that a folder with dataset.yaml holds
    Import {
        /// The folder
        folder: PathBuf,
        /// Login of the data steward
        #[arg(long)]
        owner: String,
    },
    /// List the datasets
    List,
    /// Withdraw a version: nothing new may use it
    Withdraw {
        /// The dataset's short name
        slug: String,
        /// The version's number
        version: i64,
        /// Login of the data steward
        #[arg(long)]
        owner: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

pub(super) fn run(common: &Common, command: Command) -> Result<()> {
    let settings = common.settings(&[])?;
    block_on(async {
        let house = assembly::house(&settings, Clock::system()).await?;
        let done = act(&house, command).await;
        house.db.close().await;
        done
    })
}

async fn act(house: &House, command: Command) -> Result<()> {
    match command {
        Command::Import { folder, owner } => {
            let owner = user(house, &owner).await?;
            let imported = catalog::import(house, &folder, owner).await?;
            let what = if imported.created { "imported" } else { "unchanged" };
            let (dataset, files) = (&imported.dataset, imported.files);
            println!("{} version {}: {what}, {files} files", dataset.slug, dataset.document.version);
        }
        Command::List => {
            for dataset in catalog::db::datasets(&mut *house.db.read().await?).await? {
                let state = if dataset.withdrawn_at.is_some() { "withdrawn" } else { "published" };
                let document = &dataset.document;
                println!("{}\tversion {}\t{state}\t{}", dataset.slug, document.version, document.title.zh);
            }
        }
        Command::Withdraw { slug, version, owner, reason } => {
            let owner = user(house, &owner).await?;
            catalog::withdraw(house, &slug, version, owner, &reason).await?;
            println!("{slug} version {version}: withdrawn");
        }
    }
    Ok(())
}

/// The user of this login.
pub(super) async fn user(house: &House, login: &str) -> Result<UserId> {
    let people = People::new(house.db.clone(), house.clock.clone(), house.entropy, SessionTerms::default());
    let user = people.user_named(By::Machine, login).await;
    Ok(user.with_context(|| format!("no user {login:?}; add one with: shuyu user add {login} …"))?.id)
}
