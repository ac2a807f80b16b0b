//! Tuples: the lengths of all elements but the last whose widths vary, then the elements.

use super::heads::{HeadBuilder, exact_bits, order_of};
use super::lengths::{Reader, push_length};
use super::{Key, KeyOrder, KeyType, TypeName, Value};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Widths of a tuple's elements, where they are fixed.
pub type Widths<const N: usize> = [Option<usize>; N];

/// The width of the whole.
pub fn total<const N: usize>(widths: Widths<N>) -> Option<usize> {
    widths.into_iter().try_fold(0_usize, |sum, width| Some(sum.saturating_add(width?)))
}

/// Puts the encodings of the elements together.
pub fn join<const N: usize>(widths: Widths<N>, elements: [&[u8]; N]) -> Vec<u8> {
    let mut out = Vec::new();
    append(widths, elements, &mut out);
    out
}

/// Puts the encodings of the elements together at the end of `out`.
pub(super) fn append<const N: usize>(widths: Widths<N>, elements: [&[u8]; N], out: &mut Vec<u8>) {
    out.reserve_exact(elements.iter().map(|element| element.len()).sum::<usize>() + N);
    for (width, element) in widths.iter().zip(elements).take(N.saturating_sub(1)) {
        if width.is_none() {
            push_length(element.len(), out);
        }
    }
    for element in elements {
        out.extend_from_slice(element);
    }
}

/// The encodings of the elements: of damaged bytes, some bytes. The last takes all there is if its width varies.
#[inline]
pub fn split<const N: usize>(widths: Widths<N>, data: &[u8]) -> [&[u8]; N] {
    let mut reader = Reader::new(data);
    let mut index = 0;
    let lengths = widths.map(|width| {
        index += 1;
        width.unwrap_or_else(|| if index == N { usize::MAX } else { reader.length().unwrap_or_default() })
    });
    lengths.map(|length| reader.take_up_to(length))
}

/// The encodings of the elements; `None` if [`join`] makes no such bytes.
pub fn whole<const N: usize>(widths: Widths<N>, data: &[u8]) -> Option<[&[u8]; N]> {
    let elements = split(widths, data);
    let mut reader = Reader::new(data);
    let mut parts = widths.iter().zip(&elements).enumerate();
    let right_lengths = parts.all(|(index, (width, element))| {
        let last = index + 1 == N;
        width.or_else(|| if last { Some(element.len()) } else { reader.length() }) == Some(element.len())
    });
    let right_total = reader.rest().len() == elements.iter().map(|element| element.len()).sum::<usize>();
    (right_lengths && right_total).then_some(elements)
}

/// What a separator of tuples asks of an element's type.
pub struct Element {
    key: KeyType,
    least: fn() -> Option<Cow<'static, [u8]>>,
}

impl Element {
    /// What it asks of this type.
    pub fn of<K: Key>() -> Self {
        Self { key: KeyType::of::<K>(), least: K::min_encoded_key }
    }

    /// An element over `low` and as far below `high` as can be had: `high` itself, if nothing between is known.
    fn above<'a>(&self, low: &'a [u8], high: &'a [u8]) -> Cow<'a, [u8]> {
        let between = (self.key.separator)(low, high);
        if (self.key.compare)(low, &between).is_lt() { between } else { Cow::Borrowed(high) }
    }

    /// The least element, or this one if there is no least or it is longer.
    fn least_or<'a>(&self, element: &'a [u8]) -> Cow<'a, [u8]> {
        (self.least)().filter(|least| least.len() <= element.len()).unwrap_or(Cow::Borrowed(element))
    }
}

/// A tuple over `left`, likely below `right`, and likely short: what they have in common, an element that exceeds
/// `left`'s, and then the least there is, for that decides nothing any more.
fn candidate<const N: usize>(elements: &[Element; N], left: &[u8], right: &[u8]) -> Vec<u8> {
    let widths = elements.each_ref().map(|element| element.key.width);
    let (left, right) = (split(widths, left), split(widths, right));
    let mut pairs = left.into_iter().zip(right);
    let mut decided = false;
    let parts = elements.each_ref().map(|element| {
        let (low, high) = pairs.next().unwrap_or_default();
        if decided {
            return element.least_or(high);
        }
        decided = (element.key.compare)(low, high).is_ne();
        if decided { element.above(low, high) } else { Cow::Borrowed(low) }
    });
    join(widths, parts.each_ref().map(AsRef::as_ref))
}

/// A separator of keys of a tuple type `K` with these elements.
pub fn separator<'a, K: Key, const N: usize>(
    elements: &[Element; N],
    left: &'a [u8],
    right: &'a [u8],
) -> Cow<'a, [u8]> {
    if K::fixed_width().is_some() {
        return Cow::Borrowed(left);
    }
    let tuple = candidate(elements, left, right);
    let separates = K::compare(left, &tuple).is_le() && K::compare(&tuple, right).is_lt();
    if separates && tuple.len() < left.len() { Cow::Owned(tuple) } else { Cow::Borrowed(left) }
}

impl<T: Value> Value for (T,) {
    type SelfType<'a>
        = (T::SelfType<'a>,)
    where
        Self: 'a;
    type AsBytes<'a>
        = T::AsBytes<'a>
    where
        Self: 'a;

    const NICHE: Option<&'static [u8]> = T::NICHE;

    fn fixed_width() -> Option<usize> {
        T::fixed_width()
    }

    fn from_bytes<'a>(data: &'a [u8]) -> (T::SelfType<'a>,)
    where
        Self: 'a,
    {
        (T::from_bytes(data),)
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a (T::SelfType<'b>,)) -> T::AsBytes<'a>
    where
        Self: 'b,
    {
        T::as_bytes(&value.0)
    }

    fn type_name() -> TypeName {
        TypeName::builtin("(").inner(&T::type_name()).text(",)")
    }

    fn validate(data: &[u8]) -> bool {
        T::validate(data)
    }
}

impl<T: Key> Key for (T,) {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        T::compare(data1, data2)
    }

    fn separator<'a>(left: &'a [u8], right: &'a [u8]) -> Cow<'a, [u8]> {
        T::separator(left, right)
    }

    fn min_encoded_key() -> Option<Cow<'static, [u8]>> {
        T::min_encoded_key()
    }

    const ORDER: KeyOrder = T::ORDER;

    const EXACT_HEAD_BITS: Option<u32> = T::EXACT_HEAD_BITS;

    fn head(data: &[u8]) -> u64 {
        T::head(data)
    }
}

macro_rules! tuple {
    ($first:ident $at_first:tt $element_first:ident, $($rest:ident $at:tt $element:ident),+) => {
        impl<$first: Value, $($rest: Value),+> Value for ($first, $($rest),+) {
            type SelfType<'a>
                = ($first::SelfType<'a>, $($rest::SelfType<'a>),+)
            where
                Self: 'a;
            type AsBytes<'a>
                = Vec<u8>
            where
                Self: 'a;

            fn fixed_width() -> Option<usize> {
                total([$first::fixed_width(), $($rest::fixed_width()),+])
            }

            fn from_bytes<'a>(data: &'a [u8]) -> Self::SelfType<'a>
            where
                Self: 'a,
            {
                let [$element_first, $($element),+] =
                    split([$first::fixed_width(), $($rest::fixed_width()),+], data);
                ($first::from_bytes($element_first), $($rest::from_bytes($element)),+)
            }

            fn as_bytes<'a, 'b: 'a>(value: &'a Self::SelfType<'b>) -> Vec<u8>
            where
                Self: 'b,
            {
                join(
                    [$first::fixed_width(), $($rest::fixed_width()),+],
                    [$first::as_bytes(&value.$at_first).as_ref(), $($rest::as_bytes(&value.$at).as_ref()),+],
                )
            }

            fn type_name() -> TypeName {
                TypeName::builtin("(").inner(&$first::type_name())
                    $(.text(",").inner(&$rest::type_name()))+
                    .text(")")
            }

            fn validate(data: &[u8]) -> bool {
                let widths = [$first::fixed_width(), $($rest::fixed_width()),+];
                whole(widths, data).is_some_and(|[$element_first, $($element),+]| {
                    $first::validate($element_first) $(&& $rest::validate($element))+
                })
            }
        }

        impl<$first: Key, $($rest: Key),+> Key for ($first, $($rest),+) {
            fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
                let widths = [$first::fixed_width(), $($rest::fixed_width()),+];
                let [$element_first, $($element),+] = split(widths, data1);
                let elements1 = ($element_first, $($element),+);
                let [$element_first, $($element),+] = split(widths, data2);
                $first::compare(elements1.$at_first, $element_first)
                    $(.then_with(|| $rest::compare(elements1.$at, $element)))+
            }

            fn separator<'a>(left: &'a [u8], right: &'a [u8]) -> Cow<'a, [u8]> {
                separator::<Self, _>(&[Element::of::<$first>(), $(Element::of::<$rest>()),+], left, right)
            }

            const ORDER: KeyOrder = order_of(&[$first::ORDER, $($rest::ORDER),+]);

            const EXACT_HEAD_BITS: Option<u32> =
                exact_bits(&[$first::EXACT_HEAD_BITS, $($rest::EXACT_HEAD_BITS),+]);

            fn head(data: &[u8]) -> u64 {
                if Self::ORDER == KeyOrder::Opaque {
                    return 0;
                }
                let [$element_first, $($element),+] =
                    split([$first::fixed_width(), $($rest::fixed_width()),+], data);
                let mut head = HeadBuilder::default();
                head.push::<$first>($element_first);
                $(head.push::<$rest>($element);)+
                head.finish()
            }
        }
    };
}

tuple!(A 0 a, B 1 b);
tuple!(A 0 a, B 1 b, C 2 c);
tuple!(A 0 a, B 1 b, C 2 c, D 3 d);
tuple!(A 0 a, B 1 b, C 2 c, D 3 d, E 4 e);
tuple!(A 0 a, B 1 b, C 2 c, D 3 d, E 4 e, F 5 f);
tuple!(A 0 a, B 1 b, C 2 c, D 3 d, E 4 e, F 5 f, G 6 g);
tuple!(A 0 a, B 1 b, C 2 c, D 3 d, E 4 e, F 5 f, G 6 g, H 7 h);
tuple!(A 0 a, B 1 b, C 2 c, D 3 d, E 4 e, F 5 f, G 6 g, H 7 h, I 8 i);
tuple!(A 0 a, B 1 b, C 2 c, D 3 d, E 4 e, F 5 f, G 6 g, H 7 h, I 8 i, J 9 j);
tuple!(A 0 a, B 1 b, C 2 c, D 3 d, E 4 e, F 5 f, G 6 g, H 7 h, I 8 i, J 9 j, K 10 k);
tuple!(A 0 a, B 1 b, C 2 c, D 3 d, E 4 e, F 5 f, G 6 g, H 7 h, I 8 i, J 9 j, K 10 k, L 11 l);
