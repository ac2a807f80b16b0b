//! Who keeps older states readable, and the pages that it takes.

use super::Store;
use super::space::{Commit, Space};
use crate::format::TxnId;
use alloc::vec::Vec;
use core::time::Duration;

/// A state of the database that read transactions or savepoints keep readable: see
/// [`Database::snapshots`](crate::Database::snapshots).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotInfo {
    /// Id of the transaction that made the state. Ids ascend.
    pub transaction_id: u64,
    /// Read transactions that see it, with what was opened in them.
    pub readers: usize,
    /// What else leads to it: savepoints, ephemeral and persistent, commits of the history, and read transactions of
    /// these.
    pub references: usize,
    /// How long it is kept: since it was committed, or the file was opened. `None` without `std`.
    pub age: Option<Duration>,
    /// Pages that are kept for this state alone: they are free once nobody holds it.
    pub own_pages: u64,
    /// Pages that are kept for this state and for others.
    pub shared_pages: u64,
}

impl Store {
    /// The states that read transactions and savepoints hold, oldest first.
    pub(crate) fn held_states(&self) -> Vec<SnapshotInfo> {
        let mut space = self.space.lock();
        let [data, _] = space.ledgers();
        let ids: Vec<TxnId> = data.snapshots.iter().map(|(id, _)| id).collect();
        let held = ids.into_iter().map(|id| space.held(id));
        held.filter(|held| held.readers + held.references > 0).collect()
    }
}

impl Space {
    fn held(&mut self, id: TxnId) -> SnapshotInfo {
        let slots = self.slots.iter().flatten().map(Commit::of);
        let commits = slots.chain([self.head]).filter(|commit| commit.id == id).count();
        let past = self.savepoints.readers_of_the_past(id);
        let [data, system] = self.ledgers();
        // System pages are kept for commits and readers alone, and for those who read the past as if they read this.
        let (all, others) = (data.snapshots.holders(id), system.snapshots.holders(id).saturating_sub(past));
        let kept = [&*data, &*system].map(|ledger| ledger.kept.pages_for(id, &ledger.snapshots));
        SnapshotInfo {
            transaction_id: id,
            readers: others.saturating_sub(commits),
            references: all.saturating_sub(others),
            age: data.snapshots.age(id),
            own_pages: kept.iter().map(|(own, _)| own).sum(),
            shared_pages: kept.iter().map(|(_, shared)| shared).sum(),
        }
    }
}
