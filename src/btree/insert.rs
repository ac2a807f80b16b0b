//! Inserting a row, and the splits that it may take.

use super::edit::{Path, Step, TreeEditor, misfit};
use super::get::{Slice, place_in};
use super::remove::Target;
use super::sink::{Change, ChangeSink};
use crate::compression::{Codec, Packing};
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::{EditError, KeyPart, Node, NodeMut, PageOp, STUB, ValuePart};
use crate::limits::{MAX_KEY_LENGTH, MAX_VALUE_LENGTH};
use crate::pages::{PageMut, damaged};
use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// The value of a new row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NewValue<'v> {
    Bytes(&'v [u8]),
    /// Bytes, and what they were packed into.
    Packed {
        raw: &'v [u8],
        packing: Packing,
        block: &'v [u8],
    },
    /// So many zero bytes, to be filled in.
    Zeroed(usize),
    /// The root of another tree, which this row owns.
    Subtree(Pointer),
    /// The root of another tree, which this row does not own.
    Reference(Pointer),
}

/// A value that is to be filled in.
pub(crate) struct Reserved {
    /// The page or run that it lies in.
    pub(crate) page: PageMut,
    pub(crate) range: Range<usize>,
    /// The value before, if there was one.
    pub(crate) old: Option<Slice>,
}

/// A key on its way into a page.
#[derive(Clone, Debug)]
pub(super) struct NewKey<'k> {
    pub(super) head: u64,
    bytes: Cow<'k, [u8]>,
    run: Option<Pointer>,
}

impl NewKey<'_> {
    pub(super) fn part(&self) -> KeyPart<'_> {
        match self.run {
            None => KeyPart::Inline(&self.bytes),
            Some(run) => KeyPart::Long { stub: self.bytes.get(..STUB).unwrap_or(&self.bytes), run },
        }
    }

    /// The key of an entry, on its way from one page to another.
    pub(super) fn moved(node: &Node<'_>, at: usize) -> NewKey<'static> {
        let (bytes, run) = match node.key(at) {
            KeyPart::Inline(bytes) => (bytes, None),
            KeyPart::Long { stub, run } => (stub, Some(run)),
        };
        NewKey { head: node.head(at), bytes: Cow::Owned(bytes.to_vec()), run }
    }
}

/// Where a new entry goes when a page of `count` entries is split: the first `keep` stay.
struct SplitPlan {
    keep: usize,
    into: Side,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
    /// It fits neither half: the page is split where it belongs, and the way down is taken again.
    Neither,
}

impl<S: ChangeSink> TreeEditor<'_, S> {
    /// Sets the value of a key. Gives the value before, if there was one.
    pub(crate) fn insert(&mut self, key: &[u8], value: NewValue<'_>) -> Result<Option<Slice>, StorageError> {
        check_row(key.len(), value.len())?;
        self.guarded(|editor| editor.insert_row(key, value))
    }

    /// Sets the value of a key, which this codec is to make shorter, whatever the tree says.
    pub(crate) fn insert_by(&mut self, codec: Codec, key: &[u8], value: &[u8]) -> Result<Option<Slice>, StorageError> {
        check_row(key.len(), value.len())?;
        self.guarded(|editor| {
            let mut block = Vec::new();
            let value = editor.packed(key, NewValue::Bytes(value), codec, &mut block)?;
            editor.put_row(key, value)
        })
    }

    /// Sets the value of a key to `length` zero bytes, of which the sink does not hear. Gives them, and the value
    /// before.
    pub(crate) fn reserve(&mut self, key: &[u8], length: usize) -> Result<Reserved, StorageError> {
        check_row(key.len(), length)?;
        self.guarded(|editor| {
            let old = editor.insert_row(key, NewValue::Zeroed(length))?;
            let (mut path, _) = editor.descend(&Target::Key(key))?;
            let Some(leaf) = path.pop() else { return Err(StorageError::corrupted("a tree without a leaf")) };
            let node = leaf.node();
            if let ValuePart::Run(run) = node.value(leaf.at) {
                return Ok(Reserved { page: editor.writer.edit_run(&run)?, range: 0..length, old });
            }
            let ValuePart::Inline(value) = node.value(leaf.at) else {
                return Err(damaged(&leaf.pointer, "lost a row"));
            };
            let range = place_in(leaf.page.bytes(), value);
            Ok(Reserved { page: leaf.page, range, old })
        })
    }

    pub(super) fn insert_row(&mut self, key: &[u8], value: NewValue<'_>) -> Result<Option<Slice>, StorageError> {
        let mut block = Vec::new();
        let value = self.packed(key, value, self.tree.kind.codec, &mut block)?;
        self.put_row(key, value)
    }

    /// The same of a value that stays as it is.
    fn put_row(&mut self, key: &[u8], value: NewValue<'_>) -> Result<Option<Slice>, StorageError> {
        if self.add_to_tail(key, value)? {
            return Ok(None);
        }
        let (path, exists) = self.descend(&Target::Key(key))?;
        let (old, placed) = self.set_row(path, exists, key, value)?;
        if let Some(path) = placed {
            self.keep_tail(path);
        }
        Ok(old)
    }

    /// The value as it goes into the tree: packed, into `block`, if that pays.
    pub(super) fn packed<'v>(
        &self,
        key: &[u8],
        value: NewValue<'v>,
        codec: Codec,
        block: &'v mut Vec<u8>,
    ) -> Result<NewValue<'v>, StorageError> {
        let NewValue::Bytes(raw) = value else { return Ok(value) };
        let Some((packing, packed)) = self.tree.kind.pack(key.len(), raw, codec)? else { return Ok(value) };
        *block = packed;
        Ok(NewValue::Packed { raw, packing, block })
    }

    /// Sets the value of the entry that `path` leads to if it `exists`, else puts a row before it. Gives the value
    /// before, and the way to a new row unless its leaf was split.
    pub(super) fn set_row(
        &mut self,
        mut path: Path,
        exists: bool,
        key: &[u8],
        value: NewValue<'_>,
    ) -> Result<(Option<Slice>, Option<Path>), StorageError> {
        let Some(leaf) = path.last_mut() else { return Ok((None, None)) };
        let (key_part, old) = if exists {
            (NewKey::moved(&leaf.node(), leaf.at), Some(self.take_value(leaf)?))
        } else {
            (self.new_key(key)?, None)
        };
        // Keys of other bytes may be equal, and the row keeps the one that it has.
        let stored = if exists && self.sink.is_active() { Some(self.key_of(leaf)?) } else { None };
        self.report(stored.as_deref().unwrap_or(key), old.as_deref(), value)?;
        let zeroed;
        let value = match value {
            NewValue::Zeroed(length) => {
                zeroed = vec![0; if self.is_inline(&key_part, length) { length } else { 0 }];
                if zeroed.len() == length { NewValue::Bytes(&zeroed) } else { value }
            }
            other => other,
        };
        let part = self.value_part(&key_part, value)?;
        let placed = if exists {
            self.replace(path, key, &key_part, part)?
        } else {
            // A damaged file may claim any number of rows.
            self.tree.rows = self.tree.rows.saturating_add(1);
            self.place(path, key, &key_part, part)?
        };
        Ok((old, placed))
    }

    /// Puts a row behind the last one if the last leaf is at hand. False if it is not, or the row does not belong there
    /// or does not fit.
    fn add_to_tail(&mut self, key: &[u8], value: NewValue<'_>) -> Result<bool, StorageError> {
        let (Some(mut tail), Some(part)) = (self.tree.tail.take(), value.inline()) else { return Ok(false) };
        let kind = self.tree.kind;
        let last = tail.node().count().saturating_sub(1);
        let KeyPart::Inline(before) = tail.node().key(last) else { return Ok(false) };
        let inline = kind.key_is_inline(key.len()) && kind.value_is_inline(key.len(), part.stored_len());
        if !inline || tail.page.is_shared() || (kind.key.compare)(before, key).is_ge() {
            return Ok(false);
        }
        let new = self.new_key(key)?;
        let op = PageOp::Insert { at: last + 1, head: new.head, key: new.part(), value: part };
        match tail.apply(&op) {
            Ok(()) => {}
            Err(EditError::PageFull) => return Ok(false),
            Err(err) => return Err(misfit(&tail.pointer, err)),
        }
        self.tree.rows = self.tree.rows.saturating_add(1);
        self.tree.tail = Some(tail);
        self.report(key, None, value)?;
        Ok(true)
    }

    /// Tells the sink of a row's new value. One that is still to be filled in is for its caller to tell of.
    fn report(&mut self, key: &[u8], old: Option<&[u8]>, value: NewValue<'_>) -> Result<(), StorageError> {
        match value {
            NewValue::Bytes(new) | NewValue::Packed { raw: new, .. } if self.sink.is_active() => {
                self.sink.changed(Change { key, old, new: Some(new) })
            }
            _ => Ok(()),
        }
    }

    fn is_inline(&self, key: &NewKey<'_>, length: usize) -> bool {
        self.tree.kind.value_is_inline(key.part().stored_len(), length)
    }

    /// The key as a page stores it; a long one gets a run of its own.
    fn new_key<'k>(&self, bytes: &'k [u8]) -> Result<NewKey<'k>, StorageError> {
        let inline = self.tree.kind.key_is_inline(bytes.len());
        let run = if inline { None } else { Some(self.writer.write_run(bytes)?) };
        Ok(NewKey { head: self.tree.kind.sought(bytes).head, bytes: Cow::Borrowed(bytes), run })
    }

    fn value_part<'v>(&self, key: &NewKey<'_>, value: NewValue<'v>) -> Result<ValuePart<'v>, StorageError> {
        let inline = value.inline().filter(|part| self.is_inline(key, part.stored_len()));
        if let Some(part) = inline {
            return Ok(part);
        }
        match value {
            NewValue::Subtree(root) => Ok(ValuePart::Subtree(root)),
            NewValue::Reference(root) => Ok(ValuePart::Reference(root)),
            NewValue::Bytes(bytes) => Ok(ValuePart::Run(self.writer.write_run(bytes)?)),
            NewValue::Packed { packing, block, .. } => Ok(ValuePart::PackedRun(packing, self.writer.write_run(block)?)),
            NewValue::Zeroed(length) => Ok(ValuePart::Run(self.writer.allocate_run(length)?.0)),
        }
    }

    /// The value of the leaf's entry, which is about to go, and unlinks what it pointed to.
    fn take_value(&self, leaf: &Step) -> Result<Slice, StorageError> {
        let value = self.value_of(leaf)?;
        self.unlink_value(leaf)?;
        Ok(value)
    }

    fn replace(
        &mut self,
        mut path: Path,
        key: &[u8],
        key_part: &NewKey<'_>,
        value: ValuePart<'_>,
    ) -> Result<Option<Path>, StorageError> {
        let Some(leaf) = path.last_mut() else { return Ok(None) };
        let at = leaf.at;
        match leaf.apply(&PageOp::SetValue { at, value }) {
            Ok(()) => Ok(None),
            Err(EditError::PageFull) => {
                leaf.must(&PageOp::Remove { at })?;
                self.place(path, key, key_part, value)
            }
            Err(err) => Err(misfit(&leaf.pointer, err)),
        }
    }

    /// Puts an entry where `path` leads, splitting pages as needed. Gives the way to it unless its leaf was split.
    fn place(
        &mut self,
        mut path: Path,
        key: &[u8],
        key_part: &NewKey<'_>,
        value: ValuePart<'_>,
    ) -> Result<Option<Path>, StorageError> {
        loop {
            let Some(leaf) = path.last_mut() else { return Ok(None) };
            let op = PageOp::Insert { at: leaf.at, head: key_part.head, key: key_part.part(), value };
            match leaf.apply(&op) {
                Ok(()) => return Ok(Some(path)),
                Err(EditError::PageFull) => {}
                Err(err) => return Err(misfit(&leaf.pointer, err)),
            }
            if self.split_leaf(path, key_part, value)? {
                return Ok(None);
            }
            (path, _) = self.descend(&Target::Key(key))?;
        }
    }

    /// Keeps the leaf that `path` leads to at hand if the entry is the tree's last.
    pub(super) fn keep_tail(&mut self, mut path: Path) {
        if path.iter().all(is_last) {
            self.tree.tail = path.pop();
        }
    }

    /// Splits the leaf that `path` leads to. False if the new entry is still to be placed.
    fn split_leaf(&mut self, mut path: Path, key: &NewKey<'_>, value: ValuePart<'_>) -> Result<bool, StorageError> {
        let Some(mut leaf) = path.pop() else { return Ok(false) };
        let room = self.tree.kind.shape.leaf_entry_room(key.part().stored_len(), value.stored_len());
        let edge = Edge { first: path.iter().all(is_first), last: path.iter().all(is_last) };
        let plan = plan_split(&leaf.node(), leaf.at, room, self.tree.kind.capacity(), edge);
        let at = leaf.at;
        let mut right = self.split_page(&mut leaf, plan.keep)?;
        let place = match plan.into {
            Side::Left => Some((&mut leaf, at)),
            Side::Right => Some((&mut right, at - plan.keep)),
            Side::Neither => None,
        };
        if let Some((half, at)) = place {
            half.must(&PageOp::Insert { at, head: key.head, key: key.part(), value })?;
        }
        for half in [&mut leaf, &mut right] {
            NodeMut::new(half.page.bytes_mut()).widen_prefix();
        }
        let separator = self.separator(&leaf, &right)?;
        self.add_above(path, leaf.pointer, separator, right.pointer)?;
        Ok(plan.into != Side::Neither)
    }

    /// Moves all but the first `keep` entries of a page to a new one on its right.
    fn split_page(&mut self, left: &mut Step, keep: usize) -> Result<Step, StorageError> {
        let (pointer, mut page) = self.new_page(left.pointer.level)?;
        let node = left.node();
        NodeMut::new(page.bytes_mut())
            .append_from(&node, keep..node.count(), None)
            .map_err(|err| misfit(&left.pointer, err))?;
        left.must(&PageOp::Truncate { count: keep })?;
        Ok(Step { pointer, page, at: 0 })
    }

    /// A short key between the last row of `left` and the first of `right`.
    fn separator(&self, left: &Step, right: &Step) -> Result<NewKey<'static>, StorageError> {
        let store = self.writer.store();
        let last = Slice::of_key(store, left.page.frame(), left.node().count().saturating_sub(1))?;
        let first = Slice::of_key(store, right.page.frame(), 0)?;
        self.key_between(&last, &first)
    }

    pub(super) fn key_between(&self, last: &[u8], first: &[u8]) -> Result<NewKey<'static>, StorageError> {
        let bytes = (self.tree.kind.key.separator)(last, first).into_owned();
        let key = self.new_key(&bytes)?;
        Ok(NewKey { head: key.head, run: key.run, bytes: Cow::Owned(bytes) })
    }

    /// The child that `path` took has become `left` and `right`.
    pub(super) fn add_above(
        &mut self,
        mut path: Path,
        mut left: Pointer,
        mut separator: NewKey<'static>,
        mut right: Pointer,
    ) -> Result<(), StorageError> {
        while let Some(mut branch) = path.pop() {
            if add_child(&mut branch, &separator, left, right)? {
                return Ok(());
            }
            let node = branch.node();
            let room = self.tree.kind.shape.branch_entry_room(separator.part().stored_len());
            let keep = branch_split(&node, branch.at, room, self.tree.kind.capacity(), path.iter().all(is_last));
            let raised = NewKey::moved(&node, keep - 1);
            let mut upper = self.split_page(&mut branch, keep)?;
            upper.at = branch.at.saturating_sub(keep);
            let half = if branch.at < keep { &mut branch } else { &mut upper };
            if !add_child(half, &separator, left, right)? {
                return Err(misfit(&half.pointer, EditError::PageFull));
            }
            for half in [&mut branch, &mut upper] {
                NodeMut::new(half.page.bytes_mut()).widen_prefix();
            }
            (left, separator, right) = (branch.pointer, raised, upper.pointer);
        }
        self.grow_root(left, &separator, right)
    }

    fn grow_root(&mut self, left: Pointer, separator: &NewKey<'_>, right: Pointer) -> Result<(), StorageError> {
        let (pointer, page) = self.new_page(left.level + 1)?;
        let mut root = Step { pointer, page, at: 0 };
        root.must(&PageOp::InsertChild { at: 0, head: 0, key: KeyPart::Inline(&[]), child: right })?;
        root.must(&PageOp::InsertChild { at: 0, head: separator.head, key: separator.part(), child: left })?;
        self.tree.root = Some(pointer);
        Ok(())
    }
}

/// Whether a page lies at an end of its tree.
#[derive(Clone, Copy)]
struct Edge {
    first: bool,
    last: bool,
}

pub(super) fn is_first(step: &Step) -> bool {
    step.at == 0
}

pub(super) fn is_last(step: &Step) -> bool {
    step.at + 1 == step.node().count()
}

fn add_child(branch: &mut Step, key: &NewKey<'_>, left: Pointer, right: Pointer) -> Result<bool, StorageError> {
    let at = branch.at;
    match branch.apply(&PageOp::InsertChild { at, head: key.head, key: key.part(), child: left }) {
        Ok(()) => branch.must(&PageOp::SetChild { at: at + 1, child: right }).map(|()| true),
        Err(EditError::PageFull) => Ok(false),
        Err(err) => Err(misfit(&branch.pointer, err)),
    }
}

/// Where to split a leaf that a new entry of `room` bytes at `at` does not fit. At an end of the tree the old entries
/// stay together, so that sorted inserts leave full pages.
fn plan_split(node: &Node<'_>, at: usize, room: usize, capacity: usize, edge: Edge) -> SplitPlan {
    let count = node.count();
    if at == count && edge.last {
        return SplitPlan { keep: count, into: Side::Right };
    }
    if at == 0 && edge.first {
        return SplitPlan { keep: 0, into: Side::Left };
    }
    let old: usize = (0..count).map(|at| node.entry_size(at)).sum();
    let total = old + room;
    let mut best: Option<(usize, SplitPlan)> = None;
    let mut left = 0;
    for keep in 0..=count {
        for (into, size) in [(Side::Left, left + room), (Side::Right, left)] {
            let belongs = if into == Side::Left { at <= keep } else { at >= keep };
            let empty = size == 0 || size == total;
            if !belongs || empty || size > capacity || total - size > capacity {
                continue;
            }
            let skew = size.abs_diff(total - size);
            if best.as_ref().is_none_or(|(least, _)| skew < *least) {
                best = Some((skew, SplitPlan { keep, into }));
            }
        }
        left += if keep < count { node.entry_size(keep) } else { 0 };
    }
    best.map_or(SplitPlan { keep: at, into: Side::Neither }, |(_, plan)| plan)
}

/// How many children of a full branch stay in it: so many that a new one of `room` bytes before child `at` then fits
/// and the halves are most alike; at the right edge, all but the last.
fn branch_split(node: &Node<'_>, at: usize, room: usize, capacity: usize, rightmost: bool) -> usize {
    let count = node.count();
    let total = (0..count).map(|at| node.entry_size(at)).sum::<usize>();
    let mut left = 0;
    let mut best = (usize::MAX, 1);
    for keep in 1..count {
        left += node.entry_size(keep - 1);
        // The last child that stays loses its key.
        let stays = left - node.key(keep - 1).stored_len();
        let (low, high) = if at < keep { (stays + room, total - left) } else { (stays, total - left + room) };
        if low <= capacity && high <= capacity {
            best = best.min((low.abs_diff(high), keep));
            if rightmost && at + 1 == count {
                best = (0, keep);
            }
        }
    }
    best.1
}

/// Checks lengths in bytes.
pub(crate) fn check_row(key: usize, value: usize) -> Result<(), StorageError> {
    check_length(key, MAX_KEY_LENGTH)?;
    check_length(value, MAX_VALUE_LENGTH)
}

fn check_length(length: usize, most: usize) -> Result<(), StorageError> {
    if length > most { Err(StorageError::ValueTooLarge(length)) } else { Ok(()) }
}

impl<'v> NewValue<'v> {
    /// What a page holds of it, if it fits one.
    fn inline(&self) -> Option<ValuePart<'v>> {
        match self {
            Self::Bytes(bytes) => Some(ValuePart::Inline(bytes)),
            Self::Packed { packing, block, .. } => Some(ValuePart::Packed(*packing, block)),
            Self::Zeroed(_) | Self::Subtree(_) | Self::Reference(_) => None,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) | Self::Packed { raw: bytes, .. } => bytes.len(),
            Self::Zeroed(length) => *length,
            Self::Subtree(_) | Self::Reference(_) => 0,
        }
    }
}
