use super::postings::{Tokens, add, begin, info, number_of, remove};
use super::search::{TextHit, TextQuery, count, search};
use super::tables::{Postings, TermNumbers, Terms, TextInfos, TextNumbers, Texts};
use super::tokenizer::{Tokenizer, Words};
use crate::error::{IndexError, StorageError, TableError};
use crate::index::{OwnTables, delete, find, length_of, list, make};
use crate::txn::{ReadTransaction, WriteTransaction};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{Debug, Formatter};

/// Names an index of texts of things that are yours: rows of a table, say, by their keys, or blobs by their numbers.
///
/// ```
/// use sapwood::{Database, TextIndexDefinition, TextQuery, backends::InMemoryBackend};
///
/// const NOTES: TextIndexDefinition = TextIndexDefinition::new("notes");
/// let db = Database::builder().create_with_backend(InMemoryBackend::new())?;
/// let txn = db.begin_write()?;
/// let notes = txn.open_text_index(NOTES)?;
/// notes.put(b"1", "An oak has rings.")?;
/// notes.put(b"2", "Rings tell how old an oak is, and how wet a summer was.")?;
/// notes.put(b"3", "Birches have white bark.")?;
/// let found = notes.search(&TextQuery::new("Oak rings"))?;
/// assert_eq!(found.iter().map(|hit| &hit.thing[..]).collect::<Vec<_>>(), [b"1", b"2"]);
/// # Ok::<(), sapwood::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TextIndexDefinition<'a> {
    name: &'a str,
    tokenizer: &'a dyn Tokenizer,
}

impl<'a> TextIndexDefinition<'a> {
    /// The one of that name, at most [`MAX_NAME_LENGTH`](crate::limits::MAX_NAME_LENGTH) bytes, which takes texts apart into
    /// [`Words`].
    ///
    /// # Panics
    ///
    /// If `name` is empty.
    pub const fn new(name: &'a str) -> Self {
        assert!(!name.is_empty(), "an index's name must not be empty");
        Self { name, tokenizer: &Words }
    }

    /// The same with another tokenizer. An index keeps the name of the one that it was made with.
    #[must_use]
    pub const fn with_tokenizer(self, tokenizer: &'a dyn Tokenizer) -> Self {
        Self { tokenizer, ..self }
    }

    /// Its name.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    fn check(&self, stored: String) -> Result<(), TableError> {
        let wanted = self.tokenizer.name();
        if stored == wanted {
            return Ok(());
        }
        Err(TableError::TokenizerMismatch { index: self.name.to_string(), stored, wanted: wanted.to_string() })
    }
}

/// An index of texts. It knows things by ids of a [limited](crate::limits::MAX_THING_LENGTH) length, and of each the terms of
/// one text, not the text itself. Texts are found by words that they have, in the order of BM25, with its usual parameters: 1.2 and
/// 0.75.
pub struct TextIndex<'t, T: OwnTables> {
    tables: &'t T,
    name: String,
    tokenizer: &'t dyn Tokenizer,
}

impl<'t, T: OwnTables> TextIndex<'t, T> {
    fn new(tables: &'t T, definition: TextIndexDefinition<'t>) -> Self {
        Self { tables, name: definition.name.to_string(), tokenizer: definition.tokenizer }
    }

    /// How many things have a text.
    pub fn count(&self) -> Result<u64, IndexError> {
        let _held = self.tables.hold();
        Ok(count(self.tables, &self.name)?)
    }

    /// Whether a thing has a text.
    pub fn contains(&self, thing: &[u8]) -> Result<bool, IndexError> {
        let _held = self.tables.hold();
        Ok(number_of(self.tables, &self.name, thing)?.is_some())
    }

    /// The texts that go best with a query, the best first; of those that go as well, the one that was put in first.
    ///
    /// Takes time for each row of a term of the query and a text that has it.
    pub fn search(&self, query: &TextQuery) -> Result<Vec<TextHit>, IndexError> {
        self.search_among(query, |_| Ok(true))
    }

    /// The same of those things alone that `admits` says yes to. It is asked of those that would be given else, and must not use
    /// the index's transaction if that is a write transaction.
    pub fn search_among(
        &self,
        query: &TextQuery,
        admits: impl FnMut(&[u8]) -> Result<bool, StorageError>,
    ) -> Result<Vec<TextHit>, IndexError> {
        let _held = self.tables.hold();
        Ok(search(self.tables, &self.name, self.tokenizer, query, admits)?)
    }
}

impl TextIndex<'_, WriteTransaction> {
    /// Gives a thing a text, instead of the one that it had, and says whether it had one. Tokens of more than
    /// [`MAX_TERM_LENGTH`](crate::limits::MAX_TERM_LENGTH) bytes are left out: nothing is found by them.
    ///
    /// # Errors
    ///
    /// `ValueTooLarge` for an id over its [limit](crate::limits::MAX_THING_LENGTH). If the storage fails half-way, the transaction
    /// can only be aborted.
    pub fn put(&self, thing: &[u8], text: &str) -> Result<bool, IndexError> {
        length_of(thing)?;
        let tokens = Tokens::of(self.tokenizer, text);
        let _held = self.tables.hold();
        let put = || {
            begin(self.tables, &self.name, self.tokenizer.name())?;
            let had = remove(self.tables, &self.name, thing)?;
            add(self.tables, &self.name, thing, &tokens)?;
            Ok(had)
        };
        Ok(self.tables.or_break(put())?)
    }

    /// Takes a thing's text away, and says whether it had one.
    ///
    /// If the storage fails half-way, the transaction can only be aborted.
    pub fn remove(&self, thing: &[u8]) -> Result<bool, IndexError> {
        length_of(thing)?;
        let _held = self.tables.hold();
        Ok(self.tables.or_break(remove(self.tables, &self.name, thing))?)
    }
}

impl<T: OwnTables> Debug for TextIndex<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TextIndex").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ReadTransaction {
    /// Opens an index of texts.
    ///
    /// # Errors
    ///
    /// [`TableDoesNotExist`](TableError::TableDoesNotExist) if there is none of that name;
    /// [`TokenizerMismatch`](TableError::TokenizerMismatch) if it was made with another tokenizer.
    pub fn open_text_index<'t>(
        &'t self,
        definition: TextIndexDefinition<'t>,
    ) -> Result<TextIndex<'t, Self>, TableError> {
        find::<TextInfos>(self, definition.name)?;
        let stored = info(self, definition.name)?.map_or_else(String::new, |(tokenizer, _)| tokenizer);
        definition.check(stored)?;
        Ok(TextIndex::new(self, definition))
    }

    /// The names of the indexes of texts that there are, in their order.
    pub fn list_text_indexes(&self) -> Result<Vec<String>, StorageError> {
        list::<TextInfos>(self)
    }
}

impl WriteTransaction {
    /// Opens an index of texts, making it if there is none of that name. It may be open any number of times.
    ///
    /// # Errors
    ///
    /// [`TokenizerMismatch`](TableError::TokenizerMismatch) if it was made with another tokenizer.
    pub fn open_text_index<'t>(
        &'t self,
        definition: TextIndexDefinition<'t>,
    ) -> Result<TextIndex<'t, Self>, TableError> {
        let name = definition.name;
        make::<TextInfos>(self, name)?;
        let _held = self.hold();
        begin(self, name, definition.tokenizer.name())?.map_or(Ok(()), |stored| definition.check(stored))?;
        Ok(TextIndex::new(self, definition))
    }

    /// The names of the indexes of texts that there are, in their order, those made by this transaction included.
    pub fn list_text_indexes(&self) -> Result<Vec<String>, StorageError> {
        list::<TextInfos>(self)
    }

    /// Deletes an index of texts, and says whether there was one. If it is open, it is empty from then on.
    ///
    /// If the storage fails half-way, the transaction can only be aborted.
    pub fn delete_text_index(&self, definition: TextIndexDefinition<'_>) -> Result<bool, StorageError> {
        let name = definition.name;
        let _held = self.hold();
        let deleted = || {
            delete::<TermNumbers>(self, name)?;
            delete::<Terms>(self, name)?;
            delete::<Postings>(self, name)?;
            delete::<Texts>(self, name)?;
            delete::<TextNumbers>(self, name)?;
            delete::<TextInfos>(self, name)
        };
        self.or_break(deleted())
    }
}
