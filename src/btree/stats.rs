//! How many pages a tree takes, and what fills them.

use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::{KeyPart, Node, PointerRole, ValuePart, ValueSet};
use crate::pages::Store;
use alloc::vec::Vec;

/// What a tree takes.
///
/// - `stored_bytes + metadata_bytes + fragmented_bytes` is the size of all its pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TreeStats {
    /// Pages on the way from the root to a row: 0 without rows.
    pub(crate) height: u32,
    /// Leaves, and pages of runs that leaves point to.
    pub(crate) leaf_pages: u64,
    /// Branches, and pages of runs that branches point to.
    pub(crate) branch_pages: u64,
    /// Keys and values of rows.
    pub(crate) stored_bytes: u64,
    /// What else is in use: separators, heads, slots, pointers, headers.
    pub(crate) metadata_bytes: u64,
    /// What no row would miss.
    pub(crate) fragmented_bytes: u64,
}

impl TreeStats {
    /// Reads every page of the tree and of the trees that its rows own, and no run.
    pub(crate) fn of(store: &Store, root: Option<Pointer>) -> Result<Self, StorageError> {
        Self::of_pages(store, root, true)
    }

    /// The same of a tree with an index, which is all bookkeeping.
    pub(crate) fn of_indexed(
        store: &Store,
        root: Option<Pointer>,
        index: Option<Pointer>,
    ) -> Result<Self, StorageError> {
        let (rows, index) = (Self::of(store, root)?, Self::of(store, index)?);
        Ok(Self {
            leaf_pages: rows.leaf_pages + index.leaf_pages,
            branch_pages: rows.branch_pages + index.branch_pages,
            metadata_bytes: rows.metadata_bytes + index.metadata_bytes + index.stored_bytes,
            fragmented_bytes: rows.fragmented_bytes + index.fragmented_bytes,
            ..rows
        })
    }

    /// The same without the trees that rows own.
    pub(crate) fn of_tree_alone(store: &Store, root: Option<Pointer>) -> Result<Self, StorageError> {
        Self::of_pages(store, root, false)
    }

    fn of_pages(store: &Store, root: Option<Pointer>, subtrees: bool) -> Result<Self, StorageError> {
        let mut stats = Self::default();
        let mut waiting: Vec<(Pointer, u32)> = root.map(|root| (root, 1)).into_iter().collect();
        while let Some((pointer, depth)) = waiting.pop() {
            stats.height = stats.height.max(depth);
            let page = store.visit(&pointer, &mut |role, child| {
                match role {
                    PointerRole::Subtree if !subtrees => {}
                    PointerRole::Child | PointerRole::Subtree => waiting.push((child, depth + 1)),
                    PointerRole::Reference => {}
                    PointerRole::Key | PointerRole::Value => {
                        let pages = store.extent_of(&child)?;
                        stats.add_run(&child, pages, pointer.level, store.page_size());
                    }
                }
                Ok(())
            })?;
            stats.add_page(&Node::new(&page), store.page_size());
            stats.check(store)?;
        }
        Ok(stats)
    }

    fn add_page(&mut self, node: &Node<'_>, page_size: usize) {
        let free = node.free_space();
        let stored = if node.is_leaf() { inline_bytes(node) } else { 0 };
        *self.pages_of(node.level()) += 1;
        self.stored_bytes += stored as u64;
        self.fragmented_bytes += free as u64;
        self.metadata_bytes += page_size.saturating_sub(free + stored) as u64;
    }

    /// A run is filed under the page that points to it: a leaf's is a key or value, a branch's a separator.
    fn add_run(&mut self, run: &Pointer, pages: u32, level: u8, page_size: usize) {
        *self.pages_of(level) += u64::from(pages);
        let used = if level == 0 { &mut self.stored_bytes } else { &mut self.metadata_bytes };
        *used += run.size;
        self.fragmented_bytes += (u64::from(pages) * page_size as u64).saturating_sub(run.size);
    }

    fn pages_of(&mut self, level: u8) -> &mut u64 {
        if level == 0 { &mut self.leaf_pages } else { &mut self.branch_pages }
    }

    /// An error if there are more pages than the file has: in a damaged file many ways may lead to one page, more than
    /// there is time for.
    fn check(&self, store: &Store) -> Result<(), StorageError> {
        if self.leaf_pages + self.branch_pages > u64::from(store.file_pages()) {
            return Err(StorageError::corrupted("a tree links some pages more than once"));
        }
        Ok(())
    }
}

/// Bytes of keys and values that lie in a leaf.
fn inline_bytes(leaf: &Node<'_>) -> usize {
    let row = |at| {
        let key = if let KeyPart::Inline(key) = leaf.key(at) { key.len() } else { 0 };
        let value = match (leaf.value(at), leaf.sets()) {
            (ValuePart::Inline(set), Some(form)) => ValueSet::new(set, form).members().map(<[u8]>::len).sum(),
            (ValuePart::Inline(value) | ValuePart::Packed(_, value), None) => value.len(),
            _ => 0,
        };
        key + value
    };
    (0..leaf.count()).map(row).sum()
}
