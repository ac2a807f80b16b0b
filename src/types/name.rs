//! Names of types, as the file keeps them.

use super::lengths::{Reader, push_length};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

/// Name of a key or value type, kept in the file so that a table is never read as another type.
///
/// Built-in types and users' types never have equal names, nor do containers of them:
///
/// ```
/// use sapwood::{TypeName, Value};
///
/// assert_eq!(u32::type_name().name(), "u32");
/// assert_ne!(u32::type_name(), TypeName::new("u32"));
/// assert_ne!(<(u8, &str)>::type_name(), TypeName::new("(u8,&str)"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeName {
    name: String,
    /// Where users' names lie in `name`, ascending and disjoint. All other text is ours, and ours is unambiguous
    /// once the users' is told apart: hence equality is exact.
    user: Vec<Range<usize>>,
}

impl TypeName {
    /// The name of a user's type; a prefix with the crate's name keeps it from meeting another's.
    ///
    /// ```
    /// use sapwood::TypeName;
    ///
    /// let name = TypeName::new("my_crate::Colour");
    /// assert_eq!(name.name(), "my_crate::Colour");
    /// ```
    pub fn new(name: &str) -> Self {
        Self { name: name.to_string(), user: alloc::vec![0..name.len()] }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name, or the beginning of the name, of a built-in type.
    pub(super) fn builtin(text: &str) -> Self {
        Self { name: text.to_string(), user: Vec::new() }
    }

    /// The name of a type of ours around a type for which only the compiler has a name.
    #[cfg(any(feature = "bytemuck", feature = "postcard"))]
    pub(super) fn wrapper<T>(wrapper: &str) -> Self {
        Self::builtin(wrapper).text("<").inner(&Self::new(core::any::type_name::<T>())).text(">")
    }

    /// The name with more of our text behind it.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.name.push_str(text);
        self
    }

    /// The name with the name of a type inside it.
    pub(super) fn inner(mut self, inner: &Self) -> Self {
        let base = self.name.len();
        self.name.push_str(&inner.name);
        self.user.extend(inner.user.iter().map(|range| base + range.start..base + range.end));
        self
    }

    /// The name as the file keeps it: the number of users' names; for each, the bytes of our text before it and its
    /// own length; then the text.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.name.len() + 1 + 2 * self.user.len());
        push_length(self.user.len(), &mut out);
        let mut done = 0;
        for range in &self.user {
            push_length(range.start - done, &mut out);
            push_length(range.len(), &mut out);
            done = range.end;
        }
        out.extend_from_slice(self.name.as_bytes());
        out
    }

    /// The name that [`to_bytes`](Self::to_bytes) made `data` of; `None` if it made no such bytes.
    pub(crate) fn from_bytes(data: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(data);
        let count = reader.length()?;
        // A count from damaged bytes must not choose the allocation: each name takes two bytes or more.
        let mut user = Vec::with_capacity(count.min(data.len() / 2));
        let mut done = 0_usize;
        for _ in 0..count {
            let start = done.checked_add(reader.length()?)?;
            done = start.checked_add(reader.length()?)?;
            user.push(start..done);
        }
        let name = core::str::from_utf8(reader.rest()).ok()?;
        let whole = user.iter().all(|range| name.get(range.clone()).is_some());
        whole.then(|| Self { name: name.to_string(), user })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Value;
    use core::num::NonZeroU32;
    use proptest::prelude::*;

    #[derive(Debug)]
    struct User<const NAME: char>;

    impl<const NAME: char> Value for User<NAME> {
        type SelfType<'a> = ();
        type AsBytes<'a> = [u8; 0];

        fn fixed_width() -> Option<usize> {
            Some(0)
        }

        fn from_bytes<'a>(_: &'a [u8])
        where
            Self: 'a,
        {
        }

        fn as_bytes<'a, 'b: 'a>((): &'a ()) -> [u8; 0]
        where
            Self: 'b,
        {
            []
        }

        fn type_name() -> TypeName {
            TypeName::new(if NAME == '4' { "u32" } else { "u8,u8" })
        }
    }

    type Four = User<'4'>;
    type Comma = User<','>;

    fn names() -> Vec<TypeName> {
        alloc::vec![
            u32::type_name(),
            Four::type_name(),
            <Option<u32>>::type_name(),
            <Option<Four>>::type_name(),
            TypeName::new("Option<u32>"),
            <(u8, u8, u8)>::type_name(),
            <(Comma, u8)>::type_name(),
            <(u8, Comma)>::type_name(),
            TypeName::new("(u8,u8,u8)"),
            <(u32, Four)>::type_name(),
            <(Four, u32)>::type_name(),
            <(Four, Four)>::type_name(),
            <(Four,)>::type_name(),
            <(u32,)>::type_name(),
            <[u32; 2]>::type_name(),
            <[Four; 2]>::type_name(),
            <[u32; 3]>::type_name(),
            <Vec<u32>>::type_name(),
            <Vec<Four>>::type_name(),
            <Vec<Option<Four>>>::type_name(),
            <Option<NonZeroU32>>::type_name(),
            TypeName::new(""),
            TypeName::builtin(""),
        ]
    }

    #[test]
    fn no_two_names_are_equal() {
        let names = names();
        for (i, a) in names.iter().enumerate() {
            for (j, b) in names.iter().enumerate() {
                assert_eq!(i == j, a == b, "{a:?} {b:?}");
                assert_eq!(i == j, a.to_bytes() == b.to_bytes(), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn bytes_round_trip() {
        for name in names() {
            assert_eq!(TypeName::from_bytes(&name.to_bytes()), Some(name));
        }
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(u32::type_name().to_bytes(), b"\0u32");
        assert_eq!(TypeName::new("u32").to_bytes(), b"\x01\0\x03u32");
        assert_eq!(<(u8, Four, Four)>::type_name().to_bytes(), b"\x02\x04\x03\x01\x03(u8,u32,u32)");
    }

    #[test]
    fn damaged_bytes_are_refused() {
        for bad in [&b""[..], b"\x01", b"\x01\0", b"\x01\0\x04u32", b"\xfe\0\0u32", b"\0\xff", b"\x01\x01\x01\xc3\xa9"]
        {
            assert_eq!(TypeName::from_bytes(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(data in proptest::collection::vec(prop_oneof![0_u8..6, any::<u8>()], 0..24)) {
            if let Some(name) = TypeName::from_bytes(&data) {
                prop_assert_eq!(name.to_bytes(), data);
            }
        }
    }
}
