//! Finding lost pages again: which of the pages whose kept sets were shed are needed, by which snapshots, and which are
//! free. It walks the trees of all snapshots, as recovery walks that of the one snapshot that there is after a crash.

use super::cache::Cache;
use super::page_set::PageSet;
use super::snapshots::{KeptSets, Pair};
use super::space::{Ledger, Lost, Space, pages_of};
use super::{PageWriter, Store};
use crate::error::StorageError;
use crate::format::{PageNumber, Pointer, TxnId};
use alloc::vec::Vec;

/// A snapshot, and what it needs in one class of pages: its root, and the free map that was saved with it.
type Needs = (TxnId, Vec<Pointer>);

/// What a survey begins with. All snapshots in it stay live until it ends, so that none of its pages is freed by
/// others.
struct Survey {
    /// Pages that are allocated, and for no reason that is known without looking at trees.
    unexplained: PageSet,
    /// By class; the snapshots oldest first.
    classes: [(Vec<Needs>, Option<Lost>); 2],
}

/// What a survey found out of one class.
#[derive(Default)]
struct Found {
    kept: KeptSets,
    /// Pages of sets that were too many to be held.
    lost: Option<Lost>,
}

impl Store {
    /// Finds all lost pages if some of them may be free, and frees those that are. `writer` as of
    /// [`find_lost_pages`](Self::find_lost_pages).
    pub(super) fn reclaim(&self, writer: Option<&PageWriter>) -> Result<(), StorageError> {
        if self.space.lock().has_lost_free_pages() {
            self.find_lost_pages(writer)?;
        }
        Ok(())
    }

    /// Finds all lost pages, and frees those that no snapshot needs. `writer` is the live write transaction, if there
    /// is one; the caller holds the writer's gate. Gives all kept pages, of which not all may be remembered as such, if
    /// some were lost.
    pub(crate) fn find_lost_pages(&self, writer: Option<&PageWriter>) -> Result<PageSet, StorageError> {
        let begin = |own: &PageSet| self.space.lock().begin_survey(own, self.page_size());
        let survey = match writer {
            Some(writer) => writer.with_allocated(begin),
            None => begin(&PageSet::new()),
        };
        let Some(mut survey) = survey else { return Ok(PageSet::new()) };
        let found = self.explain(&mut survey);
        self.space.lock().end_survey(survey, found, &self.cache)
    }

    fn explain(&self, survey: &mut Survey) -> Result<([Found; 2], PageSet), StorageError> {
        let mut needed = PageSet::new();
        let Survey { unexplained, classes: [data, system] } = survey;
        let data = self.explain_class(&data.0, unexplained, &mut needed)?;
        let system = self.explain_class(&system.0, unexplained, &mut needed)?;
        Ok(([data, system], needed))
    }

    /// Walks from the newest snapshot, which is the head, to the oldest, passing over pages that were met before. A
    /// page is needed by the snapshot that it is met from, and by no older one than the first that is not older than
    /// it.
    fn explain_class(
        &self,
        snapshots: &[Needs],
        unexplained: &mut PageSet,
        needed: &mut PageSet,
    ) -> Result<Found, StorageError> {
        let (mut met, mut found) = (PageSet::new(), Found::default());
        for (nth, (newest, roots)) in snapshots.iter().enumerate().rev() {
            let is_head = nth + 1 == snapshots.len();
            self.walk_new(roots, &mut met, &mut |pointer, pages| {
                if unexplained.remove_range(pointer.page, pages) == 0 || is_head {
                    return Ok(());
                }
                needed.insert_range(pointer.page, pages);
                let oldest = snapshots.partition_point(|(id, _)| *id < pointer.birth);
                let oldest = snapshots.get(oldest).map_or(*newest, |(id, _)| *id);
                found.keep((oldest, *newest), pointer.page, pages, self);
                Ok(())
            })?;
        }
        Ok(found)
    }
}

impl Found {
    fn keep(&mut self, pair: Pair, start: PageNumber, pages: u32, store: &Store) {
        self.kept.keep(pair, start, pages);
        self.lost = Lost::join(self.lost, Lost::shed(&mut self.kept, store.cache()));
    }
}

impl Space {
    /// `None` if there are no lost pages. `own` are those of the live write transaction.
    fn begin_survey(&mut self, own: &PageSet, page_size: usize) -> Option<Survey> {
        let mut unexplained = self.free_map.as_ref().filter(|_| self.has_lost_pages())?.to_buddy().allocated_set();
        let kept = self.kept_ranges();
        let mirror = self.mirror.map(|page| (page, 1));
        let newest = self.newest_slot().and_then(|slot| slot.saved);
        let saved = newest.map(|run| (run.page, pages_of(&run, page_size)));
        for (start, pages) in kept.iter_ranges().chain(own.iter_ranges()).chain(mirror).chain(saved) {
            unexplained.remove_range(start, pages);
        }
        let older = self.slots.iter().flatten().filter_map(|slot| Some((slot.id, slot.saved?)));
        let older: Vec<_> = older.filter(|(_, saved)| Some(*saved) != newest).collect();
        let mut classes = self.ledgers().map(Ledger::begin_survey);
        for (id, saved) in older {
            let [_, (system, _)] = &mut classes;
            system.iter_mut().filter(|(snapshot, _)| *snapshot == id).for_each(|(_, needs)| needs.push(saved));
        }
        Some(Survey { unexplained, classes })
    }

    fn end_survey(
        &mut self,
        survey: Survey,
        found: Result<([Found; 2], PageSet), StorageError>,
        cache: &Cache,
    ) -> Result<PageSet, StorageError> {
        let Survey { unexplained, classes } = survey;
        let result = found.map(|(found, mut kept)| {
            kept.union_with(self.kept_ranges());
            for (ledger, found) in self.ledgers().into_iter().zip(found) {
                ledger.kept.absorb(found.kept);
                ledger.lose(found.lost);
            }
            unexplained.iter_ranges().for_each(|(start, pages)| self.release(start, pages, cache));
            kept
        });
        let mut freed = Vec::new();
        for (ledger, (snapshots, lost)) in self.ledgers().into_iter().zip(classes) {
            if result.is_err() {
                ledger.lose(lost);
            }
            ledger.drop_snapshots(snapshots.into_iter().map(|(id, _)| id), &mut freed);
        }
        self.release_all(&freed, cache);
        self.keep_budget(cache);
        result
    }
}

impl Ledger {
    /// Takes the lost pages out, and keeps every snapshot live.
    fn begin_survey(&mut self) -> (Vec<Needs>, Option<Lost>) {
        let snapshots: Vec<_> = self.snapshots.iter().collect();
        snapshots.iter().for_each(|(id, root)| self.snapshots.add(*id, *root));
        let needs = snapshots.into_iter().map(|(id, root)| (id, root.into_iter().collect()));
        (needs.collect(), self.lost.take())
    }
}
