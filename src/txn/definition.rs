use super::sealed::Sealed;
use crate::types::{Key, Value};
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
