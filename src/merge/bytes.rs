//! Operators for bytes, and for sets of elements.

use super::numbers::same_width;
use super::{MergeError, MergeOperator};
use crate::types::{Key, Value};
use alloc::vec::Vec;
use core::fmt::{Debug, Formatter};
use core::marker::PhantomData;

/// Declares an operator for bits.
macro_rules! bitwise {
    ($(#[$doc:meta])* $name:ident, $text:literal, $operation:tt) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        impl MergeOperator for $name {
            fn name(&self) -> &str {
                $text
            }

            fn merge(
                &self,
                _: &[u8],
                existing: Option<&[u8]>,
                operand: &[u8],
            ) -> Result<Option<Vec<u8>>, MergeError> {
                let Some(existing) = same_width(existing, operand)? else { return Ok(Some(operand.to_vec())) };
                Ok(Some(existing.iter().zip(operand).map(|(one, other)| one $operation other).collect()))
            }
        }
    };
}

bitwise! {
    /// Keeps the bits that value and operand both have. They must be of one width, which may be any; without a value
    /// the operand is the value.
    ///
    /// ```
    /// use sapwood::{BitwiseAnd, MergeOperator};
    ///
    /// assert_eq!(BitwiseAnd.merge(b"", Some(&[0b1100, 1]), &[0b1010, 0]), Ok(Some(vec![0b1000, 0])));
    /// assert!(BitwiseAnd.merge(b"", Some(&[0b1100, 1]), &[0b1010]).is_err());
    /// ```
    BitwiseAnd, "bitwise_and", &
}

bitwise! {
    /// Keeps the bits that value or operand have. They must be of one width, which may be any; without a value the
    /// operand is the value.
    ///
    /// ```
    /// use sapwood::{BitwiseOr, MergeOperator};
    ///
    /// assert_eq!(BitwiseOr.merge(b"", Some(&[0b1100, 1]), &[0b1010, 0]), Ok(Some(vec![0b1110, 1])));
    /// ```
    BitwiseOr, "bitwise_or", |
}

bitwise! {
    /// Keeps the bits that one of value and operand has. They must be of one width, which may be any; without a value
    /// the operand is the value.
    ///
    /// ```
    /// use sapwood::{BitwiseXor, MergeOperator};
    ///
    /// assert_eq!(BitwiseXor.merge(b"", Some(&[0b1100, 1]), &[0b1010, 1]), Ok(Some(vec![0b0110, 0])));
    /// ```
    BitwiseXor, "bitwise_xor", ^
}

/// Puts the operand behind the value. Without a value the operand is the value, also if it is empty.
///
/// What one merge costs depends on the operand alone as long as the value waits in memory and its type takes any bytes,
/// as `&[u8]` does. Of other types, such as `&str`, the whole value is looked at each time.
///
/// ```
/// use sapwood::{BytesAppend, Database, ReadableTable, TableDefinition, backends::InMemoryBackend};
///
/// const LOGS: TableDefinition<&str, &[u8]> = TableDefinition::new("logs");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// {
///     let mut logs = txn.open_table(LOGS)?;
///     logs.merge("oak", b"planted; ", &BytesAppend)?;
///     logs.merge("oak", b"felled", &BytesAppend)?;
///     assert_eq!(logs.get("oak")?.unwrap().value(), b"planted; felled");
/// }
/// # Ok::<(), sapwood::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct BytesAppend;

impl MergeOperator for BytesAppend {
    fn name(&self) -> &str {
        "bytes_append"
    }

    fn merge(&self, _: &[u8], existing: Option<&[u8]>, operand: &[u8]) -> Result<Option<Vec<u8>>, MergeError> {
        Ok(Some([existing.unwrap_or_default(), operand].concat()))
    }

    fn suffix<'o>(&self, _: &[u8], _: Option<&[u8]>, operand: &'o [u8]) -> Option<&'o [u8]> {
        Some(operand)
    }
}

/// Joins two sets, stored as `Vec<T>`: the elements of both, in the order of `T` as a key, each once. Value and operand
/// need not be sorted. Of elements that are equal as keys the value's first is kept.
///
/// It is no operator that every database knows: register it under a name of your own for each `T`. Each merge takes
/// time in proportion to the set; for large sets there are [multimap tables](crate::MultimapTable).
///
/// ```
/// use sapwood::{Database, ReadableTable, SetUnion, TableDefinition, backends::InMemoryBackend};
///
/// const TAGS: TableDefinition<u64, Vec<&str>> = TableDefinition::new("tags");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// {
///     let mut tags = txn.open_table(TAGS)?;
///     tags.merge_in(1, vec!["tall", "old"], &SetUnion::<&str>::new())?;
///     tags.merge_in(1, vec!["old", "dry"], &SetUnion::<&str>::new())?;
///     assert_eq!(tags.get(1)?.unwrap().value(), ["dry", "old", "tall"]);
/// }
/// # Ok::<(), sapwood::Error>(())
/// ```
pub struct SetUnion<T>(PhantomData<fn() -> T>);

impl<T> SetUnion<T> {
    /// The operator for sets of `T`.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for SetUnion<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for SetUnion<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SetUnion<T> {}

impl<T> Debug for SetUnion<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.write_str("SetUnion")
    }
}

impl<T: Key + 'static> MergeOperator for SetUnion<T> {
    fn name(&self) -> &str {
        "set_union"
    }

    /// # Errors
    ///
    /// [`Refused`](MergeError::Refused) if value or operand are not the bytes of a `Vec<T>`.
    fn merge(&self, _: &[u8], existing: Option<&[u8]>, operand: &[u8]) -> Result<Option<Vec<u8>>, MergeError> {
        let mut all = elements::<T>(operand)?;
        if let Some(existing) = existing {
            let added = core::mem::replace(&mut all, elements::<T>(existing)?);
            all.extend(added);
        }
        all.sort_by(|one, other| T::compare(T::as_bytes(one).as_ref(), T::as_bytes(other).as_ref()));
        all.dedup_by(|one, other| T::compare(T::as_bytes(one).as_ref(), T::as_bytes(other).as_ref()).is_eq());
        Ok(Some(<Vec<T>>::as_bytes(&all)))
    }
}

fn elements<T: Value + 'static>(bytes: &[u8]) -> Result<Vec<T::SelfType<'_>>, MergeError> {
    if !<Vec<T>>::validate(bytes) {
        return Err(MergeError::no_such_value("set", bytes));
    }
    Ok(<Vec<T>>::from_bytes(bytes))
}
