use super::guard::{AccessGuard, AccessGuardMut, Lends};
use super::open::OpenTree;
use crate::btree::{EditCursor, Side, Slice, check_row};
use crate::error::StorageError;
use crate::txn::Loan;
use crate::types::{Key, Value};
use core::borrow::Borrow;
use core::fmt::{Debug, Formatter};
use core::marker::PhantomData;

/// What a table holds, or does not hold, under a key: see [`Table::entry`](super::Table::entry).
///
/// ```
/// use sapwood::{Database, TableDefinition, backends::InMemoryBackend};
///
/// const COUNTS: TableDefinition<&str, u64> = TableDefinition::new("counts");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// {
///     let mut counts = txn.open_table(COUNTS)?;
///     for word in ["oak", "elm", "oak"] {
///         let mut count = counts.entry(word)?.or_insert(0)?;
///         let next = count.value() + 1;
///         count.insert(next)?;
///     }
///     assert_eq!(counts.remove("oak")?.map(|count| count.value()), Some(2));
/// }
/// # Ok::<(), sapwood::Error>(())
/// ```
pub enum Entry<'a, K: Key + 'static, V: Value + 'static> {
    /// There is a row.
    Occupied(OccupiedEntry<'a, K, V>),
    /// There is none.
    Vacant(VacantEntry<'a, K, V>),
}

impl<'a, K: Key + 'static, V: Value + 'static> Entry<'a, K, V> {
    pub(super) fn find(open: OpenTree<'a>, key: K::SelfType<'a>) -> Result<Self, StorageError> {
        let (place, exists) = {
            let bytes = K::as_bytes(&key);
            check_row(bytes.as_ref().len(), 0)?;
            Place::find(open, bytes.as_ref())?
        };
        Ok(if exists {
            Self::Occupied(OccupiedEntry { open, key, place: Some(place), types: PhantomData })
        } else {
            Self::Vacant(VacantEntry { open, key, place, types: PhantomData })
        })
    }

    /// The key that was asked for.
    pub fn key(&self) -> &K::SelfType<'a> {
        match self {
            Self::Occupied(entry) => entry.key(),
            Self::Vacant(entry) => entry.key(),
        }
    }

    /// Inserts a value if there is none. Gives the value, to be read or replaced.
    ///
    /// # Errors
    ///
    /// [`ValueTooLarge`](StorageError::ValueTooLarge) if the value is over the [limit](crate::limits).
    pub fn or_insert<'v>(self, default: impl Borrow<V::SelfType<'v>>) -> Result<AccessGuardMut<'a, V>, StorageError> {
        self.or_insert_with(|| default)
    }

    /// Like [`or_insert`](Self::or_insert); the value is made only if it is needed.
    pub fn or_insert_with<'v, F, B>(self, default: F) -> Result<AccessGuardMut<'a, V>, StorageError>
    where
        F: FnOnce() -> B,
        B: Borrow<V::SelfType<'v>>,
    {
        self.or_insert_with_key(|_| default())
    }

    /// Like [`or_insert_with`](Self::or_insert_with), from the key.
    pub fn or_insert_with_key<'v, F, B>(self, default: F) -> Result<AccessGuardMut<'a, V>, StorageError>
    where
        F: FnOnce(&K::SelfType<'a>) -> B,
        B: Borrow<V::SelfType<'v>>,
    {
        match self {
            Self::Occupied(entry) => entry.into_mut(),
            Self::Vacant(entry) => {
                let value = default(entry.key());
                entry.insert(value)
            }
        }
    }

    /// Lets `change` replace the value, if there is one. An error of `change` is given on.
    pub fn and_modify<F>(mut self, change: F) -> Result<Self, StorageError>
    where
        F: FnOnce(&mut AccessGuardMut<'_, V>) -> Result<(), StorageError>,
    {
        if let Self::Occupied(entry) = &mut self {
            change(&mut entry.get_mut()?)?;
        }
        Ok(self)
    }
}

/// The gap that belongs to a key, kept as it was found: changing the row takes no second search.
struct Place {
    cursor: EditCursor,
    _loan: Loan,
}

impl Place {
    fn find(open: OpenTree<'_>, key: &[u8]) -> Result<(Self, bool), StorageError> {
        let loan = open.lend();
        let (cursor, exists) = EditCursor::find_key(open.store(), &open.tree()?, key)?;
        Ok((Self { cursor, _loan: loan }, exists))
    }

    fn value(&self, open: OpenTree<'_>) -> Result<Slice, StorageError> {
        self.cursor.value(open.store(), Side::After)?.ok_or_else(gone)
    }
}

fn gone() -> StorageError {
    StorageError::corrupted("the row of an entry is gone")
}

/// A row that exists: see [`Entry`].
pub struct OccupiedEntry<'a, K: Key + 'static, V: Value + 'static> {
    open: OpenTree<'a>,
    key: K::SelfType<'a>,
    /// `None` once the row may have moved.
    place: Option<Place>,
    types: Lends<&'a mut (), (K, V)>,
}

impl<'a, K: Key + 'static, V: Value + 'static> OccupiedEntry<'a, K, V> {
    /// The key that was asked for.
    pub fn key(&self) -> &K::SelfType<'a> {
        &self.key
    }

    /// The value.
    pub fn get(&self) -> Result<AccessGuard<'_, V>, StorageError> {
        let value = match &self.place {
            Some(place) => place.value(self.open)?,
            None => self.find()?.value(self.open)?,
        };
        AccessGuard::new(value)
    }

    /// The value, in a guard that can replace it.
    pub fn get_mut(&mut self) -> Result<AccessGuardMut<'_, V>, StorageError> {
        let value = self.take_place()?.value(self.open)?;
        Ok(AccessGuardMut::new(self.open, K::as_bytes(&self.key).as_ref(), AccessGuard::new(value)?))
    }

    /// The value, in a guard that can replace it and outlives the entry.
    pub fn into_mut(mut self) -> Result<AccessGuardMut<'a, V>, StorageError> {
        let value = self.take_place()?.value(self.open)?;
        Ok(AccessGuardMut::new(self.open, K::as_bytes(&self.key).as_ref(), AccessGuard::new(value)?))
    }

    /// Replaces the value, and gives the one that was there.
    ///
    /// # Errors
    ///
    /// [`ValueTooLarge`](StorageError::ValueTooLarge) if the value is over the [limit](crate::limits).
    pub fn insert<'v>(&mut self, value: impl Borrow<V::SelfType<'v>>) -> Result<AccessGuard<'_, V>, StorageError> {
        let value = V::as_bytes(value.borrow());
        check_row(0, value.as_ref().len())?;
        let Place { cursor, _loan } = self.take_place()?;
        let key = K::as_bytes(&self.key);
        let old = self.open.edit(|editor| cursor.set(editor, true, key.as_ref(), value.as_ref()))?;
        AccessGuard::new(old.ok_or_else(gone)?)
    }

    /// Removes the row, and gives its value.
    pub fn remove(self) -> Result<AccessGuard<'a, V>, StorageError> {
        Ok(self.remove_entry()?.1)
    }

    /// Removes the row, and gives the key that was asked for and the value.
    pub fn remove_entry(mut self) -> Result<(K::SelfType<'a>, AccessGuard<'a, V>), StorageError> {
        let mut place = self.take_place()?;
        let value = AccessGuard::new(place.value(self.open)?.detached())?;
        self.open.edit(|editor| {
            place.cursor.remove(editor, Side::After)?;
            place.cursor.leave(editor)
        })?;
        Ok((self.key, value))
    }

    fn find(&self) -> Result<Place, StorageError> {
        Ok(Place::find(self.open, K::as_bytes(&self.key).as_ref())?.0)
    }

    /// The place of the row, to be changed there: the next call looks for it anew.
    fn take_place(&mut self) -> Result<Place, StorageError> {
        self.place.take().map_or_else(|| self.find(), Ok)
    }
}

/// A key without a row: see [`Entry`].
pub struct VacantEntry<'a, K: Key + 'static, V: Value + 'static> {
    open: OpenTree<'a>,
    key: K::SelfType<'a>,
    place: Place,
    types: Lends<&'a mut (), (K, V)>,
}

impl<'a, K: Key + 'static, V: Value + 'static> VacantEntry<'a, K, V> {
    /// The key that was asked for.
    pub fn key(&self) -> &K::SelfType<'a> {
        &self.key
    }

    /// The key that was asked for.
    pub fn into_key(self) -> K::SelfType<'a> {
        self.key
    }

    /// Inserts the row. Gives its value, to be read or replaced.
    ///
    /// # Errors
    ///
    /// [`ValueTooLarge`](StorageError::ValueTooLarge) if the value is over the [limit](crate::limits).
    pub fn insert<'v>(self, value: impl Borrow<V::SelfType<'v>>) -> Result<AccessGuardMut<'a, V>, StorageError> {
        let Place { cursor, _loan } = self.place;
        let (key, value) = (K::as_bytes(&self.key), V::as_bytes(value.borrow()));
        self.open.edit(|editor| cursor.set(editor, false, key.as_ref(), value.as_ref()))?;
        let current = AccessGuard::new(Slice::Owned(value.as_ref().to_vec()))?;
        Ok(AccessGuardMut::new(self.open, key.as_ref(), current))
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for Entry<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Occupied(entry) => f.debug_tuple("Occupied").field(entry).finish(),
            Self::Vacant(entry) => f.debug_tuple("Vacant").field(entry).finish(),
        }
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for OccupiedEntry<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OccupiedEntry").field("key", &self.key).finish_non_exhaustive()
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for VacantEntry<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("VacantEntry").field("key", &self.key).finish_non_exhaustive()
    }
}
