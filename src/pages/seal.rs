//! Sealing: the checksums of changed pages are finished from the leaves up, each in its one parent.

use super::cache::FrameRef;
use super::load::damaged;
use super::writer::PageWriter;
use crate::error::StorageError;
use crate::format::node::{Node, NodeMut, PageOp, SetForm, ValuePart, ValueSet};
use crate::format::{Checksum, Pointer};
use alloc::vec::Vec;

impl PageWriter {
    /// The sealed form of `pointer`: its row count, flags and checksum are those of the bytes, and so for every page
    /// below it.
    pub(crate) fn seal(&self, pointer: &Pointer) -> Result<Pointer, StorageError> {
        if pointer.is_sealed() {
            return Ok(*pointer);
        }
        if pointer.is_run() {
            return self.seal_run(pointer);
        }
        let (_, mut page) = self.edit(pointer)?;
        for (at, sealed) in self.seal_below(pointer, page.bytes())? {
            let op = match sealed {
                Below::Child(child) => PageOp::SetChild { at, child },
                Below::Value(value) => PageOp::SetValue { at, value },
            };
            NodeMut::new(page.bytes_mut()).apply(&op).map_err(|_| damaged(pointer, "has no room for a pointer"))?;
        }
        Ok(self.finish(sealed_page(pointer, page.bytes()), page.into_frame()))
    }

    fn seal_below(&self, pointer: &Pointer, bytes: &[u8]) -> Result<Vec<(usize, Below)>, StorageError> {
        let node = Node::new(bytes);
        let mut changed = Vec::new();
        if node.is_leaf() {
            for at in 0..if node.holds_pointers() { node.count() } else { 0 } {
                let part = node.value(at);
                if let Some(owned) = part.owned().filter(|owned| !owned.is_sealed()) {
                    let sealed = self.seal(&owned)?;
                    changed.extend(part.pointing_to(sealed).map(|part| (at, Below::Value(part))));
                }
            }
        } else {
            for at in 0..node.count() {
                let child = node.child(at);
                if child.is_sealed() {
                    continue;
                }
                if child.level.checked_add(1) != Some(pointer.level) {
                    return Err(damaged(&child, "is of another level"));
                }
                changed.push((at, Below::Child(self.seal(&child)?)));
            }
        }
        Ok(changed)
    }

    fn seal_run(&self, pointer: &Pointer) -> Result<Pointer, StorageError> {
        let frame = self.store().load(pointer)?;
        Ok(self.finish(Pointer { checksum: Checksum::of(&frame), ..*pointer }, frame))
    }

    fn finish(&self, pointer: Pointer, frame: FrameRef) -> Pointer {
        self.sealed(&pointer, frame);
        pointer
    }
}

enum Below {
    Child(Pointer),
    Value(ValuePart<'static>),
}

/// The sealed form of a pointer to a tree page of these bytes, in which all pointers are sealed.
pub(super) fn sealed_page(pointer: &Pointer, bytes: &[u8]) -> Pointer {
    let node = Node::new(bytes);
    let flags = if node_holds_pointers(&node) { Pointer::HOLDS_POINTERS } else { 0 };
    Pointer { flags, size: rows(&node), checksum: Checksum::of(bytes), ..*pointer }
}

/// Whether the page, or one below it, holds pointers to runs or subtrees.
fn node_holds_pointers(node: &Node<'_>) -> bool {
    let below = !node.is_leaf() && (0..node.count()).any(|at| node.child(at).holds_pointers());
    below || node.holds_pointers()
}

/// Rows in the page and below it. Where values are sets, each of their members is one.
pub(crate) fn rows(node: &Node<'_>) -> u64 {
    let rows_of = |at| match node.sets() {
        _ if !node.is_leaf() => node.child(at).size,
        None => 1,
        Some(form) => members(&node.value(at), form),
    };
    (0..node.count()).fold(0, |sum: u64, at| sum.saturating_add(rows_of(at)))
}

fn members(value: &ValuePart<'_>, form: SetForm) -> u64 {
    match value {
        ValuePart::Inline(bytes) => ValueSet::new(bytes, form).count() as u64,
        ValuePart::Subtree(root) => root.size,
        _ => 0,
    }
}
