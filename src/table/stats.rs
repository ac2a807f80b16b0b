use crate::btree::TreeStats;
use crate::error::StorageError;
use crate::format::Pointer;
use crate::pages::Store;

/// How much room a table takes, and what for.
///
/// `stored_bytes + metadata_bytes + fragmented_bytes` is the size of all its pages.
///
/// ```
/// use sapwood::{Database, ReadableTableMetadata, TableDefinition, backends::InMemoryBackend};
///
/// const RINGS: TableDefinition<u64, u64> = TableDefinition::new("rings");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// let mut rings = txn.open_table(RINGS)?;
/// rings.insert(1, 120)?;
/// let stats = rings.stats()?;
/// assert_eq!((stats.tree_height(), stats.leaf_pages(), stats.branch_pages()), (1, 1, 0));
/// assert_eq!(stats.stored_bytes(), 16);
/// # Ok::<(), sapwood::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TableStats(TreeStats);

impl TableStats {
    /// Of the trees of a table's rows and of its index.
    pub(super) fn of(store: &Store, root: Option<Pointer>, index: Option<Pointer>) -> Result<Self, StorageError> {
        TreeStats::of_indexed(store, root, index).map(Self)
    }

    /// Pages on the way to a row: 0 without rows.
    pub fn tree_height(&self) -> u32 {
        self.0.height
    }

    /// Pages of rows. Keys and values that are too long for a page count with the pages that they have to themselves.
    pub fn leaf_pages(&self) -> u64 {
        self.0.leaf_pages
    }

    /// Pages that lead to others. Separators that are too long for a page count with the pages that they have to
    /// themselves.
    pub fn branch_pages(&self) -> u64 {
        self.0.branch_pages
    }

    /// Bytes of the keys and values of all rows.
    pub fn stored_bytes(&self) -> u64 {
        self.0.stored_bytes
    }

    /// Bytes of everything else that is in use: separators, pointers, page headers.
    pub fn metadata_bytes(&self) -> u64 {
        self.0.metadata_bytes
    }

    /// Bytes of the table's pages that hold nothing.
    pub fn fragmented_bytes(&self) -> u64 {
        self.0.fragmented_bytes
    }
}
