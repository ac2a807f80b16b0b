use crate::error::StorageError;
use crate::pages::{CommitMode, PageWriter, Store};
use crate::sync::Arc;

/// Writes the closing commit, if anything was written since opening, and lets the storage go. The caller is the only
/// one who could still write.
pub(super) fn close(store: &Arc<Store>) -> Result<(), StorageError> {
    let committed = if store.is_prepared() && !store.has_failed() { commit_closing(store) } else { Ok(()) };
    let shut = store.shut();
    committed.and(shut)
}

fn commit_closing(store: &Arc<Store>) -> Result<(), StorageError> {
    commit_again(store, CommitMode { closing: true, saves_state: true, ..CommitMode::default() })
}

/// A two-phase commit of what is committed already, to the disk.
pub(super) fn commit_again(store: &Arc<Store>, mode: CommitMode) -> Result<(), StorageError> {
    let writer = PageWriter::begin(store.clone())?;
    let roots = *writer.base();
    writer.commit(roots, CommitMode { durable: true, two_phase: true, ..mode })
}
