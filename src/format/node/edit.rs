//! Changing a page.

use super::layout::{HEAD, HEADER, Header, KeyPart, MAX_PREFIX, STUB, Shape, Slot, ValuePart, narrow, put, usable};
use super::room::{ensure_room, pointer_flag};
use super::search::{common_prefix, head_after, prefix_lead};
use super::view::Node;
use crate::format::Pointer;
use core::fmt::{Display, Formatter};
use core::ops::Range;

/// A change of a page. Whatever heads it has count only if keys are not in byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageOp<'a> {
    /// Leaf: a new entry before entry `at`, or at the end.
    Insert { at: usize, head: u64, key: KeyPart<'a>, value: ValuePart<'a> },
    /// Branch: a new child before child `at`, or at the end. `key` is the separator of the new child and the one
    /// after it; at the end, of the new child and the one before it. The first child's key is ignored.
    InsertChild { at: usize, head: u64, key: KeyPart<'a>, child: Pointer },
    /// Leaf or branch: entry `at` goes. If it was a branch's last, the one before it becomes the last and loses its
    /// key.
    Remove { at: usize },
    /// Leaf or branch: the run of a long key lies elsewhere.
    SetKeyRun { at: usize, run: Pointer },
    /// Leaf: another value.
    SetValue { at: usize, value: ValuePart<'a> },
    /// Branch: another child.
    SetChild { at: usize, child: Pointer },
    /// Leaf or branch: only the first `count` entries stay. A branch's new last child loses its key.
    Truncate { count: usize },
}

/// Why a change was not made. The page holds what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EditError {
    /// There is no room, even after a compaction.
    PageFull,
    /// The page's kind, shape or count does not allow it.
    Misfit,
}

impl Display for EditError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::PageFull => "a tree page has no room for a change",
            Self::Misfit => "a change does not fit the tree page it is for",
        })
    }
}

/// A page, being changed.
#[derive(Debug)]
pub(crate) struct NodeMut<'a> {
    /// The usable part of the page.
    pub(super) bytes: &'a mut [u8],
}

impl<'a> NodeMut<'a> {
    /// A page that was validated, or made by [`init`](Self::init).
    #[inline]
    pub(crate) fn new(page: &'a mut [u8]) -> Self {
        let end = usable(page.len());
        Self { bytes: page.get_mut(..end).unwrap_or_default() }
    }

    /// Makes `page` a page without entries: a leaf if `level` is 0. Only the header is written.
    pub(crate) fn init(page: &'a mut [u8], level: u8, shape: Shape) -> Self {
        let node = Self::new(page);
        Header::new(node.bytes.len(), level, shape).write(node.bytes);
        node
    }

    #[inline]
    pub(crate) fn view(&self) -> Node<'_> {
        Node::new(self.bytes)
    }

    /// Makes a change. All changes of a page that others may know go through here.
    #[inline]
    pub(crate) fn apply(&mut self, op: &PageOp<'_>) -> Result<(), EditError> {
        let mut header = Header::read(self.bytes);
        match op {
            PageOp::Insert { at, head, key, value } => self.insert(&mut header, *at, *head, key, value)?,
            PageOp::InsertChild { at, head, key, child } => self.insert_child(&mut header, *at, *head, key, child)?,
            PageOp::Remove { at } => self.remove(&mut header, *at)?,
            PageOp::SetKeyRun { at, run } => self.set_key_run(&header, *at, run)?,
            PageOp::SetValue { at, value } => self.set_value(&mut header, *at, value)?,
            PageOp::SetChild { at, child } => self.set_child(&header, *at, child)?,
            PageOp::Truncate { count } => self.truncate(&mut header, *count)?,
        }
        header.write(self.bytes);
        Ok(())
    }

    /// Puts `range` of `src`, which has the same level and shape, behind the last entry. If both this page and
    /// `range` have children, `joint` is the head and key that separate them.
    pub(crate) fn append_from(
        &mut self,
        src: &Node<'_>,
        range: Range<usize>,
        joint: Option<(u64, KeyPart<'_>)>,
    ) -> Result<(), EditError> {
        let mut header = Header::read(self.bytes);
        let alike = header.level == src.level() && header.shape() == src.shape();
        ensure(alike && range.start <= range.end && range.end <= src.count())?;
        if range.is_empty() {
            return Ok(());
        }
        let joint = joint.filter(|_| header.branch && header.count > 0);
        ensure(joint.is_some() || !header.branch || header.count == 0)?;
        ensure(joint.is_none_or(|(_, key)| key.fits(header.key_width())))?;
        self.append(&mut header, src, range, joint)?;
        header.write(self.bytes);
        Ok(())
    }

    /// Makes the prefix as long as the keys allow, so that heads tell more keys apart.
    pub(crate) fn widen_prefix(&mut self) {
        let mut header = Header::read(self.bytes);
        if !header.byte_ordered() || header.keyed() == 0 {
            return;
        }
        let node = self.view();
        // Keys are in byte order, so what the first and last share, all share.
        let shared = common_prefix(node.key_lead(0), node.key_lead(header.keyed() - 1)).min(MAX_PREFIX);
        if shared != header.prefix_len {
            self.set_prefix(&mut header, shared);
            header.write(self.bytes);
        }
    }
}

fn ensure(fits: bool) -> Result<(), EditError> {
    if fits { Ok(()) } else { Err(EditError::Misfit) }
}

/// The changes. Each leaves it to its caller to write the header.
impl NodeMut<'_> {
    #[inline]
    fn insert(
        &mut self,
        header: &mut Header,
        at: usize,
        head: u64,
        key: &KeyPart<'_>,
        value: &ValuePart<'_>,
    ) -> Result<(), EditError> {
        ensure(!header.branch && at <= header.count)?;
        ensure(key.fits(header.key_width()) && value.fits(header.value_width()))?;
        self.make_room(header, header.entry_width() + key.stored_len() + value.stored_len())?;
        // A key between two others shares their prefix.
        if at == 0 || at == header.count {
            self.fit_prefix(header, key);
        }
        self.open(header, at, 1);
        header.count += 1;
        self.put_entry(header, at, head, key, value);
        Ok(())
    }

    fn insert_child(
        &mut self,
        header: &mut Header,
        at: usize,
        head: u64,
        key: &KeyPart<'_>,
        child: &Pointer,
    ) -> Result<(), EditError> {
        let first = header.count == 0;
        ensure(header.branch && at <= header.count && (first || key.fits(header.key_width())))?;
        let key_len = if first { 0 } else { key.stored_len() };
        self.make_room(header, header.entry_width() + key_len)?;
        if !first {
            self.fit_prefix(header, key);
        }
        self.open(header, at, 1);
        header.count += 1;
        self.put_child(header, at, child);
        if at + 1 < header.count {
            self.put_entry(header, at, head, key, &ValuePart::Inline(&[]));
        } else {
            self.put_keyless(header, at);
            if at > 0 {
                self.put_entry(header, at - 1, head, key, &ValuePart::Inline(&[]));
            }
        }
        Ok(())
    }

    fn remove(&mut self, header: &mut Header, at: usize) -> Result<(), EditError> {
        ensure(at < header.count)?;
        self.release(header, at);
        self.close(header, at, 1);
        header.count -= 1;
        self.settle_end(header);
        Ok(())
    }

    fn truncate(&mut self, header: &mut Header, count: usize) -> Result<(), EditError> {
        ensure(count <= header.count)?;
        if count == header.count {
            return Ok(());
        }
        (count..header.keyed()).for_each(|at| self.release(header, at));
        self.close(header, count, header.count - count);
        header.count = count;
        self.settle_end(header);
        Ok(())
    }

    fn set_value(&mut self, header: &mut Header, at: usize, value: &ValuePart<'_>) -> Result<(), EditError> {
        ensure(!header.branch && at < header.count && value.fits(header.value_width()))?;
        let old = self.slot(header, at);
        let new_len = old.key_len() + value.stored_len();
        ensure_room(header.free_space() + old.len() >= new_len)?;
        let offset = self.resize(header, at, new_len, old.key_len());
        self.put_slot(header, at, &Slot { offset, value_code: value.code(), ..old });
        if let Some(room) = self.room(offset + old.key_len(), value.stored_len()) {
            value.write(room);
        }
        header.flags |= pointer_flag(value.is_pointer());
        Ok(())
    }

    fn set_key_run(&mut self, header: &Header, at: usize, run: &Pointer) -> Result<(), EditError> {
        let slot = self.slot(header, at);
        ensure(at < header.keyed() && slot.is_long_key())?;
        put(self.bytes, slot.offset + STUB, &run.encode());
        Ok(())
    }

    fn set_child(&mut self, header: &Header, at: usize, child: &Pointer) -> Result<(), EditError> {
        ensure(header.branch && at < header.count)?;
        self.put_child(header, at, child);
        Ok(())
    }

    fn append(
        &mut self,
        header: &mut Header,
        src: &Node<'_>,
        range: Range<usize>,
        joint: Option<(u64, KeyPart<'_>)>,
    ) -> Result<(), EditError> {
        // A branch's last entry loses its key.
        let keyed = range.start..range.end - usize::from(header.branch);
        self.ensure_order(header, src, &keyed, joint)?;
        let records: usize = keyed.clone().map(|at| src.slot(at).len()).sum();
        let joint_len = joint.map_or(0, |(_, key)| key.stored_len());
        self.make_room(header, range.len() * header.entry_width() + records + joint_len)?;
        self.fit_prefix_to(header, src, &keyed, joint.map(|(_, key)| key));
        let first = header.count;
        self.open(header, first, range.len());
        header.count += range.len();
        if let Some((head, key)) = joint {
            self.put_entry(header, first - 1, head, &key, &ValuePart::Inline(&[]));
        }
        let [heads, places, links, slots] = src.arrays(&range);
        put(self.bytes, HEADER + first * HEAD, heads);
        if header.branch {
            put(self.bytes, header.places_at() + first * Pointer::PLACE, places);
            put(self.bytes, header.links_at() + first * Pointer::LINK, links);
        }
        put(self.bytes, header.slots_at() + first * header.slot_width(), slots);
        self.copy_records(header, first, src, keyed.clone());
        if header.prefix_len != src.header.prefix_len {
            self.recompute_heads(header, first..first + keyed.len());
        }
        if header.branch {
            self.put_keyless(header, header.count - 1);
        }
        Ok(())
    }

    /// What is appended comes behind what is here; in a damaged file it may not, and the page could not be read again.
    fn ensure_order(
        &self,
        header: &Header,
        src: &Node<'_>,
        keyed: &Range<usize>,
        joint: Option<(u64, KeyPart<'_>)>,
    ) -> Result<(), EditError> {
        let own = self.view();
        let last = header.keyed().checked_sub(1).map(|at| (own.head(at), own.key_lead(at)));
        let joint = joint.as_ref().map(|(head, key)| (*head, key.lead()));
        let first = (!keyed.is_empty()).then(|| (src.head(keyed.start), src.key_lead(keyed.start)));
        let mut ends = [last, joint, first].into_iter().flatten().peekable();
        while let (Some((head, lead)), Some((next_head, next_lead))) = (ends.next(), ends.peek()) {
            // Of a long key there is no more than a stub, which its inline neighbours may go beyond.
            let [lead, next_lead] = [lead, *next_lead].map(|lead| lead.get(..STUB).unwrap_or(lead));
            ensure(if header.byte_ordered() { lead <= next_lead } else { head <= *next_head })?;
        }
        Ok(())
    }

    /// Shortens the prefix to what is shared with `key`, too.
    #[inline]
    fn fit_prefix(&mut self, header: &mut Header, key: &KeyPart<'_>) {
        if header.prefix_len > 0 && !key.lead().starts_with(self.view().prefix()) {
            let shared = common_prefix(self.view().prefix(), key.lead());
            self.set_prefix(header, shared);
        }
    }

    /// Makes the prefix one that is shared with `joint` and the keys of `src` in `keyed`, too.
    fn fit_prefix_to(&mut self, header: &mut Header, src: &Node<'_>, keyed: &Range<usize>, joint: Option<KeyPart<'_>>) {
        if !header.byte_ordered() {
            return;
        }
        let own = header.keyed() > 0;
        let node = self.view();
        let prefix = match (own, keyed.is_empty()) {
            (true, _) => node.prefix(),
            (false, false) => src.prefix(),
            (false, true) => &[],
        };
        // What the first and last share, those between share.
        let ends = [keyed.start, keyed.end.saturating_sub(1)].map(|at| (!keyed.is_empty()).then(|| src.key_lead(at)));
        let leads = ends.into_iter().flatten().chain(joint.iter().map(KeyPart::lead));
        let shared = leads.fold(prefix.len(), |shared, lead| shared.min(common_prefix(prefix, lead)));
        let lead = prefix_lead(prefix, shared);
        if own && shared != header.prefix_len {
            self.set_prefix(header, shared);
        }
        header.prefix_len = shared;
        header.lead = lead;
    }

    fn set_prefix(&mut self, header: &mut Header, len: usize) {
        header.prefix_len = len;
        header.lead = prefix_lead(self.view().key_lead(0), len);
        self.recompute_heads(header, 0..header.keyed());
    }

    fn recompute_heads(&mut self, header: &Header, range: Range<usize>) {
        for at in range {
            let slot = self.slot(header, at);
            let lead = self.bytes.get(slot.offset..slot.offset + slot.lead_len()).unwrap_or_default();
            let head = head_after(lead, header.prefix_len);
            put(self.bytes, HEADER + at * HEAD, &head.to_le_bytes());
        }
    }

    fn copy_records(&mut self, header: &mut Header, first: usize, src: &Node<'_>, keyed: Range<usize>) {
        let slots_at = header.slots_at() + first * header.slot_width();
        for (nth, at) in keyed.enumerate() {
            let slot = src.slot(at);
            let offset = self.place(header, slot.len());
            put(self.bytes, offset, src.record(&slot));
            put(self.bytes, slots_at + nth * header.slot_width(), &narrow(offset).to_le_bytes());
            header.flags |= pointer_flag(slot.holds_pointer());
        }
    }
}
