use alloc::vec;
use alloc::vec::Vec;
use core::iter;

/// A bitmap that finds its set bits in a few steps.
///
/// Bit `i` of a summary is set when word `i` of the level below, the bits themselves or another summary, is not zero.
/// The last summary has one word; there is none when the bits take one word at most.
#[derive(Clone, Debug, Default)]
pub(super) struct BitTree {
    words: Vec<u64>,
    summaries: Vec<Vec<u64>>,
    lowest: Option<u32>,
}

impl BitTree {
    /// Changes how many bits there are. New bits are clear, and those cut off must be clear.
    pub(super) fn resize(&mut self, bits: u32) {
        let mut words = bits.div_ceil(64) as usize;
        self.words.resize(words, 0);
        let mut height = 0;
        while words > 1 {
            words = words.div_ceil(64);
            match self.summaries.get_mut(height) {
                Some(summary) => summary.resize(words, 0),
                None => self.add_summary(words),
            }
            height += 1;
        }
        self.summaries.truncate(height);
    }

    /// Puts a summary on top of what had one word until now, so that no other word can have bits set.
    fn add_summary(&mut self, words: usize) {
        let below = self.summaries.last().unwrap_or(&self.words).first();
        let bit = u64::from(below.is_some_and(|word| *word != 0));
        let mut summary = vec![0; words];
        if let Some(word) = summary.first_mut() {
            *word = bit;
        }
        self.summaries.push(summary);
    }

    pub(super) fn get(&self, bit: u32) -> bool {
        self.words.get((bit / 64) as usize).is_some_and(|word| word >> (bit % 64) & 1 != 0)
    }

    /// The lowest set bit.
    pub(super) fn first(&self) -> Option<u32> {
        self.lowest
    }

    /// Sets a bit, which must be below the number of bits.
    pub(super) fn set(&mut self, bit: u32) {
        self.lowest = Some(self.lowest.map_or(bit, |lowest| lowest.min(bit)));
        let mut at = bit;
        for level in iter::once(&mut self.words).chain(&mut self.summaries) {
            let Some(word) = level.get_mut((at / 64) as usize) else { return };
            let summed_up = *word != 0;
            *word |= 1 << (at % 64);
            if summed_up {
                return;
            }
            at /= 64;
        }
    }

    /// Clears a bit; whether it was set.
    pub(super) fn take(&mut self, bit: u32) -> bool {
        if !self.get(bit) {
            return false;
        }
        let left = self.clear(bit);
        if self.lowest == Some(bit) {
            // Nothing is set before the bit, so what is left in its word comes next.
            self.lowest = left.and_then(|(height, at)| self.descend(height, at));
        }
        true
    }

    /// Clears a bit and those that sum up nothing then; the height at which others are left in its word, and their
    /// first.
    fn clear(&mut self, bit: u32) -> Option<(usize, u32)> {
        let mut at = bit;
        for (height, level) in iter::once(&mut self.words).chain(&mut self.summaries).enumerate() {
            let word = level.get_mut((at / 64) as usize)?;
            *word &= !(1 << (at % 64));
            if *word != 0 {
                return Some((height, at & !63 | word.trailing_zeros()));
            }
            at /= 64;
        }
        None
    }

    /// The lowest set bit of `first..=last`.
    pub(super) fn first_in(&self, first: u32, last: u32) -> Option<u32> {
        if first == last {
            return self.get(first).then_some(first);
        }
        self.first_from(first).filter(|bit| *bit <= last)
    }

    /// The lowest set bit that is not below `bit`.
    fn first_from(&self, bit: u32) -> Option<u32> {
        let mut at = bit;
        for (height, level) in iter::once(&self.words).chain(&self.summaries).enumerate() {
            let word = level.get((at / 64) as usize)?;
            let rest = word & u64::MAX << (at % 64);
            if rest != 0 {
                return self.descend(height, at & !63 | rest.trailing_zeros());
            }
            at = at / 64 + 1;
        }
        None
    }

    /// The lowest set bit below bit `at` of the level at this height.
    fn descend(&self, height: usize, mut at: u32) -> Option<u32> {
        let Some(summaries) = height.checked_sub(1) else { return Some(at) };
        let summaries = self.summaries.get(..summaries)?;
        for level in summaries.iter().rev().chain(iter::once(&self.words)) {
            let word = level.get(at as usize).filter(|word| **word != 0)?;
            at = at * 64 + word.trailing_zeros();
        }
        Some(at)
    }

    /// All set bits, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let mut next = self.first();
        iter::from_fn(move || {
            let bit = next?;
            next = bit.checked_add(1).and_then(|from| self.first_from(from));
            Some(bit)
        })
    }
}
