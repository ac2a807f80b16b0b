//! Sparse sets of pages.

use crate::format::PageNumber;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::iter;

/// Pages that one word of a set stands for.
const WORD: u32 = u64::BITS;

/// A set of page numbers: a bit per page, in words of 64 pages, and only words with a page in them are held.
///
/// `u32::MAX` is not a page: a file has at most that many pages, and so all lengths and ends fit in 32 bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PageSet {
    words: BTreeMap<u32, u64>,
    /// Bits set in `words`.
    pages: u32,
}

impl PageSet {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Memory of a word: itself, its number, and its share of a node that is not full.
    pub(crate) const WORD_BYTES: usize = 20;

    /// Words that are held.
    pub(crate) fn words(&self) -> usize {
        self.words.len()
    }

    /// Pages in the set.
    pub(crate) fn len(&self) -> u32 {
        self.pages
    }

    pub(crate) fn contains(&self, page: PageNumber) -> bool {
        self.words.get(&(page / WORD)).is_some_and(|word| word >> (page % WORD) & 1 != 0)
    }

    /// How many of the pages were not in the set before.
    pub(crate) fn insert_range(&mut self, start: PageNumber, len: u32) -> u32 {
        let before = self.pages;
        for (at, mask) in masks(start, start.saturating_add(len)) {
            self.insert_word(at, mask);
        }
        self.pages - before
    }

    fn insert_word(&mut self, at: u32, bits: u64) {
        let word = self.words.entry(at).or_default();
        self.pages += (bits & !*word).count_ones();
        *word |= bits;
    }

    /// How many of the pages were in the set.
    pub(crate) fn remove_range(&mut self, start: PageNumber, len: u32) -> u32 {
        let end = start.saturating_add(len);
        if start >= end {
            return 0;
        }
        let before = self.pages;
        let mut emptied = Vec::new();
        for (at, word) in self.words.range_mut(start / WORD..=(end - 1) / WORD) {
            let bits = *word & mask(*at, start, end);
            self.pages -= bits.count_ones();
            *word &= !bits;
            if *word == 0 {
                emptied.push(*at);
            }
        }
        for at in emptied {
            self.words.remove(&at);
        }
        before - self.pages
    }

    /// Takes in the other set's pages; the cost is that of the smaller set.
    pub(crate) fn union_with(&mut self, mut other: Self) {
        if self.words.len() < other.words.len() {
            core::mem::swap(self, &mut other);
        }
        for (at, bits) in other.words {
            self.insert_word(at, bits);
        }
    }

    /// The pages as maximal `(start, length)` ranges, ascending.
    pub(crate) fn iter_ranges(&self) -> impl Iterator<Item = (PageNumber, u32)> {
        runs(self.words.iter().map(|(at, bits)| (*at, *bits)))
    }

    /// Leaves the set empty and hands out what was in it, as [`iter_ranges`](Self::iter_ranges) does.
    pub(crate) fn drain_ranges(&mut self) -> impl Iterator<Item = (PageNumber, u32)> + use<> {
        runs(core::mem::take(self).words.into_iter())
    }
}

/// The bits of word `at` that stand for pages of `start..end`; the word must hold some of them.
fn mask(at: u32, start: PageNumber, end: PageNumber) -> u64 {
    let from = if at == start / WORD { start % WORD } else { 0 };
    let last = if at == (end - 1) / WORD { (end - 1) % WORD } else { WORD - 1 };
    u64::MAX << from & u64::MAX >> (WORD - 1 - last)
}

/// The words that hold pages of `start..end`, with the bits of those pages.
pub(super) fn masks(start: PageNumber, end: PageNumber) -> impl Iterator<Item = (u32, u64)> {
    let words = if start < end { start / WORD..(end - 1) / WORD + 1 } else { 0..0 };
    words.map(move |at| (at, mask(at, start, end)))
}

/// The set bits of ascending words as maximal `(start, length)` ranges.
pub(super) fn runs(words: impl Iterator<Item = (u32, u64)>) -> impl Iterator<Item = (PageNumber, u32)> {
    let mut pieces = words.flat_map(|(at, bits)| word_runs(at, bits)).peekable();
    iter::from_fn(move || {
        let (start, mut len) = pieces.next()?;
        while let Some((_, more)) = pieces.next_if(|piece| piece.0 == start + len) {
            len += more;
        }
        Some((start, len))
    })
}

fn word_runs(at: u32, mut bits: u64) -> impl Iterator<Item = (PageNumber, u32)> {
    iter::from_fn(move || {
        if bits == 0 {
            return None;
        }
        let first = bits.trailing_zeros();
        let len = (bits >> first).trailing_ones();
        // The carry runs through the lowest run of ones and clears it.
        bits &= bits.wrapping_add(1 << first);
        Some((at * WORD + first, len))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::test_rng::Rng;
    use alloc::collections::BTreeSet;

    fn naive_ranges(model: &BTreeSet<u32>) -> Vec<(u32, u32)> {
        let mut out: Vec<(u32, u32)> = Vec::new();
        for &page in model {
            match out.last_mut() {
                Some((start, len)) if *start + *len == page => *len += 1,
                _ => out.push((page, 1)),
            }
        }
        out
    }

    fn check(set: &PageSet, model: &BTreeSet<u32>) {
        assert_eq!(set.len() as usize, model.len());
        assert_eq!(set.iter_ranges().collect::<Vec<_>>(), naive_ranges(model));
        assert!(set.words.values().all(|word| *word != 0));
    }

    fn random_range(rng: &mut Rng, base: u32) -> (u32, u32) {
        let longest = [1, 3, 70, 300][rng.below(4) as usize];
        (base + rng.below(1500), rng.below(longest + 1))
    }

    #[test]
    fn agrees_with_a_tree_of_pages() {
        let mut rng = Rng(7);
        for base in [0, 1 << 20, u32::MAX - 2000] {
            let (mut set, mut model) = (PageSet::new(), BTreeSet::new());
            for _ in 0..3000 {
                let (start, len) = random_range(&mut rng, base);
                let range = start..start + len;
                assert_eq!(set.contains(start), model.contains(&start));
                let before = model.len();
                if rng.one_in(2) {
                    model.extend(range);
                    assert_eq!(set.insert_range(start, len) as usize, model.len() - before);
                } else {
                    model.retain(|page| !range.contains(page));
                    assert_eq!(set.remove_range(start, len) as usize, before - model.len());
                }
                check(&set, &model);
            }
        }
    }

    #[test]
    fn unions_and_drains() {
        let mut rng = Rng(11);
        for round in 0..200 {
            let (mut sets, mut models) = ([PageSet::new(), PageSet::new()], [BTreeSet::new(), BTreeSet::new()]);
            for step in 0..round {
                let (start, len) = random_range(&mut rng, 0);
                sets[step % 2].insert_range(start, len);
                models[step % 2].extend(start..start + len);
            }
            let [mut set, other] = sets;
            let [mut model, other_model] = models;
            set.union_with(other);
            model.extend(other_model);
            check(&set, &model);
            assert_eq!(set.drain_ranges().collect::<Vec<_>>(), naive_ranges(&model));
            check(&set, &BTreeSet::new());
        }
    }

    #[test]
    fn the_highest_number_is_not_a_page() {
        let mut set = PageSet::new();
        assert_eq!(set.insert_range(u32::MAX, 1), 0);
        assert_eq!(set.insert_range(u32::MAX - 1, 1), 1);
        assert_eq!(set.insert_range(u32::MAX - 3, 100), 2);
        assert_eq!(set.iter_ranges().collect::<Vec<_>>(), [(u32::MAX - 3, 3)]);
        assert_eq!((set.remove_range(u32::MAX - 1, 1), set.remove_range(u32::MAX, 1)), (1, 0));
    }
}
