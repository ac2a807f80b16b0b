//! Byte slices, and arrays of bytes that reads need not copy.

use super::lengths::padded;
use super::{Key, KeyOrder, MutInPlaceValue, TypeName, Value};
use alloc::borrow::Cow;
use alloc::format;
use core::cmp::Ordering;
use core::iter::repeat;

/// Head of what is ordered as its bytes.
pub(super) fn bytes_head(data: &[u8]) -> u64 {
    u64::from_be_bytes(padded(data))
}

/// How many bytes `left` and `right` begin with together.
pub(super) fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(l, r)| l == r).count()
}

/// The shortest byte string from `left` inclusive to `right` exclusive, if it is shorter than `left`.
///
/// It must differ from both after their common prefix. There it may take `right`'s byte, provided more follows in
/// `right`, or a byte between the two. If that cannot be it keeps `left`'s byte and exceeds `left` as early as it can
/// after that.
fn shorter_bytes<'a>(left: &'a [u8], right: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let common = common_prefix(left, right);
    let (low, high) = (*left.get(common)?, *right.get(common)?);
    let whole_right = right.len() == common + 1;
    let raised = match low.checked_add(1)? {
        next if next < high => common,
        _ if !whole_right => common,
        _ => left.iter().skip(common + 1).position(|byte| *byte != u8::MAX)? + common + 1,
    };
    if low > high || raised + 1 >= left.len() {
        return None;
    }
    if !whole_right && raised == common {
        return right.get(..=common).map(Cow::Borrowed);
    }
    let mut bytes = left.get(..=raised)?.to_vec();
    *bytes.last_mut()? += 1;
    Some(Cow::Owned(bytes))
}

impl Value for &[u8] {
    type SelfType<'a>
        = &'a [u8]
    where
        Self: 'a;
    type AsBytes<'a>
        = &'a [u8]
    where
        Self: 'a;

    fn fixed_width() -> Option<usize> {
        None
    }

    #[inline]
    fn from_bytes<'a>(data: &'a [u8]) -> &'a [u8]
    where
        Self: 'a,
    {
        data
    }

    #[inline]
    fn as_bytes<'a, 'b: 'a>(value: &'a &'b [u8]) -> &'a [u8]
    where
        Self: 'b,
    {
        value
    }

    fn type_name() -> TypeName {
        TypeName::builtin("&[u8]")
    }
}

impl MutInPlaceValue for &[u8] {
    type BaseRefType = [u8];

    fn initialize(_data: &mut [u8]) {}

    fn from_bytes_mut(data: &mut [u8]) -> &mut [u8] {
        data
    }
}

impl Key for &[u8] {
    #[inline]
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        data1.cmp(data2)
    }

    fn separator<'a>(left: &'a [u8], right: &'a [u8]) -> Cow<'a, [u8]> {
        shorter_bytes(left, right).unwrap_or(Cow::Borrowed(left))
    }

    fn min_encoded_key() -> Option<Cow<'static, [u8]>> {
        Some(Cow::Borrowed(&[]))
    }

    const ORDER: KeyOrder = KeyOrder::Bytes;

    #[inline]
    fn head(data: &[u8]) -> u64 {
        bytes_head(data)
    }
}

impl<const N: usize> Value for &[u8; N] {
    type SelfType<'a>
        = &'a [u8; N]
    where
        Self: 'a;
    type AsBytes<'a>
        = &'a [u8; N]
    where
        Self: 'a;

    fn fixed_width() -> Option<usize> {
        Some(N)
    }

    #[inline]
    fn from_bytes<'a>(data: &'a [u8]) -> &'a [u8; N]
    where
        Self: 'a,
    {
        data.first_chunk().unwrap_or(const { &[0; N] })
    }

    #[inline]
    fn as_bytes<'a, 'b: 'a>(value: &'a &'b [u8; N]) -> &'a [u8; N]
    where
        Self: 'b,
    {
        value
    }

    /// The name that `[u8; N]` has: the bytes are the same.
    fn type_name() -> TypeName {
        TypeName::builtin(&format!("[u8;{N}]"))
    }

    #[inline]
    fn validate(data: &[u8]) -> bool {
        data.len() == N
    }
}

impl<const N: usize> Key for &[u8; N] {
    #[inline]
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        if data1.len() == N && data2.len() == N {
            return data1.cmp(data2);
        }
        // The head cannot tell a missing byte from a zero, so neither may the order of damaged keys.
        let [bytes1, bytes2] = [data1, data2].map(|data| data.iter().chain(repeat(&0)).take(N));
        bytes1.cmp(bytes2)
    }

    const ORDER: KeyOrder = KeyOrder::Bytes;

    const EXACT_HEAD_BITS: Option<u32> = if N <= 8 { Some(8 * N as u32) } else { None };

    #[inline]
    fn head(data: &[u8]) -> u64 {
        bytes_head(data.get(..N).unwrap_or(data))
    }
}
