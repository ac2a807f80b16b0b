/// Longest blob.
const LONGEST: usize = 64 << 20;
/// Blobs begin at different places within so many bytes.
const STARTS: usize = 1 << 20;
/// Bytes from one that is looked at to the next: one of each page, so that no page can be left out, and looking takes
/// next to no time.
const STEP: usize = 4096;

/// Bytes that nothing can compress, out of which all blobs are cut.
pub struct Pool(Vec<u8>);

impl Pool {
    pub fn new() -> Self {
        let mut state = 1u64;
        let words = (0..(LONGEST + STARTS) / 8).map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)).to_le_bytes()
        });
        Self(words.flatten().collect())
    }

    pub fn blob(&self, at: usize, length: usize) -> &[u8] {
        let start = at * 251 % STARTS;
        &self.0[start..start + length]
    }
}

/// A number that depends on each page of a blob.
pub fn sum(blob: &[u8]) -> u64 {
    blob.iter().step_by(STEP).map(|byte| u64::from(*byte)).sum()
}
