//! A seeded generator: the same seed gives the same program for ever, on every platform.

/// Splitmix64.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream `stream` of `seed`: streams do not depend on how much another one was used.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut rng = Self(seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93));
        rng.next();
        rng
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Some of them begin again after every few.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let period = self.pick(&[usize::MAX, usize::MAX, 8, 200]).min(length);
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < period {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(period);
        (0..length).map(|at| bytes[at % period]).collect()
    }

    /// Text of `length` bytes or a little less, with letters of one to four bytes.
    pub fn text(&mut self, length: usize) -> String {
        const LETTERS: [char; 8] = ['a', 'b', 'z', '\0', 'é', 'ß', '水', '𐍈'];
        let mut text = String::with_capacity(length);
        loop {
            let letter = self.pick(&LETTERS);
            if text.len() + letter.len_utf8() > length {
                return text;
            }
            text.push(letter);
        }
    }
}
