//! Tables by their names: which there are, renaming and deleting them.

use super::catalog::{self, Space, TableEntry, TableId, TableKind};
use super::definition::{
    MultimapTableHandle, TableHandle, TtlTableHandle, UntypedMultimapTableHandle, UntypedTableHandle,
    UntypedTtlTableHandle,
};
use super::write::{State, Tables, WriteTransaction};
use crate::btree::{Target, Tree, TreeEditor};
use crate::error::{StorageError, TableError};
use crate::format::Pointer;
use crate::pages::Class;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

impl Tables {
    fn names(&self, kind: TableKind) -> Result<Vec<String>, StorageError> {
        self.names_in(Space::Tables, kind)
    }

    fn names_in(&self, space: Space, kind: TableKind) -> Result<Vec<String>, StorageError> {
        self.store().check_open()?;
        catalog::names(self.store(), self.state.lock().catalog.root, (space, kind))
    }

    /// Takes a table out of the catalog and unlinks its tree. False if there is none.
    fn delete(&self, id: TableId<'_>, kind: TableKind) -> Result<bool, TableError> {
        let mut state = self.state.lock();
        let Some(entry) = self.closed_entry(&state, id, kind)? else { return Ok(false) };
        if id.space == Space::Tables {
            self.log_deleted(id.name)?;
        }
        let stored = || entry.root.into_iter().chain(entry.expiries).collect();
        let roots = state.tables.get(&id.owned()).map(|table| table.roots(self.pages())).transpose()?;
        let roots = roots.unwrap_or_else(stored);
        state.tables.remove(&id.owned());
        self.mark_dirty();
        self.or_break(self.delete_entry(&mut state.catalog, id, roots))?;
        Ok(true)
    }

    /// Gives a table another name. A tree that was changed keeps its changes.
    fn rename(&self, name: &str, new_name: &str, kind: TableKind) -> Result<(), TableError> {
        let mut state = self.state.lock();
        let [id, new_id] = [name, new_name].map(TableId::of_user);
        let entry =
            self.closed_entry(&state, id, kind)?.ok_or_else(|| TableError::TableDoesNotExist(name.to_string()))?;
        if name == new_name {
            return Ok(());
        }
        if self.entry(&state, new_id, kind)?.is_some() {
            return Err(TableError::TableExists(new_name.to_string()));
        }
        self.mark_dirty();
        let renamed = self.log_renamed(name, new_name);
        self.or_break(renamed.and_then(|()| self.move_rows(&mut state.catalog, id, new_id, &entry)))?;
        if let Some(table) = state.tables.remove(&id.owned()) {
            state.tables.insert(new_id.owned(), table);
        }
        Ok(())
    }

    fn closed_entry(&self, state: &State, id: TableId<'_>, kind: TableKind) -> Result<Option<TableEntry>, TableError> {
        state.check_closed(id)?;
        self.entry(state, id, kind)
    }

    fn entry(&self, state: &State, id: TableId<'_>, kind: TableKind) -> Result<Option<TableEntry>, TableError> {
        let entry = catalog::look_up(self.store(), state.catalog.root, id)?;
        entry.as_ref().map_or(Ok(()), |entry| entry.definition.check_kind(id.name, kind))?;
        Ok(entry)
    }

    /// Passes on how a change of several steps ended; half of one must not be committed.
    pub(super) fn or_break<T>(&self, changed: Result<T, StorageError>) -> Result<T, StorageError> {
        if changed.is_err() {
            self.pages().mark_broken();
        }
        changed
    }

    fn delete_entry(&self, catalog: &mut Tree, id: TableId<'_>, roots: Vec<Pointer>) -> Result<(), StorageError> {
        self.remove_rows(catalog, id)?;
        self.pages().unlink_tree(roots, Class::Data)
    }

    fn move_rows(
        &self,
        catalog: &mut Tree,
        id: TableId<'_>,
        new_id: TableId<'_>,
        entry: &TableEntry,
    ) -> Result<(), StorageError> {
        self.remove_rows(catalog, id)?;
        self.define(catalog, new_id, &entry.definition)?;
        self.store_root(catalog, &catalog::root_key(new_id), entry.root)?;
        self.store_root(catalog, &catalog::expiries_key(new_id), entry.expiries)
    }

    fn remove_rows(&self, catalog: &mut Tree, id: TableId<'_>) -> Result<(), StorageError> {
        TreeEditor::new(self.pages(), catalog, &mut ()).remove(&Target::Key(&catalog::definition_key(id)))?;
        self.store_root(catalog, &catalog::root_key(id), None)?;
        self.store_root(catalog, &catalog::expiries_key(id), None)
    }
}

/// What `name` gives as the name of a table, which is closed if it was given itself.
fn name_of<T>(table: T, name: impl FnOnce(&T) -> &str) -> Result<String, TableError> {
    let name = name(&table).to_string();
    catalog::check_name(&name)?;
    Ok(name)
}

impl WriteTransaction {
    /// Deletes a table, and says whether there was one. Its pages are free once no snapshot needs them.
    ///
    /// Reads the table's branches, and those of its leaves that point to long keys or values.
    ///
    /// ```
    /// use sapwood::{Database, TableDefinition, backends::InMemoryBackend};
    ///
    /// const LEAVES: TableDefinition<u64, &str> = TableDefinition::new("leaves");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// txn.open_table(LEAVES)?.insert(1, "oak")?;
    /// assert!(txn.delete_table(LEAVES)?);
    /// assert!(!txn.delete_table(LEAVES)?);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TableAlreadyOpen`](TableError::TableAlreadyOpen) while it is open in this transaction; a [`Table`] that is
    /// given itself is closed first. [`TableIsMultimap`](TableError::TableIsMultimap) for a multimap, and
    /// [`TableIsTtl`](TableError::TableIsTtl) for a TTL table. If the storage fails half-way, the transaction can only
    /// be aborted.
    ///
    /// [`Table`]: crate::Table
    pub fn delete_table(&self, definition: impl TableHandle) -> Result<bool, TableError> {
        self.tables.delete(TableId::of_user(&name_of(definition, TableHandle::name)?), TableKind::Table)
    }

    /// Gives a table another name. Its rows stay where they are, changes of this transaction included.
    ///
    /// ```
    /// use sapwood::{Database, ReadableTableMetadata, TableDefinition, backends::InMemoryBackend};
    ///
    /// const BUDS: TableDefinition<u64, &str> = TableDefinition::new("buds");
    /// const LEAVES: TableDefinition<u64, &str> = TableDefinition::new("leaves");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// txn.open_table(BUDS)?.insert(1, "oak")?;
    /// txn.rename_table(BUDS, LEAVES)?;
    /// assert_eq!(txn.open_table(LEAVES)?.len()?, 1);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`delete_table`](Self::delete_table), and [`TableDoesNotExist`](TableError::TableDoesNotExist).
    /// [`TableExists`](TableError::TableExists) if another table has the new name. The types of `new_name` do not
    /// matter.
    pub fn rename_table(&self, definition: impl TableHandle, new_name: impl TableHandle) -> Result<(), TableError> {
        let name = name_of(definition, TableHandle::name)?;
        self.tables.rename(&name, &name_of(new_name, TableHandle::name)?, TableKind::Table)
    }

    /// The tables that there are, ordered by name, those made by this transaction included. Multimaps and TTL
    /// tables are not among them.
    pub fn list_tables(&self) -> Result<impl Iterator<Item = UntypedTableHandle> + '_, StorageError> {
        Ok(self.tables.names(TableKind::Table)?.into_iter().map(UntypedTableHandle::new))
    }

    /// Deletes a multimap table as [`delete_table`](Self::delete_table) does a table.
    ///
    /// ```
    /// use sapwood::{Database, MultimapTableDefinition, backends::InMemoryBackend};
    ///
    /// const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// txn.open_multimap_table(TAGS)?.insert("old", 1)?;
    /// assert!(txn.delete_multimap_table(TAGS)?);
    /// assert!(!txn.delete_multimap_table(TAGS)?);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`delete_table`](Self::delete_table), but [`TableIsNotMultimap`](TableError::TableIsNotMultimap) for a
    /// table that is none.
    pub fn delete_multimap_table(&self, definition: impl MultimapTableHandle) -> Result<bool, TableError> {
        self.tables.delete(TableId::of_user(&name_of(definition, MultimapTableHandle::name)?), TableKind::Multimap)
    }

    /// Gives a multimap table another name, as [`rename_table`](Self::rename_table) does a table.
    ///
    /// ```
    /// use sapwood::{Database, MultimapTableDefinition, ReadableTableMetadata, backends::InMemoryBackend};
    ///
    /// const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");
    /// const LABELS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("labels");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// txn.open_multimap_table(TAGS)?.insert("old", 1)?;
    /// txn.rename_multimap_table(TAGS, LABELS)?;
    /// assert_eq!(txn.open_multimap_table(LABELS)?.len()?, 1);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`rename_table`](Self::rename_table), but [`TableIsNotMultimap`](TableError::TableIsNotMultimap) where
    /// either name is that of a table that is none.
    pub fn rename_multimap_table(
        &self,
        definition: impl MultimapTableHandle,
        new_name: impl MultimapTableHandle,
    ) -> Result<(), TableError> {
        let name = name_of(definition, MultimapTableHandle::name)?;
        self.tables.rename(&name, &name_of(new_name, MultimapTableHandle::name)?, TableKind::Multimap)
    }

    /// The multimap tables that there are, ordered by name, those made by this transaction included. Other tables are
    /// not among them.
    pub fn list_multimap_tables(&self) -> Result<impl Iterator<Item = UntypedMultimapTableHandle> + '_, StorageError> {
        Ok(self.tables.names(TableKind::Multimap)?.into_iter().map(UntypedMultimapTableHandle::new))
    }

    /// Deletes a TTL table, and the index of its expiries, as [`delete_table`](Self::delete_table) does a table.
    ///
    /// ```
    /// use sapwood::{Database, TtlTableDefinition, backends::InMemoryBackend};
    ///
    /// const SESSIONS: TtlTableDefinition<&str, u64> = TtlTableDefinition::new("sessions");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// txn.open_ttl_table(SESSIONS)?.insert("oak", 1)?;
    /// assert!(txn.delete_ttl_table(SESSIONS)?);
    /// assert!(!txn.delete_ttl_table(SESSIONS)?);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`delete_table`](Self::delete_table), but [`TableIsNotTtl`](TableError::TableIsNotTtl) for a table that is
    /// none.
    pub fn delete_ttl_table(&self, definition: impl TtlTableHandle) -> Result<bool, TableError> {
        self.tables.delete(TableId::of_user(&name_of(definition, TtlTableHandle::name)?), TableKind::Ttl)
    }

    /// Gives a TTL table another name, as [`rename_table`](Self::rename_table) does a table.
    ///
    /// ```
    /// use sapwood::{Database, ReadableTtlTable, TtlTableDefinition, backends::InMemoryBackend};
    ///
    /// const SESSIONS: TtlTableDefinition<&str, u64> = TtlTableDefinition::new("sessions");
    /// const LOGINS: TtlTableDefinition<&str, u64> = TtlTableDefinition::new("logins");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// txn.open_ttl_table(SESSIONS)?.insert("oak", 1)?;
    /// txn.rename_ttl_table(SESSIONS, LOGINS)?;
    /// assert_eq!(txn.open_ttl_table(LOGINS)?.len_live()?, 1);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`rename_table`](Self::rename_table), but [`TableIsNotTtl`](TableError::TableIsNotTtl) where either name
    /// is that of a table that is none.
    pub fn rename_ttl_table(
        &self,
        definition: impl TtlTableHandle,
        new_name: impl TtlTableHandle,
    ) -> Result<(), TableError> {
        let name = name_of(definition, TtlTableHandle::name)?;
        self.tables.rename(&name, &name_of(new_name, TtlTableHandle::name)?, TableKind::Ttl)
    }

    /// The TTL tables that there are, ordered by name, those made by this transaction included. Other tables are not
    /// among them.
    pub fn list_ttl_tables(&self) -> Result<impl Iterator<Item = UntypedTtlTableHandle> + '_, StorageError> {
        Ok(self.tables.names(TableKind::Ttl)?.into_iter().map(UntypedTtlTableHandle::new))
    }

    /// The names of the tables of the database's own in a space, in their order.
    pub(crate) fn own_names(&self, space: Space) -> Result<Vec<String>, StorageError> {
        self.tables.names_in(space, TableKind::Table)
    }

    /// Deletes a table of the database's own, and says whether there was one. Who does [works alone](Self::work_alone).
    pub(crate) fn delete_own(&self, id: TableId<'_>) -> Result<bool, StorageError> {
        self.tables.delete(id, TableKind::Table).map_err(catalog::malformed_own)
    }
}
