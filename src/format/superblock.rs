//! The header, the two commit slots and the mirror: the only bytes with a fixed place.

use super::{Checksum, PageNumber, Pointer, TxnId};
use crate::compression::Codec;
use crate::limits::{MAX_PAGE_SIZE, MIN_PAGE_SIZE};

/// Version of the file format that this build writes, and the only one that it reads.
pub(crate) const FORMAT_VERSION: u32 = 7;

const HEADER_MAGIC: [u8; 8] = *b"sapwood\x1A";
const MIRROR_MAGIC: [u8; 8] = *b"sapmirr\x1A";

/// What is fixed when a file is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) page_size: usize,
    /// Bytes between the starts of header, slot A and slot B: a sector that the device writes whole.
    pub(crate) block_size: usize,
    /// What makes values shorter of tables for which nothing else is said.
    pub(crate) codec: Codec,
}

impl Geometry {
    pub(crate) const DEFAULT_BLOCK_SIZE: usize = 4096;
    pub(crate) const MIN_BLOCK_SIZE: usize = 512;

    /// Of a file whose tables do not compress their values unless they are told to.
    pub(crate) fn new(page_size: usize, block_size: usize) -> Self {
        Self { page_size, block_size, codec: Codec::NONE }
    }

    pub(crate) fn is_valid(&self) -> bool {
        let power = |size: usize, low: usize| size.is_power_of_two() && (low..=MAX_PAGE_SIZE).contains(&size);
        power(self.page_size, MIN_PAGE_SIZE) && power(self.block_size, Self::MIN_BLOCK_SIZE)
    }

    /// First page after the three blocks.
    pub(crate) fn first_page(&self) -> PageNumber {
        (3 * self.block_size).div_ceil(self.page_size) as PageNumber
    }

    pub(crate) fn offset(&self, page: PageNumber) -> u64 {
        u64::from(page) * self.page_size as u64
    }

    pub(crate) fn slot_offset(&self, slot: usize) -> u64 {
        (self.block_size * (1 + slot)) as u64
    }
}

/// Why 64 bytes are not the header of a file that this build can open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// Not the first bytes of any version of this format.
    NotSapwood,
    /// The format version is another one.
    OtherVersion(u32),
    /// The checksum or a parameter is wrong.
    Damaged,
}

/// | offset | bytes | header field |
/// |---|---|---|
/// | 0 | 8 | `sapwood` and 0x1A |
/// | 8 | 4 | format version |
/// | 12 | 1 | log2 of the page size |
/// | 13 | 1 | log2 of the block size |
/// | 14 | 2 | codec of new tables, as in a table's definition |
/// | 16 | 32 | zero |
/// | 48 | 16 | XXH3-128 of the 48 bytes before |
pub(crate) const HEADER_SIZE: usize = 64;

pub(crate) fn encode_header(geometry: &Geometry) -> [u8; HEADER_SIZE] {
    let mut out = [0; HEADER_SIZE];
    out[0..8].copy_from_slice(&HEADER_MAGIC);
    out[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    out[12] = geometry.page_size.trailing_zeros() as u8;
    out[13] = geometry.block_size.trailing_zeros() as u8;
    out[14..16].copy_from_slice(&geometry.codec.to_bytes());
    seal(&mut out);
    out
}

pub(crate) fn decode_header(bytes: &[u8; HEADER_SIZE]) -> Result<Geometry, HeaderFault> {
    if bytes[0..8] != HEADER_MAGIC {
        return Err(HeaderFault::NotSapwood);
    }
    let sealed = is_sealed(bytes);
    let version = u32_at(bytes, 8);
    if version != FORMAT_VERSION {
        return Err(if sealed { HeaderFault::OtherVersion(version) } else { HeaderFault::Damaged });
    }
    if !sealed || bytes[12] > 16 || bytes[13] > 16 {
        return Err(HeaderFault::Damaged);
    }
    let codec = Codec::from_bytes([bytes[14], bytes[15]]);
    let geometry = Geometry { codec, ..Geometry::new(1 << bytes[12], 1 << bytes[13]) };
    if geometry.is_valid() { Ok(geometry) } else { Err(HeaderFault::Damaged) }
}

/// A commit, as a slot names it.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 4 | `slot` |
/// | 4 | 4 | flags: 1 two-phase, 2 closed |
/// | 8 | 8 | transaction id |
/// | 16 | 8 | commit time, 0 if no clock was set |
/// | 24 | 4 | file length in pages |
/// | 28 | 4 | zero |
/// | 32 | 8 | `verify_above`: pages with a greater birth may be torn unless the commit is two-phase |
/// | 40 | 40 | data root, zero if empty |
/// | 80 | 40 | system root, zero if empty |
/// | 120 | 8 | largest id handed out |
/// | 128 | 40 | run of the saved free map, zero if there is none |
/// | 168 | 24 | zero: room for a log descriptor |
/// | 192 | 16 | XXH3-128 of the 192 bytes before |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitSlot {
    pub(crate) flags: u32,
    pub(crate) id: TxnId,
    pub(crate) time: u64,
    pub(crate) file_pages: u32,
    pub(crate) verify_above: TxnId,
    pub(crate) data: Option<Pointer>,
    pub(crate) system: Option<Pointer>,
    pub(crate) last_id: TxnId,
    pub(crate) saved: Option<Pointer>,
}

impl CommitSlot {
    pub(crate) const SIZE: usize = 208;
    pub(crate) const TWO_PHASE: u32 = 1;
    pub(crate) const CLOSED: u32 = 2;
    const MAGIC: [u8; 4] = *b"slot";

    pub(crate) fn is_closed(&self) -> bool {
        self.flags & Self::CLOSED != 0
    }

    pub(crate) fn is_two_phase(&self) -> bool {
        self.flags & Self::TWO_PHASE != 0
    }

    pub(crate) fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[0..4].copy_from_slice(&Self::MAGIC);
        out[4..8].copy_from_slice(&self.flags.to_le_bytes());
        out[8..16].copy_from_slice(&self.id.to_le_bytes());
        out[16..24].copy_from_slice(&self.time.to_le_bytes());
        out[24..28].copy_from_slice(&self.file_pages.to_le_bytes());
        out[32..40].copy_from_slice(&self.verify_above.to_le_bytes());
        out[40..80].copy_from_slice(&encode_root(self.data.as_ref()));
        out[80..120].copy_from_slice(&encode_root(self.system.as_ref()));
        out[120..128].copy_from_slice(&self.last_id.to_le_bytes());
        out[128..168].copy_from_slice(&encode_root(self.saved.as_ref()));
        seal(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        if bytes[0..4] != Self::MAGIC || !is_sealed(bytes) {
            return None;
        }
        Some(Self {
            flags: u32_at(bytes, 4),
            id: u64_at(bytes, 8),
            time: u64_at(bytes, 16),
            file_pages: u32_at(bytes, 24),
            verify_above: u64_at(bytes, 32),
            data: root_at(bytes, 40),
            system: root_at(bytes, 80),
            last_id: u64_at(bytes, 120),
            saved: root_at(bytes, 128),
        })
    }
}

/// The copy of header and slots in the last page of the file.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 8 | `sapmirr` and 0x1A |
/// | 8 | 64 | header |
/// | 72 | 4 | page that this copy is in |
/// | 76 | 4 | file length in pages that it ends |
/// | 80 | 208 | slot A |
/// | 288 | 208 | slot B |
/// | 496 | 16 | XXH3-128 of the 496 bytes before |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    pub(crate) geometry: Geometry,
    pub(crate) page: PageNumber,
    pub(crate) slots: [Option<CommitSlot>; 2],
}

impl Mirror {
    pub(crate) const SIZE: usize = 512;

    /// The mirror of a closed file, in which both slots are the same.
    pub(crate) fn of_closed(geometry: Geometry, slot: &CommitSlot) -> Self {
        Self { geometry, page: slot.file_pages.saturating_sub(1), slots: [Some(*slot); 2] }
    }

    pub(crate) fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[0..8].copy_from_slice(&MIRROR_MAGIC);
        out[8..72].copy_from_slice(&encode_header(&self.geometry));
        out[72..76].copy_from_slice(&self.page.to_le_bytes());
        out[76..80].copy_from_slice(&(self.page + 1).to_le_bytes());
        for (slot, at) in self.slots.iter().zip([80, 288]) {
            if let Some(slot) = slot {
                out[at..at + CommitSlot::SIZE].copy_from_slice(&slot.encode());
            }
        }
        seal(&mut out);
        out
    }

    /// The mirror in `bytes`, which were read at `offset`; it is believed only at the place that it names.
    pub(crate) fn decode(bytes: &[u8; Self::SIZE], offset: u64) -> Option<Self> {
        if bytes[0..8] != MIRROR_MAGIC || !is_sealed(bytes) {
            return None;
        }
        let geometry = decode_header(bytes[8..72].try_into().ok()?).ok()?;
        let page = u32_at(bytes, 72);
        let slot = |at: usize| CommitSlot::decode(bytes[at..at + CommitSlot::SIZE].try_into().ok()?);
        let in_place = geometry.offset(page) == offset && u64::from(u32_at(bytes, 76)) == u64::from(page) + 1;
        in_place.then(|| Self { geometry, page, slots: [slot(80), slot(288)] })
    }
}

fn encode_root(root: Option<&Pointer>) -> [u8; Pointer::SIZE] {
    root.map_or([0; Pointer::SIZE], Pointer::encode)
}

fn root_at<const N: usize>(bytes: &[u8; N], at: usize) -> Option<Pointer> {
    let root = Pointer::decode(bytes.get(at..at + Pointer::SIZE)?.try_into().ok()?);
    (root.page != 0).then_some(root)
}

fn seal<const N: usize>(bytes: &mut [u8; N]) {
    let checksum = Checksum::of(&bytes[..N - 16]);
    bytes[N - 16..].copy_from_slice(&checksum.0.to_le_bytes());
}

fn is_sealed<const N: usize>(bytes: &[u8; N]) -> bool {
    Checksum::of(&bytes[..N - 16]).0.to_le_bytes() == bytes[N - 16..]
}

fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at<const N: usize>(bytes: &[u8; N], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

const _: () = assert!(80 + 2 * CommitSlot::SIZE + 16 == Mirror::SIZE && 168 + 24 + 16 == CommitSlot::SIZE);
const _: () = assert!(Mirror::SIZE <= Geometry::MIN_BLOCK_SIZE && Mirror::SIZE <= MIN_PAGE_SIZE);

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> CommitSlot {
        let root = Pointer { page: 9, level: 1, flags: 2, birth: 3, checksum: Checksum(77), size: 5 };
        CommitSlot {
            flags: CommitSlot::TWO_PHASE,
            id: 4,
            time: 0,
            file_pages: 12,
            verify_above: 3,
            data: Some(root),
            system: None,
            last_id: 8,
            saved: None,
        }
    }

    #[test]
    fn every_damaged_byte_of_a_slot_is_seen() {
        let bytes = slot().encode();
        assert_eq!(CommitSlot::decode(&bytes), Some(slot()));
        for at in 0..bytes.len() {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert_eq!(CommitSlot::decode(&damaged), None);
        }
    }

    #[test]
    fn a_header_of_another_version_says_so() {
        let geometry = Geometry::new(4096, 4096);
        let mut bytes = encode_header(&geometry);
        assert_eq!(decode_header(&bytes), Ok(geometry));
        bytes[8] = 9;
        assert_eq!(decode_header(&bytes), Err(HeaderFault::Damaged));
        seal(&mut bytes);
        assert_eq!(decode_header(&bytes), Err(HeaderFault::OtherVersion(9)));
    }

    #[test]
    fn a_mirror_is_believed_only_where_it_says_it_is() {
        let geometry = Geometry { codec: Codec::from_bytes([2, 9]), ..Geometry::new(512, 512) };
        let mirror = Mirror { geometry, page: 11, slots: [Some(slot()), None] };
        let bytes = mirror.encode();
        assert_eq!(Mirror::decode(&bytes, 11 * 512), Some(mirror));
        assert_eq!(Mirror::decode(&bytes, 12 * 512), None);
    }
}
