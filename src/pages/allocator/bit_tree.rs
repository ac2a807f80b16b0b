use alloc::vec;
use alloc::vec::Vec;

/// A bitmap that finds its set bits in a few steps.
///
/// Level 0 holds the bits; bit `i` of a level above is set when word `i` of the level below is not zero. The top level
/// has one word (none when there are no bits), and a search reads at most two words of each level.
#[derive(Clone, Debug, Default)]
pub(super) struct BitTree {
    levels: Vec<Vec<u64>>,
}

impl BitTree {
    /// Changes how many bits there are. New bits are clear, and those cut off must be clear.
    pub(super) fn resize(&mut self, bits: u32) {
        let mut words = bits.div_ceil(64) as usize;
        let mut height = 1;
        self.resize_level(0, words);
        while words > 1 {
            words = words.div_ceil(64);
            self.resize_level(height, words);
            height += 1;
        }
        self.levels.truncate(height);
    }

    fn resize_level(&mut self, height: usize, words: usize) {
        if let Some(level) = self.levels.get_mut(height) {
            level.resize(words, 0);
            return;
        }
        // What was the top had one word, so it alone can have bits set.
        let below = self.levels.last().and_then(|level| level.first());
        let summary = u64::from(below.is_some_and(|word| *word != 0));
        let mut level = vec![0; words];
        if let Some(word) = level.first_mut() {
            *word = summary;
        }
        self.levels.push(level);
    }

    pub(super) fn get(&self, bit: u32) -> bool {
        let word = self.levels.first().and_then(|level| level.get((bit / 64) as usize));
        word.is_some_and(|word| word >> (bit % 64) & 1 != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.levels.last().and_then(|level| level.first()).is_none_or(|word| *word == 0)
    }

    /// Sets a bit, which must be below the number of bits.
    pub(super) fn set(&mut self, bit: u32) {
        let mut at = bit;
        for level in &mut self.levels {
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
        let was_set = self.get(bit);
        if was_set {
            self.clear(bit);
        }
        was_set
    }

    fn clear(&mut self, bit: u32) {
        let mut at = bit;
        for level in &mut self.levels {
            let Some(word) = level.get_mut((at / 64) as usize) else { return };
            *word &= !(1 << (at % 64));
            if *word != 0 {
                return;
            }
            at /= 64;
        }
    }

    /// The lowest set bit.
    pub(super) fn first(&self) -> Option<u32> {
        if self.is_empty() { None } else { self.descend(self.levels.len(), 0) }
    }

    /// The lowest set bit of `first..=last`.
    pub(super) fn first_in(&self, first: u32, last: u32) -> Option<u32> {
        if first == last {
            return self.get(first).then_some(first);
        }
        self.first_from(first).filter(|bit| *bit <= last)
    }

    fn first_from(&self, bit: u32) -> Option<u32> {
        let mut at = bit;
        for (height, level) in self.levels.iter().enumerate() {
            let word = level.get((at / 64) as usize)?;
            let rest = word & u64::MAX << (at % 64);
            if rest != 0 {
                return self.descend(height, at & !63 | rest.trailing_zeros());
            }
            at = at / 64 + 1;
        }
        None
    }

    /// The lowest set bit under word `at` of the highest level below `height`.
    fn descend(&self, height: usize, mut at: u32) -> Option<u32> {
        for level in self.levels.get(..height)?.iter().rev() {
            let word = level.get(at as usize).filter(|word| **word != 0)?;
            at = at * 64 + word.trailing_zeros();
        }
        Some(at)
    }

    /// All set bits, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let mut next = self.first();
        core::iter::from_fn(move || {
            let bit = next?;
            next = bit.checked_add(1).and_then(|from| self.first_from(from));
            Some(bit)
        })
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.levels.iter().map(|level| level.capacity() * size_of::<u64>() + size_of::<Vec<u64>>()).sum()
    }
}
