//! Full text: things are found by the words of a text that is theirs.

mod check;
mod own;
mod postings;
mod search;
mod tables;
mod tokenizer;

pub(crate) use check::check;
pub use own::{TextIndex, TextIndexDefinition};
pub use search::{TextHit, TextQuery};
pub use tokenizer::{Tokenizer, Words};
