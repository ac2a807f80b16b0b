//! Compaction: copying what lies high in the file to free pages below.
//!
//! What only the head links can be moved, by copying it as any change does: the parent names the copy, so parents are
//! copied with their children, up to the root. What other snapshots need stays where it is, beside the copy. On the way
//! neighbours that fit one page become one: where rows were removed here and there, pages are many and thin.

use super::load::damaged;
use super::space::{Class, Commit, pages_of};
use super::walk::{check_place, may_hold_pointers};
use super::{CommitMode, PageMut, PageWriter, Store};
use crate::error::StorageError;
use crate::format::node::{KeyPart, Node, NodeMut, PageOp, PointerRole, ValuePart, capacity};
use crate::format::{PageNumber, Pointer};
use crate::limits::MAX_TREE_LEVEL;
use crate::sync::Arc;
use alloc::vec::Vec;

/// Pages from a root to what is farthest below it: the catalog's, a table's, a set's.
pub(super) const DEEPEST: usize = 4 * (MAX_TREE_LEVEL as usize + 1);

/// Branches above leaves whose leaves one step looks at, beside those that the step before ended in. Those are as many
/// as trees are within each other there: were they counted, a step might come to no others.
const LOOKS: u32 = 1;

/// A walk over all trees that moves pages, some at a time.
#[derive(Debug, Default)]
pub(crate) struct Mover {
    /// Pages from here on are to be moved.
    end: PageNumber,
    /// Pages that may still be moved in this step.
    left: u32,
    /// Branches above leaves whose leaves may still be looked at in this step: a step that finds nothing to move must
    /// end too.
    looks: u32,
    /// Pages that were moved or merged since the walk began, without those that only name them.
    pub(crate) moved: u64,
    /// Where the walk is: which root, and which entry of each page on the way down. Trees may have changed since: then
    /// some pages are passed over, until the next walk.
    place: Vec<usize>,
    /// Whether the walk is still on the way down to where it was.
    resumes: bool,
}

impl Mover {
    /// The entry at which to go on of a page that is `depth` pages down.
    fn first_entry(&self, depth: usize) -> usize {
        if self.resumes { self.place.get(depth).copied().unwrap_or(0) } else { 0 }
    }

    fn enter(&mut self, depth: usize, at: usize) {
        if self.resumes && self.place.get(depth) == Some(&at) {
            return;
        }
        self.resumes = false;
        self.place.truncate(depth);
        self.place.push(at);
    }

    /// The leaves of a branch were looked at.
    fn look(&mut self) {
        self.looks = self.looks.saturating_sub(1);
        if self.looks == 0 {
            self.left = 0;
        }
    }

    /// So many pages were moved, or merged with others.
    fn count(&mut self, pages: u32) {
        self.left = self.left.saturating_sub(pages);
        self.moved += u64::from(pages);
    }

    /// Whether the walk has come to its end.
    pub(crate) fn is_done(&self) -> bool {
        self.place.is_empty()
    }
}

impl Store {
    /// A walk that moves to the front of the file what would not be there if nothing were free. The caller holds the
    /// writer's gate.
    pub(crate) fn begin_move(&self) -> Result<Mover, StorageError> {
        self.reclaim(None)?;
        let space = self.space.lock();
        Ok(Mover { end: space.free_map.as_ref().map_or(0, |map| map.used_pages()), ..Mover::default() })
    }

    /// Moves at most `most` pages, and what names them, in a commit of its own. The caller holds the writer's gate.
    pub(crate) fn move_some(self: &Arc<Self>, mover: &mut Mover, most: u32) -> Result<(), StorageError> {
        (mover.left, mover.looks) = (most, LOOKS);
        mover.resumes = !mover.place.is_empty();
        let mut writer = PageWriter::begin(self.clone())?;
        writer.pack();
        let moved = writer.move_roots(mover);
        if moved.is_err() {
            writer.abort();
        }
        moved
    }
}

/// A separator that moves down between the children of two branches that become one, and its head.
pub(super) type Joint<'a> = (u64, KeyPart<'a>);

/// What becomes of an entry of a page.
enum Change {
    Key(Pointer),
    Value(ValuePart<'static>),
    Child(Pointer),
}

impl PageWriter {
    fn move_roots(&self, mover: &mut Mover) -> Result<(), StorageError> {
        let base @ Commit { data, system, .. } = *self.base();
        let before = mover.moved;
        let mut roots = [(data, Class::Data), (system, Class::System)];
        for (nth, (root, class)) in roots.iter_mut().enumerate().skip(mover.first_entry(0)) {
            mover.enter(0, nth);
            if let Some(pointer) = root {
                *root = Some(self.relocate_tree(pointer, *class, mover, 1)?);
            }
            if mover.left == 0 {
                break;
            }
        }
        if mover.left > 0 {
            mover.place.clear();
        }
        if mover.moved == before {
            self.abort();
            return Ok(());
        }
        let [data, system] = roots.map(|(root, _)| root.map(|root| self.seal(&root)).transpose());
        let mode = CommitMode { durable: true, ..CommitMode::default() };
        self.commit(Commit { data: data?, system: system?, ..base }, mode)
    }

    /// The root of the tree under `root` after pages of it were moved and merged.
    fn relocate_tree(
        &self,
        root: &Pointer,
        class: Class,
        mover: &mut Mover,
        depth: usize,
    ) -> Result<Pointer, StorageError> {
        let mut root = self.relocate(root, class, mover, depth)?;
        while root.level > 0 && self.owns(&root) {
            let page = self.store().load(&root)?;
            let node = Node::new(&page);
            if node.count() != 1 {
                break;
            }
            let only = Pointer { size: root.size, ..node.child(0) };
            self.unlink(&root, class);
            root = only;
        }
        Ok(root)
    }

    /// Where the page or run that `pointer` names is after what lies below was moved, and it as well, if it had to be.
    fn relocate(
        &self,
        pointer: &Pointer,
        class: Class,
        mover: &mut Mover,
        depth: usize,
    ) -> Result<Pointer, StorageError> {
        if pointer.is_run() {
            return self.relocate_run(pointer, class, mover);
        }
        if depth > DEEPEST {
            return Err(damaged(pointer, "is deeper down than any page"));
        }
        let is_new = !mover.resumes;
        let moved = self.relocate_page(pointer, class, mover, depth)?;
        if pointer.level == 1 && is_new {
            mover.look();
        }
        Ok(moved)
    }

    fn relocate_page(
        &self,
        pointer: &Pointer,
        class: Class,
        mover: &mut Mover,
        depth: usize,
    ) -> Result<Pointer, StorageError> {
        let (mut changes, mut merges) = (Vec::new(), false);
        if may_hold_pointers(pointer) {
            changes = self.relocate_below(pointer, class, mover, depth)?;
            merges = mover.left > 0 && self.has_thin_neighbours(pointer, &changes)?;
        }
        if changes.is_empty() && !merges && !self.should_move(pointer, 1, mover) {
            return Ok(*pointer);
        }
        let (copy, mut page) = self.make_mut(pointer, class)?;
        for (at, change) in changes {
            let op = match change {
                Change::Key(run) => PageOp::SetKeyRun { at, run },
                Change::Value(value) => PageOp::SetValue { at, value },
                Change::Child(child) => PageOp::SetChild { at, child },
            };
            apply(pointer, &mut page, &op)?;
        }
        if merges {
            self.merge_children(&copy, &mut page, class, mover)?;
        }
        Ok(copy)
    }

    /// Whether two neighbours below a branch fit one page.
    fn has_thin_neighbours(&self, branch: &Pointer, changes: &[(usize, Change)]) -> Result<bool, StorageError> {
        let frame = self.store().load(branch)?;
        let node = Node::new(&frame);
        if node.is_leaf() {
            return Ok(false);
        }
        let mut before = None;
        for at in 0..node.count() {
            let moved = changes.iter().find_map(|(changed, change)| match change {
                Change::Child(child) if *changed == at => Some(*child),
                _ => None,
            });
            let used = used(&Node::new(&self.store().load(&moved.unwrap_or(node.child(at)))?), frame.len());
            let joint = at.checked_sub(1).and_then(|before| joint(&node, before));
            if before.is_some_and(|before| fit_together(before, used, joint, frame.len())) {
                return Ok(true);
            }
            before = Some(used);
        }
        Ok(false)
    }

    /// Makes one page of each two neighbours below a branch that fit it.
    fn merge_children(
        &self,
        branch: &Pointer,
        page: &mut PageMut,
        class: Class,
        mover: &mut Mover,
    ) -> Result<(), StorageError> {
        for at in (0..Node::new(page.bytes()).count().saturating_sub(1)).rev() {
            if mover.left == 0 {
                break;
            }
            let node = Node::new(page.bytes());
            let (left, right, key, joint) = (node.child(at), node.child(at + 1), node.key(at), joint(&node, at));
            let (left_frame, right_frame) = (self.store().load(&left)?, self.store().load(&right)?);
            let [left_used, right_used] =
                [&left_frame, &right_frame].map(|frame| used(&Node::new(frame), page.bytes().len()));
            drop(left_frame);
            if !fit_together(left_used, right_used, joint, page.bytes().len()) {
                continue;
            }
            let (merged, mut merged_page) = self.make_mut(&left, class)?;
            let right_node = Node::new(&right_frame);
            let appended = NodeMut::new(merged_page.bytes_mut()).append_from(&right_node, 0..right_node.count(), joint);
            if appended.is_err() {
                apply(branch, page, &PageOp::SetChild { at, child: merged })?;
                continue;
            }
            let separator = match key {
                KeyPart::Long { run, .. } if left.level == 0 => Some(run),
                _ => None,
            };
            drop(right_frame);
            self.unlink(&right, class);
            separator.iter().for_each(|run| self.unlink(run, class));
            apply(branch, page, &PageOp::SetChild { at: at + 1, child: merged })?;
            apply(branch, page, &PageOp::Remove { at })?;
            mover.count(1);
        }
        Ok(())
    }

    /// What changes in the page that `pointer` names because something below it was moved.
    fn relocate_below(
        &self,
        pointer: &Pointer,
        class: Class,
        mover: &mut Mover,
        depth: usize,
    ) -> Result<Vec<(usize, Change)>, StorageError> {
        let frame = self.store().load(pointer)?;
        let node = Node::new(&frame);
        let mut changes = Vec::new();
        for at in mover.first_entry(depth)..node.count() {
            if mover.left == 0 {
                break;
            }
            mover.enter(depth, at);
            if let KeyPart::Long { run, .. } = node.key(at) {
                let moved = self.relocate(&run, class, mover, depth + 1)?;
                changes.extend((moved != run).then_some((at, Change::Key(moved))));
            }
            if !node.is_leaf() {
                let child = node.child(at);
                check_place(pointer, PointerRole::Child, &child)?;
                let moved = self.relocate(&child, class, mover, depth + 1)?;
                changes.extend((moved != child).then_some((at, Change::Child(moved))));
                continue;
            }
            let part = node.value(at);
            let Some(old) = part.owned() else { continue };
            let moved = self.relocate_tree(&old, class, mover, depth + 1)?;
            let part = part.pointing_to(moved).filter(|_| moved != old);
            changes.extend(part.map(|part| (at, Change::Value(part))));
        }
        Ok(changes)
    }

    fn relocate_run(&self, run: &Pointer, class: Class, mover: &mut Mover) -> Result<Pointer, StorageError> {
        let pages = pages_of(run, self.store().page_size());
        if !self.should_move(run, pages, mover) {
            return Ok(*run);
        }
        let bytes = self.store().load(run)?;
        let copy = self.write_run(&bytes)?;
        self.unlink(run, class);
        Ok(copy)
    }

    /// Whether there is room below for something that lies too high; it is counted as moved then.
    fn should_move(&self, pointer: &Pointer, pages: u32, mover: &mut Mover) -> bool {
        if mover.left == 0 || pointer.page.saturating_add(pages) <= mover.end || self.owns(pointer) {
            return false;
        }
        let mut space = self.store().space.lock();
        let lowest = space.free_map.as_mut().and_then(|map| map.lowest(pages));
        let moves = lowest.is_some_and(|lowest| lowest < pointer.page);
        if moves {
            mover.count(pages);
        }
        moves
    }
}

fn apply(pointer: &Pointer, page: &mut PageMut, op: &PageOp<'_>) -> Result<(), StorageError> {
    NodeMut::new(page.bytes_mut()).apply(op).map_err(|_| damaged(pointer, "has no room for a pointer"))
}

/// Bytes that a page's entries take.
fn used(node: &Node<'_>, page_size: usize) -> usize {
    capacity(page_size).saturating_sub(node.free_space())
}

/// What stands between the entries of children `at` and `at + 1` of a branch when they are one page: nothing in leaves.
fn joint<'a>(branch: &Node<'a>, at: usize) -> Option<Joint<'a>> {
    (branch.level() > 1).then(|| (branch.head(at), branch.key(at)))
}

/// Whether the entries of two pages, with what stands between them, fit one. A sixteenth is left for the rows to come.
fn fit_together(left: usize, right: usize, joint: Option<Joint<'_>>, page_size: usize) -> bool {
    left + right + joint.map_or(0, |(_, key)| key.stored_len()) <= capacity(page_size) / 16 * 15
}
