//! `Postcard`: values of types that serde knows, in the bytes of the crate postcard.

use super::{TypeName, Value};
use ::postcard::{take_from_bytes, to_allocvec};
use alloc::borrow::Cow;
use core::fmt::{Debug, Display, Formatter};
use core::marker::PhantomData;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value of a type `T` that serde serialises, as the bytes that the crate postcard makes of it. Needs the feature
/// `postcard`.
///
/// ```
/// use sapwood::backends::InMemoryBackend;
/// use sapwood::{Database, Postcard, ReadableDatabase, TableDefinition};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Tree {
///     height: f32,
///     names: Vec<String>,
///     parent: Option<Box<Tree>>,
/// }
///
/// const TREES: TableDefinition<&str, Postcard<Tree>> = TableDefinition::new("trees");
///
/// # fn main() -> Result<(), sapwood::Error> {
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// let oak = Tree { height: 27.5, names: vec!["oak".into(), "Quercus".into()], parent: None };
/// txn.open_table(TREES)?.insert("oak", Postcard::new(&oak)?)?;
/// txn.commit()?;
///
/// let trees = db.begin_read()?.open_table(TREES)?;
/// let found = trees.get("oak")?.map(|guard| guard.value().decode());
/// assert_eq!(found.transpose()?, Some(oak));
/// # Ok(())
/// # }
/// ```
///
/// It holds the bytes, not the `T`: serialising can fail and inserting must not fail for that, so
/// [`new`](Self::new) is where errors come up, before the table is touched. Reading a value copies nothing;
/// [`decode`](Self::decode) makes the `T` when it is wanted. The lifetime is that of the bytes, and is left out where
/// that of a `&str` may be.
///
/// # The type's name
///
/// The file keeps `T` by [`core::any::type_name`], with its module, as in `Postcard<my_crate::Tree>`. A table of
/// `Postcard<A>` does not open as one of `Postcard<B>`, nor after `A` was renamed or moved to another module. Rust
/// does not promise that a later compiler gives the same name. For a name that depends on neither, implement [`Value`]
/// for a type of your own, with these functions and another [`type_name`](Value::type_name).
///
/// Fields are not in the name: postcard does not write what a field is called, so after fields of `T` were changed, the
/// bytes may be refused, or be read as something else. Give such a type a new name.
///
/// # Limits
///
/// - It is no key: postcard's bytes have no order of use.
/// - Postcard cannot read all that serde can write: see [`new`](Self::new).
/// - Reads check that the bytes are a `T`, which decodes them once; `decode` does it again.
/// - A forged file, unlike a damaged one, has right checksums. If `T` contains itself, it can be as deep in such a
///   file as to overflow the stack; a sequence of values that take no bytes, as `Vec<()>`, can be of any length.
pub struct Postcard<'a, T> {
    bytes: Cow<'a, [u8]>,
    decoded: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Postcard<'_, T> {
    /// The value, serialised.
    ///
    /// # Errors
    ///
    /// Those of `T`'s own `Serialize`; a sequence or map whose length is not known beforehand; and bytes that do not
    /// decode as a `T`, which reads would refuse. Such come of `#[serde(flatten)]`, `untagged`, and `tag` without
    /// `content`, whose readers must see what the bytes say of themselves, and postcard's say nothing.
    ///
    /// It is not checked that they decode as an equal value: a field with `#[serde(skip)]` comes back as its default,
    /// and after one left out by `skip_serializing_if` the next is read in its place, most often with an error.
    ///
    /// ```
    /// use sapwood::Postcard;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// #[serde(untagged)]
    /// enum Name {
    ///     Text(String),
    ///     Number(u64),
    /// }
    ///
    /// assert!(Postcard::new(&vec![1_u16, 2, 3]).is_ok());
    /// assert!(Postcard::new(&Name::Number(7)).is_err());
    /// ```
    pub fn new(value: &T) -> Result<Self, PostcardError> {
        let bytes = to_allocvec(value).map_err(PostcardError)?;
        decode::<T>(&bytes)?;
        Ok(Self { bytes: Cow::Owned(bytes), decoded: PhantomData })
    }
}

impl<T: DeserializeOwned> Postcard<'_, T> {
    /// The value.
    ///
    /// # Errors
    ///
    /// None, unless `T`'s own `Deserialize` now refuses what it accepted when the bytes were checked: by
    /// [`new`](Self::new), or when they were read.
    ///
    /// ```
    /// use sapwood::Postcard;
    ///
    /// let encoded = Postcard::new(&Some(-7_i64))?;
    /// assert_eq!(encoded.decode()?, Some(-7));
    /// # Ok::<(), sapwood::PostcardError>(())
    /// ```
    pub fn decode(&self) -> Result<T, PostcardError> {
        decode(&self.bytes)
    }
}

/// The value whose bytes these are, all of them.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, PostcardError> {
    match take_from_bytes(bytes).map_err(PostcardError)? {
        (value, []) => Ok(value),
        _ => Err(PostcardError(::postcard::Error::DeserializeBadEncoding)),
    }
}

impl<T> Clone for Postcard<'_, T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), decoded: PhantomData }
    }
}

impl<T> Debug for Postcard<'_, T> {
    /// The bytes: they need not be decoded for that.
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Postcard").field(&self.bytes).finish()
    }
}

impl<T: DeserializeOwned + 'static> Value for Postcard<'_, T> {
    type SelfType<'a>
        = Postcard<'a, T>
    where
        Self: 'a;
    type AsBytes<'a>
        = &'a [u8]
    where
        Self: 'a;

    fn fixed_width() -> Option<usize> {
        None
    }

    fn from_bytes<'a>(data: &'a [u8]) -> Postcard<'a, T>
    where
        Self: 'a,
    {
        Postcard { bytes: Cow::Borrowed(data), decoded: PhantomData }
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a Postcard<'b, T>) -> &'a [u8]
    where
        Self: 'b,
    {
        &value.bytes
    }

    fn type_name() -> TypeName {
        TypeName::wrapper::<T>("Postcard")
    }

    fn validate(data: &[u8]) -> bool {
        decode::<T>(data).is_ok()
    }
}

/// Why postcard makes no bytes of a value, or no value of bytes.
///
/// ```
/// use sapwood::Postcard;
/// use serde::{Serialize, Serializer};
///
/// #[derive(Debug, serde::Deserialize)]
/// struct Secret;
///
/// impl Serialize for Secret {
///     fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
///         Err(serde::ser::Error::custom("this is not to be written"))
///     }
/// }
///
/// let err = Postcard::new(&Secret).unwrap_err();
/// assert!(err.to_string().starts_with("postcard: "));
/// assert!(matches!(err.into(), sapwood::Error::Postcard(_)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostcardError(::postcard::Error);

impl Display for PostcardError {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        write!(f, "postcard: {}", self.0)
    }
}

impl core::error::Error for PostcardError {}
