use super::dedup::{ContentHash, find};
use super::expiry::{is_seen, some_have_expired};
use super::namespaces::number_of;
use super::paged::BATCH;
use super::record::BlobId;
use super::tables::{BLOBS, ContentUsers, InNamespace, PairKey, Records, pair_key, pair_of};
use super::tags::{blob, tags, thing};
use crate::error::{BlobError, StorageError};
use crate::index::{OwnTables, Part, TagQuery};
use crate::table::ReadableTable;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{Debug, Formatter};
use core::ops::Bound;

/// Which blobs are listed.
#[derive(Debug)]
enum Which {
    All,
    Tagged(TagQuery),
    InNamespace(String),
    OfContent(ContentHash),
}

/// Blobs in the order of their ids. After an error it gives no more.
///
/// Some are looked up at a time. In a write transaction those that come meanwhile may be among them or not.
pub struct BlobIds<'t, T: OwnTables> {
    tables: &'t T,
    which: Which,
    last: Option<BlobId>,
    /// What was looked up and is not given yet.
    found: vec::IntoIter<BlobId>,
    ended: bool,
}

impl<'t, T: OwnTables> BlobIds<'t, T> {
    fn new(tables: &'t T, which: Which, after: Option<BlobId>) -> Self {
        Self { tables, which, last: after, found: vec::IntoIter::default(), ended: false }
    }

    pub(super) fn all(tables: &'t T, after: Option<BlobId>) -> Self {
        Self::new(tables, Which::All, after)
    }

    pub(super) fn tagged(tables: &'t T, query: TagQuery, after: Option<BlobId>) -> Self {
        Self::new(tables, Which::Tagged(query), after)
    }

    pub(super) fn in_namespace(tables: &'t T, namespace: &str, after: Option<BlobId>) -> Self {
        Self::new(tables, Which::InNamespace(namespace.to_string()), after)
    }

    pub(super) fn of_content(tables: &'t T, hash: ContentHash, after: Option<BlobId>) -> Self {
        Self::new(tables, Which::OfContent(hash), after)
    }

    /// The next ones behind the last.
    fn fetch(&self) -> Result<Vec<BlobId>, StorageError> {
        match &self.which {
            Which::All => self.fetch_all(),
            Which::Tagged(query) => self.fetch_tagged(query),
            Which::InNamespace(name) => self.fetch_members::<InNamespace>(number_of(self.tables, name)?),
            Which::OfContent(hash) => self.fetch_members::<ContentUsers>(find(self.tables, hash)?),
        }
    }

    fn fetch_all(&self) -> Result<Vec<BlobId>, StorageError> {
        let Some(records) = self.tables.table::<Records>(BLOBS)? else { return Ok(Vec::new()) };
        let start = self.last.map_or(Bound::Unbounded, |last| Bound::Excluded(last.sequence()));
        let rows = records.range::<u64>((start, Bound::Unbounded))?.take(BATCH);
        rows.map(|row| Ok(BlobId::new(row?.0.value()))).collect()
    }

    fn fetch_tagged(&self, query: &TagQuery) -> Result<Vec<BlobId>, StorageError> {
        let after = self.last.map(thing);
        let things = tags(self.tables).select(query, after.as_ref().map(<[u8; 8]>::as_slice), BATCH)?;
        things.into_iter().map(blob).collect()
    }

    /// From the rows of what has this number.
    fn fetch_members<P: Part<Key = PairKey, Value = ()>>(
        &self,
        number: Option<u64>,
    ) -> Result<Vec<BlobId>, StorageError> {
        let (Some(number), Some(members)) = (number, self.tables.table::<P>(BLOBS)?) else { return Ok(Vec::new()) };
        let key = |id| pair_key(number, id);
        let start = self.last.map_or(Bound::Included(key(BlobId::new(0))), |last| Bound::Excluded(key(last)));
        let rows = members.range::<PairKey>((start, Bound::Included(key(BlobId::new(u64::MAX)))))?.take(BATCH);
        rows.map(|row| Ok(pair_of(row?.0.value()).1)).collect()
    }

    /// The next one that is to be seen.
    fn step(&mut self) -> Result<Option<BlobId>, StorageError> {
        while !self.ended && self.found.as_slice().is_empty() {
            self.ended = true;
            let _held = self.tables.hold();
            let mut found = self.fetch()?;
            let more = found.len() == BATCH;
            self.last = found.last().copied().or(self.last);
            if some_have_expired(self.tables)? {
                found = seen(self.tables, found)?;
            }
            self.ended = !more;
            self.found = found.into_iter();
        }
        Ok(self.found.next())
    }
}

fn seen(tables: &impl OwnTables, found: Vec<BlobId>) -> Result<Vec<BlobId>, StorageError> {
    let mut seen = Vec::with_capacity(found.len());
    for id in found {
        if is_seen(tables, id)? {
            seen.push(id);
        }
    }
    Ok(seen)
}

impl<T: OwnTables> Iterator for BlobIds<'_, T> {
    type Item = Result<BlobId, BlobError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().map_err(BlobError::from).transpose()
    }
}

impl<T: OwnTables> Debug for BlobIds<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("BlobIds").field("which", &self.which).field("last", &self.last).finish_non_exhaustive()
    }
}
