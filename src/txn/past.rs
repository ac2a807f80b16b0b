//! Rows of past commits, and where they are.
//!
//! The newest are rows of the system tree. When they are more than [`most_recent`], the oldest of them become a tree of
//! their own, one leaf, to which a single row leads. With the next commit that row goes on into a tree of such rows,
//! which stands before all others: so a commit changes one leaf, and now and then one page more, as long as that tree is
//! one page: some 2,500 commits in pages of 4 KiB. A leaf whose commits are let go together is unlinked as a whole; where
//! a sixteenth of what is retained is less than a leaf, what is left of one is written.
//!
//! | key | value |
//! |---|---|
//! | 2 | root of the tree that has the rows of older leaves |
//! | 2, first id | root of a leaf of commits |
//! | 2, id, time | reference to the data root, or no bytes if that was empty |

use super::history::TransactionInfo;
use super::system::{self, COMMIT, Rows, SystemEditor, SystemRow, numbered_key};
use crate::error::StorageError;
use crate::format::{Pointer, TxnId};
use crate::pages::Store;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

/// A past commit.
pub(super) struct Entry {
    pub(super) info: TransactionInfo,
    pub(super) root: Option<Pointer>,
}

/// A row: a commit, or the root of a tree of such rows.
enum PastRow {
    Commit(Entry),
    Tree { key: Vec<u8>, root: Pointer },
}

/// Trees that rows are in, one in the other: the system tree, that of older leaves, a leaf.
const DEEPEST: usize = 3;

/// Commits that stand in the system tree: they take two thirds of a leaf.
fn most_recent(page_size: usize) -> u64 {
    page_size as u64 / 96
}

fn malformed() -> StorageError {
    StorageError::corrupted("a row of the history is malformed")
}

fn commit_key(info: TransactionInfo) -> [u8; 17] {
    numbered_key(COMMIT, [info.transaction_id, info.timestamp_ms])
}

/// The key of the row that leads to a leaf whose first commit has this id.
fn leaf_key(first: TxnId) -> Vec<u8> {
    [COMMIT].into_iter().chain(first.to_be_bytes()).collect()
}

impl PastRow {
    fn of(row: &SystemRow) -> Result<Self, StorageError> {
        if let Some(root) = row.subtree() {
            return Ok(Self::Tree { key: row.whole_key().to_vec(), root });
        }
        let ([id, time], []) = row.key().as_chunks::<8>() else { return Err(malformed()) };
        let info = TransactionInfo { transaction_id: u64::from_be_bytes(*id), timestamp_ms: u64::from_be_bytes(*time) };
        Ok(Self::Commit(Entry { info, root: row.root()? }))
    }
}

/// What rows of the system tree lead to.
struct Trees {
    /// The tree of older leaves.
    older: Option<Pointer>,
    /// The leaf that was made by the newest commit of the history, and the key of its row.
    leaf: Option<(Vec<u8>, Pointer)>,
}

impl Trees {
    /// Their rows come before those of commits.
    fn find(store: &Store, system: Option<Pointer>) -> Result<Self, StorageError> {
        let mut trees = Self { older: None, leaf: None };
        for row in Rows::new(store, system, COMMIT)? {
            match PastRow::of(&row?)? {
                PastRow::Tree { key, root } if key == [COMMIT] => trees.older = Some(root),
                PastRow::Tree { key, root } => trees.leaf = Some((key, root)),
                PastRow::Commit(_) => break,
            }
        }
        Ok(trees)
    }
}

/// Past commits, oldest first.
pub(super) struct Entries<'s> {
    store: &'s Store,
    /// What is left of each tree on the way.
    trees: Vec<Rows<'s>>,
}

impl<'s> Entries<'s> {
    pub(super) fn new(store: &'s Store, system: Option<Pointer>) -> Result<Self, StorageError> {
        Ok(Self { store, trees: vec![Rows::new(store, system, COMMIT)?] })
    }

    /// Those whose id is not less than that.
    pub(super) fn from(store: &'s Store, system: Option<Pointer>, id: TxnId) -> Result<Self, StorageError> {
        let mut entries = Self { store, trees: Vec::new() };
        let (mut root, end) = (system, numbered_key(COMMIT, [id, 0]));
        loop {
            entries.trees.push(Rows::from(store, root, &end, COMMIT)?);
            // The tree before them may have some as well.
            let before = Rows::until(store, root, COMMIT, &end)?.next_back();
            match before.map(|row| PastRow::of(&row?)).transpose()? {
                Some(PastRow::Tree { root: below, .. }) => root = Some(below),
                _ => return Ok(entries),
            }
            entries.check_depth()?;
        }
    }

    fn check_depth(&self) -> Result<(), StorageError> {
        if self.trees.len() < DEEPEST { Ok(()) } else { Err(malformed()) }
    }

    fn advance(&mut self) -> Result<Option<Entry>, StorageError> {
        while let Some(tree) = self.trees.last_mut() {
            match tree.next().map(|row| PastRow::of(&row?)).transpose()? {
                Some(PastRow::Commit(entry)) => return Ok(Some(entry)),
                Some(PastRow::Tree { root, .. }) => {
                    self.check_depth()?;
                    self.trees.push(Rows::new(self.store, Some(root), COMMIT)?);
                }
                None => drop(self.trees.pop()),
            }
        }
        Ok(None)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.trees.clear();
        }
        next.transpose()
    }
}

/// How many there are, if they are more than `limit`.
pub(super) fn count_above(store: &Store, system: Option<Pointer>, limit: u64) -> Result<Option<u64>, StorageError> {
    let Trees { older, leaf } = Trees::find(store, system)?;
    let rows = system::count_of(store, system, COMMIT)?;
    let recent = rows.saturating_sub(u64::from(older.is_some()) + u64::from(leaf.is_some()));
    let beside = recent.saturating_add(leaf.map_or(0, |(_, leaf)| leaf.size));
    // The first leaf has one commit more than others, as no row of a tree was counted beside it.
    let most = older.map_or(0, |older| older.size.saturating_mul(most_recent(store.page_size())).saturating_add(1));
    if most.saturating_add(beside) <= limit {
        return Ok(None);
    }
    let mut count = beside;
    for row in Rows::new(store, older, COMMIT)? {
        count = count.saturating_add(row?.subtree().map_or(0, |leaf| leaf.size));
    }
    Ok(Some(count).filter(|count| *count > limit))
}

/// How many commits the oldest leaves have, as far as they are at most so many. To let go of a part of a leaf is to write
/// what is left of it.
pub(super) fn in_whole_leaves(store: &Store, system: Option<Pointer>, most: u64) -> Result<u64, StorageError> {
    let mut whole: u64 = 0;
    for row in Rows::new(store, Trees::find(store, system)?.older, COMMIT)? {
        match whole.saturating_add(row?.subtree().map_or(0, |leaf| leaf.size)) {
            more if more > most => break,
            more => whole = more,
        }
    }
    Ok(whole)
}

/// Adds the newest commit.
pub(super) fn add(rows: &mut SystemEditor<'_>, entry: &Entry) -> Result<(), StorageError> {
    move_leaf(rows)?;
    rows.refer(&commit_key(entry.info), entry.root)?;
    // One of the rows may be that of older commits.
    let recent = system::count_of(rows.store(), rows.tree.root, COMMIT)?;
    if recent > most_recent(rows.store().page_size()) + 1 { make_leaf(rows) } else { Ok(()) }
}

/// Moves the row of the leaf that was made last behind those of older ones.
fn move_leaf(rows: &mut SystemEditor<'_>) -> Result<(), StorageError> {
    let Trees { older, leaf } = Trees::find(rows.store(), rows.tree.root)?;
    let Some((key, root)) = leaf else { return Ok(()) };
    rows.remove(&key)?;
    rows.change_below(&[COMMIT], older, |older| older.own(&key, root))
}

/// Makes a leaf of the commits in the system tree but the newest.
fn make_leaf(rows: &mut SystemEditor<'_>) -> Result<(), StorageError> {
    let mut recent = Vec::new();
    for row in Rows::new(rows.store(), rows.tree.root, COMMIT)? {
        if let PastRow::Commit(entry) = PastRow::of(&row?)? {
            recent.push(entry);
        }
    }
    recent.pop();
    let Some(first) = recent.first() else { return Ok(()) };
    let key = leaf_key(first.info.transaction_id);
    recent.iter().try_for_each(|entry| rows.remove(&commit_key(entry.info)).map(drop))?;
    rows.change_below(&key, None, |leaf| {
        recent.iter().try_for_each(|entry| leaf.refer(&commit_key(entry.info), entry.root))
    })
}

/// Removes these commits, which ascend.
pub(super) fn remove(rows: &mut SystemEditor<'_>, gone: &[Entry]) -> Result<(), StorageError> {
    let Some(last) = gone.last() else { return Ok(()) };
    let ids: BTreeSet<_> = gone.iter().map(|entry| entry.info.transaction_id).collect();
    remove_below(rows, &ids, &leaf_key(last.info.transaction_id.saturating_add(1)), 1)
}

/// Removes those of one tree, of which no row behind `end` has any.
fn remove_below(
    rows: &mut SystemEditor<'_>,
    ids: &BTreeSet<TxnId>,
    end: &[u8],
    depth: usize,
) -> Result<(), StorageError> {
    let (store, tree) = (rows.store(), rows.tree.root);
    let known: Vec<_> =
        Rows::until(store, tree, COMMIT, end)?.map(|row| PastRow::of(&row?)).collect::<Result<_, _>>()?;
    for row in known {
        match row {
            PastRow::Commit(entry) if ids.contains(&entry.info.transaction_id) => {
                rows.remove(&commit_key(entry.info))?;
            }
            PastRow::Commit(_) => {}
            PastRow::Tree { .. } if depth == DEEPEST => return Err(malformed()),
            PastRow::Tree { key, root } => {
                rows.change_below(&key, Some(root), |below| remove_below(below, ids, end, depth + 1))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Database;
    use crate::backend::InMemoryBackend;

    fn commit(id: TxnId) -> Entry {
        Entry { info: TransactionInfo { transaction_id: id, timestamp_ms: id + 7 }, root: None }
    }

    fn ids_of(entries: Entries<'_>) -> Vec<TxnId> {
        entries.map(|entry| entry.unwrap().info.transaction_id).collect()
    }

    /// Whether these are the commits that the rows are about.
    fn check(store: &Store, system: Option<Pointer>, ids: &[TxnId], last: TxnId) -> Result<(), StorageError> {
        assert_eq!(ids_of(Entries::new(store, system)?), ids);
        for from in [0, last / 2, last.saturating_sub(405), last - 10, last, last + 1] {
            let rest: Vec<_> = ids.iter().copied().filter(|id| *id >= from).collect();
            assert_eq!(ids_of(Entries::from(store, system, from)?), rest, "from {from} of {last}");
        }
        let length = ids.len() as u64;
        assert_eq!(count_above(store, system, length - 1)?, Some(length));
        assert_eq!(count_above(store, system, length)?, None);
        Ok(())
    }

    #[test]
    fn each_is_found_wherever_it_is() {
        let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let txn = db.begin_write().unwrap();
        let mut ids: Vec<TxnId> = Vec::new();
        for id in (10..3000).step_by(10) {
            txn.tables.change_system(|rows| add(rows, &commit(id))).unwrap();
            ids.push(id);
            if id % 500 == 0 {
                // What is left of leaves, and whole leaves.
                let gone: Vec<_> =
                    ids.extract_if(.., |gone| *gone + 1000 < id || *gone % 70 == 0).map(commit).collect();
                txn.tables.change_system(|rows| remove(rows, &gone)).unwrap();
            }
            txn.tables.read_system(|store, system| check(store, system, &ids, id)).unwrap();
        }
        let all: Vec<_> = ids.into_iter().map(commit).collect();
        txn.tables.change_system(|rows| remove(rows, &all)).unwrap();
        let is_empty = |store: &Store, system| Ok(Rows::new(store, system, COMMIT)?.next().is_none());
        assert!(txn.tables.read_system(is_empty).unwrap());
    }

    #[test]
    fn trees_in_trees_come_to_an_end() {
        fn nest(rows: &mut SystemEditor<'_>, depth: usize) -> Result<(), StorageError> {
            if depth == 0 {
                add(rows, &commit(5))
            } else {
                rows.change_below(&[COMMIT], None, |below| nest(below, depth - 1))
            }
        }
        for (depth, fits) in [(2, true), (3, false), (30, false)] {
            let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
            let txn = db.begin_write().unwrap();
            txn.tables.change_system(|rows| nest(rows, depth)).unwrap();
            let read = |store: &Store, system, from| Entries::from(store, system, from)?.collect::<Result<Vec<_>, _>>();
            for from in [0, 5] {
                let found = txn.tables.read_system(|store, system| read(store, system, from));
                assert_eq!(found.is_ok(), fits, "{depth} deep, from {from}");
            }
            let removed = txn.tables.change_system(|rows| remove(rows, &[commit(5)]));
            assert_eq!(removed.is_ok(), fits);
        }
    }
}
