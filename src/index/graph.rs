//! A graph of things: edges of a kind each, from parents to children, found from both ends.
//!
//! Each edge has a row for either end. No edge closes a cycle, so that what is above a thing is never below it.

use super::tables::{OpenPart, OwnTables, Part, open, thing_key};
use crate::error::StorageError;
use crate::table::{AccessGuard, ReadableTable, ReadableTableMetadata};
use crate::txn::{Space, WriteTransaction};
use crate::types::Value;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Bound;

/// Edges that are looked up at once where there may be many.
pub(super) const BATCH: usize = 64;

/// A parent with its length, a relation and a child; the context.
#[derive(Debug)]
pub enum Children {}

impl Part for Children {
    type Key = &'static [u8];
    type Value = &'static str;
    const SPACE: Space = Space::Children;
}

/// A child with its length, a relation and a parent. The context is with the child, where it is found from here.
#[derive(Debug)]
pub enum Parents {}

impl Part for Parents {
    type Key = &'static [u8];
    type Value = ();
    const SPACE: Space = Space::Parents;
}

/// What a child is to its parent. In the order in which edges are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Relation {
    /// Was made from it.
    Derived,
    /// Is like it.
    Similar,
    /// Says otherwise.
    Contradicts,
    /// Bears it out.
    Supports,
    /// Takes its place.
    Supersedes,
    /// What you say the number stands for.
    Custom(u16),
}

impl Relation {
    const NAMED: [Self; 5] = [Self::Derived, Self::Similar, Self::Contradicts, Self::Supports, Self::Supersedes];

    /// What the file has: codes are in the order of relations.
    fn code(self) -> [u8; 3] {
        let (kind, [high, low]) = match self {
            Self::Derived => (0, [0; 2]),
            Self::Similar => (1, [0; 2]),
            Self::Contradicts => (2, [0; 2]),
            Self::Supports => (3, [0; 2]),
            Self::Supersedes => (4, [0; 2]),
            Self::Custom(number) => (255, number.to_be_bytes()),
        };
        [kind, high, low]
    }

    fn of_code(code: [u8; 3]) -> Option<Self> {
        match code {
            [255, high, low] => Some(Self::Custom(u16::from_be_bytes([high, low]))),
            _ => Self::NAMED.into_iter().find(|relation| relation.code() == code),
        }
    }
}

/// An edge as one of its ends sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edge {
    /// Id of the thing at the other end.
    pub thing: Vec<u8>,
    /// What the child is to the parent.
    pub relation: Relation,
    /// What was said of the edge.
    pub context: String,
}

/// What becomes of the edges of a thing that is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeleteLinks {
    /// They go with it.
    #[default]
    Cut,
    /// Each of its children becomes a child of each of its parents, with the relation and the context that it had to the
    /// thing. An edge that is there already stays as it is.
    Heal,
}

/// Where an edge is among those of a thing: its relation, and the id of the other end.
pub(crate) type Place<'p> = (Relation, &'p [u8]);

/// The same, owned.
pub(super) type OwnedPlace = (Relation, Vec<u8>);

/// One of the two ways along an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Parents,
    Children,
}

impl Side {
    pub(super) fn opposite(self) -> Self {
        match self {
            Self::Parents => Self::Children,
            Self::Children => Self::Parents,
        }
    }
}

/// What became of an edge that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    New,
    /// It was there, and has the new context.
    Known,
    /// It would close a cycle, and was not added.
    Cycle,
}

fn out_of_step() -> StorageError {
    StorageError::corrupted("the tables of a graph do not agree")
}

pub(super) fn edge_key(of: &[u8], (relation, other): Place<'_>) -> Result<Vec<u8>, StorageError> {
    let mut key = thing_key(of)?;
    key.extend_from_slice(&relation.code());
    key.extend_from_slice(other);
    Ok(key)
}

/// What stands in a key behind its thing.
pub(super) fn decode_place(rest: &[u8]) -> Result<Place<'_>, StorageError> {
    let (code, other) = rest.split_first_chunk().ok_or_else(out_of_step)?;
    let relation =
        Relation::of_code(*code).ok_or_else(|| StorageError::corrupted("an edge has an unknown relation"))?;
    Ok((relation, other))
}

/// The edges between things, which are known by any bytes.
pub(crate) struct Edges<'t, T> {
    pub(super) tables: &'t T,
    name: &'t str,
}

impl<'t, T: OwnTables> Edges<'t, T> {
    /// Those under a name.
    pub(crate) fn new(tables: &'t T, name: &'t str) -> Self {
        Self { tables, name }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> Result<u64, StorageError> {
        self.tables.table::<Parents>(self.name)?.map_or(Ok(0), |parents| parents.len())
    }

    /// The context of an edge; `None` if there is no such edge.
    pub(crate) fn context(
        &self,
        parent: &[u8],
        relation: Relation,
        child: &[u8],
    ) -> Result<Option<String>, StorageError> {
        let key = edge_key(parent, (relation, child))?;
        let Some(children) = self.tables.table::<Children>(self.name)? else { return Ok(None) };
        Ok(children.get(&key[..])?.map(|context| context.value().to_string()))
    }

    fn has(&self, parent: &[u8], relation: Relation, child: &[u8]) -> Result<bool, StorageError> {
        Ok(self.context(parent, relation, child)?.is_some())
    }

    /// At most so many edges of a thing behind a place, in the order of relations and other ends.
    pub(crate) fn list(
        &self,
        side: Side,
        thing: &[u8],
        after: Option<Place<'_>>,
        most: usize,
    ) -> Result<Vec<Edge>, StorageError> {
        if side == Side::Children {
            let edge = |(relation, child): Place<'_>, context: AccessGuard<'_, &'static str>| Edge {
                thing: child.to_vec(),
                relation,
                context: context.value().to_string(),
            };
            return self.rows::<Children, _>(thing, after, most, edge);
        }
        let edge = |(relation, parent): OwnedPlace| {
            let context = self.context(&parent, relation, thing)?.ok_or_else(out_of_step)?;
            Ok(Edge { thing: parent, relation, context })
        };
        self.ends(side, thing, after, most)?.into_iter().map(edge).collect()
    }

    /// The same without their contexts.
    pub(super) fn ends(
        &self,
        side: Side,
        thing: &[u8],
        after: Option<Place<'_>>,
        most: usize,
    ) -> Result<Vec<OwnedPlace>, StorageError> {
        fn end<V: Value + 'static>((relation, other): Place<'_>, _: AccessGuard<'_, V>) -> OwnedPlace {
            (relation, other.to_vec())
        }
        match side {
            Side::Parents => self.rows::<Parents, _>(thing, after, most, end),
            Side::Children => self.rows::<Children, _>(thing, after, most, end),
        }
    }

    fn rows<P: Part<Key = &'static [u8]>, E>(
        &self,
        thing: &[u8],
        after: Option<Place<'_>>,
        most: usize,
        end: impl Fn(Place<'_>, AccessGuard<'_, P::Value>) -> E,
    ) -> Result<Vec<E>, StorageError> {
        let prefix = thing_key(thing)?;
        let Some(table) = self.tables.table::<P>(self.name)? else { return Ok(Vec::new()) };
        let start = after.map(|place| edge_key(thing, place)).transpose()?;
        let start = start.as_ref().map_or(Bound::Included(&prefix[..]), |key| Bound::Excluded(&key[..]));
        let mut found = Vec::new();
        for row in table.range::<&[u8]>((start, Bound::Unbounded))?.take(most) {
            let (key, value) = row?;
            let Some(rest) = key.value().strip_prefix(&prefix[..]) else { break };
            found.push(end(decode_place(rest)?, value));
        }
        Ok(found)
    }
}

impl Edges<'_, WriteTransaction> {
    /// Adds an edge, or gives it another context.
    pub(crate) fn add(
        &self,
        parent: &[u8],
        relation: Relation,
        child: &[u8],
        context: &str,
    ) -> Result<Linked, StorageError> {
        let known = self.has(parent, relation, child)?;
        if !known && self.leads(child, parent)? {
            return Ok(Linked::Cycle);
        }
        self.put(parent, relation, child, context)?;
        Ok(if known { Linked::Known } else { Linked::New })
    }

    /// Both tables, so that nothing but a change of theirs, which breaks the transaction, can fail between two.
    fn open(&self) -> Result<(OpenPart<'_, Children>, OpenPart<'_, Parents>), StorageError> {
        Ok((open::<Children>(self.tables, self.name)?, open::<Parents>(self.tables, self.name)?))
    }

    fn put(&self, parent: &[u8], relation: Relation, child: &[u8], context: &str) -> Result<(), StorageError> {
        let (down, up) = (edge_key(parent, (relation, child))?, edge_key(child, (relation, parent))?);
        let (mut children, mut parents) = self.open()?;
        children.insert(&down[..], context)?;
        parents.insert(&up[..], ())?;
        Ok(())
    }

    /// Removes an edge, and says whether there was one.
    pub(crate) fn remove(&self, parent: &[u8], relation: Relation, child: &[u8]) -> Result<bool, StorageError> {
        if !self.has(parent, relation, child)? {
            return Ok(false);
        }
        let (down, up) = (edge_key(parent, (relation, child))?, edge_key(child, (relation, parent))?);
        let (mut children, mut parents) = self.open()?;
        parents.remove(&up[..])?.ok_or_else(out_of_step)?;
        children.remove(&down[..])?.ok_or_else(out_of_step)?;
        Ok(true)
    }

    /// Removes a thing with all of its edges.
    pub(crate) fn remove_thing(&self, thing: &[u8], links: DeleteLinks) -> Result<(), StorageError> {
        if links == DeleteLinks::Heal {
            self.heal(thing)?;
        }
        self.each(Side::Parents, thing, |relation, parent| self.remove_known(parent, relation, thing))?;
        self.each(Side::Children, thing, |relation, child| self.remove_known(thing, relation, child))
    }

    /// Gives each child of a thing each of its parents. No cycle comes of it: there was a way before.
    fn heal(&self, thing: &[u8]) -> Result<(), StorageError> {
        self.each(Side::Children, thing, |relation, child| {
            let context = self.context(thing, relation, child)?.ok_or_else(out_of_step)?;
            self.each(Side::Parents, thing, |_, parent| {
                if self.has(parent, relation, child)? { Ok(()) } else { self.put(parent, relation, child, &context) }
            })
        })
    }

    fn remove_known(&self, parent: &[u8], relation: Relation, child: &[u8]) -> Result<(), StorageError> {
        self.remove(parent, relation, child)?.then_some(()).ok_or_else(out_of_step)
    }

    /// Hands each edge of a thing to `change`, which may remove it.
    fn each(
        &self,
        side: Side,
        thing: &[u8],
        change: impl Fn(Relation, &[u8]) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut last: Option<OwnedPlace> = None;
        loop {
            let after = last.as_ref().map(|(relation, other)| (*relation, &other[..]));
            let ends = self.ends(side, thing, after, BATCH)?;
            ends.iter().try_for_each(|(relation, other)| change(*relation, other))?;
            let Some(end) = ends.into_iter().next_back() else { return Ok(()) };
            last = Some(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::walk::{Follow, all_are_seen};
    use super::*;
    use crate::Database;
    use crate::backends::InMemoryBackend;

    #[test]
    fn relations_have_these_codes_in_their_order() {
        let codes = [[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0], [255, 0, 0], [255, 1, 2], [255, 255, 255]];
        let custom = [0, 258, u16::MAX].map(Relation::Custom);
        let relations: Vec<_> = Relation::NAMED.into_iter().chain(custom).collect();
        assert!(relations.is_sorted() && codes.is_sorted());
        for (relation, code) in relations.into_iter().zip(codes) {
            assert_eq!((relation.code(), Relation::of_code(code)), (code, Some(relation)));
        }
        assert!([[5, 0, 0], [0, 0, 1], [254, 0, 0]].into_iter().all(|code| Relation::of_code(code).is_none()));
    }

    #[test]
    fn an_edge_has_this_key() {
        let key = edge_key(b"oak", (Relation::Custom(7), b"acorn")).unwrap();
        assert_eq!(key, b"\0\x03oak\xFF\0\x07acorn");
        assert_eq!(decode_place(&key[5..]).unwrap(), (Relation::Custom(7), &b"acorn"[..]));
        assert!(decode_place(b"\0\0").is_err());
        assert!(decode_place(b"\x09\0\0a").is_err());
    }

    /// Only a forged file has such edges.
    #[test]
    fn edges_that_go_round_are_followed_to_an_end() {
        let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let txn = db.begin_write().unwrap();
        let edges = Edges::new(&txn, "forged");
        for (parent, child) in [("a", "b"), ("b", "c"), ("c", "a")] {
            edges.put(parent.as_bytes(), Relation::Derived, child.as_bytes(), "").unwrap();
        }
        assert!(edges.leads(b"a", b"nowhere").is_ok_and(|leads| !leads));
        edges.put(b"z", Relation::Derived, b"somewhere", "").unwrap();
        edges.put(b"somewhere", Relation::Derived, b"z", "").unwrap();
        let round = |err: StorageError| matches!(err, StorageError::Corrupted(what) if what.contains("round"));
        assert!(round(edges.leads(b"a", b"z").unwrap_err()));
        assert!(round(edges.chain(b"a", u32::MAX, all_are_seen).unwrap_err()));
        assert_eq!(edges.chain(b"a", 4, all_are_seen).unwrap().len(), 5);
        assert_eq!(edges.within(b"a", Follow::Children, u32::MAX, all_are_seen).unwrap().len(), 2);
        assert_eq!(edges.path(b"a", b"z", Follow::Either, u32::MAX, all_are_seen).unwrap(), None);
        edges.remove_thing(b"a", DeleteLinks::Heal).unwrap();
        assert!(edges.context(b"c", Relation::Derived, b"b").unwrap().is_some());
    }
}
