//! What can be a key or a value, and how it lies in bytes.

use alloc::borrow::Cow;
use core::cmp::Ordering;
use core::fmt::Debug;

mod name;

pub use name::TypeName;

/// A type that a table can hold as its value.
pub trait Value: Debug {
    /// The type that reads give: `Self` with its lifetimes replaced by `'a`.
    type SelfType<'a>: Debug + 'a
    where
        Self: 'a;

    /// What [`as_bytes`](Self::as_bytes) gives.
    type AsBytes<'a>: AsRef<[u8]> + 'a
    where
        Self: 'a;

    /// Bytes that [`as_bytes`](Self::as_bytes) never gives, if the type names any. `Option<Self>` then encodes
    /// `None` as these bytes instead of a tag.
    const NICHE: Option<&'static [u8]> = None;

    /// Width of every value in bytes, or `None` if it varies.
    fn fixed_width() -> Option<usize>;

    /// The value that `data` encodes. `data` came from [`as_bytes`](Self::as_bytes).
    fn from_bytes<'a>(data: &'a [u8]) -> Self::SelfType<'a>
    where
        Self: 'a;

    /// The bytes that encode `value`: the inverse of [`from_bytes`](Self::from_bytes).
    fn as_bytes<'a, 'b: 'a>(value: &'a Self::SelfType<'b>) -> Self::AsBytes<'a>
    where
        Self: 'b;

    /// A name for the type, unique in the file.
    fn type_name() -> TypeName;

    /// Whether [`from_bytes`](Self::from_bytes) may be given these bytes.
    #[doc(hidden)]
    fn validate(_data: &[u8]) -> bool {
        true
    }
}

/// A value whose bytes can be changed where they lie, so that `insert_reserve` can hand them out.
pub trait MutInPlaceValue: Value {
    /// What `&mut [u8]` can be seen as.
    type BaseRefType: Debug + ?Sized;

    /// Makes `data` the bytes of some valid value.
    fn initialize(data: &mut [u8]);

    /// The bytes, seen as the base type.
    fn from_bytes_mut(data: &mut [u8]) -> &mut Self::BaseRefType;
}

/// How much is known about the order of a key type's bytes.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOrder {
    /// Only `compare` knows, and it may be a user's code.
    Opaque,
    /// `compare` is ours, and [`Key::head`] obeys its law.
    Heads,
    /// `compare` is ours and is the lexicographic order of the bytes.
    Bytes,
}

/// A type that a table can hold as its key.
pub trait Key: Value {
    /// The order of two encoded keys. It must be total.
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering;

    /// A key `s`, no longer than `left`, with `left <= s < right`. The shorter, the flatter the tree.
    fn separator<'a>(left: &'a [u8], right: &'a [u8]) -> Cow<'a, [u8]> {
        debug_assert!(Self::compare(left, right).is_lt());
        Cow::Borrowed(left)
    }

    /// The encoding of the smallest key, if there is one.
    fn min_encoded_key() -> Option<Cow<'static, [u8]>> {
        None
    }

    /// What the tree may assume about the order.
    #[doc(hidden)]
    const ORDER: KeyOrder = KeyOrder::Opaque;

    /// `Some(n)` if the first `n` bits of [`head`](Self::head) tell any two different keys apart (the rest is zero).
    #[doc(hidden)]
    const EXACT_HEAD_BITS: Option<u32> = None;

    /// Eight bytes with `compare(a, b) = Less` implying `head(a) <= head(b)`; total on damaged bytes.
    #[doc(hidden)]
    fn head(_data: &[u8]) -> u64 {
        0
    }
}

/// A key type as the trees see it, its type erased.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyType {
    pub(crate) compare: fn(&[u8], &[u8]) -> Ordering,
    pub(crate) head: fn(&[u8]) -> u64,
    pub(crate) separator: for<'a> fn(&'a [u8], &'a [u8]) -> Cow<'a, [u8]>,
    pub(crate) order: KeyOrder,
    pub(crate) width: Option<usize>,
}

impl KeyType {
    pub(crate) fn of<K: Key>() -> Self {
        Self { compare: K::compare, head: K::head, separator: K::separator, order: K::ORDER, width: K::fixed_width() }
    }
}
