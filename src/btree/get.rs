//! Search: from a root to a row.

use super::kind::{Sought, TreeKind};
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::{KeyPart, Node, ValuePart};
use crate::pages::cache::{FrameRef, FrameStock};
use crate::pages::{Store, damaged};
use alloc::vec::Vec;
use core::ops::{Deref, Range};

/// Key and value.
pub(crate) type Row = (Slice, Slice);

/// Bytes of a key or value: a part of a frame, which they keep alive, or bytes of their own.
#[derive(Clone, Debug)]
pub(crate) enum Slice {
    Framed { frame: FrameRef, start: u32, length: u32 },
    Run(FrameRef),
    Owned(Vec<u8>),
}

impl Deref for Slice {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Framed { frame, start, length } => {
                let start = *start as usize;
                frame.get(start..start + *length as usize).unwrap_or_default()
            }
            Self::Run(frame) => frame,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Slice {
    fn within(frame: FrameRef, range: Range<usize>) -> Self {
        // Pages are at most 65,536 bytes long.
        Self::Framed { start: range.start as u32, length: range.len() as u32, frame }
    }

    /// Key and value of an entry.
    pub(super) fn of_row(store: &Store, leaf: &mut FrameStock, at: usize) -> Result<Row, StorageError> {
        let frame = leaf.frame();
        let node = Node::new(frame);
        let (key, value) = (node.key(at), node.value(at));
        if let (KeyPart::Inline(key), ValuePart::Inline(value)) = (key, value) {
            let (key, value) = (place_in(frame, key), place_in(frame, value));
            return Ok((Self::within(leaf.take(), key), Self::within(leaf.take(), value)));
        }
        Ok((Self::of_key(store, frame, at)?, Self::of_value(store, frame, at)?))
    }

    /// The key of an entry.
    pub(crate) fn of_key(store: &Store, leaf: &FrameRef, at: usize) -> Result<Self, StorageError> {
        match Node::new(leaf).key(at) {
            KeyPart::Inline(key) => Ok(Self::within(leaf.clone(), place_in(leaf, key))),
            KeyPart::Long { run, .. } => store.load(&run).map(Self::Run),
        }
    }

    /// The value of an entry.
    pub(crate) fn of_value(store: &Store, leaf: &FrameRef, at: usize) -> Result<Self, StorageError> {
        match Node::new(leaf).value(at) {
            ValuePart::Inline(value) => Ok(Self::within(leaf.clone(), place_in(leaf, value))),
            ValuePart::Run(run) => store.load(&run).map(Self::Run),
            ValuePart::Subtree(root) | ValuePart::Extents(root) => Err(damaged(&root, "stands where a value should")),
        }
    }
}

/// Where `part`, a slice of `whole`, lies in it.
pub(super) fn place_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    if part.is_empty() { 0..0 } else { start..start + part.len() }
}

/// The leaf and place of the row with this key.
pub(crate) fn find(
    store: &Store,
    kind: &TreeKind,
    root: &Pointer,
    key: &[u8],
) -> Result<Option<(FrameRef, usize)>, StorageError> {
    let sought = kind.sought(key);
    if kind.is_opaque() {
        return find_held(store, kind, root, &sought);
    }
    let pin = store.cache().pin();
    let mut pointer = *root;
    loop {
        let page = store.load_pinned(&pin, &pointer)?;
        let node = Node::new(&page);
        let (at, equal) = kind.search(store, &node, &sought)?;
        if node.is_leaf() {
            return Ok(equal.then(|| (page.hold(&pin), at)));
        }
        pointer = child_of(&node, at, &pointer)?;
    }
}

fn find_held(
    store: &Store,
    kind: &TreeKind,
    root: &Pointer,
    sought: &Sought<'_>,
) -> Result<Option<(FrameRef, usize)>, StorageError> {
    let mut pointer = *root;
    loop {
        let page = store.load(&pointer)?;
        let node = Node::new(&page);
        let (at, equal) = kind.search(store, &node, sought)?;
        if node.is_leaf() {
            return Ok(equal.then_some((page, at)));
        }
        pointer = child_of(&node, at, &pointer)?;
    }
}

/// The leaf and place of the first or last row.
pub(crate) fn first_or_last(
    store: &Store,
    root: &Pointer,
    last: bool,
) -> Result<Option<(FrameRef, usize)>, StorageError> {
    let mut pointer = *root;
    loop {
        let page = store.load(&pointer)?;
        let node = Node::new(&page);
        let at = if last { node.count().saturating_sub(1) } else { 0 };
        if node.is_leaf() {
            return Ok((node.count() > 0).then_some((page, at)));
        }
        pointer = child_of(&node, at, &pointer)?;
    }
}

/// Child `at` of the branch that `parent` names. Levels fall by one, so that every descent ends.
#[inline]
pub(super) fn child_of(node: &Node<'_>, at: usize, parent: &Pointer) -> Result<Pointer, StorageError> {
    let child = node.child(at);
    if child.level.checked_add(1) == Some(parent.level) { Ok(child) } else { Err(damaged(&child, "is out of level")) }
}
