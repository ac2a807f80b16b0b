use super::open::OpenTree;
use super::write::Table;
use crate::btree::Loader;
use crate::error::BulkLoadError;
use crate::types::{Key, Value};
use core::borrow::Borrow;

/// Loading many rows.
impl<K: Key + 'static, V: Value + 'static> Table<'_, K, V> {
    /// Inserts rows that come in the order of their keys into an empty table, or behind its last row. Gives their
    /// number.
    ///
    /// All pages but the last are filled as far as rows fit. What is loaded takes no more memory than other changes do:
    /// pages that do not fit the cache are written.
    ///
    /// # Errors
    ///
    /// [`Unordered`](BulkLoadError::Unordered) if a key is not greater than the one before it, or the first not greater
    /// than the table's last, and [`ValueTooLarge`](crate::StorageError::ValueTooLarge) if a key or value is over the
    /// [limit](crate::limits). The table is then as it was, and the transaction goes on. Other errors break it: it can
    /// only be aborted.
    ///
    /// # Panics
    ///
    /// If the iterator panics, the transaction can only be aborted.
    ///
    /// ```
    /// use sapwood::{BulkLoadError, Database, ReadableTableMetadata, TableDefinition, backends::InMemoryBackend};
    ///
    /// const SQUARES: TableDefinition<u64, u64> = TableDefinition::new("squares");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// {
    ///     let mut squares = txn.open_table(SQUARES)?;
    ///     squares.bulk_load((0..1000).map(|number| (number, number * number)))?;
    ///     squares.bulk_load([(1000, 1_000_000)])?;
    ///     let unsorted = squares.bulk_load([(2000, 4_000_000), (1500, 2_250_000)]);
    ///     assert!(matches!(unsorted, Err(BulkLoadError::Unordered { row: 1 })));
    ///     assert_eq!(squares.len()?, 1001);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn bulk_load<'k, 'v, KR, VR>(&mut self, rows: impl IntoIterator<Item = (KR, VR)>) -> Result<u64, BulkLoadError>
    where
        KR: Borrow<K::SelfType<'k>>,
        VR: Borrow<V::SelfType<'v>>,
    {
        let open = self.open();
        open.trusting(|| {
            let mut loader = open.loader()?;
            match load::<K, V, KR, VR>(open, &mut loader, rows) {
                Ok(()) => Ok(open.edit(|editor| editor.adopt(loader))?),
                Err(err) => {
                    loader.discard()?;
                    Err(err)
                }
            }
        })
    }
}

fn load<'k, 'v, K, V, KR, VR>(
    open: OpenTree<'_>,
    loader: &mut Loader<'_>,
    rows: impl IntoIterator<Item = (KR, VR)>,
) -> Result<(), BulkLoadError>
where
    K: Key + 'static,
    V: Value + 'static,
    KR: Borrow<K::SelfType<'k>>,
    VR: Borrow<V::SelfType<'v>>,
{
    for (row, (key, value)) in (0..).zip(rows) {
        open.relieve()?;
        if !loader.push(K::as_bytes(key.borrow()).as_ref(), V::as_bytes(value.borrow()).as_ref())? {
            return Err(BulkLoadError::Unordered { row });
        }
    }
    Ok(())
}
