use super::multimap_range::{MultimapRange, MultimapValue};
use super::multimap_read::ReadableMultimapTable;
use super::open::OpenTable;
use super::read::ReadableTableMetadata;
use super::stats::TableStats;
use crate::btree::{Members, MultimapEditor, MultimapKind};
use crate::error::StorageError;
use crate::txn::sealed::Sealed;
use crate::txn::{MultimapTableHandle, Recorder};
use crate::types::Key;
use core::borrow::Borrow;
use core::fmt::{Debug, Formatter};
use core::marker::PhantomData;
use core::ops::RangeBounds;

/// A multimap table of a write transaction: each key has a set of values.
///
/// Its length is the number of values of all keys.
///
/// ```
/// use sapwood::{Database, MultimapTableDefinition, ReadableTableMetadata, backends::InMemoryBackend};
///
/// const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// {
///     let mut tags = txn.open_multimap_table(TAGS)?;
///     tags.insert("old", 3)?;
///     tags.insert("old", 7)?;
///     tags.insert("tall", 7)?;
///     assert_eq!(tags.len()?, 3);
/// }
/// txn.commit()?;
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct MultimapTable<'txn, K: Key + 'static, V: Key + 'static> {
    table: OpenTable<'txn>,
    kind: MultimapKind,
    types: PhantomData<fn() -> (K, V)>,
}

impl<'txn, K: Key + 'static, V: Key + 'static> MultimapTable<'txn, K, V> {
    pub(crate) fn new(table: OpenTable<'txn>, kind: MultimapKind) -> Self {
        Self { table, kind, types: PhantomData }
    }

    /// Adds a value to a key. Gives whether the key had that value already.
    ///
    /// # Errors
    ///
    /// [`ValueTooLarge`](StorageError::ValueTooLarge) if key or value are over the [limit](crate::limits); the
    /// transaction is then as it was.
    pub fn insert<'k, 'v>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: impl Borrow<V::SelfType<'v>>,
    ) -> Result<bool, StorageError> {
        let key = K::as_bytes(key.borrow());
        let value = V::as_bytes(value.borrow());
        self.edit(|editor| editor.insert(key.as_ref(), value.as_ref()))
    }

    /// Takes a value from a key. Gives whether the key had it. A key without values is gone.
    pub fn remove<'k, 'v>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: impl Borrow<V::SelfType<'v>>,
    ) -> Result<bool, StorageError> {
        let key = K::as_bytes(key.borrow());
        let value = V::as_bytes(value.borrow());
        self.edit(|editor| editor.remove(key.as_ref(), value.as_ref()))
    }

    /// Removes a key, and gives the values that it had. Reads no more of them than the iterator is asked for.
    ///
    /// ```
    /// use sapwood::{Database, MultimapTableDefinition, ReadableMultimapTable, backends::InMemoryBackend};
    ///
    /// const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// let mut tags = txn.open_multimap_table(TAGS)?;
    /// tags.insert("old", 3)?;
    /// tags.insert("old", 7)?;
    /// assert_eq!(tags.remove_all("old")?.len(), 2);
    /// assert!(tags.get("old")?.is_empty());
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn remove_all<'a>(&mut self, key: impl Borrow<K::SelfType<'a>>) -> Result<MultimapValue<'_, V>, StorageError> {
        let key = K::as_bytes(key.borrow());
        let tree = self.table.tree();
        // Before the pages are looked at, so that no other thread gives them away in between.
        let loan = tree.lend();
        let members = self.edit(|editor| editor.remove_all(key.as_ref()))?;
        Ok(MultimapValue::new(members, tree.source(loan)))
    }

    fn edit<T>(
        &self,
        change: impl FnOnce(&mut MultimapEditor<'_, '_, Recorder<'_>>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.table
            .tree()
            .edit_multimap(|editor, recorder| change(&mut MultimapEditor::new(editor, &self.kind, recorder)))
    }
}

impl<K: Key + 'static, V: Key + 'static> ReadableMultimapTable<K, V> for MultimapTable<'_, K, V> {
    fn get<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<MultimapValue<'_, V>, StorageError> {
        let key = K::as_bytes(key.borrow());
        let tree = self.table.tree();
        let loan = tree.lend();
        let members = Members::of_key(tree.store(), &self.kind, tree.tree()?.root, key.as_ref())?;
        Ok(MultimapValue::new(members, tree.source(loan)))
    }

    fn range<'a, KR>(&self, range: impl RangeBounds<KR> + 'a) -> Result<MultimapRange<'_, K, V>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        let tree = self.table.tree();
        let loan = tree.lend();
        let cursor = tree.view(&tree.tree()?).cursor::<K, KR>(&range)?;
        Ok(MultimapRange::new(cursor, self.kind, tree.source(loan)))
    }
}

impl<K: Key + 'static, V: Key + 'static> ReadableTableMetadata for MultimapTable<'_, K, V> {
    fn stats(&self) -> Result<TableStats, StorageError> {
        self.table.tree().stats()
    }

    fn len(&self) -> Result<u64, StorageError> {
        Ok(self.table.tree().tree()?.rows)
    }
}

impl<K: Key + 'static, V: Key + 'static> Sealed for MultimapTable<'_, K, V> {}

impl<K: Key + 'static, V: Key + 'static> MultimapTableHandle for MultimapTable<'_, K, V> {
    fn name(&self) -> &str {
        self.table.name()
    }
}

impl<K: Key + 'static, V: Key + 'static> Debug for MultimapTable<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MultimapTable").field("name", &self.table.name()).finish_non_exhaustive()
    }
}
