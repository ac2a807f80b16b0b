//! A tree that is being changed, and the way down to a leaf that may be.

use super::get::child_of;
use super::kind::TreeKind;
use super::remove::Target;
use super::sink::ChangeSink;
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::{EditError, Node, NodeMut, PageOp};
use crate::pages::{Class, PageMut, PageWriter, damaged};
use alloc::vec::Vec;

/// The root of a tree and what it holds.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) kind: TreeKind,
    pub(crate) root: Option<Pointer>,
    pub(crate) rows: u64,
    pub(crate) class: Class,
    /// The last leaf, if the last change was at its end: sorted inserts need no way down. Every other change, and
    /// sealing, forgets it.
    pub(super) tail: Option<Step>,
    /// The root of what was taken out of the tree, and may be read until the tree is changed again: it is then
    /// unlinked.
    pub(super) leaving: Option<Pointer>,
    /// How often it was sealed: a way down that was made before may lead to frames that are no longer the pages.
    pub(super) sealings: u64,
}

impl Tree {
    pub(crate) fn new(kind: TreeKind, root: Option<Pointer>, class: Class) -> Self {
        Self { kind, root, rows: root.map_or(0, |root| root.size), class, tail: None, leaving: None, sealings: 0 }
    }

    /// The tree as it stands, to be read.
    pub(crate) fn view(&self) -> Self {
        Self { tail: None, ..*self }
    }

    /// The roots of all that the tree's owner answers for.
    pub(crate) fn roots(&self) -> impl Iterator<Item = Pointer> + use<> {
        self.root.into_iter().chain(self.leaving)
    }

    /// Unlinks what was taken out of the tree before.
    pub(super) fn settle(&mut self, writer: &PageWriter) -> Result<(), StorageError> {
        self.leaving.take().map_or(Ok(()), |root| writer.unlink_tree([root], self.class))
    }

    /// Seals the tree's pages. Gives the root.
    pub(crate) fn seal(&mut self, writer: &PageWriter) -> Result<Option<Pointer>, StorageError> {
        self.settle(writer)?;
        self.tail = None;
        self.sealings += 1;
        self.root = self.root.map(|root| writer.seal(&root)).transpose()?;
        Ok(self.root)
    }
}

/// Changes one tree within one write transaction. What goes wrong half-way breaks the transaction.
pub(crate) struct TreeEditor<'t, S: ChangeSink> {
    pub(super) writer: &'t PageWriter,
    pub(super) tree: &'t mut Tree,
    pub(super) sink: &'t mut S,
}

/// A page on the way down, which may be changed, and the entry that the way took.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) pointer: Pointer,
    pub(super) page: PageMut,
    pub(super) at: usize,
}

impl Step {
    pub(super) fn node(&self) -> Node<'_> {
        Node::new(self.page.bytes())
    }

    pub(super) fn apply(&mut self, op: &PageOp<'_>) -> Result<(), EditError> {
        NodeMut::new(self.page.bytes_mut()).apply(op)
    }

    /// Makes a change that must fit.
    pub(super) fn must(&mut self, op: &PageOp<'_>) -> Result<(), StorageError> {
        let pointer = self.pointer;
        self.apply(op).map_err(|err| misfit(&pointer, err))
    }
}

/// The error of a change that the tree's rules say must fit: the page is not what the rules say.
pub(super) fn misfit(pointer: &Pointer, err: EditError) -> StorageError {
    damaged(
        pointer,
        match err {
            EditError::PageFull => "has no room for a change that must fit",
            EditError::Misfit => "cannot take a change of its tree",
        },
    )
}

/// The way down: branches from the root on, then the leaf.
pub(super) type Path = Vec<Step>;

impl<'t, S: ChangeSink> TreeEditor<'t, S> {
    pub(crate) fn new(writer: &'t PageWriter, tree: &'t mut Tree, sink: &'t mut S) -> Self {
        Self { writer, tree, sink }
    }

    /// Runs a change; if it fails, the transaction can only be aborted.
    pub(super) fn guarded<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.writer.check_whole()?;
        let unfinished = self.writer.unfinished();
        self.relieve()?;
        let result = change(self)?;
        unfinished.finish();
        Ok(result)
    }

    /// Seals and writes this tree's pages if the transaction outgrows the cache.
    fn relieve(&mut self) -> Result<(), StorageError> {
        if !self.writer.under_pressure() {
            return Ok(());
        }
        self.tree.seal(self.writer)?;
        self.writer.write_sealed()?;
        self.writer.note_pressure();
        Ok(())
    }

    /// The way to `target`, every page on it made ready for changes, and whether the leaf's entry is the target.
    pub(super) fn descend(&mut self, target: &Target<'_>) -> Result<(Path, bool), StorageError> {
        self.descend_to(target, 0)
    }

    /// The way as far down as to a page of that level.
    pub(super) fn descend_to(&mut self, target: &Target<'_>, level: u8) -> Result<(Path, bool), StorageError> {
        self.tree.tail = None;
        let root = match self.tree.root {
            Some(root) => self.writer.make_last_mut(&root, self.tree.class)?,
            None => self.new_page(0)?,
        };
        self.tree.root = Some(root.0);
        let (pointer, page) = root;
        self.descend_from(Step { pointer, page, at: 0 }, target, level)
    }

    /// The rest of the way, from `top` on.
    pub(super) fn descend_from(
        &self,
        mut top: Step,
        target: &Target<'_>,
        level: u8,
    ) -> Result<(Path, bool), StorageError> {
        let mut path = Path::with_capacity(usize::from(top.pointer.level) + 1);
        loop {
            let (at, hit) = target.place(self.writer.store(), &self.tree.kind, &top.node())?;
            top.at = at;
            if top.pointer.level <= level {
                path.push(top);
                return Ok((path, hit));
            }
            let below = self.enter(&mut top)?;
            path.push(core::mem::replace(&mut top, below));
        }
    }

    /// The child that the step takes, made ready for changes.
    pub(super) fn enter(&self, step: &mut Step) -> Result<Step, StorageError> {
        let child = child_of(&step.node(), step.at, &step.pointer)?;
        let is_last = step.at + 1 == step.node().count();
        let (writer, class) = (self.writer, self.tree.class);
        let made = if is_last { writer.make_last_mut(&child, class) } else { writer.make_mut(&child, class) };
        let (pointer, page) = made?;
        if pointer != child {
            step.must(&PageOp::SetChild { at: step.at, child: pointer })?;
        }
        Ok(Step { pointer, page, at: 0 })
    }

    /// A page without entries.
    pub(super) fn new_page(&self, level: u8) -> Result<(Pointer, PageMut), StorageError> {
        let (pointer, mut page) = self.writer.allocate_page(level)?;
        // What a page held before it was freed does not reach the file again.
        page.bytes_mut().fill(0);
        let shape = self.tree.kind.shape;
        NodeMut::init(page.bytes_mut(), level, if level == 0 { shape } else { shape.of_branch() });
        Ok((pointer, page))
    }

    pub(super) fn unlink(&self, pointer: &Pointer) {
        self.writer.unlink(pointer, self.tree.class);
    }
}
