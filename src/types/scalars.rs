//! The small types that are no numbers: `()`, `bool` and `char`.

use super::lengths::padded;
use super::{Key, KeyOrder, TypeName, Value};
use core::cmp::Ordering;

impl Value for () {
    type SelfType<'a> = ();
    type AsBytes<'a> = &'a [u8];

    fn fixed_width() -> Option<usize> {
        Some(0)
    }

    #[inline]
    fn from_bytes<'a>(_data: &'a [u8])
    where
        Self: 'a,
    {
    }

    #[inline]
    fn as_bytes<'a, 'b: 'a>((): &'a ()) -> &'a [u8]
    where
        Self: 'b,
    {
        &[]
    }

    fn type_name() -> TypeName {
        TypeName::builtin("()")
    }

    #[inline]
    fn validate(data: &[u8]) -> bool {
        data.is_empty()
    }
}

impl Key for () {
    #[inline]
    fn compare(_data1: &[u8], _data2: &[u8]) -> Ordering {
        Ordering::Equal
    }

    const ORDER: KeyOrder = KeyOrder::Heads;

    const EXACT_HEAD_BITS: Option<u32> = Some(0);
}

impl Value for bool {
    type SelfType<'a> = bool;
    type AsBytes<'a> = &'a [u8];

    fn fixed_width() -> Option<usize> {
        Some(1)
    }

    #[inline]
    fn from_bytes<'a>(data: &'a [u8]) -> bool
    where
        Self: 'a,
    {
        data.first().is_some_and(|byte| *byte != 0)
    }

    #[inline]
    fn as_bytes<'a, 'b: 'a>(value: &'a bool) -> &'a [u8]
    where
        Self: 'b,
    {
        if *value { &[1] } else { &[0] }
    }

    fn type_name() -> TypeName {
        TypeName::builtin("bool")
    }

    #[inline]
    fn validate(data: &[u8]) -> bool {
        matches!(data, [0 | 1])
    }
}

impl Key for bool {
    #[inline]
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        Self::from_bytes(data1).cmp(&Self::from_bytes(data2))
    }

    const ORDER: KeyOrder = KeyOrder::Heads;

    const EXACT_HEAD_BITS: Option<u32> = Some(1);

    #[inline]
    fn head(data: &[u8]) -> u64 {
        u64::from(Self::from_bytes(data)) << (u64::BITS - 1)
    }
}

/// Bits of the largest `char`.
const CHAR_BITS: u32 = 21;

/// The number of a character. Damaged bytes may give a number that no character has, but none too large for the head.
fn char_number(data: &[u8]) -> u32 {
    let [low, middle, high] = padded(data);
    u32::from_le_bytes([low, middle, high, 0]).min((1 << CHAR_BITS) - 1)
}

impl Value for char {
    type SelfType<'a> = char;
    type AsBytes<'a> = [u8; 3];

    fn fixed_width() -> Option<usize> {
        Some(3)
    }

    #[inline]
    fn from_bytes<'a>(data: &'a [u8]) -> char
    where
        Self: 'a,
    {
        char::from_u32(char_number(data)).unwrap_or_default()
    }

    #[inline]
    fn as_bytes<'a, 'b: 'a>(value: &'a char) -> [u8; 3]
    where
        Self: 'b,
    {
        let [low, middle, high, _] = u32::from(*value).to_le_bytes();
        [low, middle, high]
    }

    fn type_name() -> TypeName {
        TypeName::builtin("char")
    }

    #[inline]
    fn validate(data: &[u8]) -> bool {
        data.len() == 3 && char::from_u32(char_number(data)).is_some()
    }
}

impl Key for char {
    #[inline]
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        char_number(data1).cmp(&char_number(data2))
    }

    const ORDER: KeyOrder = KeyOrder::Heads;

    const EXACT_HEAD_BITS: Option<u32> = Some(CHAR_BITS);

    #[inline]
    fn head(data: &[u8]) -> u64 {
        u64::from(char_number(data)) << (u64::BITS - CHAR_BITS)
    }
}
