use super::entry::TtlEntry;
use super::extract::{TtlDrain, TtlExtractIf};
use super::guard::{TtlAccessGuard, TtlAccessGuardMut};
use super::index::ExpiredKey;
use super::read::{ReadableTtlTable, TtlParts};
use super::row::{Expiring, Lifetimes, NEVER, Now, TIME_WIDTH};
use crate::btree::{Target, check_row};
use crate::error::StorageError;
use crate::table::guard::AccessGuard;
use crate::table::read::ReadableTableMetadata;
use crate::table::stats::TableStats;
use crate::table::write::Table;
use crate::txn::sealed::Sealed;
use crate::txn::{TableHandle, TtlTableHandle};
use crate::types::{Key, Value};
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt::{Debug, Formatter};
use core::ops::RangeBounds;
use core::time::Duration;

/// A table of a write transaction whose rows may expire. What has expired is not seen, and is removed by
/// [`purge_expired`](Self::purge_expired), or on the way by what removes rows.
///
/// ```
/// use sapwood::{Database, ReadableTableMetadata, ReadableTtlTable, TtlTableDefinition, backends::InMemoryBackend};
/// use std::time::Duration;
///
/// const SESSIONS: TtlTableDefinition<&str, u64> =
///     TtlTableDefinition::new("sessions").with_default_ttl(Duration::from_secs(3600));
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// {
///     let mut sessions = txn.open_ttl_table(SESSIONS)?;
///     sessions.insert("oak", 1)?;
///     sessions.insert_with_ttl("elm", 2, Duration::from_secs(60))?;
///     sessions.insert_with_ttl("yew", 3, Duration::ZERO)?;
///     assert!(sessions.touch("elm", Duration::from_secs(7200))?);
///     assert!(sessions.persist("oak")?);
///     assert!(sessions.get("yew")?.is_none());
///     assert_eq!((sessions.len_live()?, sessions.len()?), (2, 3));
///     assert_eq!(sessions.purge_expired(1_000)?, 1);
///     assert_eq!((sessions.len_live()?, sessions.len()?), (2, 2));
/// }
/// txn.commit()?;
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct TtlTable<'txn, K: Key + 'static, V: Value + 'static> {
    rows: Table<'txn, K, Expiring<V>>,
    lifetimes: Lifetimes,
}

impl<'txn, K: Key + 'static, V: Value + 'static> TtlTable<'txn, K, V> {
    pub(crate) fn new(rows: Table<'txn, K, Expiring<V>>, now: u64, default_ttl: Option<Duration>) -> Self {
        Self { rows, lifetimes: Lifetimes { now: Now::new(now), default_ttl } }
    }

    /// Sets the value of a key, and gives the value that it had. The row expires after the
    /// [default TTL](crate::TtlTableDefinition::with_default_ttl) from now, or never if there is none; what its key had
    /// before does not matter.
    ///
    /// # Errors
    ///
    /// [`ValueTooLarge`](StorageError::ValueTooLarge) if key or value are over the [limit](crate::limits), from which 8
    /// bytes go to the time; the transaction is then as it was.
    pub fn insert<'k, 'v>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: impl Borrow<V::SelfType<'v>>,
    ) -> Result<Option<TtlAccessGuard<'_, V>>, StorageError> {
        self.insert_until(key, value, self.lifetimes.default_time())
    }

    /// The same, but the row expires so long from now, to the millisecond, rounded down: after zero it is never seen.
    /// It expires at [`MAX_EXPIRY_MS`](crate::limits::MAX_EXPIRY_MS) at the latest.
    pub fn insert_with_ttl<'k, 'v>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: impl Borrow<V::SelfType<'v>>,
        ttl: Duration,
    ) -> Result<Option<TtlAccessGuard<'_, V>>, StorageError> {
        self.insert_until(key, value, self.now().after(ttl))
    }

    fn insert_until<'k, 'v>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        value: impl Borrow<V::SelfType<'v>>,
        time: u64,
    ) -> Result<Option<TtlAccessGuard<'_, V>>, StorageError> {
        check_key::<K>(key.borrow())?;
        let now = self.now();
        let old = self.rows.insert(key, (time, V::as_bytes(value.borrow()).as_ref()))?;
        Ok(old.and_then(|old| TtlAccessGuard::live(old, now)))
    }

    /// Removes a key, and gives the value that it had. A row that has expired is removed as well, and not given.
    pub fn remove<'a>(
        &mut self,
        key: impl Borrow<K::SelfType<'a>>,
    ) -> Result<Option<TtlAccessGuard<'_, V>>, StorageError> {
        let now = self.now();
        Ok(self.rows.remove(key)?.and_then(|row| TtlAccessGuard::live(row, now)))
    }

    /// The value of a key, in a guard that can replace it.
    pub fn get_mut<'k>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
    ) -> Result<Option<TtlAccessGuardMut<'_, V>>, StorageError> {
        let now = self.now();
        Ok(self.rows.get_mut(key)?.and_then(|row| TtlAccessGuardMut::live(row, now)))
    }

    /// What the table holds under a key, to be changed there. A row that has expired is removed, and the entry is
    /// vacant.
    ///
    /// # Errors
    ///
    /// [`ValueTooLarge`](StorageError::ValueTooLarge) if the key is over the [limit](crate::limits), from which 8 bytes
    /// go to the time.
    pub fn entry<'a>(&'a mut self, key: K::SelfType<'a>) -> Result<TtlEntry<'a, K, V>, StorageError> {
        check_key::<K>(&key)?;
        TtlEntry::find(self.rows.open(), key, self.lifetimes)
    }

    /// Has a row expire so long from now, as [`insert_with_ttl`](Self::insert_with_ttl) does. False if there is no row
    /// with this key, or it has expired.
    ///
    /// The value is read, and written again.
    pub fn touch<'k>(&mut self, key: impl Borrow<K::SelfType<'k>>, ttl: Duration) -> Result<bool, StorageError> {
        self.set_time(key, self.now().after(ttl))
    }

    /// Has a row never expire. False if there is no row with this key, or it has expired.
    ///
    /// The value is read, and written again.
    pub fn persist<'k>(&mut self, key: impl Borrow<K::SelfType<'k>>) -> Result<bool, StorageError> {
        self.set_time(key, NEVER)
    }

    fn set_time<'k>(&mut self, key: impl Borrow<K::SelfType<'k>>, time: u64) -> Result<bool, StorageError> {
        let Some(mut row) = self.get_mut(key)? else { return Ok(false) };
        row.set_time(time)?;
        Ok(true)
    }

    /// Removes the row with the smallest key, and gives it. Rows before it that have expired are removed as well.
    #[allow(clippy::type_complexity)]
    pub fn pop_first(&mut self) -> Result<Option<(AccessGuard<'_, K>, TtlAccessGuard<'_, V>)>, StorageError> {
        self.extract_if(|_, _| true)?.next().transpose()
    }

    /// Removes the row with the greatest key, and gives it. Rows behind it that have expired are removed as well.
    #[allow(clippy::type_complexity)]
    pub fn pop_last(&mut self) -> Result<Option<(AccessGuard<'_, K>, TtlAccessGuard<'_, V>)>, StorageError> {
        self.extract_if(|_, _| true)?.next_back().transpose()
    }

    /// The rows for which `predicate` is true, in an iterator from both ends that removes each row that it gives: see
    /// [`Table::extract_if`]. Rows that have expired are removed as it comes to them, neither tested nor given.
    pub fn extract_if<F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool>(
        &mut self,
        predicate: F,
    ) -> Result<TtlExtractIf<'_, K, V, F>, StorageError> {
        self.extract_from_if::<K::SelfType<'_>, F>(.., predicate)
    }

    /// Like [`extract_if`](Self::extract_if), in a range of keys. A range whose start is after its end has no rows.
    pub fn extract_from_if<'a, KR, F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool>(
        &mut self,
        range: impl RangeBounds<KR> + 'a,
        predicate: F,
    ) -> Result<TtlExtractIf<'_, K, V, F>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        Ok(TtlExtractIf::new(self.rows.sweep::<KR>(&range), predicate, self.now()))
    }

    /// Removes the rows for which `predicate` is false, and those that have expired, untested: see [`Table::retain`].
    pub fn retain<F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool>(
        &mut self,
        predicate: F,
    ) -> Result<(), StorageError> {
        self.retain_in::<K::SelfType<'_>, F>(.., predicate)
    }

    /// The same in a range of keys.
    pub fn retain_in<'a, KR, F: for<'f> FnMut(K::SelfType<'f>, V::SelfType<'f>) -> bool>(
        &mut self,
        range: impl RangeBounds<KR> + 'a,
        mut predicate: F,
    ) -> Result<(), StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        let now = self.now();
        self.rows.retain_in(range, |key, (time, bytes)| !now.has_come(time) && predicate(key, V::from_bytes(bytes)))
    }

    /// Removes the rows of a range of keys, and says how many of them had not expired. A range whose start is after its
    /// end has none.
    ///
    /// Every row of the range is read, and taken out of the index by itself.
    ///
    /// # Errors
    ///
    /// An error half-way breaks the transaction: it can only be aborted.
    pub fn delete_range<'a, KR>(&mut self, range: impl RangeBounds<KR> + 'a) -> Result<u64, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        let live = self.len_live()?;
        self.rows.delete_range(range)?;
        Ok(live.saturating_sub(self.len_live()?))
    }

    /// The rows of a range of keys that have not expired, in an iterator from both ends that removes all rows of the
    /// range: see [`Table::drain`].
    pub fn drain<'a, KR>(&mut self, range: impl RangeBounds<KR> + 'a) -> Result<TtlDrain<'_, K, V>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        let now = self.now();
        Ok(TtlDrain::new(self.rows.drain(range)?, now))
    }

    /// Removes at most so many rows that have expired, and says how many; those that expired first go first. Fewer than
    /// `limit` were all that there are.
    ///
    /// Reads and changes what these rows need, however many others there are.
    ///
    /// # Errors
    ///
    /// Those of the storage; rows that were removed until then stay so. [`Corrupted`](StorageError::Corrupted) if the
    /// index of expiries is not that of the rows: the transaction can then only be aborted.
    pub fn purge_expired(&mut self, limit: u64) -> Result<u64, StorageError> {
        let mut purged = 0;
        while purged < limit {
            let keys = self.first_expired(limit - purged)?;
            if keys.is_empty() {
                break;
            }
            for key in &keys {
                self.purge(key)?;
                purged += 1;
            }
        }
        Ok(purged)
    }

    fn first_expired(&self, most: u64) -> Result<Vec<ExpiredKey>, StorageError> {
        let Some(index) = self.rows.open().expiries() else { return Ok(Vec::new()) };
        let _loan = index.lend();
        index.view(&index.tree()?).first_expired(self.now(), most)
    }

    fn purge(&self, expired: &ExpiredKey) -> Result<(), StorageError> {
        let open = self.rows.open();
        let removed = open.edit(|editor| editor.remove(&Target::Key(&expired.key)))?;
        let checked = expired.check(removed.as_ref().map(|(_, row)| &**row));
        if checked.is_err() {
            open.mark_broken();
        }
        checked
    }
}

fn check_key<K: Key>(key: &K::SelfType<'_>) -> Result<(), StorageError> {
    check_row(K::as_bytes(key).as_ref().len().saturating_add(TIME_WIDTH), 0)
}

impl<'txn, K: Key + 'static, V: Value + 'static> TtlParts<K, V> for TtlTable<'txn, K, V> {
    type Rows = Table<'txn, K, Expiring<V>>;

    fn rows(&self) -> &Self::Rows {
        &self.rows
    }

    fn now(&self) -> Now {
        self.lifetimes.now
    }

    fn expired(&self) -> Result<u64, StorageError> {
        let Some(index) = self.rows.open().expiries() else { return Ok(0) };
        let _loan = index.lend();
        index.view(&index.tree()?).count_expired(self.now())
    }
}

impl<K: Key + 'static, V: Value + 'static> ReadableTtlTable<K, V> for TtlTable<'_, K, V> {}

impl<K: Key + 'static, V: Value + 'static> ReadableTableMetadata for TtlTable<'_, K, V> {
    fn stats(&self) -> Result<TableStats, StorageError> {
        self.rows.stats()
    }

    fn len(&self) -> Result<u64, StorageError> {
        self.rows.len()
    }

    fn is_empty(&self) -> Result<bool, StorageError> {
        Ok(self.len_live()? == 0)
    }
}

impl<K: Key + 'static, V: Value + 'static> Sealed for TtlTable<'_, K, V> {}

impl<K: Key + 'static, V: Value + 'static> TtlTableHandle for TtlTable<'_, K, V> {
    fn name(&self) -> &str {
        self.rows.name()
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for TtlTable<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TtlTable").field("name", &self.rows.name()).finish_non_exhaustive()
    }
}
