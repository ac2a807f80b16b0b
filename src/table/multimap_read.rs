use super::multimap_range::{MultimapRange, MultimapValue, OwnedMultimapRange, OwnedMultimapValue};
use super::read::{ReadableTableMetadata, SnapshotTree};
use super::stats::TableStats;
use crate::btree::{Members, MultimapKind};
use crate::error::StorageError;
use crate::txn::MultimapTableHandle;
use crate::txn::sealed::Sealed;
use crate::types::{Key, KeyType};
use core::borrow::Borrow;
use core::fmt::{Debug, Formatter};
use core::marker::PhantomData;
use core::ops::RangeBounds;

/// What can be read from a multimap table, in a read transaction or a write transaction.
///
/// ```
/// use sapwood::{Database, MultimapTableDefinition, ReadableMultimapTable, StorageError, backends::InMemoryBackend};
///
/// fn most_used(tags: &impl ReadableMultimapTable<u64, u64>) -> Result<Option<u64>, StorageError> {
///     let uses = tags.iter()?.map(|entry| entry.map(|(tag, trees)| (trees.len(), tag.value())));
///     Ok(uses.collect::<Result<Vec<_>, _>>()?.into_iter().max().map(|(_, tag)| tag))
/// }
///
/// const TAGS: MultimapTableDefinition<u64, u64> = MultimapTableDefinition::new("tags");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// let mut tags = txn.open_multimap_table(TAGS)?;
/// for (tag, tree) in [(1, 3), (2, 3), (2, 7)] {
///     tags.insert(tag, tree)?;
/// }
/// assert_eq!(most_used(&tags)?, Some(2));
/// # Ok::<(), sapwood::Error>(())
/// ```
pub trait ReadableMultimapTable<K: Key + 'static, V: Key + 'static>: ReadableTableMetadata {
    /// The values of a key: none if there is no such key.
    fn get<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<MultimapValue<'_, V>, StorageError>;

    /// The keys of a range and the values of each. A range whose start is after its end has none.
    fn range<'a, KR>(&self, range: impl RangeBounds<KR> + 'a) -> Result<MultimapRange<'_, K, V>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a;

    /// All keys and the values of each, in key order.
    fn iter(&self) -> Result<MultimapRange<'_, K, V>, StorageError> {
        self.range::<K::SelfType<'_>>(..)
    }
}

/// A multimap table of a read transaction. It keeps the transaction's snapshot, so it may outlive it.
///
/// ```
/// use sapwood::{Database, MultimapTableDefinition, ReadableDatabase, ReadableTableMetadata};
/// use sapwood::backends::InMemoryBackend;
///
/// const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// for (tag, tree) in [("old", 3), ("old", 7), ("tall", 7)] {
///     txn.open_multimap_table(TAGS)?.insert(tag, tree)?;
/// }
/// txn.commit()?;
///
/// let tags = db.begin_read()?.open_multimap_table(TAGS)?;
/// assert_eq!((tags.len()?, tags.get("old")?.len()), (3, 2));
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct ReadOnlyMultimapTable<K: Key + 'static, V: Key + 'static> {
    tree: SnapshotTree,
    kind: MultimapKind,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Key + 'static, V: Key + 'static> ReadOnlyMultimapTable<K, V> {
    pub(crate) fn new(tree: SnapshotTree) -> Self {
        let kind = MultimapKind::new(KeyType::of::<K>(), KeyType::of::<V>(), tree.store().page_size());
        Self { tree, kind, types: PhantomData }
    }

    /// The values of a key, in an iterator that may outlive the table.
    pub fn get<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<MultimapValue<'static, V>, StorageError> {
        let key = K::as_bytes(key.borrow());
        let members = Members::of_key(self.tree.store(), &self.kind, self.tree.root(), key.as_ref())?;
        Ok(MultimapValue::new(members, self.tree.source()))
    }

    /// The values of a key, in an iterator that keeps the read transaction alive, as do its guards.
    pub fn get_owned<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<OwnedMultimapValue<V>, StorageError> {
        Ok(OwnedMultimapValue::new(self.get(key)?, self.tree.snapshot().clone()))
    }

    /// The keys of a range and the values of each, in an iterator that may outlive the table.
    pub fn range<'a, KR>(&self, range: impl RangeBounds<KR>) -> Result<MultimapRange<'static, K, V>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>>,
    {
        let cursor = self.tree.view(&self.kind.keys).cursor::<K, KR>(&range)?;
        Ok(MultimapRange::new(cursor, self.kind, self.tree.source()))
    }

    /// The keys of a range and the values of each, in an iterator that keeps the read transaction alive, as does what
    /// it gives.
    pub fn range_owned<'a, KR>(&self, range: impl RangeBounds<KR>) -> Result<OwnedMultimapRange<K, V>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>>,
    {
        Ok(OwnedMultimapRange::new(self.range(range)?, self.tree.snapshot().clone()))
    }
}

impl<K: Key + 'static, V: Key + 'static> ReadableMultimapTable<K, V> for ReadOnlyMultimapTable<K, V> {
    fn get<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<MultimapValue<'_, V>, StorageError> {
        Self::get(self, key)
    }

    fn range<'a, KR>(&self, range: impl RangeBounds<KR> + 'a) -> Result<MultimapRange<'_, K, V>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        Self::range(self, range)
    }
}

impl<K: Key + 'static, V: Key + 'static> ReadableTableMetadata for ReadOnlyMultimapTable<K, V> {
    fn stats(&self) -> Result<TableStats, StorageError> {
        self.tree.stats()
    }

    fn len(&self) -> Result<u64, StorageError> {
        Ok(self.tree.len())
    }
}

impl<K: Key + 'static, V: Key + 'static> Sealed for ReadOnlyMultimapTable<K, V> {}

impl<K: Key + 'static, V: Key + 'static> MultimapTableHandle for ReadOnlyMultimapTable<K, V> {
    fn name(&self) -> &str {
        self.tree.name()
    }
}

impl<K: Key + 'static, V: Key + 'static> Debug for ReadOnlyMultimapTable<K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ReadOnlyMultimapTable").field("name", &self.tree.name()).finish_non_exhaustive()
    }
}
