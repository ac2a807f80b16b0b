//! Counting rows by the row counts in pointers.

use super::cursor::is_empty;
use super::gap::Aim;
use super::get::child_of;
use super::kind::TreeKind;
use crate::error::StorageError;
use crate::format::Pointer;
use crate::format::node::Node;
use crate::pages::Store;
use core::ops::Bound;

/// How many rows a range has. Reads the pages at its two ends, and of those between only what is not sealed: such pages
/// are in memory.
pub(crate) fn count(
    store: &Store,
    kind: &TreeKind,
    root: Option<Pointer>,
    start: Bound<&[u8]>,
    end: Bound<&[u8]>,
) -> Result<u64, StorageError> {
    let Some(root) = root.filter(|_| !is_empty(kind, start, end)) else { return Ok(0) };
    let aim = |bound: Bound<&[u8]>, aim| (bound != Bound::Unbounded).then_some(aim);
    let (lower, upper) = (aim(start, Aim::lower(kind, start)), aim(end, Aim::upper(kind, end)));
    count_between(store, &root, lower.as_ref(), upper.as_ref())
}

/// Rows below `page` from one gap to another; `None` is the end of the page.
fn count_between(
    store: &Store,
    page: &Pointer,
    lower: Option<&Aim<'_>>,
    upper: Option<&Aim<'_>>,
) -> Result<u64, StorageError> {
    if lower.is_none() && upper.is_none() && page.is_sealed() {
        return Ok(page.size);
    }
    let frame = store.load(page)?;
    let node = Node::new(&frame);
    let place = |aim: &Aim<'_>| Ok::<_, StorageError>(aim.place(store, &node)?.0);
    let (from, to) = (lower.map_or(Ok(0), place)?, upper.map_or(Ok(node.count()), place)?);
    if node.is_leaf() {
        return Ok(to.saturating_sub(from) as u64);
    }
    (from..node.count().min(to + 1)).try_fold(0, |sum: u64, at| {
        let child = child_of(&node, at, page)?;
        let (lower, upper) = (lower.filter(|_| at == from), upper.filter(|_| at == to));
        Ok(sum.saturating_add(count_between(store, &child, lower, upper)?))
    })
}
