//! Numbers: little-endian, at their width.

use super::lengths::padded;
use super::{Key, KeyOrder, TypeName, Value};
use core::cmp::Ordering;
use core::num::{
    NonZeroI8, NonZeroI16, NonZeroI32, NonZeroI64, NonZeroI128, NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64,
    NonZeroU128,
};

macro_rules! number_value {
    ($($number:ident),*) => {$(
        impl Value for $number {
            type SelfType<'a> = $number;
            type AsBytes<'a> = [u8; size_of::<$number>()];

            fn fixed_width() -> Option<usize> {
                Some(size_of::<$number>())
            }

            #[inline]
            fn from_bytes<'a>(data: &'a [u8]) -> $number
            where
                Self: 'a,
            {
                <$number>::from_le_bytes(padded(data))
            }

            #[inline]
            fn as_bytes<'a, 'b: 'a>(value: &'a $number) -> [u8; size_of::<$number>()]
            where
                Self: 'b,
            {
                value.to_le_bytes()
            }

            fn type_name() -> TypeName {
                TypeName::builtin(stringify!($number))
            }

            #[inline]
            fn validate(data: &[u8]) -> bool {
                data.len() == size_of::<$number>()
            }
        }
    )*};
}
number_value!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32, f64);

/// Bits of a number's head that tell it from any other.
const fn exact(bits: u32) -> Option<u32> {
    if bits <= u64::BITS { Some(bits) } else { None }
}

macro_rules! integer_key {
    ($($number:ident as $bits:ident: $order:ident,)*) => {$(
        impl Key for $number {
            #[inline]
            fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
                Self::from_bytes(data1).cmp(&Self::from_bytes(data2))
            }

            const ORDER: KeyOrder = KeyOrder::$order;

            const EXACT_HEAD_BITS: Option<u32> = exact($number::BITS);

            #[inline]
            fn head(data: &[u8]) -> u64 {
                // The least number becomes zero, which leaves unsigned ones as they are.
                let rank = Self::from_bytes(data).wrapping_sub($number::MIN) as $bits;
                ((rank as u128) << (u128::BITS - $bits::BITS) >> u64::BITS) as u64
            }
        }
    )*};
}
integer_key!(
    u8 as u8: Bytes,
    u16 as u16: Heads,
    u32 as u32: Heads,
    u64 as u64: Heads,
    u128 as u128: Heads,
    i8 as u8: Heads,
    i16 as u16: Heads,
    i32 as u32: Heads,
    i64 as u64: Heads,
    i128 as u128: Heads,
);

macro_rules! nonzero_key {
    ($($nonzero:ident of $number:ident,)*) => {$(
        impl Value for $nonzero {
            type SelfType<'a> = $nonzero;
            type AsBytes<'a> = [u8; size_of::<$number>()];

            const NICHE: Option<&'static [u8]> = Some(&[0; size_of::<$number>()]);

            fn fixed_width() -> Option<usize> {
                <$number>::fixed_width()
            }

            #[inline]
            fn from_bytes<'a>(data: &'a [u8]) -> $nonzero
            where
                Self: 'a,
            {
                <$nonzero>::new(<$number>::from_bytes(data)).unwrap_or(<$nonzero>::MIN)
            }

            #[inline]
            fn as_bytes<'a, 'b: 'a>(value: &'a $nonzero) -> [u8; size_of::<$number>()]
            where
                Self: 'b,
            {
                value.get().to_le_bytes()
            }

            fn type_name() -> TypeName {
                TypeName::builtin(stringify!($nonzero))
            }

            #[inline]
            fn validate(data: &[u8]) -> bool {
                <$number>::validate(data) && <$number>::from_bytes(data) != 0
            }
        }

        impl Key for $nonzero {
            #[inline]
            fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
                <$number>::compare(data1, data2)
            }

            const ORDER: KeyOrder = <$number>::ORDER;

            const EXACT_HEAD_BITS: Option<u32> = <$number>::EXACT_HEAD_BITS;

            #[inline]
            fn head(data: &[u8]) -> u64 {
                <$number>::head(data)
            }
        }
    )*};
}
nonzero_key!(
    NonZeroU8 of u8,
    NonZeroU16 of u16,
    NonZeroU32 of u32,
    NonZeroU64 of u64,
    NonZeroU128 of u128,
    NonZeroI8 of i8,
    NonZeroI16 of i16,
    NonZeroI32 of i32,
    NonZeroI64 of i64,
    NonZeroI128 of i128,
);
