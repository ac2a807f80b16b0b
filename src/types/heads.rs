//! Heads of keys made of other keys.

use super::{Key, KeyOrder};

/// Puts the heads of a composite key's parts one behind the other. A part's head may follow only while those before
/// it are exact: otherwise keys that differ in an earlier part could be told apart by a later one, and wrongly.
#[derive(Default)]
pub struct HeadBuilder {
    head: u64,
    used: u32,
}

impl HeadBuilder {
    /// Whether what follows cannot be seen in the head.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.used >= u64::BITS
    }

    /// Puts the head of the next part there.
    #[inline]
    pub fn push<K: Key>(&mut self, data: &[u8]) {
        self.push_bits(K::head(data), K::EXACT_HEAD_BITS);
    }

    /// Puts a head there, so many bits of which are exact.
    #[inline]
    pub fn push_bits(&mut self, head: u64, exact: Option<u32>) {
        if self.is_full() {
            return;
        }
        self.head |= head >> self.used;
        self.used = exact.map_or(u64::BITS, |bits| self.used + bits);
    }

    /// The head of the whole.
    #[inline]
    pub fn finish(self) -> u64 {
        self.head
    }
}

/// Exact bits of a composite key: its parts' together, if they fit.
pub const fn exact_bits(parts: &[Option<u32>]) -> Option<u32> {
    match parts {
        [] => Some(0),
        [Some(bits), rest @ ..] => match exact_bits(rest) {
            Some(others) if *bits + others <= u64::BITS => Some(*bits + others),
            _ => None,
        },
        [None, ..] => None,
    }
}

/// Order of a composite key: opaque if a part is.
pub const fn order_of(parts: &[KeyOrder]) -> KeyOrder {
    match parts {
        [] => KeyOrder::Heads,
        [KeyOrder::Opaque, ..] => KeyOrder::Opaque,
        [_, rest @ ..] => order_of(rest),
    }
}
