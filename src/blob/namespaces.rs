use super::ids::BlobIds;
use super::options::check_namespace;
use super::record::{BlobId, Record, Step};
use super::tables::{BLOBS, InNamespace, NamespaceNumbers, Namespaces, pair_key, replace_key};
use super::write::{change, delete_each};
use crate::error::{BlobError, StorageError};
use crate::index::{OwnTables, open};
use crate::table::ReadableTable;
use crate::txn::WriteTransaction;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Bound;
use core::time::Duration;

/// The counter of namespaces.
const NAMESPACES: &str = "namespaces";

/// How much a namespace may have.
///
/// ```
/// use sapwood::NamespaceQuota;
///
/// let quota = NamespaceQuota::UNLIMITED.with_max_blobs(1_000).with_max_bytes(1 << 30);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceQuota {
    blobs: u64,
    bytes: u64,
}

impl NamespaceQuota {
    /// As much as there is.
    pub const UNLIMITED: Self = Self { blobs: u64::MAX, bytes: u64::MAX };

    /// At most so many blobs.
    #[must_use]
    pub const fn with_max_blobs(self, blobs: u64) -> Self {
        Self { blobs, ..self }
    }

    /// At most so many bytes of contents.
    #[must_use]
    pub const fn with_max_bytes(self, bytes: u64) -> Self {
        Self { bytes, ..self }
    }
}

/// A namespace, and what it has: those blobs too that have expired and were not
/// [purged](WriteTransaction::purge_expired_blobs) yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamespaceInfo {
    /// Its name.
    pub name: String,
    /// Blobs in it.
    pub blobs: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// What it may have.
    pub quota: NamespaceQuota,
    /// How long blobs live that are stored in it, if nothing else is said of them.
    pub default_ttl: Option<Duration>,
}

fn out_of_step() -> StorageError {
    StorageError::corrupted("the tables of namespaces do not agree")
}

/// The number of a namespace, if there is one.
pub(super) fn number_of(tables: &impl OwnTables, name: &str) -> Result<Option<u64>, StorageError> {
    let Some(numbers) = tables.table::<NamespaceNumbers>(BLOBS)? else { return Ok(None) };
    Ok(numbers.get(name)?.map(|number| number.value()))
}

fn info_of(tables: &impl OwnTables, number: u64) -> Result<NamespaceInfo, StorageError> {
    let namespaces = tables.table::<Namespaces>(BLOBS)?.ok_or_else(out_of_step)?;
    let row = namespaces.get(number)?.ok_or_else(out_of_step)?;
    let (blobs, bytes, most_blobs, most_bytes, ttl, name) = row.value();
    let quota = NamespaceQuota { blobs: most_blobs, bytes: most_bytes };
    let default_ttl = Some(ttl).filter(|ttl| *ttl != u64::MAX).map(Duration::from_millis);
    Ok(NamespaceInfo { name: name.to_string(), blobs, bytes, quota, default_ttl })
}

/// The name of the namespace with this number; 0 is none's.
pub(super) fn name_of(tables: &impl OwnTables, number: u64) -> Result<Option<String>, StorageError> {
    if number == 0 { Ok(None) } else { info_of(tables, number).map(|info| Some(info.name)) }
}

/// One namespace, if there is one of that name.
pub(super) fn find(tables: &impl OwnTables, name: &str) -> Result<Option<NamespaceInfo>, StorageError> {
    number_of(tables, name)?.map(|number| info_of(tables, number)).transpose()
}

/// At most so many namespaces behind that one, in order.
pub(super) fn list(
    tables: &impl OwnTables,
    after: Option<&str>,
    most: usize,
) -> Result<Vec<NamespaceInfo>, StorageError> {
    let Some(numbers) = tables.table::<NamespaceNumbers>(BLOBS)? else { return Ok(Vec::new()) };
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let rows = numbers.range::<&str>((start, Bound::Unbounded))?.take(most);
    rows.map(|row| info_of(tables, row?.1.value())).collect()
}

/// The number of a namespace, which is made if there is none of that name.
pub(super) fn number_for(txn: &WriteTransaction, name: &str) -> Result<u64, StorageError> {
    if let Some(known) = number_of(txn, name)? {
        return Ok(known);
    }
    let number = txn.take_number(NAMESPACES)?;
    open::<NamespaceNumbers>(txn, BLOBS)?.insert(name, number)?;
    let (name, quota) = (name.to_string(), NamespaceQuota::UNLIMITED);
    put(txn, number, &NamespaceInfo { name, blobs: 0, bytes: 0, quota, default_ttl: None })?;
    Ok(number)
}

fn put(txn: &WriteTransaction, number: u64, info: &NamespaceInfo) -> Result<(), StorageError> {
    let ttl = info.default_ttl.map_or(u64::MAX, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX - 1));
    let NamespaceQuota { blobs, bytes } = info.quota;
    open::<Namespaces>(txn, BLOBS)?.insert(number, (info.blobs, info.bytes, blobs, bytes, ttl, &*info.name))?;
    Ok(())
}

/// Forgets a namespace of which there is nothing to know.
fn forget_if_idle(txn: &WriteTransaction, number: u64) -> Result<(), StorageError> {
    let info = info_of(txn, number)?;
    if info.blobs > 0 || info.quota != NamespaceQuota::UNLIMITED || info.default_ttl.is_some() {
        return Ok(());
    }
    open::<Namespaces>(txn, BLOBS)?.remove(number)?;
    open::<NamespaceNumbers>(txn, BLOBS)?.remove(&*info.name)?;
    Ok(())
}

/// What a blob takes of its namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Share {
    number: u64,
    bytes: u64,
}

impl Share {
    fn of(record: &Record) -> Option<Self> {
        let share = Self { number: record.namespace, bytes: record.content.len() };
        (record.namespace != 0).then_some(share)
    }
}

/// Makes namespaces follow a record. Nothing is changed if that is refused.
pub(super) fn follow(txn: &WriteTransaction, step: &Step<'_>) -> Result<(), BlobError> {
    let (before, after) = step.map(Share::of);
    if before == after {
        return Ok(());
    }
    let stays = |number| before.filter(|before| before.number == number);
    if let Some(Share { number, bytes }) = after {
        let mut info = info_of(txn, number)?;
        match stays(number) {
            Some(before) => info.bytes = info.bytes.checked_sub(before.bytes).ok_or_else(out_of_step)?,
            None => info.blobs = within("blobs", info.blobs, 1, info.quota.blobs, &info)?,
        }
        let grows = stays(number).map_or(0, |before| before.bytes) < bytes;
        let most = if grows { info.quota.bytes } else { u64::MAX };
        info.bytes = within("bytes", info.bytes, bytes, most, &info)?;
        put(txn, number, &info)?;
    }
    let key = |record: &Record| Some(pair_key(Share::of(record)?.number, step.id));
    replace_key::<InNamespace>(txn, step.map(key))?;
    let Some(Share { number, bytes }) = before.filter(|before| Some(before.number) != after.map(|after| after.number))
    else {
        return Ok(());
    };
    let mut info = info_of(txn, number)?;
    info.blobs = info.blobs.checked_sub(1).ok_or_else(out_of_step)?;
    info.bytes = info.bytes.checked_sub(bytes).ok_or_else(out_of_step)?;
    put(txn, number, &info)?;
    Ok(forget_if_idle(txn, number)?)
}

/// An error if a blob's content may not be so long.
pub(super) fn check_room(tables: &impl OwnTables, record: &Record, length: u64) -> Result<(), BlobError> {
    if record.namespace == 0 || length <= record.content.len() {
        return Ok(());
    }
    let info = info_of(tables, record.namespace)?;
    let others = info.bytes.checked_sub(record.content.len()).ok_or_else(out_of_step)?;
    within("bytes", others, length, info.quota.bytes, &info).map(drop)
}

fn within(what: &'static str, now: u64, more: u64, limit: u64, info: &NamespaceInfo) -> Result<u64, BlobError> {
    let namespace = || info.name.clone();
    let sum = now.checked_add(more).filter(|sum| *sum <= limit);
    sum.ok_or_else(|| BlobError::QuotaExceeded { namespace: namespace(), what, limit })
}

impl WriteTransaction {
    /// Says how much a namespace may have. What it has already stays.
    ///
    /// ```
    /// use sapwood::{BlobError, ContentType, Database, NamespaceQuota, StoreOptions, backends::InMemoryBackend};
    ///
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// txn.set_namespace_quota("inbox", NamespaceQuota::UNLIMITED.with_max_bytes(10))?;
    /// let options = StoreOptions::new().with_namespace("inbox");
    /// txn.store_blob(b"sapling", ContentType::TextPlain, "", options.clone())?;
    /// let refused = txn.store_blob(b"sapling", ContentType::TextPlain, "", options);
    /// assert!(matches!(refused, Err(BlobError::QuotaExceeded { what: "bytes", limit: 10, .. })));
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TooLong`](BlobError::TooLong) for a name over its [limit](crate::limits::MAX_NAMESPACE_LENGTH).
    pub fn set_namespace_quota(&self, namespace: &str, quota: NamespaceQuota) -> Result<(), BlobError> {
        self.change_namespace(namespace, |info| info.quota = quota)
    }

    /// Says how long blobs live that are stored in a namespace from now on, if nothing else is said of them.
    ///
    /// # Errors
    ///
    /// As of [`set_namespace_quota`](Self::set_namespace_quota).
    pub fn set_namespace_ttl(&self, namespace: &str, ttl: Option<Duration>) -> Result<(), BlobError> {
        self.change_namespace(namespace, |info| info.default_ttl = ttl)
    }

    fn change_namespace(&self, name: &str, change: impl FnOnce(&mut NamespaceInfo)) -> Result<(), BlobError> {
        check_namespace(name)?;
        let _held = self.hold();
        let number = number_for(self, name)?;
        let mut info = info_of(self, number)?;
        change(&mut info);
        put(self, number, &info)?;
        Ok(forget_if_idle(self, number)?)
    }

    /// Moves a blob into another namespace, or into none.
    ///
    /// # Errors
    ///
    /// [`NotFound`](BlobError::NotFound) if there is no such blob; [`QuotaExceeded`](BlobError::QuotaExceeded);
    /// [`TooLong`](BlobError::TooLong) for a name over its [limit](crate::limits::MAX_NAMESPACE_LENGTH).
    pub fn move_blob(&self, id: BlobId, namespace: Option<&str>) -> Result<(), BlobError> {
        namespace.map_or(Ok(()), check_namespace)?;
        change(self, id, |record| {
            let namespace = namespace.map_or(Ok(0), |name| number_for(self, name))?;
            Ok(Record { namespace, ..record })
        })
    }

    /// Deletes all blobs of a namespace, and says how many there were.
    pub fn delete_blobs_in_namespace(&self, namespace: &str) -> Result<u64, BlobError> {
        delete_each(self, || BlobIds::in_namespace(self, namespace, None))
    }
}
