use super::read::meta;
use super::record::{BlobId, BlobMeta, Record};
use super::tables::{BLOBS, Records};
use crate::error::{BlobError, DiffError};
use crate::index::Part;
use crate::table::TypedDiffRows;
use crate::txn::{ReadTransaction, TableId};
use core::fmt::{Debug, Formatter};

/// A blob that one state of a database has and the other has not, or has with another content, or of which something else is
/// known. Tags are not compared.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BlobDiff {
    /// The blob.
    pub id: BlobId,
    /// What was known of it; `None` if it was not there.
    pub old: Option<BlobMeta>,
    /// What is known of it; `None` if it is not there any more.
    pub new: Option<BlobMeta>,
    /// Whether its content differs, as far as is known without reading it: the same bytes written anew count as other ones.
    pub content_differs: bool,
}

/// The blobs in which two states of a database differ, in the order of their ids. After an error it gives no more.
///
/// [`ReadTransaction::diff_blobs`] makes it.
pub struct BlobDiffs<'t> {
    rows: TypedDiffRows<u64, &'static [u8]>,
    older: &'t ReadTransaction,
    newer: &'t ReadTransaction,
}

impl BlobDiffs<'_> {
    fn step(&mut self) -> Result<Option<BlobDiff>, BlobError> {
        while let Some(row) = self.rows.next().transpose()? {
            let diff = self.diff(BlobId::new(row.key()), row.old_value(), row.new_value())?;
            // A namespace that was made anew has another number.
            if diff.content_differs || diff.old != diff.new {
                return Ok(Some(diff));
            }
        }
        Ok(None)
    }

    fn diff(&self, id: BlobId, old: Option<&[u8]>, new: Option<&[u8]>) -> Result<BlobDiff, BlobError> {
        let record = |bytes: Option<&[u8]>| bytes.map(Record::decode).transpose();
        let (old, new) = (record(old)?, record(new)?);
        let content = |record: &Option<Record>| record.as_ref().map(|record| record.content.clone());
        let content_differs = content(&old) != content(&new);
        let old = old.map(|record| meta(self.older, id, record)).transpose()?;
        let new = new.map(|record| meta(self.newer, id, record)).transpose()?;
        Ok(BlobDiff { id, old, new, content_differs })
    }
}

impl Iterator for BlobDiffs<'_> {
    type Item = Result<BlobDiff, BlobError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

impl Debug for BlobDiffs<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("BlobDiffs").finish_non_exhaustive()
    }
}

impl ReadTransaction {
    /// The blobs in which what `newer` sees differs from what this transaction sees. Reads what differs, not what both share.
    /// One that has expired and was not purged is there.
    ///
    /// ```
    /// use sapwood::{ContentType, Database, ReadableDatabase, StoreOptions, backends::InMemoryBackend};
    ///
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let older = db.begin_read()?;
    /// let txn = db.begin_write()?;
    /// let id = txn.store_blob(b"acorn", ContentType::TextPlain, "seed", StoreOptions::new())?;
    /// txn.commit()?;
    /// let newer = db.begin_read()?;
    /// let came = older.diff_blobs(&newer)?.next().unwrap()?;
    /// assert_eq!((came.id, came.old, came.new.unwrap().label.as_str()), (id, None, "seed"));
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`OtherDatabase`](DiffError::OtherDatabase) if the transactions are of two databases.
    pub fn diff_blobs<'t>(&'t self, newer: &'t Self) -> Result<BlobDiffs<'t>, DiffError> {
        let rows = self.diff_own(newer, TableId { space: Records::SPACE, name: BLOBS })?;
        Ok(BlobDiffs { rows, older: self, newer })
    }
}
