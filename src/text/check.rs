//! Whether the tables of text indexes say the same.

use super::postings::info;
use super::tables::{Postings, TermNumbers, Terms, TextInfos, TextNumbers, Texts, posting_key};
use crate::error::StorageError;
use crate::index::{Hear, OwnTables, Rows, Shown, list};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;

/// Compares the tables of all text indexes.
pub(crate) fn check(tables: &impl OwnTables, hear: &mut Hear<'_>) -> Result<(), StorageError> {
    let names = [
        list::<TermNumbers>(tables)?,
        list::<Terms>(tables)?,
        list::<Postings>(tables)?,
        list::<Texts>(tables)?,
        list::<TextNumbers>(tables)?,
        list::<TextInfos>(tables)?,
    ];
    for name in names.into_iter().flatten().collect::<BTreeSet<String>>() {
        TextTables::open(tables, &name).and_then(|tables| tables.check(hear)).or_else(&mut *hear)?;
    }
    Ok(())
}

struct TextTables<'t, T: OwnTables + 't> {
    name: &'t str,
    /// Tokens that all texts are said to have.
    tokens: u64,
    numbers: Rows<'t, T, TermNumbers>,
    terms: Rows<'t, T, Terms>,
    postings: Rows<'t, T, Postings>,
    texts: Rows<'t, T, Texts>,
    things: Rows<'t, T, TextNumbers>,
}

impl<'t, T: OwnTables> TextTables<'t, T> {
    fn open(tables: &'t T, name: &'t str) -> Result<Self, StorageError> {
        Ok(Self {
            name,
            tokens: info(tables, name)?.map_or(0, |(_, tokens)| tokens),
            numbers: Rows::open(tables, name)?,
            terms: Rows::open(tables, name)?,
            postings: Rows::open(tables, name)?,
            texts: Rows::open(tables, name)?,
            things: Rows::open(tables, name)?,
        })
    }

    fn fault(&self, what: &str, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        hear(StorageError::corrupted(format!("texts of {}: {what}", Shown(self.name.as_bytes()))))
    }

    fn check(&self, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        self.check_terms(hear)?;
        self.check_texts(hear)
    }

    fn check_terms(&self, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        for row in self.terms.iter()? {
            let (number, row) = row?;
            let (number, (texts, term)) = (number.value(), row.value());
            let shown = Shown(term.as_bytes());
            if self.numbers.get(term)?.is_none_or(|known| known.value() != number) {
                self.fault(&format!("{shown} does not lead to its number, {number}"), hear)?;
            }
            let found = self.postings.count(posting_key(number, 0)..=posting_key(number, u64::MAX))?;
            if found != texts {
                self.fault(&format!("{shown} is said to be in {texts} texts, and is in {found}"), hear)?;
            }
        }
        let (numbers, terms) = (self.numbers.len()?, self.terms.len()?);
        if numbers == terms { Ok(()) } else { self.fault(&format!("{terms} terms have {numbers} numbers"), hear) }
    }

    fn check_texts(&self, hear: &mut Hear<'_>) -> Result<(), StorageError> {
        let (mut postings, mut tokens) = (0, 0_u64);
        for row in self.texts.iter()? {
            let (text, row) = row?;
            let (text, (thing, count, terms)) = (text.value(), row.value());
            if self.things.get(thing)?.is_none_or(|known| known.value() != text) {
                self.fault(&format!("{} does not lead to its text, {text}", Shown(thing)), hear)?;
            }
            for term in &terms {
                if self.postings.get(posting_key(*term, text))?.is_none_or(|row| row.value().1 != count) {
                    self.fault(&format!("the text {text} is not among those of its term {term}"), hear)?;
                }
            }
            postings += terms.len() as u64;
            tokens = tokens.saturating_add(count.into());
        }
        for (what, said, found) in [
            ("things", self.things.len()?, self.texts.len()?),
            ("rows of terms", self.postings.len()?, postings),
            ("tokens", self.tokens, tokens),
        ] {
            if said != found {
                self.fault(&format!("there are {said} {what}, and texts have {found}"), hear)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::InMemoryBackend;
    use crate::index::open;
    use crate::txn::WriteTransaction;
    use crate::{Database, TextIndexDefinition, TextQuery, VerifyLevel};
    use alloc::string::ToString;
    use alloc::vec::Vec;

    const NAME: &str = "texts";

    type Row = fn(&WriteTransaction) -> Result<(), StorageError>;

    fn findings(change: Row) -> Vec<String> {
        let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let txn = db.begin_write().unwrap();
        let index = txn.open_text_index(TextIndexDefinition::new(NAME)).unwrap();
        index.put(b"x", "oak elm oak").unwrap();
        index.put(b"y", "oak").unwrap();
        let held = txn.hold();
        change(&txn).unwrap();
        drop(held);
        // Whatever it finds, it comes to an end.
        let _ = index.search(&TextQuery::new("oak elm"));
        txn.commit().unwrap();
        let report = db.verify_integrity(VerifyLevel::Rows).unwrap();
        report.findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_row_that_others_must_go_with_is_missed() {
        let cases: [(Row, &[&str]); 8] = [
            (|_| Ok(()), &[]),
            (
                |txn| open::<TermNumbers>(txn, NAME)?.remove("elm").map(drop),
                &["texts of 'texts': 'elm' does not lead to its number, 1", "texts of 'texts': 2 terms have 1 numbers"],
            ),
            (
                |txn| open::<Terms>(txn, NAME)?.insert(2, (3, "oak")).map(drop),
                &["texts of 'texts': 'oak' is said to be in 3 texts, and is in 2"],
            ),
            (
                |txn| open::<Postings>(txn, NAME)?.insert(posting_key(1, 2), (1, 1)).map(drop),
                &[
                    "texts of 'texts': 'elm' is said to be in 1 texts, and is in 2",
                    "texts of 'texts': there are 4 rows of terms, and texts have 3",
                ],
            ),
            (
                |txn| open::<Postings>(txn, NAME)?.insert(posting_key(2, 2), (1, 2)).map(drop),
                &["texts of 'texts': the text 2 is not among those of its term 2"],
            ),
            (
                |txn| open::<TextNumbers>(txn, NAME)?.insert(&b"y"[..], 1).map(drop),
                &["texts of 'texts': 'y' does not lead to its text, 2"],
            ),
            (
                |txn| open::<TextNumbers>(txn, NAME)?.insert(&b"z"[..], 2).map(drop),
                &["texts of 'texts': there are 3 things, and texts have 2"],
            ),
            (
                |txn| open::<TextInfos>(txn, NAME)?.insert((), ("words", 5)).map(drop),
                &["texts of 'texts': there are 5 tokens, and texts have 4"],
            ),
        ];
        for (change, expected) in cases {
            assert_eq!(findings(change), expected);
        }
    }
}
