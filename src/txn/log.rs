//! What a write transaction tells the change log.
//!
//! Events wait in memory, and go into the system tree when they are many, and at the commit. A checkpoint remembers
//! both, so what is rolled back takes its events along. Until the commit nobody knows its id, so the rows go by the id
//! with which the transaction began; the row before its events, written at the end, has the other.

use super::catalog::Definition;
use super::event::{BlobChange, Encoder};
use super::system::{self, LOG, LOG_CONFIG, LOG_TABLE, Rows, SystemEditor};
use super::write::Tables;
use crate::btree::{Change as RowChange, ChangeSink};
use crate::changes::{CdcConfig, CdcMode};
use crate::error::StorageError;
use crate::format::{Pointer, TxnId};
use crate::pages::Store;
use crate::sync::Mutex;
use alloc::vec::Vec;
use core::ops::Bound;

/// Bytes of events that wait in memory.
const MOST_PENDING: usize = 64 << 10;

/// The key of an event, or, as number 0, of what is known of its transaction.
pub(super) fn event_key(id: TxnId, sequence: u64) -> [u8; 17] {
    system::numbered_key(LOG, [id, sequence])
}

pub(super) fn table_key(name: &str) -> Vec<u8> {
    system::named_key(LOG_TABLE, name)
}

/// What the file says is logged.
pub(super) fn stored_config(store: &Store, system: Option<Pointer>) -> Result<Option<CdcConfig>, StorageError> {
    let Some(bytes) = system::value_of(store, system, &[LOG_CONFIG])? else { return Ok(None) };
    let malformed = || StorageError::corrupted("the settings of the change log are malformed");
    CdcConfig::from_bytes(&bytes).ok_or_else(malformed).map(Some)
}

/// What the file says is logged of a table.
fn stored_mode(store: &Store, system: Option<Pointer>, table: &str) -> Result<Option<CdcMode>, StorageError> {
    let Some(bytes) = system::value_of(store, system, &table_key(table))? else { return Ok(None) };
    let mode = match *bytes {
        [byte] => CdcMode::from_byte(byte),
        _ => None,
    };
    mode.map(Some).ok_or_else(|| StorageError::corrupted("what is logged of a table is malformed"))
}

/// What is logged in a transaction.
#[derive(Debug)]
pub(crate) struct Log {
    /// Of tables that do not say otherwise.
    mode: CdcMode,
    /// Some tables do.
    has_tables: bool,
    id: TxnId,
    staged: Mutex<Staged>,
}

/// How far the log has come: a clone is what a checkpoint remembers.
#[derive(Clone, Debug, Default)]
pub(super) struct Staged {
    /// Events.
    pub(super) count: u64,
    /// Bytes of all of them.
    pub(super) bytes: u64,
    /// Those that are not in the tree.
    pending: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Log {
    pub(super) fn begin(store: &Store, system: Option<Pointer>, id: TxnId) -> Result<Self, StorageError> {
        let config = match store.settings().cdc {
            Some(config) => Some(config),
            None => stored_config(store, system)?,
        };
        let has_tables = Rows::new(store, system, LOG_TABLE)?.next().is_some();
        let mode = config.map_or(CdcMode::Off, |config| config.mode);
        Ok(Self { mode, has_tables, id, staged: Mutex::default() })
    }

    pub(super) fn id(&self) -> TxnId {
        self.id
    }

    pub(super) fn is_on(&self) -> bool {
        self.mode != CdcMode::Off || self.has_tables
    }

    /// Tables may say otherwise from now on.
    pub(super) fn note_tables(&mut self) {
        self.has_tables = true;
    }

    pub(super) fn staged(&self) -> Staged {
        self.staged.lock().clone()
    }

    /// Goes back to what was staged then.
    pub(super) fn reset(&mut self, staged: Staged) {
        self.staged = Mutex::new(staged);
    }
}

impl Staged {
    /// Moves what is pending into the tree.
    fn flush(&mut self, id: TxnId, rows: &mut SystemEditor<'_>) -> Result<(), StorageError> {
        let mut sequence = self.count - self.ends.len() as u64;
        let mut start = 0;
        for end in &self.ends {
            sequence += 1;
            let event = self.pending.get(start..*end).unwrap_or_default();
            rows.put(&event_key(id, sequence), event)?;
            start = *end;
        }
        self.pending.clear();
        self.ends.clear();
        Ok(())
    }
}

impl Tables {
    /// What is logged of a table.
    pub(super) fn log_mode(&self, name: &str) -> Result<CdcMode, StorageError> {
        if !self.log.has_tables {
            return Ok(self.log.mode);
        }
        let own = self.read_system(|store, system| stored_mode(store, system, name))?;
        Ok(own.unwrap_or(self.log.mode))
    }

    /// Stages the event that `encode` makes.
    fn log(&self, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), StorageError> {
        let mut staged = self.log.staged.lock();
        let before = staged.pending.len();
        encode(&mut staged.pending);
        let end = staged.pending.len();
        staged.ends.push(end);
        staged.count += 1;
        staged.bytes = staged.bytes.saturating_add((end - before) as u64);
        if end < MOST_PENDING {
            return Ok(());
        }
        self.change_system(|rows| staged.flush(self.log.id, rows))
    }

    /// Moves what is pending into the tree.
    pub(super) fn flush_log(&self) -> Result<(), StorageError> {
        let mut staged = self.log.staged.lock();
        if staged.ends.is_empty() {
            return Ok(());
        }
        self.change_system(|rows| staged.flush(self.log.id, rows))
    }

    /// All tables are what they were after a commit: of what came before nothing is left but that.
    pub(super) fn log_reverted(&mut self, to: TxnId) -> Result<(), StorageError> {
        if !self.log.is_on() {
            return Ok(());
        }
        let id = self.log.id;
        self.log.reset(Staged::default());
        self.change_system(|rows| rows.remove_range(&event_key(id, 0), &event_key(id, u64::MAX)))?;
        self.log(|bytes| Encoder::reverted(bytes, to))
    }

    /// Something happened to a blob. Logged as tables are that do not say otherwise.
    pub(super) fn log_blob(&self, id: u64, what: BlobChange) -> Result<(), StorageError> {
        if self.log.mode == CdcMode::Off {
            return Ok(());
        }
        self.log(|bytes| Encoder::blob(bytes, id, what))
    }

    pub(super) fn log_created(&self, table: &str, definition: &Definition) -> Result<(), StorageError> {
        let Definition { kind, key, value, .. } = definition;
        self.log_table(table, |bytes| Encoder::created(bytes, table, *kind, key, value))
    }

    pub(super) fn log_deleted(&self, table: &str) -> Result<(), StorageError> {
        self.log_table(table, |bytes| Encoder::deleted(bytes, table))?;
        self.take_mode(table).map(drop)
    }

    pub(super) fn log_renamed(&self, table: &str, new_name: &str) -> Result<(), StorageError> {
        self.log_table(table, |bytes| Encoder::renamed(bytes, table, new_name))?;
        match self.take_mode(table)? {
            Some(mode) => self.change_system(|rows| rows.put(&table_key(new_name), &[mode.to_byte()])),
            None => Ok(()),
        }
    }

    /// Takes out what a table says of itself.
    fn take_mode(&self, table: &str) -> Result<Option<CdcMode>, StorageError> {
        if !self.log.has_tables {
            return Ok(None);
        }
        self.change_system(|rows| {
            let mode = stored_mode(rows.store(), rows.tree.root, table)?;
            rows.remove(&table_key(table))?;
            Ok(mode)
        })
    }

    fn log_table(&self, table: &str, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), StorageError> {
        if self.log_mode(table)? == CdcMode::Off {
            return Ok(());
        }
        self.log(encode)
    }
}

/// Tells the log of what changes in one table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorder<'t> {
    pub(crate) tables: &'t Tables,
    pub(crate) table: &'t str,
    pub(crate) mode: CdcMode,
    pub(crate) multimap: bool,
}

impl Recorder<'_> {
    /// A row of a TTL table went because its time had come.
    pub(crate) fn expired(&self, key: &[u8], old: &[u8]) -> Result<(), StorageError> {
        let Self { tables, table, mode, .. } = *self;
        if mode == CdcMode::Off {
            return Ok(());
        }
        tables.log(|bytes| Encoder::expired(bytes, table, mode, key, old))
    }

    /// A value was merged into. `old` is the value before, if the mode asks for it.
    pub(crate) fn merged(
        &self,
        key: &[u8],
        operand: &[u8],
        old: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<(), StorageError> {
        self.tables.log(|bytes| Encoder::merged(bytes, self.table, self.mode, &RowChange { key, old, new }, operand))
    }
}

impl ChangeSink for Recorder<'_> {
    #[inline]
    fn is_active(&self) -> bool {
        self.mode != CdcMode::Off
    }

    fn changed(&mut self, change: RowChange<'_>) -> Result<(), StorageError> {
        let Self { tables, table, mode, multimap } = *self;
        if mode == CdcMode::Off {
            return Ok(());
        }
        tables.log(|bytes| Encoder::row(bytes, table, mode, multimap, &change))
    }

    fn range_removed(&mut self, start: Bound<&[u8]>, end: Bound<&[u8]>, rows: u64) -> Result<(), StorageError> {
        if self.mode == CdcMode::Off {
            return Ok(());
        }
        self.tables.log(|bytes| Encoder::range(bytes, self.table, (start, end), rows))
    }
}
