//! The whole-file checker.

use super::close::commit_again;
use super::integrity::check_strictly;
use crate::error::StorageError;
use crate::format::Pointer;
use crate::pages::page_set::PageSet;
use crate::pages::{Accounting, CommitMode, Store, pages_of};
use crate::sync::Arc;
use alloc::format;

/// What a check of the whole file counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Pages that the newest commit links.
    pub linked_pages: u64,
    /// Pages that only older snapshots need.
    pub kept_pages: u64,
    /// Pages that can be used again.
    pub free_pages: u64,
}

pub(super) fn verify(store: &Arc<Store>) -> Result<VerifyReport, StorageError> {
    store.check_usable()?;
    store.prepare_writes()?;
    let books = books(store)?;
    let linked = check_strictly(store)?.linked;
    check_books(store, &books, &linked)
}

fn books(store: &Store) -> Result<Accounting, StorageError> {
    let kept = store.find_lost_pages(None)?;
    let mut books = store.accounting().ok_or_else(|| StorageError::corrupted("the free map is missing"))?;
    // Some of these may have lost their last reader since, and be free.
    let pages = kept.iter_ranges().flat_map(|(start, pages)| start..start + pages);
    for page in pages.filter(|page| books.allocated.contains(*page)) {
        books.kept.insert_range(page, 1);
    }
    Ok(books)
}

/// Checks the file itself, not what is in memory of it, and puts right what does not cost rows. Gives whether all was
/// well. There must be no transaction.
pub(super) fn check_integrity(store: &Arc<Store>) -> Result<bool, StorageError> {
    store.check_usable()?;
    let mut mended = store.mend()?;
    // Commits without durability are not in the file yet.
    commit_again(store, CommitMode::default())?;
    store.cache().clear_clean();
    let books = books(store)?;
    let linked = check_strictly(store)?.linked;
    if check_books(store, &books, &linked).is_err() {
        store.rebuild_books()?;
        verify(store)?;
        mended = true;
    }
    Ok(!mended)
}

/// Each page is exactly one of linked, kept, mirror and free.
fn check_books(store: &Store, books: &Accounting, linked: &PageSet) -> Result<VerifyReport, StorageError> {
    let mut all = PageSet::new();
    let mirror = books.mirror.map(|page| (page, 1));
    let run = |run: Pointer| (run.page, pages_of(&run, store.page_size()));
    let saved = books.saved.map(run);
    for (start, pages) in linked.iter_ranges().chain(books.kept.iter_ranges()).chain(mirror).chain(saved) {
        if all.insert_range(start, pages) != pages {
            return Err(StorageError::corrupted(format!("pages {start}+{pages} are linked, kept or mirror at once")));
        }
    }
    for (what, from, to) in [("lost", &books.allocated, &all), ("used but free", &all, &books.allocated)] {
        for (start, pages) in from.iter_ranges() {
            if let Some(page) = (start..start + pages).find(|page| !to.contains(*page)) {
                return Err(StorageError::corrupted(format!("page {page} is {what}")));
            }
        }
    }
    let usable = books.file_pages.saturating_sub(store.geometry().first_page());
    Ok(VerifyReport {
        linked_pages: u64::from(linked.len()),
        kept_pages: u64::from(books.kept.len()),
        free_pages: u64::from(usable.saturating_sub(all.len())),
    })
}
