//! History: past commits that stay readable. Each is a row that refers to its data root, and so a snapshot like a
//! savepoint.

use super::past::{self, Entries, Entry};
use super::read::{ReadTransaction, Snapshot};
use super::system::{self, PIN, RETENTION, Rows, SystemEditor, SystemRow, named_key};
use super::write::WriteTransaction;
use crate::error::{SavepointError, StorageError, TransactionError};
use crate::format::{Pointer, TxnId};
use crate::limits::MAX_NAME_LENGTH;
use crate::pages::{Commit, Store};
use crate::settings::{HistoryRetention, with_slack};
use crate::sync::Arc;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A commit that can be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionInfo {
    /// Id of the transaction that was committed. Ids ascend, with gaps.
    pub transaction_id: u64,
    /// When it was committed, in milliseconds since 1970. Each commit is dated later than the one before, whatever the
    /// clock says.
    pub timestamp_ms: u64,
}

fn malformed() -> StorageError {
    StorageError::corrupted("a row of the history is malformed")
}

/// The oldest commit of the history whose id is not less than that.
fn first_from(store: &Store, system: Option<Pointer>, id: TxnId) -> Result<Option<Entry>, StorageError> {
    Entries::from(store, system, id)?.next().transpose()
}

fn entry_of(store: &Store, system: Option<Pointer>, id: TxnId) -> Result<Entry, StorageError> {
    let found = first_from(store, system, id)?.filter(|entry| entry.info.transaction_id == id);
    found.ok_or(StorageError::HistorySnapshotNotFound(id))
}

/// The newest commit of the history that is not later than that. As ids ascend, times do.
fn last_until(store: &Store, system: Option<Pointer>, time: u64) -> Result<Option<Entry>, StorageError> {
    let in_time = |id| -> Result<Option<Entry>, StorageError> {
        Ok(first_from(store, system, id)?.filter(|entry| entry.info.timestamp_ms <= time))
    };
    let Some(mut last) = in_time(0)? else { return Ok(None) };
    let mut beyond = TxnId::MAX;
    while last.info.transaction_id.saturating_add(1) < beyond {
        let middle = last.info.transaction_id + (beyond - last.info.transaction_id) / 2;
        match in_time(middle)? {
            Some(later) => last = later,
            None => beyond = middle,
        }
    }
    Ok(Some(last))
}

fn pins(store: &Store, system: Option<Pointer>) -> Result<Vec<(String, u64)>, StorageError> {
    let pin = |row: SystemRow| {
        let name = core::str::from_utf8(row.key()).map_err(|_| malformed())?.to_string();
        let id = (*row.value(store)?).try_into().map_err(|_| malformed())?;
        Ok((name, u64::from_le_bytes(id)))
    };
    Rows::new(store, system, PIN)?.map(|row| row.and_then(pin)).collect()
}

/// What the file says is retained.
fn stored_retention(store: &Store, system: Option<Pointer>) -> Result<HistoryRetention, StorageError> {
    let Some(bytes) = system::value_of(store, system, &[RETENTION])? else { return Ok(HistoryRetention::OFF) };
    let (commits, age) = bytes.split_first_chunk::<8>().ok_or_else(malformed)?;
    let age = age.try_into().map_err(|_| malformed())?;
    Ok(HistoryRetention { commits: u64::from_le_bytes(*commits), age: u64::from_le_bytes(age) })
}

fn store_retention(rows: &mut SystemEditor<'_>, wanted: HistoryRetention) -> Result<(), StorageError> {
    if wanted.is_off() {
        return rows.remove(&[RETENTION]).map(|_| ());
    }
    let mut bytes = wanted.commits.to_le_bytes().to_vec();
    bytes.extend(wanted.age.to_le_bytes());
    rows.put(&[RETENTION], &bytes)
}

/// What is retained from the next commit on.
pub(super) fn retention(store: &Store, system: Option<Pointer>) -> Result<HistoryRetention, StorageError> {
    store.settings().history.map_or_else(|| stored_retention(store, system), Ok)
}

/// Records a commit that is about to be made durable, and takes out those that are retained no longer. Gives their
/// roots.
pub(super) fn record(rows: &mut SystemEditor<'_>, commit: &Commit) -> Result<Vec<Pointer>, StorageError> {
    let (store, system) = (rows.store(), rows.tree.root);
    let (stored, wanted) = (stored_retention(store, system)?, retention(store, system)?);
    if stored != wanted {
        store_retention(rows, wanted)?;
    }
    if !wanted.is_off() {
        let info = TransactionInfo { transaction_id: commit.id, timestamp_ms: commit.time };
        past::add(rows, &Entry { info, root: commit.data })?;
    }
    prune(rows, wanted, commit)
}

fn prune(rows: &mut SystemEditor<'_>, wanted: HistoryRetention, commit: &Commit) -> Result<Vec<Pointer>, StorageError> {
    let (store, system) = (rows.store(), rows.tree.root);
    let count = past::count_above(store, system, with_slack(wanted.commits))?;
    if count.is_none() && wanted.age == u64::MAX {
        return Ok(Vec::new());
    }
    let pinned: BTreeSet<_> = pins(store, system)?.into_iter().map(|(_, id)| id).collect();
    let is_too_old = |info: TransactionInfo, most: u64| commit.time.saturating_sub(info.timestamp_ms) > most;
    let free = |entry: &Entry| !pinned.contains(&entry.info.transaction_id);
    let oldest = Entries::new(store, system)?.find(|entry| entry.as_ref().map_or(true, free)).transpose()?;
    let Some(oldest) = oldest else { return Ok(Vec::new()) };
    let too_many = count > Some(with_slack(wanted.commits).saturating_add(pinned.len() as u64));
    if !too_many && !is_too_old(oldest.info, with_slack(wanted.age)) {
        return Ok(Vec::new());
    }
    let excess = count.map_or(Ok(0), |count| excess(store, system, wanted.commits, count))?;
    let mut gone = Vec::new();
    for (nth, entry) in (0..).zip(Entries::new(store, system)?) {
        let entry = entry?;
        if nth >= excess && !is_too_old(entry.info, wanted.age) {
            break;
        }
        if free(&entry) {
            gone.push(entry);
        }
    }
    past::remove(rows, &gone)?;
    Ok(gone.into_iter().filter_map(|entry| entry.root).collect())
}

/// How many of the oldest of `count` commits go where at most `wanted` are retained: those of whole leaves, if that is enough.
fn excess(store: &Store, system: Option<Pointer>, wanted: u64, count: u64) -> Result<u64, StorageError> {
    let excess = count.saturating_sub(wanted);
    let whole = past::in_whole_leaves(store, system, excess)?;
    Ok(if count - whole <= with_slack(wanted) { whole } else { excess })
}

/// The commits that the newest one retains, oldest first.
pub(crate) fn transaction_history(store: &Arc<Store>) -> Result<Vec<TransactionInfo>, StorageError> {
    let head = Snapshot::begin(store)?;
    Entries::new(store, head.commit().system)?.map(|entry| entry.map(|entry| entry.info)).collect()
}

pub(crate) fn history_pins(store: &Arc<Store>) -> Result<Vec<(String, u64)>, StorageError> {
    let head = Snapshot::begin(store)?;
    pins(store, head.commit().system)
}

/// Begins a read transaction that sees a past commit.
pub(crate) fn begin_read_at(store: &Arc<Store>, id: TxnId) -> Result<ReadTransaction, TransactionError> {
    let head = Snapshot::begin(store)?;
    let entry = entry_of(store, head.commit().system, id)?;
    read_past(&head, entry)
}

/// Begins a read transaction that sees the newest commit of the history which is not later than that.
pub(crate) fn begin_read_at_time(store: &Arc<Store>, time: u64) -> Result<ReadTransaction, TransactionError> {
    let head = Snapshot::begin(store)?;
    let entry = last_until(store, head.commit().system, time)?;
    read_past(&head, entry.ok_or(StorageError::HistoryTimeNotFound(time))?)
}

fn read_past(head: &Snapshot, entry: Entry) -> Result<ReadTransaction, TransactionError> {
    let Entry { info, root } = entry;
    let commit = Commit { id: info.transaction_id, data: root, system: head.commit().system, time: info.timestamp_ms };
    let past = Snapshot::of_past(head, commit).ok_or(StorageError::HistorySnapshotNotFound(commit.id))?;
    Ok(ReadTransaction::of(past))
}

impl WriteTransaction {
    /// Keeps a commit of the history under a name, whatever is [retained](crate::Builder::set_history_retention), until
    /// [`unpin_history`](Self::unpin_history). A pin of that name is moved.
    ///
    /// # Errors
    ///
    /// [`HistorySnapshotNotFound`](StorageError::HistorySnapshotNotFound) if the history has no such commit;
    /// [`ValueTooLarge`](StorageError::ValueTooLarge) for a name of more than [`MAX_NAME_LENGTH`] bytes.
    pub fn pin_history(&self, name: &str, transaction_id: u64) -> Result<(), StorageError> {
        if name.len() > MAX_NAME_LENGTH {
            return Err(StorageError::ValueTooLarge(name.len()));
        }
        self.past_root(transaction_id)?;
        self.tables.change_system(|rows| rows.put(&named_key(PIN, name), &transaction_id.to_le_bytes()))
    }

    /// Takes a pin back, and says whether there was one. Its commit goes as others of its age do: with one of the next
    /// durable commits, unless it is retained otherwise.
    pub fn unpin_history(&self, name: &str) -> Result<bool, StorageError> {
        self.tables.change_system(|rows| rows.remove(&named_key(PIN, name)))
    }

    /// Makes all tables what they were at a commit of the history; the history itself goes on.
    ///
    /// Reads what differs, not what both states share.
    ///
    /// # Errors
    ///
    /// [`HistorySnapshotNotFound`](StorageError::HistorySnapshotNotFound) if the history has no such commit. After an
    /// error of the storage the transaction can only be aborted, or go back to a checkpoint.
    pub fn revert_to(&mut self, transaction_id: u64) -> Result<(), SavepointError> {
        let root = self.past_root(transaction_id)?;
        self.hold_until_end(root);
        Ok(self.tables.restore(root, transaction_id)?)
    }

    fn past_root(&self, id: TxnId) -> Result<Option<Pointer>, StorageError> {
        self.tables.read_system(|store, system| Ok(entry_of(store, system, id)?.root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Database;
    use crate::backend::InMemoryBackend;

    #[test]
    fn a_forged_id_does_not_keep_the_search_for_a_time_from_ending() {
        let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let txn = db.begin_write().unwrap();
        let forged = TransactionInfo { transaction_id: u64::MAX, timestamp_ms: 7 };
        txn.tables.change_system(|rows| past::add(rows, &Entry { info: forged, root: None })).unwrap();
        let found = |time| txn.tables.read_system(|store, system| last_until(store, system, time)).unwrap();
        assert_eq!(found(7).map(|entry| entry.info), Some(forged));
        assert!(found(6).is_none());
    }
}
