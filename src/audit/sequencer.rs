//! [`Sequencer`]: gives the rows their places and hashes.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::db;
use crate::clock::Entropy;
use crate::crypto::{Sm3Digest, Sm3Hasher};
use crate::store::{Db, StoreError};

/// Rows numbered in one transaction: SQLite's one writer is held for a few milliseconds.
const BATCH: i64 = 256;

/// How often waiting rows are looked for.
const PERIOD: Duration = Duration::from_secs(1);

/// The hash over all entries up to one of them.
pub type ChainHash = Sm3Digest;

/// Where the chain starts: 32 zero bytes.
pub(super) const CHAIN_START: ChainHash = Sm3Digest([0; 32]);

/// The hash of an entry as a leaf of the Merkle log: SM3(0x00 ‖ bytes) (RFC 6962, section 2.1).
pub(super) fn leaf_hash(bytes: &[u8]) -> Sm3Digest {
    let mut hasher = Sm3Hasher::new();
    hasher.update(&[0]);
    hasher.update(bytes);
    hasher.finish()
}

/// The chain after a leaf: SM3(0x02 ‖ chain before ‖ leaf). RFC 6962 has 0x00 for leaves and 0x01 for
/// nodes, so no hash can be taken for one of another kind.
pub(super) fn chain_hash(before: &[u8], leaf: &Sm3Digest) -> ChainHash {
    let mut hasher = Sm3Hasher::new();
    hasher.update(&[2]);
    hasher.update(before);
    hasher.update(leaf.as_bytes());
    hasher.finish()
}

/// Numbers waiting entries in the order of their time and id. Any number of processes may run one:
/// the database lets a single one go on at a time.
#[derive(Clone, Debug)]
pub struct Sequencer {
    db: Db,
    holder: String,
}

impl Sequencer {
    /// A sequencer on this database.
    pub fn new(db: Db) -> Self {
        Self { db, holder: hex::encode(Entropy.bytes::<8>()) }
    }

    /// Numbers what waits, every second, until `stop` is cancelled, and once more then. A failing
    /// database is logged and tried again.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.number_waiting().await {
                tracing::warn!(%error, "audit entries wait for their numbers");
            }
            if stop.is_cancelled() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Numbers everything that waits now and gives the number of entries numbered.
    ///
    /// # Errors
    /// [`StoreError`]; the batches before stay numbered.
    pub async fn number_waiting(&self) -> Result<u64, StoreError> {
        let mut numbered = 0;
        while db::waiting(&mut *self.db.read().await?).await? > 0 {
            numbered += self.number_batch().await?;
        }
        Ok(numbered)
    }

    async fn number_batch(&self) -> Result<u64, StoreError> {
        let mut tx = self.db.begin().await?;
        db::take_turn(&mut tx, &self.holder).await?;
        let (mut next, mut chain) = match db::head(&mut tx).await? {
            Some((number, chain)) => (number + 1, chain),
            None => (0, CHAIN_START.0.to_vec()),
        };
        let batch = db::next_waiting(&mut tx, BATCH).await?;
        for (id, bytes) in &batch {
            let leaf = leaf_hash(bytes);
            chain = chain_hash(&chain, &leaf).0.to_vec();
            db::set_number(&mut tx, id, next, leaf.as_bytes(), &chain).await?;
            next += 1;
        }
        tx.commit().await?;
        Ok(batch.len() as u64)
    }
}
