//! What differs between the states that two read transactions see.

use super::catalog::{self, Definition, Space, TableEntry, TableId, TableKind};
use super::definition::{MultimapTableDefinition, MultimapTableHandle, TableDefinition, TableHandle};
use super::read::ReadTransaction;
use crate::btree::RowDiffs;
use crate::error::{DiffError, StorageError, TableError};
use crate::format::Pointer;
use crate::pages::CatalogRow;
use crate::sync::Arc;
use crate::table::{DiffRows, Pair, TypedDiffRows};
use crate::types::{Key, Value};
use alloc::string::{String, ToString};
use core::fmt::{Debug, Formatter};

/// The tables that differ between two read transactions. [`ReadTransaction::diff`] makes it. After an error it gives no
/// more.
pub struct Diff {
    rows: RowDiffs,
    pair: Pair,
}

/// A table that differs between two read transactions.
///
/// ```
/// use sapwood::{Database, MultimapTableDefinition, ReadableDatabase, TableChange, TableDefinition, TableKind};
/// # use sapwood::backends::InMemoryBackend;
///
/// const RINGS: TableDefinition<&str, u64> = TableDefinition::new("rings");
/// const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");
/// const LABELS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("labels");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// txn.open_table(RINGS)?.insert("oak", 120)?;
/// txn.open_multimap_table(TAGS)?.insert("old", 7)?;
/// txn.commit()?;
/// let older = db.begin_read()?;
/// let txn = db.begin_write()?;
/// txn.rename_multimap_table(TAGS, LABELS)?;
/// txn.commit()?;
///
/// let tables: Vec<_> = older.diff(&db.begin_read()?)?.collect::<Result<_, _>>()?;
/// let changes: Vec<_> = tables.iter().map(|table| (table.name(), table.change())).collect();
/// assert_eq!(changes, [("labels", TableChange::Created), ("tags", TableChange::Deleted)]);
/// assert_eq!((tables[0].old_kind(), tables[0].new_kind()), (None, Some(TableKind::Multimap)));
/// # Ok::<(), sapwood::Error>(())
/// ```
#[derive(Debug)]
pub struct TableDiff {
    name: String,
    old: Option<TableEntry>,
    new: Option<TableEntry>,
    pair: Pair,
}

/// What became of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableChange {
    /// Only the newer state has it.
    Created,
    /// Only the older state has it.
    Deleted,
    /// Both states have it, with other rows.
    Kept,
    /// It was deleted and created anew, with other types or as another kind of table.
    Retyped,
}

impl ReadTransaction {
    /// The tables in which the database that `newer` sees differs from what this transaction sees, and through them the
    /// rows. Either may be the older one.
    ///
    /// Pages that both states have are not read, so it takes time for what differs, however many tables and rows there
    /// are. What was written anew differs as well: after a compaction, or where a table was loaded again, its rows are
    /// compared one by one.
    ///
    /// A table that was renamed is deleted under its old name and created under the new one.
    ///
    /// ```
    /// use sapwood::{Database, ReadableDatabase, TableChange, TableDefinition, Value, backends::InMemoryBackend};
    ///
    /// const RINGS: TableDefinition<&str, u64> = TableDefinition::new("rings");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let empty = db.begin_read()?;
    /// let txn = db.begin_write()?;
    /// txn.open_table(RINGS)?.insert("oak", 120)?;
    /// txn.commit()?;
    ///
    /// for table in empty.diff(&db.begin_read()?)? {
    ///     let table = table?;
    ///     assert_eq!((table.name(), table.change()), ("rings", TableChange::Created));
    ///     for row in table.rows() {
    ///         let row = row?;
    ///         assert_eq!((row.key(), row.old_value()), (&b"oak"[..], None));
    ///         assert_eq!(row.new_value().map(u64::from_bytes), Some(120));
    ///     }
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`OtherDatabase`](DiffError::OtherDatabase) if the transactions are of two databases.
    pub fn diff(&self, newer: &Self) -> Result<Diff, DiffError> {
        let pair = self.pair(newer)?;
        let rows = RowDiffs::of_tables(pair.old.commit().data, pair.new.commit().data, Some(catalog::compare()));
        Ok(Diff { rows, pair })
    }

    /// The rows in which a table that `newer` sees differs from what this transaction sees, in key order. Where one of
    /// them has no such table, it counts as empty.
    ///
    /// As for [`diff`](Self::diff), pages that both states have are not read. A few pages are kept in memory, however
    /// much differs.
    ///
    /// ```
    /// use sapwood::{Database, ReadableDatabase, TableDefinition, backends::InMemoryBackend};
    ///
    /// const RINGS: TableDefinition<&str, u64> = TableDefinition::new("rings");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// db.update(|txn| {
    ///     let mut rings = txn.open_table(RINGS)?;
    ///     rings.insert("elm", 80)?;
    ///     rings.insert("oak", 120)?;
    ///     Ok::<_, sapwood::Error>(())
    /// })?;
    /// let older = db.begin_read()?;
    /// db.update(|txn| {
    ///     let mut rings = txn.open_table(RINGS)?;
    ///     rings.insert("oak", 121)?;
    ///     rings.insert("yew", 900)?;
    ///     Ok::<_, sapwood::Error>(())
    /// })?;
    ///
    /// let rows: Vec<_> = older.diff_table(&db.begin_read()?, RINGS)?.collect::<Result<_, _>>()?;
    /// let rows: Vec<_> = rows.iter().map(|row| (row.key(), row.old_value(), row.new_value())).collect();
    /// assert_eq!(rows, [("oak", Some(120), Some(121)), ("yew", None, Some(900))]);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`OtherDatabase`](DiffError::OtherDatabase) if the transactions are of two databases; errors as of
    /// [`open_table`](Self::open_table), [`TableDoesNotExist`](TableError::TableDoesNotExist) only if neither has the
    /// table.
    pub fn diff_table<K: Key + 'static, V: Value + 'static>(
        &self,
        newer: &Self,
        definition: TableDefinition<'_, K, V>,
    ) -> Result<TypedDiffRows<K, V>, DiffError> {
        let pair = self.pair(newer)?;
        let (old, new) = roots(&pair, definition.name(), &Definition::of::<K, V>())?;
        Ok(TypedDiffRows::new(RowDiffs::of_tables(old, new, Some(K::compare)), pair))
    }

    /// The same of a table of the database's own. No rows if neither has it.
    pub(crate) fn diff_own<K: Key + 'static, V: Value + 'static>(
        &self,
        newer: &Self,
        id: TableId<'_>,
    ) -> Result<TypedDiffRows<K, V>, DiffError> {
        let pair = self.pair(newer)?;
        let (old, new) = pair.look_up(id)?;
        for entry in [&old, &new].into_iter().flatten() {
            entry.definition.check(id.name, &Definition::of::<K, V>()).map_err(catalog::malformed_own)?;
        }
        let root = |entry: Option<TableEntry>| entry.and_then(|entry| entry.root);
        Ok(TypedDiffRows::new(RowDiffs::of_tables(root(old), root(new), Some(K::compare)), pair))
    }

    /// The pairs of key and value in which a multimap table that `newer` sees differs from what this transaction sees,
    /// in the order of keys, and of values for each. Each row has a value that went, or one that came. Otherwise as
    /// [`diff_table`](Self::diff_table).
    ///
    /// ```
    /// use sapwood::{Database, MultimapTableDefinition, ReadableDatabase, backends::InMemoryBackend};
    ///
    /// const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// db.update(|txn| txn.open_multimap_table(TAGS)?.insert("old", 3).map(drop).map_err(sapwood::Error::from))?;
    /// let older = db.begin_read()?;
    /// db.update(|txn| txn.open_multimap_table(TAGS)?.insert("old", 7).map(drop).map_err(sapwood::Error::from))?;
    ///
    /// for row in older.diff_multimap_table(&db.begin_read()?, TAGS)? {
    ///     let row = row?;
    ///     assert_eq!((row.key(), row.old_value(), row.new_value()), ("old", None, Some(7)));
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`diff_table`](Self::diff_table) and [`open_multimap_table`](Self::open_multimap_table).
    pub fn diff_multimap_table<K: Key + 'static, V: Key + 'static>(
        &self,
        newer: &Self,
        definition: MultimapTableDefinition<'_, K, V>,
    ) -> Result<TypedDiffRows<K, V>, DiffError> {
        let pair = self.pair(newer)?;
        let (old, new) = roots(&pair, definition.name(), &Definition::of::<K, V>().with_kind(TableKind::Multimap))?;
        let rows = RowDiffs::of_multimaps(old, new, Some(K::compare), Some(V::compare));
        Ok(TypedDiffRows::new(rows, pair))
    }

    fn pair(&self, newer: &Self) -> Result<Pair, DiffError> {
        let (old, new) = (self.snapshot().clone(), newer.snapshot().clone());
        if !Arc::ptr_eq(old.store(), new.store()) {
            return Err(DiffError::OtherDatabase);
        }
        old.store().check_open()?;
        Ok(Pair { old, new })
    }
}

/// The roots of a table in both states, if it is as `wanted` where it is.
fn roots(pair: &Pair, name: &str, wanted: &Definition) -> Result<(Option<Pointer>, Option<Pointer>), TableError> {
    catalog::check_name(name)?;
    let (old, new) = pair.look_up(TableId::of_user(name))?;
    for entry in [&old, &new].into_iter().flatten() {
        entry.definition.check(name, wanted)?;
    }
    if old.is_none() && new.is_none() {
        return Err(TableError::TableDoesNotExist(name.to_string()));
    }
    let root = |entry: Option<TableEntry>| entry.and_then(|entry| entry.root);
    Ok((root(old), root(new)))
}

impl Pair {
    fn look_up(&self, table: TableId<'_>) -> Result<(Option<TableEntry>, Option<TableEntry>), StorageError> {
        let entry = |of: &super::Snapshot| catalog::look_up(of.store(), of.commit().data, table);
        Ok((entry(&self.old)?, entry(&self.new)?))
    }
}

impl Diff {
    fn next_table(&mut self) -> Result<Option<TableDiff>, StorageError> {
        while let Some(key) = self.rows.next_key(self.pair.new.store())? {
            let unknown = || StorageError::corrupted("a row of the catalog is about no table");
            let (table, row) = catalog::table_of_row(&key).ok_or_else(unknown)?;
            if table.space != Space::Tables {
                continue;
            }
            let (old, new) = self.pair.look_up(table)?;
            let definition = |entry: &Option<TableEntry>| entry.as_ref().map(|entry| entry.definition.clone());
            // A table is listed once: with the row of its root only if that of its definition is as before. An index
            // does not differ unless its rows do.
            let is_new = row == CatalogRow::Root && definition(&old) == definition(&new);
            if row == CatalogRow::Definition || is_new {
                return Ok(Some(TableDiff { name: table.name.to_string(), old, new, pair: self.pair.clone() }));
            }
        }
        Ok(None)
    }
}

impl Iterator for Diff {
    type Item = Result<TableDiff, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_table();
        if next.is_err() {
            self.rows = RowDiffs::default();
        }
        next.transpose()
    }
}

impl TableDiff {
    /// Name of the table.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What became of the table.
    pub fn change(&self) -> TableChange {
        match (&self.old, &self.new) {
            (_, None) => TableChange::Deleted,
            (None, _) => TableChange::Created,
            (Some(old), Some(new)) if old.definition.has_types_of(&new.definition) => TableChange::Kept,
            _ => TableChange::Retyped,
        }
    }

    /// Its kind in the older state; `None` if it was not there.
    pub fn old_kind(&self) -> Option<TableKind> {
        self.old.as_ref().map(kind_of)
    }

    /// Its kind in the newer state; `None` if it is not there.
    pub fn new_kind(&self) -> Option<TableKind> {
        self.new.as_ref().map(kind_of)
    }

    /// The rows that differ, as bytes; in a TTL table with the time of the expiry, as [`Change`](crate::Change) has it,
    /// before each value. Of a table that was retyped, all old rows go and all new ones come. There may be none: a row
    /// that was removed and inserted again is where it was, on another page.
    ///
    /// They come in key order if keys are integers, strings, byte slices, `bool`, `char` or `()`, and, of a multimap,
    /// so are values. How others are compared is known to their type alone: of those, rows come in no particular order,
    /// and the rows between two that both states have are kept in memory until all of them are read.
    /// [`diff_table`](ReadTransaction::diff_table) knows the types, and needs no such memory.
    pub fn rows(&self) -> DiffRows {
        let (old, new) = (self.old.as_ref(), self.new.as_ref());
        let (rows, then) = match self.change() {
            TableChange::Retyped => (diff_of(old, None), Some(diff_of(None, new))),
            _ => (diff_of(old, new), None),
        };
        DiffRows::new(rows, then, self.pair.clone())
    }
}

fn kind_of(entry: &TableEntry) -> TableKind {
    entry.definition.kind
}

/// What differs in the rows of a table whose types, where it has two states, are the same.
fn diff_of(old: Option<&TableEntry>, new: Option<&TableEntry>) -> RowDiffs {
    let root = |entry: Option<&TableEntry>| entry.and_then(|entry| entry.root);
    let Some(TableEntry { definition, .. }) = new.or(old) else { return RowDiffs::default() };
    let (keys, values) = definition.orders();
    match definition.kind {
        TableKind::Multimap => RowDiffs::of_multimaps(root(old), root(new), keys, values),
        TableKind::Table | TableKind::Ttl => RowDiffs::of_tables(root(old), root(new), keys),
    }
}

impl Debug for Diff {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Diff").finish_non_exhaustive()
    }
}
