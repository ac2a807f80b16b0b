//! What the database must hold: the states of all commits, and when they were started and acknowledged.

use crate::common::blobs::{Blobs, blobs_of};
use crate::common::clock::Hand;
use sapwood::{
    Clock, Database, MergeOperator, MultimapTableDefinition, ReadTransaction, ReadableDatabase, ReadableMultimapTable,
    ReadableTable, ReadableTtlTable, TableDefinition, TableError, TtlTableDefinition, WriteTransaction, merge_fn,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub const NUMBERS: [TableDefinition<u64, &[u8]>; 2] =
    [TableDefinition::new("first").with_merge(JOINED), TableDefinition::new("second").with_merge(JOINED)];
/// A name that a table has between two renamings.
pub const SPARE: TableDefinition<u64, &[u8]> = TableDefinition::new("spare");
pub const WORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("words");

pub const TAGS: MultimapTableDefinition<u64, &[u8]> = MultimapTableDefinition::new("tags");

/// Rows that expire.
pub const FADING: TtlTableDefinition<u64, &[u8]> = TtlTableDefinition::new("fading");
/// Stands for the time of a row that does not.
pub const NEVER: u64 = u64::MAX;

/// The name of the operator that the tables of numbers have.
pub const JOINED: &str = "joined";
/// Most bytes of a value that it makes.
const MOST_JOINED: usize = 3_000;

/// Puts the operand before the value, and cuts off what is too much; now and then it removes the row.
pub fn joined() -> impl MergeOperator {
    merge_fn(|_, old, operand| {
        let mut whole = [operand, old.unwrap_or_default()].concat();
        whole.truncate(MOST_JOINED);
        (whole.len() % 16 != 5).then_some(whole)
    })
}

pub type Bytes = Arc<[u8]>;

/// The rows of all tables, and what the persistent savepoints hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    pub numbers: [BTreeMap<u64, Bytes>; 2],
    pub words: BTreeMap<Arc<str>, Bytes>,
    pub tags: BTreeMap<u64, BTreeSet<Bytes>>,
    /// Each with the millisecond in which it expires.
    pub fading: BTreeMap<u64, (Bytes, u64)>,
    pub blobs: Blobs,
    pub savepoints: BTreeMap<u64, Arc<Model>>,
}

impl Model {
    /// The rows that `txn` sees.
    pub fn read(txn: &ReadTransaction) -> Result<Self, String> {
        let mut model = Self::default();
        for (definition, rows) in NUMBERS.iter().zip(&mut model.numbers) {
            if let Some(table) = opened(txn.open_table(*definition))? {
                *rows = numbers_of(&table)?;
            }
        }
        if let Some(table) = opened(txn.open_table(WORDS))? {
            model.words = words_of(&table)?;
        }
        if let Some(table) = opened(txn.open_multimap_table(TAGS))? {
            model.tags = tags_of(&table)?;
        }
        if let Some(table) = opened(txn.open_ttl_table(FADING))? {
            model.fading = fading_of(&table)?;
        }
        model.blobs = blobs_of(txn)?;
        Ok(model)
    }

    /// The rows that `txn` sees, which may make tables that it lacks.
    fn read_changed(txn: &WriteTransaction) -> Result<Self, String> {
        let mut model = Self::default();
        for (definition, rows) in NUMBERS.iter().zip(&mut model.numbers) {
            *rows = numbers_of(&txn.open_table(*definition).map_err(text)?)?;
        }
        model.words = words_of(&txn.open_table(WORDS).map_err(text)?)?;
        model.tags = tags_of(&txn.open_multimap_table(TAGS).map_err(text)?)?;
        model.fading = fading_of(&txn.open_ttl_table(FADING).map_err(text)?)?;
        model.blobs = blobs_of(txn)?;
        Ok(model)
    }

    /// All that is in the database, whether it has expired or not; but what has must not be seen.
    pub fn of(db: &Database, clock: &Hand) -> Result<Self, String> {
        let now = clock.now_ms();
        clock.set(0);
        let all = Self::stored(db);
        clock.set(now);
        let all = all?;
        let txn = db.begin_read().map_err(text)?;
        let seen = opened(txn.open_ttl_table(FADING))?.map_or(Ok(BTreeMap::new()), |table| fading_of(&table))?;
        if seen == all.seen_at(now).fading { Ok(all) } else { Err(format!("at {now} other rows are seen")) }
    }

    fn stored(db: &Database) -> Result<Self, String> {
        let mut model = Self::read(&db.begin_read().map_err(text)?)?;
        let mut txn = db.begin_write().map_err(text)?;
        for id in txn.list_persistent_savepoints().map_err(text)? {
            let checkpoint = txn.checkpoint().map_err(text)?;
            let savepoint = txn.get_persistent_savepoint(id).map_err(text)?;
            txn.restore_savepoint(&savepoint).map_err(text)?;
            model.savepoints.insert(id, Arc::new(Self::read_changed(&txn)?));
            txn.rollback_to(&checkpoint).map_err(text)?;
        }
        Ok(model)
    }

    /// The tables alone.
    pub fn tables(&self) -> Self {
        Self { savepoints: BTreeMap::new(), ..self.clone() }
    }

    /// The tables, without what has expired.
    pub fn seen_at(&self, now: u64) -> Self {
        let mut seen = self.tables();
        seen.fading.retain(|_, (_, time)| *time > now);
        seen
    }

    /// The tables become what they were.
    pub fn restore(&mut self, id: u64) {
        let Some(then) = self.savepoints.get(&id).cloned() else { return };
        self.savepoints.retain(|other, _| *other <= id);
        *self = Self { savepoints: std::mem::take(&mut self.savepoints), ..Self::clone(&then) };
    }

    pub fn rows(&self) -> usize {
        self.numbers.iter().map(BTreeMap::len).sum::<usize>() + self.words.len() + self.pairs() + self.fading.len()
    }

    fn pairs(&self) -> usize {
        self.tags.values().map(BTreeSet::len).sum()
    }
}

fn numbers_of(table: &impl ReadableTable<u64, &'static [u8]>) -> Result<BTreeMap<u64, Bytes>, String> {
    let mut rows = BTreeMap::new();
    for row in table.iter().map_err(text)? {
        let (key, value) = row.map_err(text)?;
        rows.insert(key.value(), value.value().into());
    }
    check_len(table.len().map_err(text)?, rows.len())?;
    Ok(rows)
}

fn words_of(table: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<BTreeMap<Arc<str>, Bytes>, String> {
    let mut rows = BTreeMap::new();
    for row in table.iter().map_err(text)? {
        let (key, value) = row.map_err(text)?;
        rows.insert(key.value().into(), value.value().into());
    }
    check_len(table.len().map_err(text)?, rows.len())?;
    Ok(rows)
}

fn tags_of(table: &impl ReadableMultimapTable<u64, &'static [u8]>) -> Result<BTreeMap<u64, BTreeSet<Bytes>>, String> {
    let mut tags = BTreeMap::new();
    for entry in table.iter().map_err(text)? {
        let (key, values) = entry.map_err(text)?;
        let values: Result<BTreeSet<Bytes>, _> = values.map(|value| value.map(|value| value.value().into())).collect();
        tags.insert(key.value(), values.map_err(text)?);
    }
    check_len(table.len().map_err(text)?, tags.values().map(BTreeSet::len).sum())?;
    Ok(tags)
}

fn fading_of(table: &impl ReadableTtlTable<u64, &'static [u8]>) -> Result<BTreeMap<u64, (Bytes, u64)>, String> {
    let mut rows = BTreeMap::new();
    for row in table.iter().map_err(text)? {
        let (key, value) = row.map_err(text)?;
        rows.insert(key.value(), (value.value().into(), value.expires_at_ms().unwrap_or(NEVER)));
    }
    check_len(table.len_live().map_err(text)?, rows.len())?;
    Ok(rows)
}

fn opened<T>(table: Result<T, TableError>) -> Result<Option<T>, String> {
    match table {
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        other => other.map(Some).map_err(text),
    }
}

fn check_len(said: u64, found: usize) -> Result<(), String> {
    if said == found as u64 { Ok(()) } else { Err(format!("len() is {said} of {found} rows")) }
}

pub fn text(err: impl std::fmt::Debug) -> String {
    format!("{err:?}")
}

/// A commit's state, and whether that commit was to reach the disk.
#[derive(Clone, Debug)]
struct Entry {
    model: Model,
    durable: bool,
}

/// The tables as durable commits left them, by the transactions' ids.
pub type Past = BTreeMap<u64, Arc<Model>>;

/// The commits of one session, from the state that it began with on.
#[derive(Clone, Debug)]
pub struct History {
    commits: Vec<Entry>,
    /// Those of earlier sessions as well.
    pub past: Past,
}

impl History {
    pub fn new(first: Model, past: Past) -> Self {
        Self { commits: vec![Entry { model: first, durable: true }], past }
    }

    /// A commit begins: gives the mark for "it may be on disk from now on".
    pub fn start(&mut self, model: Model, durable: bool) -> u64 {
        self.commits.push(Entry { model, durable });
        self.newest() * 2
    }

    /// What the commit that began last turned out to be.
    pub fn amend(&mut self, model: Model, durable: bool) {
        if let Some(last) = self.commits.last_mut() {
            *last = Entry { model, durable };
        }
    }

    /// The mark for "the newest commit was acknowledged as durable".
    pub fn acknowledged(&self) -> u64 {
        self.newest() * 2 + 1
    }

    fn newest(&self) -> u64 {
        self.commits.len() as u64 - 1
    }

    /// The states that a file may hold after a crash behind these marks, newest first: the last acknowledged commit and
    /// the durable ones that were begun since.
    pub fn allowed(&self, marks: &[u64]) -> Vec<Model> {
        let floor = marks.iter().filter(|mark| *mark % 2 == 1).max().map_or(0, |mark| mark / 2);
        let ceiling = marks.iter().max().map_or(0, |mark| mark / 2);
        let possible = self.commits[floor as usize..=ceiling as usize].iter().filter(|entry| entry.durable);
        possible.rev().map(|entry| entry.model.clone()).collect()
    }
}
