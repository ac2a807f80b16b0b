use super::dedup::{ContentHash, find};
use super::namespaces::number_of;
use super::paged::{BATCH, Paged};
use super::record::BlobId;
use super::tables::{BLOBS, ContentUsers, InNamespace, PairKey, Records, pair_key, pair_of};
use super::tags::{blob, tags, thing};
use crate::error::{BlobError, StorageError};
use crate::index::{OwnTables, Part, TagQuery};
use crate::table::ReadableTable;
use alloc::string::{String, ToString};
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
    found: Paged<BlobId>,
}

impl<'t, T: OwnTables> BlobIds<'t, T> {
    fn new(tables: &'t T, which: Which, after: Option<BlobId>) -> Self {
        Self { tables, which, found: Paged::behind(after) }
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
}

/// Some of these blobs, the first behind `last`.
fn fetch(tables: &impl OwnTables, which: &Which, last: Option<BlobId>) -> Result<Vec<BlobId>, StorageError> {
    match which {
        Which::All => fetch_all(tables, last),
        Which::Tagged(query) => fetch_tagged(tables, query, last),
        Which::InNamespace(name) => members::<InNamespace>(tables, number_of(tables, name)?, last),
        Which::OfContent(hash) => members::<ContentUsers>(tables, find(tables, hash)?, last),
    }
}

fn fetch_all(tables: &impl OwnTables, last: Option<BlobId>) -> Result<Vec<BlobId>, StorageError> {
    let Some(records) = tables.table::<Records>(BLOBS)? else { return Ok(Vec::new()) };
    let start = last.map_or(Bound::Unbounded, |last| Bound::Excluded(last.sequence()));
    let rows = records.range::<u64>((start, Bound::Unbounded))?.take(BATCH);
    rows.map(|row| Ok(BlobId::new(row?.0.value()))).collect()
}

fn fetch_tagged(tables: &impl OwnTables, query: &TagQuery, last: Option<BlobId>) -> Result<Vec<BlobId>, StorageError> {
    let after = last.map(thing);
    let things = tags(tables).select(query, after.as_ref().map(<[u8; 8]>::as_slice), BATCH)?;
    things.into_iter().map(blob).collect()
}

/// From the rows of what has this number.
fn members<P: Part<Key = PairKey, Value = ()>>(
    tables: &impl OwnTables,
    number: Option<u64>,
    last: Option<BlobId>,
) -> Result<Vec<BlobId>, StorageError> {
    let (Some(number), Some(members)) = (number, tables.table::<P>(BLOBS)?) else { return Ok(Vec::new()) };
    let key = |id| pair_key(number, id);
    let start = last.map_or(Bound::Included(key(BlobId::new(0))), |last| Bound::Excluded(key(last)));
    let rows = members.range::<PairKey>((start, Bound::Included(key(BlobId::new(u64::MAX)))))?.take(BATCH);
    rows.map(|row| Ok(pair_of(row?.0.value()).1)).collect()
}

impl<T: OwnTables> Iterator for BlobIds<'_, T> {
    type Item = Result<BlobId, BlobError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.found.next(self.tables, |last| fetch(self.tables, &self.which, last));
        next.map_err(BlobError::from).transpose()
    }
}

impl<T: OwnTables> Debug for BlobIds<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("BlobIds").field("which", &self.which).finish_non_exhaustive()
    }
}
