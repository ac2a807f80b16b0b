use super::guard::{AccessGuard, AccessGuardMut, AccessGuardMutInPlace};
use super::range::{Range, Source};
use super::read::{ReadableTable, ReadableTableMetadata, View};
use super::stats::TableStats;
use crate::btree::{NewValue, Target, Tree, TreeEditor};
use crate::error::StorageError;
use crate::sync::Arc;
use crate::txn::sealed::Sealed;
use crate::txn::{TableCell, TableHandle, Tables};
use crate::types::{Key, MutInPlaceValue, Value};
use alloc::string::String;
use core::borrow::Borrow;
use core::fmt::{Debug, Formatter};
use core::marker::PhantomData;
use core::ops::RangeBounds;

/// A table of a write transaction.
pub struct Table<'txn, K: Key + 'static, V: Value + 'static> {
    name: String,
    tables: &'txn Tables,
    cell: Arc<TableCell>,
    types: PhantomData<fn() -> (K, V)>,
}

impl<'txn, K: Key + 'static, V: Value + 'static> Table<'txn, K, V> {
    pub(crate) fn new(name: String, tables: &'txn Tables, cell: Arc<TableCell>) -> Self {
        Self { name, tables, cell, types: PhantomData }
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
        let _loan = self.cell.lend();
        let tree = self.cell.tree();
        let current = self.view(&tree).get(key.as_ref())?;
        Ok(current.map(|current| AccessGuardMut::new(self.tables, &self.cell, key.as_ref(), current)))
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

    fn edit<T>(
        &self,
        change: impl FnOnce(&mut TreeEditor<'_, ()>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.tables.relieve()?;
        self.cell.edit(|tree| change(&mut TreeEditor::new(self.tables.pages(), tree, &mut ())))
    }

    fn view<'v>(&'v self, tree: &'v Tree) -> View<'v> {
        View { store: self.tables.store(), kind: &tree.kind, root: tree.root }
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
        let loan = self.cell.lend();
        let (mut page, range) = self.edit(|editor| editor.reserve(key.as_ref(), value_length))?;
        V::initialize(page.bytes_mut().get_mut(range.clone()).unwrap_or_default());
        Ok(AccessGuardMutInPlace::new(page, range, loan))
    }
}

impl<K: Key + 'static, V: Value + 'static> ReadableTable<K, V> for Table<'_, K, V> {
    fn get<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<Option<AccessGuard<'_, V>>, StorageError> {
        let _loan = self.cell.lend();
        self.view(&self.cell.tree()).get(K::as_bytes(key.borrow()).as_ref())
    }

    fn range<'a, KR>(&self, range: impl RangeBounds<KR> + 'a) -> Result<Range<'_, K, V>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        let loan = self.cell.lend();
        let cursor = self.view(&self.cell.tree()).cursor::<K, KR>(&range)?;
        Ok(Range::new(cursor, Source::Table(self.tables.store().clone(), loan)))
    }

    fn first(&self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError> {
        let _loan = self.cell.lend();
        self.view(&self.cell.tree()).edge(false)
    }

    fn last(&self) -> Result<Option<(AccessGuard<'_, K>, AccessGuard<'_, V>)>, StorageError> {
        let _loan = self.cell.lend();
        self.view(&self.cell.tree()).edge(true)
    }
}

impl<K: Key + 'static, V: Value + 'static> ReadableTableMetadata for Table<'_, K, V> {
    fn stats(&self) -> Result<TableStats, StorageError> {
        let _loan = self.cell.lend();
        TableStats::of(self.tables.store(), self.cell.tree().root)
    }

    fn len(&self) -> Result<u64, StorageError> {
        Ok(self.cell.tree().rows)
    }
}

impl<K: Key + 'static, V: Value + 'static> Sealed for Table<'_, K, V> {}

impl<K: Key + 'static, V: Value + 'static> TableHandle for Table<'_, K, V> {
    fn name(&self) -> &str {
        &self.name
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for Table<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Table").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<K: Key + 'static, V: Value + 'static> Drop for Table<'_, K, V> {
    fn drop(&mut self) {
        self.tables.closed(&self.name);
    }
}
