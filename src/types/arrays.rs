//! Arrays and vectors.
//!
//! An array is its elements one behind the other; if their widths vary, then behind the places where each element
//! ends, four bytes apiece, counted from the start. A vector is its length and its elements, each behind its own
//! length if the widths vary.

use super::bytes::bytes_head;
use super::heads::{HeadBuilder, exact_bits, order_of};
use super::lengths::{Reader, four_bytes, padded, push_length};
use super::{Key, KeyOrder, TypeName, Value};
use crate::limits::MAX_WEIGHTLESS_ELEMENTS;
use alloc::format;
use alloc::vec::Vec;
use core::array::from_fn;
use core::cmp::Ordering;

/// Width of an element's end.
const END: usize = size_of::<u32>();

/// Where the element ends, in an array whose elements' widths vary.
fn end(data: &[u8], index: usize) -> usize {
    let ends = data.get(index.saturating_mul(END)..).unwrap_or_default();
    usize::try_from(u32::from_le_bytes(padded(ends))).unwrap_or(usize::MAX)
}

/// Where the element begins, in an array of `N` whose elements' widths vary.
fn start<const N: usize>(data: &[u8], index: usize) -> usize {
    index.checked_sub(1).map_or(N.saturating_mul(END), |before| end(data, before))
}

/// The encoding of an element of an array of `N`: of damaged bytes, some bytes.
fn element<const N: usize, T: Value>(data: &[u8], index: usize) -> &[u8] {
    match T::fixed_width() {
        Some(width) => {
            let mut rest = Reader::new(data.get(width.saturating_mul(index)..).unwrap_or_default());
            rest.take_up_to(width)
        }
        None => data.get(start::<N>(data, index)..end(data, index)).unwrap_or_default(),
    }
}

/// Whether the ends of an array's elements ascend to the end of the data.
fn ends_ascend<const N: usize>(data: &[u8]) -> bool {
    let last = start::<N>(data, N);
    last == data.len() && (0..N).all(|index| start::<N>(data, index) <= end(data, index))
}

impl<const N: usize, T: Value> Value for [T; N] {
    type SelfType<'a>
        = [T::SelfType<'a>; N]
    where
        Self: 'a;
    type AsBytes<'a>
        = Vec<u8>
    where
        Self: 'a;

    fn fixed_width() -> Option<usize> {
        T::fixed_width().map(|width| width.saturating_mul(N))
    }

    fn from_bytes<'a>(data: &'a [u8]) -> [T::SelfType<'a>; N]
    where
        Self: 'a,
    {
        from_fn(|index| T::from_bytes(element::<N, T>(data, index)))
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a [T::SelfType<'b>; N]) -> Vec<u8>
    where
        Self: 'b,
    {
        let Some(width) = Self::fixed_width() else {
            return with_ends::<T>(value);
        };
        let mut out = Vec::with_capacity(width);
        for element in value {
            out.extend_from_slice(T::as_bytes(element).as_ref());
        }
        out
    }

    fn type_name() -> TypeName {
        TypeName::builtin("[").inner(&T::type_name()).text(&format!(";{N}]"))
    }

    fn validate(data: &[u8]) -> bool {
        let whole = match Self::fixed_width() {
            Some(width) => data.len() == width,
            None => ends_ascend::<N>(data),
        };
        whole && (0..N).all(|index| T::validate(element::<N, T>(data, index)))
    }
}

/// The encoding of an array whose elements' widths vary.
fn with_ends<'b, T: Value + 'b>(value: &[T::SelfType<'b>]) -> Vec<u8> {
    let mut out = alloc::vec![0; value.len() * END];
    for (index, element) in value.iter().enumerate() {
        out.extend_from_slice(T::as_bytes(element).as_ref());
        let end = four_bytes(out.len());
        out.iter_mut().skip(index * END).zip(end).for_each(|(to, from)| *to = from);
    }
    out
}

impl<const N: usize, T: Key> Key for [T; N] {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        let width = Self::fixed_width();
        if Self::ORDER == KeyOrder::Bytes && width == Some(data1.len()) && width == Some(data2.len()) {
            return data1.cmp(data2);
        }
        let mut orders = (0..N).map(|index| T::compare(element::<N, T>(data1, index), element::<N, T>(data2, index)));
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// An element with an exact head has a fixed width, so if it is also ordered as bytes, then so is the array.
    const ORDER: KeyOrder = match (T::ORDER, T::EXACT_HEAD_BITS) {
        (KeyOrder::Bytes, Some(_)) => KeyOrder::Bytes,
        (order, _) => order_of(&[order]),
    };

    const EXACT_HEAD_BITS: Option<u32> = if N <= 64 { exact_bits(&[T::EXACT_HEAD_BITS; N]) } else { None };

    fn head(data: &[u8]) -> u64 {
        match Self::ORDER {
            KeyOrder::Opaque => return 0,
            KeyOrder::Bytes => {
                return bytes_head(Self::fixed_width().and_then(|width| data.get(..width)).unwrap_or(data));
            }
            KeyOrder::Heads => {}
        }
        let mut head = HeadBuilder::default();
        for index in 0..N {
            if head.is_full() {
                break;
            }
            head.push::<T>(element::<N, T>(data, index));
        }
        head.finish()
    }
}

/// Whether the memory that elements take is bounded by the bytes that they take, or else by their number.
fn is_bounded<T: Value>(width: Option<usize>, count: usize) -> bool {
    width != Some(0) || size_of::<T::SelfType<'_>>() == 0 || count <= MAX_WEIGHTLESS_ELEMENTS
}

/// The encoding of a vector's next element; `None` if there is none, or none whole.
fn next<'a>(reader: &mut Reader<'a>, width: Option<usize>) -> Option<&'a [u8]> {
    let width = match width {
        Some(width) => width,
        None => reader.length()?,
    };
    reader.take(width)
}

/// Elements that have no width but take memory are limited to
/// [`MAX_WEIGHTLESS_ELEMENTS`](crate::limits::MAX_WEIGHTLESS_ELEMENTS).
impl<T: Value> Value for Vec<T> {
    type SelfType<'a>
        = Vec<T::SelfType<'a>>
    where
        Self: 'a;
    type AsBytes<'a>
        = Vec<u8>
    where
        Self: 'a;

    fn fixed_width() -> Option<usize> {
        None
    }

    fn from_bytes<'a>(data: &'a [u8]) -> Vec<T::SelfType<'a>>
    where
        Self: 'a,
    {
        let mut reader = Reader::new(data);
        let width = T::fixed_width();
        let count = reader.length().filter(|count| is_bounded::<T>(width, *count)).unwrap_or_default();
        let mut out = Vec::with_capacity(count.min(data.len()));
        let elements = (0..count).map_while(|_| next(&mut reader, width));
        out.extend(elements.map(T::from_bytes));
        out
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a Vec<T::SelfType<'b>>) -> Vec<u8>
    where
        Self: 'b,
    {
        let width = T::fixed_width();
        let mut out = Vec::with_capacity(value.len().saturating_mul(width.unwrap_or(1)).saturating_add(1));
        push_length(value.len(), &mut out);
        for element in value {
            let element = T::as_bytes(element);
            if width.is_none() {
                push_length(element.as_ref().len(), &mut out);
            }
            out.extend_from_slice(element.as_ref());
        }
        out
    }

    fn type_name() -> TypeName {
        TypeName::builtin("Vec<").inner(&T::type_name()).text(">")
    }

    fn validate(data: &[u8]) -> bool {
        let mut reader = Reader::new(data);
        let width = T::fixed_width();
        let Some(count) = reader.length().filter(|count| is_bounded::<T>(width, *count)) else {
            return false;
        };
        (0..count).all(|_| next(&mut reader, width).is_some_and(T::validate)) && reader.rest().is_empty()
    }
}
