//! Search: from a root to a row.

use super::kind::TreeKind;
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::{KeyPart, Node, ValuePart};
use crate::pages::cache::{FrameRef, FrameStock};
use crate::pages::{Glance, PageRef, Store, damaged};
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
    /// The same bytes without a hold on a page that may be changed.
    pub(crate) fn detached(self) -> Self {
        match self {
            Self::Framed { .. } => Self::Owned(self.to_vec()),
            other => other,
        }
    }

    /// A part of the bytes.
    pub(super) fn part(&self, range: Range<usize>) -> Self {
        match self {
            Self::Framed { frame, start, .. } => {
                let start = *start as usize;
                Self::within(frame.clone(), start + range.start..start + range.end)
            }
            Self::Run(_) | Self::Owned(_) => Self::Owned(self.get(range).unwrap_or_default().to_vec()),
        }
    }

    #[inline]
    fn within(frame: FrameRef, range: Range<usize>) -> Self {
        // Pages are at most 65,536 bytes long.
        Self::Framed { start: range.start as u32, length: range.len() as u32, frame }
    }

    /// Key and value of an entry.
    #[inline]
    pub(super) fn of_row(store: &Store, leaf: &mut FrameStock, at: usize) -> Result<Row, StorageError> {
        match Node::new(leaf.frame()).inline_row(at) {
            Some((key, value)) => Ok((Self::within(leaf.take(), key), Self::within(leaf.take(), value))),
            None => Ok((Self::of_key(store, leaf.frame(), at)?, Self::of_value(store, leaf.frame(), at)?)),
        }
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
        Self::value_in(store, PageRef::Pinned(leaf.frame()).into(), at)
    }

    /// The value of an entry of a leaf that is not needed otherwise.
    #[inline]
    fn value_in(store: &Store, leaf: Glance<'_>, at: usize) -> Result<Self, StorageError> {
        match leaf.node().inline_value(at) {
            Some(value) => Ok(Self::within(leaf.hold(), value)),
            None => Self::of_part(store, &leaf.node().value(at)),
        }
    }

    #[inline(never)]
    pub(super) fn of_part(store: &Store, part: &ValuePart<'_>) -> Result<Self, StorageError> {
        match part {
            ValuePart::Inline(value) => Ok(Self::Owned(value.to_vec())),
            ValuePart::Packed(packing, block) => packing.unpack(block).map(Self::Owned),
            ValuePart::Run(run) => store.load(run).map(Self::Run),
            ValuePart::PackedRun(packing, run) => packing.unpack(&store.load(run)?).map(Self::Owned),
            ValuePart::Subtree(root) | ValuePart::Reference(root) => Err(not_a_value(root)),
        }
    }
}

/// Length in bytes of the value of an entry, which is neither read nor unpacked.
pub(crate) fn value_length(leaf: &Node<'_>, at: usize) -> Result<u64, StorageError> {
    match leaf.value(at) {
        ValuePart::Inline(value) => Ok(value.len() as u64),
        ValuePart::Run(run) => Ok(run.size),
        ValuePart::Packed(packing, _) | ValuePart::PackedRun(packing, _) => Ok(packing.raw_len.into()),
        ValuePart::Subtree(root) | ValuePart::Reference(root) => Err(not_a_value(&root)),
    }
}

fn not_a_value(root: &Pointer) -> StorageError {
    damaged(root, "stands where a value should")
}

/// Where `part`, a slice of `whole`, lies in it.
pub(super) fn place_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    if part.is_empty() { 0..0 } else { start..start + part.len() }
}

/// What `found` makes of the leaf and place of the row with this key.
#[inline]
pub(crate) fn find<T>(
    store: &Store,
    kind: &TreeKind,
    root: &Pointer,
    key: &[u8],
    found: impl FnOnce(Glance<'_>, usize) -> Result<T, StorageError>,
) -> Result<Option<T>, StorageError> {
    let sought = kind.sought(key);
    let pin = kind.pin(store);
    let mut page = Glance::from(store.view(pin.as_ref(), root)?);
    loop {
        let node = page.node();
        let (at, equal) = match kind.seek(&node, &sought) {
            (first, true) => {
                page.prefetch_hold();
                kind.search_keys(store, &node, first, &sought)?
            }
            miss => miss,
        };
        if node.is_leaf() {
            return if equal { found(page, at).map(Some) } else { Ok(None) };
        }
        page = store.glance_child(pin.as_ref(), &node, at)?;
    }
}

/// The value of a key.
pub(crate) fn get(store: &Store, kind: &TreeKind, root: &Pointer, key: &[u8]) -> Result<Option<Slice>, StorageError> {
    find(store, kind, root, key, |leaf, at| Slice::value_in(store, leaf, at))
}

/// A value that was found, and need not be read yet.
pub(crate) enum Found {
    /// It is in a run of its own.
    Run(Pointer),
    Here(Slice),
}

/// Where the value of a key is.
pub(crate) fn locate(
    store: &Store,
    kind: &TreeKind,
    root: &Pointer,
    key: &[u8],
) -> Result<Option<Found>, StorageError> {
    find(store, kind, root, key, |leaf, at| match leaf.node().value(at) {
        ValuePart::Run(run) => Ok(Found::Run(run)),
        _ => Slice::value_in(store, leaf, at).map(Found::Here),
    })
}

/// Whether there is a row with this key.
pub(super) fn has(store: &Store, kind: &TreeKind, root: &Pointer, key: &[u8]) -> Result<bool, StorageError> {
    Ok(find(store, kind, root, key, |_, _| Ok(()))?.is_some())
}

/// The leaf and place of the first or last row.
pub(crate) fn first_or_last(
    store: &Store,
    root: &Pointer,
    last: bool,
) -> Result<Option<(FrameRef, usize)>, StorageError> {
    let pin = store.cache().pin();
    let mut page = store.view(Some(&pin), root)?;
    loop {
        let node = Node::new(&page);
        let at = if last { node.count().saturating_sub(1) } else { 0 };
        if node.is_leaf() {
            return Ok((node.count() > 0).then(|| (page.hold(), at)));
        }
        page = store.view_child(Some(&pin), &node, at)?;
    }
}

/// Child `at` of the branch that `parent` names. Levels fall by one, so that every descent ends.
#[inline]
pub(super) fn child_of(node: &Node<'_>, at: usize, parent: &Pointer) -> Result<Pointer, StorageError> {
    let child = node.child(at);
    if child.level.checked_add(1) == Some(parent.level) { Ok(child) } else { Err(damaged(&child, "is out of level")) }
}
