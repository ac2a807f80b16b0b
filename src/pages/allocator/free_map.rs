use super::buddy::{Buddy, SpaceError};
use crate::format::PageNumber;
use crate::pages::page_set::{masks, runs};
use alloc::collections::{BTreeMap, BTreeSet};
use core::iter;
use core::ops::Bound::{Excluded, Unbounded};
use core::ops::Range;

/// How soon a page is expected to be free again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heat {
    /// Within a few commits, as many others beside it.
    Hot,
    /// Within a few commits, with a few others.
    Warm,
    Cold,
}

/// Pages of a group, which stand at a multiple of it.
const GROUP: u32 = u64::BITS;
/// Free pages from which on it is worth while to go to a group.
const WORTH_WHILE: u32 = GROUP / 2;
/// Free pages by which an opening knows a hot group; of 64 pages that leaves leave, a few are free.
const KNOWN_AGAIN: u32 = GROUP / 4;
/// Groups that are looked at for one that is worth while.
const LOOK: usize = 64;
/// Free pages beside each other that are looked for where warm pages shall lie.
const STRETCHES: [u32; 4] = [16, 8, 4, 2];
/// The part of the pages in use that hot groups may be: one page of so many.
const SHARE: u32 = 8;

/// The free pages of the file, with hot pages in groups of their own.
///
/// - A hot group is in `open` if some of its pages are free, else in `full`.
/// - A page of a hot group is free exactly if its bit in `open` is set; in `buddy` all of them are allocated.
/// - A group that is wholly free is not hot.
/// - Every other page is free exactly if it is free in `buddy`.
/// - `used` is the number of allocated pages.
/// - No page is refused while a free one is anywhere: what group it is in is a preference.
#[derive(Debug)]
pub(crate) struct FreeMap {
    buddy: Buddy,
    /// The free pages of each hot group that has any, by group number.
    open: BTreeMap<u32, u64>,
    full: BTreeSet<u32>,
    /// The group that hot pages were last taken from.
    current: u32,
    /// What is left of the stretch in which warm pages lie.
    stretch: Range<PageNumber>,
    used: u32,
}

impl FreeMap {
    /// Makes the groups hot of which much is free, though not all: that is how hot pages leave them.
    pub(crate) fn new(mut buddy: Buddy) -> Self {
        let mut open = BTreeMap::new();
        let bitmap = buddy.to_bitmap();
        let used = bitmap.iter().map(|pages| pages.count_ones()).sum();
        // Only whole groups: pages beyond the end are no less clear in the bitmap than free ones.
        let groups = (0..buddy.len() / GROUP).zip(bitmap.as_chunks().0);
        let free = groups.map(|(group, pages)| (group, !u64::from_le_bytes(*pages)));
        let hot = free.filter(|(_, free)| *free != u64::MAX && free.count_ones() >= KNOWN_AGAIN);
        for (group, free) in hot.take((used / GROUP / SHARE) as usize) {
            let mut taken = runs(iter::once((group, free)));
            if taken.all(|(start, pages)| buddy.allocate_range(start, pages)) {
                open.insert(group, free);
            }
        }
        Self { buddy, open, full: BTreeSet::new(), current: 0, stretch: 0..0, used }
    }

    /// The same free pages without groups.
    pub(crate) fn to_buddy(&self) -> Buddy {
        let (buddy, open) = (self.buddy.clone(), self.open.clone());
        let mut plain = Self { buddy, open, full: BTreeSet::new(), current: 0, stretch: 0..0, used: self.used };
        plain.cool(0, u32::MAX);
        plain.buddy
    }

    /// All pages, free or not.
    pub(crate) fn len(&self) -> u32 {
        self.buddy.len()
    }

    pub(crate) fn free_pages(&self) -> u32 {
        self.len().saturating_sub(self.used)
    }

    /// Whether all of these pages are allocated.
    pub(crate) fn are_allocated(&self, start: PageNumber, pages: u32) -> bool {
        let Some(end) = start.checked_add(pages) else { return false };
        let is_free = |(group, mask): (u32, u64)| self.open.get(&group).is_some_and(|free| free & mask != 0);
        (start..end).all(|page| self.buddy.is_allocated(page)) && !masks(start, end).any(is_free)
    }

    /// Takes a run of pages, low in the file; `None` for no pages and when there is no such run.
    pub(crate) fn alloc(&mut self, pages: u32, heat: Heat) -> Option<PageNumber> {
        let page = match heat {
            Heat::Hot if pages == 1 => self.alloc_hot(),
            Heat::Warm if pages == 1 => self.alloc_warm(),
            _ => None,
        };
        let page = page.or_else(|| self.buddy.alloc(pages)).or_else(|| self.alloc_last(pages))?;
        self.used += pages;
        Some(page)
    }

    /// Where the lowest free run of so many pages begins. Makes all groups cold, so that it is the lowest there is.
    pub(crate) fn lowest(&mut self, pages: u32) -> Option<PageNumber> {
        self.cool(0, u32::MAX);
        self.buddy.lowest(pages)
    }

    pub(crate) fn used_pages(&self) -> u32 {
        self.used
    }

    fn alloc_hot(&mut self) -> Option<PageNumber> {
        if self.groups() > 2 * self.most_groups() {
            // So much was freed that the groups would keep the file from being cut.
            self.cool(0, u32::MAX);
        }
        if !self.open.contains_key(&self.current) {
            self.current = self.next_group()?;
        }
        let bit = self.open.get(&self.current)?.trailing_zeros();
        Some(self.take(self.current, bit))
    }

    /// The next page of a stretch: what is written together lies together, and is free again together. A lower stretch is
    /// preferred, so that the end of the file becomes free.
    fn alloc_warm(&mut self) -> Option<PageNumber> {
        let [longest, ..] = STRETCHES;
        if self.buddy.lowest(longest).is_some_and(|start| start < self.stretch.start) {
            self.stretch = 0..0;
        }
        let next = self.stretch.find(|page| self.buddy.allocate_range(*page, 1));
        next.or_else(|| {
            let (start, pages) = STRETCHES.iter().find_map(|pages| Some((self.buddy.lowest(*pages)?, *pages)))?;
            self.stretch = start + 1..start + pages;
            self.buddy.allocate_range(start, 1).then_some(start)
        })
    }

    /// The next group that is worth while, or one that was cold if there is a lower one; else any that is near.
    fn next_group(&mut self) -> Option<u32> {
        let after = self.open.range((Excluded(self.current), Unbounded)).chain(self.open.range(..=self.current));
        let mut near = after.take(LOOK).map(|(group, free)| (*group, free.count_ones()));
        let first = near.clone().next().map(|(group, _)| group);
        let next = near.find(|(_, free)| *free >= WORTH_WHILE).map(|(group, _)| group);
        self.take_group(next.unwrap_or(u32::MAX)).or(next).or(first)
    }

    /// Makes the lowest cold group hot that is wholly free, if it is below `limit`.
    fn take_group(&mut self, limit: u32) -> Option<u32> {
        let lowest = self.buddy.lowest(GROUP)? / GROUP;
        if lowest >= limit || self.groups() >= self.most_groups() {
            return None;
        }
        let group = self.buddy.alloc(GROUP)? / GROUP;
        self.open.insert(group, u64::MAX);
        Some(group)
    }

    fn groups(&self) -> u32 {
        (self.open.len() + self.full.len()) as u32
    }

    fn most_groups(&self) -> u32 {
        self.used / GROUP / SHARE
    }

    /// Takes pages for which `buddy` has no room: what a hot group has left, or what all of them have.
    fn alloc_last(&mut self, pages: u32) -> Option<PageNumber> {
        let (group, free) = self.open.last_key_value().map(|(group, free)| (*group, *free))?;
        if pages == 1 {
            return Some(self.take(group, free.ilog2()));
        }
        self.cool(0, u32::MAX);
        self.buddy.alloc(pages)
    }

    /// Takes a page that is free in a hot group.
    fn take(&mut self, group: u32, bit: u32) -> PageNumber {
        if let Some(free) = self.open.get_mut(&group) {
            *free &= !(1 << bit);
            if *free == 0 {
                self.open.remove(&group);
                self.full.insert(group);
            }
        }
        group * GROUP + bit
    }

    /// Takes exactly these pages, if all of them are free.
    pub(crate) fn allocate_range(&mut self, start: PageNumber, pages: u32) -> bool {
        self.cool(start, start.saturating_add(pages));
        let taken = self.buddy.allocate_range(start, pages);
        self.used += if taken { pages } else { 0 };
        taken
    }

    /// Gives pages back, all of which must be allocated and not reserved. After an error some of them may be free.
    pub(crate) fn free(&mut self, start: PageNumber, pages: u32) -> Result<(), SpaceError> {
        let end = start.checked_add(pages).ok_or(SpaceError::BeyondEnd)?;
        if pages > 0 && start < self.buddy.reserved() {
            return Err(SpaceError::Reserved);
        }
        let groups = start / GROUP..end.div_ceil(GROUP);
        if self.open.range(groups.clone()).next().is_none() && self.full.range(groups).next().is_none() {
            self.buddy.free(start, pages)?;
            self.used -= pages;
            return Ok(());
        }
        for (group, freed) in masks(start, end) {
            if self.full.contains(&group) || self.open.contains_key(&group) {
                self.free_hot(group, freed)?;
            } else {
                self.buddy.free(group * GROUP + freed.trailing_zeros(), freed.count_ones())?;
            }
            self.used -= freed.count_ones();
        }
        Ok(())
    }

    fn free_hot(&mut self, group: u32, freed: u64) -> Result<(), SpaceError> {
        let free = self.open.get(&group).copied().unwrap_or(0);
        let twice = free & freed;
        if twice != 0 {
            return Err(SpaceError::AlreadyFree(group * GROUP + twice.trailing_zeros()));
        }
        self.full.remove(&group);
        if free | freed == u64::MAX {
            self.open.remove(&group);
            return self.buddy.free(group * GROUP, GROUP);
        }
        self.open.insert(group, free | freed);
        Ok(())
    }

    /// Makes the groups cold that have pages of `start..end`.
    fn cool(&mut self, start: PageNumber, end: PageNumber) {
        let groups = start / GROUP..end.div_ceil(GROUP);
        self.full.retain(|group| !groups.contains(group));
        while let Some((&group, &free)) = self.open.range(groups.clone()).next() {
            self.open.remove(&group);
            for (start, pages) in runs(iter::once((group, free))) {
                let freed = self.buddy.free(start, pages);
                debug_assert!(freed.is_ok(), "pages {start}+{pages}: {freed:?}");
            }
        }
    }

    /// Adds pages at the end, free.
    pub(crate) fn grow(&mut self, new_len: u32) {
        self.buddy.grow(new_len);
    }

    /// Cuts pages off the end, all of which must be free.
    pub(crate) fn shrink(&mut self, new_len: u32) -> Result<(), SpaceError> {
        self.cool(new_len, u32::MAX);
        self.buddy.shrink(new_len)
    }

    /// The highest allocated page other than `ignored`.
    pub(crate) fn last_allocated(&self, ignored: Option<PageNumber>) -> Option<PageNumber> {
        self.buddy.last_allocated(|page| ignored == Some(page) || self.is_free_and_hot(page))
    }

    fn is_free_and_hot(&self, page: PageNumber) -> bool {
        self.open.get(&(page / GROUP)).is_some_and(|free| free >> (page % GROUP) & 1 != 0)
    }
}
