//! Reading a page.

use super::layout::{HEAD, HEADER, HOLDS_POINTERS, Header, KeyPart, Shape, Slot, ValuePart, chunk_of, usable};
use super::set::SetForm;
use crate::format::{PageNumber, Pointer};
use core::ops::Range;

/// What a pointer in a page leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PointerRole {
    Child,
    /// The run of a long key.
    Key,
    /// The run of a value.
    Value,
    Subtree,
    /// The root of a tree that belongs to somebody else: who walks what is linked does not follow it.
    Reference,
}

/// A page, seen. Once [`validate`](Node::validate) has accepted the bytes, all that is within `count` is there; of
/// other bytes it gives something, without a panic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    /// The usable part of the page.
    bytes: &'a [u8],
    /// The page again, or a copy of its start that has all of its arrays.
    front: &'a [u8],
    pub(super) header: Header,
}

impl<'a> Node<'a> {
    #[inline]
    pub(crate) fn new(page: &'a [u8]) -> Self {
        let bytes = page.get(..usable(page.len())).unwrap_or_default();
        Self { bytes, front: bytes, header: Header::read(bytes) }
    }

    /// A page that has a copy of its start elsewhere, as long as [`front_len`](Self::front_len) at least. Records alone
    /// are read from the page itself.
    #[inline]
    pub(crate) fn with_front(page: &'a [u8], front: &'a [u8]) -> Self {
        let bytes = page.get(..usable(page.len())).unwrap_or_default();
        Self { bytes, front, header: Header::read(front) }
    }

    /// Bytes from the page's start to the end of its arrays.
    pub(crate) fn front_len(&self) -> usize {
        self.header.arrays_end()
    }

    #[inline]
    pub(crate) fn is_leaf(&self) -> bool {
        !self.header.branch
    }

    #[inline]
    pub(crate) fn level(&self) -> u8 {
        self.header.level
    }

    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.header.count
    }

    pub(crate) fn shape(&self) -> Shape {
        self.header.shape()
    }

    /// How the sets of the page are laid out, if its values are sets.
    pub(crate) fn sets(&self) -> Option<SetForm> {
        self.header.sets()
    }

    #[inline]
    pub(crate) fn head(&self, at: usize) -> u64 {
        self.heads().get(at).map(|head| u64::from_le_bytes(*head)).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn key(&self, at: usize) -> KeyPart<'a> {
        let slot = self.slot(at);
        let lead = self.slice(slot.offset, slot.lead_len());
        if slot.is_long_key() {
            KeyPart::Long { stub: lead, run: self.pointer_at(slot.offset + slot.lead_len()) }
        } else {
            KeyPart::Inline(lead)
        }
    }

    /// The first bytes of an entry's key: all of them if it is inline.
    #[inline]
    pub(crate) fn key_lead(&self, at: usize) -> &'a [u8] {
        let slot = self.slot(at);
        self.slice(slot.offset, slot.lead_len())
    }

    #[inline]
    pub(crate) fn value(&self, at: usize) -> ValuePart<'a> {
        let slot = self.slot(at);
        let part = self.slice(slot.offset + slot.key_len(), slot.value_len());
        if slot.is_plain_value() { ValuePart::Inline(part) } else { slot.special_value(part) }
    }

    /// Where an entry's key and value lie in the page, if both do.
    #[inline]
    pub(crate) fn inline_row(&self, at: usize) -> Option<(Range<usize>, Range<usize>)> {
        let slot = self.slot(at);
        let middle = slot.offset + slot.key_len();
        (!slot.is_long_key() && slot.is_plain_value()).then(|| (slot.offset..middle, middle..middle + slot.value_len()))
    }

    /// Where an entry's value lies in the page, if it does.
    #[inline]
    pub(crate) fn inline_value(&self, at: usize) -> Option<Range<usize>> {
        let slot = self.slot(at);
        let start = slot.offset + slot.key_len();
        slot.is_plain_value().then(|| start..start + slot.value_len())
    }

    /// The page number of a child, without the rest of the pointer to it.
    #[inline]
    pub(crate) fn child_page(&self, at: usize) -> PageNumber {
        PageNumber::from_le_bytes(*self.place(at))
    }

    #[inline]
    fn place(&self, at: usize) -> &'a [u8; Pointer::PLACE] {
        self.chunk(self.header.places_at() + at * Pointer::PLACE)
    }

    #[inline]
    pub(crate) fn child(&self, at: usize) -> Pointer {
        let link = self.chunk(self.header.links_at() + at * Pointer::LINK);
        Pointer::decode_child(self.header.level.saturating_sub(1), self.place(at), link)
    }

    /// The bytes that all keys start with, as far as heads leave them out.
    #[inline]
    pub(crate) fn prefix(&self) -> &'a [u8] {
        match self.header.prefix_len {
            // Not `&[]`: a comparison of no bytes at a dangling address takes glibc's AVX-512 `memcmp` 100 ns.
            0 => self.slice(0, 0),
            len => self.key_lead(0).get(..len).unwrap_or_default(),
        }
    }

    /// Bytes that new entries can take, if need be after a compaction.
    #[inline]
    pub(crate) fn free_space(&self) -> usize {
        self.header.free_space()
    }

    /// Bytes that an entry takes, in the arrays and of records.
    #[inline]
    pub(crate) fn entry_size(&self, at: usize) -> usize {
        self.header.entry_width() + self.slot(at).len()
    }

    /// Whether an entry, or a page below, holds or held a pointer to a run or subtree. Never wrongly false.
    pub(crate) fn holds_pointers(&self) -> bool {
        let own = self.header.flags & HOLDS_POINTERS != 0;
        own || self.children().any(|child| child.holds_pointers())
    }

    /// Every pointer in the page.
    pub(crate) fn pointers(self) -> impl Iterator<Item = (PointerRole, Pointer)> + 'a {
        let children = self.children().map(|child| (PointerRole::Child, child));
        let entries = if self.header.flags & HOLDS_POINTERS != 0 { self.header.count } else { 0 };
        children.chain((0..entries).flat_map(move |at| self.entry_pointers(at)))
    }

    fn entry_pointers(&self, at: usize) -> impl Iterator<Item = (PointerRole, Pointer)> + use<> {
        let key = match self.key(at) {
            KeyPart::Inline(_) => None,
            KeyPart::Long { run, .. } => Some((PointerRole::Key, run)),
        };
        let value = match self.value(at) {
            ValuePart::Inline(_) | ValuePart::Packed(..) => None,
            ValuePart::Run(run) | ValuePart::PackedRun(_, run) => Some((PointerRole::Value, run)),
            ValuePart::Subtree(root) => Some((PointerRole::Subtree, root)),
            ValuePart::Reference(root) => Some((PointerRole::Reference, root)),
        };
        key.into_iter().chain(value)
    }

    /// The heads that a search looks at: not that of a branch's last entry.
    #[inline]
    pub(super) fn keyed_heads(&self) -> &'a [[u8; HEAD]] {
        self.heads().get(..self.header.keyed()).unwrap_or_default()
    }

    /// The slot of an entry; an empty record's if it has no key.
    #[inline]
    pub(super) fn slot(&self, at: usize) -> Slot {
        if at >= self.header.keyed() {
            return Slot::new(self.bytes.len(), 0, 0);
        }
        let start = self.header.slots_at() + at * self.header.slot_width();
        Slot::read(&self.header, self.front.get(start..).unwrap_or_default(), self.bytes)
    }

    /// An entry's slot as it stands in the array, whether or not it has a key.
    pub(super) fn raw_slot(&self, at: usize) -> &'a [u8] {
        let width = self.header.slot_width();
        self.slots().get(at * width..(at + 1) * width).unwrap_or_default()
    }

    /// The arrays' parts that belong to the entries of `range`: heads, places, links, slots.
    pub(super) fn arrays(&self, range: &Range<usize>) -> [&'a [u8]; 4] {
        let part = |start: usize, width: usize| self.span(start + range.start * width, start + range.end * width);
        let header = &self.header;
        [
            part(HEADER, HEAD),
            part(header.places_at(), Pointer::PLACE),
            part(header.links_at(), Pointer::LINK),
            part(header.slots_at(), header.slot_width()),
        ]
    }

    /// The page from an entry's record on.
    #[inline]
    pub(crate) fn record_start(&self, at: usize) -> &'a [u8] {
        let offset = u16::from_le_bytes(*self.chunk(self.header.slots_at() + at * self.header.slot_width()));
        self.bytes.get(usize::from(offset)..).unwrap_or_default()
    }

    #[inline]
    pub(super) fn record(&self, slot: &Slot) -> &'a [u8] {
        self.slice(slot.offset, slot.len())
    }

    pub(super) fn usable(&self) -> usize {
        self.bytes.len()
    }

    fn children(self) -> impl Iterator<Item = Pointer> + 'a {
        (0..if self.header.branch { self.header.count } else { 0 }).map(move |at| self.child(at))
    }

    /// The page from its first head on, as if all of it were heads.
    #[inline]
    pub(super) fn heads_room(&self) -> &'a [[u8; HEAD]] {
        self.front.get(HEADER..).unwrap_or_default().as_chunks().0
    }

    #[inline]
    fn heads(&self) -> &'a [[u8; HEAD]] {
        self.span(HEADER, self.header.places_at()).as_chunks().0
    }

    #[inline]
    fn slots(&self) -> &'a [u8] {
        self.span(self.header.slots_at(), self.header.arrays_end())
    }

    #[inline]
    fn span(&self, from: usize, to: usize) -> &'a [u8] {
        self.front.get(from..to).unwrap_or_default()
    }

    #[inline]
    fn chunk<const N: usize>(&self, offset: usize) -> &'a [u8; N] {
        chunk_of(self.front, offset)
    }

    #[inline]
    fn slice(&self, offset: usize, len: usize) -> &'a [u8] {
        self.bytes.get(offset..offset + len).unwrap_or_default()
    }

    fn pointer_at(&self, offset: usize) -> Pointer {
        Pointer::decode(chunk_of(self.bytes, offset))
    }
}
