//! Removing a row.

use super::edit::{Path, Step, TreeEditor};
use super::gap::Route;
use super::get::{Slice, has};
use super::kind::TreeKind;
use super::sink::{Change, ChangeSink};
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::{KeyPart, Node, PageOp, ValuePart};
use crate::pages::Store;
use alloc::vec::Vec;

/// The row that a way down leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'k> {
    Key(&'k [u8]),
    First,
    Last,
    /// The entry `at` of the leaf that a route leads to.
    At {
        route: &'k Route,
        at: usize,
    },
}

impl Target<'_> {
    /// The entry of `node` to take, and, in a leaf, whether it is the target.
    pub(super) fn place(&self, store: &Store, kind: &TreeKind, node: &Node<'_>) -> Result<(usize, bool), StorageError> {
        match self {
            Self::Key(key) => kind.search(store, node, &kind.sought(key)),
            Self::First => Ok((0, node.count() > 0)),
            Self::Last => Ok((node.count().saturating_sub(1), node.count() > 0)),
            Self::At { at, .. } if node.is_leaf() => Ok((*at, *at < node.count())),
            Self::At { route, .. } => {
                Ok((route.get(usize::from(node.level())).map_or(0, |at| usize::from(*at)), false))
            }
        }
    }
}

impl<S: ChangeSink> TreeEditor<'_, S> {
    /// Removes a row. Gives its key, unless it was named by it, and its value.
    pub(crate) fn remove(&mut self, target: &Target<'_>) -> Result<Option<(Option<Slice>, Slice)>, StorageError> {
        if !self.has(target)? {
            return Ok(None);
        }
        self.guarded(|editor| editor.remove_row(target))
    }

    /// Whether there is such a row; asked first, so that a miss copies no page.
    pub(super) fn has(&self, target: &Target<'_>) -> Result<bool, StorageError> {
        match (self.tree.root, target) {
            (None, _) => Ok(false),
            (Some(root), Target::Key(key)) => has(self.writer.store(), &self.tree.kind, &root, key),
            (Some(_), _) => Ok(self.tree.rows > 0),
        }
    }

    pub(super) fn remove_row(&mut self, target: &Target<'_>) -> Result<Option<(Option<Slice>, Slice)>, StorageError> {
        let (mut path, hit) = self.descend(target)?;
        let Some(leaf) = path.last_mut().filter(|_| hit) else { return Ok(None) };
        let key = if matches!(target, Target::Key(_)) { None } else { Some(self.key_of(leaf)?) };
        let value = self.value_of(leaf)?;
        self.drop_row(leaf)?;
        self.mend(path)?;
        Ok(Some((key, value)))
    }

    /// Takes the step's entry out of its leaf. What that leaves behind is to be mended.
    pub(super) fn drop_row(&mut self, leaf: &mut Step) -> Result<(), StorageError> {
        let row = if self.sink.is_active() { Some((self.key_of(leaf)?, self.value_of(leaf)?)) } else { None };
        self.take_row(leaf)?;
        self.tree.rows = self.tree.rows.saturating_sub(1);
        if let Some((key, value)) = row {
            self.sink.changed(Change { key: &key, old: Some(&value), new: None })?;
        }
        Ok(())
    }

    /// The same, without a word to the sink, and the row is not counted.
    pub(super) fn take_row(&self, leaf: &mut Step) -> Result<(), StorageError> {
        self.unlink_value(leaf)?;
        self.unlink_key(leaf)?;
        leaf.must(&PageOp::Remove { at: leaf.at })
    }

    /// The value of the step's entry.
    pub(super) fn value_of(&self, leaf: &Step) -> Result<Slice, StorageError> {
        match leaf.node().value(leaf.at) {
            ValuePart::Subtree(_) | ValuePart::Reference(_) => Ok(Slice::Owned(Vec::new())),
            value => Slice::of_part(self.writer.store(), &value),
        }
    }

    /// The value of the step's entry is about to go.
    pub(super) fn unlink_value(&self, leaf: &Step) -> Result<(), StorageError> {
        match leaf.node().value(leaf.at) {
            ValuePart::Run(run) | ValuePart::PackedRun(_, run) => self.unlink_run(&run),
            _ => Ok(()),
        }
    }

    /// A run that nobody may have read, so that it could be one of a damaged file, and longer than that.
    fn unlink_run(&self, run: &Pointer) -> Result<(), StorageError> {
        self.writer.store().extent_of(run)?;
        self.unlink(run);
        Ok(())
    }

    pub(super) fn key_of(&self, leaf: &Step) -> Result<Slice, StorageError> {
        match leaf.node().key(leaf.at) {
            KeyPart::Inline(key) => Ok(Slice::Owned(key.to_vec())),
            KeyPart::Long { run, .. } => self.writer.store().load(&run).map(Slice::Run),
        }
    }

    /// The key of the step's entry is about to go.
    pub(super) fn unlink_key(&self, step: &Step) -> Result<(), StorageError> {
        match step.node().key(step.at) {
            KeyPart::Long { run, .. } => self.unlink_run(&run),
            KeyPart::Inline(_) => Ok(()),
        }
    }

    /// Restores the tree's rules along `path` after its leaf has lost an entry.
    pub(super) fn mend(&mut self, mut path: Path) -> Result<(), StorageError> {
        while let Some(page) = path.pop() {
            let Some(parent) = path.last_mut() else { return self.mend_root(page) };
            if !self.mend_child(parent, page)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes away `page`, the child that `parent`'s step took, if it is empty, and merges it if it is thin. Says
    /// whether it was either, so that `parent` may be in need of the same.
    pub(super) fn mend_child(&mut self, parent: &mut Step, page: Step) -> Result<bool, StorageError> {
        let node = page.node();
        if node.count() == 0 {
            self.unlink(&page.pointer);
            self.drop_child(parent)?;
        } else if self.is_thin(&node) && parent.node().count() > 1 {
            self.merge(parent, page)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Whether the page holds so little that a neighbour may well have room for it.
    pub(super) fn is_thin(&self, node: &Node<'_>) -> bool {
        node.free_space() > self.tree.kind.capacity() / 4 * 3
    }

    /// Takes out of `parent` the child that its step took.
    pub(super) fn drop_child(&self, parent: &mut Step) -> Result<(), StorageError> {
        let count = parent.node().count();
        let at = parent.at;
        // The last child has no key of its own; the one before it loses its key.
        let keyed = if at + 1 == count { at.checked_sub(1) } else { Some(at) };
        if let Some(keyed) = keyed {
            parent.at = keyed;
            self.unlink_key(parent)?;
            parent.at = at;
        }
        parent.must(&PageOp::Remove { at })
    }

    /// Takes away an empty root, and root branches with one child.
    pub(super) fn mend_root(&mut self, root: Step) -> Result<(), StorageError> {
        let mut pointer = root.pointer;
        let mut only = only_child(&root.node());
        if root.node().count() == 0 {
            self.unlink(&pointer);
            self.tree.root = None;
            return Ok(());
        }
        while let Some(child) = only {
            self.unlink(&pointer);
            pointer = child;
            self.tree.root = Some(child);
            only = only_child(&Node::new(&self.writer.store().load(&child)?));
        }
        Ok(())
    }
}

fn only_child(node: &Node<'_>) -> Option<Pointer> {
    (!node.is_leaf() && node.count() == 1).then(|| node.child(0))
}
