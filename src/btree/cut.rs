//! Removing all rows of a range: what lies wholly in it is unlinked without a look at its rows.
//!
//! The ways to the two ends of the range part in one branch, the fork. Left of the cut are the pages of the one way
//! below it, right of it those of the other; all that is between goes. Then pages that face each other across the cut
//! are put together from the fork down, as far as they fit.

use super::count::count;
use super::cursor::RangeCursor;
use super::edit::{Path, Step, TreeEditor};
use super::gap::{Aim, Gap, Route};
use super::get::child_of;
use super::insert::NewKey;
use super::kind::TreeKind;
use super::remove::Target;
use super::sink::{Change, ChangeSink};
use crate::error::StorageError;
use crate::format::Pointer;
use crate::pages::{Store, damaged};
use alloc::vec::Vec;
use core::ops::{Bound, Range};

/// A gap, as the way to it: the child that is taken by level, and the place in the leaf.
struct End {
    route: Route,
    at: usize,
}

/// The ways to both ends of a range.
struct Ends {
    lower: End,
    upper: End,
}

impl<S: ChangeSink> TreeEditor<'_, S> {
    /// Removes the rows of a range, and says how many there were.
    pub(crate) fn delete_range(&mut self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<u64, StorageError> {
        let rows = count(self.writer.store(), &self.tree.kind, self.tree.root, start, end)?;
        // Asked first, so that a miss copies no page.
        if rows > 0 {
            self.guarded(|editor| {
                editor.tell_cut(start, end, rows)?;
                editor.cut(start, end)
            })?;
            self.tree.rows = self.tree.rows.saturating_sub(rows);
        }
        Ok(rows)
    }

    fn tell_cut(&mut self, start: Bound<&[u8]>, end: Bound<&[u8]>, rows: u64) -> Result<(), StorageError> {
        if !self.sink.hears_rows() {
            return self.sink.range_removed(start, end, rows);
        }
        self.tell_rows(self.tree.root, start, end, |key, value| Change { key, old: Some(value), new: None })
    }

    /// Tells the sink of each row of a range, under this root.
    pub(super) fn tell_rows(
        &mut self,
        root: Option<Pointer>,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        change: for<'c> fn(&'c [u8], &'c [u8]) -> Change<'c>,
    ) -> Result<(), StorageError> {
        let store = self.writer.store();
        let mut rows = RangeCursor::new(store, &self.tree.kind, root, start, end)?;
        while let Some((key, value)) = rows.next(store)? {
            self.sink.changed(change(&key, &value))?;
        }
        Ok(())
    }

    fn cut(&mut self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<(), StorageError> {
        let Some(root) = self.tree.root else { return Ok(()) };
        let ends = Ends::find(self.writer.store(), &self.tree.kind, &root, start, end)?;
        let (mut way, _) = self.descend(&ends.lower.target())?;
        let Some(fork) = way.iter().position(|step| ends.part_in(step)) else {
            return self.cut_leaf_of(way, &ends);
        };
        let left = way.split_off(fork + 1);
        self.cut_fork(way, left, &ends)
    }

    /// Both ends are in the leaf that `way` leads to.
    fn cut_leaf_of(&mut self, mut way: Path, ends: &Ends) -> Result<(), StorageError> {
        if let Some(leaf) = way.last_mut() {
            self.drop_rows(leaf, ends.lower.at..ends.upper.at)?;
        }
        self.mend(way)
    }

    /// The ends part in the branch that `stem` leads to; `left` is the rest of the way to the lower one.
    fn cut_fork(&mut self, mut stem: Path, mut left: Path, ends: &Ends) -> Result<(), StorageError> {
        let Some(fork) = stem.last_mut() else { return Ok(()) };
        let lower = fork.at;
        let mut gone = Vec::new();
        fork.at = ends.upper.place(fork);
        if fork.at < lower {
            return Err(damaged(&fork.pointer, "has its keys out of order"));
        }
        let top = self.enter(fork)?;
        let (mut right, _) = self.descend_from(top, &ends.upper.target(), 0)?;
        self.drop_children(fork, lower + 1..fork.at, &mut gone)?;
        for step in &mut left {
            let beyond = step.at + usize::from(!step.node().is_leaf())..step.node().count();
            self.drop_entries(step, beyond, &mut gone)?;
        }
        for step in &mut right {
            self.drop_entries(step, 0..step.at, &mut gone)?;
            step.at = 0;
        }
        // One walk, so that a page that a damaged file links twice is noticed.
        self.writer.unlink_tree(gone, self.tree.class)?;
        fork.at = lower + 1;
        self.trim(fork, &mut right)?;
        fork.at = lower;
        self.trim(fork, &mut left)?;
        self.close_cut(stem, left, right)
    }

    fn drop_entries(&self, step: &mut Step, range: Range<usize>, gone: &mut Vec<Pointer>) -> Result<(), StorageError> {
        if step.node().is_leaf() { self.drop_rows(step, range) } else { self.drop_children(step, range, gone) }
    }

    fn drop_rows(&self, leaf: &mut Step, range: Range<usize>) -> Result<(), StorageError> {
        for at in range.rev() {
            leaf.at = at;
            self.take_row(leaf)?;
        }
        Ok(())
    }

    /// Takes children out of a branch; what they lead to is to be unlinked. The way goes on through the same child.
    fn drop_children(&self, step: &mut Step, range: Range<usize>, gone: &mut Vec<Pointer>) -> Result<(), StorageError> {
        let taken = step.at;
        for at in range.rev() {
            gone.push(child_of(&step.node(), at, &step.pointer)?);
            step.at = at;
            self.drop_child(step)?;
        }
        step.at = taken;
        Ok(())
    }

    /// Takes away pages at the end of a way below `fork` of which nothing is left.
    fn trim(&self, fork: &mut Step, below: &mut Path) -> Result<(), StorageError> {
        while below.last().is_some_and(|page| page.node().count() == 0) {
            if let Some(page) = below.pop() {
                self.unlink(&page.pointer);
            }
            self.drop_child(below.last_mut().unwrap_or(fork))?;
        }
        Ok(())
    }

    /// Puts pages together across the cut, which is behind the child that the last step of `stem` takes, if anything of
    /// `left` is left, and before it if not.
    fn close_cut(&mut self, mut stem: Path, left: Path, right: Path) -> Result<(), StorageError> {
        let (mut left, mut right) = (left.into_iter(), right.into_iter());
        let (mut low, mut high) = (left.next(), right.next());
        while let (Some(fork), Some(one), Some(other)) = (stem.last_mut(), &low, &high) {
            let joint = NewKey::moved(&fork.node(), fork.at);
            if !self.fit_together(one, &other.pointer, &joint)? {
                break;
            }
            let (left_at, behind, neighbour) = (fork.at, one.node().count(), other.pointer);
            high = right.next();
            let Some(one) = core::mem::replace(&mut low, left.next()) else { break };
            self.join(fork, one, left_at, neighbour, &joint)?;
            let mut joined = self.enter(fork)?;
            joined.at = behind.saturating_sub(usize::from(low.is_some()));
            stem.push(joined);
        }
        let (low, high) = (low.into_iter().chain(left).collect(), high.into_iter().chain(right).collect());
        self.mend_cut(stem, low, high)
    }

    /// Mends the pages on both sides of the cut that were not put together, and then those above.
    fn mend_cut(&mut self, mut stem: Path, left: Path, right: Path) -> Result<(), StorageError> {
        let Some(fork) = stem.last_mut() else { return Ok(()) };
        let lower = fork.at;
        let left = self.mend_below(left)?.map(|page| page.pointer);
        if let Some(page) = self.mend_below(right)? {
            fork.at = lower + usize::from(left.is_some());
            self.mend_child(fork, page)?;
        }
        if left.is_some() {
            fork.at = lower;
            let page = self.enter(fork)?;
            self.mend_child(fork, page)?;
        }
        self.mend_all(stem)
    }

    /// Mends all but the first page of a way, and gives that.
    fn mend_below(&mut self, mut way: Path) -> Result<Option<Step>, StorageError> {
        while let Some(page) = way.pop() {
            match way.last_mut() {
                Some(parent) => self.mend_child(parent, page)?,
                None => return Ok(Some(page)),
            };
        }
        Ok(None)
    }

    /// Mends every page of a way that begins at the root.
    pub(super) fn mend_all(&mut self, way: Path) -> Result<(), StorageError> {
        match self.mend_below(way)? {
            Some(root) => self.mend_root(root),
            None => Ok(()),
        }
    }
}

impl Ends {
    fn find(
        store: &Store,
        kind: &TreeKind,
        root: &Pointer,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> Result<Self, StorageError> {
        let find = |aim: Aim<'_>| Gap::find(store, root, &aim).map(|gap| End { route: gap.route, at: gap.at });
        Ok(Self { lower: find(Aim::lower(kind, start))?, upper: find(Aim::upper(kind, end))? })
    }

    /// Whether the ways to both ends take different children of this page, which is on the lower one's.
    fn part_in(&self, step: &Step) -> bool {
        !step.node().is_leaf() && self.upper.place(step) != step.at
    }
}

impl End {
    fn target(&self) -> Target<'_> {
        Target::At { route: &self.route, at: self.at }
    }

    /// The child of a branch that the way takes.
    fn place(&self, branch: &Step) -> usize {
        self.route.get(usize::from(branch.pointer.level)).map_or(0, |at| usize::from(*at))
    }
}
