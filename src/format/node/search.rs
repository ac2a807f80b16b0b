//! Search by heads.

use super::layout::{HEAD, LEAD};
use super::view::Node;
use core::cmp::Ordering;

/// Most heads that the last step of a search counts through.
const WINDOW: usize = 32;

/// The eight bytes of `key` behind the first `skip`, big-endian, padded with zeros.
#[inline]
pub(crate) fn head_after(key: &[u8], skip: usize) -> u64 {
    let rest = key.get(skip..).unwrap_or_default();
    match rest.first_chunk() {
        Some(head) => u64::from_be_bytes(*head),
        None => short_head(rest),
    }
}

/// The head of fewer than eight bytes.
#[inline(never)]
fn short_head(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |head, byte| (head >> 8) | u64::from(*byte) << 56)
}

/// Bytes that `a` and `b` have in common at their start.
#[inline]
pub(super) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The first bytes of a prefix of `len` bytes that `key` starts with, as [`head_after`] reads them.
pub(super) fn prefix_lead(key: &[u8], len: usize) -> u64 {
    head_after(key.get(..len.min(LEAD)).unwrap_or(key), 0)
}

impl Node<'_> {
    /// Whether `key` starts with the page's prefix. Most prefixes are short, and then no record is looked at.
    #[inline]
    fn shares_prefix(&self, key: &[u8]) -> bool {
        let len = self.header.prefix_len;
        let mask = u64::MAX << (64 - 8 * len.min(LEAD));
        if key.len() < len || head_after(key, 0) & mask != self.header.lead {
            return false;
        }
        len <= LEAD || key.starts_with(self.prefix())
    }

    /// The first entry whose head is not less than the sought key's, and whether it is equal. If not, the entry's key
    /// is the first that is not less. In a branch, that is the child that has the key.
    ///
    /// `key_bytes` matters if keys are in byte order, and `key_head` if they are not.
    #[inline]
    pub(crate) fn seek_head(&self, key_bytes: &[u8], key_head: u64) -> (usize, bool) {
        let heads = self.keyed_heads();
        let mut head = key_head;
        if self.header.byte_ordered() {
            let skip = self.header.prefix_len;
            if skip > 0 && !self.shares_prefix(key_bytes) {
                return (if *key_bytes < *self.prefix() { 0 } else { heads.len() }, false);
            }
            head = head_after(key_bytes, skip);
        }
        let first = count_less(heads, head);
        (first, heads.get(first).is_some_and(|found| u64::from_le_bytes(*found) == head))
    }

    /// The rest of a search, among the entries whose heads are equal to that of `first`: the first whose key is not
    /// less than the sought one, and whether it is equal. `compare(i)` is the order of entry `i`'s key and the sought
    /// one.
    #[inline]
    pub(crate) fn seek_key<E>(
        &self,
        first: usize,
        mut compare: impl FnMut(usize) -> Result<Ordering, E>,
    ) -> Result<(usize, bool), E> {
        let heads = self.keyed_heads();
        let head = self.head(first);
        let rest = heads.get(first + 1..).unwrap_or_default();
        let (mut low, mut high) = (first, first + 1);
        // Most runs are of one head, and end here without a search for their end.
        if rest.first().is_some_and(|next| u64::from_le_bytes(*next) == head) {
            high += rest.partition_point(|next| u64::from_le_bytes(*next) <= head);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match compare(middle)? {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok((middle, true)),
                Ordering::Greater => high = middle,
            }
        }
        Ok((low, false))
    }
}

/// How many of the ascending `heads` are less than `head`. If they do not ascend: some number up to their count.
#[inline]
fn count_less(heads: &[[u8; HEAD]], head: u64) -> usize {
    let (mut low, mut len) = (0, heads.len());
    while len > WINDOW {
        let half = len / 2;
        let less = heads.get(low + half - 1).is_some_and(|middle| u64::from_le_bytes(*middle) < head);
        low += half & usize::from(less).wrapping_neg();
        len -= half;
    }
    let rest = heads.get(low..low + len).unwrap_or_default();
    let less = |other: &[u8; HEAD]| usize::from(u64::from_le_bytes(*other) < head);
    // In four sums, which a processor adds up side by side.
    let (fours, last) = rest.as_chunks::<4>();
    let mut sums = [0; 4];
    for [a, b, c, d] in fours {
        let [sum_a, sum_b, sum_c, sum_d] = sums;
        sums = [sum_a + less(a), sum_b + less(b), sum_c + less(c), sum_d + less(d)];
    }
    low + sums.iter().sum::<usize>() + last.iter().map(less).sum::<usize>()
}
