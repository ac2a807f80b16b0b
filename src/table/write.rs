use super::cursor::Cursor;
use super::cursor_mut::CursorMut;
use super::entry::Entry;
use super::extract::{ExtractIf, retain};
use super::guard::{AccessGuard, AccessGuardMut, AccessGuardMutInPlace};
use super::open::{OpenTable, OpenTree, TableEditor};
use super::range::Range;
use super::read::{ReadPastCache, ReadableTable, ReadableTableMetadata, View, bound_bytes};
use super::stats::TableStats;
use super::sweep::Sweep;
use crate::btree::{EditCursor, NewValue, Reserved, Target, Tree};
use crate::compression::Codec;
use crate::error::StorageError;
use crate::pages::Store;
use crate::txn::TableHandle;
use crate::txn::sealed::Sealed;
use crate::types::{Key, MutInPlaceValue, PrefixKey, Value};
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt::{Debug, Formatter};
use core::marker::PhantomData;
use core::ops::{Bound, RangeBounds};

/// A table of a write transaction.
pub struct Table<'txn, K: Key + 'static, V: Value + 'static> {
    table: OpenTable<'txn>,
    types: PhantomData<fn() -> (K, V)>,
}

impl<'txn, K: Key + 'static, V: Value + 'static> Table<'txn, K, V> {
    pub(crate) fn new(table: OpenTable<'txn>) -> Self {
        Self { table, types: PhantomData }
    }

    /// Sets the value of a key, and gives the value that it had.
    ///
    /// # Errors
    ///
    /// [`ValueTooLarge`](StorageError::ValueTooLarge) if key or value are over the [limit](crate::limits); the
    /// transaction is then as it was.
    pub fn insert<'k, 'v>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: impl Borrow<V::SelfType<'v>>,
    ) -> Result<Option<AccessGuard<'_, V>>, StorageError> {
        let key = K::as_bytes(key.borrow());
        let value = V::as_bytes(value.borrow());
        let old = self.edit(|editor| editor.insert(key.as_ref(), NewValue::Bytes(value.as_ref())))?;
        old.map(AccessGuard::new).transpose()
    }

    /// Sets the value of a key, which this codec is to make shorter, or the table's.
    pub(crate) fn insert_packed<'k, 'v>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: impl Borrow<V::SelfType<'v>>,
        codec: Option<Codec>,
    ) -> Result<(), StorageError> {
        let Some(codec) = codec else { return self.insert(key, value).map(drop) };
        let (key, value) = (K::as_bytes(key.borrow()), V::as_bytes(value.borrow()));
        self.edit(|editor| editor.insert_by(codec, key.as_ref(), value.as_ref())).map(drop)
    }

    /// Removes a key, and gives the value that it had.
    pub fn remove<'a>(
        &mut self,
        key: impl Borrow<K::SelfType<'a>>,
    ) -> Result<Option<AccessGuard<'_, V>>, StorageError> {
        let key = K::as_bytes(key.borrow());
        let removed = self.edit(|editor| editor.remove(&Target::Key(key.as_ref())))?;
        removed.map(|(_, value)| AccessGuard::new(value)).transpose()
    }

    /// The value of a key, in a guard that can replace it.
    pub fn get_mut<'k>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
    ) -> Result<Option<AccessGuardMut<'_, V>>, StorageError> {
        let key = K::as_bytes(key.borrow());
        let _loan = self.open().lend();
        let tree = self.open().tree()?;
        let current = self.view(&tree).get(key.as_ref())?;
        Ok(current.map(|current| AccessGuardMut::new(self.open(), key.as_ref(), current)))
    }

    /// What the table holds under a key, to be changed there without looking for it again.
    ///
    /// # Errors
    ///
    /// [`ValueTooLarge`](StorageError::ValueTooLarge) if the key is over the [limit](crate::limits).
    pub fn entry<'a>(&'a mut self, key: K::SelfType<'a>) -> Result<Entry<'a, K, V>, StorageError> {
        Entry::find(self.open(), key)
    }

    /// Removes the row with the smallest key, and gives it.
    #[allow(clippy::type_complexity)]
    pub fn pop_first(&mut self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError> {
        self.pop(&Target::First)
    }

    /// Removes the row with the greatest key, and gives it.
    #[allow(clippy::type_complexity)]
    pub fn pop_last(&mut self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError> {
        self.pop(&Target::Last)
    }

    #[allow(clippy::type_complexity)]
    fn pop(&mut self, target: &Target<'_>) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError> {
        match self.edit(|editor| editor.remove(target))? {
            Some((Some(key), value)) => Ok(Some((AccessGuard::new(key)?, AccessGuard::new(value)?))),
            _ => Ok(None),
        }
    }

    /// The rows for which `predicate` is true, in an iterator from both ends that removes each row that it gives.
    ///
    /// What it has not given stays, also if it is dropped. Rows are tested as it comes to them.
    ///
    /// # Errors
    ///
    /// After an error the iterator gives [`PreviousIo`](StorageError::PreviousIo) for good; the rows that it gave are
    /// removed.
    ///
    /// # Panics
    ///
    /// If `predicate` panics, the transaction can only be aborted.
    ///
    /// ```
    /// use sapwood::{Database, ReadableTableMetadata, TableDefinition, backends::InMemoryBackend};
    ///
    /// const AGES: TableDefinition<&str, u64> = TableDefinition::new("ages");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// {
    ///     let mut ages = txn.open_table(AGES)?;
    ///     for (tree, age) in [("beech", 120), ("oak", 300), ("yew", 900)] {
    ///         ages.insert(tree, age)?;
    ///     }
    ///     let mut old = ages.extract_if(|_, age| age > 200)?;
    ///     assert_eq!(old.next_back().transpose()?.map(|(tree, _)| tree.value().to_string()), Some("yew".into()));
    ///     old.close()?;
    ///     assert_eq!(ages.len()?, 2);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn extract_if<F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool>(
        &mut self,
        predicate: F,
    ) -> Result<ExtractIf<'_, K, V, F>, StorageError> {
        self.extract_from_if::<K::SelfType<'_>, F>(.., predicate)
    }

    /// Like [`extract_if`](Self::extract_if), in a range of keys. A range whose start is after its end has no rows.
    pub fn extract_from_if<'a, KR, F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool>(
        &mut self,
        range: impl RangeBounds<KR> + 'a,
        predicate: F,
    ) -> Result<ExtractIf<'_, K, V, F>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        Ok(ExtractIf::new(self.sweep::<KR>(&range), predicate))
    }

    /// Removes the rows for which `predicate` is false.
    ///
    /// # Errors
    ///
    /// After an error the rows up to the one that it was met at have been tested and, as it may be, removed.
    ///
    /// # Panics
    ///
    /// If `predicate` panics, the transaction can only be aborted.
    ///
    /// ```
    /// use sapwood::{Database, ReadableTableMetadata, TableDefinition, backends::InMemoryBackend};
    ///
    /// const SQUARES: TableDefinition<u64, u64> = TableDefinition::new("squares");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// {
    ///     let mut squares = txn.open_table(SQUARES)?;
    ///     for number in 0..100 {
    ///         squares.insert(number, number * number)?;
    ///     }
    ///     squares.retain(|_, square| square % 10 == 1)?;
    ///     squares.retain_in(50.., |number, _| number == 99)?;
    ///     assert_eq!(squares.len()?, 11);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn retain<F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool>(
        &mut self,
        predicate: F,
    ) -> Result<(), StorageError> {
        self.retain_in::<K::SelfType<'_>, F>(.., predicate)
    }

    /// Removes the rows in a range of keys for which `predicate` is false; see [`retain`](Self::retain).
    pub fn retain_in<'a, KR, F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool>(
        &mut self,
        range: impl RangeBounds<KR> + 'a,
        predicate: F,
    ) -> Result<(), StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        retain::<K, V>(self.sweep::<KR>(&range), predicate)
    }

    /// A cursor at the gap before the first row that the bound admits as a lower bound, to insert and remove rows
    /// there.
    pub fn lower_bound_mut<'a>(
        &mut self,
        bound: Bound<impl Borrow<K::SelfType<'a>>>,
    ) -> Result<CursorMut<'_, K, V>, StorageError> {
        let bytes = bound_bytes::<K, _>(bound.as_ref());
        self.cursor(|store, tree| EditCursor::lower(store, tree, bytes.as_ref().map(AsRef::as_ref)))
    }

    /// A cursor at the gap after the last row that the bound admits as an upper bound, to insert and remove rows there.
    pub fn upper_bound_mut<'a>(
        &mut self,
        bound: Bound<impl Borrow<K::SelfType<'a>>>,
    ) -> Result<CursorMut<'_, K, V>, StorageError> {
        let bytes = bound_bytes::<K, _>(bound.as_ref());
        self.cursor(|store, tree| EditCursor::upper(store, tree, bytes.as_ref().map(AsRef::as_ref)))
    }

    fn cursor(
        &self,
        find: impl FnOnce(&Store, &Tree) -> Result<EditCursor, StorageError>,
    ) -> Result<CursorMut<'_, K, V>, StorageError> {
        let loan = self.open().lend();
        let cursor = find(self.open().store(), &self.open().tree()?)?;
        Ok(CursorMut::new(self.open(), loan, cursor))
    }

    pub(super) fn sweep<'a, KR: Borrow<K::SelfType<'a>>>(&self, range: &impl RangeBounds<KR>) -> Sweep<'_> {
        let own = |bound: Bound<&KR>| bound.map(|key| K::as_bytes(key.borrow()).as_ref().to_vec());
        Sweep::new(self.open(), own(range.start_bound()), own(range.end_bound()))
    }

    pub(super) fn table(&self) -> &OpenTable<'_> {
        &self.table
    }

    pub(super) fn open(&self) -> OpenTree<'_> {
        self.table.tree()
    }

    pub(super) fn edit<T>(
        &self,
        change: impl FnOnce(&mut TableEditor<'_, '_>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.open().edit(change)
    }

    fn view<'v>(&'v self, tree: &'v Tree) -> View<'v> {
        self.open().view(tree)
    }
}

impl<K: Key + 'static, V: MutInPlaceValue + 'static> Table<'_, K, V> {
    /// Sets the value of a key to `value_length` bytes, which the guard lets the caller fill in where they lie.
    pub fn insert_reserve<'a>(
        &mut self,
        key: impl Borrow<K::SelfType<'a>>,
        value_length: usize,
    ) -> Result<AccessGuardMutInPlace<'_, V>, StorageError> {
        let key = K::as_bytes(key.borrow());
        // Before the page is given out, so that no other thread seals it in between.
        let loan = self.open().lend();
        let Reserved { mut page, range, .. } = self.open().reserve(key.as_ref(), value_length)?;
        V::initialize(page.bytes_mut().get_mut(range.clone()).unwrap_or_default());
        Ok(AccessGuardMutInPlace::new(page, range, loan))
    }
}

impl<K: Key + 'static, V: Value + 'static> ReadableTable<K, V> for Table<'_, K, V> {
    fn get<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<Option<AccessGuard<'_, V>>, StorageError> {
        let _loan = self.open().lend();
        self.view(&self.open().tree()?).get(K::as_bytes(key.borrow()).as_ref())
    }

    fn range<'a, KR>(&self, range: impl RangeBounds<KR> + 'a) -> Result<Range<'_, K, V>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        let loan = self.open().lend();
        let cursor = self.view(&self.open().tree()?).cursor::<K, KR>(&range)?;
        Ok(Range::new(cursor, self.open().source(loan)))
    }

    fn first(&self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError> {
        let _loan = self.open().lend();
        self.view(&self.open().tree()?).edge(false)
    }

    fn last(&self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError> {
        let _loan = self.open().lend();
        self.view(&self.open().tree()?).edge(true)
    }

    fn lower_bound<'a>(&self, bound: Bound<impl Borrow<K::SelfType<'a>>>) -> Result<Cursor<'_, K, V>, StorageError> {
        let loan = self.open().lend();
        let cursor = self.view(&self.open().tree()?).lower_bound::<K>(bound)?;
        Ok(Cursor::new(cursor, self.open().source(loan)))
    }

    fn upper_bound<'a>(&self, bound: Bound<impl Borrow<K::SelfType<'a>>>) -> Result<Cursor<'_, K, V>, StorageError> {
        let loan = self.open().lend();
        let cursor = self.view(&self.open().tree()?).upper_bound::<K>(bound)?;
        Ok(Cursor::new(cursor, self.open().source(loan)))
    }

    fn value_len<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<Option<u64>, StorageError> {
        let _loan = self.open().lend();
        self.view(&self.open().tree()?).value_len(K::as_bytes(key.borrow()).as_ref())
    }

    fn count<'a, KR>(&self, range: impl RangeBounds<KR> + 'a) -> Result<u64, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        let _loan = self.open().lend();
        self.view(&self.open().tree()?).count::<K, KR>(&range)
    }

    fn prefix(&self, prefix: &<K as PrefixKey>::Prefix) -> Result<Range<'_, K, V>, StorageError>
    where
        K: PrefixKey,
    {
        let loan = self.open().lend();
        let cursor = self.view(&self.open().tree()?).prefix(prefix.as_ref())?;
        Ok(Range::new(cursor, self.open().source(loan)))
    }

    fn get_many<'a, KR>(
        &self,
        keys: impl IntoIterator<Item = KR>,
    ) -> Result<Vec<Option<AccessGuard<'_, V>>>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>>,
    {
        let _loan = self.open().lend();
        self.view(&self.open().tree()?).get_many::<K, V, KR>(keys)
    }
}

impl<K: Key + 'static, V: Value + 'static> ReadPastCache for Table<'_, K, V> {
    fn read_past_cache<Q: AsRef<[u8]>>(&self, wanted: &[(Q, usize)], out: &mut [u8]) -> Result<bool, StorageError> {
        let _loan = self.open().lend();
        self.view(&self.open().tree()?).read_past_cache(wanted, out)
    }
}

impl<K: Key + 'static, V: Value + 'static> ReadableTableMetadata for Table<'_, K, V> {
    fn stats(&self) -> Result<TableStats, StorageError> {
        self.open().stats()
    }

    fn len(&self) -> Result<u64, StorageError> {
        Ok(self.open().tree()?.rows)
    }
}

impl<K: Key + 'static, V: Value + 'static> Sealed for Table<'_, K, V> {}

impl<K: Key + 'static, V: Value + 'static> TableHandle for Table<'_, K, V> {
    fn name(&self) -> &str {
        self.table.name()
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for Table<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Table").field("name", &self.table.name()).finish_non_exhaustive()
    }
}
