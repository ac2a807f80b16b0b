//! Ordered walks from both ends.

use super::get::{Row, Slice, child_of};
use super::kind::{RECORD_LINES, TreeKind};
use crate::error::StorageError;
use crate::format::node::Node;
use crate::format::{PageNumber, Pointer};
use crate::pages::Store;
use crate::pages::cache::{FrameRef, FrameStock, prefetch};
use alloc::vec::Vec;
use core::ops::Bound;

/// How many rows ahead of a walk records are asked for.
const AHEAD: usize = 3;

/// A gap between two rows: before entry `at` of `leaf`.
#[derive(Clone, Debug)]
struct Gap {
    /// The branches above, and the child that was taken of each.
    path: Vec<(Pointer, usize)>,
    leaf: FrameStock,
    page: PageNumber,
    at: usize,
    count: usize,
}

impl PartialEq for Gap {
    fn eq(&self, other: &Self) -> bool {
        (self.page, self.at) == (other.page, other.at)
    }
}

/// The rows of a range that neither end has come to yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct RangeCursor {
    /// `None` while it is the start of the tree and nobody has asked for the first row.
    front: Option<Gap>,
    /// `None` while it is the end of the tree and nobody has asked for the last row.
    back: Option<Gap>,
    /// `None` if no rows are left.
    root: Option<Pointer>,
}

/// Where a descent goes.
enum Aim<'k> {
    First,
    Last,
    /// The gap before the first key that is not less, or, if `after`, greater.
    Key {
        kind: &'k TreeKind,
        key: &'k [u8],
        after: bool,
    },
}

impl RangeCursor {
    pub(crate) fn new(
        store: &Store,
        kind: &TreeKind,
        root: Option<Pointer>,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> Result<Self, StorageError> {
        let Some(root) = root.filter(|_| !is_empty(kind, start, end)) else { return Ok(Self::default()) };
        let front = match start {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(Aim::Key { kind, key, after: false }),
            Bound::Excluded(key) => Some(Aim::Key { kind, key, after: true }),
        };
        let back = match end {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(Aim::Key { kind, key, after: true }),
            Bound::Excluded(key) => Some(Aim::Key { kind, key, after: false }),
        };
        let find = |aim: Option<Aim<'_>>| aim.map(|aim| Gap::find(store, root, &aim)).transpose();
        Ok(Self { front: find(front)?, back: find(back)?, root: Some(root) })
    }

    /// The next row from the front. After an error there is none.
    pub(crate) fn next(&mut self, store: &Store) -> Result<Option<Row>, StorageError> {
        let step = self.step_front(store);
        self.settle(step)
    }

    /// The next row from the back. After an error there is none.
    pub(crate) fn next_back(&mut self, store: &Store) -> Result<Option<Row>, StorageError> {
        let step = self.step_back(store);
        self.settle(step)
    }

    fn settle(&mut self, step: Result<Option<Row>, StorageError>) -> Result<Option<Row>, StorageError> {
        if !matches!(step, Ok(Some(_))) {
            *self = Self::default();
        }
        step
    }

    fn step_front(&mut self, store: &Store) -> Result<Option<Row>, StorageError> {
        let Some(root) = self.root else { return Ok(None) };
        let front = match &mut self.front {
            Some(front) => front,
            unplaced => unplaced.insert(Gap::find(store, root, &Aim::First)?),
        };
        if self.back.as_ref() == Some(front) {
            return Ok(None);
        }
        if front.at >= front.count && (!front.advance_leaf(store)? || self.back.as_ref() == Some(front)) {
            return Ok(None);
        }
        let row = front.row(store, front.at, front.at + AHEAD)?;
        front.at += 1;
        Ok(Some(row))
    }

    fn step_back(&mut self, store: &Store) -> Result<Option<Row>, StorageError> {
        let Some(root) = self.root else { return Ok(None) };
        let back = match &mut self.back {
            Some(back) => back,
            unplaced => unplaced.insert(Gap::find(store, root, &Aim::Last)?),
        };
        let front = self.front.as_ref();
        if front == Some(back) || (back.at == 0 && (!back.retreat_leaf(store)? || front == Some(back))) {
            return Ok(None);
        }
        back.at -= 1;
        back.row(store, back.at, back.at.saturating_sub(AHEAD)).map(Some)
    }
}

impl Gap {
    fn find(store: &Store, root: Pointer, aim: &Aim<'_>) -> Result<Self, StorageError> {
        Self::descend(store, Vec::with_capacity(usize::from(root.level)), root, aim)
    }

    fn descend(
        store: &Store,
        mut path: Vec<(Pointer, usize)>,
        mut pointer: Pointer,
        aim: &Aim<'_>,
    ) -> Result<Self, StorageError> {
        if aim.is_opaque() {
            return Self::descend_held(store, path, pointer, aim);
        }
        let pin = store.cache().pin();
        loop {
            let page = store.load_pinned(&pin, &pointer)?;
            let node = Node::new(&page);
            let at = aim.place(store, &node)?;
            if node.is_leaf() {
                return Ok(Self::at_leaf(path, page.hold(&pin), pointer.page, at));
            }
            path.push((pointer, at));
            pointer = child_of(&node, at, &pointer)?;
        }
    }

    fn descend_held(
        store: &Store,
        mut path: Vec<(Pointer, usize)>,
        mut pointer: Pointer,
        aim: &Aim<'_>,
    ) -> Result<Self, StorageError> {
        loop {
            let frame = store.load(&pointer)?;
            let node = Node::new(&frame);
            let at = aim.place(store, &node)?;
            if node.is_leaf() {
                return Ok(Self::at_leaf(path, frame, pointer.page, at));
            }
            path.push((pointer, at));
            pointer = child_of(&node, at, &pointer)?;
        }
    }

    fn at_leaf(path: Vec<(Pointer, usize)>, leaf: FrameRef, page: PageNumber, at: usize) -> Self {
        let count = Node::new(&leaf).count();
        Self { path, leaf: FrameStock::new(leaf), page, at, count }
    }

    /// The row of entry `at`. A walk through the leaf needs two references a row; they are counted in one go.
    /// The record of row `ahead` is asked for meanwhile, as records do not lie in key order.
    fn row(&mut self, store: &Store, at: usize, ahead: usize) -> Result<Row, StorageError> {
        self.leaf.stock(2 * self.count);
        prefetch(Node::new(self.leaf.frame()).key_lead(ahead), RECORD_LINES);
        Slice::of_row(store, &mut self.leaf, at)
    }

    /// Moves to the start of the next leaf; false at the end of the tree.
    fn advance_leaf(&mut self, store: &Store) -> Result<bool, StorageError> {
        let next = |at: usize, count: usize| at.checked_add(1).filter(|next| *next < count);
        self.turn_to(store, next, &Aim::First)
    }

    /// Moves to the end of the previous leaf; false at the start of the tree.
    fn retreat_leaf(&mut self, store: &Store) -> Result<bool, StorageError> {
        self.turn_to(store, |at, _| at.checked_sub(1), &Aim::Last)
    }

    fn turn_to(
        &mut self,
        store: &Store,
        beside: impl Fn(usize, usize) -> Option<usize>,
        aim: &Aim<'_>,
    ) -> Result<bool, StorageError> {
        while let Some((pointer, at)) = self.path.pop() {
            let pin = store.cache().pin();
            let page = store.load_pinned(&pin, &pointer)?;
            let node = Node::new(&page);
            if let Some(sibling) = beside(at, node.count()) {
                let child = child_of(&node, sibling, &pointer)?;
                if let Some(after) = beside(sibling, node.count()) {
                    store.prefetch(&pin, &node.child(after));
                }
                let mut path = core::mem::take(&mut self.path);
                path.push((pointer, sibling));
                *self = Self::descend(store, path, child, aim)?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Aim<'_> {
    /// Whether finding the place may run a user's code, for which no frame may be pinned.
    fn is_opaque(&self) -> bool {
        matches!(self, Self::Key { kind, .. } if kind.is_opaque())
    }

    fn place(&self, store: &Store, node: &Node<'_>) -> Result<usize, StorageError> {
        match self {
            Self::First => Ok(0),
            Self::Last if node.is_leaf() => Ok(node.count()),
            Self::Last => Ok(node.count().saturating_sub(1)),
            Self::Key { kind, key, after } => {
                let (at, equal) = kind.search(store, node, &kind.sought(key))?;
                Ok(at + usize::from(equal && *after && node.is_leaf()))
            }
        }
    }
}

/// Whether no key can lie between the bounds. Bounds in the wrong order hold nothing.
fn is_empty(kind: &TreeKind, start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    let (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) = (start, end)
    else {
        return false;
    };
    match (kind.key.compare)(low, high) {
        core::cmp::Ordering::Less => false,
        core::cmp::Ordering::Equal => !matches!((start, end), (Bound::Included(_), Bound::Included(_))),
        core::cmp::Ordering::Greater => true,
    }
}
