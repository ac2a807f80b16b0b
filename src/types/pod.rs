//! `Pod`: values whose bytes in memory are their bytes in the file.

use super::{TypeName, Value};
use bytemuck::{AnyBitPattern, NoUninit, bytes_of, try_pod_read_unaligned};
use core::fmt::{Debug, Formatter};

/// Machines of the other byte order must not read these bytes, so there the type has another name.
const NAME: &str = if cfg!(target_endian = "little") { "Pod" } else { "PodBigEndian" };

/// A value that lies in the file as it lies in memory ("plain old data"), of a type that bytemuck knows to have no
/// padding and to be valid whatever its bytes are. Needs the feature `bytemuck`.
///
/// ```
/// use bytemuck::{AnyBitPattern, NoUninit};
/// use sapwood::backends::InMemoryBackend;
/// use sapwood::{Database, Pod, ReadableDatabase, TableDefinition};
///
/// #[derive(Clone, Copy, Debug, PartialEq, AnyBitPattern, NoUninit)]
/// #[repr(C)]
/// struct Point {
///     x: f32,
///     y: f32,
///     layers: [u16; 4],
/// }
///
/// const POINTS: TableDefinition<u64, Pod<Point>> = TableDefinition::new("points");
///
/// # fn main() -> Result<(), sapwood::Error> {
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// let point = Point { x: 1.5, y: -2.0, layers: [1, 2, 3, 4] };
/// txn.open_table(POINTS)?.insert(7, Pod(point))?;
/// txn.commit()?;
///
/// let points = db.begin_read()?.open_table(POINTS)?;
/// assert_eq!(points.get(7)?.map(|guard| guard.value().0), Some(point));
/// # Ok(())
/// # }
/// ```
///
/// Writing takes the bytes as they are. A read copies them once, to where a `T` may lie, for in the file they lie
/// anywhere; it can fail only if there are more or fewer of them than `size_of::<T>()`, the width of all values.
///
/// # The type's name
///
/// The file keeps `T` by [`core::any::type_name`], with its module, as in `Pod<my_crate::Point>`. A table of `Pod<A>`
/// does not open as one of `Pod<B>`, nor after `A` was renamed or moved to another module. Rust does not promise that a
/// later compiler gives the same name. For a name that depends on neither, implement [`Value`] for a type of your own,
/// with these functions and another [`type_name`](Value::type_name).
///
/// Fields are not in the name: if they change and the width stays, old bytes are read as the new fields. Give such a
/// type a new name, or derive [`Value`] for it, with the feature `derive`, instead of using `Pod`.
///
/// # Limits
///
/// - It is no key: bytes of little-endian numbers have no order of use.
/// - Numbers have the byte order of the machine. A table that was made on a little-endian machine does not open on a
///   big-endian one, or the other way round: the type has another name there.
/// - `bool`, `char`, enums and `NonZero` integers are not valid whatever their bytes are. Built-in types and the
///   derived `Value` can hold them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Pod<T>(
    /// The value.
    pub T,
);

impl<T: NoUninit> Debug for Pod<T> {
    /// The bytes: `T` need not be `Debug`.
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Pod").field(&bytes_of(&self.0)).finish()
    }
}

impl<T: AnyBitPattern + NoUninit> Value for Pod<T> {
    type SelfType<'a> = Self;
    type AsBytes<'a> = &'a [u8];

    fn fixed_width() -> Option<usize> {
        Some(size_of::<T>())
    }

    #[inline]
    fn from_bytes<'a>(data: &'a [u8]) -> Self
    where
        Self: 'a,
    {
        Self(try_pod_read_unaligned(data).unwrap_or_else(|_| T::zeroed()))
    }

    #[inline]
    fn as_bytes<'a, 'b: 'a>(value: &'a Self) -> &'a [u8]
    where
        Self: 'b,
    {
        bytes_of(&value.0)
    }

    fn type_name() -> TypeName {
        TypeName::wrapper::<T>(NAME)
    }

    #[inline]
    fn validate(data: &[u8]) -> bool {
        data.len() == size_of::<T>()
    }
}
