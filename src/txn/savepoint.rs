//! Savepoints, which go back over commits, and checkpoints, which go back within one transaction.

use super::system::{self, Saved};
use super::write::{Durability, Stage, WriteTransaction};
use crate::error::{CommitError, SavepointError, StorageError};
use crate::format::{Pointer, TxnId};
use crate::pages::Store;
use crate::sync::Arc;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt::{Debug, Formatter};

/// A state of all tables that can be restored. Pages that it alone needs are not used again while it lives.
///
/// Made by [`WriteTransaction::ephemeral_savepoint`], gone when it is dropped; or a handle of a persistent savepoint,
/// which stays in the file when the handle is dropped. The database may be closed before.
///
/// ```
/// use sapwood::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition, backends::InMemoryBackend};
///
/// const LEAVES: TableDefinition<u64, &str> = TableDefinition::new("leaves");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// txn.open_table(LEAVES)?.insert(1, "oak")?;
/// txn.commit()?;
///
/// let txn = db.begin_write()?;
/// let savepoint = txn.ephemeral_savepoint()?;
/// txn.open_table(LEAVES)?.insert(2, "elm")?;
/// txn.commit()?;
///
/// let mut txn = db.begin_write()?;
/// txn.restore_savepoint(&savepoint)?;
/// txn.commit()?;
/// assert_eq!(db.begin_read()?.open_table(LEAVES)?.len()?, 1);
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct Savepoint {
    store: Arc<Store>,
    id: TxnId,
    saved: Saved,
    ephemeral: bool,
}

impl Drop for Savepoint {
    fn drop(&mut self) {
        if self.ephemeral {
            self.store.end_ephemeral_savepoint(self.id);
        }
        self.store.release_root(self.saved.root.as_ref());
    }
}

impl Debug for Savepoint {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Savepoint").field("id", &self.id).field("ephemeral", &self.ephemeral).finish_non_exhaustive()
    }
}

/// A state of one write transaction, to which it can go back: see [`WriteTransaction::checkpoint`]. It keeps nothing:
/// what there is to go back to is the transaction's.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Shared with the transaction's mark, which is known by it.
    id: Arc<TxnId>,
}

/// What a transaction does to savepoints.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    /// Persistent savepoints that it made.
    created: BTreeMap<TxnId, Saved>,
    /// Persistent savepoints that it deleted, made by itself or before.
    deleted: BTreeMap<TxnId, Saved>,
    /// Savepoints younger than this one, which was restored, are not valid any more.
    restored: Option<TxnId>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.created.is_empty() && self.deleted.is_empty()
    }
}

/// A checkpoint that the transaction can go back to.
#[derive(Debug)]
pub(super) struct Mark {
    id: Arc<TxnId>,
    stage: Stage,
    changes: Changes,
    dirty: bool,
}

/// What a transaction remembers of savepoints and checkpoints.
#[derive(Debug, Default)]
pub(super) struct Undo {
    pub(super) changes: Changes,
    marks: Vec<Mark>,
    /// Roots that were restored, which must be kept until the transaction ends.
    held: Vec<Pointer>,
}

/// Whether the newest commit has persistent savepoints.
pub(crate) fn has_persistent_savepoints(store: &Store) -> Result<bool, StorageError> {
    let head = store.acquire_head();
    let ids = system::savepoints(store, head.system);
    store.release(&head);
    Ok(!ids?.is_empty())
}

impl WriteTransaction {
    /// Makes a savepoint of the state that the transaction began with, gone when what is returned is dropped.
    ///
    /// # Errors
    ///
    /// [`InvalidSavepoint`](SavepointError::InvalidSavepoint) if the transaction has opened, renamed or deleted a
    /// table, or restored a savepoint: see [`checkpoint`](Self::checkpoint) for that.
    pub fn ephemeral_savepoint(&self) -> Result<Savepoint, SavepointError> {
        let saved = self.clean_state()?;
        let store = self.tables.store().clone();
        let id = store.begin_ephemeral_savepoint(saved.root.as_ref())?;
        Ok(Savepoint { store, id, saved, ephemeral: true })
    }

    /// Makes a savepoint of the state that the transaction began with, and gives its id. It is in the file from the
    /// commit on, until [`delete_persistent_savepoint`](Self::delete_persistent_savepoint).
    ///
    /// ```
    /// use sapwood::{Database, backends::InMemoryBackend};
    ///
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// let id = txn.persistent_savepoint()?;
    /// txn.commit()?;
    /// let mut txn = db.begin_write()?;
    /// assert_eq!(txn.list_persistent_savepoints()?.collect::<Vec<_>>(), [id]);
    /// let savepoint = txn.get_persistent_savepoint(id)?;
    /// txn.restore_savepoint(&savepoint)?;
    /// assert!(txn.delete_persistent_savepoint(id)?);
    /// txn.commit()?;
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`ephemeral_savepoint`](Self::ephemeral_savepoint), and
    /// [`ImmediateDurabilityRequired`](SavepointError::ImmediateDurabilityRequired) if the transaction has another
    /// durability.
    pub fn persistent_savepoint(&self) -> Result<u64, SavepointError> {
        self.check_durable()?;
        let saved = self.clean_state()?;
        let id = self.tables.store().begin_persistent_savepoint(saved.root.as_ref())?;
        self.undo.lock().changes.created.insert(id, saved);
        Ok(id)
    }

    /// A handle of a persistent savepoint, one that this transaction made included.
    ///
    /// # Errors
    ///
    /// [`InvalidSavepoint`](SavepointError::InvalidSavepoint) if there is none of this id.
    pub fn get_persistent_savepoint(&self, id: u64) -> Result<Savepoint, SavepointError> {
        let saved = self.persistent(id)?.ok_or(SavepointError::InvalidSavepoint)?;
        let store = self.tables.store().clone();
        store.hold_root(saved.root.as_ref());
        Ok(Savepoint { store, id, saved, ephemeral: false })
    }

    /// Deletes a persistent savepoint, and says whether there was one. Its pages come back with the durable commit
    /// after the one that deletes it: until then damage may still lead back to a commit that has it.
    ///
    /// # Errors
    ///
    /// [`ImmediateDurabilityRequired`](SavepointError::ImmediateDurabilityRequired) if the transaction has another
    /// durability.
    pub fn delete_persistent_savepoint(&self, id: u64) -> Result<bool, SavepointError> {
        self.check_durable()?;
        let Some(saved) = self.persistent(id)? else { return Ok(false) };
        self.undo.lock().changes.deleted.insert(id, saved);
        Ok(true)
    }

    /// The ids of all persistent savepoints, oldest first.
    pub fn list_persistent_savepoints(&self) -> Result<impl Iterator<Item = u64> + use<>, StorageError> {
        let stored = system::savepoints(self.tables.store(), self.tables.pages().base().system)?;
        let undo = self.undo.lock();
        let changes = &undo.changes;
        let all = stored.into_iter().chain(changes.created.keys().copied());
        let left: Vec<_> = all.filter(|id| !changes.deleted.contains_key(id)).collect();
        Ok(left.into_iter())
    }

    /// Makes all tables what they were when the savepoint was made. Savepoints made after it are not valid any more
    /// once this transaction is committed, and persistent ones among them are deleted; checkpoints of this transaction
    /// stay valid.
    ///
    /// Reads what differs, not what both states share.
    ///
    /// # Errors
    ///
    /// [`InvalidSavepoint`](SavepointError::InvalidSavepoint) if the savepoint is of another database, was deleted by
    /// an earlier transaction, or an older one was restored since;
    /// [`ImmediateDurabilityRequired`](SavepointError::ImmediateDurabilityRequired) if there are younger persistent
    /// ones and the transaction is of another durability. After an error of the storage the transaction can only be
    /// aborted, or go back to a checkpoint.
    pub fn restore_savepoint(&mut self, savepoint: &Savepoint) -> Result<(), SavepointError> {
        if !self.is_valid(savepoint)? {
            return Err(SavepointError::InvalidSavepoint);
        }
        let younger: Vec<_> = self.list_persistent_savepoints()?.filter(|id| *id > savepoint.id).collect();
        if !younger.is_empty() {
            self.check_durable()?;
        }
        self.hold_until_end(savepoint.saved.root);
        for id in younger {
            self.delete_persistent_savepoint(id)?;
        }
        self.tables.restore(savepoint.saved.root, savepoint.saved.commit)?;
        self.undo.lock().changes.restored = Some(savepoint.id);
        Ok(())
    }

    /// Remembers the transaction as it is now, to go back to with [`rollback_to`](Self::rollback_to). Checkpoints nest,
    /// and tables may have been changed before.
    ///
    /// ```
    /// use sapwood::{Database, ReadableTableMetadata, TableDefinition, backends::InMemoryBackend};
    ///
    /// const LEAVES: TableDefinition<u64, &str> = TableDefinition::new("leaves");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let mut txn = db.begin_write()?;
    /// txn.open_table(LEAVES)?.insert(1, "oak")?;
    /// let checkpoint = txn.checkpoint()?;
    /// txn.open_table(LEAVES)?.insert(2, "elm")?;
    /// txn.rollback_to(&checkpoint)?;
    /// assert_eq!(txn.open_table(LEAVES)?.len()?, 1);
    /// txn.commit()?;
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// What was changed until now is sealed, and copied by the next change, as if it had been committed; nothing is
    /// written.
    pub fn checkpoint(&mut self) -> Result<Checkpoint, SavepointError> {
        Ok(self.mark()?)
    }

    fn mark(&mut self) -> Result<Checkpoint, StorageError> {
        let (stage, dirty) = (self.tables.checkpoint()?, self.tables.is_dirty());
        let id = Arc::new(self.tables.pages().id());
        let mut undo = self.undo.lock();
        let changes = undo.changes.clone();
        undo.marks.push(Mark { id: id.clone(), stage, changes, dirty });
        Ok(Checkpoint { id })
    }

    /// Undoes all that the transaction did since the checkpoint, savepoints included. The checkpoint stays; younger
    /// ones are not valid any more. Reads nothing. A transaction that an operation broke half-way is whole again.
    ///
    /// # Errors
    ///
    /// [`InvalidSavepoint`](SavepointError::InvalidSavepoint) if the checkpoint is of another transaction, was
    /// released, or an older one was gone back to or released since.
    pub fn rollback_to(&mut self, checkpoint: &Checkpoint) -> Result<(), SavepointError> {
        let nth = self.place_of(checkpoint)?;
        let mut undo = self.undo.lock();
        let Undo { changes, marks, .. } = &mut *undo;
        marks.truncate(nth + 1);
        let Some(mark) = marks.last() else { return Err(SavepointError::InvalidSavepoint) };
        self.tables.roll_back(nth, mark.stage.clone(), mark.dirty)?;
        let store = self.tables.store();
        let gone = changes.created.iter().filter(|(id, _)| !mark.changes.created.contains_key(id));
        gone.for_each(|(_, saved)| store.undo_reference(saved.root.as_ref()));
        *changes = mark.changes.clone();
        Ok(())
    }

    /// Forgets a checkpoint and those made after it; what was done since stays done.
    ///
    /// # Errors
    ///
    /// Those of [`rollback_to`](Self::rollback_to).
    pub fn release_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), SavepointError> {
        let nth = self.place_of(checkpoint)?;
        self.undo.lock().marks.truncate(nth);
        self.tables.release_checkpoint(nth);
        Ok(())
    }

    /// Keeps what is under a root that is kept already, as long as the transaction lives.
    pub(super) fn hold_until_end(&self, root: Option<Pointer>) {
        self.tables.store().hold_root(root.as_ref());
        self.undo.lock().held.extend(root);
    }

    /// Makes a part of the transaction's changes: all of them or, if `part` fails or what it did cannot be committed,
    /// none. After it no table is open, not even one whose handle was forgotten.
    pub(crate) fn attempt<E>(
        &mut self,
        part: impl FnOnce(&Self) -> Result<(), E>,
    ) -> Result<Result<(), E>, CommitError> {
        let start = self.mark()?;
        let outcome = match part(self) {
            Ok(()) => self.tables.finish_part().map(Ok),
            Err(err) => Ok(Err(err)),
        };
        if !matches!(outcome, Ok(Ok(()))) && self.rollback_to(&start).is_err() {
            self.tables.pages().mark_broken();
            return outcome;
        }
        // It is the newest one, and this transaction's.
        let _ = self.release_checkpoint(&start);
        outcome
    }

    fn place_of(&self, checkpoint: &Checkpoint) -> Result<usize, SavepointError> {
        let place = self.undo.lock().marks.iter().position(|mark| Arc::ptr_eq(&mark.id, &checkpoint.id));
        place.ok_or(SavepointError::InvalidSavepoint)
    }

    fn check_durable(&self) -> Result<(), SavepointError> {
        match self.durability() {
            Durability::Immediate => Ok(()),
            Durability::None => Err(SavepointError::ImmediateDurabilityRequired),
        }
    }

    /// What the transaction began with, if it has changed nothing.
    fn clean_state(&self) -> Result<Saved, SavepointError> {
        self.tables.store().check_usable()?;
        if self.tables.is_dirty() {
            return Err(SavepointError::InvalidSavepoint);
        }
        let base = self.tables.pages().base();
        Ok(Saved { commit: base.id, root: base.data })
    }

    /// The persistent savepoint of this id, if there is one.
    fn persistent(&self, id: TxnId) -> Result<Option<Saved>, StorageError> {
        let undo = self.undo.lock();
        let changes = &undo.changes;
        if changes.deleted.contains_key(&id) {
            return Ok(None);
        }
        match changes.created.get(&id) {
            Some(saved) => Ok(Some(*saved)),
            None => system::savepoint(self.tables.store(), self.tables.pages().base().system, id),
        }
    }

    fn is_valid(&self, savepoint: &Savepoint) -> Result<bool, StorageError> {
        let store = self.tables.store();
        let Savepoint { id, ephemeral, .. } = *savepoint;
        if !Arc::ptr_eq(&savepoint.store, store) || self.undo.lock().changes.restored.is_some_and(|older| id > older) {
            return Ok(false);
        }
        if ephemeral {
            return Ok(store.is_ephemeral_savepoint(id));
        }
        // What this transaction deleted goes with its commit, and the handle keeps the root until then.
        let deleted_here = self.undo.lock().changes.deleted.contains_key(&id);
        Ok(deleted_here || self.persistent(id)?.is_some())
    }

    /// Puts the savepoints of this transaction into the system tree, and says whether it deletes some.
    pub(super) fn store_savepoints(&self) -> Result<bool, StorageError> {
        let undo = self.undo.lock();
        let Changes { created, deleted, .. } = &undo.changes;
        let new = created.iter().filter(|(id, _)| !deleted.contains_key(id));
        let gone = deleted.iter().filter(|(id, _)| !created.contains_key(id));
        self.tables.change_system(|rows| system::change_savepoints(rows, new, gone))?;
        // Also of those that it made itself: until the end they count among the savepoints that need pages.
        Ok(!deleted.is_empty())
    }

    /// The transaction is committed.
    pub(super) fn settle_savepoints(&self) {
        let store = self.tables.store();
        let Changes { created, deleted, restored } = core::mem::take(&mut self.undo.lock().changes);
        let (brief, gone): (Vec<_>, Vec<_>) = deleted.into_iter().partition(|(id, _)| created.contains_key(id));
        store.retire_references(gone.into_iter().filter_map(|(_, saved)| saved.root));
        brief.iter().for_each(|(_, saved)| store.undo_reference(saved.root.as_ref()));
        if let Some(id) = restored {
            store.forget_ephemeral_savepoints_after(id);
        }
    }

    /// The transaction comes to nothing, or is over.
    pub(super) fn forget_savepoints(&self) {
        let store = self.tables.store();
        let Undo { changes, held, .. } = core::mem::take(&mut *self.undo.lock());
        store.set_deleting_references(false);
        changes.created.values().for_each(|saved| store.undo_reference(saved.root.as_ref()));
        held.iter().for_each(|root| store.release_root(Some(root)));
    }
}
