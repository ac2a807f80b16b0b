use super::guard::{TtlAccessGuard, TtlAccessGuardMut};
use super::row::{Expiring, Lifetimes};
use crate::error::StorageError;
use crate::table::entry::{Entry, OccupiedEntry, VacantEntry};
use crate::table::open::OpenTree;
use crate::types::{Key, Value};
use core::borrow::Borrow;
use core::fmt::{Debug, Formatter};
use core::time::Duration;

/// What a TTL table holds, or does not hold, under a key: see [`TtlTable::entry`](crate::TtlTable::entry).
///
/// ```
/// use sapwood::{Database, ReadableTtlTable, TtlEntry, TtlTableDefinition, backends::InMemoryBackend};
/// use std::time::Duration;
///
/// const ATTEMPTS: TtlTableDefinition<&str, u64> = TtlTableDefinition::new("attempts");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// {
///     let mut attempts = txn.open_ttl_table(ATTEMPTS)?;
///     for user in ["oak", "elm", "oak"] {
///         match attempts.entry(user)? {
///             TtlEntry::Occupied(mut entry) => {
///                 let next = entry.get()?.value() + 1;
///                 entry.get_mut()?.insert(next)?;
///             }
///             TtlEntry::Vacant(entry) => drop(entry.insert_with_ttl(1, Duration::from_secs(60))?),
///         }
///     }
///     assert_eq!(attempts.get("oak")?.map(|count| count.value()), Some(2));
///     assert_eq!(attempts.remaining("oak")?, Some(Duration::from_secs(60)));
/// }
/// # Ok::<(), sapwood::Error>(())
/// ```
pub enum TtlEntry<'a, K: Key + 'static, V: Value + 'static> {
    /// There is a row.
    Occupied(OccupiedTtlEntry<'a, K, V>),
    /// There is none.
    Vacant(VacantTtlEntry<'a, K, V>),
}

impl<'a, K: Key + 'static, V: Value + 'static> TtlEntry<'a, K, V> {
    pub(super) fn find(open: OpenTree<'a>, key: K::SelfType<'a>, lifetimes: Lifetimes) -> Result<Self, StorageError> {
        let vacant = |entry| Ok(Self::Vacant(VacantTtlEntry { entry, lifetimes }));
        let entry = match Entry::find(open, key)? {
            Entry::Vacant(entry) => return vacant(entry),
            Entry::Occupied(entry) => entry,
        };
        if !lifetimes.now.has_come(entry.get()?.value().0) {
            return Ok(Self::Occupied(OccupiedTtlEntry { entry, lifetimes }));
        }
        let (key, _) = entry.remove_entry()?;
        match Entry::find(open, key)? {
            Entry::Vacant(entry) => vacant(entry),
            Entry::Occupied(_) => Err(StorageError::corrupted("a row is there after it was removed")),
        }
    }

    /// The key that was asked for.
    pub fn key(&self) -> &K::SelfType<'a> {
        match self {
            Self::Occupied(entry) => entry.key(),
            Self::Vacant(entry) => entry.key(),
        }
    }

    /// Inserts a value if there is none, as [`TtlTable::insert`](crate::TtlTable::insert) does. Gives the value, to be
    /// read or replaced.
    ///
    /// # Errors
    ///
    /// [`ValueTooLarge`](StorageError::ValueTooLarge) if the value is over the [limit](crate::limits), from which 8
    /// bytes go to the time.
    pub fn or_insert<'v>(
        self,
        default: impl Borrow<V::SelfType<'v>>,
    ) -> Result<TtlAccessGuardMut<'a, V>, StorageError> {
        self.or_insert_with(|| default)
    }

    /// Like [`or_insert`](Self::or_insert); the value is made only if it is needed.
    pub fn or_insert_with<'v, F, B>(self, default: F) -> Result<TtlAccessGuardMut<'a, V>, StorageError>
    where
        F: FnOnce() -> B,
        B: Borrow<V::SelfType<'v>>,
    {
        self.or_insert_with_key(|_| default())
    }

    /// Like [`or_insert_with`](Self::or_insert_with), from the key.
    pub fn or_insert_with_key<'v, F, B>(self, default: F) -> Result<TtlAccessGuardMut<'a, V>, StorageError>
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
        F: FnOnce(&mut TtlAccessGuardMut<'_, V>) -> Result<(), StorageError>,
    {
        if let Self::Occupied(entry) = &mut self {
            change(&mut entry.get_mut()?)?;
        }
        Ok(self)
    }
}

/// A row that has not expired: see [`TtlEntry`].
pub struct OccupiedTtlEntry<'a, K: Key + 'static, V: Value + 'static> {
    entry: OccupiedEntry<'a, K, Expiring<V>>,
    lifetimes: Lifetimes,
}

impl<'a, K: Key + 'static, V: Value + 'static> OccupiedTtlEntry<'a, K, V> {
    /// The key that was asked for.
    pub fn key(&self) -> &K::SelfType<'a> {
        self.entry.key()
    }

    /// The value.
    pub fn get(&self) -> Result<TtlAccessGuard<'_, V>, StorageError> {
        self.entry.get().map(TtlAccessGuard::new)
    }

    /// The value, in a guard that can replace it.
    pub fn get_mut(&mut self) -> Result<TtlAccessGuardMut<'_, V>, StorageError> {
        self.entry.get_mut().map(TtlAccessGuardMut::new)
    }

    /// The value, in a guard that can replace it and outlives the entry.
    pub fn into_mut(self) -> Result<TtlAccessGuardMut<'a, V>, StorageError> {
        self.entry.into_mut().map(TtlAccessGuardMut::new)
    }

    /// Replaces the value, and gives the one that was there. The row expires as one that
    /// [`TtlTable::insert`](crate::TtlTable::insert) has inserted.
    ///
    /// # Errors
    ///
    /// [`ValueTooLarge`](StorageError::ValueTooLarge) if the value is over the [limit](crate::limits), from which 8
    /// bytes go to the time.
    pub fn insert<'v>(&mut self, value: impl Borrow<V::SelfType<'v>>) -> Result<TtlAccessGuard<'_, V>, StorageError> {
        let time = self.lifetimes.default_time();
        self.insert_until(V::as_bytes(value.borrow()).as_ref(), time)
    }

    /// The same, but the row expires so long from now, as by
    /// [`TtlTable::insert_with_ttl`](crate::TtlTable::insert_with_ttl).
    pub fn insert_with_ttl<'v>(
        &mut self,
        value: impl Borrow<V::SelfType<'v>>,
        ttl: Duration,
    ) -> Result<TtlAccessGuard<'_, V>, StorageError> {
        let time = self.lifetimes.now.after(ttl);
        self.insert_until(V::as_bytes(value.borrow()).as_ref(), time)
    }

    fn insert_until(&mut self, bytes: &[u8], time: u64) -> Result<TtlAccessGuard<'_, V>, StorageError> {
        self.entry.insert((time, bytes)).map(TtlAccessGuard::new)
    }

    /// Removes the row, and gives its value.
    pub fn remove(self) -> Result<TtlAccessGuard<'a, V>, StorageError> {
        Ok(self.remove_entry()?.1)
    }

    /// Removes the row, and gives the key that was asked for and the value.
    pub fn remove_entry(self) -> Result<(K::SelfType<'a>, TtlAccessGuard<'a, V>), StorageError> {
        let (key, row) = self.entry.remove_entry()?;
        Ok((key, TtlAccessGuard::new(row)))
    }
}

/// A key without a row, or with one that has expired: see [`TtlEntry`].
pub struct VacantTtlEntry<'a, K: Key + 'static, V: Value + 'static> {
    entry: VacantEntry<'a, K, Expiring<V>>,
    lifetimes: Lifetimes,
}

impl<'a, K: Key + 'static, V: Value + 'static> VacantTtlEntry<'a, K, V> {
    /// The key that was asked for.
    pub fn key(&self) -> &K::SelfType<'a> {
        self.entry.key()
    }

    /// The key that was asked for.
    pub fn into_key(self) -> K::SelfType<'a> {
        self.entry.into_key()
    }

    /// Inserts the row, as [`TtlTable::insert`](crate::TtlTable::insert) does. Gives its value, to be read or replaced.
    ///
    /// # Errors
    ///
    /// [`ValueTooLarge`](StorageError::ValueTooLarge) if the value is over the [limit](crate::limits), from which 8
    /// bytes go to the time.
    pub fn insert<'v>(self, value: impl Borrow<V::SelfType<'v>>) -> Result<TtlAccessGuardMut<'a, V>, StorageError> {
        let time = self.lifetimes.default_time();
        self.insert_until(V::as_bytes(value.borrow()).as_ref(), time)
    }

    /// The same, but the row expires so long from now, as by
    /// [`TtlTable::insert_with_ttl`](crate::TtlTable::insert_with_ttl).
    pub fn insert_with_ttl<'v>(
        self,
        value: impl Borrow<V::SelfType<'v>>,
        ttl: Duration,
    ) -> Result<TtlAccessGuardMut<'a, V>, StorageError> {
        let time = self.lifetimes.now.after(ttl);
        self.insert_until(V::as_bytes(value.borrow()).as_ref(), time)
    }

    fn insert_until(self, bytes: &[u8], time: u64) -> Result<TtlAccessGuardMut<'a, V>, StorageError> {
        self.entry.insert((time, bytes)).map(TtlAccessGuardMut::new)
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for TtlEntry<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Occupied(entry) => f.debug_tuple("Occupied").field(entry).finish(),
            Self::Vacant(entry) => f.debug_tuple("Vacant").field(entry).finish(),
        }
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for OccupiedTtlEntry<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OccupiedTtlEntry").field("key", self.key()).finish_non_exhaustive()
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for VacantTtlEntry<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("VacantTtlEntry").field("key", self.key()).finish_non_exhaustive()
    }
}
