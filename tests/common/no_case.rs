//! A key type for which other bytes may be equal.

use sapwood::{Key, TypeName, Value};
use std::cmp::Ordering;

/// Text whose letters' case does not matter for the order. Borrowed, as `&str` is.
#[derive(Debug)]
pub struct NoCase;

impl Value for NoCase {
    type SelfType<'a> = &'a str;
    type AsBytes<'a> = &'a str;

    fn fixed_width() -> Option<usize> {
        None
    }

    fn from_bytes<'a>(data: &'a [u8]) -> &'a str
    where
        Self: 'a,
    {
        std::str::from_utf8(data).unwrap()
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a &'b str) -> &'a str
    where
        Self: 'b,
    {
        value
    }

    fn type_name() -> TypeName {
        TypeName::new("tests::NoCase")
    }
}

impl Key for NoCase {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        Self::from_bytes(data1).to_lowercase().cmp(&Self::from_bytes(data2).to_lowercase())
    }
}
