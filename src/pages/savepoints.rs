//! What savepoints keep: data roots of earlier commits, which are snapshots like any other.
//!
//! Persistent savepoints are rows of the system tree that refer to a root. One that a commit deletes stays a snapshot
//! until the next durable commit: until then the older slot names a commit that still has the row.

use super::load::damaged;
use super::snapshots::{Pair, hull};
use super::space::{Class, Commit, LinkChange, Space};
use super::writer::next_id;
use super::{PageWriter, Store};
use crate::error::StorageError;
use crate::format::{Pointer, TxnId};
use crate::sync::Arc;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

#[derive(Debug, Default)]
pub(super) struct Savepoints {
    /// By birth, how many persistent savepoints and commits of the history refer to the root: those of the head, and
    /// new ones of the live write transaction.
    persistent: BTreeMap<TxnId, usize>,
    /// The live write transaction takes some of them out.
    pub(super) deleting: bool,
    /// Roots that the newest durable commit does not refer to any more.
    retiring: Vec<Pointer>,
    /// Commits whose system tree alone is kept, each as often as that.
    system_only: BTreeMap<TxnId, usize>,
    /// Ids of the ephemeral savepoints that can be restored.
    ephemeral: BTreeSet<TxnId>,
}

impl Savepoints {
    pub(super) fn take_retired(&mut self) -> Vec<Pointer> {
        core::mem::take(&mut self.retiring)
    }

    /// Whether a persistent savepoint needs something that the snapshots in this range need, and no others.
    pub(super) fn need(&self, (oldest, newest): Pair) -> bool {
        oldest <= newest && self.persistent.range(oldest..=newest).next().is_some()
    }

    /// How many of the snapshots in this range are persistent savepoints.
    pub(super) fn count_in(&self, (oldest, newest): Pair) -> usize {
        if oldest > newest { 0 } else { self.persistent.range(oldest..=newest).map(|(_, count)| count).sum() }
    }

    fn add_persistent(&mut self, root: &Pointer) {
        *self.persistent.entry(root.birth).or_default() += 1;
    }

    fn remove_persistent(&mut self, root: &Pointer) {
        take_one(&mut self.persistent, root.birth);
    }

    /// How many keep the system tree of this commit and not its tables.
    pub(super) fn readers_of_the_past(&self, id: TxnId) -> usize {
        self.system_only.get(&id).copied().unwrap_or(0)
    }
}

fn take_one(counts: &mut BTreeMap<TxnId, usize>, id: TxnId) {
    let Some(count) = counts.get_mut(&id) else { return };
    *count -= 1;
    if *count == 0 {
        counts.remove(&id);
    }
}

impl Space {
    /// Takes in the roots that the head refers to, once.
    pub(super) fn adopt_savepoints(&mut self, roots: &[Pointer]) {
        if !self.savepoints.persistent.is_empty() {
            return;
        }
        for root in roots {
            self.savepoints.add_persistent(root);
            self.add_data_snapshot(root);
        }
        // Which pages they alone need is not known until somebody asks.
        let births = roots.iter().map(|root| (root.birth, root.birth));
        self.lose_data(births.fold(None, |all, birth| hull(all, Some(birth))), false);
    }

    /// The system tree of the head, or of what follows it, refers to this root.
    pub(super) fn keep_reference(&mut self, root: Option<&Pointer>) {
        let Some(root) = root else { return };
        self.savepoints.add_persistent(root);
        self.add_data_snapshot(root);
    }

    fn next_savepoint_id(&mut self) -> Result<TxnId, StorageError> {
        self.last_id = next_id(self.last_id, 1)?;
        Ok(self.last_id)
    }
}

/// A savepoint's id is one of the transactions' ids, which are never used again.
impl Store {
    pub(crate) fn begin_ephemeral_savepoint(&self, root: Option<&Pointer>) -> Result<TxnId, StorageError> {
        let mut space = self.space.lock();
        let id = space.next_savepoint_id()?;
        space.savepoints.ephemeral.insert(id);
        root.into_iter().for_each(|root| space.add_data_snapshot(root));
        Ok(id)
    }

    pub(crate) fn end_ephemeral_savepoint(&self, id: TxnId) {
        self.space.lock().savepoints.ephemeral.remove(&id);
    }

    pub(crate) fn has_ephemeral_savepoints(&self) -> bool {
        !self.space.lock().savepoints.ephemeral.is_empty()
    }

    /// Whether the savepoint is there, and no older one was restored since.
    pub(crate) fn is_ephemeral_savepoint(&self, id: TxnId) -> bool {
        self.space.lock().savepoints.ephemeral.contains(&id)
    }

    pub(crate) fn begin_persistent_savepoint(&self, root: Option<&Pointer>) -> Result<TxnId, StorageError> {
        let mut space = self.space.lock();
        let id = space.next_savepoint_id()?;
        space.keep_reference(root);
        Ok(id)
    }

    /// The savepoint's transaction comes to nothing.
    pub(crate) fn undo_reference(&self, root: Option<&Pointer>) {
        let Some(root) = root else { return };
        let mut space = self.space.lock();
        space.savepoints.remove_persistent(root);
        space.drop_data_snapshot(root, &self.cache);
    }

    /// Says whether the live write transaction takes references out.
    pub(crate) fn set_deleting_references(&self, deleting: bool) {
        self.space.lock().savepoints.deleting = deleting;
    }

    /// The newest durable commit does not have these references any more.
    pub(crate) fn retire_references(&self, roots: impl IntoIterator<Item = Pointer>) {
        let mut space = self.space.lock();
        space.savepoints.deleting = false;
        for root in roots {
            space.savepoints.remove_persistent(&root);
            space.savepoints.retiring.push(root);
        }
    }

    /// Ephemeral savepoints that are younger than `id` cannot be restored any more.
    pub(crate) fn forget_ephemeral_savepoints_after(&self, id: TxnId) {
        self.space.lock().savepoints.ephemeral.split_off(&id.saturating_add(1));
    }

    /// Keeps what is under a root that is kept already, until [`release_root`](Self::release_root).
    pub(crate) fn hold_root(&self, root: Option<&Pointer>) {
        let mut space = self.space.lock();
        root.into_iter().for_each(|root| space.add_data_snapshot(root));
    }

    /// Keeps what is under a root that `head`, a commit that is kept, refers to, and the system tree of that. False,
    /// and nothing is done, if the root may be gone by now.
    pub(crate) fn hold_past(&self, head: &Commit, root: Option<&Pointer>) -> bool {
        let mut space = self.space.lock();
        // Until the first write nobody has noted what the newest commit refers to, and nobody has let go of it.
        let holds = root.is_none_or(|root| match space.free_map {
            Some(_) => space.savepoints.persistent.contains_key(&root.birth),
            None => space.head.system == head.system,
        });
        if holds {
            root.into_iter().for_each(|root| space.add_data_snapshot(root));
            space.add_system_snapshot(head);
            *space.savepoints.system_only.entry(head.id).or_default() += 1;
            space.readers += 1;
        }
        holds
    }

    /// Gives back what [`hold_past`](Self::hold_past) kept.
    pub(crate) fn release_past(&self, head: TxnId, root: Option<&Pointer>) {
        let mut space = self.space.lock();
        space.readers -= 1;
        root.into_iter().for_each(|root| space.drop_data_snapshot(root, &self.cache));
        space.drop_system_snapshot(head, &self.cache);
        take_one(&mut space.savepoints.system_only, head);
    }

    pub(crate) fn release_root(&self, root: Option<&Pointer>) {
        let mut space = self.space.lock();
        root.into_iter().for_each(|root| space.drop_data_snapshot(root, &self.cache));
    }
}

/// The newest commit and the persistent savepoints that it names, which stay readable while this lives.
pub(crate) struct Held {
    store: Arc<Store>,
    commit: Commit,
    roots: Vec<Pointer>,
}

impl Held {
    pub(crate) fn begin(store: &Arc<Store>) -> Result<Self, StorageError> {
        store.check_open()?;
        loop {
            let mut held = Self { store: store.clone(), commit: store.acquire_head(), roots: Vec::new() };
            match store.references(held.commit.system) {
                Ok(roots) if store.hold_savepoints(&held.commit, &roots) => {
                    held.roots = roots;
                    return Ok(held);
                }
                // One of them may be gone: there is a newer commit.
                Ok(_) => {}
                // Who looks at the commit finds the damage. What cannot be read now may be there next time, and nobody
                // would know that the savepoints were passed over.
                Err(StorageError::Corrupted(_)) => return Ok(held),
                Err(err) => return Err(err),
            }
        }
    }

    pub(crate) fn commit(&self) -> &Commit {
        &self.commit
    }

    /// The commit once more, to be [given back](Store::release) as if it had been the head.
    pub(crate) fn acquire(&self) -> Commit {
        let mut space = self.store.space.lock();
        space.add_snapshot(&self.commit);
        space.readers += 1;
        self.commit
    }

    pub(crate) fn savepoints(&self) -> &[Pointer] {
        &self.roots
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.roots.iter().for_each(|root| self.store.release_root(Some(root)));
        self.store.release(&self.commit);
    }
}

impl Store {
    /// Keeps what savepoints of `commit` refer to, unless one of them may be gone by now.
    fn hold_savepoints(&self, commit: &Commit, roots: &[Pointer]) -> bool {
        let mut space = self.space.lock();
        let holds = space.head.system == commit.system;
        roots.iter().filter(|_| holds).for_each(|root| space.add_data_snapshot(root));
        holds
    }
}

impl PageWriter {
    /// The data tree of this transaction, `from`, which is sealed, becomes `to`, which a snapshot keeps.
    pub(crate) fn relink(&mut self, from: Option<Pointer>, to: Option<Pointer>) -> Result<(), StorageError> {
        let store = self.store().clone();
        store.compare_trees(from, to, &mut |pointer, pages, is_linked| {
            if is_linked {
                return self.link_again(pointer, pages);
            }
            self.unlink(pointer, Class::Data);
            Ok(())
        })?;
        self.renew()
    }

    fn link_again(&self, pointer: &Pointer, pages: u32) -> Result<(), StorageError> {
        let Pointer { page: start, birth, .. } = *pointer;
        // A damaged file's free map may think otherwise.
        if !self.store().space.lock().can_link(start, pages, self.store().page_size()) {
            return Err(damaged(pointer, "was not kept for the savepoint that needs it"));
        }
        self.note(LinkChange { linked: true, class: Class::Data, birth, start, pages });
        Ok(())
    }
}
