//! Multimaps: trees that hold a set of values for each key, and the one way to change them.
//!
//! A small set lies in the key's leaf. A set that takes more than a [share](MultimapKind::most_inline) of the page is
//! the keys of a tree of its own, and returns to the leaf when it has shrunk to half of that share: so a value that
//! comes and goes at the border does not move the others each time.

use super::edit::{Tree, TreeEditor};
use super::get::{Slice, find};
use super::insert::{NewValue, check_row};
use super::kind::TreeKind;
use super::members::Members;
use super::remove::Target;
use super::sink::{Change, ChangeSink};
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::{KeyPart, Node, SetForm, ValuePart, ValueSet};
use crate::pages::cache::FrameRef;
use crate::pages::damaged_page;
use crate::types::{Compare, KeyType};
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::iter::once;

/// What the pages of a multimap have in common: those of its keys, and those of sets that are trees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MultimapKind {
    pub(crate) keys: TreeKind,
    pub(crate) values: TreeKind,
}

/// What an entry holds: the set of a key's values, or the root of the tree that they are the keys of.
#[derive(Debug)]
pub(super) enum Held<'p> {
    Set(ValueSet<'p>),
    Tree(Pointer),
}

/// The values of a key, to be changed.
enum Values {
    Set(Vec<u8>),
    Tree(Pointer),
}

impl MultimapKind {
    pub(crate) fn new(key: KeyType, value: KeyType, page_size: usize) -> Self {
        let values = TreeKind::new(value, Some(0), page_size);
        let form = SetForm { width: values.shape.key_width };
        Self { keys: TreeKind::of_sets(key, form, page_size), values }
    }

    pub(super) fn form(&self) -> SetForm {
        SetForm { width: self.values.shape.key_width }
    }

    /// Most bytes that a set takes in a leaf.
    fn most_inline(&self) -> usize {
        self.keys.capacity() / 4
    }

    /// What entry `at` of a leaf holds.
    pub(super) fn held<'p>(&self, leaf: &'p FrameRef, at: usize) -> Result<Held<'p>, StorageError> {
        if Node::new(leaf).shape() != self.keys.shape {
            return Err(damaged_page(leaf.frame(), "is of another kind of tree"));
        }
        Held::of_entry(leaf, at, Some(self.values.key.compare))
    }

    /// First member of the set that is not less than `value`, and whether it is equal.
    fn search(&self, set: &ValueSet<'_>, value: &[u8]) -> (usize, bool) {
        let (mut low, mut high) = (0, set.count());
        while low < high {
            let middle = low + (high - low) / 2;
            match (self.values.key.compare)(set.member(middle), value) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return (middle, true),
                Ordering::Greater => high = middle,
            }
        }
        (low, false)
    }
}

impl<'p> Held<'p> {
    /// What entry `at` of a leaf holds. The values of a set must be in order, if their order is known.
    pub(super) fn of_entry(leaf: &'p FrameRef, at: usize, order: Option<Compare>) -> Result<Self, StorageError> {
        let node = Node::new(leaf);
        match (node.value(at), node.sets()) {
            (ValuePart::Subtree(root), Some(_)) => Ok(Self::Tree(root)),
            (ValuePart::Inline(bytes), Some(form)) => {
                let set = ValueSet::new(bytes, form);
                let ascends = order.is_none_or(|compare| set.ascends(compare));
                let damage = || damaged_page(leaf.frame(), "holds a set whose values do not ascend");
                ascends.then_some(Self::Set(set)).ok_or_else(damage)
            }
            _ => Err(damaged_page(leaf.frame(), "holds no set of values")),
        }
    }
}

/// Changes one multimap within one write transaction.
pub(crate) struct MultimapEditor<'e, 't, S: ChangeSink> {
    editor: &'e mut TreeEditor<'t, ()>,
    kind: &'e MultimapKind,
    sink: &'e mut S,
}

impl<'e, 't, S: ChangeSink> MultimapEditor<'e, 't, S> {
    /// `editor` is that of the tree of keys.
    pub(crate) fn new(editor: &'e mut TreeEditor<'t, ()>, kind: &'e MultimapKind, sink: &'e mut S) -> Self {
        Self { editor, kind, sink }
    }

    /// Adds a value to a key. Says whether it had the value before.
    pub(crate) fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<bool, StorageError> {
        check_row(key.len(), value.len())?;
        change(self.editor, self.kind, |work| {
            let came = work.add(key, value)?;
            if came {
                self.sink.changed(Change { key, old: None, new: Some(value) })?;
            }
            Ok(!came)
        })
    }

    /// Takes a value from a key. Says whether it had the value.
    pub(crate) fn remove(&mut self, key: &[u8], value: &[u8]) -> Result<bool, StorageError> {
        change(self.editor, self.kind, |work| {
            let went = work.take(key, value)?;
            if went {
                self.sink.changed(Change { key, old: Some(value), new: None })?;
            }
            Ok(went)
        })
    }

    /// Takes all values from a key, and gives them. They can be read until the tree is changed again.
    pub(crate) fn remove_all(&mut self, key: &[u8]) -> Result<Members, StorageError> {
        change(self.editor, self.kind, |work| {
            let members = work.take_all(key)?;
            let mut told = if self.sink.is_active() { members.clone() } else { Members::default() };
            while let Some(value) = told.next(work.editor.writer.store())? {
                self.sink.changed(Change { key, old: Some(&value), new: None })?;
            }
            Ok(members)
        })
    }
}

/// Runs a change of a multimap; if it fails, the transaction can only be aborted. A set's tree is never sealed in the
/// middle: that comes first, and before the roots of such trees are looked up.
fn change<'t, T>(
    editor: &mut TreeEditor<'t, ()>,
    kind: &MultimapKind,
    change: impl FnOnce(&mut Work<'_, 't>) -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    editor.guarded(|editor| {
        editor.tree.settle(editor.writer)?;
        change(&mut Work { editor, kind })
    })
}

/// A change that is under way. The tree of keys counts a row for each key that comes or goes; the steps here put that
/// right, as each value is a row.
struct Work<'e, 't> {
    editor: &'e mut TreeEditor<'t, ()>,
    kind: &'e MultimapKind,
}

impl Work<'_, '_> {
    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<bool, StorageError> {
        if !self.kind.form().admits(value.len()) {
            return Err(StorageError::corrupted("a value is not as long as its type says"));
        }
        let rows = self.editor.tree.rows;
        match self.values_of(key)? {
            None => self.put_set(key, once(value))?,
            Some(Values::Set(set)) => {
                let set = ValueSet::new(&set, self.kind.form());
                let (at, hit) = self.kind.search(&set, value);
                if hit {
                    return Ok(false);
                }
                let (before, after) = (set.members().take(at), set.members().skip(at));
                self.put_set(key, before.chain(once(value)).chain(after))?;
            }
            Some(Values::Tree(root)) => {
                let mut tree = self.tree_of(root);
                let mut silent = ();
                let mut editor = TreeEditor::new(self.editor.writer, &mut tree, &mut silent);
                if editor.has(&Target::Key(value))? {
                    return Ok(false);
                }
                editor.insert_row(value, NewValue::Bytes(&[]))?;
                self.put_tree(key, &tree)?;
            }
        }
        self.editor.tree.rows = rows.saturating_add(1);
        Ok(true)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<bool, StorageError> {
        let rows = self.editor.tree.rows;
        match self.values_of(key)? {
            None => return Ok(false),
            Some(Values::Set(set)) => {
                let set = ValueSet::new(&set, self.kind.form());
                let (at, hit) = self.kind.search(&set, value);
                if !hit {
                    return Ok(false);
                }
                let others = set.members().take(at).chain(set.members().skip(at + 1));
                if set.count() > 1 { self.put_set(key, others)? } else { self.drop_key(key)? }
            }
            Some(Values::Tree(root)) => {
                let mut tree = self.tree_of(root);
                let mut silent = ();
                let mut editor = TreeEditor::new(self.editor.writer, &mut tree, &mut silent);
                if !editor.has(&Target::Key(value))? {
                    return Ok(false);
                }
                editor.remove_row(&Target::Key(value))?;
                self.put_shrunk(key, &tree)?;
            }
        }
        self.editor.tree.rows = rows.saturating_sub(1);
        Ok(true)
    }

    fn take_all(&mut self, key: &[u8]) -> Result<Members, StorageError> {
        let rows = self.editor.tree.rows;
        let Some(values) = self.values_of(key)? else { return Ok(Members::default()) };
        self.drop_key(key)?;
        let members = match values {
            Values::Set(set) => Members::of_set(self.kind, Slice::Owned(set)),
            Values::Tree(root) => {
                self.editor.tree.leaving = Some(root);
                Members::of_tree(self.editor.writer.store(), self.kind, root)?
            }
        };
        self.editor.tree.rows = rows.saturating_sub(members.len());
        Ok(members)
    }

    /// The values of a key, with no hold on its leaf, which may then change in place.
    fn values_of(&self, key: &[u8]) -> Result<Option<Values>, StorageError> {
        let Some(root) = &self.editor.tree.root else { return Ok(None) };
        let store = self.editor.writer.store();
        let entry = find(store, &self.kind.keys, root, key, |leaf, at| Ok((leaf.hold(), at)))?;
        let Some((leaf, at)) = entry else { return Ok(None) };
        Ok(Some(match self.kind.held(&leaf, at)? {
            Held::Set(set) => Values::Set(set.bytes().to_vec()),
            Held::Tree(root) => Values::Tree(root),
        }))
    }

    fn tree_of(&self, root: Pointer) -> Tree {
        Tree::new(self.kind.values, Some(root), self.editor.tree.class)
    }

    /// Makes these the values of a key, which has none that are a tree: a set if they are few, else a new tree.
    fn put_set<'m>(&mut self, key: &[u8], members: impl Iterator<Item = &'m [u8]> + Clone) -> Result<(), StorageError> {
        let form = self.kind.form();
        let length = members.clone().fold(0, |sum: usize, member| sum.saturating_add(member.len() + form.overhead()));
        if length <= self.kind.most_inline() {
            return self.put(key, NewValue::Bytes(&form.encode(members)));
        }
        let mut tree = Tree::new(self.kind.values, None, self.editor.tree.class);
        for member in members {
            TreeEditor::new(self.editor.writer, &mut tree, &mut ()).insert_row(member, NewValue::Bytes(&[]))?;
        }
        self.put_tree(key, &tree)
    }

    /// Stores where the tree of a key's values is now, and how many they are.
    fn put_tree(&mut self, key: &[u8], tree: &Tree) -> Result<(), StorageError> {
        match tree.root {
            Some(root) => self.put(key, NewValue::Subtree(Pointer { size: tree.rows, ..root })),
            None => self.drop_key(key),
        }
    }

    /// Like [`put_tree`](Self::put_tree), after values were removed: what is left may be few enough for a set.
    fn put_shrunk(&mut self, key: &[u8], tree: &Tree) -> Result<(), StorageError> {
        let Some((root, set)) = self.small_set(tree)? else { return self.put_tree(key, tree) };
        self.editor.unlink(&root);
        self.put(key, NewValue::Bytes(&set))
    }

    /// The values of a tree as a set, if it is one leaf of few.
    fn small_set(&self, tree: &Tree) -> Result<Option<(Pointer, Vec<u8>)>, StorageError> {
        let Some(root) = tree.root.filter(|root| root.level == 0) else { return Ok(None) };
        let leaf = self.editor.writer.store().load(&root)?;
        let (node, form) = (Node::new(&leaf), self.kind.form());
        let mut length = 0;
        for at in 0..node.count() {
            let KeyPart::Inline(member) = node.key(at) else { return Ok(None) };
            length += member.len() + form.overhead();
        }
        let small = length <= self.kind.most_inline() / 2 && node.shape() == tree.kind.shape;
        Ok(small.then(|| (root, form.encode((0..node.count()).map(|at| node.key_lead(at))))))
    }

    fn put(&mut self, key: &[u8], values: NewValue<'_>) -> Result<(), StorageError> {
        self.editor.insert_row(key, values).map(drop)
    }

    fn drop_key(&mut self, key: &[u8]) -> Result<(), StorageError> {
        self.editor.remove_row(&Target::Key(key)).map(drop)
    }
}
