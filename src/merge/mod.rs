//! What a merge makes of a value and an operand: the trait, the operators that come with the crate, and the names that
//! files know operators by. It knows nothing of tables.

mod bytes;
mod numbers;
mod registry;
#[cfg(test)]
mod tests;

pub use bytes::{BitwiseAnd, BitwiseOr, BitwiseXor, BytesAppend, SetUnion};
pub use numbers::{CheckedAdd, FloatAdd, NumericAdd, NumericMax, NumericMin, SaturatingAdd};
pub(crate) use registry::{NamedOperator, Operators};

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{Display, Formatter};

/// What [`Table::merge`](crate::Table::merge) makes of the value of a key and an operand.
///
/// Merges of one key may wait in memory and come to the table as one change, so all that counts is the bytes: what an
/// operator gives should depend on nothing else. It is called once for each merge, when that is made.
///
/// ```
/// use sapwood::{Database, MergeError, MergeOperator, ReadableTable, TableDefinition, backends::InMemoryBackend};
///
/// /// Keeps the longest text.
/// struct Longest;
///
/// impl MergeOperator for Longest {
///     fn merge(&self, _: &[u8], existing: Option<&[u8]>, operand: &[u8]) -> Result<Option<Vec<u8>>, MergeError> {
///         let kept = existing.filter(|existing| existing.len() >= operand.len());
///         Ok(Some(kept.unwrap_or(operand).to_vec()))
///     }
/// }
///
/// const NAMES: TableDefinition<u64, &str> = TableDefinition::new("names");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// {
///     let mut names = txn.open_table(NAMES)?;
///     for name in ["yew", "sycamore", "oak"] {
///         names.merge_in(1, name, &Longest)?;
///     }
///     assert_eq!(names.get(1)?.unwrap().value(), "sycamore");
/// }
/// # Ok::<(), sapwood::Error>(())
/// ```
pub trait MergeOperator: Send + Sync {
    /// What errors call the operator. Its type's name, unless said otherwise.
    fn name(&self) -> &str {
        core::any::type_name::<Self>()
    }

    /// The value that a key has after the merge; `None` if the row is to be removed, or not to come to be.
    ///
    /// # Errors
    ///
    /// Nothing is then changed, and the caller of the merge is told why.
    ///
    /// # Panics
    ///
    /// If it panics, the transaction can only be aborted.
    fn merge(&self, key: &[u8], existing: Option<&[u8]>, operand: &[u8]) -> Result<Option<Vec<u8>>, MergeError>;

    /// Bytes that the merge puts behind the value, if that is all that it does. It is asked first, and
    /// [`merge`](Self::merge) only if this is `None`: a long value that grows need not be copied each time.
    fn suffix<'o>(&self, key: &[u8], existing: Option<&[u8]>, operand: &'o [u8]) -> Option<&'o [u8]> {
        let _ = (key, existing, operand);
        None
    }
}

/// Why an operator makes no value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MergeError {
    /// Value and operand are not of one width that the operator is for.
    WidthMismatch {
        /// Bytes of the value; 0 if there is none.
        existing: usize,
        /// Bytes of the operand.
        operand: usize,
    },
    /// It refuses, for this reason.
    Refused(String),
}

impl MergeError {
    fn widths(existing: Option<&[u8]>, operand: &[u8]) -> Self {
        Self::WidthMismatch { existing: existing.map_or(0, <[u8]>::len), operand: operand.len() }
    }

    fn no_such_value(what: &str, bytes: &[u8]) -> Self {
        Self::Refused(format!("{} bytes are not a {what}", bytes.len()))
    }
}

impl Display for MergeError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::WidthMismatch { existing, operand } => {
                write!(f, "a value of {existing} bytes takes no operand of {operand}")
            }
            Self::Refused(reason) => f.write_str(reason),
        }
    }
}

impl core::error::Error for MergeError {}

/// An operator that does what a closure does: it is given key, value and operand, and gives the value after the merge,
/// or `None` to remove the row.
///
/// ```
/// use sapwood::{Database, ReadableTable, TableDefinition, backends::InMemoryBackend, merge_fn};
///
/// const LAST: TableDefinition<&str, u64> = TableDefinition::new("last");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// {
///     let replace = merge_fn(|_, _, operand| (!operand.is_empty()).then(|| operand.to_vec()));
///     let mut last = txn.open_table(LAST)?;
///     last.merge("oak", &7_u64.to_le_bytes(), &replace)?;
///     assert_eq!(last.get("oak")?.unwrap().value(), 7);
///     last.merge("oak", &[], &replace)?;
///     assert!(last.get("oak")?.is_none());
/// }
/// # Ok::<(), sapwood::Error>(())
/// ```
pub fn merge_fn<F>(merge: F) -> impl MergeOperator
where
    F: Fn(&[u8], Option<&[u8]>, &[u8]) -> Option<Vec<u8>> + Send + Sync,
{
    Closure(merge)
}

struct Closure<F>(F);

impl<F> MergeOperator for Closure<F>
where
    F: Fn(&[u8], Option<&[u8]>, &[u8]) -> Option<Vec<u8>> + Send + Sync,
{
    fn name(&self) -> &str {
        core::any::type_name::<F>()
    }

    fn merge(&self, key: &[u8], existing: Option<&[u8]>, operand: &[u8]) -> Result<Option<Vec<u8>>, MergeError> {
        Ok((self.0)(key, existing, operand))
    }
}
