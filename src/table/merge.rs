use super::write::Table;
use crate::btree::check_row;
use crate::error::{MergePlace, StorageError};
use crate::limits::MAX_VALUE_LENGTH;
use crate::merge::{MergeError, MergeOperator};
use crate::types::{Key, Value};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::borrow::Borrow;

/// Merging into values.
impl<K: Key + 'static, V: Value + 'static> Table<'_, K, V> {
    /// Has `operator` make the value of a key of the one that it has, if there is one, and `operand`.
    ///
    /// Merges of the same few keys do not change the tree each time. The values wait in memory until the table is read
    /// or changed otherwise, or closed; nobody sees a difference. Up to 256 keys of a table wait, in a sixteenth of the
    /// cache's budget, or 64 KiB if that is more, for all tables of the transaction; a value that is longer than that
    /// comes to the tree each time.
    ///
    /// ```
    /// use sapwood::{Database, NumericAdd, NumericMax, ReadableTable, TableDefinition, backends::InMemoryBackend};
    ///
    /// const VISITS: TableDefinition<&str, u64> = TableDefinition::new("visits");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// {
    ///     let mut visits = txn.open_table(VISITS)?;
    ///     for _ in 0..1000 {
    ///         visits.merge("oak", &1_u64.to_le_bytes(), &NumericAdd)?;
    ///     }
    ///     visits.merge("oak", &7_u64.to_le_bytes(), &NumericMax::Unsigned)?;
    ///     assert_eq!(visits.get("oak")?.unwrap().value(), 1000);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`MergeValueWidthMismatch`](StorageError::MergeValueWidthMismatch) and
    /// [`MergeRefused`](StorageError::MergeRefused) if the operator gives no value,
    /// [`MergeResultInvalid`](StorageError::MergeResultInvalid) if what it gives is no `V`, and
    /// [`ValueTooLarge`](StorageError::ValueTooLarge) if key or result are over the [limit](crate::limits). Nothing is
    /// then changed.
    ///
    /// # Panics
    ///
    /// If the operator panics, the transaction can only be aborted.
    pub fn merge<'k>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        operand: &[u8],
        operator: &dyn MergeOperator,
    ) -> Result<(), StorageError> {
        let merge = Merge { operand, name: operator.name(), operator };
        self.merge_by(K::as_bytes(key.borrow()).as_ref(), &merge)
    }

    /// Like [`merge`](Self::merge), with an operand of the table's value type.
    ///
    /// ```
    /// use sapwood::{Database, ReadableTable, SaturatingAdd, StorageError, TableDefinition, backends::InMemoryBackend};
    ///
    /// const HEIGHTS: TableDefinition<&str, i16> = TableDefinition::new("heights");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// {
    ///     let mut heights = txn.open_table(HEIGHTS)?;
    ///     heights.merge_in("oak", 12, &SaturatingAdd::Signed)?;
    ///     heights.merge_in("oak", -20, &SaturatingAdd::Signed)?;
    ///     let wide = heights.merge("oak", &[1, 0, 0, 0], &SaturatingAdd::Signed);
    ///     assert!(matches!(wide, Err(StorageError::MergeValueWidthMismatch { existing: 2, operand: 4, .. })));
    ///     assert_eq!(heights.get("oak")?.unwrap().value(), -8);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn merge_in<'k, 'v>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        operand: impl Borrow<V::SelfType<'v>>,
        operator: &dyn MergeOperator,
    ) -> Result<(), StorageError> {
        self.merge(key, V::as_bytes(operand.borrow()).as_ref(), operator)
    }

    /// Like [`merge`](Self::merge), by the operator that the table's definition names: see
    /// [`TableDefinition::with_merge`](crate::TableDefinition::with_merge).
    ///
    /// # Errors
    ///
    /// Besides those of [`merge`](Self::merge), [`MergeOperatorMissing`](StorageError::MergeOperatorMissing) if the
    /// definition names none, or one that was not registered.
    pub fn merge_registered<'k>(
        &mut self,
        key: impl Borrow<K::SelfType<'k>>,
        operand: &[u8],
    ) -> Result<(), StorageError> {
        let named = self.table().operator();
        let name = named.map_or("", |named| &named.name);
        let Some(operator) = named.and_then(|named| named.operator.as_deref()) else {
            return Err(StorageError::MergeOperatorMissing(self.merge_place(name)));
        };
        self.merge_by(K::as_bytes(key.borrow()).as_ref(), &Merge { operand, name, operator })
    }

    fn merge_by(&self, key: &[u8], merge: &Merge<'_>) -> Result<(), StorageError> {
        check_row(key.len(), 0)?;
        self.open().merge(key, merge.operand, |value, operand| {
            merge.apply::<V>(key, value, operand).map_err(|fault| self.merge_error(merge.name, fault))
        })
    }

    fn merge_error(&self, operator: &str, fault: Fault) -> StorageError {
        let merge = self.merge_place(operator);
        match fault {
            Fault::Operator(MergeError::WidthMismatch { existing, operand }) => {
                StorageError::MergeValueWidthMismatch { merge, existing, operand }
            }
            Fault::Operator(other) => StorageError::MergeRefused { merge, reason: other.to_string().into() },
            Fault::Invalid(length) => {
                StorageError::MergeResultInvalid { merge, value_type: Box::new(V::type_name()), length }
            }
            Fault::TooLarge(length) => StorageError::ValueTooLarge(length),
        }
    }

    fn merge_place(&self, operator: &str) -> Box<MergePlace> {
        Box::new(MergePlace { table: self.table().name().to_owned(), operator: operator.to_owned() })
    }
}

/// What is merged, and how.
struct Merge<'m> {
    operand: &'m [u8],
    name: &'m str,
    operator: &'m dyn MergeOperator,
}

/// Why there is no result.
enum Fault {
    Operator(MergeError),
    /// It is so long, and no value of the table's type.
    Invalid(usize),
    TooLarge(usize),
}

impl Merge<'_> {
    /// Puts the result in the place of `value`, which stays as it is if there is none.
    fn apply<V: Value>(&self, key: &[u8], value: &mut Option<Vec<u8>>, operand: &[u8]) -> Result<(), Fault> {
        if let Some(suffix) = self.operator.suffix(key, value.as_deref(), operand) {
            return append::<V>(value, suffix);
        }
        let result = self.operator.merge(key, value.as_deref(), operand).map_err(Fault::Operator)?;
        result.as_deref().map_or(Ok(()), check::<V>)?;
        *value = result;
        Ok(())
    }
}

fn append<V: Value>(value: &mut Option<Vec<u8>>, suffix: &[u8]) -> Result<(), Fault> {
    let before = value.as_ref().map(Vec::len);
    let length = before.unwrap_or(0).saturating_add(suffix.len());
    check_length(length)?;
    let bytes = value.get_or_insert_default();
    let reserved = bytes.try_reserve(suffix.len()).map_err(|_| Fault::TooLarge(length));
    let appended = reserved.and_then(|()| {
        bytes.extend_from_slice(suffix);
        check::<V>(bytes)
    });
    if appended.is_err() {
        bytes.truncate(before.unwrap_or(0));
        value.take_if(|_| before.is_none());
    }
    appended
}

/// An error unless the table may hold these bytes.
fn check<V: Value>(bytes: &[u8]) -> Result<(), Fault> {
    check_length(bytes.len())?;
    let width = V::fixed_width().unwrap_or(bytes.len());
    if width == bytes.len() && V::validate(bytes) { Ok(()) } else { Err(Fault::Invalid(bytes.len())) }
}

fn check_length(length: usize) -> Result<(), Fault> {
    if length > MAX_VALUE_LENGTH { Err(Fault::TooLarge(length)) } else { Ok(()) }
}
