use super::own::{check_text, definition, find, list, make};
use super::tables::{OwnTables, delete, length_of};
use super::tags::{TagNames, TagNumbers, TagQuery, Tagged, Tags, TagsOf};
use crate::error::{IndexError, StorageError, TableError};
use crate::limits::MAX_TAG_LENGTH;
use crate::txn::{ReadTransaction, WriteTransaction};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{Debug, Formatter};

definition! {
    /// Names an index of tags of things that are yours: rows of a table, say, by their keys.
    ///
    /// ```
    /// use sapwood::{Database, TableDefinition, TagIndexDefinition, TagQuery, backends::InMemoryBackend};
    ///
    /// const TREES: TableDefinition<&str, u64> = TableDefinition::new("trees");
    /// const KINDS: TagIndexDefinition = TagIndexDefinition::new("kinds of trees");
    /// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// txn.open_table(TREES)?.insert("oak", 300)?;
    /// let kinds = txn.open_tag_index(KINDS)?;
    /// kinds.add(b"oak", "broadleaf")?;
    /// assert_eq!(kinds.select(&TagQuery::new().all_of(["broadleaf"]), None, 10)?, [b"oak"]);
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    TagIndexDefinition
}

/// An index of tags that is yours. It knows things by ids of a [limited](crate::limits::MAX_THING_LENGTH) length, and
/// of them only their tags: who removes a thing [clears](Self::clear) its tags.
pub struct TagIndex<'t, T: OwnTables> {
    tables: &'t T,
    name: String,
}

impl<'t, T: OwnTables> TagIndex<'t, T> {
    fn new(tables: &'t T, definition: TagIndexDefinition<'_>) -> Self {
        Self { tables, name: definition.name.to_string() }
    }

    fn tags(&self) -> Tags<'_, T> {
        Tags::new(self.tables, &self.name)
    }

    /// The tags of a thing, in order.
    pub fn tags_of(&self, thing: &[u8]) -> Result<Vec<String>, IndexError> {
        let _held = self.tables.hold();
        Ok(self.tags().of(thing)?)
    }

    /// How many things have a tag.
    pub fn count(&self, tag: &str) -> Result<u64, IndexError> {
        let _held = self.tables.hold();
        Ok(self.tags().count(tag)?)
    }

    /// At most so many tags behind that one, in order, each with how many things have it.
    pub fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<(String, u64)>, IndexError> {
        let _held = self.tables.hold();
        Ok(self.tags().list(after, most)?)
    }

    /// At most so many things behind that one that the query selects, in the order of their bytes.
    pub fn select(&self, query: &TagQuery, after: Option<&[u8]>, most: usize) -> Result<Vec<Vec<u8>>, IndexError> {
        let _held = self.tables.hold();
        Ok(self.tags().select(query, after, most)?)
    }
}

impl TagIndex<'_, WriteTransaction> {
    /// Gives a thing a tag, and says whether it did not have it.
    ///
    /// # Errors
    ///
    /// [`TooLong`](IndexError::TooLong) for a tag of more than [`MAX_TAG_LENGTH`] bytes; `ValueTooLarge` for an id over
    /// its [limit](crate::limits::MAX_THING_LENGTH). If the storage fails half-way, the transaction can only be aborted.
    pub fn add(&self, thing: &[u8], tag: &str) -> Result<bool, IndexError> {
        check_text("tag", tag, MAX_TAG_LENGTH)?;
        length_of(thing)?;
        let _held = self.tables.hold();
        Ok(self.tables.or_break(self.tags().add(thing, tag))?)
    }

    /// Takes a tag from a thing, and says whether it had it.
    ///
    /// If the storage fails half-way, the transaction can only be aborted.
    pub fn remove(&self, thing: &[u8], tag: &str) -> Result<bool, IndexError> {
        length_of(thing)?;
        let _held = self.tables.hold();
        Ok(self.tables.or_break(self.tags().remove(thing, tag))?)
    }

    /// Takes all tags from a thing.
    ///
    /// If the storage fails half-way, the transaction can only be aborted.
    pub fn clear(&self, thing: &[u8]) -> Result<(), IndexError> {
        length_of(thing)?;
        let _held = self.tables.hold();
        Ok(self.tables.or_break(self.tags().clear(thing))?)
    }
}

impl<T: OwnTables> Debug for TagIndex<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TagIndex").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ReadTransaction {
    /// Opens an index of tags.
    ///
    /// # Errors
    ///
    /// [`TableDoesNotExist`](TableError::TableDoesNotExist) if there is none of that name.
    pub fn open_tag_index(&self, definition: TagIndexDefinition<'_>) -> Result<TagIndex<'_, Self>, TableError> {
        find::<TagsOf>(self, definition.name)?;
        Ok(TagIndex::new(self, definition))
    }

    /// The names of the indexes of tags that there are, in their order; that of blobs has none.
    pub fn list_tag_indexes(&self) -> Result<Vec<String>, StorageError> {
        list::<TagsOf>(self)
    }
}

impl WriteTransaction {
    /// Opens an index of tags, making it if there is none of that name. It may be open any number of times.
    pub fn open_tag_index(&self, definition: TagIndexDefinition<'_>) -> Result<TagIndex<'_, Self>, TableError> {
        make::<TagsOf>(self, definition.name)?;
        Ok(TagIndex::new(self, definition))
    }

    /// The names of the indexes of tags that there are, in their order, those made by this transaction included; that of
    /// blobs has none.
    ///
    /// ```
    /// # use sapwood::{Database, TagIndexDefinition, backends::InMemoryBackend};
    /// # let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
    /// let txn = db.begin_write()?;
    /// txn.open_tag_index(TagIndexDefinition::new("kinds"))?;
    /// for name in txn.list_tag_indexes()? {
    ///     assert!(txn.delete_tag_index(TagIndexDefinition::new(&name))?);
    /// }
    /// # Ok::<(), sapwood::Error>(())
    /// ```
    pub fn list_tag_indexes(&self) -> Result<Vec<String>, StorageError> {
        list::<TagsOf>(self)
    }

    /// Deletes an index of tags, and says whether there was one. If it is open, it is empty from then on.
    ///
    /// If the storage fails half-way, the transaction can only be aborted.
    pub fn delete_tag_index(&self, definition: TagIndexDefinition<'_>) -> Result<bool, StorageError> {
        let name = definition.name;
        let _held = self.hold();
        let deleted = || {
            delete::<TagNumbers>(self, name)?;
            delete::<TagNames>(self, name)?;
            delete::<Tagged>(self, name)?;
            delete::<TagsOf>(self, name)
        };
        self.or_break(deleted())
    }
}
