//! Whether the tables of an index say the same.
//!
//! A row that another must go with is looked up there. If that finds as many as there are, none is left over; only if not
//! are the others walked over too. So no ids are held, however many there are.

use super::graph::{Children, Parents, Place, decode_place, edge_key};
use super::own::list;
use super::tables::{OwnTables, Part};
use super::tags::{TagNames, TagNumbers, Tagged, TagsOf, tag_key, tagged_key};
use crate::error::StorageError;
use crate::table::{AccessGuard, Range, ReadableTable, ReadableTableMetadata};
use crate::types::Value;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use core::borrow::Borrow;
use core::fmt::{Display, Formatter};
use core::ops::RangeBounds;

/// Hears of what is wrong. An error ends the check.
pub(crate) type Hear<'h> = dyn FnMut(StorageError) -> Result<(), StorageError> + 'h;

/// Whether there is a thing.
pub(crate) type IsThere<'i> = dyn Fn(&[u8]) -> Result<bool, StorageError> + 'i;

type KeyOf<'k, P> = <<P as Part>::Key as Value>::SelfType<'k>;

/// A table that is to be compared with others. One that there is not has no rows.
pub(crate) struct Rows<'t, T: OwnTables + 't, P: Part>(Option<T::Table<'t, P>>);

impl<'t, T: OwnTables, P: Part> Rows<'t, T, P> {
    pub(crate) fn open(tables: &'t T, name: &str) -> Result<Self, StorageError> {
        tables.table::<P>(name).map(Self)
    }

    pub(crate) fn len(&self) -> Result<u64, StorageError> {
        self.0.as_ref().map_or(Ok(0), ReadableTableMetadata::len)
    }

    pub(crate) fn get<'k>(
        &self,
        key: impl Borrow<KeyOf<'k, P>>,
    ) -> Result<Option<AccessGuard<'_, P::Value>>, StorageError> {
        self.0.as_ref().map_or(Ok(None), |table| table.get(key))
    }

    /// Whether there is such a row. Reads no long value.
    pub(crate) fn has<'k>(&self, key: impl Borrow<KeyOf<'k, P>>) -> Result<bool, StorageError> {
        Ok(self.length_of(key)?.is_some())
    }

    /// How many bytes a value has. Reads no long value.
    pub(crate) fn length_of<'k>(&self, key: impl Borrow<KeyOf<'k, P>>) -> Result<Option<u64>, StorageError> {
        self.0.as_ref().map_or(Ok(None), |table| table.value_len(key))
    }

    pub(crate) fn count<'k, B>(&self, range: impl RangeBounds<B> + 'k) -> Result<u64, StorageError>
    where
        B: Borrow<KeyOf<'k, P>> + 'k,
    {
        self.0.as_ref().map_or(Ok(0), |table| table.count(range))
    }

    pub(crate) fn range<'k, B>(
        &self,
        range: impl RangeBounds<B> + 'k,
    ) -> Result<impl Iterator<Item = RowOf<'_, P>>, StorageError>
    where
        B: Borrow<KeyOf<'k, P>> + 'k,
    {
        self.walk(|table| table.range(range))
    }

    pub(crate) fn iter(&self) -> Result<impl Iterator<Item = RowOf<'_, P>>, StorageError> {
        self.walk(ReadableTable::iter)
    }

    fn walk<'s>(
        &'s self,
        rows: impl FnOnce(&'s T::Table<'t, P>) -> Result<Range<'s, P::Key, P::Value>, StorageError>,
    ) -> Result<impl Iterator<Item = RowOf<'s, P>>, StorageError> {
        Ok(self.0.as_ref().map(rows).transpose()?.into_iter().flatten())
    }
}

type RowOf<'r, P> = Result<(AccessGuard<'r, <P as Part>::Key>, AccessGuard<'r, <P as Part>::Value>), StorageError>;

const MALFORMED: &str = "a row of a thing is malformed";

/// Bytes of a name or an id that are shown.
const SHOWN: usize = 64;

/// A text or an id as findings have it, which are to be short.
pub(crate) struct Shown<'s>(pub(crate) &'s [u8]);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        let start = self.0.get(..SHOWN).unwrap_or(self.0);
        let text = core::str::from_utf8(start).ok().filter(|text| text.chars().all(|letter| !letter.is_control()));
        match text {
            Some(text) => write!(f, "'{text}'")?,
            None => write!(f, "'{}'", start.escape_ascii())?,
        }
        if start.len() < self.0.len() { write!(f, " and {} bytes", self.0.len() - start.len()) } else { Ok(()) }
    }
}

/// An index that is checked.
struct Checked<'c> {
    name: &'c str,
    kind: &'static str,
    is_there: &'c IsThere<'c>,
    hear: &'c mut Hear<'c>,
}

impl Checked<'_> {
    fn fault(&mut self, what: &str) -> Result<(), StorageError> {
        let Self { name, kind, .. } = self;
        let of = if name.is_empty() { "blobs".into() } else { format!("{}", Shown(name.as_bytes())) };
        (self.hear)(StorageError::corrupted(format!("{kind} of {of}: {what}")))
    }

    /// Things of blobs are their ids.
    fn shown(&self, thing: &[u8]) -> String {
        match thing.try_into() {
            Ok(id) if self.name.is_empty() => format!("blob {}", u64::from_be_bytes(id)),
            _ => format!("{}", Shown(thing)),
        }
    }

    fn check_thing(&mut self, thing: &[u8]) -> Result<(), StorageError> {
        if (self.is_there)(thing)? {
            return Ok(());
        }
        let what = format!("there is no {}", self.shown(thing));
        self.fault(&what)
    }
}

/// Compares the tables of those indexes that users made.
pub(crate) fn check_own(tables: &impl OwnTables, hear: &mut Hear<'_>) -> Result<(), StorageError> {
    let tags =
        [list::<TagNumbers>(tables)?, list::<TagNames>(tables)?, list::<Tagged>(tables)?, list::<TagsOf>(tables)?];
    for name in tags.into_iter().flatten().collect::<BTreeSet<String>>() {
        check_tags(tables, &name, &|_| Ok(true), hear)?;
    }
    let graphs = [list::<Children>(tables)?, list::<Parents>(tables)?];
    for name in graphs.into_iter().flatten().collect::<BTreeSet<String>>() {
        check_edges(tables, &name, &|_| Ok(true), hear)?;
    }
    Ok(())
}

/// Compares the tables of an index of tags.
pub(crate) fn check_tags(
    tables: &impl OwnTables,
    name: &str,
    is_there: &IsThere<'_>,
    hear: &mut Hear<'_>,
) -> Result<(), StorageError> {
    let mut checked = Checked { name, kind: "tags", is_there, hear: &mut *hear };
    TagTables::open(tables, name).and_then(|tables| tables.check(&mut checked)).or_else(hear)
}

struct TagTables<'t, T: OwnTables + 't> {
    numbers: Rows<'t, T, TagNumbers>,
    names: Rows<'t, T, TagNames>,
    tagged: Rows<'t, T, Tagged>,
    tags_of: Rows<'t, T, TagsOf>,
}

impl<'t, T: OwnTables> TagTables<'t, T> {
    fn open(tables: &'t T, name: &str) -> Result<Self, StorageError> {
        Ok(Self {
            numbers: Rows::open(tables, name)?,
            names: Rows::open(tables, name)?,
            tagged: Rows::open(tables, name)?,
            tags_of: Rows::open(tables, name)?,
        })
    }

    fn check(&self, checked: &mut Checked<'_>) -> Result<(), StorageError> {
        self.check_numbers(checked)?;
        self.check_things(checked)
    }

    fn has_name(&self, number: u64, tag: &str) -> Result<bool, StorageError> {
        Ok(self.names.get(number)?.is_some_and(|found| found.value() == tag))
    }

    fn check_numbers(&self, checked: &mut Checked<'_>) -> Result<(), StorageError> {
        let mut found = 0;
        for row in self.numbers.iter()? {
            let (tag, value) = row?;
            let (tag, (number, things)) = (tag.value(), value.value());
            let is_named = self.has_name(number, tag)?;
            found += u64::from(is_named);
            if !is_named {
                checked.fault(&format!("the number {number} of {} is not its own", Shown(tag.as_bytes())))?;
            }
            let (tag, rows) = (Shown(tag.as_bytes()), self.count_things(number)?);
            if rows != things {
                checked.fault(&format!("{tag} is said to be on {things} things, and is on {rows}"))?;
            } else if things == 0 {
                checked.fault(&format!("{tag} is on nothing"))?;
            }
        }
        if found == self.names.len()? { Ok(()) } else { self.check_names(checked) }
    }

    fn count_things(&self, number: u64) -> Result<u64, StorageError> {
        let (first, last) = (tagged_key(number, &[]), number.checked_add(1).map(|next| tagged_key(next, &[])));
        match &last {
            Some(last) => self.tagged.count::<&[u8]>(&first[..]..&last[..]),
            None => self.tagged.count::<&[u8]>(&first[..]..),
        }
    }

    fn check_names(&self, checked: &mut Checked<'_>) -> Result<(), StorageError> {
        for row in self.names.iter()? {
            let (number, tag) = row?;
            let (number, tag) = (number.value(), tag.value());
            if self.numbers.get(tag)?.is_none_or(|found| found.value().0 != number) {
                checked
                    .fault(&format!("{} does not have the number {number} that leads to it", Shown(tag.as_bytes())))?;
            }
        }
        Ok(())
    }

    fn check_things(&self, checked: &mut Checked<'_>) -> Result<(), StorageError> {
        let (mut found, mut last) = (0, None);
        for row in self.tagged.iter()? {
            let (key, _) = row?;
            let Some((number, thing)) = key.value().split_first_chunk() else {
                checked.fault("a row has no number")?;
                continue;
            };
            let number = u64::from_be_bytes(*number);
            if last != Some(number) && !self.names.has(number)? {
                checked.fault(&format!("the number {number} is no tag's, and things have it"))?;
            }
            last = Some(number);
            let Ok(other) = tag_key(thing, number) else {
                checked.fault(MALFORMED)?;
                continue;
            };
            let is_both_ways = self.tags_of.has(&other[..])?;
            found += u64::from(is_both_ways);
            if !is_both_ways {
                let thing = checked.shown(thing);
                checked.fault(&format!("the number {number} has {thing}, which does not have it"))?;
            }
            checked.check_thing(thing)?;
        }
        if found == self.tags_of.len()? { Ok(()) } else { self.check_tags_of(checked) }
    }

    fn check_tags_of(&self, checked: &mut Checked<'_>) -> Result<(), StorageError> {
        for row in self.tags_of.iter()? {
            let (key, _) = row?;
            let Some((thing, number)) =
                split_thing(key.value()).and_then(|(thing, rest)| Some((thing, rest.try_into().ok()?)))
            else {
                checked.fault(MALFORMED)?;
                continue;
            };
            let number = u64::from_be_bytes(number);
            if !self.tagged.has(&tagged_key(number, thing)[..])? {
                let thing = checked.shown(thing);
                checked.fault(&format!("{thing} has the number {number}, which does not have it"))?;
            }
        }
        Ok(())
    }
}

/// The id with which a key begins, and what follows it.
fn split_thing(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = key.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// Compares the tables of a graph.
pub(crate) fn check_edges(
    tables: &impl OwnTables,
    name: &str,
    is_there: &IsThere<'_>,
    hear: &mut Hear<'_>,
) -> Result<(), StorageError> {
    let mut checked = Checked { name, kind: "links", is_there, hear: &mut *hear };
    EdgeTables::open(tables, name).and_then(|tables| tables.check(&mut checked)).or_else(hear)
}

struct EdgeTables<'t, T: OwnTables + 't> {
    children: Rows<'t, T, Children>,
    parents: Rows<'t, T, Parents>,
}

impl<'t, T: OwnTables> EdgeTables<'t, T> {
    fn open(tables: &'t T, name: &str) -> Result<Self, StorageError> {
        Ok(Self { children: Rows::open(tables, name)?, parents: Rows::open(tables, name)? })
    }

    fn check(&self, checked: &mut Checked<'_>) -> Result<(), StorageError> {
        let mut found = 0;
        for row in self.children.iter()? {
            let (key, _) = row?;
            found += u64::from(has_other_row(key.value(), "child", &self.parents, checked)?);
            check_ends(key.value(), checked)?;
        }
        if found == self.parents.len()? {
            return Ok(());
        }
        let mut rows = self.parents.iter()?;
        rows.try_for_each(|row| has_other_row(row?.0.value(), "parent", &self.children, checked).map(drop))
    }
}

/// The thing that the row of an edge is under, and where it leads.
fn split_edge(key: &[u8]) -> Option<(&[u8], Place<'_>)> {
    let (thing, rest) = split_thing(key)?;
    Some((thing, decode_place(rest).ok()?))
}

/// Whether an edge has a row for its other end too, which is the `second` of the first.
fn has_other_row<T: OwnTables, P: Part<Key = &'static [u8]>>(
    key: &[u8],
    second: &str,
    others: &Rows<'_, T, P>,
    checked: &mut Checked<'_>,
) -> Result<bool, StorageError> {
    let Some((of, (relation, other))) = split_edge(key) else {
        return checked.fault(MALFORMED).map(|()| false);
    };
    // A thing may be too long to be that of the other row.
    let Ok(other_row) = edge_key(other, (relation, of)) else { return checked.fault(MALFORMED).map(|()| false) };
    let found = others.has(&other_row[..])?;
    if !found {
        let [of, other] = [of, other].map(|thing| checked.shown(thing));
        checked.fault(&format!("{of} has the {second} {other}, {relation:?}, which does not know of it"))?;
    }
    Ok(found)
}

fn check_ends(key: &[u8], checked: &mut Checked<'_>) -> Result<(), StorageError> {
    let Some((of, (_, other))) = split_edge(key) else { return Ok(()) };
    [of, other].into_iter().try_for_each(|thing| checked.check_thing(thing))
}

#[cfg(test)]
mod tests {
    use super::super::tables::open;
    use super::super::tags::Tags;
    use super::super::{Edges, Relation};
    use super::*;
    use crate::backend::InMemoryBackend;
    use crate::txn::WriteTransaction;
    use crate::{Database, VerifyLevel};
    use alloc::string::ToString;
    use alloc::vec::Vec;

    const NAME: &str = "kinds";

    type Forgery = fn(&WriteTransaction) -> Result<(), StorageError>;

    /// Number 1 is that of "broadleaf", 2 that of "old".
    fn index(forge: Forgery) -> Database {
        let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let txn = db.begin_write().unwrap();
        let tags = Tags::new(&txn, NAME);
        for (thing, tag) in [("oak", "broadleaf"), ("elm", "broadleaf"), ("oak", "old")] {
            tags.add(thing.as_bytes(), tag).unwrap();
        }
        let edges = Edges::new(&txn, NAME);
        edges.add(b"acorn", Relation::Derived, b"oak", "planted").unwrap();
        edges.add(b"oak", Relation::Custom(7), b"leaf", "").unwrap();
        forge(&txn).unwrap();
        txn.commit().unwrap();
        db
    }

    fn findings(forge: Forgery) -> Vec<String> {
        let db = index(forge);
        let report = db.verify_integrity(VerifyLevel::Rows).unwrap();
        assert!(report.complete && report.findings.len() as u64 == report.finding_count);
        let findings: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
        match db.verify() {
            Ok(_) => assert_eq!(findings, [""; 0]),
            Err(err) => assert!(err.to_string().contains(&findings[0]), "{err}, {findings:?}"),
        }
        findings
    }

    #[test]
    fn the_tables_of_indexes_agree() {
        assert_eq!(findings(|_| Ok(())), [""; 0]);
    }

    fn check(kind: &str, cases: &[(Forgery, &[&str])]) {
        for (forge, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|what| format!("{kind} of 'kinds': {what}")).collect();
            assert_eq!(findings(*forge), expected);
        }
    }

    #[test]
    fn each_row_of_tags_that_is_wrong_is_found() {
        let cases: [(Forgery, &[&str]); 13] = [
            (
                |txn| open::<TagNumbers>(txn, NAME)?.insert("old", (2, 2)).map(drop),
                &["'old' is said to be on 2 things, and is on 1"],
            ),
            (
                |txn| open::<TagNumbers>(txn, NAME)?.insert("old", (1, 2)).map(drop),
                &["the number 1 of 'old' is not its own", "'old' does not have the number 2 that leads to it"],
            ),
            (
                |txn| open::<TagNumbers>(txn, NAME)?.insert("new", (3, 0)).map(drop),
                &["the number 3 of 'new' is not its own", "'new' is on nothing"],
            ),
            (
                |txn| open::<TagNumbers>(txn, NAME)?.remove("old").map(drop),
                &["'old' does not have the number 2 that leads to it"],
            ),
            (
                |txn| open::<TagNames>(txn, NAME)?.remove(2).map(drop),
                &["the number 2 of 'old' is not its own", "the number 2 is no tag's, and things have it"],
            ),
            (
                |txn| open::<TagNames>(txn, NAME)?.insert(3, "old").map(drop),
                &["'old' does not have the number 3 that leads to it"],
            ),
            (
                |txn| open::<Tagged>(txn, NAME)?.remove(&tagged_key(2, b"oak")[..]).map(drop),
                &["'old' is said to be on 1 things, and is on 0", "'oak' has the number 2, which does not have it"],
            ),
            (
                |txn| open::<Tagged>(txn, NAME)?.insert(&tagged_key(2, b"elm")[..], ()).map(drop),
                &["'old' is said to be on 1 things, and is on 2", "the number 2 has 'elm', which does not have it"],
            ),
            // Too long to be a thing's.
            (
                |txn| open::<Tagged>(txn, NAME)?.insert(&tagged_key(2, &[b'a'; 70_000])[..], ()).map(drop),
                &["'old' is said to be on 1 things, and is on 2", "a row of a thing is malformed"],
            ),
            (|txn| open::<Tagged>(txn, NAME)?.insert(&b"short"[..], ()).map(drop), &["a row has no number"]),
            (
                |txn| open::<TagsOf>(txn, NAME)?.remove(&tag_key(b"oak", 2)?[..]).map(drop),
                &["the number 2 has 'oak', which does not have it"],
            ),
            (
                |txn| open::<TagsOf>(txn, NAME)?.insert(&tag_key(b"elm", 2)?[..], ()).map(drop),
                &["'elm' has the number 2, which does not have it"],
            ),
            (
                |txn| open::<TagsOf>(txn, NAME)?.insert(&b"\0\x09short"[..], ()).map(drop),
                &["a row of a thing is malformed"],
            ),
        ];
        check("tags", &cases);
    }

    #[test]
    fn each_row_of_a_graph_that_is_wrong_is_found() {
        fn down() -> Vec<u8> {
            edge_key(b"acorn", (Relation::Derived, b"oak")).unwrap()
        }
        fn up() -> Vec<u8> {
            edge_key(b"oak", (Relation::Derived, b"acorn")).unwrap()
        }
        let cases: [(Forgery, &[&str]); 6] = [
            (
                |txn| open::<Children>(txn, NAME)?.remove(&down()[..]).map(drop),
                &["'oak' has the parent 'acorn', Derived, which does not know of it"],
            ),
            (
                |txn| open::<Parents>(txn, NAME)?.remove(&up()[..]).map(drop),
                &["'acorn' has the child 'oak', Derived, which does not know of it"],
            ),
            (
                |txn| open::<Children>(txn, NAME)?.insert(&up()[..], "").map(drop),
                &["'oak' has the child 'acorn', Derived, which does not know of it"],
            ),
            (
                |txn| open::<Parents>(txn, NAME)?.insert(&down()[..], ()).map(drop),
                &["'acorn' has the parent 'oak', Derived, which does not know of it"],
            ),
            (
                |txn| {
                    let key = edge_key(b"oak", (Relation::Similar, &[b'a'; 70_000]))?;
                    open::<Children>(txn, NAME)?.insert(&key[..], "").map(drop)
                },
                &["a row of a thing is malformed"],
            ),
            (
                |txn| open::<Children>(txn, NAME)?.insert(&b"\0\x01a\x09\0\0b"[..], "").map(drop),
                &["a row of a thing is malformed"],
            ),
        ];
        check("links", &cases);
    }

    /// Each of the tables may be the only one of its name.
    #[test]
    fn a_table_that_others_are_missing_to_is_found() {
        let cases: [Forgery; 6] = [
            |txn| open::<TagNumbers>(txn, "other")?.insert("old", (2, 2)).map(drop),
            |txn| open::<TagNames>(txn, "other")?.insert(2, "old").map(drop),
            |txn| open::<Tagged>(txn, "other")?.insert(&tagged_key(2, b"oak")[..], ()).map(drop),
            |txn| open::<TagsOf>(txn, "other")?.insert(&tag_key(b"oak", 2)?[..], ()).map(drop),
            |txn| open::<Children>(txn, "other")?.insert(&edge_key(b"a", (Relation::Similar, b"b"))?[..], "").map(drop),
            |txn| open::<Parents>(txn, "other")?.insert(&edge_key(b"a", (Relation::Similar, b"b"))?[..], ()).map(drop),
        ];
        for forge in cases {
            let found = findings(forge);
            assert!(!found.is_empty() && found.iter().all(|what| what.contains(" of 'other': ")), "{found:?}");
        }
    }

    #[test]
    fn what_findings_show_is_short_and_can_be_read() {
        let shown = |bytes: &[u8]| Shown(bytes).to_string();
        assert_eq!((shown("größe".as_bytes()), shown(b"\0\xFF")), ("'größe'".into(), "'\\x00\\xff'".into()));
        assert_eq!(shown(&[b'a'; 1_000]), format!("'{}' and 936 bytes", "a".repeat(64)));
    }
}
