//! The tables that a text index is.

use crate::index::Part;
use crate::txn::Space;

/// From a term to its number.
#[derive(Debug)]
pub enum TermNumbers {}

impl Part for TermNumbers {
    type Key = &'static str;
    type Value = u64;
    const SPACE: Space = Space::TermNumbers;
}

/// From the number of a term to how many texts have it, and the term.
#[derive(Debug)]
pub enum Terms {}

impl Part for Terms {
    type Key = u64;
    type Value = (u64, &'static str);
    const SPACE: Space = Space::Terms;
}

/// The number of a term and that of a text that has it, to how often it does, and how many tokens the text has.
#[derive(Debug)]
pub enum Postings {}

impl Part for Postings {
    type Key = PostingKey;
    type Value = (u32, u32);
    const SPACE: Space = Space::Postings;
}

/// Both numbers, big-endian.
pub(super) type PostingKey = [u8; 16];

pub(super) fn posting_key(term: u64, text: u64) -> PostingKey {
    (u128::from(term) << 64 | u128::from(text)).to_be_bytes()
}

/// The number of the text that such a key says.
pub(super) fn text_of(key: PostingKey) -> u64 {
    u128::from_be_bytes(key) as u64
}

/// The thing that a text is of, how many tokens it has, and the numbers of its terms, ascending.
#[derive(Debug)]
pub enum Texts {}

impl Part for Texts {
    type Key = u64;
    type Value = (&'static [u8], u32, alloc::vec::Vec<u64>);
    const SPACE: Space = Space::Texts;
}

/// From a thing to the number of its text.
#[derive(Debug)]
pub enum TextNumbers {}

impl Part for TextNumbers {
    type Key = &'static [u8];
    type Value = u64;
    const SPACE: Space = Space::TextNumbers;
}

/// Tokens that all texts have together, behind the name of the tokenizer.
#[derive(Debug)]
pub enum TextInfos {}

impl Part for TextInfos {
    type Key = ();
    type Value = (&'static str, u64);
    const SPACE: Space = Space::TextInfos;
}
