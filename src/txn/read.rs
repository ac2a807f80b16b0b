use super::catalog::{self, Definition, Space, TableEntry, TableId, TableKind};
use super::definition::{
    MultimapTableDefinition, MultimapTableHandle, TableDefinition, TableHandle, TtlTableDefinition, TtlTableHandle,
    UntypedMultimapTableHandle, UntypedTableHandle, UntypedTtlTableHandle,
};
use super::sealed::Sealed;
use crate::clock::TransactionTime;
use crate::error::{StorageError, TableError, TransactionError};
use crate::format::{Pointer, TxnId};
use crate::pages::{Commit, Held, Store};
use crate::settings::Settings;
use crate::sync::Arc;
use crate::table::{
    ReadOnlyMultimapTable, ReadOnlyTable, ReadOnlyTtlTable, ReadOnlyUntypedMultimapTable, ReadOnlyUntypedTable,
    SnapshotTree,
};
use crate::types::{Key, Value};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A committed state that stays readable while this lives.
#[derive(Debug)]
pub(crate) struct Snapshot {
    store: Arc<Store>,
    commit: Commit,
    /// Of a past commit: the newer one whose system tree is seen with it.
    system_of: Option<TxnId>,
    time: TransactionTime,
}

impl Snapshot {
    /// The newest commit.
    pub(crate) fn begin(store: &Arc<Store>) -> Result<Self, StorageError> {
        store.check_open()?;
        let time = TransactionTime::default();
        Ok(Self { store: store.clone(), commit: store.acquire_head(), system_of: None, time })
    }

    /// The commit that a check holds.
    fn of_held(store: &Arc<Store>, held: &Held) -> Self {
        let time = TransactionTime::default();
        Self { store: store.clone(), commit: held.acquire(), system_of: None, time }
    }

    /// A commit that `head` retains, unless it was let go meanwhile.
    pub(super) fn of_past(head: &Self, commit: Commit) -> Option<Self> {
        let kept = head.store.hold_past(&head.commit, commit.data.as_ref());
        let (system_of, time) = (Some(head.commit.id), TransactionTime::at(commit.time));
        kept.then(|| Self { store: head.store.clone(), commit, system_of, time })
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(crate) fn commit(&self) -> &Commit {
        &self.commit
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        match self.system_of {
            Some(newer) => self.store.release_past(newer, self.commit.data.as_ref()),
            None => self.store.release(&self.commit),
        }
    }
}

/// A view of the whole database as it was when the transaction began, whatever is committed since.
///
/// ```
/// use sapwood::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition, backends::InMemoryBackend};
///
/// const NAMES: TableDefinition<u64, &str> = TableDefinition::new("names");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// txn.open_table(NAMES)?.insert(1, "sapwood")?;
/// txn.commit()?;
///
/// let before = db.begin_read()?;
/// let txn = db.begin_write()?;
/// txn.open_table(NAMES)?.remove(1)?;
/// txn.commit()?;
/// assert_eq!(before.open_table(NAMES)?.len()?, 1);
/// assert_eq!(db.begin_read()?.open_table(NAMES)?.len()?, 0);
/// # Ok::<(), sapwood::Error>(())
/// ```
#[derive(Debug)]
pub struct ReadTransaction {
    snapshot: Arc<Snapshot>,
}

impl Sealed for ReadTransaction {}

impl ReadTransaction {
    pub(crate) fn begin(store: &Arc<Store>) -> Result<Self, TransactionError> {
        Ok(Self::of(Snapshot::begin(store)?))
    }

    /// One that sees what a check holds.
    pub(crate) fn of_held(store: &Arc<Store>, held: &Held) -> Self {
        Self::of(Snapshot::of_held(store, held))
    }

    pub(super) fn of(snapshot: Snapshot) -> Self {
        Self { snapshot: Arc::new(snapshot) }
    }

    pub(super) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Id of the transaction whose commit is seen.
    pub fn transaction_id(&self) -> u64 {
        self.snapshot.commit.id
    }

    /// When what is seen was committed, in milliseconds since 1970; `None` if no commit was dated until then: see
    /// [`Builder::set_clock`](crate::Builder::set_clock).
    pub fn timestamp_ms(&self) -> Option<u64> {
        Some(self.snapshot.commit.time).filter(|time| *time > 0)
    }

    /// Opens a table.
    ///
    /// # Errors
    ///
    /// [`TableDoesNotExist`](TableError::TableDoesNotExist), or
    /// [`TableTypeMismatch`](TableError::TableTypeMismatch) and its kin if the table is of other types.
    pub fn open_table<K: Key + 'static, V: Value + 'static>(
        &self,
        definition: TableDefinition<'_, K, V>,
    ) -> Result<ReadOnlyTable<K, V>, TableError> {
        let wanted = Definition::of::<K, V>().or_merged_by(definition.merge());
        self.tree(definition.name(), |name, found| found.check(name, &wanted)).map(ReadOnlyTable::new)
    }

    /// Opens a table whose types are not known, to learn its length and size.
    ///
    /// ```
    /// # use sapwood::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition, backends::InMemoryBackend};
    /// # const NAMES: TableDefinition<u64, &str> = TableDefinition::new("names");
    /// # let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// # let txn = db.begin_write()?;
    /// # txn.open_table(NAMES)?.insert(1, "sapwood")?;
    /// # txn.commit()?;
    /// let txn = db.begin_read()?;
    /// for table in txn.list_tables()? {
    ///     assert_eq!(txn.open_untyped_table(table)?.len()?, 1);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TableDoesNotExist`](TableError::TableDoesNotExist), [`TableIsMultimap`](TableError::TableIsMultimap), or
    /// [`TableIsTtl`](TableError::TableIsTtl).
    pub fn open_untyped_table(&self, handle: impl TableHandle) -> Result<ReadOnlyUntypedTable, TableError> {
        self.tree(handle.name(), |name, found| found.check_kind(name, TableKind::Table)).map(ReadOnlyUntypedTable::new)
    }

    /// Opens a multimap table.
    ///
    /// # Errors
    ///
    /// [`TableDoesNotExist`](TableError::TableDoesNotExist), [`TableIsNotMultimap`](TableError::TableIsNotMultimap), or
    /// [`TableTypeMismatch`](TableError::TableTypeMismatch) and its kin if the table is of other types.
    pub fn open_multimap_table<K: Key + 'static, V: Key + 'static>(
        &self,
        definition: MultimapTableDefinition<'_, K, V>,
    ) -> Result<ReadOnlyMultimapTable<K, V>, TableError> {
        let wanted = Definition::of::<K, V>().with_kind(TableKind::Multimap);
        self.tree(definition.name(), |name, found| found.check(name, &wanted)).map(ReadOnlyMultimapTable::new)
    }

    /// Opens a multimap table whose types are not known, to learn its length and size.
    ///
    /// ```
    /// # use sapwood::{Database, MultimapTableDefinition, ReadableDatabase, ReadableTableMetadata};
    /// # use sapwood::backends::InMemoryBackend;
    /// # const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");
    /// # let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// # let txn = db.begin_write()?;
    /// # txn.open_multimap_table(TAGS)?.insert("old", 1)?;
    /// # txn.commit()?;
    /// let txn = db.begin_read()?;
    /// for table in txn.list_multimap_tables()? {
    ///     assert_eq!(txn.open_untyped_multimap_table(table)?.len()?, 1);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TableDoesNotExist`](TableError::TableDoesNotExist), or [`TableIsNotMultimap`](TableError::TableIsNotMultimap).
    pub fn open_untyped_multimap_table(
        &self,
        handle: impl MultimapTableHandle,
    ) -> Result<ReadOnlyUntypedMultimapTable, TableError> {
        self.tree(handle.name(), |name, found| found.check_kind(name, TableKind::Multimap))
            .map(ReadOnlyUntypedMultimapTable::new)
    }

    /// Opens a table whose rows may expire.
    ///
    /// The first one that is opened reads the [clock](crate::Builder::set_clock), once for the whole transaction: what
    /// is seen does not change while it lives. A transaction that sees the [past](crate::Database::begin_read_at) has
    /// the time of its commit.
    ///
    /// # Errors
    ///
    /// As of [`open_table`](Self::open_table), but [`TableIsNotTtl`](TableError::TableIsNotTtl) for a table of another
    /// kind; [`ClockMissing`](StorageError::ClockMissing) without a clock.
    pub fn open_ttl_table<K: Key + 'static, V: Value + 'static>(
        &self,
        definition: TtlTableDefinition<'_, K, V>,
    ) -> Result<ReadOnlyTtlTable<K, V>, TableError> {
        let wanted = Definition::of::<K, V>().with_kind(TableKind::Ttl);
        let name = definition.name();
        let entry = self.entry(name, |name, found| found.check(name, &wanted))?;
        let now = self.now()?;
        Ok(ReadOnlyTtlTable::new(self.tree_of(name, entry.root), self.tree_of(name, entry.expiries), now))
    }

    /// The time that the whole transaction sees.
    pub(crate) fn now(&self) -> Result<u64, StorageError> {
        self.snapshot.time.now(&self.snapshot.store.settings().time)
    }

    /// What the builder said of the database.
    pub(crate) fn settings(&self) -> &Settings {
        self.snapshot.store.settings()
    }

    /// Opens a table of the database's own, if there is one.
    pub(crate) fn open_own<K: Key + 'static, V: Value + 'static>(
        &self,
        id: TableId<'_>,
    ) -> Result<Option<ReadOnlyTable<K, V>>, StorageError> {
        self.snapshot.store.check_open()?;
        let Some(entry) = catalog::look_up(&self.snapshot.store, self.snapshot.commit.data, id)? else {
            return Ok(None);
        };
        entry.definition.check(id.name, &Definition::of::<K, V>()).map_err(catalog::malformed_own)?;
        Ok(Some(ReadOnlyTable::new(self.tree_of(id.name, entry.root))))
    }

    /// The tree of a table whose definition `check` accepts.
    fn tree(
        &self,
        name: &str,
        check: impl FnOnce(&str, &Definition) -> Result<(), TableError>,
    ) -> Result<SnapshotTree, TableError> {
        Ok(self.tree_of(name, self.entry(name, check)?.root))
    }

    fn tree_of(&self, name: &str, root: Option<Pointer>) -> SnapshotTree {
        SnapshotTree::new(name.to_string(), self.snapshot.clone(), root)
    }

    fn entry(
        &self,
        name: &str,
        check: impl FnOnce(&str, &Definition) -> Result<(), TableError>,
    ) -> Result<TableEntry, TableError> {
        catalog::check_name(name)?;
        self.snapshot.store.check_open()?;
        let entry = catalog::look_up(&self.snapshot.store, self.snapshot.commit.data, TableId::of_user(name))?
            .ok_or_else(|| TableError::TableDoesNotExist(name.to_string()))?;
        check(name, &entry.definition)?;
        Ok(entry)
    }

    /// The tables that there are, ordered by name; multimaps and TTL tables are not among them.
    pub fn list_tables(&self) -> Result<impl Iterator<Item = UntypedTableHandle>, StorageError> {
        Ok(self.names(TableKind::Table)?.into_iter().map(UntypedTableHandle::new))
    }

    /// The multimap tables that there are, ordered by name; other tables are not among them.
    pub fn list_multimap_tables(&self) -> Result<impl Iterator<Item = UntypedMultimapTableHandle>, StorageError> {
        Ok(self.names(TableKind::Multimap)?.into_iter().map(UntypedMultimapTableHandle::new))
    }

    /// The TTL tables that there are, ordered by name; other tables are not among them.
    pub fn list_ttl_tables(&self) -> Result<impl Iterator<Item = UntypedTtlTableHandle>, StorageError> {
        Ok(self.names(TableKind::Ttl)?.into_iter().map(UntypedTtlTableHandle::new))
    }

    fn names(&self, kind: TableKind) -> Result<Vec<String>, StorageError> {
        self.names_in(Space::Tables, kind)
    }

    /// The names of the tables of the database's own in a space, in their order.
    pub(crate) fn own_names(&self, space: Space) -> Result<Vec<String>, StorageError> {
        self.names_in(space, TableKind::Table)
    }

    fn names_in(&self, space: Space, kind: TableKind) -> Result<Vec<String>, StorageError> {
        self.snapshot.store.check_open()?;
        catalog::names(&self.snapshot.store, self.snapshot.commit.data, (space, kind))
    }

    /// Ends the transaction.
    ///
    /// # Errors
    ///
    /// Gives the transaction back in [`ReadTransactionStillInUse`](TransactionError::ReadTransactionStillInUse) while
    /// tables or ranges of it live.
    pub fn close(self) -> Result<(), TransactionError> {
        if Arc::strong_count(&self.snapshot) > 1 {
            return Err(TransactionError::ReadTransactionStillInUse(Box::new(self)));
        }
        Ok(())
    }
}
