//! Indexes that users make: opened, listed and deleted by name. Those of blobs have the empty name.

use super::tables::{OwnTables, Part, open};
use crate::error::{IndexError, StorageError, TableError};
use crate::txn::{ReadTransaction, WriteTransaction, check_name};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What names an index.
macro_rules! definition {
    ($(#[$doc:meta])* $definition:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $definition<'a> {
            pub(super) name: &'a str,
        }

        impl<'a> $definition<'a> {
            /// The one of that name: at most [`MAX_NAME_LENGTH`](crate::limits::MAX_NAME_LENGTH) bytes.
            ///
            /// # Panics
            ///
            /// If `name` is empty.
            pub const fn new(name: &'a str) -> Self {
                assert!(!name.is_empty(), "an index's name must not be empty");
                Self { name }
            }

            /// Its name.
            pub const fn name(&self) -> &'a str {
                self.name
            }
        }
    };
}
pub(super) use definition;

/// Makes an index if there is none of that name. `P` is a table that each such index has from the start.
pub(crate) fn make<P: Part>(txn: &WriteTransaction, name: &str) -> Result<(), TableError> {
    check_name(name)?;
    let _held = txn.hold();
    Ok(open::<P>(txn, name).map(drop)?)
}

/// An error unless there is an index of that name.
pub(crate) fn find<P: Part>(txn: &ReadTransaction, name: &str) -> Result<(), TableError> {
    check_name(name)?;
    txn.table::<P>(name)?.map(drop).ok_or_else(|| TableError::TableDoesNotExist(name.to_string()))
}

/// The names of those that users made.
pub(crate) fn list<P: Part>(tables: &impl OwnTables) -> Result<Vec<String>, StorageError> {
    let _held = tables.hold();
    Ok(tables.names::<P>()?.into_iter().filter(|name| !name.is_empty()).collect())
}

/// An error if a text is over its limit.
pub(super) fn check_text(what: &'static str, text: &str, limit: usize) -> Result<(), IndexError> {
    let length = text.len();
    if length > limit { Err(IndexError::TooLong { what, length, limit }) } else { Ok(()) }
}
