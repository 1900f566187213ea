//! Answering pages that other processes serve.

use tokio::task::JoinSet;

use super::Keeper;
use super::look::KEPT_LOG;
use crate::lab::ask::announce;
use crate::lab::db as lab_db;
use crate::lab::reports::Report;
use crate::lab::reports::db::{self, Question};
use crate::store::StoreError;

impl Keeper {
    /// Takes up what is asked about the sandboxes of this worker.
    pub(super) async fn answer(&self, tasks: &mut JoinSet<()>) -> Result<(), StoreError> {
        let super::Means { house, host, .. } = self.means();
        let now = house.clock.now();
        // nearly always there is none: no writing for that
        if !db::any(&mut *house.db.read().await?, now).await? {
            return Ok(());
        }
        let mut tx = house.db.begin().await?;
        let questions = db::take(&mut tx, host, now).await?;
        tx.commit().await?;
        for question in questions {
            let keeper = self.clone();
            tasks.spawn(async move {
                let id = question.sandbox;
                if let Err(error) = keeper.answer_one(question).await {
                    tracing::warn!(sandbox = %id, %error, "what a page asked of a sandbox was not told");
                }
            });
        }
        Ok(())
    }

    async fn answer_one(&self, Question { sandbox, log, first }: Question) -> Result<(), StoreError> {
        let outbox = self.outbox(sandbox).await;
        if let Err(error) = &outbox {
            tracing::warn!(%sandbox, %error, "an outbox could not be listed");
        }
        let printed = self.printed(sandbox).filter(|_| log).map(|text| {
            let from = text.ceil_char_boundary(text.len().saturating_sub(KEPT_LOG));
            text[from..].to_owned()
        });
        let report = Report { look: self.look(sandbox), outbox: outbox.ok(), printed };
        let house = &self.means().house;
        let now = house.clock.now();
        let mut tx = house.db.begin().await?;
        db::tell(&mut tx, sandbox, &report, now).await?;
        if first && let Some(known) = lab_db::by_id(&mut tx, sandbox).await? {
            announce(&mut tx, now, sandbox, known.state).await?;
        }
        tx.commit().await?;
        house.ring();
        Ok(())
    }
}
