//! What can be a key or a value, and how it lies in bytes.

use alloc::borrow::Cow;
use core::cmp::Ordering;
use core::fmt::Debug;

mod arrays;
mod bytes;
#[cfg(feature = "chrono_v0_4")]
mod chrono;
#[cfg(feature = "derive")]
pub mod derived;
mod half;
mod heads;
mod known;
mod lengths;
mod name;
mod numbers;
mod option;
#[cfg(feature = "bytemuck")]
mod pod;
#[cfg(feature = "postcard")]
mod postcard;
mod prefix;
mod scalars;
mod text;
mod tuples;
#[cfg(feature = "uuid")]
mod uuid;

#[cfg(test)]
mod tests;

pub use half::F16;
pub(crate) use known::order_of;
pub(crate) use lengths::{Reader, padded, push_length};
pub use name::TypeName;
#[cfg(feature = "bytemuck")]
pub use pod::Pod;
#[cfg(feature = "postcard")]
pub use postcard::{Postcard, PostcardError};
pub use prefix::PrefixKey;
pub(crate) use prefix::after_prefix;

/// A type that a table can hold as its value.
///
/// Numbers, `bool`, `char`, `()`, strings, byte slices, arrays, vectors, tuples of up to twelve and options of them are
/// values already. A type of your own becomes one by `#[derive(Value)]`, with the feature `derive`; or within
/// `Postcard` or `Pod`, with the features `postcard` and `bytemuck`; or so:
///
/// ```
/// use sapwood::{TypeName, Value};
///
/// #[derive(Debug, PartialEq)]
/// struct Point {
///     x: u16,
///     y: u16,
/// }
///
/// impl Value for Point {
///     type SelfType<'a> = Point;
///     type AsBytes<'a> = Vec<u8>;
///
///     fn fixed_width() -> Option<usize> {
///         Some(4)
///     }
///
///     fn from_bytes<'a>(data: &'a [u8]) -> Point
///     where
///         Self: 'a,
///     {
///         let (x, y) = <(u16, u16)>::from_bytes(data);
///         Point { x, y }
///     }
///
///     fn as_bytes<'a, 'b: 'a>(value: &'a Point) -> Vec<u8>
///     where
///         Self: 'b,
///     {
///         <(u16, u16)>::as_bytes(&(value.x, value.y))
///     }
///
///     fn type_name() -> TypeName {
///         TypeName::new("my_crate::Point")
///     }
/// }
///
/// let bytes = Point::as_bytes(&Point { x: 1, y: 2 });
/// assert_eq!(bytes, [1, 0, 2, 0]);
/// assert_eq!(Point::from_bytes(&bytes), Point { x: 1, y: 2 });
/// ```
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
    /// `None` as these bytes instead of a tag. They must have the type's fixed width, if it has one.
    ///
    /// ```
    /// use core::num::NonZeroU16;
    /// use sapwood::Value;
    ///
    /// assert_eq!(NonZeroU16::NICHE, Some(&[0, 0][..]));
    /// assert_eq!(<Option<NonZeroU16>>::as_bytes(&None), [0, 0]);
    /// assert_eq!(<Option<u16>>::as_bytes(&None), [0, 0, 0]);
    /// ```
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

    /// A name for the type, unique in the file. A table opens only as the types that it was made with.
    fn type_name() -> TypeName;

    /// Whether [`from_bytes`](Self::from_bytes) may be given these bytes. It must then not panic, whatever they are,
    /// for a damaged file may hold any bytes. Built-in types accept only what [`as_bytes`](Self::as_bytes) gives.
    #[doc(hidden)]
    fn validate(_data: &[u8]) -> bool {
        true
    }
}

/// A value whose bytes can be changed where they lie, so that `insert_reserve` can hand them out.
///
/// ```
/// use sapwood::MutInPlaceValue;
///
/// let mut data = [0; 3];
/// <&[u8]>::initialize(&mut data);
/// <&[u8]>::from_bytes_mut(&mut data).copy_from_slice(b"abc");
/// assert_eq!(&data, b"abc");
/// ```
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
    /// `compare` is ours and is the lexicographic order of the bytes, if they have the type's width.
    Bytes,
}

/// A type that a table can hold as its key.
///
/// Built-in types are ordered as their values are; options begin with `None`, and arrays and tuples are ordered by
/// their first elements that differ.
///
/// ```
/// use core::cmp::Ordering;
/// use sapwood::{Key, Value};
///
/// let order = <(i8, &str)>::compare(&<(i8, &str)>::as_bytes(&(-1, "z")), &<(i8, &str)>::as_bytes(&(1, "a")));
/// assert_eq!(order, Ordering::Less);
/// assert_eq!(<&str>::separator(b"birch bark", b"cedar"), &b"c"[..]);
/// ```
pub trait Key: Value {
    /// The order of two encoded keys. It must be total, and should not panic on bytes that encode no key: a damaged
    /// file may hold any. Those of built-in types do not.
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering;

    /// A key `s`, no longer than `left`, with `left <= s < right`. The shorter, the flatter the tree. Damaged keys may
    /// come in the wrong order: any bytes no longer than `left` will then do.
    fn separator<'a>(left: &'a [u8], _right: &'a [u8]) -> Cow<'a, [u8]> {
        Cow::Borrowed(left)
    }

    /// The encoding of the smallest key, if there is one and the type names it.
    fn min_encoded_key() -> Option<Cow<'static, [u8]>> {
        None
    }

    /// What the tree may assume about the order.
    #[doc(hidden)]
    const ORDER: KeyOrder = KeyOrder::Opaque;

    /// `Some(n)` if the first `n` bits of [`head`](Self::head) tell any two different keys apart (the rest is zero):
    /// the order of the heads is then the order of the keys, of damaged bytes too.
    #[doc(hidden)]
    const EXACT_HEAD_BITS: Option<u32> = None;

    /// Eight bytes with `compare(a, b) = Less` implying `head(a) <= head(b)`, and `Equal` equal heads; total on damaged
    /// bytes.
    #[doc(hidden)]
    fn head(_data: &[u8]) -> u64 {
        0
    }
}

/// How two encoded keys are compared.
pub(crate) type Compare = fn(&[u8], &[u8]) -> Ordering;

/// A key type as the trees see it, its type erased.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyType {
    pub(crate) compare: Compare,
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
