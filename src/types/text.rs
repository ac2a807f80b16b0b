//! Strings, as UTF-8. The order of their characters is the order of their bytes.

use super::bytes::{bytes_head, common_prefix};
use super::{Key, KeyOrder, TypeName, Value};
use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use core::cmp::Ordering;
use core::str::from_utf8;

/// The character after this one.
fn next_char(character: char) -> Option<char> {
    (character..=char::MAX).nth(1)
}

/// The text before `at`, and then the character after the one that is there.
fn raised(text: &str, at: usize, character: char) -> Option<String> {
    let mut out = text.get(..at)?.to_string();
    out.push(next_char(character)?);
    Some(out)
}

/// The shortest text from `left` inclusive to `right` exclusive, or `left` if there is none shorter than it.
///
/// After the common prefix it has `right`'s character, provided more follows in `right`, or a character between. The
/// character after `left`'s is the shortest of those. If there is none it keeps `left`'s character and exceeds `left`
/// as early as it can after that. The next character is longer by a byte at most, so waiting never pays.
fn shorter_text<'a>(left: &'a str, right: &'a str) -> Option<Cow<'a, [u8]>> {
    let common = common_prefix(left.as_bytes(), right.as_bytes());
    let common = (0..=common).rev().find(|at| left.is_char_boundary(*at))?;
    let mut tail = left.get(common..)?.char_indices();
    let (_, low) = tail.next()?;
    let high = right.get(common..)?.chars().next()?;
    let next = next_char(low)?;
    if low > high {
        return None;
    }
    let cut = common + high.len_utf8();
    if cut < right.len() && high.len_utf8() == next.len_utf8() {
        return right.as_bytes().get(..cut).map(Cow::Borrowed);
    }
    if next < high {
        return raised(left, common, low).map(|text| Cow::Owned(text.into_bytes()));
    }
    let (after, character) = tail.find(|(_, character)| *character != char::MAX)?;
    raised(left, common + after, character).map(|text| Cow::Owned(text.into_bytes()))
}

impl Value for &str {
    type SelfType<'a>
        = &'a str
    where
        Self: 'a;
    type AsBytes<'a>
        = &'a str
    where
        Self: 'a;

    fn fixed_width() -> Option<usize> {
        None
    }

    #[inline]
    fn from_bytes<'a>(data: &'a [u8]) -> &'a str
    where
        Self: 'a,
    {
        from_utf8(data).unwrap_or_default()
    }

    #[inline]
    fn as_bytes<'a, 'b: 'a>(value: &'a &'b str) -> &'a str
    where
        Self: 'b,
    {
        value
    }

    fn type_name() -> TypeName {
        TypeName::builtin("&str")
    }

    #[inline]
    fn validate(data: &[u8]) -> bool {
        from_utf8(data).is_ok()
    }
}

impl Key for &str {
    #[inline]
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        data1.cmp(data2)
    }

    fn separator<'a>(left: &'a [u8], right: &'a [u8]) -> Cow<'a, [u8]> {
        let texts = from_utf8(left).ok().zip(from_utf8(right).ok());
        let separator = texts.and_then(|(left, right)| shorter_text(left, right));
        separator.filter(|bytes| bytes.len() < left.len()).unwrap_or(Cow::Borrowed(left))
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

impl Value for String {
    type SelfType<'a> = String;
    type AsBytes<'a> = &'a str;

    fn fixed_width() -> Option<usize> {
        None
    }

    #[inline]
    fn from_bytes<'a>(data: &'a [u8]) -> String
    where
        Self: 'a,
    {
        <&str>::from_bytes(data).to_string()
    }

    #[inline]
    fn as_bytes<'a, 'b: 'a>(value: &'a String) -> &'a str
    where
        Self: 'b,
    {
        value
    }

    fn type_name() -> TypeName {
        TypeName::builtin("String")
    }

    #[inline]
    fn validate(data: &[u8]) -> bool {
        <&str>::validate(data)
    }
}

impl Key for String {
    #[inline]
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        <&str>::compare(data1, data2)
    }

    fn separator<'a>(left: &'a [u8], right: &'a [u8]) -> Cow<'a, [u8]> {
        <&str>::separator(left, right)
    }

    fn min_encoded_key() -> Option<Cow<'static, [u8]>> {
        <&str>::min_encoded_key()
    }

    const ORDER: KeyOrder = <&str>::ORDER;

    #[inline]
    fn head(data: &[u8]) -> u64 {
        <&str>::head(data)
    }
}
