//! Keys that begin alike.

use super::Key;
use alloc::string::String;
use alloc::vec::Vec;

/// A key type that is ordered as its bytes are, so that keys which begin alike lie side by side: see
/// [`ReadableTable::prefix`](crate::ReadableTable::prefix).
///
/// A type of your own may be one as well, if its [`compare`](Key::compare) is the order of its bytes; else there is no
/// telling which rows are found.
///
/// ```
/// use sapwood::PrefixKey;
///
/// fn starts<K: PrefixKey>(key: &[u8], prefix: &K::Prefix) -> bool {
///     key.starts_with(prefix.as_ref())
/// }
/// assert!(starts::<&str>(b"oak bark", "oak"));
/// ```
pub trait PrefixKey: Key {
    /// What keys begin with.
    type Prefix: AsRef<[u8]> + ?Sized;
}

impl PrefixKey for &[u8] {
    type Prefix = [u8];
}

impl PrefixKey for &str {
    type Prefix = str;
}

impl PrefixKey for String {
    type Prefix = str;
}

/// The least byte string that is greater than all that begin with `prefix`, if there is one.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut after = prefix.get(..=last)?.to_vec();
    *after.last_mut()? += 1;
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_between_a_prefix_and_what_comes_after() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(after_prefix(b"\xfe"), Some(b"\xff".to_vec()));
        assert_eq!(after_prefix(b""), None);
        assert_eq!(after_prefix(b"\xff\xff"), None);
    }
}
