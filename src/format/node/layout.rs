//! Where everything in a page stands, and what a slot's codes mean.

use super::set::SetForm;
use crate::compression::Packing;
use crate::format::Pointer;
use crate::limits::{MAX_PAGE_SIZE, MIN_PAGE_SIZE};

/// Bytes of a long key that stay in the page.
pub(crate) const STUB: usize = 64;
/// Longest shared prefix. The head that follows it still lies within a stub.
pub(super) const MAX_PREFIX: usize = STUB - HEAD;
/// Small enough for two rows of 2,000 bytes, with keys of 24, in a page of 4,096.
pub(super) const HEADER: usize = 20;
/// Bytes of the prefix that stand in the header.
pub(super) const LEAD: usize = 6;
pub(super) const HEAD: usize = 8;
/// Bytes of a child: its place, and the rest of the pointer to it.
const CHILD: usize = Pointer::PLACE + Pointer::LINK;
/// Head of a branch's last entry.
pub(super) const NO_KEY_HEAD: u64 = u64::MAX;

pub(super) const FIXED_KEYS: u8 = 1;
pub(super) const FIXED_VALUES: u8 = 2;
pub(super) const BYTE_ORDERED: u8 = 4;
pub(super) const HOLDS_POINTERS: u8 = 8;
pub(super) const SETS: u8 = 16;
pub(super) const FIXED_MEMBERS: u8 = 32;

const LONG_KEY: u16 = 0xFFFF;
const RUN_VALUE: u16 = 0xFFFF;
const SUBTREE_VALUE: u16 = 0xFFFE;
const REFERENCE_VALUE: u16 = 0xFFFD;
const PACKED_RUN_VALUE: u16 = 0xFFFC;
const PACKED_VALUE: u16 = 0xFFFB;

/// Bytes before those of a value that is packed in the page: their number, and how it was packed.
const PACKED_HEADER: usize = 2 + Packing::SIZE;

const KIND_LEAF: u8 = 1;
pub(super) const KIND_BRANCH: u8 = 2;

/// Bytes of a page that nodes use: as many as a `u16` can tell apart from every code.
pub(crate) const fn usable(page_size: usize) -> usize {
    const MOST: usize = 65_528;
    if page_size < MOST { page_size } else { MOST }
}

/// Bytes that the entries of a page may take together.
pub(crate) const fn capacity(page_size: usize) -> usize {
    usable(page_size).saturating_sub(HEADER)
}

const _: () = assert!(usable(MAX_PAGE_SIZE) < PACKED_VALUE as usize);
const _: () = assert!(capacity(MIN_PAGE_SIZE) > 3 * (CHILD + HEAD + 4 + STUB + Pointer::SIZE));
const _: () = assert!(MAX_PREFIX + HEAD <= STUB && MAX_PREFIX <= u8::MAX as usize);

/// What a page holds of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyPart<'a> {
    Inline(&'a [u8]),
    /// `stub` is the key's first [`STUB`] bytes, `run` holds all of it.
    Long {
        stub: &'a [u8],
        run: Pointer,
    },
}

/// What a page holds of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValuePart<'a> {
    Inline(&'a [u8]),
    /// Bytes that unpack to the value.
    Packed(Packing, &'a [u8]),
    Run(Pointer),
    /// A run of bytes that unpack to the value.
    PackedRun(Packing, Pointer),
    Subtree(Pointer),
    /// The root of a tree that belongs to somebody else.
    Reference(Pointer),
}

impl<'a> KeyPart<'a> {
    /// Bytes in the record.
    #[inline]
    pub(crate) fn stored_len(&self) -> usize {
        match self {
            Self::Inline(bytes) => bytes.len(),
            Self::Long { .. } => STUB + Pointer::SIZE,
        }
    }

    /// The key's first bytes: all of them if it is inline.
    #[inline]
    pub(crate) fn lead(&self) -> &'a [u8] {
        match self {
            Self::Inline(bytes) => bytes,
            Self::Long { stub, .. } => stub,
        }
    }

    #[inline]
    pub(super) fn code(&self) -> u16 {
        match self {
            Self::Inline(bytes) => narrow(bytes.len()),
            Self::Long { .. } => LONG_KEY,
        }
    }

    #[inline]
    pub(super) fn is_pointer(&self) -> bool {
        matches!(self, Self::Long { .. })
    }

    #[inline]
    pub(super) fn fits(&self, width: Option<u16>) -> bool {
        match self {
            Self::Inline(bytes) => width.is_none_or(|width| bytes.len() == usize::from(width)),
            Self::Long { stub, .. } => width.is_none() && stub.len() == STUB,
        }
    }

    /// `room` is as long as the part.
    #[inline]
    pub(super) fn write(&self, room: &mut [u8]) {
        match self {
            Self::Inline(bytes) => put(room, 0, bytes),
            Self::Long { stub, run } => {
                put(room, 0, stub);
                put(room, STUB, &run.encode());
            }
        }
    }
}

impl ValuePart<'_> {
    /// Bytes in the record.
    #[inline]
    pub(crate) fn stored_len(&self) -> usize {
        match self {
            Self::Inline(bytes) => bytes.len(),
            Self::Packed(_, bytes) => PACKED_HEADER + bytes.len(),
            Self::PackedRun(..) => Pointer::SIZE + Packing::SIZE,
            Self::Run(_) | Self::Subtree(_) | Self::Reference(_) => Pointer::SIZE,
        }
    }

    /// Bytes in the record of a value that was packed into so many.
    pub(crate) fn packed_len(block: usize) -> usize {
        PACKED_HEADER + block
    }

    /// What the row owns, a run or a tree, if it owns anything.
    pub(crate) fn owned(&self) -> Option<Pointer> {
        match self {
            Self::Run(pointer) | Self::PackedRun(_, pointer) | Self::Subtree(pointer) => Some(*pointer),
            Self::Inline(_) | Self::Packed(..) | Self::Reference(_) => None,
        }
    }

    /// The same with another pointer, if it has one.
    pub(crate) fn pointing_to(&self, pointer: Pointer) -> Option<ValuePart<'static>> {
        match self {
            Self::Inline(_) | Self::Packed(..) => None,
            Self::Run(_) => Some(ValuePart::Run(pointer)),
            Self::PackedRun(packing, _) => Some(ValuePart::PackedRun(*packing, pointer)),
            Self::Subtree(_) => Some(ValuePart::Subtree(pointer)),
            Self::Reference(_) => Some(ValuePart::Reference(pointer)),
        }
    }

    #[inline]
    pub(super) fn code(&self) -> u16 {
        match self {
            Self::Inline(bytes) => narrow(bytes.len()),
            Self::Packed(..) => PACKED_VALUE,
            Self::Run(_) => RUN_VALUE,
            Self::PackedRun(..) => PACKED_RUN_VALUE,
            Self::Subtree(_) => SUBTREE_VALUE,
            Self::Reference(_) => REFERENCE_VALUE,
        }
    }

    #[inline]
    pub(crate) fn is_pointer(&self) -> bool {
        !matches!(self, Self::Inline(_) | Self::Packed(..))
    }

    #[inline]
    pub(super) fn fits(&self, width: Option<u16>) -> bool {
        match self {
            Self::Inline(bytes) => width.is_none_or(|width| bytes.len() == usize::from(width)),
            _ => width.is_none(),
        }
    }

    /// `room` is as long as the part.
    #[inline]
    pub(super) fn write(&self, room: &mut [u8]) {
        match self {
            Self::Inline(bytes) => put(room, 0, bytes),
            Self::Packed(packing, bytes) => {
                put(room, 0, &narrow(bytes.len()).to_le_bytes());
                put(room, 2, &packing.encode());
                put(room, PACKED_HEADER, bytes);
            }
            Self::PackedRun(packing, pointer) => {
                put(room, 0, &pointer.encode());
                put(room, Pointer::SIZE, &packing.encode());
            }
            Self::Run(pointer) | Self::Subtree(pointer) | Self::Reference(pointer) => {
                put(room, 0, &pointer.encode());
            }
        }
    }
}

/// What all entries of a page have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Width of every key. Then none is long.
    pub(crate) key_width: Option<u16>,
    /// Width of every value. Then none is a pointer. A branch has no values: `Some(0)`.
    pub(crate) value_width: Option<u16>,
    /// The order of keys is that of their bytes.
    pub(crate) byte_ordered: bool,
    /// Every value is a set, or the root of a tree that holds one. Values then have no width.
    pub(crate) sets: Option<SetForm>,
}

impl Shape {
    /// The shape of branches above leaves of this shape.
    pub(crate) fn of_branch(self) -> Self {
        Self { value_width: Some(0), sets: None, ..self }
    }

    /// Bytes that an entry takes in a leaf, given its parts' stored lengths.
    pub(crate) fn leaf_entry_room(&self, key_len: usize, value_len: usize) -> usize {
        HEAD + self.slot_width() + key_len + value_len
    }

    /// Bytes that an entry takes in a branch, given its key's stored length (0 for the last).
    pub(crate) fn branch_entry_room(&self, key_len: usize) -> usize {
        CHILD + HEAD + self.of_branch().slot_width() + key_len
    }

    #[inline]
    fn slot_width(&self) -> usize {
        2 + 2 * usize::from(self.key_width.is_none()) + 2 * usize::from(self.value_width.is_none())
    }
}

/// The first bytes of a page, parsed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    pub(super) branch: bool,
    pub(super) flags: u8,
    pub(super) count: usize,
    pub(super) prefix_len: usize,
    pub(super) level: u8,
    pub(super) records_start: usize,
    pub(super) dead: usize,
    pub(super) key_width: u16,
    /// Width of values, or of the members of sets.
    pub(super) value_width: u16,
    /// The first bytes of the prefix, as [`head_after`](super::search::head_after) reads them, so that a search need
    /// not look into a record.
    pub(super) lead: u64,
}

impl Header {
    pub(super) fn new(usable: usize, level: u8, shape: Shape) -> Self {
        let shape = if level > 0 { shape.of_branch() } else { shape };
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        let member_width = shape.sets.and_then(|form| form.width);
        Self {
            branch: level > 0,
            flags: flag(shape.key_width.is_some(), FIXED_KEYS)
                | flag(shape.value_width.is_some(), FIXED_VALUES)
                | flag(shape.byte_ordered, BYTE_ORDERED)
                | flag(shape.sets.is_some(), SETS)
                | flag(member_width.is_some(), FIXED_MEMBERS),
            count: 0,
            prefix_len: 0,
            level,
            records_start: usable,
            dead: 0,
            key_width: shape.key_width.unwrap_or_default(),
            value_width: shape.value_width.or(member_width).unwrap_or_default(),
            lead: 0,
        }
    }

    #[inline]
    pub(super) fn read(bytes: &[u8]) -> Self {
        let Some(&[kind, flags, c0, c1, prefix_len, level, r0, r1, d0, d1, k0, k1, v0, v1, l0, l1, l2, l3, l4, l5]) =
            bytes.first_chunk::<HEADER>()
        else {
            return Self::default();
        };
        Self {
            branch: kind == KIND_BRANCH,
            flags,
            count: u16::from_le_bytes([c0, c1]).into(),
            prefix_len: prefix_len.into(),
            level,
            records_start: u16::from_le_bytes([r0, r1]).into(),
            dead: u16::from_le_bytes([d0, d1]).into(),
            key_width: u16::from_le_bytes([k0, k1]),
            value_width: u16::from_le_bytes([v0, v1]),
            lead: u64::from_be_bytes([l0, l1, l2, l3, l4, l5, 0, 0]),
        }
    }

    #[inline]
    pub(super) fn write(&self, bytes: &mut [u8]) {
        let Some(out) = bytes.first_chunk_mut::<HEADER>() else { return };
        let [l0, l1, l2, l3, l4, l5, ..] = if self.prefix_len == 0 { [0; 8] } else { self.lead.to_be_bytes() };
        let [c0, c1] = narrow(self.count).to_le_bytes();
        let [r0, r1] = narrow(self.records_start).to_le_bytes();
        let [d0, d1] = narrow(self.dead).to_le_bytes();
        let [k0, k1] = self.key_width.to_le_bytes();
        let [v0, v1] = self.value_width.to_le_bytes();
        let kind = if self.branch { KIND_BRANCH } else { KIND_LEAF };
        let prefix_len = self.prefix_len as u8;
        *out =
            [kind, self.flags, c0, c1, prefix_len, self.level, r0, r1, d0, d1, k0, k1, v0, v1, l0, l1, l2, l3, l4, l5];
    }

    pub(super) fn is_kind_known(bytes: &[u8]) -> bool {
        matches!(bytes.first(), Some(&KIND_LEAF | &KIND_BRANCH))
    }

    #[inline]
    pub(super) fn shape(&self) -> Shape {
        Shape {
            key_width: self.key_width(),
            value_width: self.value_width(),
            byte_ordered: self.byte_ordered(),
            sets: self.sets(),
        }
    }

    #[inline]
    pub(super) fn key_width(&self) -> Option<u16> {
        (self.flags & FIXED_KEYS != 0).then_some(self.key_width)
    }

    #[inline]
    pub(super) fn value_width(&self) -> Option<u16> {
        (self.flags & FIXED_VALUES != 0).then_some(self.value_width)
    }

    #[inline]
    pub(super) fn sets(&self) -> Option<SetForm> {
        let width = (self.flags & FIXED_MEMBERS != 0).then_some(self.value_width);
        (self.flags & SETS != 0).then_some(SetForm { width })
    }

    #[inline]
    pub(super) fn byte_ordered(&self) -> bool {
        self.flags & BYTE_ORDERED != 0
    }

    /// Entries that have a key.
    #[inline]
    pub(super) fn keyed(&self) -> usize {
        self.count.saturating_sub(usize::from(self.branch))
    }

    #[inline]
    pub(super) fn child_width(&self) -> usize {
        if self.branch { CHILD } else { 0 }
    }

    /// Bytes per entry of each array before the slots.
    #[inline]
    pub(super) fn widths(&self) -> &'static [usize] {
        if self.branch { &[HEAD, Pointer::PLACE, Pointer::LINK] } else { &[HEAD] }
    }

    #[inline]
    pub(super) fn slot_width(&self) -> usize {
        6 - 2 * usize::from(self.flags & FIXED_KEYS) - usize::from(self.flags & FIXED_VALUES)
    }

    /// Bytes that an entry takes in the arrays.
    #[inline]
    pub(super) fn entry_width(&self) -> usize {
        self.child_width() + HEAD + self.slot_width()
    }

    /// Where the heads end and the children's places begin.
    #[inline]
    pub(super) fn places_at(&self) -> usize {
        HEADER + self.count * HEAD
    }

    #[inline]
    pub(super) fn links_at(&self) -> usize {
        self.places_at() + if self.branch { self.count * Pointer::PLACE } else { 0 }
    }

    #[inline]
    pub(super) fn slots_at(&self) -> usize {
        HEADER + self.count * (HEAD + self.child_width())
    }

    #[inline]
    pub(super) fn arrays_end(&self) -> usize {
        HEADER + self.count * self.entry_width()
    }

    #[inline]
    pub(super) fn contiguous_free(&self) -> usize {
        self.records_start.saturating_sub(self.arrays_end())
    }

    #[inline]
    pub(super) fn free_space(&self) -> usize {
        self.contiguous_free() + self.dead
    }
}

const _: () = assert!(FIXED_KEYS == 1 && FIXED_VALUES == 2, "slot_width computes with them");

/// Where an entry's record is and what it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) offset: usize,
    pub(super) key_code: u16,
    pub(super) value_code: u16,
    /// Bytes of a value that is packed in the page, which its record says.
    pub(super) packed: u16,
}

impl Slot {
    #[inline]
    pub(super) fn new(offset: usize, key_code: u16, value_code: u16) -> Self {
        Self { offset, key_code, value_code, packed: 0 }
    }

    /// The slot that starts `bytes`, of a record in `page`.
    #[inline]
    pub(super) fn read(header: &Header, bytes: &[u8], page: &[u8]) -> Self {
        let slot = Self::decode(header, bytes);
        if slot.is_packed_value() { slot.measured(page) } else { slot }
    }

    #[cold]
    fn measured(self, page: &[u8]) -> Self {
        Self { packed: u16::from_le_bytes(*chunk_of(page, self.offset + self.key_len())), ..self }
    }

    /// The slot that starts `bytes`, before anybody has looked into its record.
    #[inline]
    pub(super) fn decode(header: &Header, bytes: &[u8]) -> Self {
        let words = bytes.first_chunk().map_or_else(|| read_end(bytes), |words| *words);
        let [o0, o1, a0, a1, b0, b1] = words;
        let (first, second) = (u16::from_le_bytes([a0, a1]), u16::from_le_bytes([b0, b1]));
        let fixed_keys = header.flags & FIXED_KEYS != 0;
        let fixed_values = header.flags & FIXED_VALUES != 0;
        let value_code = if fixed_keys { first } else { second };
        Self {
            offset: u16::from_le_bytes([o0, o1]).into(),
            key_code: if fixed_keys { header.key_width } else { first },
            value_code: if fixed_values { header.value_width } else { value_code },
            packed: 0,
        }
    }

    #[inline]
    pub(super) fn write(&self, header: &Header, bytes: &mut [u8], at: usize) {
        put(bytes, at, &narrow(self.offset).to_le_bytes());
        let mut at = at + 2;
        if header.flags & FIXED_KEYS == 0 {
            put(bytes, at, &self.key_code.to_le_bytes());
            at += 2;
        }
        if header.flags & FIXED_VALUES == 0 {
            put(bytes, at, &self.value_code.to_le_bytes());
        }
    }

    #[inline]
    pub(super) fn is_long_key(&self) -> bool {
        self.key_code == LONG_KEY
    }

    /// Whether the value part is the value.
    #[inline]
    pub(super) fn is_plain_value(&self) -> bool {
        self.value_code < PACKED_VALUE
    }

    /// Whether the record says how long it is.
    #[inline]
    pub(super) fn is_packed_value(&self) -> bool {
        self.value_code == PACKED_VALUE
    }

    #[inline]
    pub(super) fn holds_pointer(&self) -> bool {
        self.is_long_key() || self.value_code >= PACKED_RUN_VALUE
    }

    /// Bytes of the key part that are the key's own.
    #[inline]
    pub(super) fn lead_len(&self) -> usize {
        if self.is_long_key() { STUB } else { self.key_code.into() }
    }

    #[inline]
    pub(super) fn key_len(&self) -> usize {
        if self.is_long_key() { STUB + Pointer::SIZE } else { self.key_code.into() }
    }

    #[inline]
    pub(super) fn value_len(&self) -> usize {
        if self.is_plain_value() { self.value_code.into() } else { self.special_len() }
    }

    #[cold]
    fn special_len(&self) -> usize {
        match self.value_code {
            PACKED_VALUE => PACKED_HEADER + usize::from(self.packed),
            PACKED_RUN_VALUE => Pointer::SIZE + Packing::SIZE,
            _ => Pointer::SIZE,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.key_len() + self.value_len()
    }

    /// The part that this value code makes of the part's bytes, which are not plain.
    pub(super) fn special_value<'a>(&self, part: &'a [u8]) -> ValuePart<'a> {
        let pointer = || Pointer::decode(chunk_of(part, 0));
        match self.value_code {
            PACKED_VALUE => {
                ValuePart::Packed(Packing::decode(chunk_of(part, 2)), part.get(PACKED_HEADER..).unwrap_or_default())
            }
            PACKED_RUN_VALUE => ValuePart::PackedRun(Packing::decode(chunk_of(part, Pointer::SIZE)), pointer()),
            RUN_VALUE => ValuePart::Run(pointer()),
            SUBTREE_VALUE => ValuePart::Subtree(pointer()),
            _ => ValuePart::Reference(pointer()),
        }
    }
}

/// The bytes from `offset` on; zeros if there are not so many.
#[inline]
pub(super) fn chunk_of<const N: usize>(bytes: &[u8], offset: usize) -> &[u8; N] {
    bytes.get(offset..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; N])
}

/// The words of a narrow slot at the very end of a page.
#[cold]
fn read_end(bytes: &[u8]) -> [u8; 6] {
    let mut words = [0; 6];
    words.iter_mut().zip(bytes).for_each(|(word, byte)| *word = *byte);
    words
}

/// Offsets, lengths and counts within `usable` fit; a damaged header's may not, and stay damaged.
#[inline]
pub(super) fn narrow(number: usize) -> u16 {
    number as u16
}

/// Copies `from` to `bytes[at..]`. In a valid page it is in bounds.
#[inline]
pub(super) fn put(bytes: &mut [u8], at: usize, from: &[u8]) {
    let room = at.checked_add(from.len()).and_then(|end| bytes.get_mut(at..end));
    debug_assert!(room.is_some());
    if let Some(room) = room {
        room.copy_from_slice(from);
    }
}
