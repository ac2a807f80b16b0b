//! Room for entries: gaps in the arrays, places for records.
//!
//! While a change is under way its [`Header`] is the truth, and the one in the page is what it was before.

use super::edit::{EditError, NodeMut};
use super::layout::{HEAD, HEADER, HOLDS_POINTERS, Header, KeyPart, NO_KEY_HEAD, Slot, ValuePart, put};
use super::search::head_after;
use crate::format::Pointer;

#[inline]
pub(super) fn ensure_room(enough: bool) -> Result<(), EditError> {
    if enough { Ok(()) } else { Err(EditError::PageFull) }
}

#[inline]
pub(super) fn pointer_flag(holds_pointer: bool) -> u8 {
    if holds_pointer { HOLDS_POINTERS } else { 0 }
}

#[inline]
fn slot_in(header: &Header, page: &[u8], at: usize) -> Slot {
    let offset = header.slots_at() + at * header.slot_width();
    Slot::read(header, page.get(offset..).unwrap_or_default(), page)
}

impl NodeMut<'_> {
    /// Makes `need` bytes free in one piece.
    #[inline]
    pub(super) fn make_room(&mut self, header: &mut Header, need: usize) -> Result<(), EditError> {
        if header.contiguous_free() < need {
            ensure_room(header.free_space() >= need)?;
            self.compact(header, None);
        }
        Ok(())
    }

    /// Moves all records to the page's end, but not the record of `skip`, which is given up.
    #[cold]
    fn compact(&mut self, header: &mut Header, skip: Option<usize>) {
        let old = self.bytes.to_vec();
        (header.records_start, header.dead) = (self.bytes.len(), 0);
        header.flags &= !HOLDS_POINTERS;
        for at in 0..header.keyed() {
            let slot = slot_in(header, &old, at);
            header.flags |= pointer_flag(slot.holds_pointer());
            if Some(at) != skip {
                let offset = self.place(header, slot.len());
                put(self.bytes, offset, old.get(slot.offset..slot.offset + slot.len()).unwrap_or_default());
                self.put_slot(header, at, &Slot { offset, ..slot });
            }
        }
    }

    /// A place of `new_len` bytes for the record of entry `at`; the first `keep` bytes are the old record's. There
    /// must be room, counting the old record's.
    pub(super) fn resize(&mut self, header: &mut Header, at: usize, new_len: usize, keep: usize) -> usize {
        let old = self.slot(header, at);
        if new_len == 0 {
            self.release(header, at);
            return self.bytes.len();
        }
        if new_len <= old.len() {
            header.dead += old.len() - new_len;
            return old.offset;
        }
        if header.contiguous_free() >= new_len {
            let offset = self.place(header, new_len);
            self.shift(old.offset, old.offset + keep, offset);
            // Not the lowest record any more, so that its bytes are dead rather than free.
            header.dead += old.len();
            return offset;
        }
        let kept = self.bytes.get(old.offset..old.offset + keep).unwrap_or_default().to_vec();
        self.release(header, at);
        self.compact(header, Some(at));
        let offset = self.place(header, new_len);
        put(self.bytes, offset, &kept);
        offset
    }

    /// The place of a new record, for which there is room in one piece.
    #[inline]
    pub(super) fn place(&self, header: &mut Header, len: usize) -> usize {
        // An empty record must not stand where a removal may move the records' start.
        if len == 0 {
            return self.bytes.len();
        }
        header.records_start = header.records_start.saturating_sub(len);
        header.records_start
    }

    /// Gives up the record of entry `at`.
    #[inline]
    pub(super) fn release(&mut self, header: &mut Header, at: usize) {
        let slot = self.slot(header, at);
        if slot.offset == self.bytes.len() {
            return;
        }
        if slot.offset == header.records_start {
            header.records_start += slot.len();
        } else {
            header.dead += slot.len();
        }
    }

    /// Makes a gap of `n` entries before entry `at` in all arrays. The header's count is still the old.
    #[inline]
    pub(super) fn open(&mut self, header: &Header, at: usize, n: usize) {
        let slots = header.slots_at() + at * header.slot_width();
        self.shift(slots, header.arrays_end(), slots + n * header.entry_width());
        // The tail of one array and the start of the next move alike.
        let (mut end, mut widths) = (slots, header.entry_width() - header.slot_width());
        for width in header.widths().iter().rev() {
            let start = HEADER + header.count * (widths - width) + at * width;
            self.shift(start, end, start + n * widths);
            (end, widths) = (start, widths - width);
        }
    }

    /// Takes `n` entries from `at` out of all arrays. The header's count is still the old.
    #[inline]
    pub(super) fn close(&mut self, header: &Header, at: usize, n: usize) {
        let mut start = HEADER + (at + n) * HEAD;
        let mut widths = 0;
        for (nth, width) in header.widths().iter().enumerate() {
            widths += width;
            let next_width = header.widths().get(nth + 1).copied().unwrap_or(header.slot_width());
            let next = HEADER + header.count * widths + at * next_width;
            self.shift(start, next, start - n * widths);
            start = next + n * next_width;
        }
        self.shift(start, header.arrays_end(), start - n * header.entry_width());
    }

    /// Writes child `at`.
    #[inline]
    pub(super) fn put_child(&mut self, header: &Header, at: usize, child: &Pointer) {
        put(self.bytes, header.places_at() + at * Pointer::PLACE, &child.encode_place());
        put(self.bytes, header.links_at() + at * Pointer::LINK, &child.encode_link());
    }

    /// After entries were removed: a branch's last entry loses its key, and a page without keys has no records.
    #[inline]
    pub(super) fn settle_end(&mut self, header: &mut Header) {
        if header.branch && header.count > 0 {
            self.release(header, header.count - 1);
            self.put_keyless(header, header.count - 1);
        }
        if header.keyed() == 0 {
            (header.records_start, header.dead, header.prefix_len) = (self.bytes.len(), 0, 0);
        }
    }

    /// Fills the gap at `at` with an entry, placing its record.
    #[inline]
    pub(super) fn put_entry(
        &mut self,
        header: &mut Header,
        at: usize,
        head: u64,
        key: &KeyPart<'_>,
        value: &ValuePart<'_>,
    ) {
        let offset = self.place(header, key.stored_len() + value.stored_len());
        self.put_head(header, at, head, key);
        self.put_record(header, at, offset, key, value);
    }

    #[inline]
    pub(super) fn put_record(
        &mut self,
        header: &mut Header,
        at: usize,
        offset: usize,
        key: &KeyPart<'_>,
        value: &ValuePart<'_>,
    ) {
        let (key_len, value_len) = (key.stored_len(), value.stored_len());
        self.put_slot(header, at, &Slot::new(offset, key.code(), value.code()));
        header.flags |= pointer_flag(key.is_pointer() | value.is_pointer());
        if let Some((key_room, value_room)) =
            self.room(offset, key_len + value_len).and_then(|room| room.split_at_mut_checked(key_len))
        {
            key.write(key_room);
            value.write(value_room);
        }
    }

    #[inline]
    pub(super) fn put_head(&mut self, header: &Header, at: usize, head: u64, key: &KeyPart<'_>) {
        let head = if header.byte_ordered() { head_after(key.lead(), header.prefix_len) } else { head };
        put(self.bytes, HEADER + at * HEAD, &head.to_le_bytes());
    }

    /// Makes `at`, which has no record, a branch's last entry.
    pub(super) fn put_keyless(&mut self, header: &Header, at: usize) {
        put(self.bytes, HEADER + at * HEAD, &NO_KEY_HEAD.to_le_bytes());
        self.put_slot(header, at, &Slot::new(self.bytes.len(), 0, 0));
    }

    #[inline]
    pub(super) fn put_slot(&mut self, header: &Header, at: usize, slot: &Slot) {
        slot.write(header, self.bytes, header.slots_at() + at * header.slot_width());
    }

    /// The slot of an entry. A branch's last has one only with an offset that means no record.
    #[inline]
    pub(super) fn slot(&self, header: &Header, at: usize) -> Slot {
        slot_in(header, self.bytes, at)
    }

    #[inline]
    pub(super) fn room(&mut self, at: usize, len: usize) -> Option<&mut [u8]> {
        self.bytes.get_mut(at..at + len)
    }

    /// Moves `from..to`, which in a valid page is in bounds and stays there.
    #[inline]
    fn shift(&mut self, from: usize, to: usize, dest: usize) {
        let inside = from <= to && to <= self.bytes.len() && dest <= self.bytes.len() - (to - from);
        debug_assert!(inside);
        if inside {
            self.bytes.copy_within(from..to, dest);
        }
    }
}
