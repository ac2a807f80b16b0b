//! Merging a thin page with a neighbour.

use super::edit::{Step, TreeEditor, misfit};
use super::get::child_of;
use super::insert::NewKey;
use super::sink::ChangeSink;
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::{Node, NodeMut, PageOp};

impl<S: ChangeSink> TreeEditor<'_, S> {
    /// Puts `page`, the child that `parent`'s step took, together with a neighbour if both fit one page.
    pub(super) fn merge(&mut self, parent: &mut Step, page: Step) -> Result<(), StorageError> {
        let node = parent.node();
        let places = [Some(parent.at), parent.at.checked_sub(1)].into_iter().flatten();
        for left_at in places.filter(|left_at| left_at + 1 < node.count()) {
            let neighbour_at = if left_at == parent.at { left_at + 1 } else { left_at };
            let neighbour = child_of(&node, neighbour_at, &parent.pointer)?;
            let joint = NewKey::moved(&node, left_at);
            if self.fit_together(&page, &neighbour, &joint)? {
                return self.join(parent, page, left_at, neighbour, &joint);
            }
        }
        Ok(())
    }

    /// Puts `page` together with its neighbour; child `left_at` of `parent` is the left one of them.
    pub(super) fn join(
        &mut self,
        parent: &mut Step,
        page: Step,
        left_at: usize,
        neighbour: Pointer,
        joint: &NewKey<'_>,
    ) -> Result<(), StorageError> {
        let (left, right) = if left_at == parent.at {
            self.append(page, &neighbour, joint)?
        } else {
            let (pointer, left) = self.writer.make_mut(&neighbour, self.tree.class)?;
            let left = Step { pointer, page: left, at: 0 };
            self.append_page(left, &page.node(), page.pointer, joint)?
        };
        self.unlink(&right);
        if left.level == 0 {
            let taken = core::mem::replace(&mut parent.at, left_at);
            self.unlink_key(parent)?;
            parent.at = taken;
        }
        parent.must(&PageOp::SetChild { at: left_at + 1, child: left })?;
        parent.must(&PageOp::Remove { at: left_at })
    }

    pub(super) fn fit_together(
        &self,
        page: &Step,
        neighbour: &Pointer,
        joint: &NewKey<'_>,
    ) -> Result<bool, StorageError> {
        let capacity = self.tree.kind.capacity();
        let frame = self.writer.store().load(neighbour)?;
        let used = |node: &Node<'_>| capacity.saturating_sub(node.free_space());
        let joint = if neighbour.level > 0 { joint.part().stored_len() } else { 0 };
        Ok(used(&page.node()) + used(&Node::new(&frame)) + joint <= capacity)
    }

    fn append(&self, left: Step, right: &Pointer, joint: &NewKey<'_>) -> Result<(Pointer, Pointer), StorageError> {
        let frame = self.writer.store().load(right)?;
        self.append_page(left, &Node::new(&frame), *right, joint)
    }

    fn append_page(
        &self,
        mut left: Step,
        right: &Node<'_>,
        right_pointer: Pointer,
        joint: &NewKey<'_>,
    ) -> Result<(Pointer, Pointer), StorageError> {
        let joint = (!right.is_leaf()).then(|| (joint.head, joint.part()));
        NodeMut::new(left.page.bytes_mut())
            .append_from(right, 0..right.count(), joint)
            .map_err(|err| misfit(&left.pointer, err))?;
        Ok((left.pointer, right_pointer))
    }
}
