//! `#[derive(Key, Value)]` for sapwood, whose feature `derive` exports these macros.
//!
//! A struct lies in bytes as the tuple of its fields does, whatever its fields are called. An enum is the number of the
//! variant in the order of declaration, one byte, and then the variant's fields as a tuple; if the fields of all
//! variants have fixed widths, then so has the enum, and short variants are filled up with zeros.
//!
//! ```
//! use sapwood::backends::InMemoryBackend;
//! use sapwood::{Database, Key, ReadableDatabase, TableDefinition, Value};
//!
//! #[derive(Debug, PartialEq, Key, Value)]
//! enum Place<'a> {
//!     Wild,
//!     Park { city: &'a str, plot: u32 },
//! }
//!
//! #[derive(Debug, PartialEq, Value)]
//! struct Tree {
//!     height: f32,
//!     species: String,
//! }
//!
//! const TREES: TableDefinition<Place, Tree> = TableDefinition::new("trees");
//!
//! # fn main() -> Result<(), sapwood::Error> {
//! let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
//! let txn = db.begin_write()?;
//! let oak = Tree { height: 27.5, species: "oak".into() };
//! txn.open_table(TREES)?.insert(Place::Park { city: "Kyiv", plot: 7 }, &oak)?;
//! txn.commit()?;
//!
//! let trees = db.begin_read()?.open_table(TREES)?;
//! assert_eq!(trees.get(Place::Park { city: "Kyiv", plot: 7 })?.map(|tree| tree.value()), Some(oak));
//! assert!(trees.get(Place::Wild)?.is_none());
//! # Ok(())
//! # }
//! ```
//!
//! # The type's name
//!
//! The file keeps the declaration as the name of the type: `struct Tree{height:f32,species:String}`. A table opens only
//! as the types that it was made with, so a type that has another name, other names of fields or variants, another order
//! of them or other types in them is another type, and opening the table fails with `TableTypeMismatch`. The module
//! that the type is in does not matter.
//!
//! # Limits
//!
//! - The type must be `Debug`, and all fields must be values, or keys for `Key`.
//! - The type of a field is what reads of it give, as it is with all built-in types.
//! - References in fields have the lifetime of a parameter, which stands for that of the bytes that are read. `'static`
//!   is refused.
//! - Parameters that are types stand for values too: `Pair<&str, u64>` is read as `Pair<&'a str, u64>`. What the
//!   type asks of them, it must also find in what they are read as.
//! - A type that contains itself is refused: its name would have no end.
//! - An enum has at least one variant and at most 256.
//! - Numbers given to variants change neither the bytes nor the order: `Key` refuses those that do not ascend, for
//!   derived `Ord` would tell another order.
//!
//! `#[sapwood(crate = "path")]` on the type says where the crate sapwood is if it is not `::sapwood`.

use proc_macro::TokenStream;
use syn::parse_macro_input;

mod generics;
mod input;
mod key;
mod shape;
mod value;

/// Makes a struct or an enum a value: see [the crate's page](self) for its bytes, its name and the limits.
///
/// ```
/// use sapwood::Value;
///
/// #[derive(Debug, PartialEq, Value)]
/// struct Label<'a, T> {
///     text: &'a str,
///     tag: T,
/// }
///
/// let bytes = <Label<u8>>::as_bytes(&Label { text: "oak", tag: 7 });
/// assert_eq!(bytes, b"\x03oak\x07");
/// assert_eq!(<Label<u8>>::from_bytes(&bytes), Label { text: "oak", tag: 7 });
/// assert_eq!(<Label<u8>>::type_name().name(), "struct Label{text:&str,tag:u8}");
/// ```
///
/// A field that is no value is an error:
///
/// ```compile_fail,E0277
/// #[derive(Debug, sapwood::Value)]
/// struct Wait {
///     time: std::time::Duration,
/// }
/// ```
#[proc_macro_derive(Value, attributes(sapwood))]
pub fn derive_value(input: TokenStream) -> TokenStream {
    expand(input::parse(parse_macro_input!(input)).map(|input| value::implement(&input)))
}

/// Makes a struct or an enum, whose `Value` is derived too, a key.
///
/// Its order is that of derived `Ord`, if the order of its fields is theirs: the first fields that differ decide, and
/// an earlier variant is less than a later one.
///
/// ```
/// use core::cmp::Ordering;
/// use sapwood::{Key, Value};
///
/// #[derive(Debug, Key, Value)]
/// struct Version(u16, u16);
///
/// let [older, newer] = [Version(1, 9), Version(1, 10)].map(|version| Version::as_bytes(&version));
/// assert_eq!(Version::compare(&older, &newer), Ordering::Less);
/// ```
///
/// A field that is no key is an error:
///
/// ```compile_fail,E0277
/// #[derive(Debug, sapwood::Key, sapwood::Value)]
/// struct Height(f32);
/// ```
///
/// So is a `Value` that was written by hand, whose bytes the macro cannot know:
///
/// ```compile_fail,E0277
/// use sapwood::TypeName;
///
/// #[derive(Debug, sapwood::Key)]
/// struct Height(u16);
///
/// impl sapwood::Value for Height {
///     type SelfType<'a> = Height;
///     type AsBytes<'a> = [u8; 2];
///
///     fn fixed_width() -> Option<usize> {
///         Some(2)
///     }
///
///     fn from_bytes<'a>(data: &'a [u8]) -> Height
///     where
///         Self: 'a,
///     {
///         Height(u16::from_bytes(data))
///     }
///
///     fn as_bytes<'a, 'b: 'a>(value: &'a Height) -> [u8; 2]
///     where
///         Self: 'b,
///     {
///         value.0.to_be_bytes()
///     }
///
///     fn type_name() -> TypeName {
///         TypeName::new("Height")
///     }
/// }
/// ```
#[proc_macro_derive(Key, attributes(sapwood))]
pub fn derive_key(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input);
    let checked = input::ascends(&input).and_then(|()| input::parse(input));
    expand(checked.map(|input| key::implement(&input)))
}

fn expand(code: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    code.unwrap_or_else(|error| error.to_compile_error()).into()
}
