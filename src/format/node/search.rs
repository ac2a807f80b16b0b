//! Search by heads.

use super::layout::{HEAD, LEAD};
use super::view::Node;
use core::cmp::Ordering;

/// Heads that a search passes over at a time, within one of the blocks that it passes over first.
const STEP: usize = 8;
const BLOCK: usize = 4 * STEP;

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
        let first = count_less(self.heads_room(), heads, head);
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

/// How many of the ascending `heads` are less than `head`, if `room` is the page from the first of them on. If they do
/// not ascend: some number up to their count.
///
/// There is no branch on what a head is, and none on the count for a usual leaf's number of heads: where a processor
/// guesses wrong it finds out when the page arrives from memory, and what it did meanwhile is lost.
#[inline]
pub(super) fn count_less(room: &[[u8; HEAD]], heads: &[[u8; HEAD]], head: u64) -> usize {
    let less = |other: &[u8; HEAD]| u64::from_le_bytes(*other) < head;
    let low = BLOCK * heads.as_chunks::<BLOCK>().0.partition_point(|[.., last]| less(last));
    let Some(block) = room.get(low..).and_then(<[_]>::first_chunk::<BLOCK>) else {
        return heads.partition_point(less);
    };
    let rest = heads.len().saturating_sub(low);
    let passed = |at: usize| STEP * usize::from((at < rest) & less(&block[at % BLOCK]));
    let low = low + passed(STEP - 1) + passed(2 * STEP - 1) + passed(3 * STEP - 1);
    // So many, or as many as there are, are left: with some before them, which are all less, they are `STEP`.
    let low = low.min(heads.len().saturating_sub(STEP));
    let Some([_, _, _, fourth, ..]) = heads.get(low..).and_then(<[_]>::first_chunk::<STEP>) else {
        return heads.partition_point(less);
    };
    let low = low + STEP / 2 * usize::from(less(fourth));
    let Some([a, b, c, d]) = heads.get(low..).and_then(<[_]>::first_chunk) else { return low };
    low + usize::from(less(a)) + usize::from(less(b)) + usize::from(less(c)) + usize::from(less(d))
}
