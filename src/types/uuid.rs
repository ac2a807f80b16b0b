//! `Uuid`: its sixteen bytes, in the order that it is written in.

use super::lengths::padded;
use super::{Key, KeyOrder, TypeName, Value};
use ::uuid::{Bytes, Uuid};
use core::cmp::Ordering;

impl Value for Uuid {
    type SelfType<'a> = Uuid;
    type AsBytes<'a> = &'a Bytes;

    fn fixed_width() -> Option<usize> {
        Some(size_of::<Bytes>())
    }

    #[inline]
    fn from_bytes<'a>(data: &'a [u8]) -> Uuid
    where
        Self: 'a,
    {
        Uuid::from_bytes(padded(data))
    }

    #[inline]
    fn as_bytes<'a, 'b: 'a>(value: &'a Uuid) -> &'a Bytes
    where
        Self: 'b,
    {
        value.as_bytes()
    }

    fn type_name() -> TypeName {
        TypeName::builtin("uuid::Uuid")
    }

    #[inline]
    fn validate(data: &[u8]) -> bool {
        data.len() == size_of::<Bytes>()
    }
}

impl Key for Uuid {
    #[inline]
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        <&Bytes>::compare(data1, data2)
    }

    const ORDER: KeyOrder = <&Bytes>::ORDER;

    const EXACT_HEAD_BITS: Option<u32> = <&Bytes>::EXACT_HEAD_BITS;

    #[inline]
    fn head(data: &[u8]) -> u64 {
        <&Bytes>::head(data)
    }
}
