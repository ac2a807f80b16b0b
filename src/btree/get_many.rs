//! The values of many keys in one walk: level by level, with one look at each page that is on the way to any of them.
//! Which pages come next is known, so that memory is asked for ahead.

use super::get::{Slice, child_of};
use super::kind::{Sought, TreeKind};
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::Node;
use crate::pages::Store;
use crate::pages::cache::FrameRef;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// How many pages ahead of the walk are asked for: it is known which it will come to.
const AHEAD: usize = 4;

/// A key that is looked for, and its place among those that were asked for.
type Wanted<'k> = (Sought<'k>, usize);

/// The values of `keys`, in their order.
pub(crate) fn get_many(
    store: &Store,
    kind: &TreeKind,
    root: &Pointer,
    keys: &[&[u8]],
) -> Result<Vec<Option<Slice>>, StorageError> {
    let sought = keys.iter().map(|key| Sought { bytes: key, head: (kind.key.head)(key) });
    let mut wanted: Vec<Wanted<'_>> = sought.zip(0..).collect();
    let order = |one: &Sought<'_>, other: &Sought<'_>| {
        one.head.cmp(&other.head).then_with(|| (kind.key.compare)(one.bytes, other.bytes))
    };
    wanted.sort_unstable_by(|(one, _), (other, _)| order(one, other));
    let mut batch = Batch { store, kind, found: vec![None; keys.len()] };
    let mut level = vec![(*root, &wanted[..])];
    while level.first().is_some_and(|(page, _)| page.level > 0) {
        level = batch.descend(&level)?;
    }
    batch.take_all(&level)?;
    Ok(batch.found)
}

/// A page, and the sorted keys that belong below it.
type Part<'w> = (Pointer, &'w [Wanted<'w>]);

struct Batch<'b> {
    store: &'b Store,
    kind: &'b TreeKind,
    found: Vec<Option<Slice>>,
}

impl Batch<'_> {
    /// From the pages of one level, and the keys that belong below each, to those of the level below.
    fn descend<'w>(&self, level: &[Part<'w>]) -> Result<Vec<Part<'w>>, StorageError> {
        let mut below = Vec::with_capacity(level.len());
        for (nth, (pointer, wanted)) in level.iter().enumerate() {
            let page = self.load(level, nth, pointer)?;
            let (node, mut wanted) = (Node::new(&page), *wanted);
            while let Some((sought, _)) = wanted.first() {
                let (at, _) = self.kind.search(self.store, &node, sought)?;
                let (part, rest) = wanted.split_at(self.share(&page, at, wanted)?);
                below.push((child_of(&node, at, pointer)?, part));
                wanted = rest;
            }
        }
        Ok(below)
    }

    fn take_all(&mut self, leaves: &[Part<'_>]) -> Result<(), StorageError> {
        for (nth, (pointer, wanted)) in leaves.iter().enumerate() {
            let leaf = self.load(leaves, nth, pointer)?;
            self.take(&leaf, &Node::new(&leaf), wanted)?;
        }
        Ok(())
    }

    /// Page `nth` of a level, which `pointer` names. Asks for those that come after it.
    fn load(&self, level: &[Part<'_>], nth: usize, pointer: &Pointer) -> Result<FrameRef, StorageError> {
        let nearest = if nth == 0 { 1 } else { nth + AHEAD };
        for (page, _) in level.get(nearest..level.len().min(nth + AHEAD + 1)).unwrap_or_default() {
            self.store.prefetch_start(page);
        }
        self.store.load(pointer)
    }

    fn take(&mut self, leaf: &FrameRef, node: &Node<'_>, wanted: &[Wanted<'_>]) -> Result<(), StorageError> {
        for (sought, place) in wanted {
            let (at, hit) = self.kind.search(self.store, node, sought)?;
            if let (true, Some(found)) = (hit, self.found.get_mut(*place)) {
                *found = Some(Slice::of_value(self.store, leaf, at)?);
            }
        }
        Ok(())
    }

    /// How many of the sorted keys belong below child `at` of a branch, to which the first does. Looks at one more key
    /// if they are few, and at the logarithm of their number if they are many.
    fn share(&self, branch: &FrameRef, at: usize, wanted: &[Wanted<'_>]) -> Result<usize, StorageError> {
        if wanted.len() < 2 || at + 1 >= Node::new(branch).count() {
            return Ok(wanted.len());
        }
        let separator = Slice::of_key(self.store, branch, at)?;
        let belongs = |(sought, _): &Wanted<'_>| (self.kind.key.compare)(sought.bytes, &separator) != Ordering::Greater;
        let mut most = 1;
        while wanted.get(most).is_some_and(belongs) {
            most *= 2;
        }
        let near = wanted.get(..most).unwrap_or(wanted);
        // The first key belongs here, whatever a damaged page says: so the walk goes on.
        Ok(near.partition_point(belongs).max(1))
    }
}
