//! Which texts have which terms. One row for each term of a text, which says all that a score needs, so that a search reads nothing
//! else; new texts have greater numbers, so that a row goes behind those that its term has.

use super::tables::{Postings, TermNumbers, Terms, TextInfos, TextNumbers, Texts, posting_key};
use super::tokenizer::Tokenizer;
use crate::error::StorageError;
use crate::index::{OpenPart, OwnTables, open};
use crate::limits::MAX_TERM_LENGTH;
use crate::table::ReadableTable;
use crate::txn::WriteTransaction;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The counters of terms and of texts.
const TERMS: &str = "terms";
const TEXTS: &str = "texts";

pub(super) fn out_of_step() -> StorageError {
    StorageError::corrupted("the tables of a text index do not agree")
}

/// The terms of a text, each with how often it has it, and how many tokens it has.
pub(super) struct Tokens {
    pub(super) terms: BTreeMap<String, u32>,
    pub(super) count: u32,
}

impl Tokens {
    pub(super) fn of(tokenizer: &dyn Tokenizer, text: &str) -> Self {
        let mut tokens = Self { terms: BTreeMap::new(), count: 0 };
        tokenizer.tokens(text, &mut |token| tokens.take(token));
        tokens
    }

    fn take(&mut self, token: &str) {
        if token.is_empty() || token.len() > MAX_TERM_LENGTH {
            return;
        }
        self.count = self.count.saturating_add(1);
        match self.terms.get_mut(token) {
            Some(frequency) => *frequency = frequency.saturating_add(1),
            None => drop(self.terms.insert(token.to_string(), 1)),
        }
    }
}

/// The number of the text that a thing has.
pub(super) fn number_of(tables: &impl OwnTables, name: &str, thing: &[u8]) -> Result<Option<u64>, StorageError> {
    let Some(numbers) = tables.table::<TextNumbers>(name)? else { return Ok(None) };
    Ok(numbers.get(thing)?.map(|number| number.value()))
}

/// The tables in which a change of a text changes a row for each term.
struct Lists<'t> {
    txn: &'t WriteTransaction,
    numbers: OpenPart<'t, TermNumbers>,
    terms: OpenPart<'t, Terms>,
    postings: OpenPart<'t, Postings>,
}

impl<'t> Lists<'t> {
    fn open(txn: &'t WriteTransaction, name: &str) -> Result<Self, StorageError> {
        let (numbers, terms) = (open::<TermNumbers>(txn, name)?, open::<Terms>(txn, name)?);
        Ok(Self { txn, numbers, terms, postings: open::<Postings>(txn, name)? })
    }

    /// Adds a text to those of a term, and gives the number of that.
    fn enter(&mut self, term: &str, text: u64, posting: (u32, u32)) -> Result<u64, StorageError> {
        let known = self.numbers.get(term)?.map(|number| number.value());
        let (number, texts) = match known {
            Some(number) => (number, self.terms.get(number)?.ok_or_else(out_of_step)?.value().0),
            None => (self.txn.take_number(TERMS)?, 0),
        };
        if known.is_none() {
            self.numbers.insert(term, number)?;
        }
        self.terms.insert(number, (texts.checked_add(1).ok_or_else(out_of_step)?, term))?;
        self.postings.insert(posting_key(number, text), posting)?;
        Ok(number)
    }

    /// Takes a text from those of a term. A term that none has goes.
    fn leave(&mut self, number: u64, text: u64) -> Result<(), StorageError> {
        self.postings.remove(posting_key(number, text))?.ok_or_else(out_of_step)?;
        let row = self.terms.remove(number)?.map(|row| (row.value().0, row.value().1.to_string()));
        let (texts, term) = row.ok_or_else(out_of_step)?;
        match texts.checked_sub(1).ok_or_else(out_of_step)? {
            0 => self.numbers.remove(&*term)?.map(drop).ok_or_else(out_of_step),
            texts => self.terms.insert(number, (texts, &*term)).map(drop),
        }
    }
}

/// Gives a thing that has none a text.
pub(super) fn add(txn: &WriteTransaction, name: &str, thing: &[u8], tokens: &Tokens) -> Result<(), StorageError> {
    let text = txn.take_number(TEXTS)?;
    let mut lists = Lists::open(txn, name)?;
    let enter = |(term, frequency): (&String, &u32)| lists.enter(term, text, (*frequency, tokens.count));
    let mut terms = tokens.terms.iter().map(enter).collect::<Result<Vec<_>, _>>()?;
    terms.sort_unstable();
    open::<Texts>(txn, name)?.insert(text, (thing, tokens.count, terms))?;
    open::<TextNumbers>(txn, name)?.insert(thing, text)?;
    change_total(txn, name, 0, tokens.count)
}

/// Takes a thing's text away, and says whether it had one.
pub(super) fn remove(txn: &WriteTransaction, name: &str, thing: &[u8]) -> Result<bool, StorageError> {
    let removed = open::<TextNumbers>(txn, name)?.remove(thing)?.map(|number| number.value());
    let Some(text) = removed else { return Ok(false) };
    let row = open::<Texts>(txn, name)?.remove(text)?.map(|row| (row.value().1, row.value().2));
    let (count, terms) = row.ok_or_else(out_of_step)?;
    let mut lists = Lists::open(txn, name)?;
    terms.into_iter().try_for_each(|number| lists.leave(number, text))?;
    change_total(txn, name, count, 0)?;
    Ok(true)
}

/// Has the tables of an index say how it takes texts apart, and gives the name of the tokenizer that they said before.
pub(super) fn begin(txn: &WriteTransaction, name: &str, tokenizer: &str) -> Result<Option<String>, StorageError> {
    let known = info(txn, name)?.map(|(known, _)| known);
    if known.is_none() {
        open::<TextInfos>(txn, name)?.insert((), (tokenizer, 0))?;
    }
    Ok(known)
}

/// What is known of all texts: the name of the tokenizer, and how many tokens they have.
pub(super) fn info(tables: &impl OwnTables, name: &str) -> Result<Option<(String, u64)>, StorageError> {
    let Some(infos) = tables.table::<TextInfos>(name)? else { return Ok(None) };
    Ok(infos.get(())?.map(|info| (info.value().0.to_string(), info.value().1)))
}

fn change_total(txn: &WriteTransaction, name: &str, less: u32, more: u32) -> Result<(), StorageError> {
    let (tokenizer, total) = info(txn, name)?.ok_or_else(out_of_step)?;
    let total =
        total.checked_sub(less.into()).and_then(|rest| rest.checked_add(more.into())).ok_or_else(out_of_step)?;
    open::<TextInfos>(txn, name)?.insert((), (&*tokenizer, total)).map(drop)
}
