use super::cursor::Cursor;
use super::guard::AccessGuard;
use super::owned::{OwnedAccessGuard, OwnedRange};
use super::range::{Range, Source, guards};
use super::stats::TableStats;
use crate::btree::{
    Aim, Found, GapCursor, RangeCursor, Slice, TreeKind, count, find, first_or_last, get, get_many, locate,
    value_length,
};
use crate::error::StorageError;
use crate::format::Pointer;
use crate::pages::{Store, split_off};
use crate::sync::Arc;
use crate::txn::sealed::Sealed;
use crate::txn::{Snapshot, TableHandle};
use crate::types::{Key, KeyType, PrefixKey, Value, after_prefix};
use alloc::string::String;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt::{Debug, Formatter};
use core::marker::PhantomData;
use core::ops::{Bound, RangeBounds};

/// What can be asked of any table.
pub trait ReadableTableMetadata {
    /// How much room the table takes. Reads every page of it but those of long keys and values.
    fn stats(&self) -> Result<TableStats, StorageError>;

    /// Number of rows. Takes no time. Of a TTL table: of all that are stored, expired ones included; see
    /// [`ReadableTtlTable::len_live`](crate::ReadableTtlTable::len_live).
    fn len(&self) -> Result<u64, StorageError>;

    /// Whether there are no rows. Of a TTL table: none that have not expired.
    fn is_empty(&self) -> Result<bool, StorageError> {
        Ok(self.len()? == 0)
    }
}

/// What can be read from a table, in a read transaction or a write transaction.
pub trait ReadableTable<K: Key + 'static, V: Value + 'static>: ReadableTableMetadata {
    /// The value of a key.
    fn get<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<Option<AccessGuard<'_, V>>, StorageError>;

    /// The rows of a range of keys. A range whose start is after its end has none.
    fn range<'a, KR>(&self, range: impl RangeBounds<KR> + 'a) -> Result<Range<'_, K, V>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a;

    /// The row with the smallest key.
    #[allow(clippy::type_complexity)]
    fn first(&self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError>;

    /// The row with the greatest key.
    #[allow(clippy::type_complexity)]
    fn last(&self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError>;

    /// A cursor at the gap before the first row that the bound admits as a lower bound.
    ///
    /// # Errors
    ///
    /// A table of your own that does not have this method gives [`Unsupported`](StorageError::Unsupported).
    fn lower_bound<'a>(&self, bound: Bound<impl Borrow<K::SelfType<'a>>>) -> Result<Cursor<'_, K, V>, StorageError> {
        let _ = bound;
        Err(StorageError::Unsupported)
    }

    /// A cursor at the gap after the last row that the bound admits as an upper bound.
    ///
    /// # Errors
    ///
    /// As of [`lower_bound`](Self::lower_bound).
    fn upper_bound<'a>(&self, bound: Bound<impl Borrow<K::SelfType<'a>>>) -> Result<Cursor<'_, K, V>, StorageError> {
        let _ = bound;
        Err(StorageError::Unsupported)
    }

    /// Length in bytes of the value of a key. A long value is not read for it, nor is one that is compressed unpacked.
    ///
    /// ```
    /// use sapwood::{Database, ReadableTable, TableDefinition, backends::InMemoryBackend};
    ///
    /// const FILES: TableDefinition<&str, &[u8]> = TableDefinition::new("files");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// {
    ///     let mut files = txn.open_table(FILES)?;
    ///     files.insert("a film", [0; 100_000].as_slice())?;
    ///     assert_eq!(files.value_len("a film")?, Some(100_000));
    ///     assert_eq!(files.value_len("a song")?, None);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    fn value_len<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<Option<u64>, StorageError> {
        let value = self.get(key)?;
        Ok(value.map(|value| V::as_bytes(&value.value()).as_ref().len() as u64))
    }

    /// Number of rows in a range of keys. A range whose start is after its end has none.
    ///
    /// Takes a way down the tree for each end of the range, whatever lies between. In a write transaction the pages
    /// that it has changed are looked through besides.
    ///
    /// ```
    /// use sapwood::{Database, ReadableTable, TableDefinition, backends::InMemoryBackend};
    ///
    /// const SQUARES: TableDefinition<u64, u64> = TableDefinition::new("squares");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// {
    ///     let mut squares = txn.open_table(SQUARES)?;
    ///     for number in 0..100 {
    ///         squares.insert(number, number * number)?;
    ///     }
    ///     assert_eq!(squares.count(10..20)?, 10);
    ///     assert_eq!(squares.count::<u64>(..)?, 100);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    fn count<'a, KR>(&self, range: impl RangeBounds<KR> + 'a) -> Result<u64, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        self.range(range)?.try_fold(0, |rows, row| row.map(|_| rows + 1))
    }

    /// The rows whose keys begin with `prefix`, in key order. All rows, if it is empty.
    ///
    /// # Errors
    ///
    /// A table of your own that does not have this method gives [`Unsupported`](StorageError::Unsupported).
    ///
    /// ```
    /// use sapwood::{Database, ReadableTable, TableDefinition, backends::InMemoryBackend};
    ///
    /// const RINGS: TableDefinition<&str, u64> = TableDefinition::new("rings");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// {
    ///     let mut rings = txn.open_table(RINGS)?;
    ///     for (tree, count) in [("oak 1", 120), ("oak 2", 77), ("oaks", 0), ("yew 1", 900)] {
    ///         rings.insert(tree, count)?;
    ///     }
    ///     assert_eq!(rings.prefix("oak ")?.count(), 2);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    fn prefix(&self, prefix: &<K as PrefixKey>::Prefix) -> Result<Range<'_, K, V>, StorageError>
    where
        K: PrefixKey,
    {
        let _ = prefix;
        Err(StorageError::Unsupported)
    }

    /// The values of many keys, in the order in which they are asked for; they may come in any, and more than once.
    ///
    /// The tree is walked once for all, and each of its pages is read at most once. From some tens of keys on this
    /// takes less time than a [`get`](Self::get) for each. The values keep their pages in memory.
    ///
    /// ```
    /// use sapwood::{Database, ReadableTable, TableDefinition, backends::InMemoryBackend};
    ///
    /// const AGES: TableDefinition<&str, u64> = TableDefinition::new("ages");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// {
    ///     let mut ages = txn.open_table(AGES)?;
    ///     for (tree, age) in [("beech", 120), ("oak", 300), ("yew", 900)] {
    ///         ages.insert(tree, age)?;
    ///     }
    ///     let found = ages.get_many(["yew", "elm", "beech"])?;
    ///     let found: Vec<_> = found.iter().map(|age| age.as_ref().map(|age| age.value())).collect();
    ///     assert_eq!(found, [Some(900), None, Some(120)]);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    fn get_many<'a, KR>(
        &self,
        keys: impl IntoIterator<Item = KR>,
    ) -> Result<Vec<Option<AccessGuard<'_, V>>>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>>,
    {
        keys.into_iter().map(|key| self.get(key)).collect()
    }

    /// All rows, in key order.
    fn iter(&self) -> Result<Range<'_, K, V>, StorageError> {
        self.range::<K::SelfType<'_>>(..)
    }
}

/// Reading long values past the cache, for who reads more at once than should push all else out.
#[doc(hidden)]
pub trait ReadPastCache: Sealed {
    /// Fills `out` with the values of keys, of each so many bytes, one behind the other. False if one is not there or not as
    /// long. What is in `out` is of no meaning then, nor after an error.
    fn read_past_cache<Q: AsRef<[u8]>>(&self, wanted: &[(Q, usize)], out: &mut [u8]) -> Result<bool, StorageError>;
}

/// A tree to read: where it is and what its pages look like.
pub(super) struct View<'s> {
    pub(super) store: &'s Store,
    pub(super) kind: &'s TreeKind,
    pub(super) root: Option<Pointer>,
}

impl View<'_> {
    pub(super) fn get<'g, V: Value + 'static>(&self, key: &[u8]) -> Result<Option<AccessGuard<'g, V>>, StorageError> {
        let Some(root) = &self.root else { return Ok(None) };
        get(self.store, self.kind, root, key)?.map(AccessGuard::new).transpose()
    }

    /// Fills `out` with the values of keys: see [`ReadPastCache`].
    pub(super) fn read_past_cache<Q: AsRef<[u8]>>(
        &self,
        wanted: &[(Q, usize)],
        mut out: &mut [u8],
    ) -> Result<bool, StorageError> {
        let Some(root) = &self.root else { return Ok(wanted.is_empty()) };
        let (mut runs, mut ahead) = (Vec::new(), 0);
        for (key, length) in wanted {
            match locate(self.store, self.kind, root, key.as_ref())? {
                Some(Found::Run(run)) if run.size == *length as u64 => {
                    runs.push(run);
                    ahead += length;
                }
                Some(Found::Here(bytes)) if bytes.len() == *length => {
                    self.store.read_runs(&runs, split_off(&mut out, ahead)?)?;
                    split_off(&mut out, bytes.len())?.copy_from_slice(&bytes);
                    runs.clear();
                    ahead = 0;
                }
                _ => return Ok(false),
            }
        }
        self.store.read_runs(&runs, out)?;
        Ok(true)
    }

    pub(super) fn cursor<'a, K, KR>(&self, range: &impl RangeBounds<KR>) -> Result<RangeCursor, StorageError>
    where
        K: Key + 'static,
        KR: Borrow<K::SelfType<'a>>,
    {
        with_bounds::<K, KR, _>(range, |start, end| RangeCursor::new(self.store, self.kind, self.root, start, end))
    }

    pub(super) fn prefix(&self, prefix: &[u8]) -> Result<RangeCursor, StorageError> {
        let after = after_prefix(prefix);
        let end = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        RangeCursor::new(self.store, self.kind, self.root, Bound::Included(prefix), end)
    }

    pub(super) fn get_many<'a, 'g, K, V, KR>(
        &self,
        keys: impl IntoIterator<Item = KR>,
    ) -> Result<Vec<Option<AccessGuard<'g, V>>>, StorageError>
    where
        K: Key + 'static,
        V: Value + 'static,
        KR: Borrow<K::SelfType<'a>>,
    {
        let keys: Vec<KR> = keys.into_iter().collect();
        let Some(root) = &self.root else { return Ok(keys.iter().map(|_| None).collect()) };
        let encoded: Vec<_> = keys.iter().map(|key| K::as_bytes(key.borrow())).collect();
        let bytes: Vec<_> = encoded.iter().map(AsRef::as_ref).collect();
        let found = get_many(self.store, self.kind, root, &bytes)?;
        found.into_iter().map(|value| value.map(AccessGuard::new).transpose()).collect()
    }

    pub(super) fn count<'a, K, KR>(&self, range: &impl RangeBounds<KR>) -> Result<u64, StorageError>
    where
        K: Key + 'static,
        KR: Borrow<K::SelfType<'a>>,
    {
        with_bounds::<K, KR, _>(range, |start, end| count(self.store, self.kind, self.root, start, end))
    }

    pub(super) fn value_len(&self, key: &[u8]) -> Result<Option<u64>, StorageError> {
        let Some(root) = &self.root else { return Ok(None) };
        find(self.store, self.kind, root, key, |leaf, at| value_length(&leaf.node(), at))
    }

    pub(super) fn lower_bound<'a, K: Key + 'static>(
        &self,
        bound: Bound<impl Borrow<K::SelfType<'a>>>,
    ) -> Result<GapCursor, StorageError> {
        let bytes = bound_bytes::<K, _>(bound.as_ref());
        self.gap(&Aim::lower(self.kind, bytes.as_ref().map(AsRef::as_ref)))
    }

    pub(super) fn upper_bound<'a, K: Key + 'static>(
        &self,
        bound: Bound<impl Borrow<K::SelfType<'a>>>,
    ) -> Result<GapCursor, StorageError> {
        let bytes = bound_bytes::<K, _>(bound.as_ref());
        self.gap(&Aim::upper(self.kind, bytes.as_ref().map(AsRef::as_ref)))
    }

    fn gap(&self, aim: &Aim<'_>) -> Result<GapCursor, StorageError> {
        let mut cursor = GapCursor::new(*self.kind, self.root);
        cursor.seek(self.store, aim)?;
        Ok(cursor)
    }

    #[allow(clippy::type_complexity)]
    pub(super) fn edge<'g, K: Key + 'static, V: Value + 'static>(
        &self,
        last: bool,
    ) -> Result<Option<(AccessGuard<'g, K>, AccessGuard<'g, V>)>, StorageError> {
        let Some(root) = &self.root else { return Ok(None) };
        let Some((leaf, at)) = first_or_last(self.store, root, last)? else { return Ok(None) };
        guards((Slice::of_key(self.store, &leaf, at)?, Slice::of_value(self.store, &leaf, at)?)).map(Some)
    }
}

pub(super) fn bound_bytes<'b, 'a: 'b, K, KR>(bound: Bound<&'b KR>) -> Bound<K::AsBytes<'b>>
where
    K: Key + 'static,
    KR: Borrow<K::SelfType<'a>>,
{
    bound.map(|key| K::as_bytes(key.borrow()))
}

/// What `with` makes of the encoded bounds of a range.
pub(super) fn with_bounds<'a, K, KR, T>(
    range: &impl RangeBounds<KR>,
    with: impl FnOnce(Bound<&[u8]>, Bound<&[u8]>) -> T,
) -> T
where
    K: Key + 'static,
    KR: Borrow<K::SelfType<'a>>,
{
    let start = bound_bytes::<K, KR>(range.start_bound());
    let end = bound_bytes::<K, KR>(range.end_bound());
    with(start.as_ref().map(AsRef::as_ref), end.as_ref().map(AsRef::as_ref))
}

/// A table's tree in a read transaction, without the table's types. It keeps the transaction's snapshot.
#[derive(Debug)]
pub(crate) struct SnapshotTree {
    name: String,
    snapshot: Arc<Snapshot>,
    root: Option<Pointer>,
}

impl SnapshotTree {
    pub(crate) fn new(name: String, snapshot: Arc<Snapshot>, root: Option<Pointer>) -> Self {
        Self { name, snapshot, root }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn root(&self) -> Option<Pointer> {
        self.root
    }

    pub(super) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    pub(super) fn store(&self) -> &Store {
        self.snapshot.store()
    }

    /// What a range or the like keeps.
    pub(super) fn source(&self) -> Source {
        Source::Snapshot(self.snapshot.clone())
    }

    pub(super) fn view<'v>(&'v self, kind: &'v TreeKind) -> View<'v> {
        View { store: self.store(), kind, root: self.root }
    }

    pub(super) fn stats(&self) -> Result<TableStats, StorageError> {
        TableStats::of(self.store(), self.root, None)
    }

    pub(super) fn len(&self) -> u64 {
        self.root.map_or(0, |root| root.size)
    }
}

/// A table of a read transaction. It keeps the transaction's snapshot, so it may outlive it.
pub struct ReadOnlyTable<K: Key + 'static, V: Value + 'static> {
    tree: SnapshotTree,
    kind: TreeKind,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Key + 'static, V: Value + 'static> ReadOnlyTable<K, V> {
    pub(crate) fn new(tree: SnapshotTree) -> Self {
        let kind = TreeKind::new(KeyType::of::<K>(), V::fixed_width(), tree.store().page_size());
        Self { tree, kind, types: PhantomData }
    }

    pub(super) fn root(&self) -> Option<Pointer> {
        self.tree.root()
    }

    fn view(&self) -> View<'_> {
        self.tree.view(&self.kind)
    }

    /// The value of a key, in a guard that may outlive the table.
    pub fn get<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<Option<AccessGuard<'static, V>>, StorageError> {
        self.view().get(K::as_bytes(key.borrow()).as_ref())
    }

    /// The value of a key, in a guard that keeps the read transaction alive.
    pub fn get_owned<'a>(
        &self,
        key: impl Borrow<K::SelfType<'a>>,
    ) -> Result<Option<OwnedAccessGuard<V>>, StorageError> {
        Ok(self.get(key)?.map(|guard| OwnedAccessGuard::new(guard, self.tree.snapshot().clone())))
    }

    /// The rows of a range of keys, in an iterator that may outlive the table.
    pub fn range<'a, KR>(&self, range: impl RangeBounds<KR>) -> Result<Range<'static, K, V>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>>,
    {
        Ok(Range::new(self.view().cursor::<K, KR>(&range)?, self.tree.source()))
    }

    /// The rows of a range of keys, in an iterator that keeps the read transaction alive, as do its guards.
    pub fn range_owned<'a, KR>(&self, range: impl RangeBounds<KR>) -> Result<OwnedRange<K, V>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>>,
    {
        Ok(OwnedRange::new(self.range(range)?, self.tree.snapshot().clone()))
    }
}

impl<K: Key + 'static, V: Value + 'static> ReadableTable<K, V> for ReadOnlyTable<K, V> {
    fn get<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<Option<AccessGuard<'_, V>>, StorageError> {
        self.view().get(K::as_bytes(key.borrow()).as_ref())
    }

    fn range<'a, KR>(&self, range: impl RangeBounds<KR> + 'a) -> Result<Range<'_, K, V>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        Self::range(self, range)
    }

    fn first(&self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError> {
        self.view().edge(false)
    }

    fn last(&self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError> {
        self.view().edge(true)
    }

    fn lower_bound<'a>(&self, bound: Bound<impl Borrow<K::SelfType<'a>>>) -> Result<Cursor<'_, K, V>, StorageError> {
        Ok(Cursor::new(self.view().lower_bound::<K>(bound)?, self.tree.source()))
    }

    fn upper_bound<'a>(&self, bound: Bound<impl Borrow<K::SelfType<'a>>>) -> Result<Cursor<'_, K, V>, StorageError> {
        Ok(Cursor::new(self.view().upper_bound::<K>(bound)?, self.tree.source()))
    }

    fn value_len<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<Option<u64>, StorageError> {
        self.view().value_len(K::as_bytes(key.borrow()).as_ref())
    }

    fn count<'a, KR>(&self, range: impl RangeBounds<KR> + 'a) -> Result<u64, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        self.view().count::<K, KR>(&range)
    }

    fn prefix(&self, prefix: &<K as PrefixKey>::Prefix) -> Result<Range<'_, K, V>, StorageError>
    where
        K: PrefixKey,
    {
        Ok(Range::new(self.view().prefix(prefix.as_ref())?, self.tree.source()))
    }

    fn get_many<'a, KR>(
        &self,
        keys: impl IntoIterator<Item = KR>,
    ) -> Result<Vec<Option<AccessGuard<'_, V>>>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>>,
    {
        self.view().get_many::<K, V, KR>(keys)
    }
}

impl<K: Key + 'static, V: Value + 'static> ReadPastCache for ReadOnlyTable<K, V> {
    fn read_past_cache<Q: AsRef<[u8]>>(&self, wanted: &[(Q, usize)], out: &mut [u8]) -> Result<bool, StorageError> {
        self.view().read_past_cache(wanted, out)
    }
}

impl<K: Key + 'static, V: Value + 'static> ReadableTableMetadata for ReadOnlyTable<K, V> {
    fn stats(&self) -> Result<TableStats, StorageError> {
        self.tree.stats()
    }

    fn len(&self) -> Result<u64, StorageError> {
        Ok(self.tree.len())
    }
}

impl<K: Key + 'static, V: Value + 'static> Sealed for ReadOnlyTable<K, V> {}

impl<K: Key + 'static, V: Value + 'static> TableHandle for ReadOnlyTable<K, V> {
    fn name(&self) -> &str {
        self.tree.name()
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for ReadOnlyTable<K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ReadOnlyTable").field("name", &self.tree.name()).finish_non_exhaustive()
    }
}
