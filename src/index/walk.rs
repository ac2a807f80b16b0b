//! Ways along the edges of a graph.
//!
//! A file may be forged so that its edges go round: no walk follows more edges than there are.

use super::graph::{BATCH, Edges, OwnedPlace, Side};
use super::tables::OwnTables;
use crate::error::StorageError;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

/// Which edges a way may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// From a child to its parents.
    Parents,
    /// From a parent to its children.
    Children,
    /// Both.
    Either,
}

impl Follow {
    fn sides(self) -> &'static [Side] {
        match self {
            Self::Parents => &[Side::Parents],
            Self::Children => &[Side::Children],
            Self::Either => &[Side::Parents, Side::Children],
        }
    }
}

fn goes_round() -> StorageError {
    StorageError::corrupted("the edges of a graph go round")
}

/// A thing that a search came to.
struct Reached {
    thing: Vec<u8>,
    hops: u32,
    /// Which of those before it led there.
    from: usize,
}

/// All that is on one side of a thing, depth first: things that wait, each with the place behind which its edges were not
/// followed. A thing to which one edge leads is met once, and is not remembered.
struct Descent {
    side: Side,
    waiting: Vec<(Vec<u8>, Option<OwnedPlace>)>,
    met: BTreeSet<Vec<u8>>,
    edges_left: u64,
}

impl Descent {
    fn new(side: Side, start: &[u8], edges: u64) -> Self {
        Self { side, waiting: vec![(start.to_vec(), None)], met: BTreeSet::new(), edges_left: edges }
    }

    fn has_ended(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Follows some edges, and says whether one leads to `goal`.
    fn step<T: OwnTables>(&mut self, edges: &Edges<'_, T>, goal: &[u8]) -> Result<bool, StorageError> {
        let Some((thing, last)) = self.waiting.pop() else { return Ok(false) };
        let after = last.as_ref().map(|(relation, other)| (*relation, &other[..]));
        let ends = edges.ends(self.side, &thing, after, BATCH)?;
        self.edges_left = self.edges_left.checked_sub(ends.len() as u64).ok_or_else(goes_round)?;
        if let Some(last) = ends.last().filter(|_| ends.len() == BATCH) {
            self.waiting.push((thing, Some(last.clone())));
        }
        for (_, other) in ends {
            if other == goal {
                return Ok(true);
            }
            self.wait_for(edges, other)?;
        }
        Ok(false)
    }

    fn wait_for<T: OwnTables>(&mut self, edges: &Edges<'_, T>, thing: Vec<u8>) -> Result<(), StorageError> {
        let ways = edges.ends(self.side.opposite(), &thing, None, 2)?.len();
        if ways < 2 || self.met.insert(thing.clone()) {
            self.waiting.push((thing, None));
        }
        Ok(())
    }
}

/// Whether ways lead to and through a thing.
pub(crate) trait IsSeen: Fn(&[u8]) -> Result<bool, StorageError> {}

impl<F: Fn(&[u8]) -> Result<bool, StorageError>> IsSeen for F {}

/// They do to and through all.
pub(super) fn all_are_seen(_thing: &[u8]) -> Result<bool, StorageError> {
    Ok(true)
}

impl<T: OwnTables> Edges<'_, T> {
    /// Whether a way leads down from one thing to another, or they are the same. Looked for from both, so that it takes as
    /// long as the shorter search, and no time if the upper one has no children or the lower one no parents.
    pub(super) fn leads(&self, upper: &[u8], lower: &[u8]) -> Result<bool, StorageError> {
        if upper == lower {
            return Ok(true);
        }
        let edges = self.count()?;
        let mut down = Descent::new(Side::Children, upper, edges);
        let mut up = Descent::new(Side::Parents, lower, edges);
        loop {
            for (search, goal) in [(&mut down, lower), (&mut up, upper)] {
                if search.step(self, goal)? {
                    return Ok(true);
                }
                if search.has_ended() {
                    return Ok(false);
                }
            }
        }
    }

    /// Everything within so many hops, the nearest first, each once, with how many hops away it is.
    pub(crate) fn within(
        &self,
        start: &[u8],
        follow: Follow,
        hops: u32,
        is_seen: impl IsSeen,
    ) -> Result<Vec<(Vec<u8>, u32)>, StorageError> {
        let reached = self.search(start, follow, hops, None, is_seen)?.into_iter().skip(1);
        Ok(reached.map(|Reached { thing, hops, .. }| (thing, hops)).collect())
    }

    /// A shortest way, with both of its ends. `None` if none has at most so many hops.
    pub(crate) fn path(
        &self,
        from: &[u8],
        to: &[u8],
        follow: Follow,
        hops: u32,
        is_seen: impl IsSeen,
    ) -> Result<Option<Vec<Vec<u8>>>, StorageError> {
        let mut reached = self.search(from, follow, hops, Some(to), is_seen)?;
        if reached.last().is_none_or(|last| last.thing != to) {
            return Ok(None);
        }
        let mut path = Vec::new();
        while let Some(Reached { thing, from, .. }) = reached.pop() {
            path.push(thing);
            reached.truncate(from + 1);
        }
        path.reverse();
        Ok(Some(path))
    }

    /// Breadth first from `start`, which comes first, and no further than to `goal`.
    fn search(
        &self,
        start: &[u8],
        follow: Follow,
        most: u32,
        goal: Option<&[u8]>,
        is_seen: impl IsSeen,
    ) -> Result<Vec<Reached>, StorageError> {
        let mut met = BTreeSet::from([start.to_vec()]);
        let mut reached = vec![Reached { thing: start.to_vec(), hops: 0, from: 0 }];
        let mut from = 0;
        while let Some(Reached { thing, hops, .. }) =
            reached.get(from).filter(|at| at.hops < most && goal != Some(start))
        {
            let hops = hops + 1;
            for thing in self.neighbours(thing, follow)? {
                if !met.insert(thing.clone()) || !is_seen(&thing)? {
                    continue;
                }
                let found = goal == Some(&thing[..]);
                reached.push(Reached { thing, hops, from });
                if found {
                    return Ok(reached);
                }
            }
            from += 1;
        }
        Ok(reached)
    }

    fn neighbours(&self, thing: &[u8], follow: Follow) -> Result<Vec<Vec<u8>>, StorageError> {
        let mut found = Vec::new();
        for side in follow.sides() {
            found.extend(self.ends(*side, thing, None, usize::MAX)?.into_iter().map(|(_, other)| other));
        }
        Ok(found)
    }

    /// A thing, its first parent, the first parent of that, and so on, so many hops at most.
    pub(crate) fn chain(&self, start: &[u8], hops: u32, is_seen: impl IsSeen) -> Result<Vec<Vec<u8>>, StorageError> {
        let edges = self.count()?;
        let mut chain = Vec::new();
        let mut next = Some(start.to_vec());
        while let Some(thing) = next {
            let followed = chain.len() as u64;
            next = if followed < u64::from(hops) { self.first_parent(&thing, &is_seen)? } else { None };
            if next.is_some() && followed == edges {
                return Err(goes_round());
            }
            chain.push(thing);
        }
        Ok(chain)
    }

    fn first_parent(&self, thing: &[u8], is_seen: impl IsSeen) -> Result<Option<Vec<u8>>, StorageError> {
        let mut last: Option<OwnedPlace> = None;
        loop {
            let after = last.as_ref().map(|(relation, parent)| (*relation, &parent[..]));
            let Some((relation, parent)) = self.ends(Side::Parents, thing, after, 1)?.pop() else { return Ok(None) };
            if is_seen(&parent)? {
                return Ok(Some(parent));
            }
            last = Some((relation, parent));
        }
    }
}
