//! Scoring by BM25: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.

use super::postings::{Tokens, info, out_of_step};
use super::tables::{PostingKey, Postings, TermNumbers, Terms, TextNumbers, Texts, posting_key, text_of};
use super::tokenizer::Tokenizer;
use crate::error::StorageError;
use crate::index::OwnTables;
use crate::math::ln;
use crate::table::{Range, ReadableTable, ReadableTableMetadata};
use alloc::collections::BinaryHeap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::{Ordering, Reverse};

/// How much of a term's frequency counts: the more often a text has it, the less is added.
const SATURATION: f64 = 1.2;
/// How much a long text counts less than a short one.
const LENGTH_SHARE: f64 = 0.75;

/// What is asked of a text index.
///
/// ```
/// use sapwood::TextQuery;
///
/// let query = TextQuery::new("rings of an oak").with_all_terms(true).with_limit(20);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextQuery {
    text: String,
    all_terms: bool,
    limit: usize,
}

impl TextQuery {
    /// Asks for the ten texts that go best with this one: those that have any of its terms.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_string(), all_terms: false, limit: 10 }
    }

    /// Whether a text must have all terms, or any of them.
    #[must_use]
    pub fn with_all_terms(self, all_terms: bool) -> Self {
        Self { all_terms, ..self }
    }

    /// How many texts are given at most.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }
}

/// A text that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct TextHit {
    /// The thing that the text is of.
    pub thing: Vec<u8>,
    /// How well it goes with the query: more than 0, and the more the better. Of different queries scores do not compare.
    pub score: f64,
}

/// A score, and the number of the text that has it: the greatest first, and the first text of those that are the same.
#[derive(PartialEq)]
struct Scored(f64, Reverse<u64>);

impl Eq for Scored {}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0).then_with(|| self.1.cmp(&other.1))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The texts of a term, in the order of their numbers.
struct List<'l> {
    rows: Range<'l, PostingKey, (u32, u32)>,
    /// The next text, how often it has the term, and its tokens.
    next: Option<(u64, u32, u32)>,
    weight: f64,
}

impl List<'_> {
    fn advance(&mut self) -> Result<(), StorageError> {
        let next = self.rows.next().transpose()?;
        self.next = next.map(|(key, row)| (text_of(key.value()), row.value().0, row.value().1));
        Ok(())
    }
}

/// Finds the texts that go best with a query, of those whose thing is admitted.
pub(super) fn search(
    tables: &impl OwnTables,
    name: &str,
    tokenizer: &dyn Tokenizer,
    query: &TextQuery,
    mut admits: impl FnMut(&[u8]) -> Result<bool, StorageError>,
) -> Result<Vec<TextHit>, StorageError> {
    let Some(postings) = tables.table::<Postings>(name)? else { return Ok(Vec::new()) };
    let Some(texts) = tables.table::<Texts>(name)? else { return Ok(Vec::new()) };
    let terms = weigh(tables, name, &Tokens::of(tokenizer, &query.text))?;
    let wanted = if query.all_terms { terms.len() } else { 1 };
    if terms.iter().any(Option::is_none) && query.all_terms {
        return Ok(Vec::new());
    }
    let mut lists = Vec::new();
    for (number, weight) in terms.into_iter().flatten() {
        let rows = postings.range::<PostingKey>(posting_key(number, 0)..=posting_key(number, u64::MAX))?;
        let mut list = List { rows, next: None, weight };
        list.advance()?;
        lists.push(list);
    }
    let average = average_length(tables, name)?;
    let thing_of = |text| Ok::<_, StorageError>(texts.get(text)?.ok_or_else(out_of_step)?.value().0.to_vec());
    let mut best = BinaryHeap::new();
    while let Some(text) = lists.iter().filter_map(|list| list.next).map(|next| next.0).min() {
        let (score, terms) = score(&mut lists, text, average)?;
        let scored = Reverse(Scored(score, Reverse(text)));
        let is_better = best.len() < query.limit || best.peek().is_some_and(|worst| scored < *worst);
        if terms < wanted || !is_better || !admits(&thing_of(text)?)? {
            continue;
        }
        best.push(scored);
        if best.len() > query.limit {
            best.pop();
        }
    }
    let hit = |Reverse(Scored(score, Reverse(text)))| Ok(TextHit { thing: thing_of(text)?, score });
    best.into_sorted_vec().into_iter().map(hit).collect()
}

/// The number and the weight of each term of a query; `None` for those that no text has.
fn weigh(tables: &impl OwnTables, name: &str, tokens: &Tokens) -> Result<Vec<Option<(u64, f64)>>, StorageError> {
    let (Some(numbers), Some(terms)) = (tables.table::<TermNumbers>(name)?, tables.table::<Terms>(name)?) else {
        return Ok(tokens.terms.keys().map(|_| None).collect());
    };
    let all = count(tables, name)? as f64;
    let weigh = |(term, frequency): (&String, &u32)| {
        let Some(number) = numbers.get(&**term)?.map(|number| number.value()) else { return Ok(None) };
        let texts = terms.get(number)?.ok_or_else(out_of_step)?.value().0 as f64;
        let rarity = ln(1.0 + (all - texts + 0.5).max(0.5) / (texts + 0.5));
        Ok(Some((number, rarity * f64::from(*frequency))))
    };
    tokens.terms.iter().map(weigh).collect()
}

/// How many texts there are.
pub(super) fn count(tables: &impl OwnTables, name: &str) -> Result<u64, StorageError> {
    tables.table::<TextNumbers>(name)?.map_or(Ok(0), |numbers| numbers.len())
}

fn average_length(tables: &impl OwnTables, name: &str) -> Result<f64, StorageError> {
    let tokens = info(tables, name)?.map_or(0, |(_, tokens)| tokens);
    Ok((tokens as f64 / count(tables, name)?.max(1) as f64).max(1.0))
}

/// The score of a text, and how many terms it has. The lists go on behind it.
fn score(lists: &mut [List<'_>], text: u64, average: f64) -> Result<(f64, usize), StorageError> {
    let (mut score, mut terms) = (0.0, 0);
    for list in lists {
        let Some((_, frequency, length)) = list.next.filter(|next| next.0 == text) else { continue };
        let (frequency, length) = (f64::from(frequency), f64::from(length));
        let damping = SATURATION * (1.0 - LENGTH_SHARE + LENGTH_SHARE * length / average);
        score += list.weight * frequency * (SATURATION + 1.0) / (frequency + damping);
        terms += 1;
        list.advance()?;
    }
    Ok((score, terms))
}
