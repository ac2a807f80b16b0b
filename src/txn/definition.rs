use super::sealed::Sealed;
use crate::types::{Key, Value};
use alloc::string::String;
use core::fmt::{Debug, Display, Formatter};
use core::marker::PhantomData;

/// Something that names a table.
pub trait TableHandle: Sealed {
    /// Name of the table.
    fn name(&self) -> &str;
}

/// A table's name and the types of its keys and values.
///
/// ```
/// use sapwood::TableDefinition;
///
/// const SCORES: TableDefinition<&str, u64> = TableDefinition::new("scores");
/// ```
pub struct TableDefinition<'a, K: Key + 'static, V: Value + 'static> {
    name: &'a str,
    types: PhantomData<fn() -> (K, V)>,
}

impl<'a, K: Key + 'static, V: Value + 'static> TableDefinition<'a, K, V> {
    /// The table of that name.
    ///
    /// # Panics
    ///
    /// If `name` is empty.
    pub const fn new(name: &'a str) -> Self {
        assert!(!name.is_empty(), "a table's name must not be empty");
        Self { name, types: PhantomData }
    }
}

impl<K: Key + 'static, V: Value + 'static> Sealed for TableDefinition<'_, K, V> {}

impl<K: Key + 'static, V: Value + 'static> TableHandle for TableDefinition<'_, K, V> {
    fn name(&self) -> &str {
        self.name
    }
}

impl<K: Key + 'static, V: Value + 'static> Clone for TableDefinition<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Key + 'static, V: Value + 'static> Copy for TableDefinition<'_, K, V> {}

impl<K: Key + 'static, V: Value + 'static> Display for TableDefinition<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}<{}, {}>", self.name, K::type_name().name(), V::type_name().name())
    }
}

impl<K: Key + 'static, V: Value + 'static> Debug for TableDefinition<'_, K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        Display::fmt(self, f)
    }
}

/// The name of a table that exists, whatever its types: what listing gives, and renaming, deleting and
/// [`open_untyped_table`](crate::ReadTransaction::open_untyped_table) take.
///
/// ```
/// use sapwood::{Database, TableDefinition, TableHandle, backends::InMemoryBackend};
///
/// const RINGS: TableDefinition<u64, u64> = TableDefinition::new("rings");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// txn.open_table(RINGS)?;
/// let tables: Vec<_> = txn.list_tables()?.collect();
/// assert_eq!(tables[0].name(), "rings");
/// for table in tables {
///     assert!(txn.delete_table(table)?);
/// }
/// # Ok::<(), sapwood::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct UntypedTableHandle {
    name: String,
}

impl UntypedTableHandle {
    pub(super) fn new(name: String) -> Self {
        Self { name }
    }
}

impl Sealed for UntypedTableHandle {}

impl TableHandle for UntypedTableHandle {
    fn name(&self) -> &str {
        &self.name
    }
}
