//! What the database must hold: the states of all commits, and when they were started and acknowledged.

use sapwood::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub const NUMBERS: [TableDefinition<u64, &[u8]>; 2] = [TableDefinition::new("first"), TableDefinition::new("second")];
/// A name that a table has between two renamings.
pub const SPARE: TableDefinition<u64, &[u8]> = TableDefinition::new("spare");
pub const WORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("words");

pub type Bytes = Arc<[u8]>;

/// The rows of all tables, and what the persistent savepoints hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    pub numbers: [BTreeMap<u64, Bytes>; 2],
    pub words: BTreeMap<Arc<str>, Bytes>,
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
        Ok(model)
    }

    /// The rows that `txn` sees, which may make tables that it lacks.
    fn read_changed(txn: &WriteTransaction) -> Result<Self, String> {
        let mut model = Self::default();
        for (definition, rows) in NUMBERS.iter().zip(&mut model.numbers) {
            *rows = numbers_of(&txn.open_table(*definition).map_err(text)?)?;
        }
        model.words = words_of(&txn.open_table(WORDS).map_err(text)?)?;
        Ok(model)
    }

    /// All that is in the database.
    pub fn of(db: &Database) -> Result<Self, String> {
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

    /// The tables become what they were.
    pub fn restore(&mut self, id: u64) {
        let Some(then) = self.savepoints.get(&id).cloned() else { return };
        self.savepoints.retain(|other, _| *other <= id);
        *self = Self { savepoints: std::mem::take(&mut self.savepoints), ..Self::clone(&then) };
    }

    pub fn rows(&self) -> usize {
        self.numbers.iter().map(BTreeMap::len).sum::<usize>() + self.words.len()
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

/// The commits of one session, from the state that it began with on.
#[derive(Clone, Debug)]
pub struct History(Vec<Entry>);

impl History {
    pub fn new(first: Model) -> Self {
        Self(vec![Entry { model: first, durable: true }])
    }

    /// A commit begins: gives the mark for "it may be on disk from now on".
    pub fn start(&mut self, model: Model, durable: bool) -> u64 {
        self.0.push(Entry { model, durable });
        self.newest() * 2
    }

    /// The mark for "the newest commit was acknowledged as durable".
    pub fn acknowledged(&self) -> u64 {
        self.newest() * 2 + 1
    }

    fn newest(&self) -> u64 {
        self.0.len() as u64 - 1
    }

    /// The states that a file may hold after a crash behind these marks, newest first: the last acknowledged commit and
    /// the durable ones that were begun since.
    pub fn allowed(&self, marks: &[u64]) -> Vec<Model> {
        let floor = marks.iter().filter(|mark| *mark % 2 == 1).max().map_or(0, |mark| mark / 2);
        let ceiling = marks.iter().max().map_or(0, |mark| mark / 2);
        let possible = self.0[floor as usize..=ceiling as usize].iter().filter(|entry| entry.durable);
        possible.rev().map(|entry| entry.model.clone()).collect()
    }
}
