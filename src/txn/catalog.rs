//! The tree under the data root: what tables there are, of which types, and their roots.
//!
//! Tables are named within a space. Each table has two rows: space byte, name, 0 -> its definition, and space byte, name, 1 -> its root, which is
//! missing while the table is empty. A TTL table has a third: space byte, name, 2 -> the root of the tree of its
//! expiries, which is missing while no row expires.

use crate::btree::{RangeCursor, Slice, TreeKind, find, get};
use crate::compression::Codec;
use crate::error::{StorageError, TableError};
use crate::format::Pointer;
use crate::format::node::ValuePart;
use crate::limits::MAX_NAME_LENGTH;
use crate::pages::{CatalogRow, Store};
use crate::table::check_expiries;
use crate::types::{Compare, Key, KeyType, TypeName, Value, order_of};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Bound;

const DEFINITION: u8 = 0;
const ROOT: u8 = 1;
const EXPIRIES: u8 = 2;
/// Width of a type that has none.
const VARIABLE: u64 = u64::MAX;

/// Names that are not each other's though they be the same. Its byte begins the rows of its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// Tables of all kinds that users make.
    Tables = 1,
    /// What is known of each blob.
    Blobs = 2,
    /// The content of blobs that is not beside what is known of them.
    Chunks = 3,
    /// The number of each tag.
    TagNumbers = 4,
    /// The tag of each number.
    TagNames = 5,
    /// The things that have a tag.
    Tagged = 6,
    /// The tags that a thing has.
    TagsOf = 7,
    /// Blobs by when they were made.
    Times = 8,
    /// What is known of each namespace.
    Namespaces = 9,
    /// The number of each namespace.
    NamespaceNumbers = 10,
    /// The blobs that are in a namespace.
    InNamespace = 11,
    /// Blobs by when they expire.
    Expiries = 12,
    /// What all blobs have together.
    Totals = 13,
    /// The hash of each content that blobs may share.
    SharedContents = 14,
    /// The number of each such content.
    ContentNumbers = 15,
    /// The blobs that have such a content.
    ContentUsers = 16,
    /// Contents that are being written, while nobody holds their writer. No commit has any.
    Drafts = 17,
    /// Edges of graphs, from a thing to its children.
    Children = 18,
    /// Edges of graphs, from a thing to its parents.
    Parents = 19,
    /// The pieces of each content that is in pieces.
    PieceLists = 20,
    /// The hash of each piece, and how often contents have it.
    Pieces = 21,
    /// The number of each piece.
    PieceNumbers = 22,
    /// The number of each term of a text index.
    TermNumbers = 23,
    /// The term of each number, and how many texts have it.
    Terms = 24,
    /// The texts that have a term.
    Postings = 25,
    /// What each text is of, and its terms.
    Texts = 26,
    /// The number of each thing's text.
    TextNumbers = 27,
    /// How a text index takes texts apart, and how long they are together.
    TextInfos = 28,
}

impl Space {
    const ALL: [Self; 28] = [
        Self::Tables,
        Self::Blobs,
        Self::Chunks,
        Self::TagNumbers,
        Self::TagNames,
        Self::Tagged,
        Self::TagsOf,
        Self::Times,
        Self::Namespaces,
        Self::NamespaceNumbers,
        Self::InNamespace,
        Self::Expiries,
        Self::Totals,
        Self::SharedContents,
        Self::ContentNumbers,
        Self::ContentUsers,
        Self::Drafts,
        Self::Children,
        Self::Parents,
        Self::PieceLists,
        Self::Pieces,
        Self::PieceNumbers,
        Self::TermNumbers,
        Self::Terms,
        Self::Postings,
        Self::Texts,
        Self::TextNumbers,
        Self::TextInfos,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|space| *space as u8 == byte)
    }
}

/// What the catalog calls a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TableId<'n> {
    pub(crate) space: Space,
    pub(crate) name: &'n str,
}

/// The same, owned.
pub(crate) type OwnedTableId = (Space, String);

impl<'n> TableId<'n> {
    /// A table that a user made.
    pub(crate) fn of_user(name: &'n str) -> Self {
        Self { space: Space::Tables, name }
    }

    pub(crate) fn owned(&self) -> OwnedTableId {
        (self.space, self.name.to_string())
    }
}

/// Kinds of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableKind {
    /// A table, with one value for each key.
    Table,
    /// A multimap table, with a set of values for each key.
    Multimap,
    /// A TTL table, whose rows may expire.
    Ttl,
}

/// What is wrong with the indexes of TTL tables in the catalog under `root`, by table.
pub(crate) fn wrong_expiries(
    store: &Store,
    root: Option<Pointer>,
) -> Result<Vec<(String, StorageError)>, StorageError> {
    let mut wrong = Vec::new();
    for name in names(store, root, (Space::Tables, TableKind::Ttl))? {
        let Some(TableEntry { root, expiries, .. }) = look_up(store, root, TableId::of_user(&name))? else { continue };
        match check_expiries(store, root, expiries) {
            // Without its codec nothing can be said of it.
            Ok(()) | Err(StorageError::CodecUnavailable(_)) => {}
            Err(err) => wrong.push((name, err)),
        }
    }
    Ok(wrong)
}

impl TableKind {
    pub(super) const ALL: [Self; 3] = [Self::Table, Self::Multimap, Self::Ttl];

    fn to_byte(self) -> u8 {
        match self {
            Self::Table => 1,
            Self::Multimap => 2,
            Self::Ttl => 3,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.to_byte() == byte)
    }
}

/// What a file says of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(super) kind: TableKind,
    /// What makes new values shorter.
    pub(super) codec: Codec,
    pub(super) key: TypeName,
    pub(super) value: TypeName,
    key_width: Option<usize>,
    value_width: Option<usize>,
    /// Name of the operator by which operands are merged into values.
    pub(super) merge: Option<String>,
}

/// A table that exists.
#[derive(Clone, Debug)]
pub(crate) struct TableEntry {
    pub(crate) definition: Definition,
    pub(crate) root: Option<Pointer>,
    pub(crate) expiries: Option<Pointer>,
}

pub(super) fn kind(page_size: usize) -> TreeKind {
    TreeKind::new(KeyType::of::<&[u8]>(), None, page_size)
}

/// How keys of the catalog are compared.
pub(super) fn compare() -> Compare {
    <&[u8]>::compare
}

pub(super) fn definition_key(table: TableId<'_>) -> Vec<u8> {
    row_key(table, DEFINITION)
}

pub(super) fn root_key(table: TableId<'_>) -> Vec<u8> {
    row_key(table, ROOT)
}

pub(super) fn expiries_key(table: TableId<'_>) -> Vec<u8> {
    row_key(table, EXPIRIES)
}

fn row_key(table: TableId<'_>, row: u8) -> Vec<u8> {
    let mut key = Vec::with_capacity(table.name.len() + 2);
    key.push(table.space as u8);
    key.extend_from_slice(table.name.as_bytes());
    key.push(row);
    key
}

pub(crate) fn check_name(name: &str) -> Result<(), TableError> {
    if name.len() > MAX_NAME_LENGTH {
        return Err(StorageError::ValueTooLarge(name.len()).into());
    }
    Ok(())
}

/// What the catalog under `root` has of a table.
pub(super) fn look_up(
    store: &Store,
    root: Option<Pointer>,
    table: TableId<'_>,
) -> Result<Option<TableEntry>, StorageError> {
    let Some(root) = root else { return Ok(None) };
    let kind = kind(store.page_size());
    let Some(bytes) = get(store, &kind, &root, &definition_key(table))? else { return Ok(None) };
    let definition = Definition::decode(&bytes).ok_or_else(|| malformed(table))?;
    let tree = |key: &[u8]| {
        find(store, &kind, &root, key, |leaf, at| match leaf.node().value(at) {
            ValuePart::Subtree(root) => Ok(root),
            _ => Err(malformed(table)),
        })
    };
    let expiries = if definition.kind == TableKind::Ttl { tree(&expiries_key(table))? } else { None };
    Ok(Some(TableEntry { definition, root: tree(&root_key(table))?, expiries }))
}

fn malformed(table: TableId<'_>) -> StorageError {
    StorageError::corrupted(format!("the definition of table '{}' is malformed", table.name))
}

/// The error of a table of the database's own that is not as this version makes it.
pub(super) fn malformed_own(err: TableError) -> StorageError {
    match err {
        TableError::Storage(err) => err,
        other => StorageError::corrupted(format!("a table of the database's own: {other}")),
    }
}

/// The table that a row of the catalog is about, and what of it.
pub(crate) fn table_of_row(key: &[u8]) -> Option<(TableId<'_>, CatalogRow)> {
    let [space, name @ .., row] = key else { return None };
    // Findings repeat the name, which must not take the memory of a long key in a forged file each time.
    if name.len() > MAX_NAME_LENGTH {
        return None;
    }
    let row = match *row {
        DEFINITION => CatalogRow::Definition,
        ROOT => CatalogRow::Root,
        EXPIRIES => CatalogRow::Expiries,
        _ => return None,
    };
    Some((TableId { space: Space::from_byte(*space)?, name: core::str::from_utf8(name).ok()? }, row))
}

/// Whether these bytes are a table's definition.
pub(crate) fn is_definition(bytes: &[u8]) -> bool {
    Definition::decode(bytes).is_some()
}

/// All tables in the catalog under `root`, in the order of spaces and names.
pub(super) fn tables(store: &Store, root: Option<Pointer>) -> Result<Vec<(OwnedTableId, Definition)>, StorageError> {
    let mut tables = Vec::new();
    let mut rows = RangeCursor::new(store, &kind(store.page_size()), root, Bound::Unbounded, Bound::Unbounded)?;
    while let Some((leaf, at)) = rows.next_place(store)? {
        let key = Slice::of_key(store, &leaf, at)?;
        let unknown = || StorageError::corrupted("a row of the catalog is about no table");
        let (table, row) = table_of_row(&key).ok_or_else(unknown)?;
        if row == CatalogRow::Definition {
            let bytes = Slice::of_value(store, &leaf, at)?;
            tables.push((table.owned(), Definition::decode(&bytes).ok_or_else(|| malformed(table))?));
        }
    }
    Ok(tables)
}

/// The names of all tables of a space and a kind, in their order.
pub(super) fn names(
    store: &Store,
    root: Option<Pointer>,
    wanted: (Space, TableKind),
) -> Result<Vec<String>, StorageError> {
    let tables = tables(store, root)?.into_iter();
    Ok(tables.filter_map(|((space, name), definition)| ((space, definition.kind) == wanted).then_some(name)).collect())
}

impl Definition {
    pub(crate) fn of<K: Key, V: Value>() -> Self {
        Self {
            kind: TableKind::Table,
            codec: Codec::NONE,
            key: K::type_name(),
            value: V::type_name(),
            key_width: K::fixed_width(),
            value_width: V::fixed_width(),
            merge: None,
        }
    }

    /// The same of a table with that operator, unless it has one.
    pub(super) fn or_merged_by(self, operator: Option<&str>) -> Self {
        Self { merge: self.merge.or_else(|| operator.map(ToString::to_string)), ..self }
    }

    /// The same of a table whose new values are compressed.
    pub(super) fn packed_with(self, codec: Codec) -> Self {
        Self { codec, ..self }
    }

    /// The same of another kind of table.
    pub(super) fn with_kind(self, kind: TableKind) -> Self {
        Self { kind, ..self }
    }

    /// Whether a table of the one definition can be opened with the types of the other.
    pub(super) fn has_types_of(&self, other: &Self) -> bool {
        *self == Self { codec: self.codec, ..other.clone() }
    }

    /// How keys and values are compared, if that is known without their types.
    pub(super) fn orders(&self) -> (Option<Compare>, Option<Compare>) {
        (order_of(&self.key), order_of(&self.value))
    }

    /// An error unless the table is of the kind that it has to be.
    pub(super) fn check_kind(&self, name: &str, wanted: TableKind) -> Result<(), TableError> {
        let name = || name.to_string();
        match (self.kind, wanted) {
            (kind, wanted) if kind == wanted => Ok(()),
            (TableKind::Multimap, _) => Err(TableError::TableIsMultimap(name())),
            (TableKind::Ttl, _) => Err(TableError::TableIsTtl(name())),
            (TableKind::Table, TableKind::Ttl) => Err(TableError::TableIsNotTtl(name())),
            (TableKind::Table, _) => Err(TableError::TableIsNotMultimap(name())),
        }
    }

    /// An error unless a table that was made as `self` can be opened as `wanted`, whatever compression that asks for.
    pub(crate) fn check(&self, name: &str, wanted: &Self) -> Result<(), TableError> {
        self.check_kind(name, wanted.kind)?;
        self.codec.check()?;
        if self.key != wanted.key || self.value != wanted.value {
            let (key, value) = (self.key.clone(), self.value.clone());
            return Err(TableError::TableTypeMismatch { table: name.to_string(), key, value });
        }
        check_width(&self.key, self.key_width, wanted.key_width)?;
        check_width(&self.value, self.value_width, wanted.value_width)?;
        self.check_merge(name, wanted)
    }

    /// An error if both name an operator, and not the same.
    fn check_merge(&self, name: &str, wanted: &Self) -> Result<(), TableError> {
        let (Some(stored), Some(wanted)) = (&self.merge, &wanted.merge) else { return Ok(()) };
        if stored == wanted {
            return Ok(());
        }
        let (stored, wanted) = (stored.clone(), wanted.clone());
        Err(TableError::MergeOperatorMismatch { table: name.to_string(), stored, wanted })
    }

    /// | bytes | field |
    /// |---|---|
    /// | 1 | 1 table, 2 multimap, 3 TTL table |
    /// | 2 | codec and level of new values |
    /// | 8 | width of a key, all ones if it varies |
    /// | 8 | width of a value, likewise |
    /// | 4 | length of the key type's name, which follows |
    /// | 4 | length of the value type's name, which follows |
    /// | rest | the name of the merge operator, if there is one |
    pub(super) fn encode(&self) -> Vec<u8> {
        let width = |width: Option<usize>| width.map_or(VARIABLE, |width| width as u64).to_le_bytes();
        let mut out = Vec::new();
        out.push(self.kind.to_byte());
        out.extend_from_slice(&self.codec.to_bytes());
        out.extend_from_slice(&width(self.key_width));
        out.extend_from_slice(&width(self.value_width));
        for name in [self.key.to_bytes(), self.value.to_bytes()] {
            out.extend_from_slice(&(name.len() as u32).to_le_bytes());
            out.extend_from_slice(&name);
        }
        out.extend_from_slice(self.merge.as_deref().unwrap_or_default().as_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let kind = TableKind::from_byte(*kind)?;
        let (codec, rest) = rest.split_first_chunk::<2>()?;
        let codec = Codec::from_bytes(*codec);
        let (key_width, rest) = rest.split_first_chunk::<8>()?;
        let (value_width, rest) = rest.split_first_chunk::<8>()?;
        let (key, rest) = split_name(rest)?;
        let (value, merge) = split_name(rest)?;
        if kind == TableKind::Multimap && !(codec == Codec::NONE && merge.is_empty()) {
            return None;
        }
        Some(Self {
            kind,
            codec,
            key: TypeName::from_bytes(key)?,
            value: TypeName::from_bytes(value)?,
            key_width: decode_width(*key_width)?,
            value_width: decode_width(*value_width)?,
            merge: decode_merge(merge)?,
        })
    }
}

/// The name whose length stands before it, and what follows.
fn split_name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

fn decode_merge(bytes: &[u8]) -> Option<Option<String>> {
    if bytes.len() > MAX_NAME_LENGTH {
        return None;
    }
    let name = core::str::from_utf8(bytes).ok()?;
    Some((!name.is_empty()).then(|| name.to_string()))
}

fn decode_width(bytes: [u8; 8]) -> Option<Option<usize>> {
    match u64::from_le_bytes(bytes) {
        VARIABLE => Some(None),
        width => usize::try_from(width).ok().map(Some),
    }
}

fn check_width(name: &TypeName, stored: Option<usize>, wanted: Option<usize>) -> Result<(), TableError> {
    if stored == wanted {
        return Ok(());
    }
    Err(TableError::TypeDefinitionChanged { name: name.clone(), alignment: 1, width: stored })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `u64` to `&[u8]`, merged by `add`.
    const GOLDEN: &[u8] =
        b"\x01\0\0\x08\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x04\0\0\0\0u64\x06\0\0\0\0&[u8]add";

    #[test]
    fn a_definition_has_these_bytes() {
        let definition = Definition::of::<u64, &[u8]>();
        let named = definition.clone().or_merged_by(Some("add"));
        assert_eq!((named.encode(), Definition::decode(GOLDEN)), (GOLDEN.to_vec(), Some(named.clone())));
        let unnamed = &GOLDEN[..GOLDEN.len() - 3];
        assert_eq!((definition.encode(), Definition::decode(unnamed)), (unnamed.to_vec(), Some(definition)));
        assert_eq!(named.clone().or_merged_by(Some("max.unsigned")), named);
    }

    #[test]
    fn bytes_that_are_no_definition_are_refused() {
        for length in 0..GOLDEN.len() - 3 {
            assert!(Definition::decode(&GOLDEN[..length]).is_none(), "{length}");
        }
        let merged_by = |name: &[u8]| Definition::decode(&[&GOLDEN[..GOLDEN.len() - 3], name].concat());
        assert!(merged_by(&[b'n'; MAX_NAME_LENGTH]).is_some());
        assert!(merged_by(&[b'n'; MAX_NAME_LENGTH + 1]).is_none());
        assert!(merged_by(b"\xFF").is_none());
        let of_multimap = |name: &str| {
            Definition::decode(
                &Definition::of::<u64, u64>().with_kind(TableKind::Multimap).or_merged_by(Some(name)).encode(),
            )
        };
        assert!(of_multimap("").is_some_and(|definition| definition.kind == TableKind::Multimap));
        assert!(of_multimap("add").is_none());
    }
}
