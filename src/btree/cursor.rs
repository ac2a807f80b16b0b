//! Ordered walks from both ends.

use super::get::{Row, Slice};
use super::kind::{RECORD_LINES, TreeKind};
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::Node;
use crate::limits::MAX_TREE_LEVEL;
use crate::pages::cache::{FrameRef, FrameStock, Pin, prefetch};
use crate::pages::{PageRef, Store};
use core::ops::Bound;

/// How many rows ahead of a walk records are asked for, as they do not lie in key order.
const AHEAD: usize = 4;

/// By level, the child that was taken of a branch.
type Path = [u16; MAX_TREE_LEVEL as usize + 1];

/// A gap between two rows: before entry `at` of `leaf`.
#[derive(Clone, Debug)]
struct Gap {
    path: Path,
    leaf: FrameStock,
    at: usize,
    count: usize,
    /// Whether a leaf was left behind: then it is likely that the next one is read to its end as well.
    walking: bool,
}

impl PartialEq for Gap {
    fn eq(&self, other: &Self) -> bool {
        let page = |gap: &Self| gap.leaf.frame().frame().page();
        (page(self), self.at) == (page(other), other.at)
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
        let find = |aim: Option<Aim<'_>>| aim.map(|aim| Gap::find(store, &root, &aim)).transpose();
        Ok(Self { front: find(front)?, back: find(back)?, root: Some(root) })
    }

    /// The next row from the front. After an error there is none.
    #[inline]
    pub(crate) fn next(&mut self, store: &Store) -> Result<Option<Row>, StorageError> {
        let step = self.step_front(store);
        self.settle(step)
    }

    /// The next row from the back. After an error there is none.
    #[inline]
    pub(crate) fn next_back(&mut self, store: &Store) -> Result<Option<Row>, StorageError> {
        let step = self.step_back(store);
        self.settle(step)
    }

    /// The leaf and place of the next row from the front, for trees whose values are not all bytes.
    pub(crate) fn next_place(&mut self, store: &Store) -> Result<Option<(FrameRef, usize)>, StorageError> {
        let place = self.next_front(store).map(|front| {
            front.map(|front| {
                front.at += 1;
                (front.leaf.frame().clone(), front.at - 1)
            })
        });
        self.settle(place)
    }

    #[inline]
    fn settle<T>(&mut self, step: Result<Option<T>, StorageError>) -> Result<Option<T>, StorageError> {
        if !matches!(step, Ok(Some(_))) {
            *self = Self::default();
        }
        step
    }

    #[inline]
    fn step_front(&mut self, store: &Store) -> Result<Option<Row>, StorageError> {
        let Some(front) = self.next_front(store)? else { return Ok(None) };
        let row = front.row(store, front.at, |at, rows| at + rows)?;
        front.at += 1;
        Ok(Some(row))
    }

    /// The gap before the next row from the front.
    #[inline]
    fn next_front(&mut self, store: &Store) -> Result<Option<&mut Gap>, StorageError> {
        let Some(root) = &self.root else { return Ok(None) };
        let front = match &mut self.front {
            Some(front) => front,
            unplaced => unplaced.insert(Gap::find(store, root, &Aim::First)?),
        };
        if self.back.as_ref() == Some(front) {
            return Ok(None);
        }
        if front.at >= front.count && (!front.advance_leaf(store, root)? || self.back.as_ref() == Some(front)) {
            return Ok(None);
        }
        Ok(Some(front))
    }

    #[inline]
    fn step_back(&mut self, store: &Store) -> Result<Option<Row>, StorageError> {
        let Some(root) = &self.root else { return Ok(None) };
        let back = match &mut self.back {
            Some(back) => back,
            unplaced => unplaced.insert(Gap::find(store, root, &Aim::Last)?),
        };
        let front = self.front.as_ref();
        if front == Some(back) || (back.at == 0 && (!back.retreat_leaf(store, root)? || front == Some(back))) {
            return Ok(None);
        }
        back.at -= 1;
        back.row(store, back.at, usize::saturating_sub).map(Some)
    }
}

impl Gap {
    fn find(store: &Store, root: &Pointer, aim: &Aim<'_>) -> Result<Self, StorageError> {
        let pin = aim.pin(store);
        let top = store.view(pin.as_ref(), root)?;
        Self::descend(store, pin.as_ref(), [0; _], top, aim)
    }

    fn descend<'p>(
        store: &Store,
        pin: Option<&'p Pin<'_>>,
        mut path: Path,
        top: PageRef<'p>,
        aim: &Aim<'_>,
    ) -> Result<Self, StorageError> {
        let mut page = top;
        loop {
            let node = Node::new(&page);
            let at = aim.place(store, &node)?;
            if node.is_leaf() {
                let count = node.count();
                return Ok(Self { path, leaf: FrameStock::new(page.hold()), at, count, walking: false });
            }
            if let Some(place) = path.get_mut(usize::from(node.level())) {
                // A page has fewer entries than bytes.
                *place = at as u16;
            }
            page = store.view_child(pin, &node, at)?;
        }
    }

    /// The row of entry `at`; `ahead(at, n)` is the entry `n` rows on. A walk through the leaf needs two references a
    /// row; they are counted in one go.
    #[inline]
    fn row(&mut self, store: &Store, at: usize, ahead: impl Fn(usize, usize) -> usize) -> Result<Row, StorageError> {
        let fresh = self.leaf.stock(2 * self.count);
        let node = Node::new(self.leaf.frame());
        for rows in if fresh { 1..=AHEAD } else { AHEAD..=AHEAD } {
            prefetch(node.record_start(ahead(at, rows)), RECORD_LINES);
        }
        Slice::of_row(store, &mut self.leaf, at)
    }

    /// Moves to the start of the next leaf; false at the end of the tree.
    fn advance_leaf(&mut self, store: &Store, root: &Pointer) -> Result<bool, StorageError> {
        let next = |at: usize, count: usize| at.checked_add(1).filter(|next| *next < count);
        self.turn_to(store, root, next, &Aim::First)
    }

    /// Moves to the end of the previous leaf; false at the start of the tree.
    fn retreat_leaf(&mut self, store: &Store, root: &Pointer) -> Result<bool, StorageError> {
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
            let Some(at) = self.path.get(usize::from(node.level())).filter(|_| !node.is_leaf()) else { break };
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
        let mut path = self.path;
        if let Some(place) = path.get_mut(usize::from(node.level())) {
            *place = sibling as u16;
        }
        let top = store.view_child(Some(&pin), &node, sibling)?;
        let gap = Self::descend(store, Some(&pin), path, top, aim)?;
        if gap.count == 0 {
            return Err(StorageError::corrupted("a leaf beside another has no rows"));
        }
        *self = Self { walking: true, ..gap };
        Ok(true)
    }
}

impl Aim<'_> {
    /// A pin for the descent, as of [`TreeKind::pin`].
    fn pin<'s>(&self, store: &'s Store) -> Option<Pin<'s>> {
        match self {
            Self::Key { kind, .. } => kind.pin(store),
            Self::First | Self::Last => Some(store.cache().pin()),
        }
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
