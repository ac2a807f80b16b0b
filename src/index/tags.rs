//! Which things have which tags, found from both sides.
//!
//! Each tag has a number, so that rows have a fixed width however long a tag is, and no tag is the start of another. The
//! things of a tag are in order, so that what several tags select is found by seeking in their lists.

use super::tables::{OwnTables, Part, open, thing_key};
use crate::error::StorageError;
use crate::table::ReadableTable;
use crate::txn::{Space, WriteTransaction};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Bound;

/// The counter of tags.
const TAGS: &str = "tags";

/// From a tag to its number, and how many things have it.
#[derive(Debug)]
pub enum TagNumbers {}

impl Part for TagNumbers {
    type Key = &'static str;
    type Value = (u64, u64);
    const SPACE: Space = Space::TagNumbers;
}

/// From the number of a tag to the tag.
#[derive(Debug)]
pub enum TagNames {}

impl Part for TagNames {
    type Key = u64;
    type Value = &'static str;
    const SPACE: Space = Space::TagNames;
}

/// The number of a tag, 8 bytes, big-endian, and a thing that has it.
#[derive(Debug)]
pub enum Tagged {}

impl Part for Tagged {
    type Key = &'static [u8];
    type Value = ();
    const SPACE: Space = Space::Tagged;
}

/// The length of a thing's id, 2 bytes, the id, and the number of a tag that it has, 8 bytes, all big-endian.
#[derive(Debug)]
pub enum TagsOf {}

impl Part for TagsOf {
    type Key = &'static [u8];
    type Value = ();
    const SPACE: Space = Space::TagsOf;
}

pub(super) fn tagged_key(number: u64, thing: &[u8]) -> Vec<u8> {
    number.to_be_bytes().iter().chain(thing).copied().collect()
}

pub(super) fn tag_key(thing: &[u8], number: u64) -> Result<Vec<u8>, StorageError> {
    let mut key = thing_key(thing)?;
    key.extend_from_slice(&number.to_be_bytes());
    Ok(key)
}

/// What is asked of tags: all of these, any of those, none of others.
///
/// ```
/// use sapwood::TagQuery;
///
/// let query = TagQuery::new().all_of(["rust", "database"]).none_of(["draft"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagQuery {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

impl TagQuery {
    /// Asks for nothing, and selects nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Selects what has all of these tags as well.
    #[must_use]
    pub fn all_of<'q>(mut self, tags: impl IntoIterator<Item = &'q str>) -> Self {
        self.all.extend(tags.into_iter().map(ToString::to_string));
        self
    }

    /// Selects what has one of these tags at least.
    #[must_use]
    pub fn any_of<'q>(mut self, tags: impl IntoIterator<Item = &'q str>) -> Self {
        self.any.extend(tags.into_iter().map(ToString::to_string));
        self
    }

    /// Leaves out what has one of these tags. Beside one that asks for tags: alone it selects nothing.
    #[must_use]
    pub fn none_of<'q>(mut self, tags: impl IntoIterator<Item = &'q str>) -> Self {
        self.none.extend(tags.into_iter().map(ToString::to_string));
        self
    }
}

/// The numbers of the tags of a query that there are.
struct Selection {
    /// The rarest first.
    all: Vec<u64>,
    any: Vec<u64>,
    none: Vec<u64>,
}

/// The tags of things, which are known by any bytes.
pub(crate) struct Tags<'t, T> {
    tables: &'t T,
    name: &'t str,
}

fn out_of_step() -> StorageError {
    StorageError::corrupted("the tables of an index of tags do not agree")
}

impl<'t, T: OwnTables> Tags<'t, T> {
    /// Those under a name.
    pub(crate) fn new(tables: &'t T, name: &'t str) -> Self {
        Self { tables, name }
    }

    /// The number of a tag, and how many things have it.
    fn number(&self, tag: &str) -> Result<Option<(u64, u64)>, StorageError> {
        let Some(numbers) = self.tables.table::<TagNumbers>(self.name)? else { return Ok(None) };
        Ok(numbers.get(tag)?.map(|found| found.value()))
    }

    /// How many things have a tag.
    pub(crate) fn count(&self, tag: &str) -> Result<u64, StorageError> {
        Ok(self.number(tag)?.map_or(0, |(_, things)| things))
    }

    /// At most so many tags behind that one, in order, each with how many things have it.
    pub(crate) fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<(String, u64)>, StorageError> {
        let Some(numbers) = self.tables.table::<TagNumbers>(self.name)? else { return Ok(Vec::new()) };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = numbers.range::<&str>((start, Bound::Unbounded))?.take(most);
        rows.map(|row| row.map(|(tag, found)| (tag.value().to_string(), found.value().1))).collect()
    }

    /// The tags of a thing, in order.
    pub(crate) fn of(&self, thing: &[u8]) -> Result<Vec<String>, StorageError> {
        let Some(names) = self.tables.table::<TagNames>(self.name)? else { return Ok(Vec::new()) };
        let name = |number: u64| Ok(names.get(number)?.ok_or_else(out_of_step)?.value().to_string());
        let mut tags: Vec<String> =
            self.numbers_of(thing)?.into_iter().map(name).collect::<Result<_, StorageError>>()?;
        tags.sort_unstable();
        Ok(tags)
    }

    fn numbers_of(&self, thing: &[u8]) -> Result<Vec<u64>, StorageError> {
        let Some(tags) = self.tables.table::<TagsOf>(self.name)? else { return Ok(Vec::new()) };
        let number = |key: &[u8]| key.last_chunk().map(|number| u64::from_be_bytes(*number)).ok_or_else(out_of_step);
        let start = thing_key(thing)?;
        tags.prefix(&start)?.map(|row| row.and_then(|(key, _)| number(key.value()))).collect()
    }

    /// At most so many things behind `after` that the query selects, in order.
    pub(crate) fn select(
        &self,
        query: &TagQuery,
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Vec<Vec<u8>>, StorageError> {
        let mut found = Vec::new();
        let Some(selection) = self.selection(query)? else { return Ok(found) };
        let Some(tagged) = self.tables.table::<Tagged>(self.name)? else { return Ok(found) };
        let mut last = after.map(<[u8]>::to_vec);
        while found.len() < most {
            let Some(thing) = self.candidate(&tagged, &selection, last.as_deref())? else { break };
            if self.is_selected(&tagged, &selection, &thing)? {
                found.push(thing.clone());
            }
            last = Some(thing);
        }
        Ok(found)
    }

    /// `None` if nothing can be selected.
    fn selection(&self, query: &TagQuery) -> Result<Option<Selection>, StorageError> {
        let numbers = |tags: &[String]| -> Result<Vec<(u64, u64)>, StorageError> {
            tags.iter().filter_map(|tag| self.number(tag).transpose()).collect()
        };
        let (mut all, any, none) = (numbers(&query.all)?, numbers(&query.any)?, numbers(&query.none)?);
        if all.len() < query.all.len() || (any.is_empty() && !query.any.is_empty()) || all.len() + any.len() == 0 {
            return Ok(None);
        }
        all.sort_unstable_by_key(|(_, things)| *things);
        let plain = |tags: Vec<(u64, u64)>| tags.into_iter().map(|(number, _)| number).collect();
        Ok(Some(Selection { all: plain(all), any: plain(any), none: plain(none) }))
    }

    /// The first thing behind `after` that the rarest of all tags has, or any of the others.
    fn candidate(
        &self,
        tagged: &T::Table<'_, Tagged>,
        selection: &Selection,
        after: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let lists =
            if selection.all.is_empty() { &selection.any[..] } else { selection.all.get(..1).unwrap_or_default() };
        let mut first: Option<Vec<u8>> = None;
        for number in lists {
            if let Some(thing) = self.first_behind(tagged, *number, after)?
                && first.as_ref().is_none_or(|first| thing < *first)
            {
                first = Some(thing);
            }
        }
        Ok(first)
    }

    fn first_behind(
        &self,
        tagged: &T::Table<'_, Tagged>,
        number: u64,
        after: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let start = tagged_key(number, after.unwrap_or_default());
        let start = if after.is_some() { Bound::Excluded(&start[..]) } else { Bound::Included(&start[..]) };
        let Some(row) = tagged.range::<&[u8]>((start, Bound::Unbounded))?.next().transpose()? else { return Ok(None) };
        let (of, thing) = row.0.value().split_first_chunk().ok_or_else(out_of_step)?;
        Ok((*of == number.to_be_bytes()).then(|| thing.to_vec()))
    }

    fn is_selected(
        &self,
        tagged: &T::Table<'_, Tagged>,
        selection: &Selection,
        thing: &[u8],
    ) -> Result<bool, StorageError> {
        let has =
            |number: &u64| -> Result<bool, StorageError> { Ok(tagged.get(&tagged_key(*number, thing)[..])?.is_some()) };
        let any = |numbers: &[u64]| -> Result<bool, StorageError> {
            numbers.iter().try_fold(false, |found, number| Ok(found || has(number)?))
        };
        for number in &selection.all {
            if !has(number)? {
                return Ok(false);
            }
        }
        Ok((selection.any.is_empty() || any(&selection.any)?) && !any(&selection.none)?)
    }
}

impl Tags<'_, WriteTransaction> {
    /// Gives a thing a tag, and says whether it did not have it.
    pub(crate) fn add(&self, thing: &[u8], tag: &str) -> Result<bool, StorageError> {
        let (number, things) = match self.number(tag)? {
            Some(known) => known,
            None => {
                let number = self.tables.take_number(TAGS)?;
                open::<TagNames>(self.tables, self.name)?.insert(number, tag)?;
                (number, 0)
            }
        };
        if open::<TagsOf>(self.tables, self.name)?.insert(&tag_key(thing, number)?[..], ())?.is_some() {
            return Ok(false);
        }
        open::<Tagged>(self.tables, self.name)?.insert(&tagged_key(number, thing)[..], ())?;
        open::<TagNumbers>(self.tables, self.name)?.insert(tag, (number, things + 1))?;
        Ok(true)
    }

    /// Takes a tag from a thing, and says whether it had it.
    pub(crate) fn remove(&self, thing: &[u8], tag: &str) -> Result<bool, StorageError> {
        let Some((number, things)) = self.number(tag)? else { return Ok(false) };
        if open::<TagsOf>(self.tables, self.name)?.remove(&tag_key(thing, number)?[..])?.is_none() {
            return Ok(false);
        }
        open::<Tagged>(self.tables, self.name)?.remove(&tagged_key(number, thing)[..])?.ok_or_else(out_of_step)?;
        match things.checked_sub(1).ok_or_else(out_of_step)? {
            0 => self.forget(tag, number)?,
            left => drop(open::<TagNumbers>(self.tables, self.name)?.insert(tag, (number, left))?),
        }
        Ok(true)
    }

    /// Takes all tags from a thing.
    pub(crate) fn clear(&self, thing: &[u8]) -> Result<(), StorageError> {
        self.of(thing)?.iter().try_for_each(|tag| self.remove(thing, tag).map(|_| ()))
    }

    fn forget(&self, tag: &str, number: u64) -> Result<(), StorageError> {
        open::<TagNumbers>(self.tables, self.name)?.remove(tag)?;
        open::<TagNames>(self.tables, self.name)?.remove(number)?;
        Ok(())
    }
}
