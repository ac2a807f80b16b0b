use super::sealed::Sealed;
use crate::compression::Compression;
use crate::types::{Key, Value};
use alloc::string::String;
use core::fmt::{Debug, Display, Formatter};
use core::marker::PhantomData;
use core::time::Duration;

/// Something that names a table.
pub trait TableHandle: Sealed {
    /// Name of the table.
    fn name(&self) -> &str;
}

/// Something that names a multimap table.
pub trait MultimapTableHandle: Sealed {
    /// Name of the table.
    fn name(&self) -> &str;
}

/// Something that names a TTL table.
pub trait TtlTableHandle: Sealed {
    /// Name of the table.
    fn name(&self) -> &str;
}

/// A table's name and types, and the name of one that exists.
macro_rules! named {
    (
        $handle:ident, $value:ident,
        $(#[$of_types:meta])* $definition:ident { $($field:ident: $type:ty = $unsaid:expr),* },
        $(#[$of_any:meta])* $untyped:ident $(,)?
    ) => {
        $(#[$of_types])*
        pub struct $definition<'a, K: Key + 'static, V: $value + 'static> {
            name: &'a str,
            $($field: $type,)*
            types: PhantomData<fn() -> (K, V)>,
        }

        impl<'a, K: Key + 'static, V: $value + 'static> $definition<'a, K, V> {
            /// The table of that name.
            ///
            /// # Panics
            ///
            /// If `name` is empty.
            pub const fn new(name: &'a str) -> Self {
                assert!(!name.is_empty(), "a table's name must not be empty");
                Self { name, $($field: $unsaid,)* types: PhantomData }
            }
        }

        impl<K: Key + 'static, V: $value + 'static> Sealed for $definition<'_, K, V> {}

        impl<K: Key + 'static, V: $value + 'static> $handle for $definition<'_, K, V> {
            fn name(&self) -> &str {
                self.name
            }
        }

        impl<K: Key + 'static, V: $value + 'static> Clone for $definition<'_, K, V> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<K: Key + 'static, V: $value + 'static> Copy for $definition<'_, K, V> {}

        impl<K: Key + 'static, V: $value + 'static> Display for $definition<'_, K, V> {
            fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
                write!(f, "{}<{}, {}>", self.name, K::type_name().name(), V::type_name().name())
            }
        }

        impl<K: Key + 'static, V: $value + 'static> Debug for $definition<'_, K, V> {
            fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
                Display::fmt(self, f)
            }
        }

        $(#[$of_any])*
        #[derive(Clone, Debug)]
        pub struct $untyped {
            name: String,
        }

        impl $untyped {
            pub(super) fn new(name: String) -> Self {
                Self { name }
            }
        }

        impl Sealed for $untyped {}

        impl $handle for $untyped {
            fn name(&self) -> &str {
                &self.name
            }
        }
    };
}

named! {
    TableHandle,
    Value,
    /// A table's name and the types of its keys and values.
    ///
    /// ```
    /// use sapwood::TableDefinition;
    ///
    /// const SCORES: TableDefinition<&str, u64> = TableDefinition::new("scores");
    /// ```
    TableDefinition { compression: Option<Compression> = None, merge: Option<&'a str> = None },
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
    UntypedTableHandle
}

impl<'a, K: Key + 'static, V: Value + 'static> TableDefinition<'a, K, V> {
    /// The same table, with its values compressed if it is created with this definition. Otherwise the
    /// [database](crate::Builder::set_compression) says whether they are. A table that exists keeps what it was created
    /// with.
    ///
    /// ```
    /// use sapwood::{Compression, TableDefinition};
    ///
    /// const PHOTOS: TableDefinition<u64, &[u8]> = TableDefinition::new("photos").with_compression(Compression::None);
    /// ```
    #[must_use]
    pub const fn with_compression(self, compression: Compression) -> Self {
        Self { compression: Some(compression), ..self }
    }

    /// The same table, whose operands are merged by the operator of that name: see
    /// [`Table::merge_registered`](crate::Table::merge_registered). The file keeps the name. A table that has none
    /// takes that of the first definition which names one, when it is opened to be written; from then on no definition
    /// may name another, but one may name none.
    ///
    /// Every database knows the operators of this crate by these names: `add`, `saturating_add.unsigned`,
    /// `saturating_add.signed`, `checked_add.unsigned`, `checked_add.signed`, `float_add`, `max.unsigned`,
    /// `max.signed`, `max.float`, `min.unsigned`, `min.signed`, `min.float`, `bitwise_and`, `bitwise_or`, `bitwise_xor`
    /// and `bytes_append`. Others are registered by
    /// [`Builder::register_merge_operator`](crate::Builder::register_merge_operator); without that the table is read
    /// and changed as any, and merging is an error. A name has at most 4,096 bytes; none at all is as if nothing was
    /// named.
    ///
    /// ```
    /// use sapwood::{Database, ReadableTable, TableDefinition, backends::InMemoryBackend};
    ///
    /// const PEAKS: TableDefinition<&str, u64> = TableDefinition::new("peaks").with_merge("max.unsigned");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// {
    ///     let mut peaks = txn.open_table(PEAKS)?;
    ///     peaks.merge_registered("oak", &30_u64.to_le_bytes())?;
    ///     peaks.merge_registered("oak", &12_u64.to_le_bytes())?;
    ///     assert_eq!(peaks.get("oak")?.unwrap().value(), 30);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    #[must_use]
    pub const fn with_merge(self, operator: &'a str) -> Self {
        Self { merge: if operator.is_empty() { None } else { Some(operator) }, ..self }
    }

    pub(super) fn compression(&self) -> Option<Compression> {
        self.compression
    }

    pub(super) fn merge(&self) -> Option<&'a str> {
        self.merge
    }
}

named! {
    MultimapTableHandle,
    Key,
    /// A multimap table's name and the types of its keys and values. Values are ordered, as keys are.
    ///
    /// ```
    /// use sapwood::MultimapTableDefinition;
    ///
    /// const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");
    /// ```
    MultimapTableDefinition {},
    /// The name of a multimap table that exists, whatever its types: what listing gives, and renaming, deleting and
    /// [`open_untyped_multimap_table`](crate::ReadTransaction::open_untyped_multimap_table) take.
    ///
    /// ```
    /// use sapwood::{Database, MultimapTableDefinition, MultimapTableHandle, backends::InMemoryBackend};
    ///
    /// const TAGS: MultimapTableDefinition<&str, u64> = MultimapTableDefinition::new("tags");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// txn.open_multimap_table(TAGS)?;
    /// let tables: Vec<_> = txn.list_multimap_tables()?.collect();
    /// assert_eq!(tables[0].name(), "tags");
    /// for table in tables {
    ///     assert!(txn.delete_multimap_table(table)?);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    UntypedMultimapTableHandle
}

named! {
    TtlTableHandle,
    Value,
    /// The name of a table whose rows may expire, and the types of its keys and values.
    ///
    /// ```
    /// use sapwood::TtlTableDefinition;
    /// use std::time::Duration;
    ///
    /// const SESSIONS: TtlTableDefinition<&str, u64> =
    ///     TtlTableDefinition::new("sessions").with_default_ttl(Duration::from_secs(3600));
    /// ```
    TtlTableDefinition { compression: Option<Compression> = None, default_ttl: Option<Duration> = None },
    /// The name of a TTL table that exists, whatever its types: what listing gives, and renaming and deleting take.
    ///
    /// ```
    /// use sapwood::{Database, TtlTableDefinition, TtlTableHandle, backends::InMemoryBackend};
    ///
    /// const SESSIONS: TtlTableDefinition<&str, u64> = TtlTableDefinition::new("sessions");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// txn.open_ttl_table(SESSIONS)?;
    /// let tables: Vec<_> = txn.list_ttl_tables()?.collect();
    /// assert_eq!(tables[0].name(), "sessions");
    /// for table in tables {
    ///     assert!(txn.delete_ttl_table(table)?);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    UntypedTtlTableHandle
}

impl<K: Key + 'static, V: Value + 'static> TtlTableDefinition<'_, K, V> {
    /// The same table, with rows that expire so long after they were inserted, unless the insertion says otherwise.
    /// Without this they do not expire. The file does not know of it: whoever opens the table says it.
    #[must_use]
    pub const fn with_default_ttl(self, ttl: Duration) -> Self {
        Self { default_ttl: Some(ttl), ..self }
    }

    pub(super) fn default_ttl(&self) -> Option<Duration> {
        self.default_ttl
    }

    /// The same table, with its values compressed if it is created with this definition: see
    /// [`TableDefinition::with_compression`].
    #[must_use]
    pub const fn with_compression(self, compression: Compression) -> Self {
        Self { compression: Some(compression), ..self }
    }

    pub(super) fn compression(&self) -> Option<Compression> {
        self.compression
    }
}
