//! How much room the whole database takes.

use super::catalog::{self, TableId};
use super::write::{State, Tables, WriteTransaction};
use crate::btree::TreeStats;
use crate::error::StorageError;
use crate::format::Pointer;
use crate::pages::Store;

/// How much room the database takes, and what for.
///
/// ```
/// use sapwood::{Database, TableDefinition, backends::InMemoryBackend};
///
/// const RINGS: TableDefinition<u64, u64> = TableDefinition::new("rings");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// txn.open_table(RINGS)?.insert(1, 120)?;
/// let stats = txn.stats()?;
/// assert_eq!((stats.leaf_pages(), stats.stored_bytes(), stats.page_size()), (1, 16, 4096));
/// # Ok::<(), sapwood::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DatabaseStats {
    tree_height: u32,
    allocated_pages: u64,
    leaf_pages: u64,
    branch_pages: u64,
    stored_bytes: u64,
    metadata_bytes: u64,
    fragmented_bytes: u64,
    page_size: usize,
}

impl DatabaseStats {
    /// Pages on the way to a row of the table whose way is longest, those included in which its name is looked up.
    pub fn tree_height(&self) -> u32 {
        self.tree_height
    }

    /// Pages of the file that are in use, by this transaction, by older snapshots or for bookkeeping.
    pub fn allocated_pages(&self) -> u64 {
        self.allocated_pages
    }

    /// [`TableStats::leaf_pages`](crate::TableStats::leaf_pages) of all tables.
    pub fn leaf_pages(&self) -> u64 {
        self.leaf_pages
    }

    /// [`TableStats::branch_pages`](crate::TableStats::branch_pages) of all tables, and the pages in which tables are
    /// looked up.
    pub fn branch_pages(&self) -> u64 {
        self.branch_pages
    }

    /// [`TableStats::stored_bytes`](crate::TableStats::stored_bytes) of all tables.
    pub fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }

    /// [`TableStats::metadata_bytes`](crate::TableStats::metadata_bytes) of all tables, and the names, types and roots
    /// of tables.
    pub fn metadata_bytes(&self) -> u64 {
        self.metadata_bytes
    }

    /// Bytes that hold nothing: of the pages in use by tables, and of all free pages of the file.
    pub fn fragmented_bytes(&self) -> u64 {
        self.fragmented_bytes
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    /// Those of a database without tables.
    fn of_catalog(store: &Store, root: Option<Pointer>) -> Result<Self, StorageError> {
        let catalog = TreeStats::of_tree_alone(store, root)?;
        let free_pages = store.free_pages().unwrap_or(0);
        let page_size = store.page_size();
        Ok(Self {
            tree_height: catalog.height,
            allocated_pages: store.file_pages().saturating_sub(store.geometry().first_page() + free_pages).into(),
            leaf_pages: 0,
            branch_pages: catalog.branch_pages + catalog.leaf_pages,
            stored_bytes: 0,
            metadata_bytes: catalog.metadata_bytes + catalog.stored_bytes,
            fragmented_bytes: catalog.fragmented_bytes + u64::from(free_pages) * page_size as u64,
            page_size,
        })
    }

    fn add_table(&mut self, table: &TreeStats) {
        self.leaf_pages += table.leaf_pages;
        self.branch_pages += table.branch_pages;
        self.stored_bytes += table.stored_bytes;
        self.metadata_bytes += table.metadata_bytes;
        self.fragmented_bytes += table.fragmented_bytes;
    }
}

impl Tables {
    fn stats(&self) -> Result<DatabaseStats, StorageError> {
        self.store().check_open()?;
        let state = self.state.lock();
        let mut stats = DatabaseStats::of_catalog(self.store(), state.catalog.root)?;
        let mut tallest = 0;
        for ((space, name), _) in catalog::tables(self.store(), state.catalog.root)? {
            let [rows, expiries] = self.quiet_roots(&state, TableId { space, name: &name })?;
            let table = TreeStats::of_indexed(self.store(), rows, expiries)?;
            tallest = tallest.max(table.height);
            stats.add_table(&table);
        }
        stats.tree_height += tallest;
        Ok(stats)
    }

    /// The roots of a table's rows and expiries, whose pages nobody changes meanwhile: of an open table, those from
    /// before this transaction.
    fn quiet_roots(&self, state: &State, table: TableId<'_>) -> Result<[Option<Pointer>; 2], StorageError> {
        match state.tables.get(&table.owned()) {
            Some(opened) if opened.is_open() => self.roots_in(self.pages().base().data, table),
            Some(opened) => opened.current_roots(self.pages()),
            None => self.roots_in(state.catalog.root, table),
        }
    }

    fn roots_in(&self, catalog: Option<Pointer>, table: TableId<'_>) -> Result<[Option<Pointer>; 2], StorageError> {
        let entry = catalog::look_up(self.store(), catalog, table)?;
        Ok(entry.map_or([None; 2], |entry| [entry.root, entry.expiries]))
    }
}

impl WriteTransaction {
    /// How much room the database takes, as this transaction has it. Tables that are open count as they were when the
    /// transaction began. Reads every page of every table.
    pub fn stats(&self) -> Result<DatabaseStats, StorageError> {
        self.tables.stats()
    }
}
