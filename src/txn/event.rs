//! Events of the change log, and their bytes.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | what happened |
//! | 1 | which of the parts that may be missing are there, and how the bounds of a range are |
//! | length, bytes | name of the table |
//! | length, bytes, each | the parts, in the order below |
//! | 8 | rows of a range, what was gone back to, or a blob's id |

use super::catalog::TableKind;
use crate::btree::Change as RowChange;
use crate::changes::{CdcMode, ChangePosition};
use crate::error::StorageError;
use crate::types::{Reader, TypeName, push_length};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Bound;

/// Something that a committed transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangeEvent {
    /// Where in the log it stands.
    pub position: ChangePosition,
    /// When its transaction was committed, in milliseconds since 1970: the same for all events of one, and later than
    /// those of the ones before.
    pub timestamp_ms: u64,
    /// Name of the table, empty where all are meant.
    pub table: String,
    /// What happened.
    pub change: Change,
}

/// What happened to a table. Keys and values are the bytes that the types' `as_bytes` gives; a value is `None` where
/// the log's [mode](CdcMode) leaves it out. A value of a TTL table has when its row expires before it: 8 bytes,
/// little-endian, in milliseconds since 1970, all ones if it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are what their names say")]
pub enum Change {
    /// A key that was not there got a value.
    Insert { key: Vec<u8>, new: Option<Vec<u8>> },
    /// A key that was there got a value.
    Update { key: Vec<u8>, old: Option<Vec<u8>>, new: Option<Vec<u8>> },
    /// A key went.
    Delete { key: Vec<u8>, old: Option<Vec<u8>> },
    /// A key of a TTL table whose row had expired went, or is about to get another value. When it is removed, not when
    /// its time comes.
    Expire { key: Vec<u8>, old: Option<Vec<u8>> },
    /// An operand was merged into the value of a key. `is_there` says whether it has a value since.
    Merge { key: Vec<u8>, operand: Option<Vec<u8>>, old: Option<Vec<u8>>, new: Option<Vec<u8>>, is_there: bool },
    /// All keys of a range went at once: as many as `rows`.
    DeleteRange { start: Bound<Vec<u8>>, end: Bound<Vec<u8>>, rows: u64 },
    /// A key of a multimap got a value more.
    InsertPair { key: Vec<u8>, value: Vec<u8> },
    /// A key of a multimap lost a value.
    DeletePair { key: Vec<u8>, value: Vec<u8> },
    /// The table was made, with keys and values of these types.
    CreateTable { multimap: bool, ttl: bool, key: TypeName, value: TypeName },
    /// The table was deleted, with all that was in it.
    DeleteTable,
    /// The table got another name.
    RenameTable { new_name: String },
    /// Something happened to the blob with this id. No table is named.
    Blob { id: u64, what: BlobChange },
    /// All tables became what they were after the newest commit whose id is not greater than that: a savepoint was
    /// restored, or a past commit. What the transaction did before is not in the log.
    Revert { to: u64 },
}

/// What happened to a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobChange {
    /// It was stored.
    Stored = 0,
    /// It got another content, and maybe what is known of it changed as well.
    Content = 1,
    /// What is known of it changed, or its tags, or links to its parents.
    Known = 2,
    /// It was deleted.
    Deleted = 3,
    /// It was deleted because its time had come.
    Expired = 4,
}

impl BlobChange {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Stored, Self::Content, Self::Known, Self::Deleted, Self::Expired].get(usize::from(byte)).copied()
    }
}

const INSERT: u8 = 1;
const UPDATE: u8 = 2;
const DELETE: u8 = 3;
const DELETE_RANGE: u8 = 4;
const INSERT_PAIR: u8 = 5;
const DELETE_PAIR: u8 = 6;
const CREATE_TABLE: u8 = 7;
const DELETE_TABLE: u8 = 8;
const RENAME_TABLE: u8 = 9;
const REVERT: u8 = 10;
const MERGE: u8 = 11;
const EXPIRE: u8 = 12;
const BLOB: u8 = 13;

/// The old value is there.
const OLD: u8 = 1;
/// The new value is there.
const NEW: u8 = 2;
const MULTIMAP: u8 = 4;
const TTL: u8 = 8;
/// The operand of a merge is there.
const OPERAND: u8 = 8;
/// After a merge the key has a value.
const IS_THERE: u8 = 16;
/// The start of a range is told by the lowest two bits, its end by the next two.
const BOUND_BITS: u8 = 2;
const BOUND_MASK: u8 = 3;
const UNBOUNDED: u8 = 0;
const INCLUDED: u8 = 1;
const EXCLUDED: u8 = 2;

/// An event on its way into the log.
#[derive(Debug)]
pub(super) struct Encoder<'b>(&'b mut Vec<u8>);

impl<'b> Encoder<'b> {
    fn new(bytes: &'b mut Vec<u8>, what: u8, flags: u8, table: &str) -> Self {
        bytes.extend([what, flags]);
        let mut event = Self(bytes);
        event.part(table.as_bytes());
        event
    }

    fn part(&mut self, part: &[u8]) {
        push_length(part.len(), self.0);
        self.0.extend_from_slice(part);
    }

    /// A row that changed. In a multimap the values are those of pairs.
    pub(super) fn row(bytes: &'b mut Vec<u8>, table: &str, mode: CdcMode, multimap: bool, change: &RowChange<'_>) {
        let RowChange { key, old, new } = *change;
        let what = match (old, new, multimap) {
            (None, _, false) => INSERT,
            (Some(_), Some(_), false) => UPDATE,
            (Some(_), None, false) => DELETE,
            (_, Some(_), true) => INSERT_PAIR,
            (_, None, true) => DELETE_PAIR,
        };
        let old = old.filter(|_| mode == CdcMode::OldAndNew || multimap);
        let new = new.filter(|_| mode != CdcMode::Keys || multimap);
        let flags = if old.is_some() { OLD } else { 0 } | if new.is_some() { NEW } else { 0 };
        let mut event = Self::new(bytes, what, flags, table);
        event.part(key);
        old.into_iter().chain(new).for_each(|value| event.part(value));
    }

    pub(super) fn merged(bytes: &'b mut Vec<u8>, table: &str, mode: CdcMode, change: &RowChange<'_>, operand: &[u8]) {
        let RowChange { key, old, new } = *change;
        let old = old.filter(|_| mode == CdcMode::OldAndNew);
        let is_there = if new.is_some() { IS_THERE } else { 0 };
        let (new, operand) = (new.filter(|_| mode != CdcMode::Keys), Some(operand).filter(|_| mode != CdcMode::Keys));
        let flag = |part: Option<&[u8]>, flag: u8| if part.is_some() { flag } else { 0 };
        let mut event =
            Self::new(bytes, MERGE, flag(old, OLD) | flag(new, NEW) | flag(operand, OPERAND) | is_there, table);
        event.part(key);
        [operand, old, new].into_iter().flatten().for_each(|part| event.part(part));
    }

    pub(super) fn range(bytes: &'b mut Vec<u8>, table: &str, (start, end): (Bound<&[u8]>, Bound<&[u8]>), rows: u64) {
        let bits = |bound: Bound<&[u8]>| match bound {
            Bound::Unbounded => UNBOUNDED,
            Bound::Included(_) => INCLUDED,
            Bound::Excluded(_) => EXCLUDED,
        };
        let mut event = Self::new(bytes, DELETE_RANGE, bits(start) | (bits(end) << BOUND_BITS), table);
        for bound in [start, end] {
            if let Bound::Included(key) | Bound::Excluded(key) = bound {
                event.part(key);
            }
        }
        event.0.extend(rows.to_le_bytes());
    }

    /// A row of a TTL table that had expired, and its value.
    pub(super) fn expired(bytes: &'b mut Vec<u8>, table: &str, mode: CdcMode, key: &[u8], old: &[u8]) {
        let old = Some(old).filter(|_| mode == CdcMode::OldAndNew);
        let mut event = Self::new(bytes, EXPIRE, if old.is_some() { OLD } else { 0 }, table);
        event.part(key);
        old.into_iter().for_each(|value| event.part(value));
    }

    pub(super) fn created(bytes: &'b mut Vec<u8>, table: &str, kind: TableKind, key: &TypeName, value: &TypeName) {
        let flags = match kind {
            TableKind::Table => 0,
            TableKind::Multimap => MULTIMAP,
            TableKind::Ttl => TTL,
        };
        let mut event = Self::new(bytes, CREATE_TABLE, flags, table);
        event.part(&key.to_bytes());
        event.part(&value.to_bytes());
    }

    pub(super) fn deleted(bytes: &'b mut Vec<u8>, table: &str) {
        Self::new(bytes, DELETE_TABLE, 0, table);
    }

    pub(super) fn renamed(bytes: &'b mut Vec<u8>, table: &str, new_name: &str) {
        Self::new(bytes, RENAME_TABLE, 0, table).part(new_name.as_bytes());
    }

    pub(super) fn blob(bytes: &'b mut Vec<u8>, id: u64, what: BlobChange) {
        Self::new(bytes, BLOB, what as u8, "").0.extend(id.to_le_bytes());
    }

    pub(super) fn reverted(bytes: &'b mut Vec<u8>, to: u64) {
        Self::new(bytes, REVERT, 0, "").0.extend(to.to_le_bytes());
    }
}

/// Takes an event apart.
struct Decoder<'b>(Reader<'b>);

impl<'b> Decoder<'b> {
    fn part(&mut self) -> Option<&'b [u8]> {
        let length = self.0.length()?;
        self.0.take(length)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        self.part().map(<[u8]>::to_vec)
    }

    fn text(&mut self) -> Option<String> {
        core::str::from_utf8(self.part()?).ok().map(ToString::to_string)
    }

    fn byte(&mut self) -> Option<u8> {
        self.0.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u64> {
        self.0.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// A part that may be missing.
    fn optional(&mut self, is_there: bool) -> Option<Option<Vec<u8>>> {
        if is_there { self.bytes().map(Some) } else { Some(None) }
    }

    fn bound(&mut self, bits: u8) -> Option<Bound<Vec<u8>>> {
        match bits {
            UNBOUNDED => Some(Bound::Unbounded),
            INCLUDED => self.bytes().map(Bound::Included),
            EXCLUDED => self.bytes().map(Bound::Excluded),
            _ => None,
        }
    }

    fn change(&mut self, what: u8, flags: u8) -> Option<Change> {
        let (has_old, has_new) = (flags & OLD != 0, flags & NEW != 0);
        Some(match what {
            INSERT => Change::Insert { key: self.bytes()?, new: self.optional(has_new)? },
            UPDATE => Change::Update { key: self.bytes()?, old: self.optional(has_old)?, new: self.optional(has_new)? },
            DELETE => Change::Delete { key: self.bytes()?, old: self.optional(has_old)? },
            EXPIRE => Change::Expire { key: self.bytes()?, old: self.optional(has_old)? },
            MERGE => Change::Merge {
                key: self.bytes()?,
                operand: self.optional(flags & OPERAND != 0)?,
                old: self.optional(has_old)?,
                new: self.optional(has_new)?,
                is_there: flags & IS_THERE != 0,
            },
            DELETE_RANGE => Change::DeleteRange {
                start: self.bound(flags & BOUND_MASK)?,
                end: self.bound(flags >> BOUND_BITS)?,
                rows: self.number()?,
            },
            INSERT_PAIR => Change::InsertPair { key: self.bytes()?, value: self.bytes()? },
            DELETE_PAIR => Change::DeletePair { key: self.bytes()?, value: self.bytes()? },
            CREATE_TABLE => Change::CreateTable {
                multimap: flags & MULTIMAP != 0,
                ttl: flags & TTL != 0,
                key: TypeName::from_bytes(self.part()?)?,
                value: TypeName::from_bytes(self.part()?)?,
            },
            DELETE_TABLE => Change::DeleteTable,
            RENAME_TABLE => Change::RenameTable { new_name: self.text()? },
            REVERT => Change::Revert { to: self.number()? },
            BLOB => Change::Blob { id: self.number()?, what: BlobChange::from_byte(flags)? },
            _ => return None,
        })
    }
}

impl ChangeEvent {
    pub(super) fn decode(position: ChangePosition, timestamp_ms: u64, bytes: &[u8]) -> Result<Self, StorageError> {
        let mut decoder = Decoder(Reader::new(bytes));
        let mut parts = || {
            let (what, flags, table) = (decoder.byte()?, decoder.byte()?, decoder.text()?);
            let change = decoder.change(what, flags)?;
            decoder.0.rest().is_empty().then_some((table, change))
        };
        let (table, change) =
            parts().ok_or_else(|| StorageError::corrupted("an event of the change log is malformed"))?;
        Ok(Self { position, timestamp_ms, table, change })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Result<Change, StorageError> {
        ChangeEvent::decode(ChangePosition::START, 0, bytes).map(|event| {
            assert!(event.table == "rows" || matches!(event.change, Change::Revert { .. } | Change::Blob { .. }));
            event.change
        })
    }

    #[test]
    fn rows_are_as_their_mode_has_them() {
        let (key, old, new) = (&b"key"[..], Some(&b"old"[..]), Some(&b"new"[..]));
        let coded = |mode, multimap, old, new| {
            let mut bytes = Vec::new();
            Encoder::row(&mut bytes, "rows", mode, multimap, &RowChange { key, old, new });
            for end in 0..bytes.len() {
                assert!(decoded(&bytes[..end]).is_err(), "{end} of {} bytes", bytes.len());
            }
            decoded(&bytes).unwrap()
        };
        let vec = |part: Option<&[u8]>| part.map(<[u8]>::to_vec);
        let key = key.to_vec();
        for (mode, has_old, has_new) in [
            (CdcMode::Keys, None, None),
            (CdcMode::NewValues, None, vec(new)),
            (CdcMode::OldAndNew, vec(old), vec(new)),
        ] {
            let insert = Change::Insert { key: key.clone(), new: has_new.clone() };
            assert_eq!(coded(mode, false, None, new), insert);
            let update = Change::Update { key: key.clone(), old: has_old.clone(), new: has_new };
            assert_eq!(coded(mode, false, old, new), update);
            assert_eq!(coded(mode, false, old, None), Change::Delete { key: key.clone(), old: has_old });
            let pair = Change::InsertPair { key: key.clone(), value: b"new".to_vec() };
            assert_eq!(coded(mode, true, None, new), pair);
            let pair = Change::DeletePair { key: key.clone(), value: b"old".to_vec() };
            assert_eq!(coded(mode, true, old, None), pair);
        }
    }

    #[test]
    fn a_merge_is_as_its_mode_has_it() {
        let (key, operand) = (&b"key"[..], &b"+"[..]);
        for (old, new) in [(None, Some(&b"new"[..])), (Some(&b"old"[..]), None), (Some(&b""[..]), Some(&b""[..]))] {
            for (mode, values) in [(CdcMode::Keys, 0), (CdcMode::NewValues, 1), (CdcMode::OldAndNew, 2)] {
                let mut bytes = Vec::new();
                Encoder::merged(&mut bytes, "rows", mode, &RowChange { key, old, new }, operand);
                let vec = |part: Option<&[u8]>| part.map(<[u8]>::to_vec);
                let expected = Change::Merge {
                    key: key.to_vec(),
                    operand: vec(Some(operand).filter(|_| values > 0)),
                    old: vec(old.filter(|_| values > 1)),
                    new: vec(new.filter(|_| values > 0)),
                    is_there: new.is_some(),
                };
                assert_eq!(decoded(&bytes).unwrap(), expected);
            }
        }
    }

    #[test]
    fn what_happens_to_tables_and_ranges_comes_back() {
        let (a, b) = (&b"a"[..], &b""[..]);
        for bounds in [
            (Bound::Unbounded, Bound::Unbounded),
            (Bound::Included(a), Bound::Excluded(b)),
            (Bound::Excluded(b), Bound::Included(a)),
        ] {
            let mut bytes = Vec::new();
            Encoder::range(&mut bytes, "rows", bounds, 7);
            let own = |bound: Bound<&[u8]>| bound.map(<[u8]>::to_vec);
            let expected = Change::DeleteRange { start: own(bounds.0), end: own(bounds.1), rows: 7 };
            assert_eq!(decoded(&bytes).unwrap(), expected);
        }
        let types = [TypeName::new("own"), TypeName::new("other")];
        let mut bytes = Vec::new();
        Encoder::created(&mut bytes, "rows", TableKind::Multimap, &types[0], &types[1]);
        let [key, value] = types;
        assert_eq!(decoded(&bytes).unwrap(), Change::CreateTable { multimap: true, ttl: false, key, value });
        bytes.clear();
        Encoder::expired(&mut bytes, "rows", CdcMode::OldAndNew, b"key", b"old");
        assert_eq!(decoded(&bytes).unwrap(), Change::Expire { key: b"key".to_vec(), old: Some(b"old".to_vec()) });
        bytes.clear();
        Encoder::expired(&mut bytes, "rows", CdcMode::NewValues, b"key", b"old");
        assert_eq!(decoded(&bytes).unwrap(), Change::Expire { key: b"key".to_vec(), old: None });
        bytes.clear();
        Encoder::deleted(&mut bytes, "rows");
        assert_eq!(decoded(&bytes).unwrap(), Change::DeleteTable);
        bytes.clear();
        Encoder::renamed(&mut bytes, "rows", "lines");
        assert_eq!(decoded(&bytes).unwrap(), Change::RenameTable { new_name: "lines".into() });
        bytes.clear();
        Encoder::reverted(&mut bytes, 77);
        assert_eq!(decoded(&bytes).unwrap(), Change::Revert { to: 77 });
        bytes[0] = 0;
        assert!(decoded(&bytes).is_err());
        for what in
            [BlobChange::Stored, BlobChange::Content, BlobChange::Known, BlobChange::Deleted, BlobChange::Expired]
        {
            bytes.clear();
            Encoder::blob(&mut bytes, 77, what);
            assert_eq!(decoded(&bytes).unwrap(), Change::Blob { id: 77, what });
        }
        bytes[1] = 5;
        assert!(decoded(&bytes).is_err());
    }
}
