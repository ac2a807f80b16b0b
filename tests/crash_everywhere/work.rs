//! What a transaction does to tables.

use crate::common::blobs::change_blobs;
use crate::common::rng::Rng;
use crate::model::{Bytes, FADING, Model, NEVER, NUMBERS, SPARE, TAGS, WORDS, joined, text};
use sapwood::{
    BulkLoadError, BytesAppend, MergeOperator, NumericAdd, ReadableTable, Table, TtlTable, WriteTransaction, merge_fn,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Changes tables and their model alike.
pub struct Work<'r> {
    pub rng: &'r mut Rng,
    pub page: usize,
    /// As the transaction sees it.
    pub now: u64,
}

impl Work<'_> {
    /// Deletes a table, or gives the two of numbers each other's names.
    pub fn rearrange(&mut self, txn: &WriteTransaction, model: &mut Model) -> Result<(), String> {
        match self.rng.below(6) {
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
            3 => {
                txn.delete_ttl_table(FADING).map_err(text)?;
                model.fading.clear();
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

    pub fn change(&mut self, txn: &WriteTransaction, model: &mut Model) -> Result<(), String> {
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
            if self.rng.chance(64) {
                self.merge(&mut table, rows, steps / 2 + 1)?;
            }
            if self.rng.chance(48) {
                many(&mut table, rows, self.rng, self.page)?;
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
                    let value: Arc<[u8]> = value(self.rng, self.page).into();
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
        if self.rng.chance(128) {
            self.change_fading(txn, model, steps / 2 + 1)?;
        }
        if self.rng.chance(64) {
            (0..steps.min(8)).try_for_each(|_| change_blobs(txn, &mut model.blobs, self.rng))?;
        }
        Ok(())
    }

    /// Into few keys, so that there is mostly a value that waits, and by operators that remove rows or refuse.
    fn merge(
        &mut self,
        table: &mut Table<'_, u64, &'static [u8]>,
        rows: &mut BTreeMap<u64, Bytes>,
        steps: u64,
    ) -> Result<(), String> {
        let replaces =
            merge_fn(|_, old, operand| (old.map(<[u8]>::len) != Some(operand.len())).then(|| operand.to_vec()));
        let registered = joined();
        for _ in 0..steps {
            let (key, operand) = (self.rng.below(8), value(self.rng, self.page));
            let old = rows.get(&key);
            let how = self.rng.below(6);
            let operator: &dyn MergeOperator = match how {
                0 => &replaces,
                1 => &NumericAdd,
                2 if old.is_none_or(|old| old.len() < 3 * self.page) => &BytesAppend,
                _ => &registered,
            };
            let merged =
                if how > 3 { table.merge_registered(key, &operand) } else { table.merge(key, &operand, operator) };
            match operator.merge(&key.to_le_bytes(), old.map(|old| &**old), &operand) {
                Ok(value) => {
                    merged.map_err(text)?;
                    match value {
                        Some(value) => _ = rows.insert(key, value.into()),
                        None => _ = rows.remove(&key),
                    }
                }
                Err(_) if merged.is_err() => {}
                Err(err) => return Err(format!("a merge was made that is refused: {err:?}")),
            }
            if self.rng.chance(24) {
                same(table.get(key).map_err(text)?.map(|found| found.value().into()), rows.get(&key).cloned())?;
            }
        }
        Ok(())
    }

    fn change_fading(&mut self, txn: &WriteTransaction, model: &mut Model, steps: u64) -> Result<(), String> {
        let default_ttl = self.rng.chance(128).then(|| self.rng.below(200));
        let definition = match default_ttl {
            Some(ttl) => FADING.with_default_ttl(Duration::from_millis(ttl)),
            None => FADING,
        };
        let mut table = txn.open_ttl_table(definition).map_err(text)?;
        let rows = &mut model.fading;
        for _ in 0..steps {
            let (key, ttl) = (self.rng.below(100), self.rng.below(300));
            let (time, duration) = (self.now + ttl, Duration::from_millis(ttl));
            let live = rows.get(&key).filter(|row| row.1 > self.now).map(|row| row.0.clone());
            let new: Bytes = value(self.rng, self.page).into();
            match self.rng.below(32) {
                0..=6 => {
                    let old = table.insert(key, &*new).map_err(text)?;
                    same(old.map(|old| old.value().into()), live)?;
                    rows.insert(key, (new, default_ttl.map_or(NEVER, |ttl| self.now + ttl)));
                }
                7..=16 => {
                    let old = table.insert_with_ttl(key, &*new, duration).map_err(text)?;
                    same(old.map(|old| old.value().into()), live)?;
                    rows.insert(key, (new, time));
                }
                17..=24 => {
                    let persists = self.rng.chance(80);
                    let found = if persists { table.persist(key) } else { table.touch(key, duration) };
                    if found.map_err(text)? != live.is_some() {
                        return Err("touch".into());
                    }
                    if let Some(value) = live {
                        rows.insert(key, (value, if persists { NEVER } else { time }));
                    }
                }
                25..=28 => {
                    let old = table.remove(key).map_err(text)?;
                    same(old.map(|old| old.value().into()), live)?;
                    rows.remove(&key);
                }
                29 => {
                    let gone: Vec<u64> = rows.range(key..key + 20).map(|row| *row.0).collect();
                    table.delete_range(key..key + 20).map_err(text)?;
                    gone.iter().for_each(|key| _ = rows.remove(key));
                }
                _ => {
                    let most = *self.rng.pick(&[1, 5, 1_000]);
                    purge(&mut table, model, self.now, most)?;
                    return Ok(());
                }
            }
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
            let value = tag(self.rng, self.page);
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
            let key = word(self.rng, self.page);
            if self.rng.chance(80) {
                let old = table.remove(&*key).map_err(text)?.map(|old| old.value().into());
                same(old, model.words.remove(&key))?;
            } else {
                let value: Arc<[u8]> = value(self.rng, self.page).into();
                let old = table.insert(&*key, &*value).map_err(text)?.map(|old| old.value().into());
                same(old, model.words.insert(key, value))?;
            }
        }
        Ok(())
    }
}

/// Removes at most so many rows that have expired: those that did so first.
pub fn purge(
    table: &mut TtlTable<'_, u64, &'static [u8]>,
    model: &mut Model,
    now: u64,
    most: usize,
) -> Result<(), String> {
    let mut expired: Vec<_> = model.fading.iter().filter(|row| row.1.1 <= now).map(|row| (row.1.1, *row.0)).collect();
    expired.sort_by_key(|(time, key)| (*time, key.to_le_bytes()));
    expired.truncate(most);
    let purged = table.purge_expired(most as u64).map_err(text)?;
    if purged != expired.len() as u64 {
        return Err(format!("{purged} rows were purged of {}", expired.len()));
    }
    expired.iter().for_each(|(_, key)| _ = model.fading.remove(key));
    Ok(())
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
