//! Random transactions on a TTL table and on a map, as the clock jumps forward and back.

use super::{KeyType, ROWS, ValueType, key, key_bytes, key_number, lend, value, value_number};
use crate::Hand;
use crate::common::crash::RecordingBackend;
use crate::common::rng::Rng;
use crate::common::scale;
use sapwood::{
    AccessGuard, Builder, Clock, CompactOptions, Database, Durability, Expiry, HistoryRetention, ReadTransaction,
    ReadableDatabase, ReadableTableMetadata, ReadableTtlTable, Savepoint, StorageError, TtlAccessGuard, TtlEntry,
    TtlTable, TtlTableDefinition, VerifyLevel, WriteTransaction,
};
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::time::Duration;

const KEYS: u64 = 150;
const NEVER: u64 = u64::MAX;
const DEFAULT_TTL: u64 = 60;

/// Number of the value, and time, of all rows that are stored.
type Rows = BTreeMap<u64, (u64, u64)>;
/// A row, its key first, with the time.
type Row = (u64, u64, Option<u64>);
type Guards<'a> = (AccessGuard<'a, KeyType>, TtlAccessGuard<'a, ValueType>);

fn row_of((key, value): Guards<'_>) -> Row {
    (key_number(key.value()), value_number(value.value()), value.expires_at_ms())
}

fn row_if(row: Result<Option<Guards<'_>>, StorageError>) -> Option<Row> {
    row.unwrap().map(row_of)
}

/// What is seen of rows.
fn seen(rows: &Rows, now: u64) -> Vec<Row> {
    let live = rows.iter().filter(|(_, (_, time))| *time > now);
    live.map(|(key, (value, time))| (*key, *value, (*time != NEVER).then_some(*time))).collect()
}

/// That a table shows a model's rows, whatever is asked.
fn check(table: &impl ReadableTtlTable<KeyType, ValueType>, rows: &Rows, now: u64, rng: &mut Rng) {
    let expected = seen(rows, now);
    let found: Vec<Row> = table.iter().unwrap().map(|row| row_of(row.unwrap())).collect();
    assert_eq!(found, expected, "at {now}");
    let mut back: Vec<Row> = table.iter().unwrap().rev().map(|row| row_of(row.unwrap())).collect();
    back.reverse();
    assert_eq!(back, expected);
    assert_eq!((table.len().unwrap(), table.len_live().unwrap()), (rows.len() as u64, expected.len() as u64));
    assert_eq!(table.is_empty().unwrap(), expected.is_empty());
    assert_eq!(row_if(table.first()), expected.first().copied());
    assert_eq!(row_if(table.last()), expected.last().copied());
    let span = span(rng);
    let within: Vec<Row> = expected.iter().filter(|row| span.contains(&row.0)).copied().collect();
    let (low, high) = (key(span.start), key(span.end));
    let found = table.range(lend(&low)..lend(&high)).unwrap().map(|row| row_of(row.unwrap()));
    assert!(found.eq(within.iter().copied()));
    assert_eq!(table.count(lend(&low)..lend(&high)).unwrap(), within.len() as u64);
    let number = rng.below(KEYS);
    let row = expected.iter().find(|row| row.0 == number);
    let sought = key(number);
    let expiry = row.map(|row| row.2.map_or(Expiry::Never, Expiry::At));
    assert_eq!(table.expires_at(lend(&sought)).unwrap(), expiry);
    let left = row.map(|row| row.2.map_or(Duration::MAX, |time| Duration::from_millis(time - now)));
    assert_eq!(table.remaining(lend(&sought)).unwrap(), left);
    assert_eq!(table.get(lend(&sought)).unwrap().map(|value| value_number(value.value())), row.map(|row| row.1));
}

fn span(rng: &mut Rng) -> Range<u64> {
    let (one, other) = (rng.below(KEYS), rng.below(KEYS));
    one.min(other)..one.max(other)
}

/// One transaction's work on a table.
struct Work<'w, 't> {
    table: TtlTable<'t, KeyType, ValueType>,
    rows: &'w mut Rows,
    default_ttl: Option<u64>,
    now: u64,
    rng: &'w mut Rng,
}

impl Work<'_, '_> {
    fn default_time(&self) -> u64 {
        self.default_ttl.map_or(NEVER, |ttl| self.now + ttl)
    }

    fn live(&self, key: u64) -> Option<(u64, u64)> {
        self.rows.get(&key).copied().filter(|(_, time)| *time > self.now)
    }

    fn ttl(&mut self) -> (u64, Duration) {
        let ttl = self.rng.below(120);
        let time = self.now + ttl;
        (time, Duration::from_millis(ttl))
    }

    fn step(&mut self) {
        match self.rng.below(40) {
            0..=9 => self.insert(),
            10..=19 => self.insert_with_ttl(),
            20..=22 => self.remove(),
            23 => self.pop(),
            24..=25 => self.touch(),
            26 => self.get_mut(),
            27..=29 => self.entry(),
            30 => self.retain(),
            31..=32 => self.extract(),
            33 => self.delete_range(),
            34 => self.drain(),
            35..=36 => self.purge(),
            _ => check(&self.table, self.rows, self.now, self.rng),
        }
    }

    fn insert(&mut self) {
        let (number, new) = (self.rng.below(KEYS), self.rng.below(1000));
        let old = self.live(number);
        let found = self.table.insert(lend(&key(number)), lend(&value(new))).unwrap();
        assert_eq!(found.map(|value| value_number(value.value())), old.map(|row| row.0));
        self.rows.insert(number, (new, self.default_time()));
    }

    fn insert_with_ttl(&mut self) {
        let (number, new) = (self.rng.below(KEYS), self.rng.below(1000));
        let (time, ttl) = self.ttl();
        let old = self.live(number);
        let found = self.table.insert_with_ttl(lend(&key(number)), lend(&value(new)), ttl).unwrap();
        assert_eq!(found.map(|value| value_number(value.value())), old.map(|row| row.0));
        self.rows.insert(number, (new, time));
    }

    fn remove(&mut self) {
        let number = self.rng.below(KEYS);
        let old = self.live(number);
        let found = self.table.remove(lend(&key(number))).unwrap();
        assert_eq!(found.map(|value| value_number(value.value())), old.map(|row| row.0));
        self.rows.remove(&number);
    }

    fn pop(&mut self) {
        let last = self.rng.chance(128);
        let popped = row_if(if last { self.table.pop_last() } else { self.table.pop_first() });
        let live = seen(self.rows, self.now);
        let expected = if last { live.last() } else { live.first() };
        assert_eq!(popped, expected.copied());
        let end = expected.map(|row| row.0);
        self.rows.retain(|key, _| match end {
            Some(end) if last => *key < end,
            Some(end) => *key > end,
            None => false,
        });
    }

    fn touch(&mut self) {
        let number = self.rng.below(KEYS);
        let there = self.live(number).is_some();
        let time = if self.rng.chance(80) {
            assert_eq!(self.table.persist(lend(&key(number))).unwrap(), there);
            NEVER
        } else {
            let (time, ttl) = self.ttl();
            assert_eq!(self.table.touch(lend(&key(number)), ttl).unwrap(), there);
            time
        };
        if there {
            self.rows.get_mut(&number).unwrap().1 = time;
        }
    }

    fn get_mut(&mut self) {
        let (number, new) = (self.rng.below(KEYS), self.rng.below(1000));
        let live = self.live(number);
        let sought = key(number);
        let found = self.table.get_mut(lend(&sought)).unwrap();
        assert_eq!(found.as_ref().map(|row| value_number(row.value())), live.map(|row| row.0));
        if let (Some(mut guard), Some((_, time))) = (found, live) {
            guard.insert(lend(&value(new))).unwrap();
            assert_eq!(value_number(guard.value()), new);
            assert_eq!(guard.expires_at_ms(), (time != NEVER).then_some(time));
            self.rows.insert(number, (new, time));
        }
    }

    fn entry(&mut self) {
        let (number, new, how) = (self.rng.below(KEYS), self.rng.below(1000), self.rng.below(4));
        let (time, ttl) = self.ttl();
        let (live, default_time) = (self.live(number), self.default_time());
        let sought = key(number);
        match self.table.entry(lend(&sought)).unwrap() {
            TtlEntry::Occupied(mut entry) => {
                let (old, until) = live.unwrap();
                assert_eq!(value_number(entry.get().unwrap().value()), old);
                match how {
                    0 => {
                        assert_eq!(value_number(entry.remove().unwrap().value()), old);
                        self.rows.remove(&number);
                    }
                    1 => {
                        entry.insert_with_ttl(lend(&value(new)), ttl).unwrap();
                        self.rows.insert(number, (new, time));
                    }
                    2 => {
                        entry.insert(lend(&value(new))).unwrap();
                        self.rows.insert(number, (new, default_time));
                    }
                    _ => {
                        entry.get_mut().unwrap().insert(lend(&value(new))).unwrap();
                        self.rows.insert(number, (new, until));
                    }
                }
            }
            TtlEntry::Vacant(entry) => {
                assert_eq!(live, None);
                // What had expired is removed by the look.
                self.rows.remove(&number);
                match how {
                    0 => {}
                    1 => {
                        entry.insert_with_ttl(lend(&value(new)), ttl).unwrap();
                        self.rows.insert(number, (new, time));
                    }
                    _ => {
                        TtlEntry::Vacant(entry).or_insert(lend(&value(new))).unwrap();
                        self.rows.insert(number, (new, default_time));
                    }
                }
            }
        }
    }

    fn retain(&mut self) {
        let (span, part) = (span(self.rng), self.rng.below(4));
        let (low, high) = (key(span.start), key(span.end));
        let goes = |number: u64| number % 4 == part;
        self.table.retain_in(lend(&low)..lend(&high), |_, value| !goes(value_number(value))).unwrap();
        let now = self.now;
        self.rows.retain(|key, (value, time)| !span.contains(key) || (*time > now && !goes(*value)));
    }

    /// Some steps from both ends.
    fn extract(&mut self) {
        let (span, part) = (span(self.rng), self.rng.below(3));
        let (low, high) = (key(span.start), key(span.end));
        let goes = |number: u64| number % 3 == part;
        let now = self.now;
        let mut left: Vec<(u64, (u64, u64))> = self.rows.range(span).map(|(key, row)| (*key, *row)).collect();
        let mut rows =
            self.table.extract_from_if(lend(&low)..lend(&high), |_, value| goes(value_number(value))).unwrap();
        for _ in 0..self.rng.below(6) {
            let back = self.rng.chance(128);
            let found = if back { rows.next_back() } else { rows.next() };
            let found = found.map(|row| row_of(row.unwrap()));
            let mut expected = None;
            while let Some((number, (value, time))) =
                if back { left.pop() } else { (!left.is_empty()).then(|| left.remove(0)) }
            {
                if time <= now || goes(value) {
                    self.rows.remove(&number);
                }
                if time > now && goes(value) {
                    expected = Some((number, value, (time != NEVER).then_some(time)));
                    break;
                }
            }
            assert_eq!(found, expected);
        }
        rows.close().unwrap();
    }

    fn delete_range(&mut self) {
        let span = span(self.rng);
        let (low, high) = (key(span.start), key(span.end));
        let live = seen(self.rows, self.now).iter().filter(|row| span.contains(&row.0)).count();
        assert_eq!(self.table.delete_range(lend(&low)..lend(&high)).unwrap(), live as u64);
        self.rows.retain(|key, _| !span.contains(key));
    }

    fn drain(&mut self) {
        let span = span(self.rng);
        let (low, high) = (key(span.start), key(span.end));
        let mut expected: Vec<Row> =
            seen(self.rows, self.now).into_iter().filter(|row| span.contains(&row.0)).collect();
        let mut rows = self.table.drain(lend(&low)..lend(&high)).unwrap();
        if self.rng.chance(128) {
            assert_eq!(rows.next_back().map(|row| row_of(row.unwrap())), expected.pop());
        }
        let some = self.rng.below(20) as usize;
        let found: Vec<Row> = rows.by_ref().take(some).map(|row| row_of(row.unwrap())).collect();
        assert_eq!(found, expected[..some.min(expected.len())]);
        rows.close().unwrap();
        self.rows.retain(|key, _| !span.contains(key));
    }

    fn purge(&mut self) {
        let limit = *self.rng.pick(&[0, 1, 5, 1000]);
        let mut expired: Vec<_> = self.rows.iter().filter(|(_, (_, time))| *time <= self.now).collect();
        expired.sort_by_key(|(key, (_, time))| (*time, key_bytes(**key)));
        let gone: Vec<u64> = expired.iter().take(limit).map(|(key, _)| **key).collect();
        assert_eq!(self.table.purge_expired(limit as u64).unwrap(), gone.len() as u64);
        self.rows.retain(|key, _| !gone.contains(key));
    }
}

struct Reader {
    txn: ReadTransaction,
    rows: Rows,
    now: u64,
}

struct Session {
    rng: Rng,
    page: usize,
    cache: usize,
    clock: Hand,
    backend: RecordingBackend,
    committed: Rows,
    durable: Rows,
    past: BTreeMap<u64, (u64, Rows)>,
    savepoint: Option<(Savepoint, Rows)>,
    readers: Vec<Reader>,
}

impl Session {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            page: *rng.pick(&[512, 512, 1024, 4096]),
            cache: *rng.pick(&[0, 20_000, 1 << 24]),
            rng,
            clock: Hand::default(),
            backend: RecordingBackend::new(),
            committed: Rows::new(),
            durable: Rows::new(),
            past: BTreeMap::new(),
            savepoint: None,
            readers: Vec::new(),
        }
    }

    fn open(&self) -> Database {
        let mut builder = Builder::new();
        builder.set_page_size(self.page).set_cache_size(self.cache).set_clock(self.clock.clone());
        builder.set_history_retention(HistoryRetention::from(20));
        builder.create_with_backend(self.backend.clone()).unwrap()
    }

    fn run(&mut self, transactions: usize) {
        let mut db = self.open();
        for _ in 0..transactions {
            self.turn_clock();
            self.transaction(&db);
            self.look(&db);
            match self.rng.below(24) {
                0 => drop(db.verify().unwrap()),
                1 | 2 => {
                    let killed = self.rng.chance(128);
                    (self.readers, self.savepoint) = (Vec::new(), None);
                    self.backend = if killed {
                        RecordingBackend::from_state(self.backend.kill())
                    } else {
                        drop(db);
                        self.durable = self.committed.clone();
                        RecordingBackend::from_image(self.backend.contents())
                    };
                    self.committed = self.durable.clone();
                    db = self.open();
                }
                3 => self.compact(&db),
                4 => {
                    let copy = RecordingBackend::new();
                    db.backup_with_backend(copy.clone()).unwrap();
                    let copy = Builder::new().set_clock(self.clock.clone()).create_with_backend(copy).unwrap();
                    let reader = self.reader(&copy);
                    self.check_reader(&reader);
                    assert!(copy.verify_integrity(VerifyLevel::Rows).unwrap().is_clean());
                }
                _ => {}
            }
        }
        self.readers.clear();
        db.verify().unwrap();
        let report = db.verify_integrity(VerifyLevel::Rows).unwrap();
        assert!(report.is_clean(), "{report:?}");
        assert_eq!(report.rows, self.committed.len() as u64);
    }

    /// Compacts in steps, between which others work. Each step makes what is committed durable, and the last one may.
    fn compact(&mut self, db: &Database) {
        let mut steps = self.rng.below(12);
        let options = CompactOptions::new().set_pages_per_step(1 + self.rng.below(8) as u32);
        db.compact_online(options, |_| {
            self.durable = self.committed.clone();
            if steps == 0 {
                return ControlFlow::Break(());
            }
            steps -= 1;
            self.turn_clock();
            self.transaction(db);
            self.look(db);
            ControlFlow::Continue(())
        })
        .unwrap();
        db.begin_write().unwrap().commit().unwrap();
        self.durable = self.committed.clone();
        db.verify().unwrap();
    }

    /// The table as a whole, when it is closed.
    fn administer(&mut self, txn: &WriteTransaction, rows: &mut Rows) {
        txn.open_ttl_table(ROWS).unwrap();
        if self.rng.chance(60) {
            assert!(txn.delete_ttl_table(ROWS).unwrap());
            rows.clear();
        } else {
            let other = TtlTableDefinition::<KeyType, ValueType>::new("other");
            txn.rename_ttl_table(ROWS, other).unwrap();
            assert_eq!(txn.open_ttl_table(other).unwrap().len().unwrap(), rows.len() as u64);
            txn.rename_ttl_table(other, ROWS).unwrap();
        }
    }

    fn turn_clock(&mut self) {
        let (now, step) = (self.clock.now_ms(), self.rng.below(40));
        self.clock.set(if self.rng.chance(30) { now.saturating_sub(step) } else { now + step });
    }

    fn transaction(&mut self, db: &Database) {
        let mut txn = db.begin_write().unwrap();
        let durable = !self.rng.chance(80);
        txn.set_durability(if durable { Durability::Immediate } else { Durability::None }).unwrap();
        let mut rows = self.committed.clone();
        if self.savepoint.is_none() {
            self.savepoint = Some((txn.ephemeral_savepoint().unwrap(), rows.clone()));
        } else if self.rng.chance(20) {
            let (savepoint, then) = self.savepoint.take().unwrap();
            txn.restore_savepoint(&savepoint).unwrap();
            rows = then;
        }
        let mut now = None;
        let mut mark = None;
        for _ in 0..self.rng.below(6) {
            match self.rng.below(9) {
                8 => {
                    now.get_or_insert(self.clock.now_ms());
                    self.administer(&txn, &mut rows);
                }
                0 => mark = Some((txn.checkpoint().unwrap(), rows.clone())),
                1 if mark.is_some() => {
                    let (checkpoint, then) = mark.as_ref().unwrap();
                    txn.rollback_to(checkpoint).unwrap();
                    rows = then.clone();
                }
                _ => {
                    // The clock goes on, and the transaction does not see it.
                    let now = *now.get_or_insert(self.clock.now_ms());
                    self.work(&txn, &mut rows, now);
                    self.turn_clock();
                }
            }
        }
        if self.rng.chance(30) {
            return;
        }
        txn.commit().unwrap();
        if durable {
            let newest = *db.transaction_history().unwrap().last().unwrap();
            self.past.insert(newest.transaction_id, (newest.timestamp_ms, rows.clone()));
            self.durable = rows.clone();
        }
        self.committed = rows;
    }

    fn work(&mut self, txn: &WriteTransaction, rows: &mut Rows, now: u64) {
        let default_ttl = self.rng.chance(128).then_some(DEFAULT_TTL);
        let definition: TtlTableDefinition<KeyType, ValueType> = match default_ttl {
            Some(ttl) => ROWS.with_default_ttl(Duration::from_millis(ttl)),
            None => ROWS,
        };
        let table = txn.open_ttl_table(definition).unwrap();
        let steps = self.rng.below(60);
        let mut work = Work { table, rows, default_ttl, now, rng: &mut self.rng };
        (0..steps).for_each(|_| work.step());
        check(&work.table, work.rows, now, work.rng);
    }

    fn reader(&self, db: &Database) -> Reader {
        Reader { txn: db.begin_read().unwrap(), rows: self.committed.clone(), now: self.clock.now_ms() }
    }

    fn check_reader(&mut self, reader: &Reader) {
        match reader.txn.open_ttl_table(ROWS) {
            Ok(table) => check(&table, &reader.rows, reader.now, &mut self.rng),
            Err(_) => assert!(reader.rows.is_empty()),
        }
    }

    /// Readers of now, of before and of the past.
    fn look(&mut self, db: &Database) {
        let reader = self.reader(db);
        self.check_reader(&reader);
        self.readers.push(reader);
        if self.readers.len() > 3 {
            self.readers.remove(self.rng.below(3) as usize);
        }
        let readers = core::mem::take(&mut self.readers);
        readers.iter().for_each(|reader| self.check_reader(reader));
        self.readers = readers;
        let listed = db.transaction_history().unwrap();
        let Some(info) = listed.get(self.rng.below(listed.len().max(1) as u64) as usize) else { return };
        let txn = db.begin_read_at(info.transaction_id).unwrap();
        if let Some((time, rows)) = self.past.get(&info.transaction_id) {
            assert_eq!(*time, info.timestamp_ms);
            self.check_reader(&Reader { txn, rows: rows.clone(), now: *time });
        }
    }
}

#[test]
fn rows_are_those_of_a_model() {
    for seed in 0..15 * scale() {
        println!("seed {seed}");
        Session::new(seed).run(50);
    }
}
