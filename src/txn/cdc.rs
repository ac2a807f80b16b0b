//! Reading the change log, its cursors, and how much of it stays.

use super::event::ChangeEvent;
use super::log::{Log, Staged, event_key, stored_config, table_key};
use super::read::{ReadTransaction, Snapshot};
use super::system::{self, LOG, LOG_CONFIG, LOG_CURSOR, LOG_PRUNED, Rows, SystemEditor, SystemRow};
use super::write::WriteTransaction;
use crate::btree::RangeCursor;
use crate::changes::{CdcConfig, CdcMode, ChangePosition};
use crate::error::StorageError;
use crate::format::{Pointer, TxnId};
use crate::limits::MAX_NAME_LENGTH;
use crate::pages::{Commit, Store};
use crate::settings::with_slack;
use crate::sync::Arc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

fn malformed() -> StorageError {
    StorageError::corrupted("a row of the change log is malformed")
}

/// What is known of a transaction in the log.
///
/// | bytes | field |
/// |---|---|
/// | 8 | id of its commit |
/// | 8 | time of its commit |
/// | 8 | its events |
/// | 8 | transactions that were logged before it |
/// | 8 | bytes of events that were logged before it |
/// | 8 | bytes of its own events |
#[derive(Clone, Copy, Debug)]
struct Header {
    /// Id in the keys of its rows.
    id: TxnId,
    commit: TxnId,
    time: u64,
    count: u64,
    transactions_before: u64,
    bytes_before: u64,
    bytes: u64,
}

impl Header {
    fn load(store: &Store, system: Option<Pointer>, id: TxnId) -> Result<Self, StorageError> {
        let bytes = system::value_of(store, system, &event_key(id, 0))?.ok_or_else(malformed)?;
        let (fields, rest) = bytes.as_chunks::<8>();
        let [commit, time, count, transactions_before, bytes_before, bytes] = *fields else { return Err(malformed()) };
        let of = u64::from_le_bytes;
        if !rest.is_empty() {
            return Err(malformed());
        }
        Ok(Self {
            id,
            commit: of(commit),
            time: of(time),
            count: of(count),
            transactions_before: of(transactions_before),
            bytes_before: of(bytes_before),
            bytes: of(bytes),
        })
    }

    fn to_bytes(self) -> Vec<u8> {
        let fields = [self.commit, self.time, self.count, self.transactions_before, self.bytes_before, self.bytes];
        fields.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    fn position(&self, sequence: u64) -> ChangePosition {
        ChangePosition { transaction_id: self.commit, sequence }
    }

    fn last(&self) -> ChangePosition {
        self.position(self.count)
    }

    /// The first transaction in the log that is not before this id.
    fn first_from(store: &Store, system: Option<Pointer>, id: TxnId) -> Result<Option<Self>, StorageError> {
        let row = Rows::from(store, system, &event_key(id, 0), LOG)?.next().transpose()?;
        row.map(|row| Self::load(store, system, parts_of(&row)?.0)).transpose()
    }

    /// The last one that is before this id.
    fn last_before(store: &Store, system: Option<Pointer>, id: TxnId) -> Result<Option<Self>, StorageError> {
        let row = Rows::until(store, system, LOG, &event_key(id, 0))?.next_back().transpose()?;
        row.map(|row| Self::load(store, system, parts_of(&row)?.0)).transpose()
    }
}

/// The id and the number in an event's key.
fn parts_of(row: &SystemRow) -> Result<(TxnId, u64), StorageError> {
    match *row.key().as_chunks::<8>().0 {
        [id, sequence] if row.key().len() == 16 => Ok((u64::from_be_bytes(id), u64::from_be_bytes(sequence))),
        _ => Err(malformed()),
    }
}

fn pruned(store: &Store, system: Option<Pointer>) -> Result<Option<ChangePosition>, StorageError> {
    let bytes = system::value_of(store, system, &[LOG_PRUNED])?;
    bytes.map(|bytes| position_of(&bytes)).transpose()
}

fn position_of(bytes: &[u8]) -> Result<ChangePosition, StorageError> {
    match *bytes.as_chunks::<8>().0 {
        [transaction_id, sequence, ..] => Ok(ChangePosition {
            transaction_id: u64::from_le_bytes(transaction_id),
            sequence: u64::from_le_bytes(sequence),
        }),
        _ => Err(malformed()),
    }
}

fn bytes_of(position: ChangePosition) -> impl Iterator<Item = u8> {
    [position.transaction_id, position.sequence].into_iter().flat_map(u64::to_le_bytes)
}

/// A place in the change log that has a name and is kept in the file: how far one of those who read it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CdcCursor {
    /// Its name.
    pub name: String,
    /// The last event that was dealt with.
    pub position: ChangePosition,
    /// Whether what comes after it stays in the log, whatever the [limits](CdcConfig) are.
    pub holds: bool,
}

impl CdcCursor {
    fn load(store: &Store, system: Option<Pointer>, name: &str) -> Result<Option<Self>, StorageError> {
        let bytes = system::value_of(store, system, &system::named_key(LOG_CURSOR, name))?;
        bytes.map(|bytes| Self::decode(name, &bytes)).transpose()
    }

    fn decode(name: &str, bytes: &[u8]) -> Result<Self, StorageError> {
        let holds = match bytes.get(16..) {
            Some([holds @ 0..=1]) => *holds == 1,
            _ => return Err(malformed()),
        };
        Ok(Self { name: name.to_string(), position: position_of(bytes)?, holds })
    }

    fn store(&self, rows: &mut SystemEditor<'_>) -> Result<(), StorageError> {
        let bytes: Vec<u8> = bytes_of(self.position).chain([u8::from(self.holds)]).collect();
        rows.put(&system::named_key(LOG_CURSOR, &self.name), &bytes)
    }
}

fn cursors(store: &Store, system: Option<Pointer>) -> Result<Vec<CdcCursor>, StorageError> {
    let cursor = |row: SystemRow| {
        let name = core::str::from_utf8(row.key()).map_err(|_| malformed())?;
        CdcCursor::decode(name, &row.value(store)?)
    };
    Rows::new(store, system, LOG_CURSOR)?.map(|row| row.and_then(cursor)).collect()
}

/// Ends the log of a transaction that is about to be committed, all its events in the tree.
pub(super) fn finish(
    rows: &mut SystemEditor<'_>,
    log: &Log,
    staged: &Staged,
    commit: &Commit,
) -> Result<(), StorageError> {
    let store = rows.store();
    let stored = stored_config(store, rows.tree.root)?;
    let config = store.settings().cdc.or(stored);
    if let Some(wanted) = store.settings().cdc.filter(|_| config != stored) {
        rows.put(&[LOG_CONFIG], &wanted.to_bytes())?;
    }
    if staged.count > 0 {
        let before = Header::last_before(store, rows.tree.root, log.id())?;
        let header = Header {
            id: log.id(),
            commit: commit.id,
            time: commit.time,
            count: staged.count,
            transactions_before: before.map_or(0, |before| before.transactions_before.saturating_add(1)),
            bytes_before: before.map_or(0, |before| before.bytes_before.saturating_add(before.bytes)),
            bytes: staged.bytes,
        };
        rows.put(&event_key(log.id(), 0), &header.to_bytes())?;
    }
    config.map_or(Ok(()), |config| prune(rows, &config, commit.time))
}

/// Lets the oldest transactions go if there is too much of them.
fn prune(rows: &mut SystemEditor<'_>, config: &CdcConfig, now: u64) -> Result<(), StorageError> {
    if *config == CdcConfig::new(config.mode) {
        return Ok(());
    }
    let (store, system) = (rows.store(), rows.tree.root);
    let (Some(mut oldest), Some(newest)) =
        (Header::first_from(store, system, 0)?, Header::last_before(store, system, TxnId::MAX)?)
    else {
        return Ok(());
    };
    let exceeds = |oldest: &Header, slack: bool| {
        let limit = |most: u64| if slack { with_slack(most) } else { most };
        let transactions = newest.transactions_before.saturating_sub(oldest.transactions_before).saturating_add(1);
        let bytes = newest.bytes_before.saturating_sub(oldest.bytes_before).saturating_add(newest.bytes);
        transactions > limit(config.transactions)
            || bytes > limit(config.bytes)
            || now.saturating_sub(oldest.time) > limit(config.age)
    };
    if !exceeds(&oldest, true) {
        return Ok(());
    }
    let holding = cursors(store, system)?.into_iter().filter(|cursor| cursor.holds);
    let held = holding.map(|cursor| cursor.position).min();
    let mut gone = None;
    while oldest.id < newest.id && exceeds(&oldest, false) && held.is_none_or(|held| oldest.last() <= held) {
        gone = Some(oldest.last());
        let Some(next) = Header::first_from(store, system, oldest.id.saturating_add(1))? else { break };
        oldest = next;
    }
    let Some(gone) = gone else { return Ok(()) };
    rows.remove_range(&[LOG], &event_key(oldest.id, 0))?;
    rows.put(&[LOG_PRUNED], &bytes_of(gone).collect::<Vec<_>>())
}

/// Events of the change log, as they were committed, of a read transaction, which it keeps. Reads one page of the log
/// at a time.
#[derive(Debug)]
pub struct ChangeStream {
    snapshot: Arc<Snapshot>,
    rows: RangeCursor,
    until: ChangePosition,
    header: Option<Header>,
    over: bool,
}

impl ChangeStream {
    fn begin(snapshot: &Arc<Snapshot>, after: ChangePosition, until: ChangePosition) -> Result<Self, StorageError> {
        let (store, system) = (snapshot.store(), snapshot.commit().system);
        store.check_open()?;
        if let Some(up_to) = pruned(store, system)?.filter(|pruned| after < *pruned) {
            return Err(StorageError::CdcPruned { up_to });
        }
        // Rows go by an id that is not greater than that of the commit.
        let before = Header::last_before(store, system, after.transaction_id.saturating_add(1))?;
        let after = match before {
            Some(header) if header.commit == after.transaction_id => event_key(header.id, after.sequence),
            Some(header) if header.commit < after.transaction_id => event_key(header.id, u64::MAX),
            Some(header) => event_key(header.id, 0),
            None => event_key(0, 0),
        };
        // Of a past commit's log the rest is not to be seen.
        let until = until.min(ChangePosition::after_transaction(snapshot.commit().id));
        let rows = system::rows_after(store, system, &after, LOG)?;
        Ok(Self { snapshot: snapshot.clone(), rows, until, header: None, over: false })
    }

    fn step(&mut self) -> Result<Option<ChangeEvent>, StorageError> {
        let (store, system) = (self.snapshot.store(), self.snapshot.commit().system);
        store.check_open()?;
        while let Some(row) = system::next_row(store, &mut self.rows)? {
            let (id, sequence) = parts_of(&row)?;
            let header = match self.header.filter(|header| header.id == id) {
                Some(header) => header,
                None => *self.header.insert(Header::load(store, system, id)?),
            };
            if sequence == 0 {
                continue;
            }
            let position = header.position(sequence);
            if position > self.until {
                return Ok(None);
            }
            return ChangeEvent::decode(position, header.time, &row.value(store)?).map(Some);
        }
        Ok(None)
    }
}

impl Iterator for ChangeStream {
    type Item = Result<ChangeEvent, StorageError>;

    /// After an error there is no more.
    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let step = self.step().transpose();
        self.over = !matches!(step, Some(Ok(_)));
        step
    }
}

impl ReadTransaction {
    /// The changes that were committed after this one, oldest first, up to what the transaction sees.
    ///
    /// ```
    /// use sapwood::{Builder, CdcConfig, CdcMode, Change, ChangePosition, ReadableDatabase, TableDefinition};
    /// use sapwood::backends::InMemoryBackend;
    ///
    /// const RINGS: TableDefinition<&str, u64> = TableDefinition::new("rings");
    /// let db = Builder::new()
    ///     .set_cdc(CdcConfig::new(CdcMode::OldAndNew))
    ///     .create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// txn.open_table(RINGS)?.insert("oak", 120)?;
    /// txn.commit()?;
    ///
    /// let changes: Vec<_> = db.begin_read()?.read_cdc_since(ChangePosition::START)?.collect::<Result<_, _>>()?;
    /// assert!(matches!(changes[0].change, Change::CreateTable { .. }));
    /// assert!(matches!(&changes[1].change, Change::Insert { key, .. } if key == b"oak"));
    /// assert!(db.begin_read()?.read_cdc_since(changes[1].position)?.next().is_none());
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CdcPruned`](StorageError::CdcPruned) if events after this place have been let go, and only then.
    pub fn read_cdc_since(&self, after: ChangePosition) -> Result<ChangeStream, StorageError> {
        self.read_cdc_range(after, ChangePosition::after_transaction(u64::MAX))
    }

    /// The changes that were committed after one place, up to and with another.
    ///
    /// # Errors
    ///
    /// As of [`read_cdc_since`](Self::read_cdc_since).
    pub fn read_cdc_range(&self, after: ChangePosition, until: ChangePosition) -> Result<ChangeStream, StorageError> {
        ChangeStream::begin(self.snapshot(), after, until)
    }

    /// The place of the newest change that the transaction sees.
    pub fn latest_cdc_position(&self) -> Result<Option<ChangePosition>, StorageError> {
        let (store, commit) = (self.log_store()?, self.snapshot().commit());
        let mut beyond = commit.id.saturating_add(1);
        while let Some(last) = Header::last_before(store, commit.system, beyond)? {
            if last.commit <= commit.id {
                return Ok(Some(last.last()));
            }
            beyond = last.id;
        }
        Ok(None)
    }

    /// The place of the newest change that has been let go.
    pub fn cdc_pruned_up_to(&self) -> Result<Option<ChangePosition>, StorageError> {
        pruned(self.log_store()?, self.snapshot().commit().system)
    }

    /// The cursor of this name.
    pub fn cdc_cursor(&self, name: &str) -> Result<Option<CdcCursor>, StorageError> {
        CdcCursor::load(self.log_store()?, self.snapshot().commit().system, name)
    }

    /// All cursors, ordered by name.
    pub fn cdc_cursors(&self) -> Result<Vec<CdcCursor>, StorageError> {
        cursors(self.log_store()?, self.snapshot().commit().system)
    }

    fn log_store(&self) -> Result<&Store, StorageError> {
        let store = self.snapshot().store();
        store.check_open()?;
        Ok(store)
    }
}

impl WriteTransaction {
    /// Notes how far the reader of this name has come; makes the cursor if there is none, one that holds nothing.
    ///
    /// # Errors
    ///
    /// [`ValueTooLarge`](StorageError::ValueTooLarge) for a name of more than [`MAX_NAME_LENGTH`] bytes.
    pub fn advance_cdc_cursor(&self, name: &str, position: ChangePosition) -> Result<(), StorageError> {
        self.change_cursor(name, |cursor| cursor.position = position)
    }

    /// Chooses whether what comes after the cursor stays in the log; makes the cursor, before all events, if there is
    /// none.
    ///
    /// One that holds, and is never advanced, lets the log grow without bound.
    ///
    /// # Errors
    ///
    /// As of [`advance_cdc_cursor`](Self::advance_cdc_cursor).
    pub fn hold_cdc_cursor(&self, name: &str, holds: bool) -> Result<(), StorageError> {
        self.change_cursor(name, |cursor| cursor.holds = holds)
    }

    fn change_cursor(&self, name: &str, change: impl FnOnce(&mut CdcCursor)) -> Result<(), StorageError> {
        if name.len() > MAX_NAME_LENGTH {
            return Err(StorageError::ValueTooLarge(name.len()));
        }
        self.tables.change_system(|rows| {
            let stored = CdcCursor::load(rows.store(), rows.tree.root, name)?;
            let fresh = || CdcCursor { name: name.to_string(), position: ChangePosition::START, holds: false };
            let mut cursor = stored.unwrap_or_else(fresh);
            change(&mut cursor);
            cursor.store(rows)
        })
    }

    /// Deletes a cursor, and says whether there was one.
    pub fn delete_cdc_cursor(&self, name: &str) -> Result<bool, StorageError> {
        self.tables.change_system(|rows| rows.remove(&system::named_key(LOG_CURSOR, name)))
    }

    /// Chooses what is logged of the table or multimap of this name, whether there is one or not; with `None` it is
    /// what is logged [of all](crate::Builder::set_cdc). Holds for what is opened from now on, and in later
    /// transactions. Goes along when the table is renamed, and ends when it is deleted; restoring a savepoint, or a
    /// past commit, does not change it.
    ///
    /// # Errors
    ///
    /// [`ValueTooLarge`](StorageError::ValueTooLarge) for a name of more than [`MAX_NAME_LENGTH`] bytes.
    pub fn set_table_cdc(&mut self, name: &str, mode: Option<CdcMode>) -> Result<(), StorageError> {
        if name.len() > MAX_NAME_LENGTH {
            return Err(StorageError::ValueTooLarge(name.len()));
        }
        self.tables.log.note_tables();
        self.tables.change_system(|rows| match mode {
            Some(mode) => rows.put(&table_key(name), &[mode.to_byte()]),
            None => rows.remove(&table_key(name)).map(drop),
        })
    }
}
