use xxhash_rust::xxh3::xxh3_128;

/// A base page's place in the file, counted from the start of the file. 0 holds the header and is never pointed to.
pub(crate) type PageNumber = u32;

/// An id under which work was done. Ids grow and never repeat.
pub(crate) type TxnId = u64;

/// Largest id: what a branch has room for. Unclean ends, at 2^32 ids each, may use them up after 16 million.
pub(crate) const MAX_TXN_ID: TxnId = (1 << 56) - 1;
/// Most rows that a branch has room for in one number: more than the bytes of any file.
const MAX_ROWS: u64 = (1 << 48) - 1;

/// XXH3-128 of the bytes that a pointer names; zero in a pointer to a page that is still being changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checksum(pub(crate) u128);

impl Checksum {
    pub(crate) const UNSEALED: Self = Self(0);

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(xxh3_128(bytes))
    }
}

/// Names the bytes of a tree page or of a run: where they are, since when, and what they hash to.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 4 | page number |
/// | 4 | 1 | level: 0 for leaves and runs |
/// | 5 | 1 | flags: 1 run, 2 the page or one below it holds pointers to runs or subtrees |
/// | 6 | 2 | zero |
/// | 8 | 8 | birth: the id under which the page was written |
/// | 16 | 16 | XXH3-128 of the bytes |
/// | 32 | 8 | a run: its length in bytes; a tree page: rows in it and below it |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    pub(crate) page: PageNumber,
    pub(crate) level: u8,
    pub(crate) flags: u8,
    pub(crate) birth: TxnId,
    pub(crate) checksum: Checksum,
    pub(crate) size: u64,
}

impl Pointer {
    pub(crate) const SIZE: usize = 40;
    /// What it points to is a run of bytes, not a tree page.
    pub(crate) const RUN: u8 = 1;
    /// The tree page, or a page below it, holds pointers to runs or subtrees.
    pub(crate) const HOLDS_POINTERS: u8 = 2;

    pub(crate) fn is_run(&self) -> bool {
        self.flags & Self::RUN != 0
    }

    pub(crate) fn holds_pointers(&self) -> bool {
        self.flags & Self::HOLDS_POINTERS != 0
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.checksum != Checksum::UNSEALED
    }

    /// Base pages that the bytes take.
    pub(crate) fn pages(&self, page_size: usize) -> u64 {
        if self.is_run() { self.size.div_ceil(page_size as u64) } else { 1 }
    }

    /// Bytes of a child's place in a branch page.
    pub(crate) const PLACE: usize = 4;
    /// Bytes of the rest of a pointer in a branch page, where the child's level is known: one less than the page's.
    ///
    /// | offset | bytes | field |
    /// |---|---|---|
    /// | 0 | 7 | birth |
    /// | 7 | 1 | flags |
    /// | 8 | 16 | checksum |
    /// | 24 | 6 | rows |
    pub(crate) const LINK: usize = 30;

    pub(crate) fn encode_place(&self) -> [u8; Self::PLACE] {
        self.page.to_le_bytes()
    }

    pub(crate) fn encode_link(&self) -> [u8; Self::LINK] {
        let mut out = [0; Self::LINK];
        // The flags take the birth's highest byte, which is zero up to `MAX_TXN_ID`.
        out[0..8].copy_from_slice(&self.birth.to_le_bytes());
        out[7] = self.flags;
        out[8..24].copy_from_slice(&self.checksum.0.to_le_bytes());
        // More rows are claimed only by a damaged file.
        let [rows @ .., _, _] = self.size.min(MAX_ROWS).to_le_bytes();
        out[24..30].copy_from_slice(&rows);
        out
    }

    /// A child of a branch page of level `level + 1`.
    #[inline]
    pub(crate) fn decode_child(level: u8, place: &[u8; Self::PLACE], link: &[u8; Self::LINK]) -> Self {
        let [b0, b1, b2, b3, b4, b5, b6, flags, checksum @ .., r0, r1, r2, r3, r4, r5] = *link;
        Self {
            page: u32::from_le_bytes(*place),
            level,
            flags,
            birth: u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, 0]),
            checksum: Checksum(u128::from_le_bytes(checksum)),
            size: u64::from_le_bytes([r0, r1, r2, r3, r4, r5, 0, 0]),
        }
    }

    pub(crate) fn encode(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[0..4].copy_from_slice(&self.page.to_le_bytes());
        out[4] = self.level;
        out[5] = self.flags;
        out[8..16].copy_from_slice(&self.birth.to_le_bytes());
        out[16..32].copy_from_slice(&self.checksum.0.to_le_bytes());
        out[32..40].copy_from_slice(&self.size.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8; Self::SIZE]) -> Self {
        let [p0, p1, p2, p3, level, flags, _, _, rest @ ..] = *bytes;
        let u64_at = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&rest[at..at + 8]);
            u64::from_le_bytes(word)
        };
        Self {
            page: u32::from_le_bytes([p0, p1, p2, p3]),
            level,
            flags,
            birth: u64_at(0),
            checksum: Checksum(u128::from(u64_at(8)) | u128::from(u64_at(16)) << 64),
            size: u64_at(24),
        }
    }
}

const _: () = assert!(Pointer::SIZE == 4 + 1 + 1 + 2 + 8 + 16 + 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_round_trip() {
        let pointer = Pointer {
            page: 0x0403_0201,
            level: 5,
            flags: 2,
            birth: 0x0F0E_0D0C_0B0A_0908,
            checksum: Checksum(0x1F1E_1D1C_1B1A_1918_1716_1514_1312_1110),
            size: 0x2726_2524_2322_2120,
        };
        let bytes = pointer.encode();
        let mut expected: [u8; 40] = core::array::from_fn(|i| i as u8);
        expected[..8].copy_from_slice(&[1, 2, 3, 4, 5, 2, 0, 0]);
        assert_eq!(bytes, expected);
        assert_eq!(Pointer::decode(&bytes), pointer);
    }

    #[test]
    fn golden_bytes_of_a_child_round_trip() {
        let pointer = Pointer {
            page: 0x0403_0201,
            level: 5,
            flags: 2,
            birth: 0x000E_0D0C_0B0A_0908,
            checksum: Checksum(0x1F1E_1D1C_1B1A_1918_1716_1514_1312_1110),
            size: 0x2524_2322_2120,
        };
        let (place, link) = (pointer.encode_place(), pointer.encode_link());
        assert_eq!(place, [1, 2, 3, 4]);
        let mut expected: [u8; 30] = core::array::from_fn(|i| i as u8 + 8);
        expected[7] = 2;
        assert_eq!(link, expected);
        assert_eq!(Pointer::decode_child(5, &place, &link), pointer);
    }
}
