//! Random work on a database: transactions of every kind, readers that outlive them, closing and opening in between.

use crate::common::crash::RecordingBackend;
use crate::common::rng::Rng;
use crate::model::{Bytes, History, Model, NUMBERS, SPARE, TAGS, WORDS, text};
use crate::past::check_past;
use sapwood::{
    Builder, BulkLoadError, CdcConfig, CdcMode, CompactOptions, Compression, Database, Durability, ReadTransaction,
    ReadableDatabase, Table, WriteTransaction,
};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// How the file is laid out and how much memory there is.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub page: usize,
    pub block: usize,
    pub cache: usize,
    /// Values are compressed, if there is a codec.
    pub packed: bool,
    /// Commits of the history that stay.
    pub retained: u64,
    /// Transactions of the change log that stay; 0 if there is none.
    pub logged: u64,
}

impl Setup {
    pub fn random(rng: &mut Rng) -> Self {
        Self {
            page: *rng.pick(&[512, 512, 1024, 4096]),
            block: *rng.pick(&[512, 4096]),
            cache: *rng.pick(&[0, 0, 20_000, 200_000, 1 << 24]),
            packed: rng.chance(100),
            retained: *rng.pick(&[0, 0, 2, 20]),
            logged: *rng.pick(&[0, 0, 3, 8]),
        }
    }

    /// Opens what is there, or creates it.
    pub fn open(&self, backend: &RecordingBackend) -> Result<Database, String> {
        let mut builder = Builder::new();
        builder.set_page_size(self.page).set_block_size(self.block).set_cache_size(self.cache);
        builder.set_compression(match self.packed {
            #[cfg(feature = "lz4")]
            true => Compression::Lz4,
            _ => Compression::None,
        });
        builder.set_history_retention(self.retained);
        if self.logged > 0 {
            builder.set_cdc(CdcConfig::new(CdcMode::OldAndNew).with_max_transactions(self.logged));
        }
        builder.create_with_backend(backend.clone()).map_err(|err| format!("opening: {err:?}"))
    }
}

/// A program at work.
pub struct Session<'r> {
    pub setup: Setup,
    pub backend: RecordingBackend,
    pub history: History,
    pub model: Model,
    pub rng: &'r mut Rng,
    readers: Vec<(ReadTransaction, Model)>,
}

impl<'r> Session<'r> {
    pub fn new(setup: Setup, backend: RecordingBackend, model: Model, rng: &'r mut Rng) -> Self {
        Self { setup, backend, history: History::new(model.clone()), model, rng, readers: Vec::new() }
    }

    /// Opens the database, does `transactions`, and closes it.
    pub fn run(&mut self, transactions: usize) -> Result<(), String> {
        let mut db = self.setup.open(&self.backend)?;
        for _ in 0..transactions {
            self.transaction(&db)?;
            self.read(&db)?;
            if self.rng.chance(8) {
                self.compact(&db)?;
            }
            if self.rng.chance(12) {
                db.verify().map_err(|err| format!("verify between transactions: {err:?}"))?;
            }
            if self.rng.chance(12) {
                self.close(db)?;
                db = self.setup.open(&self.backend)?;
                self.check_head(&db)?;
            }
        }
        self.close(db)
    }

    /// Compacts the file, which makes the newest commit durable.
    fn compact(&mut self, db: &Database) -> Result<(), String> {
        self.backend.mark(self.history.start(self.model.clone(), true));
        let mut steps = self.rng.below(20);
        let options = CompactOptions::new().set_pages_per_step(1 + self.rng.below(40) as u32);
        db.compact_online(options, |_| {
            steps = steps.saturating_sub(1);
            if steps == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .map_err(|err| format!("compacting: {err:?}"))?;
        self.backend.mark(self.history.acknowledged());
        Ok(())
    }

    /// Closes the database, which makes its newest commit durable.
    pub fn close(&mut self, db: Database) -> Result<(), String> {
        if self.rng.chance(128) {
            self.readers.clear();
        }
        self.backend.mark(self.history.start(self.model.clone(), true));
        drop(db);
        self.backend.mark(self.history.acknowledged());
        self.readers.clear();
        match self.backend.take_counters().closes {
            1 => Ok(()),
            closes => Err(format!("closed {closes} times")),
        }
    }

    fn check_head(&self, db: &Database) -> Result<(), String> {
        check_past(db)?;
        if Model::of(db)? == self.model { Ok(()) } else { Err("what was closed was opened as something else".into()) }
    }

    /// One write transaction.
    pub fn transaction(&mut self, db: &Database) -> Result<(), String> {
        let mut txn = db.begin_write().map_err(text)?;
        let durable = !self.rng.chance(100);
        txn.set_durability(if durable { Durability::Immediate } else { Durability::None }).map_err(text)?;
        txn.set_two_phase_commit(self.rng.chance(64));
        txn.set_quick_repair(self.rng.chance(24));
        let mut model = self.model.clone();
        self.change_savepoints(&mut txn, &mut model, durable)?;
        if self.rng.chance(32) {
            self.rearrange(&txn, &mut model)?;
        }
        self.change(&txn, &mut model)?;
        if self.rng.chance(32) {
            self.rearrange(&txn, &mut model)?;
        }
        match self.rng.below(16) {
            0 => txn.abort().map_err(text),
            1 => {
                drop(txn);
                Ok(())
            }
            _ => self.commit(txn, model, durable),
        }
    }

    /// Makes, restores and deletes persistent savepoints.
    fn change_savepoints(
        &mut self,
        txn: &mut WriteTransaction,
        model: &mut Model,
        durable: bool,
    ) -> Result<(), String> {
        if durable && self.rng.chance(28) {
            model.savepoints.insert(txn.persistent_savepoint().map_err(text)?, Arc::new(model.tables()));
        }
        let ids: Vec<_> = model.savepoints.keys().copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let id = *self.rng.pick(&ids);
        let is_youngest = ids.last() == Some(&id);
        if (durable || is_youngest) && self.rng.chance(24) {
            let savepoint = txn.get_persistent_savepoint(id).map_err(text)?;
            txn.restore_savepoint(&savepoint).map_err(text)?;
            model.restore(id);
        }
        if durable && (ids.len() > 3 || self.rng.chance(28)) {
            let deleted = txn.delete_persistent_savepoint(id).map_err(text)?;
            return if deleted == model.savepoints.remove(&id).is_some() {
                Ok(())
            } else {
                Err("delete_savepoint".into())
            };
        }
        Ok(())
    }

    /// Deletes a table, or gives the two of numbers each other's names.
    fn rearrange(&mut self, txn: &WriteTransaction, model: &mut Model) -> Result<(), String> {
        match self.rng.below(5) {
            0 => {
                txn.delete_multimap_table(TAGS).map_err(text)?;
                model.tags.clear();
            }
            1 => {
                txn.delete_table(WORDS).map_err(text)?;
                model.words.clear();
            }
            2 => {
                txn.delete_table(NUMBERS[0]).map_err(text)?;
                model.numbers[0].clear();
            }
            _ => {
                for table in NUMBERS {
                    txn.open_table(table).map_err(text)?;
                }
                for (table, name) in [(NUMBERS[0], SPARE), (NUMBERS[1], NUMBERS[0]), (SPARE, NUMBERS[1])] {
                    txn.rename_table(table, name).map_err(text)?;
                }
                model.numbers.swap(0, 1);
            }
        }
        Ok(())
    }

    fn commit(&mut self, txn: WriteTransaction, model: Model, durable: bool) -> Result<(), String> {
        self.model = model;
        self.backend.mark(self.history.start(self.model.clone(), durable));
        txn.commit().map_err(|err| format!("commit: {err:?}"))?;
        if durable {
            self.backend.mark(self.history.acknowledged());
        }
        Ok(())
    }

    fn change(&mut self, txn: &WriteTransaction, model: &mut Model) -> Result<(), String> {
        let few = self.rng.below(12) + 1;
        let steps = *self.rng.pick(&[few, few, few, 40, 150]);
        let shrinks = self.rng.chance(16);
        let sieve = self.rng.chance(48).then(|| Sieve::any(self.rng));
        for (definition, rows) in NUMBERS.iter().zip(&mut model.numbers) {
            if self.rng.chance(100) {
                continue;
            }
            let mut table = txn.open_table(*definition).map_err(text)?;
            if let Some(sieve) = sieve {
                sieve.through(&mut table, rows, self.rng)?;
            }
            if self.rng.chance(48) {
                many(&mut table, rows, self.rng, self.setup.page)?;
            }
            if shrinks {
                for key in doomed(rows.keys(), self.rng) {
                    let old = table.remove(key).map_err(text)?.map(|old| old.value().into());
                    same(old, rows.remove(&key))?;
                }
            }
            for _ in 0..steps {
                let key = self.rng.below(300);
                if self.rng.chance(80) {
                    let old = table.remove(key).map_err(text)?.map(|old| old.value().into());
                    same(old, rows.remove(&key))?;
                } else {
                    let value: Arc<[u8]> = value(self.rng, self.setup.page).into();
                    put(&mut table, key, &value, rows.get(&key), self.rng)?;
                    rows.insert(key, value);
                }
            }
        }
        if self.rng.chance(128) {
            self.change_words(txn, model, steps / 2 + 1, shrinks)?;
        }
        if self.rng.chance(128) {
            self.change_tags(txn, model, steps * 2, shrinks)?;
        }
        Ok(())
    }

    /// Few keys, so that sets grow into trees; they shrink by single values, by nearly all, or are removed as a whole.
    fn change_tags(
        &mut self,
        txn: &WriteTransaction,
        model: &mut Model,
        steps: u64,
        shrinks: bool,
    ) -> Result<(), String> {
        let mut table = txn.open_multimap_table(TAGS).map_err(text)?;
        let removals = if shrinks { 200 } else { 64 };
        for _ in 0..steps {
            let key = self.rng.below(4);
            let value = tag(self.rng, self.setup.page);
            let set = model.tags.entry(key).or_default();
            if self.rng.chance(2) {
                let removed = table.remove_all(key).map_err(text)?;
                let removed: Result<Vec<Bytes>, _> =
                    removed.map(|value| value.map(|value| value.value().into())).collect();
                if removed.map_err(text)? != std::mem::take(set).into_iter().collect::<Vec<_>>() {
                    return Err("other values were removed than were there".into());
                }
            } else {
                let (existed, expected) = if self.rng.chance(removals) {
                    (table.remove(key, &*value).map_err(text)?, set.remove(&value))
                } else {
                    (table.insert(key, &*value).map_err(text)?, !set.insert(value))
                };
                if existed != expected {
                    return Err("a change of a set found another set than was there".into());
                }
            }
            if set.is_empty() {
                model.tags.remove(&key);
            }
        }
        Ok(())
    }

    fn change_words(
        &mut self,
        txn: &WriteTransaction,
        model: &mut Model,
        steps: u64,
        shrinks: bool,
    ) -> Result<(), String> {
        let mut table = txn.open_table(WORDS).map_err(text)?;
        if shrinks {
            for key in doomed(model.words.keys(), self.rng) {
                let old = table.remove(&*key).map_err(text)?.map(|old| old.value().into());
                same(old, model.words.remove(&key))?;
            }
        }
        for _ in 0..steps {
            let key = word(self.rng, self.setup.page);
            if self.rng.chance(80) {
                let old = table.remove(&*key).map_err(text)?.map(|old| old.value().into());
                same(old, model.words.remove(&key))?;
            } else {
                let value: Arc<[u8]> = value(self.rng, self.setup.page).into();
                let old = table.insert(&*key, &*value).map_err(text)?.map(|old| old.value().into());
                same(old, model.words.insert(key, value))?;
            }
        }
        Ok(())
    }

    /// Opens and ends read transactions; those that end must still see what they saw.
    fn read(&mut self, db: &Database) -> Result<(), String> {
        if self.rng.chance(40) {
            self.readers.push((db.begin_read().map_err(text)?, self.model.tables()));
        }
        if self.rng.chance(40) && !self.readers.is_empty() {
            let at = self.rng.below(self.readers.len() as u64) as usize;
            let (txn, model) = self.readers.swap_remove(at);
            if Model::read(&txn)? != model {
                return Err("a reader's snapshot has changed".into());
            }
        }
        Ok(())
    }
}

fn put(
    table: &mut Table<'_, u64, &'static [u8]>,
    key: u64,
    value: &[u8],
    before: Option<&Arc<[u8]>>,
    rng: &mut Rng,
) -> Result<(), String> {
    if rng.chance(32) {
        table.insert_reserve(key, value.len()).map_err(text)?.as_mut().copy_from_slice(value);
        return Ok(());
    }
    let old = table.insert(key, value).map_err(text)?.map(|old| old.value().into());
    same(old, before.cloned())
}

/// Deletes or drains a range, or loads rows behind the last one, as it may be out of order.
fn many(
    table: &mut Table<'_, u64, &'static [u8]>,
    rows: &mut BTreeMap<u64, Arc<[u8]>>,
    rng: &mut Rng,
    page: usize,
) -> Result<(), String> {
    let (start, length) = (rng.below(300), *rng.pick(&[20, 300]));
    let range = start..start + length;
    let doomed = rows.range(range.clone()).count() as u64;
    match rng.below(3) {
        0 if table.delete_range(range.clone()).map_err(text)? != doomed => return Err("delete_range".into()),
        0 => {}
        1 => {
            let taken = rng.below(20);
            for row in table.drain(range.clone()).map_err(text)?.take(taken as usize) {
                let (key, value) = row.map_err(text)?;
                same(Some(value.value().into()), rows.remove(&key.value()))?;
            }
        }
        _ => return load(table, rows, rng, page),
    }
    rows.retain(|key, _| !range.contains(key));
    Ok(())
}

fn load(
    table: &mut Table<'_, u64, &'static [u8]>,
    rows: &mut BTreeMap<u64, Arc<[u8]>>,
    rng: &mut Rng,
    page: usize,
) -> Result<(), String> {
    if rng.chance(128) {
        let cut = rng.below(300);
        table.delete_range(cut..).map_err(text)?;
        rows.split_off(&cut);
    }
    let start = rows.last_key_value().map_or(0, |(last, _)| last + 1);
    let new: Vec<(u64, Arc<[u8]>)> =
        (start..start + rng.below(150)).map(|key| (key, value(rng, page).into())).collect();
    let again = new.first().filter(|_| rng.chance(64)).into_iter();
    match table.bulk_load(new.iter().chain(again).map(|(key, value)| (*key, &**value))) {
        Ok(_) => rows.extend(new),
        Err(BulkLoadError::Unordered { .. }) => {}
        Err(err) => return Err(text(err)),
    }
    Ok(())
}

/// Takes rows out by a predicate: those whose key gives a remainder.
#[derive(Clone, Copy)]
struct Sieve {
    divisor: u64,
    remainder: u64,
}

impl Sieve {
    fn any(rng: &mut Rng) -> Self {
        Self { divisor: *rng.pick(&[1, 2, 9]), remainder: rng.below(2) }
    }

    fn takes(self, key: u64) -> bool {
        (key % self.divisor == self.remainder) || self.divisor == 1
    }

    /// From a range of keys, by `retain_in` or from both ends, as it may be not to the end.
    fn through(
        self,
        table: &mut Table<'_, u64, &'static [u8]>,
        rows: &mut BTreeMap<u64, Arc<[u8]>>,
        rng: &mut Rng,
    ) -> Result<(), String> {
        let start = rng.below(300);
        if rng.chance(128) {
            table.retain_in(start.., |key, _| !self.takes(key)).map_err(text)?;
            rows.retain(|key, _| *key < start || !self.takes(*key));
            return Ok(());
        }
        let mut extracted = table.extract_from_if(start.., |key, _| self.takes(key)).map_err(text)?;
        for step in 0..*rng.pick(&[3, 30, 1_000]) {
            let row = if step % 3 == 0 { extracted.next_back() } else { extracted.next() };
            let Some((key, value)) = row.transpose().map_err(text)? else { break };
            same(Some(value.value().into()), rows.remove(&key.value()))?;
        }
        extracted.close().map_err(text)
    }
}

/// Nearly all of the keys, or all of them.
fn doomed<'k, K: Clone + 'k>(keys: impl Iterator<Item = &'k K>, rng: &mut Rng) -> Vec<K> {
    let share = *rng.pick(&[240, 256]);
    keys.filter(|_| rng.chance(share)).cloned().collect()
}

fn same(found: Option<Arc<[u8]>>, expected: Option<Arc<[u8]>>) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err("a change returned another old value than was there".into()) }
}

/// Mostly small; sometimes around the sizes at which values leave the page, sometimes several pages long.
fn value(rng: &mut Rng, page: usize) -> Vec<u8> {
    let page = page as u64;
    let len = match rng.below(20) {
        0 => 0,
        1 => rng.below(page),
        2 => page / 4 + rng.below(9),
        3 => page + rng.below(page * 4),
        _ => rng.below(60),
    };
    let mut bytes = rng.bytes(len as usize);
    if rng.chance(64) {
        bytes[len as usize / 3..].fill(7);
    }
    bytes
}

/// One of a hundred values of a set; a few are longer than a page takes.
fn tag(rng: &mut Rng, page: usize) -> Bytes {
    let number = rng.below(100);
    let length = match number {
        0 => 0,
        1 => page / 4 + 1,
        2 => page * 2,
        _ => 3 + number as usize % 20,
    };
    let mut value = vec![number as u8; length];
    value.iter_mut().skip(1).for_each(|byte| *byte = 7);
    value.into()
}

/// One of a few hundred keys; some are longer than a page takes.
fn word(rng: &mut Rng, page: usize) -> Arc<str> {
    let number = rng.below(200);
    let length = match number % 20 {
        0 => page / 4 + number as usize / 20,
        1 => page * 3 / 2,
        2 => page * 3,
        _ => 4 + number as usize % 7,
    };
    let stem =
        if number.is_multiple_of(3) { format!("{number:03}") } else { format!("a common beginning {number:03}") };
    format!("{stem:-<length$}").into()
}
