use super::guard::{TtlAccessGuard, TtlRange};
use super::index::expiries_kind;
use super::row::{Expiring, Expiry, Now};
use crate::btree::TreeKind;
use crate::error::StorageError;
use crate::table::guard::AccessGuard;
use crate::table::read::{ReadOnlyTable, ReadableTable, ReadableTableMetadata, SnapshotTree};
use crate::table::stats::TableStats;
use crate::txn::TtlTableHandle;
use crate::txn::sealed::Sealed;
use crate::types::{Key, PrefixKey, Value};
use core::borrow::Borrow;
use core::fmt::{Debug, Formatter};
use core::ops::RangeBounds;
use core::time::Duration;

/// The parts of a TTL table, of which what can be read is put together.
#[doc(hidden)]
pub trait TtlParts<K: Key + 'static, V: Value + 'static>: Sealed {
    type Rows: ReadableTable<K, Expiring<V>>;

    fn rows(&self) -> &Self::Rows;
    fn now(&self) -> Now;
    /// How many of the rows have expired.
    fn expired(&self) -> Result<u64, StorageError>;
}

/// What can be read from a TTL table, in a read transaction or a write transaction. Rows that have expired are not
/// seen.
///
/// A row expires by the transaction's time, which is that of the [clock](crate::Builder::set_clock) when the
/// transaction opened its first TTL table; in a transaction that sees the [past](crate::Database::begin_read_at), that
/// of the commit. So what a transaction sees does not change by the passing of time.
///
/// Rows that have expired and are still stored are passed over one by one where a range meets them.
///
/// ```
/// use sapwood::{Database, Expiry, ReadableTtlTable, StorageError, TtlTableDefinition, backends::InMemoryBackend};
/// use std::time::Duration;
///
/// fn lasting(sessions: &impl ReadableTtlTable<&'static str, u64>) -> Result<Vec<u64>, StorageError> {
///     let lasting = sessions.iter()?.filter(|row| row.as_ref().is_ok_and(|(_, user)| user.expires_at_ms().is_none()));
///     lasting.map(|row| row.map(|(_, user)| user.value())).collect()
/// }
///
/// const SESSIONS: TtlTableDefinition<&str, u64> = TtlTableDefinition::new("sessions");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// {
///     let mut sessions = txn.open_ttl_table(SESSIONS)?;
///     sessions.insert("oak", 1)?;
///     sessions.insert_with_ttl("elm", 2, Duration::from_secs(3600))?;
///     sessions.insert_with_ttl("yew", 3, Duration::ZERO)?;
///     assert_eq!(lasting(&sessions)?, [1]);
///     assert_eq!(sessions.expires_at("oak")?, Some(Expiry::Never));
///     assert_eq!(sessions.remaining("elm")?, Some(Duration::from_secs(3600)));
///     assert_eq!(sessions.remaining("yew")?, None);
/// }
/// txn.commit()?;
/// # Ok::<(), sapwood::Error>(())
/// ```
pub trait ReadableTtlTable<K: Key + 'static, V: Value + 'static>: ReadableTableMetadata + TtlParts<K, V> {
    /// The value of a key.
    fn get<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<Option<TtlAccessGuard<'_, V>>, StorageError> {
        Ok(self.rows().get(key)?.and_then(|row| TtlAccessGuard::live(row, self.now())))
    }

    /// The rows of a range of keys. A range whose start is after its end has none.
    fn range<'a, KR>(&self, range: impl RangeBounds<KR> + 'a) -> Result<TtlRange<'_, K, V>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        Ok(TtlRange::new(self.rows().range(range)?, self.now()))
    }

    /// All rows, in key order.
    fn iter(&self) -> Result<TtlRange<'_, K, V>, StorageError> {
        self.range::<K::SelfType<'_>>(..)
    }

    /// The rows whose keys begin with `prefix`, in key order. All rows, if it is empty.
    fn prefix(&self, prefix: &<K as PrefixKey>::Prefix) -> Result<TtlRange<'_, K, V>, StorageError>
    where
        K: PrefixKey,
    {
        Ok(TtlRange::new(self.rows().prefix(prefix)?, self.now()))
    }

    /// The row with the smallest key.
    #[allow(clippy::type_complexity)]
    fn first(&self) -> Result<Option<(AccessGuard<'_, K>, TtlAccessGuard<'_, V>)>, StorageError> {
        self.iter()?.next().transpose()
    }

    /// The row with the greatest key.
    #[allow(clippy::type_complexity)]
    fn last(&self) -> Result<Option<(AccessGuard<'_, K>, TtlAccessGuard<'_, V>)>, StorageError> {
        self.iter()?.next_back().transpose()
    }

    /// When a row expires. `None` if there is no row with this key, or it has expired.
    ///
    /// Reads the value as [`get`](Self::get) does.
    fn expires_at<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<Option<Expiry>, StorageError> {
        Ok(self.get(key)?.map(|row| Expiry::of(row.time())))
    }

    /// How long it is until a row expires: [`Duration::MAX`] if it never does. `None` if there is no row with this key,
    /// or it has expired.
    fn remaining<'a>(&self, key: impl Borrow<K::SelfType<'a>>) -> Result<Option<Duration>, StorageError> {
        Ok(self.get(key)?.map(|row| self.now().until(row.time())))
    }

    /// Number of rows that have not expired. Takes a way down the index of expiries, as
    /// [`ReadableTable::count`] does, however many they are. [`len`](ReadableTableMetadata::len) is the number of all
    /// that are stored.
    fn len_live(&self) -> Result<u64, StorageError> {
        Ok(self.len()?.saturating_sub(self.expired()?))
    }

    /// Number of rows in a range of keys. A range whose start is after its end has none.
    ///
    /// Takes a way down the tree for each end of the range if no row of the table has expired that is still stored,
    /// else looks at each row of the range.
    fn count<'a, KR>(&self, range: impl RangeBounds<KR> + 'a) -> Result<u64, StorageError>
    where
        KR: Borrow<K::SelfType<'a>> + 'a,
    {
        if self.expired()? == 0 {
            return self.rows().count(range);
        }
        self.range(range)?.try_fold(0, |rows, row| row.map(|_| rows + 1))
    }
}

/// A TTL table of a read transaction. It keeps the transaction's snapshot, so it may outlive it.
///
/// ```
/// use sapwood::{Database, ReadableDatabase, ReadableTtlTable, TtlTableDefinition, backends::InMemoryBackend};
/// use std::time::Duration;
///
/// const SESSIONS: TtlTableDefinition<&str, u64> = TtlTableDefinition::new("sessions");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// txn.open_ttl_table(SESSIONS)?.insert_with_ttl("oak", 1, Duration::from_secs(3600))?;
/// txn.commit()?;
///
/// let sessions = db.begin_read()?.open_ttl_table(SESSIONS)?;
/// let user = sessions.get("oak")?.unwrap();
/// assert_eq!(user.value(), 1);
/// assert!(user.expires_at_ms().is_some());
/// assert_eq!(sessions.len_live()?, 1);
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct ReadOnlyTtlTable<K: Key + 'static, V: Value + 'static> {
    rows: ReadOnlyTable<K, Expiring<V>>,
    index: SnapshotTree,
    index_kind: TreeKind,
    now: Now,
}

impl<K: Key + 'static, V: Value + 'static> ReadOnlyTtlTable<K, V> {
    pub(crate) fn new(rows: SnapshotTree, index: SnapshotTree, now: u64) -> Self {
        let index_kind = expiries_kind(index.store().page_size());
        Self { rows: ReadOnlyTable::new(rows), index, index_kind, now: Now::new(now) }
    }

    /// The value of a key, in a guard that may outlive the table.
    pub fn get<'a>(
        &self,
        key: impl Borrow<K::SelfType<'a>>,
    ) -> Result<Option<TtlAccessGuard<'static, V>>, StorageError> {
        Ok(self.rows.get(key)?.and_then(|row| TtlAccessGuard::live(row, self.now)))
    }

    /// The rows of a range of keys, in an iterator that may outlive the table.
    pub fn range<'a, KR>(&self, range: impl RangeBounds<KR>) -> Result<TtlRange<'static, K, V>, StorageError>
    where
        KR: Borrow<K::SelfType<'a>>,
    {
        Ok(TtlRange::new(self.rows.range(range)?, self.now))
    }
}

impl<K: Key + 'static, V: Value + 'static> TtlParts<K, V> for ReadOnlyTtlTable<K, V> {
    type Rows = ReadOnlyTable<K, Expiring<V>>;

    fn rows(&self) -> &Self::Rows {
        &self.rows
    }

    fn now(&self) -> Now {
        self.now
    }

    fn expired(&self) -> Result<u64, StorageError> {
        self.index.view(&self.index_kind).count_expired(self.now)
    }
}

impl<K: Key + 'static, V: Value + 'static> ReadableTtlTable<K, V> for ReadOnlyTtlTable<K, V> {}

impl<K: Key + 'static, V: Value + 'static> ReadableTableMetadata for ReadOnlyTtlTable<K, V> {
    fn stats(&self) -> Result<TableStats, StorageError> {
        TableStats::of(self.index.store(), self.rows.root(), self.index.root())
    }

    fn len(&self) -> Result<u64, StorageError> {
        self.rows.len()
    }

    fn is_empty(&self) -> Result<bool, StorageError> {
        Ok(self.len_live()? == 0)
    }
}

impl<K: Key + 'static, V: Value + 'static> Sealed for ReadOnlyTtlTable<K, V> {}

impl<K: Key + 'static, V: Value + 'static> TtlTableHandle for ReadOnlyTtlTable<K, V> {
    fn name(&self) -> &str {
        self.index.name()
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for ReadOnlyTtlTable<K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ReadOnlyTtlTable").field("name", &self.index.name()).finish_non_exhaustive()
    }
}
