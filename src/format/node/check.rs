//! Whether bytes are a page.

use super::layout::{
    BYTE_ORDERED, FIXED_KEYS, FIXED_MEMBERS, FIXED_VALUES, HOLDS_POINTERS, Header, KeyPart, MAX_PREFIX, NO_KEY_HEAD,
    SETS, Slot, ValuePart, usable,
};
use super::search::{head_after, prefix_lead};
use super::set::{SetForm, ValueSet};
use super::view::Node;
use crate::format::Pointer;
use crate::limits::{MAX_PAGE_SIZE, MAX_TREE_LEVEL, MIN_PAGE_SIZE};
use alloc::vec::Vec;
use core::fmt::{Display, Formatter};

/// What is wrong with the bytes of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeFault {
    PageSize,
    Kind,
    Level,
    Flags,
    Width,
    Count,
    Arrays,
    Slot,
    DeadBytes,
    Overlap,
    LastChild,
    ChildPointer,
    EntryPointer,
    Set,
    Prefix,
    Head,
    HeadOrder,
}

impl Display for NodeFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::PageSize => "a tree page's size is no page size",
            Self::Kind => "a page is neither leaf nor branch",
            Self::Level => "a tree page's level does not suit its kind",
            Self::Flags => "a tree page's flags do not suit each other or what it holds",
            Self::Width => "a tree page's widths of keys or values do not suit its flags or size",
            Self::Count => "a branch page has no child",
            Self::Arrays => "a tree page's arrays, records and end overlap",
            Self::Slot => "a tree page's entry is not among its records",
            Self::DeadBytes => "a tree page's records and dead bytes do not add up",
            Self::Overlap => "a tree page's records lie over each other",
            Self::LastChild => "a branch page's last child has a bound",
            Self::ChildPointer => "a branch page's pointer to a child is damaged",
            Self::EntryPointer => "a tree page's entry has a damaged pointer",
            Self::Set => "a tree page's entry holds no set of values",
            Self::Prefix => "a tree page's keys do not share its prefix",
            Self::Head => "a tree page's entry has another key's head",
            Self::HeadOrder => "a tree page's heads are out of order",
        })
    }
}

fn ensure(holds: bool, fault: NodeFault) -> Result<(), NodeFault> {
    if holds { Ok(()) } else { Err(fault) }
}

impl Node<'_> {
    /// Whether `page`, which may hold anything, is a tree page. The order of keys beyond their heads is not checked,
    /// nor, where no value is packed, that records are apart from each other.
    pub(crate) fn validate(page: &[u8]) -> Result<(), NodeFault> {
        let size_allowed = page.len().is_power_of_two() && (MIN_PAGE_SIZE..=MAX_PAGE_SIZE).contains(&page.len());
        ensure(size_allowed, NodeFault::PageSize)?;
        ensure(Header::is_kind_known(page), NodeFault::Kind)?;
        let node = Node::new(page);
        check_header(&node.header, page)?;
        check_extents(&node)?;
        check_slots(&node)?;
        if node.header.branch {
            check_last_child(&node)?;
        }
        node.check_pointers()?;
        node.sets().map_or(Ok(()), |form| node.check_sets(form))?;
        node.check_heads()
    }

    fn check_pointers(&self) -> Result<(), NodeFault> {
        let level = self.level();
        for (_, child) in self.pointers().take(if self.is_leaf() { 0 } else { self.count() }) {
            let fits = is_known(&child) && !child.is_run() && child.level.checked_add(1) == Some(level);
            ensure(fits, NodeFault::ChildPointer)?;
        }
        (0..self.header.keyed()).try_for_each(|at| ensure(self.are_entry_pointers_sane(at), NodeFault::EntryPointer))
    }

    fn are_entry_pointers_sane(&self, at: usize) -> bool {
        let is_run = |pointer: &Pointer| is_known(pointer) && pointer.is_run() && pointer.level == 0;
        let key = match self.key(at) {
            KeyPart::Inline(_) => true,
            KeyPart::Long { run, .. } => is_run(&run),
        };
        let value = match self.value(at) {
            ValuePart::Inline(_) | ValuePart::Packed(..) => true,
            ValuePart::Run(run) | ValuePart::PackedRun(_, run) => is_run(&run),
            ValuePart::Subtree(root) | ValuePart::Reference(root) => {
                is_known(&root) && !root.is_run() && root.level <= MAX_TREE_LEVEL
            }
        };
        key && value
    }

    fn check_sets(&self, form: SetForm) -> Result<(), NodeFault> {
        let is_set = |at| match self.value(at) {
            ValuePart::Inline(bytes) => ValueSet::new(bytes, form).is_well_formed(),
            ValuePart::Subtree(_) => true,
            ValuePart::Packed(..) | ValuePart::Run(_) | ValuePart::PackedRun(..) | ValuePart::Reference(_) => false,
        };
        ensure((0..self.count()).all(is_set), NodeFault::Set)
    }

    fn check_heads(&self) -> Result<(), NodeFault> {
        let keyed = self.header.keyed();
        ensure((1..keyed).all(|at| self.head(at - 1) <= self.head(at)), NodeFault::HeadOrder)?;
        let prefix_len = self.header.prefix_len;
        if !self.header.byte_ordered() || keyed == 0 {
            return ensure(prefix_len == 0 && self.header.lead == 0, NodeFault::Prefix);
        }
        let prefix = self.prefix();
        ensure(prefix_len <= MAX_PREFIX && prefix.len() == prefix_len, NodeFault::Prefix)?;
        ensure(self.header.lead == prefix_lead(prefix, prefix_len), NodeFault::Prefix)?;
        for at in 0..keyed {
            let key = self.key_lead(at);
            ensure(key.starts_with(prefix), NodeFault::Prefix)?;
            ensure(self.head(at) == head_after(key, prefix_len), NodeFault::Head)?;
        }
        Ok(())
    }
}

fn is_known(pointer: &Pointer) -> bool {
    pointer.page != 0 && pointer.flags & !(Pointer::RUN | Pointer::HOLDS_POINTERS) == 0
}

fn check_header(header: &Header, page: &[u8]) -> Result<(), NodeFault> {
    let level = header.level;
    ensure(if header.branch { (1..=MAX_TREE_LEVEL).contains(&level) } else { level == 0 }, NodeFault::Level)?;
    let known = FIXED_KEYS | FIXED_VALUES | BYTE_ORDERED | HOLDS_POINTERS | SETS | FIXED_MEMBERS;
    ensure(header.flags & !known == 0, NodeFault::Flags)?;
    ensure(header.flags & SETS == 0 || !header.branch && header.flags & FIXED_VALUES == 0, NodeFault::Flags)?;
    ensure(header.flags & (SETS | FIXED_MEMBERS) != FIXED_MEMBERS, NodeFault::Flags)?;
    ensure(!header.branch || header.value_width() == Some(0), NodeFault::Width)?;
    let is_width = |fixed: Option<u16>, width: u16| match fixed {
        Some(_) => usize::from(width) < usable(page.len()),
        None => width == 0,
    };
    let keys = is_width(header.key_width(), header.key_width);
    let values = header.value_width().or(header.sets().and_then(|form| form.width));
    ensure(keys && is_width(values, header.value_width), NodeFault::Width)?;
    ensure(!header.branch || header.count >= 1, NodeFault::Count)
}

fn check_extents(node: &Node<'_>) -> Result<(), NodeFault> {
    let header = &node.header;
    ensure(header.arrays_end() <= header.records_start && header.records_start <= node.usable(), NodeFault::Arrays)
}

fn check_slots(node: &Node<'_>) -> Result<(), NodeFault> {
    let (mut live, mut pointers, mut packed) = (0, false, false);
    for at in 0..node.header.keyed() {
        let slot = node.slot(at);
        let inside = slot.offset >= node.header.records_start && slot.offset + slot.len() <= node.usable();
        ensure(inside, NodeFault::Slot)?;
        live += slot.len();
        pointers |= slot.holds_pointer();
        packed |= slot.is_packed_value();
    }
    ensure(live + node.header.dead == node.usable() - node.header.records_start, NodeFault::DeadBytes)?;
    ensure(!pointers || node.header.flags & HOLDS_POINTERS != 0, NodeFault::Flags)?;
    ensure(!packed || are_records_apart(node), NodeFault::Overlap)
}

/// A packed value's length stands in its record: where another lies over that, a change of one is a change of both, and
/// no count of the page is right any more.
fn are_records_apart(node: &Node<'_>) -> bool {
    let slots = (0..node.header.keyed()).map(|at| node.slot(at));
    let mut records: Vec<_> = slots.map(|slot| (slot.offset, slot.offset + slot.len())).collect();
    records.sort_unstable();
    records.iter().zip(records.iter().skip(1)).all(|((_, end), (next, _))| end <= next)
}

fn check_last_child(node: &Node<'_>) -> Result<(), NodeFault> {
    let last = node.header.keyed();
    let slot = Slot::decode(&node.header, node.raw_slot(last));
    let keyless = slot.offset == node.usable() && (slot.key_code == 0 || node.header.key_width().is_some());
    ensure(keyless && node.head(last) == NO_KEY_HEAD, NodeFault::LastChild)
}
