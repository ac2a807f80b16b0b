//! `Option`: a tag and the value, zeros in place of the value if its width is fixed. If the type has a niche, `None`
//! is the niche and there is no tag.

use super::heads::{HeadBuilder, exact_bits, order_of};
use super::{Key, KeyOrder, TypeName, Value};
use alloc::borrow::Cow;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

const NONE: u8 = 0;
const SOME: u8 = 1;

/// The encoding of the value inside, if there is one. A tag that is neither counts as `SOME`.
fn content<T: Value>(data: &[u8]) -> Option<&[u8]> {
    match (T::NICHE, data) {
        (Some(niche), _) => (data != niche).then_some(data),
        (None, [] | [NONE, ..]) => None,
        (None, [_, content @ ..]) => Some(content),
    }
}

/// The encoding of `None`.
fn encoded_none<T: Value>() -> Cow<'static, [u8]> {
    match (T::NICHE, T::fixed_width()) {
        (Some(niche), _) => Cow::Borrowed(niche),
        (None, Some(width)) => Cow::Owned(vec![NONE; width.saturating_add(1)]),
        (None, None) => Cow::Borrowed(&[NONE]),
    }
}

impl<T: Value> Value for Option<T> {
    type SelfType<'a>
        = Option<T::SelfType<'a>>
    where
        Self: 'a;
    type AsBytes<'a>
        = Vec<u8>
    where
        Self: 'a;

    fn fixed_width() -> Option<usize> {
        let tag = usize::from(T::NICHE.is_none());
        T::fixed_width().map(|width| width.saturating_add(tag))
    }

    fn from_bytes<'a>(data: &'a [u8]) -> Option<T::SelfType<'a>>
    where
        Self: 'a,
    {
        content::<T>(data).map(T::from_bytes)
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a Option<T::SelfType<'b>>) -> Vec<u8>
    where
        Self: 'b,
    {
        let Some(value) = value else {
            return encoded_none::<T>().into_owned();
        };
        let content = T::as_bytes(value);
        let content = content.as_ref();
        let mut out = Vec::with_capacity(content.len() + 1);
        out.extend(T::NICHE.is_none().then_some(SOME));
        out.extend_from_slice(content);
        out
    }

    fn type_name() -> TypeName {
        let prefix = if T::NICHE.is_some() { "niche::Option<" } else { "Option<" };
        TypeName::builtin(prefix).inner(&T::type_name()).text(">")
    }

    fn validate(data: &[u8]) -> bool {
        match content::<T>(data) {
            None => data == encoded_none::<T>().as_ref(),
            Some(content) => (T::NICHE.is_some() || data.first() == Some(&SOME)) && T::validate(content),
        }
    }
}

impl<T: Key> Key for Option<T> {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        match (content::<T>(data1), content::<T>(data2)) {
            (Some(content1), Some(content2)) => T::compare(content1, content2),
            (content1, content2) => content1.is_some().cmp(&content2.is_some()),
        }
    }

    fn separator<'a>(left: &'a [u8], right: &'a [u8]) -> Cow<'a, [u8]> {
        let (None, Some(low), Some(high)) = (T::fixed_width(), content::<T>(left), content::<T>(right)) else {
            return Cow::Borrowed(left);
        };
        let between = T::separator(low, high);
        if between.len() >= low.len() {
            return Cow::Borrowed(left);
        }
        if T::NICHE.is_some() { between } else { Cow::Owned([&[SOME], between.as_ref()].concat()) }
    }

    fn min_encoded_key() -> Option<Cow<'static, [u8]>> {
        Some(encoded_none::<T>())
    }

    const ORDER: KeyOrder = order_of(&[T::ORDER]);

    const EXACT_HEAD_BITS: Option<u32> = exact_bits(&[Some(1), T::EXACT_HEAD_BITS]);

    fn head(data: &[u8]) -> u64 {
        let (KeyOrder::Heads, Some(content)) = (Self::ORDER, content::<T>(data)) else {
            return 0;
        };
        let mut head = HeadBuilder::default();
        head.push_bits(1 << (u64::BITS - 1), Some(1));
        head.push::<T>(content);
        head.finish()
    }
}
