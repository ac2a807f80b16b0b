//! Gaps between rows: how one is found, and how it goes on to the next leaf.

use super::get::{Row, Slice};
use super::kind::{RECORD_LINES, TreeKind};
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::Node;
use crate::limits::MAX_TREE_LEVEL;
use crate::pages::cache::{FrameRef, FrameStock, Pin, prefetch};
use crate::pages::{PageRef, Store};
use core::cmp::Ordering;
use core::ops::Bound;

/// How many rows ahead of a walk records are asked for, as they do not lie in key order.
const AHEAD: usize = 4;

/// By level, the child that was taken of a branch.
pub(super) type Route = [u16; MAX_TREE_LEVEL as usize + 1];

pub(super) const FIRST_LEAF: Route = [0; MAX_TREE_LEVEL as usize + 1];

/// A gap between two rows: before entry `at` of `leaf`.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    pub(super) route: Route,
    pub(super) leaf: FrameStock,
    pub(super) at: usize,
    pub(super) count: usize,
    /// Whether a leaf was left behind: then it is likely that the next one is read to its end as well.
    walking: bool,
}

impl PartialEq for Gap {
    fn eq(&self, other: &Self) -> bool {
        let page = |gap: &Self| gap.leaf.frame().frame().page();
        (page(self), self.at) == (page(other), other.at)
    }
}

/// A side of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

impl Side {
    /// The entry on this side of the gap before entry `at` of `count`.
    pub(super) fn entry(self, at: usize, count: usize) -> Option<usize> {
        match self {
            Self::Before => at.checked_sub(1),
            Self::After => Some(at).filter(|at| *at < count),
        }
    }

    pub(crate) fn opposite(self) -> Self {
        match self {
            Self::Before => Self::After,
            Self::After => Self::Before,
        }
    }

    /// How a key on this side compares with one in the gap.
    pub(crate) fn order(self) -> Ordering {
        match self {
            Self::Before => Ordering::Less,
            Self::After => Ordering::Greater,
        }
    }
}

/// Where a descent goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim<'k> {
    First,
    Last,
    /// The gap before the first key that is not less, or, if `after`, greater.
    Key {
        kind: &'k TreeKind,
        key: &'k [u8],
        after: bool,
    },
}

impl Gap {
    pub(super) fn new(route: Route, leaf: FrameRef, at: usize) -> Self {
        let count = Node::new(&leaf).count();
        Self { route, leaf: FrameStock::new(leaf), at, count, walking: false }
    }

    pub(super) fn find(store: &Store, root: &Pointer, aim: &Aim<'_>) -> Result<Self, StorageError> {
        Ok(Self::find_row(store, root, aim)?.0)
    }

    /// The gap, and whether the row after it is the one with the key that was looked for.
    pub(super) fn find_row(store: &Store, root: &Pointer, aim: &Aim<'_>) -> Result<(Self, bool), StorageError> {
        let pin = aim.pin(store);
        let top = store.view(pin.as_ref(), root)?;
        Self::descend(store, pin.as_ref(), FIRST_LEAF, top, aim)
    }

    fn descend<'p>(
        store: &Store,
        pin: Option<&'p Pin<'_>>,
        mut route: Route,
        top: PageRef<'p>,
        aim: &Aim<'_>,
    ) -> Result<(Self, bool), StorageError> {
        let mut page = top;
        loop {
            let node = Node::new(&page);
            let (at, hit) = aim.place(store, &node)?;
            if node.is_leaf() {
                return Ok((Self::new(route, page.hold(), at), hit));
            }
            if let Some(place) = route.get_mut(usize::from(node.level())) {
                // A page has fewer entries than bytes.
                *place = at as u16;
            }
            page = store.view_child(pin, &node, at)?;
        }
    }

    /// The row of entry `at`; `ahead(at, n)` is the entry `n` rows on. A walk through the leaf needs two references a
    /// row; they are counted in one go.
    #[inline]
    pub(super) fn row(
        &mut self,
        store: &Store,
        at: usize,
        ahead: impl Fn(usize, usize) -> usize,
    ) -> Result<Row, StorageError> {
        let fresh = self.leaf.stock(2 * self.count);
        let node = Node::new(self.leaf.frame());
        for rows in if fresh { 1..=AHEAD } else { AHEAD..=AHEAD } {
            prefetch(node.record_start(ahead(at, rows)), RECORD_LINES);
        }
        Slice::of_row(store, &mut self.leaf, at)
    }

    /// Whether there is a row on that side. If it is in another leaf, the gap moves there: it is the same one.
    pub(super) fn settle(&mut self, store: &Store, root: &Pointer, side: Side) -> Result<bool, StorageError> {
        match side {
            _ if side.entry(self.at, self.count).is_some() => Ok(true),
            Side::Before => self.retreat_leaf(store, root),
            Side::After => self.advance_leaf(store, root),
        }
    }

    /// Goes past the row on that side, which is in this leaf.
    pub(super) fn pass(&mut self, side: Side) {
        match side {
            Side::Before => self.at = self.at.saturating_sub(1),
            Side::After => self.at += 1,
        }
    }

    /// Moves to where `aim` says if that is a place between rows of this leaf, and says whether it is.
    pub(super) fn seek_within(&mut self, store: &Store, aim: &Aim<'_>) -> Result<bool, StorageError> {
        if !matches!(aim, Aim::Key { .. }) {
            return Ok(false);
        }
        let (at, _) = aim.place(store, &Node::new(self.leaf.frame()))?;
        let within = 0 < at && at < self.count;
        if within {
            self.at = at;
        }
        Ok(within)
    }

    /// Moves to the start of the next leaf; false at the end of the tree.
    pub(super) fn advance_leaf(&mut self, store: &Store, root: &Pointer) -> Result<bool, StorageError> {
        let next = |at: usize, count: usize| at.checked_add(1).filter(|next| *next < count);
        self.turn_to(store, root, next, &Aim::First)
    }

    /// Moves to the end of the previous leaf; false at the start of the tree.
    pub(super) fn retreat_leaf(&mut self, store: &Store, root: &Pointer) -> Result<bool, StorageError> {
        self.turn_to(store, root, |at, _| at.checked_sub(1), &Aim::Last)
    }

    /// Walks down the path again, to the lowest branch that has a child `beside` the one that was taken.
    #[inline(never)]
    fn turn_to(
        &mut self,
        store: &Store,
        root: &Pointer,
        beside: impl Fn(usize, usize) -> Option<usize>,
        aim: &Aim<'_>,
    ) -> Result<bool, StorageError> {
        let pin = store.cache().pin();
        let mut turn = None;
        let mut next = Some(store.view(Some(&pin), root)?);
        while let Some(page) = next.take() {
            let node = Node::new(&page);
            let Some(at) = self.route.get(usize::from(node.level())).filter(|_| !node.is_leaf()) else { break };
            let at = usize::from(*at);
            if node.level() > 1 {
                next = Some(store.view_child(Some(&pin), &node, at)?);
            }
            let Some(sibling) = beside(at, node.count()) else { continue };
            if let (1, true, Some(after)) = (node.level(), self.walking, beside(sibling, node.count())) {
                store.prefetch(&pin, &node.child(after));
            }
            turn = Some((page, sibling));
        }
        let Some((branch, sibling)) = turn else { return Ok(false) };
        let node = Node::new(&branch);
        let mut route = self.route;
        if let Some(place) = route.get_mut(usize::from(node.level())) {
            *place = sibling as u16;
        }
        let top = store.view_child(Some(&pin), &node, sibling)?;
        let (gap, _) = Self::descend(store, Some(&pin), route, top, aim)?;
        if gap.count == 0 {
            return Err(StorageError::corrupted("a leaf beside another has no rows"));
        }
        *self = Self { walking: true, ..gap };
        Ok(true)
    }
}

impl<'k> Aim<'k> {
    /// The gap before the first key that a lower bound admits.
    pub(crate) fn lower(kind: &'k TreeKind, bound: Bound<&'k [u8]>) -> Self {
        match bound {
            Bound::Unbounded => Self::First,
            Bound::Included(key) => Self::Key { kind, key, after: false },
            Bound::Excluded(key) => Self::Key { kind, key, after: true },
        }
    }

    /// The gap after the last key that an upper bound admits.
    pub(crate) fn upper(kind: &'k TreeKind, bound: Bound<&'k [u8]>) -> Self {
        match bound {
            Bound::Unbounded => Self::Last,
            Bound::Included(key) => Self::Key { kind, key, after: true },
            Bound::Excluded(key) => Self::Key { kind, key, after: false },
        }
    }

    /// A pin for the descent, as of [`TreeKind::pin`].
    fn pin<'s>(&self, store: &'s Store) -> Option<Pin<'s>> {
        match self {
            Self::Key { kind, .. } => kind.pin(store),
            Self::First | Self::Last => Some(store.cache().pin()),
        }
    }

    /// The entry of `node` to take, and, in a leaf, whether its key is the one that is looked for.
    pub(super) fn place(&self, store: &Store, node: &Node<'_>) -> Result<(usize, bool), StorageError> {
        match self {
            Self::First => Ok((0, false)),
            Self::Last if node.is_leaf() => Ok((node.count(), false)),
            Self::Last => Ok((node.count().saturating_sub(1), false)),
            Self::Key { kind, key, after } => {
                let (at, equal) = kind.search(store, node, &kind.sought(key))?;
                let past = equal && *after && node.is_leaf();
                Ok((at + usize::from(past), equal && !past))
            }
        }
    }
}
