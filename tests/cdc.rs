//! The change log: replayed, it gives the same tables; what of it stays; cursors; and what it costs.

mod common;

use common::clock::Hand;
use common::crash::RecordingBackend;
use common::rng::Rng;
use common::scale;
use sapwood::{
    Builder, BytesAppend, CdcConfig, CdcMode, Change, ChangeEvent, ChangePosition, Checkpoint, Clock, Database, Diff,
    Durability, MultimapTableDefinition, ReadTransaction, ReadableDatabase, ReadableMultimapTable, ReadableTable,
    ReadableTtlTable, Savepoint, StorageError, TableChange, TableDefinition, TableHandle, TableKind,
    TtlTableDefinition, UntypedTableHandle, WriteTransaction, merge_fn,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeBounds};
use std::time::Duration;

const NAMES: [&str; 3] = ["oak", "elm", "ash"];
const TTL: TtlTableDefinition<&[u8], &[u8]> = TtlTableDefinition::new("ttl");
const PAIRS: MultimapTableDefinition<&[u8], &[u8]> = MultimapTableDefinition::new("pairs");

fn table(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

/// What is in the tables, as a reader of the log has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Replica {
    tables: BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>,
    pairs: Option<BTreeSet<(Vec<u8>, Vec<u8>)>>,
    /// Rows that expire, each with its time before its value.
    ttl: Option<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Replica {
    fn of(txn: &ReadTransaction) -> Self {
        let mut replica = Self::default();
        for handle in txn.list_tables().unwrap() {
            let name = handle.name().to_string();
            let rows = txn.open_table(table(&name)).unwrap();
            let rows = rows.iter().unwrap().map(|row| row.unwrap());
            let rows = rows.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).collect();
            replica.tables.insert(name, rows);
        }
        if let Ok(pairs) = txn.open_multimap_table(PAIRS) {
            let mut all = BTreeSet::new();
            for row in pairs.iter().unwrap() {
                let (key, values) = row.unwrap();
                all.extend(values.map(|value| (key.value().to_vec(), value.unwrap().value().to_vec())));
            }
            replica.pairs = Some(all);
        }
        if let Ok(ttl) = txn.open_ttl_table(TTL) {
            let rows = ttl.iter().unwrap().map(|row| row.unwrap());
            let raw = rows.map(|(key, value)| {
                let time = value.expires_at_ms().unwrap_or(u64::MAX).to_le_bytes();
                (key.value().to_vec(), [&time[..], value.value()].concat())
            });
            replica.ttl = Some(raw.collect());
        }
        replica
    }

    /// Without the rows that have expired, which a transaction does not see.
    fn seen_at(mut self, now: u64) -> Self {
        let time = |row: &[u8]| u64::from_le_bytes(row[..8].try_into().unwrap());
        self.ttl.iter_mut().for_each(|rows| rows.retain(|_, row| time(row) > now));
        self
    }

    /// Makes the changes of a difference.
    fn patch(&mut self, diff: Diff) {
        for table in diff.map(|table| table.unwrap()) {
            let kind = table.old_kind().or(table.new_kind()).unwrap();
            let rows = table.rows().map(|row| row.unwrap());
            if kind == TableKind::Ttl {
                let kept = self.ttl.get_or_insert_default();
                for row in rows {
                    match row.new_value() {
                        Some(new) => _ = kept.insert(row.key().to_vec(), new.to_vec()),
                        None => _ = kept.remove(row.key()),
                    }
                }
                if table.change() == TableChange::Deleted {
                    self.ttl = None;
                }
                continue;
            }
            if kind == TableKind::Multimap {
                let pairs = self.pairs.get_or_insert_default();
                for row in rows {
                    let pair = |value: &[u8]| (row.key().to_vec(), value.to_vec());
                    row.old_value().into_iter().for_each(|value| assert!(pairs.remove(&pair(value))));
                    row.new_value().into_iter().for_each(|value| assert!(pairs.insert(pair(value))));
                }
                if table.change() == TableChange::Deleted {
                    assert_eq!(self.pairs.take(), Some(BTreeSet::new()));
                }
                continue;
            }
            let kept = self.tables.entry(table.name().to_string()).or_default();
            for row in rows {
                let before = match row.new_value() {
                    Some(new) => kept.insert(row.key().to_vec(), new.to_vec()),
                    None => kept.remove(row.key()),
                };
                assert_eq!(before.as_deref(), row.old_value());
            }
            if table.change() == TableChange::Deleted {
                assert_eq!(self.tables.remove(table.name()), Some(BTreeMap::new()));
            }
        }
    }

    /// `states` are those after each transaction in the log, by its id.
    fn apply(&mut self, event: &ChangeEvent, states: &BTreeMap<u64, Self>) {
        match &event.change {
            Change::CreateTable { ttl: true, .. } => assert_eq!(self.ttl.replace(BTreeMap::new()), None),
            Change::CreateTable { multimap: true, .. } => {
                assert_eq!(self.pairs.replace(BTreeSet::new()), None);
            }
            Change::CreateTable { key, value, .. } => {
                assert_eq!((key.name(), value.name()), ("&[u8]", "&[u8]"));
                assert_eq!(self.tables.insert(event.table.clone(), BTreeMap::new()), None);
            }
            Change::DeleteTable if event.table == "ttl" => assert!(self.ttl.take().is_some()),
            change if event.table == "ttl" => apply_row(self.ttl.as_mut().unwrap(), change),
            Change::DeleteTable if event.table == "pairs" => assert!(self.pairs.take().is_some()),
            Change::DeleteTable => assert!(self.tables.remove(&event.table).is_some()),
            Change::RenameTable { new_name } => {
                let rows = self.tables.remove(&event.table).unwrap();
                assert_eq!(self.tables.insert(new_name.clone(), rows), None);
            }
            Change::Revert { to } => {
                *self = states.range(..=*to).next_back().map(|(_, state)| state.clone()).unwrap_or_default();
            }
            Change::InsertPair { key, value } => {
                assert!(self.pairs.as_mut().unwrap().insert((key.clone(), value.clone())));
            }
            Change::DeletePair { key, value } => {
                assert!(self.pairs.as_mut().unwrap().remove(&(key.clone(), value.clone())));
            }
            change => apply_row(self.tables.get_mut(&event.table).unwrap(), change),
        }
    }
}

fn apply_row(rows: &mut BTreeMap<Vec<u8>, Vec<u8>>, change: &Change) {
    match change {
        Change::Insert { key, new } => assert_eq!(rows.insert(key.clone(), new.clone().unwrap()), None),
        Change::Update { key, old, new } => assert_eq!(rows.insert(key.clone(), new.clone().unwrap()), *old),
        Change::Delete { key, old } | Change::Expire { key, old } => assert_eq!(rows.remove(key), *old),
        Change::Merge { key, operand, old, new, is_there } => {
            assert!(operand.is_some() && *is_there == new.is_some());
            let before = match new {
                Some(new) => rows.insert(key.clone(), new.clone()),
                None => rows.remove(key),
            };
            assert_eq!(before, *old);
        }
        Change::DeleteRange { start, end, rows: count } => {
            let before = rows.len();
            rows.retain(|key, _| !RangeBounds::<Vec<u8>>::contains(&(start.as_ref(), end.as_ref()), key));
            assert_eq!((before - rows.len()) as u64, *count);
        }
        other => panic!("{other:?}"),
    }
}

fn events(txn: &ReadTransaction, after: ChangePosition) -> Vec<ChangeEvent> {
    let events: Vec<_> = txn.read_cdc_since(after).unwrap().collect::<Result<_, _>>().unwrap();
    assert!(events.is_sorted_by_key(|event| event.position));
    let times: BTreeMap<_, _> =
        events.iter().map(|event| (event.position.transaction_id, event.timestamp_ms)).collect();
    assert!(events.iter().all(|event| times[&event.position.transaction_id] == event.timestamp_ms));
    assert!(times.values().is_sorted());
    events
}

struct Session {
    rng: Rng,
    page: usize,
    cache: usize,
    backend: RecordingBackend,
    /// What was replayed, up to that place.
    replica: Replica,
    read: ChangePosition,
    states: BTreeMap<u64, Replica>,
    savepoints: Vec<Savepoint>,
    clock: Hand,
    /// Durable state at the last commit that is sure to survive.
    durable: Replica,
}

impl Session {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            page: *rng.pick(&[512, 1024, 4096]),
            cache: *rng.pick(&[0, 20_000, 1 << 24]),
            rng,
            backend: RecordingBackend::new(),
            replica: Replica::default(),
            read: ChangePosition::START,
            states: BTreeMap::new(),
            savepoints: Vec::new(),
            clock: Hand::default(),
            durable: Replica::default(),
        }
    }

    fn open(&self) -> Database {
        let mut builder = Builder::new();
        builder.set_page_size(self.page).set_cache_size(self.cache);
        builder.set_cdc(CdcConfig::new(CdcMode::OldAndNew)).set_history_retention(1000).set_clock(self.clock.clone());
        builder.create_with_backend(self.backend.clone()).unwrap()
    }

    fn run(&mut self, transactions: usize) {
        let mut db = self.open();
        for _ in 0..transactions {
            self.transaction(&db);
            if self.rng.chance(128) {
                self.catch_up(&db);
            }
            match self.rng.below(24) {
                0 => drop(db.verify().unwrap()),
                1 => {
                    self.savepoints.clear();
                    drop(db);
                    self.backend = RecordingBackend::from_image(self.backend.contents());
                    db = self.open();
                    self.catch_up(&db);
                    self.durable = Replica::of(&db.begin_read().unwrap());
                }
                2 => {
                    self.savepoints.clear();
                    self.backend = RecordingBackend::from_state(self.backend.kill());
                    drop(db);
                    db = self.open();
                    let durable = self.durable.clone().seen_at(self.clock.now_ms());
                    assert_eq!(Replica::of(&db.begin_read().unwrap()), durable);
                    // What was read of commits that are lost is not issued again; the reader begins anew.
                    self.forget();
                    self.catch_up(&db);
                }
                _ => {}
            }
        }
        self.catch_up(&db);
        self.compare_ranges(&db);
        drop(db);
    }

    fn forget(&mut self) {
        (self.replica, self.states) = Default::default();
        self.read = ChangePosition::START;
    }

    /// Replays what is new.
    fn catch_up(&mut self, db: &Database) {
        let txn = db.begin_read().unwrap();
        let new = events(&txn, self.read);
        for (nth, event) in new.iter().enumerate() {
            self.replica.apply(event, &self.states);
            let ends =
                new.get(nth + 1).is_none_or(|next| next.position.transaction_id != event.position.transaction_id);
            if ends {
                self.states.insert(event.position.transaction_id, self.replica.clone());
            }
        }
        assert_eq!(
            txn.latest_cdc_position().unwrap().unwrap_or(self.read),
            new.last().map_or(self.read, |e| e.position)
        );
        self.read = new.last().map_or(self.read, |event| event.position);
        assert_eq!(self.replica.clone().seen_at(self.clock.now_ms()), Replica::of(&txn));
    }

    /// The log between two commits of the history leads from one to the other.
    fn compare_ranges(&mut self, db: &Database) {
        let history = db.transaction_history().unwrap();
        for _ in 0..10 {
            let (a, b) = (*self.rng.pick(&history), *self.rng.pick(&history));
            let (older, newer) = if a.transaction_id <= b.transaction_id { (a, b) } else { (b, a) };
            let (from, to) =
                (db.begin_read_at(older.transaction_id).unwrap(), db.begin_read_at(newer.transaction_id).unwrap());
            // What has expired by then is not seen, but told of: the states that were replayed have it.
            let state =
                |id: u64| self.states.range(..=id).next_back().map(|(_, state)| state.clone()).unwrap_or_default();
            let mut replica = state(older.transaction_id);
            assert_eq!(replica.clone().seen_at(older.timestamp_ms), Replica::of(&from));
            let after = ChangePosition::after_transaction(older.transaction_id);
            let until = ChangePosition::after_transaction(newer.transaction_id);
            let head: Vec<_> = db.begin_read().unwrap().read_cdc_range(after, until).unwrap().collect();
            let seen: Vec<_> = to.read_cdc_since(after).unwrap().map(|event| event.unwrap()).collect();
            assert!(
                head.into_iter().map(|event| event.unwrap()).eq(seen.iter().cloned()),
                "a past commit sees its log"
            );
            seen.iter().for_each(|event| replica.apply(event, &self.states));
            assert_eq!(replica.clone().seen_at(newer.timestamp_ms), Replica::of(&to));
            let mut patched = state(older.transaction_id);
            patched.patch(from.diff(&to).unwrap());
            assert_eq!(patched, replica, "the difference of the two");
        }
    }

    fn transaction(&mut self, db: &Database) {
        self.clock.advance(self.rng.below(20));
        let mut txn = db.begin_write().unwrap();
        let durable = !self.rng.chance(80);
        txn.set_durability(if durable { Durability::Immediate } else { Durability::None }).unwrap();
        txn.set_quick_repair(durable && self.rng.chance(40));
        if self.rng.chance(40) {
            self.savepoints.push(txn.ephemeral_savepoint().unwrap());
        }
        let mut marks: Vec<Checkpoint> = Vec::new();
        for _ in 0..self.rng.below(8) {
            match self.rng.below(20) {
                0 => self.restore(&mut txn, db),
                1 | 2 => marks.push(txn.checkpoint().unwrap()),
                3 if !marks.is_empty() => {
                    let nth = self.rng.below(marks.len() as u64) as usize;
                    marks.truncate(nth + 1);
                    txn.rollback_to(&marks[nth]).unwrap();
                }
                4 => self.change_tables(&txn),
                5..=8 => self.change_pairs(&txn),
                9 | 10 => self.change_ttl(&txn),
                _ => self.change_rows(&txn),
            }
        }
        if self.rng.chance(30) {
            return;
        }
        txn.commit().unwrap();
        if durable {
            self.durable = Replica::of(&db.begin_read().unwrap());
        }
    }

    fn restore(&mut self, txn: &mut WriteTransaction, db: &Database) {
        if self.rng.chance(128) {
            let history = db.transaction_history().unwrap();
            if !history.is_empty() {
                let nth = self.rng.below(history.len() as u64) as usize;
                txn.revert_to(history[nth].transaction_id).unwrap();
            }
        } else if !self.savepoints.is_empty() {
            let nth = self.rng.below(self.savepoints.len() as u64) as usize;
            let _ = txn.restore_savepoint(&self.savepoints[nth]);
        }
    }

    fn change_tables(&mut self, txn: &WriteTransaction) {
        let (one, other) = (*self.rng.pick(&NAMES), *self.rng.pick(&NAMES));
        let handle = |name: &str| -> UntypedTableHandle {
            txn.list_tables().unwrap().find(|handle| handle.name() == name).unwrap()
        };
        let exists = |name: &str| txn.list_tables().unwrap().any(|handle| handle.name() == name);
        match self.rng.below(3) {
            0 => assert!(txn.delete_table(table(one)).is_ok()),
            1 if exists(one) && !exists(other) => txn.rename_table(handle(one), table(other)).unwrap(),
            2 if self.rng.chance(60) => assert!(txn.delete_multimap_table(PAIRS).is_ok()),
            _ => {}
        }
    }

    fn key(&mut self) -> Vec<u8> {
        let length = if self.rng.chance(8) { 700 } else { 1 + self.rng.below(2) as usize };
        vec![self.rng.below(60) as u8; length]
    }

    fn value(&mut self) -> Vec<u8> {
        let length = if self.rng.chance(12) { self.rng.below(5000) } else { self.rng.below(60) };
        vec![self.rng.next_u64() as u8; length as usize]
    }

    fn change_pairs(&mut self, txn: &WriteTransaction) {
        let mut pairs = txn.open_multimap_table(PAIRS).unwrap();
        for _ in 0..self.rng.below(30) {
            let (key, value) = (self.key(), vec![self.rng.below(200) as u8; 20]);
            match self.rng.below(12) {
                0 => drop(pairs.remove_all(&*key).unwrap()),
                1..=3 => assert!(pairs.remove(&*key, &*value).is_ok()),
                _ => assert!(pairs.insert(&*key, &*value).is_ok()),
            }
        }
    }

    fn change_ttl(&mut self, txn: &WriteTransaction) {
        if self.rng.chance(10) {
            assert!(txn.delete_ttl_table(TTL).is_ok());
            return;
        }
        let mut rows = txn.open_ttl_table(TTL).unwrap();
        for _ in 0..self.rng.below(20) {
            let (key, value, ttl) = (self.key(), self.value(), Duration::from_millis(self.rng.below(60)));
            match self.rng.below(12) {
                0 => assert!(rows.purge_expired(3).is_ok()),
                1 => assert!(rows.touch(&*key, ttl).is_ok()),
                2 => assert!(rows.persist(&*key).is_ok()),
                3 => assert!(rows.remove(&*key).is_ok()),
                4 => assert!(rows.retain(|key, _| key[0] % 7 != 3).is_ok()),
                5 => assert!(rows.pop_first().is_ok()),
                6 => assert!(rows.insert(&*key, &*value).is_ok()),
                _ => assert!(rows.insert_with_ttl(&*key, &*value, ttl).is_ok()),
            }
        }
    }

    fn change_rows(&mut self, txn: &WriteTransaction) {
        let name = *self.rng.pick(&NAMES);
        let mut rows = txn.open_table(table(name)).unwrap();
        for _ in 0..self.rng.below(30) {
            let (key, value) = (self.key(), self.value());
            match self.rng.below(28) {
                0..=9 => drop(rows.insert(&*key, &*value).unwrap()),
                10..=12 => drop(rows.remove(&*key).unwrap()),
                13 => drop(rows.pop_first().unwrap()),
                14 => drop(rows.pop_last().unwrap()),
                15 => {
                    if let Some(mut guard) = rows.get_mut(&*key).unwrap() {
                        guard.insert(&*value).unwrap();
                    }
                }
                16 => {
                    let mut guard = rows.insert_reserve(&*key, value.len()).unwrap();
                    guard.as_mut().copy_from_slice(&value);
                    if self.rng.chance(60) {
                        std::mem::forget(guard);
                    }
                }
                17 => assert!(rows.delete_range(&*key..).is_ok()),
                18 => {
                    let end = self.key();
                    assert!(rows.delete_range(&*key..=&*end).is_ok());
                }
                19 => rows.retain(|key, _| key[0] % 7 != 3).unwrap(),
                20 => {
                    let gone: Vec<_> = rows.extract_if(|key, _| key[0] % 5 == 1).unwrap().take(3).collect();
                    assert!(gone.iter().all(|row| row.is_ok()));
                }
                21 => drop(rows.entry(&*key).unwrap().or_insert(&*value).unwrap()),
                23..=25 => (0..3).for_each(|nth| rows.merge(&*key, &[nth], &BytesAppend).unwrap()),
                26 => rows.merge(&*key, &value, &merge_fn(|_, _, _| None)).unwrap(),
                22 => {
                    let mut cursor = rows.lower_bound_mut(Bound::Included(&*key)).unwrap();
                    let _ = cursor.insert_before(&*key, &*value);
                    let _ = cursor.remove_next().unwrap();
                }
                _ => {
                    let last = rows.last().unwrap().map(|(key, _)| key.value().to_vec()).unwrap_or_default();
                    let new: Vec<_> = (1..4_u8).map(|nth| [&last[..], &[nth]].concat()).collect();
                    if last.len() < 30 {
                        rows.bulk_load(new.iter().map(|key| (&key[..], &value[..]))).unwrap();
                    }
                }
            }
        }
    }
}

#[test]
fn the_log_replayed_gives_the_same_tables() {
    for seed in 0..40 * scale() {
        println!("seed {seed}");
        Session::new(seed).run(60);
    }
}

const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
const OTHER: TableDefinition<u64, &[u8]> = TableDefinition::new("other");

fn with_log(config: CdcConfig) -> (Database, RecordingBackend, Hand) {
    let (backend, clock) = (RecordingBackend::new(), Hand::default());
    let db = Builder::new().set_cdc(config).set_clock(clock.clone()).create_with_backend(backend.clone()).unwrap();
    (db, backend, clock)
}

fn put(db: &Database, key: u64, value: &[u8]) {
    let txn = db.begin_write().unwrap();
    txn.open_table(ROWS).unwrap().insert(key, value).unwrap();
    txn.commit().unwrap();
}

fn all(db: &Database, after: ChangePosition) -> Result<Vec<ChangeEvent>, StorageError> {
    db.begin_read().unwrap().read_cdc_since(after)?.collect()
}

#[test]
fn a_mode_says_what_is_logged_of_rows() {
    let old_new = |mode| match mode {
        CdcMode::Keys => (None, None),
        CdcMode::NewValues => (None, Some(b"new".to_vec())),
        _ => (Some(b"old".to_vec()), Some(b"new".to_vec())),
    };
    for mode in [CdcMode::Keys, CdcMode::NewValues, CdcMode::OldAndNew] {
        let (db, ..) = with_log(CdcConfig::new(mode));
        put(&db, 1, b"old");
        put(&db, 1, b"new");
        let txn = db.begin_write().unwrap();
        txn.open_table(ROWS).unwrap().remove(1).unwrap();
        txn.commit().unwrap();
        let (old, new) = old_new(mode);
        let key = 1_u64.to_le_bytes().to_vec();
        let changes: Vec<_> = all(&db, ChangePosition::START).unwrap().into_iter().skip(1).collect();
        assert!(matches!(&changes[0].change, Change::Insert { new: value, .. } if value.is_some() == new.is_some()));
        assert_eq!(changes[1].change, Change::Update { key: key.clone(), old: old.clone(), new: new.clone() });
        let gone = new.filter(|_| old.is_some());
        assert_eq!(changes[2].change, Change::Delete { key, old: gone });
        assert_eq!(changes[2].table, "rows");
    }
}

#[test]
fn without_a_log_there_is_nothing_of_it_in_the_file() {
    let run = |config: Option<CdcConfig>| {
        let backend = RecordingBackend::new();
        let mut builder = Builder::new();
        config.map(|config| builder.set_cdc(config));
        let db = builder.create_with_backend(backend.clone()).unwrap();
        put(&db, 1, b"one");
        assert_eq!(all(&db, ChangePosition::START).unwrap(), []);
        let txn = db.begin_read().unwrap();
        assert_eq!((txn.latest_cdc_position().unwrap(), txn.cdc_pruned_up_to().unwrap()), (None, None));
        drop((txn, db));
        backend.contents().len()
    };
    assert_eq!(run(None) + 4096, run(Some(CdcConfig::new(CdcMode::Off))), "a page for the settings");
}

#[test]
fn a_table_may_say_otherwise() {
    let (db, backend, _) = with_log(CdcConfig::new(CdcMode::Off));
    put(&db, 1, b"unseen");
    let mut txn = db.begin_write().unwrap();
    txn.set_table_cdc("rows", Some(CdcMode::NewValues)).unwrap();
    txn.commit().unwrap();
    put(&db, 2, b"seen");
    let txn = db.begin_write().unwrap();
    txn.open_table(OTHER).unwrap().insert(1, &b"unseen"[..]).unwrap();
    txn.commit().unwrap();
    drop(db);
    // The file knows it.
    let db = Builder::new().create_with_backend(RecordingBackend::from_image(backend.contents())).unwrap();
    let txn = db.begin_write().unwrap();
    txn.delete_table(OTHER).unwrap();
    txn.rename_table(ROWS, OTHER).unwrap();
    txn.open_table(OTHER).unwrap().insert(3, &b"seen"[..]).unwrap();
    txn.commit().unwrap();
    let txn = db.begin_write().unwrap();
    txn.delete_table(OTHER).unwrap();
    txn.open_table(OTHER).unwrap().insert(4, &b"unseen"[..]).unwrap();
    txn.commit().unwrap();
    let seen: Vec<_> = all(&db, ChangePosition::START).unwrap().into_iter().map(|event| event.change).collect();
    let insert = |key: u64| Change::Insert { key: key.to_le_bytes().to_vec(), new: Some(b"seen".to_vec()) };
    let renamed = Change::RenameTable { new_name: "other".into() };
    assert_eq!(seen, [insert(2), renamed, insert(3), Change::DeleteTable]);
    let mut txn = db.begin_write().unwrap();
    txn.set_table_cdc("other", Some(CdcMode::Keys)).unwrap();
    txn.set_table_cdc("other", None).unwrap();
    txn.open_table(OTHER).unwrap().insert(5, &b"unseen"[..]).unwrap();
    assert!(matches!(txn.set_table_cdc(&"n".repeat(5000), None), Err(StorageError::ValueTooLarge(5000))));
    txn.commit().unwrap();
    assert_eq!(all(&db, ChangePosition::START).unwrap().len(), 4);
}

/// The log has the newest transactions, as many as said or a sixteenth more, and says so of the others just if they are gone.
#[test]
fn what_is_let_go_is_told_and_nothing_else() {
    let most = 32;
    let (by_count, by_bytes, by_age) = (
        CdcConfig::new(CdcMode::OldAndNew).with_max_transactions(most),
        CdcConfig::new(CdcMode::OldAndNew).with_max_bytes(most * 117),
        CdcConfig::new(CdcMode::OldAndNew).with_max_age(Duration::from_millis(most * 10)),
    );
    for config in [by_count, by_bytes, by_age] {
        let (db, backend, clock) = with_log(config);
        let mut logged: Vec<ChangeEvent> = Vec::new();
        for round in 0..200_u64 {
            clock.advance(10);
            put(&db, round, &[round as u8; 100]);
            let after = logged.last().map_or(ChangePosition::START, |event| event.position);
            logged.extend(all(&db, after).unwrap());
            let txn = db.begin_read().unwrap();
            let gone = txn.cdc_pruned_up_to().unwrap();
            let kept = logged.iter().filter(|event| gone.is_none_or(|gone| event.position > gone));
            let places = [ChangePosition::START].into_iter().chain(logged.iter().map(|event| event.position));
            for after in places.rev().take(60).step_by(7) {
                let missing = logged.iter().any(|event| event.position > after && Some(event.position) <= gone);
                match txn.read_cdc_since(after) {
                    Err(StorageError::CdcPruned { up_to }) if missing => assert_eq!(Some(up_to), gone),
                    Ok(events) if !missing => {
                        let expected = logged.iter().filter(|event| event.position > after);
                        assert!(events.map(|event| event.unwrap()).eq(expected.cloned()));
                    }
                    other => panic!("after {after:?}, gone {gone:?}: {other:?}"),
                }
            }
            let kept = kept.count() as u64;
            assert!(kept <= most + most / 16 + 2, "{kept} events");
            assert!(kept >= most.min(round), "{kept} events in round {round}");
        }
        db.verify().unwrap();
        drop(db);
        assert!(backend.contents().len() < 300_000, "{} bytes", backend.contents().len());
    }
}

#[test]
fn a_cursor_is_kept_and_may_hold_the_log() {
    let (db, backend, _) = with_log(CdcConfig::new(CdcMode::Keys).with_max_transactions(4));
    let txn = db.begin_write().unwrap();
    txn.hold_cdc_cursor("slow", true).unwrap();
    txn.advance_cdc_cursor("fast", ChangePosition::START).unwrap();
    assert!(matches!(txn.hold_cdc_cursor(&"n".repeat(5000), true), Err(StorageError::ValueTooLarge(5000))));
    txn.commit().unwrap();
    (0..20).for_each(|key| put(&db, key, b""));
    let events = all(&db, ChangePosition::START).unwrap();
    assert_eq!(events.len(), 21);
    let txn = db.begin_write().unwrap();
    txn.advance_cdc_cursor("slow", events[10].position).unwrap();
    txn.commit().unwrap();
    let aborted = db.begin_write().unwrap();
    aborted.advance_cdc_cursor("slow", events[20].position).unwrap();
    drop(aborted);
    drop(db);
    let db = Builder::new().create_with_backend(RecordingBackend::from_image(backend.contents())).unwrap();
    let txn = db.begin_read().unwrap();
    let cursors = txn.cdc_cursors().unwrap();
    let seen: Vec<_> = cursors.iter().map(|cursor| (&*cursor.name, cursor.position, cursor.holds)).collect();
    assert_eq!(seen, [("fast", ChangePosition::START, false), ("slow", events[10].position, true)]);
    assert_eq!(txn.cdc_cursor("slow").unwrap().as_ref(), cursors.get(1));
    assert_eq!(txn.cdc_cursor("none").unwrap(), None);
    put(&db, 50, b"");
    assert_eq!(all(&db, events[10].position).unwrap().len(), 11);
    assert!(matches!(all(&db, events[9].position), Err(StorageError::CdcPruned { .. })));
    let txn = db.begin_write().unwrap();
    assert!(txn.delete_cdc_cursor("slow").unwrap() && !txn.delete_cdc_cursor("slow").unwrap());
    txn.commit().unwrap();
    assert!(matches!(all(&db, events[15].position), Err(StorageError::CdcPruned { .. })));
}

#[test]
fn a_large_transaction_is_logged_and_read_in_little_memory() {
    let budget = 1 << 20;
    let backend = RecordingBackend::new();
    let config = CdcConfig::new(CdcMode::OldAndNew);
    let db = Builder::new().set_cache_size(budget).set_cdc(config).create_with_backend(backend.clone()).unwrap();
    let rows = 20_000 * scale().min(5);
    let mut txn = db.begin_write().unwrap();
    let mut table = txn.open_table(ROWS).unwrap();
    (0..rows).for_each(|key| drop(table.insert(key, &[key as u8; 150][..]).unwrap()));
    drop(table);
    let checkpoint = txn.checkpoint().unwrap();
    txn.open_table(ROWS).unwrap().retain(|key, _| key < 10).unwrap();
    assert!(db.cache_stats().used_bytes() <= budget, "{:?}", db.cache_stats());
    txn.rollback_to(&checkpoint).unwrap();
    txn.commit().unwrap();
    let txn = db.begin_read().unwrap();
    let mut events = txn.read_cdc_since(ChangePosition::START).unwrap().skip(1);
    for key in 0..rows {
        let event = events.next().unwrap().unwrap();
        assert_eq!(event.position.sequence, key + 2);
        let expected = Change::Insert { key: key.to_le_bytes().to_vec(), new: Some(vec![key as u8; 150]) };
        assert_eq!(event.change, expected);
    }
    assert!(events.next().is_none());
    assert!(db.cache_stats().used_bytes() <= budget, "{:?}", db.cache_stats());
    db.verify().unwrap();
}

/// What a reader has seen of a commit that was lost is not issued again.
#[test]
fn places_are_not_used_again_after_a_crash() {
    for closes in [false, true] {
        let (db, mut backend, _) = with_log(CdcConfig::new(CdcMode::Keys));
        put(&db, 1, b"");
        let mut txn = db.begin_write().unwrap();
        txn.set_durability(Durability::None).unwrap();
        txn.open_table(ROWS).unwrap().insert(2, &b""[..]).unwrap();
        txn.commit().unwrap();
        let lost = all(&db, ChangePosition::START).unwrap().last().unwrap().position;
        let mut last = lost;
        for _ in 0..3 {
            let killed = backend.kill();
            backend = RecordingBackend::from_state(killed);
            let db = Builder::new().create_with_backend(backend.clone()).unwrap();
            put(&db, 3, b"");
            if closes {
                drop(db);
                backend = RecordingBackend::from_image(backend.contents());
            }
            let db = Builder::new().create_with_backend(backend.clone()).unwrap_or_else(|_| unreachable!());
            let newest = db.begin_read().unwrap().latest_cdc_position().unwrap().unwrap();
            assert!(newest > last, "{newest:?} after {last:?}");
            last = newest;
            std::mem::forget(db);
        }
        drop(db);
    }
}

#[test]
fn a_reserved_value_is_told_by_the_mode_it_was_reserved_under() {
    let (db, ..) = with_log(CdcConfig::new(CdcMode::OldAndNew));
    for after in 0..3 {
        let mut txn = db.begin_write().unwrap();
        txn.open_table(ROWS).unwrap().insert_reserve(after, 3).unwrap().as_mut().copy_from_slice(b"one");
        txn.set_table_cdc("rows", Some(CdcMode::Off)).unwrap();
        match after {
            0 => drop(txn.open_table(ROWS).unwrap().insert(after, &b"unseen"[..]).unwrap()),
            1 => drop(txn.open_table(ROWS).unwrap().remove(after).unwrap()),
            _ => {}
        }
        txn.set_table_cdc("rows", None).unwrap();
        txn.commit().unwrap();
        let last = all(&db, ChangePosition::START).unwrap().pop().unwrap().change;
        assert_eq!(last, Change::Insert { key: after.to_le_bytes().to_vec(), new: Some(b"one".to_vec()) });
    }
}

#[test]
fn a_reserved_value_is_told_before_its_table_is_renamed() {
    let (db, ..) = with_log(CdcConfig::new(CdcMode::NewValues));
    let txn = db.begin_write().unwrap();
    txn.open_table(ROWS).unwrap().insert_reserve(1, 3).unwrap().as_mut().copy_from_slice(b"one");
    txn.rename_table(ROWS, OTHER).unwrap();
    txn.commit().unwrap();
    let changes: Vec<_> = all(&db, ChangePosition::START).unwrap().into_iter().skip(1).collect();
    let told: Vec<_> = changes.iter().map(|event| (&*event.table, &event.change)).collect();
    let insert = Change::Insert { key: 1_u64.to_le_bytes().to_vec(), new: Some(b"one".to_vec()) };
    assert_eq!(told, [("rows", &insert), ("rows", &Change::RenameTable { new_name: "other".into() })]);
}

#[test]
fn a_closed_database_tells_nothing_of_its_log() {
    let (db, ..) = with_log(CdcConfig::new(CdcMode::Keys));
    put(&db, 1, b"one");
    let txn = db.begin_read().unwrap();
    drop(db);
    assert!(matches!(txn.read_cdc_since(ChangePosition::START), Err(StorageError::DatabaseClosed)));
    assert!(matches!(txn.latest_cdc_position(), Err(StorageError::DatabaseClosed)));
    assert!(matches!(txn.cdc_pruned_up_to(), Err(StorageError::DatabaseClosed)));
    assert!(matches!(txn.cdc_cursor("reader"), Err(StorageError::DatabaseClosed)));
    assert!(matches!(txn.cdc_cursors(), Err(StorageError::DatabaseClosed)));
}

#[test]
fn the_newest_transaction_stays_in_a_log_without_room() {
    let none = CdcConfig::new(CdcMode::Keys);
    for config in [none.with_max_transactions(0), none.with_max_bytes(0), none.with_max_age(Duration::ZERO)] {
        let (db, _, clock) = with_log(config);
        for now in [7, u64::MAX - 9, 5] {
            clock.set(now);
            put(&db, now, b"value");
            let up_to = db.begin_read().unwrap().cdc_pruned_up_to().unwrap().unwrap_or(ChangePosition::START);
            let left = all(&db, up_to).unwrap();
            assert!(matches!(&left.last().unwrap().change, Change::Insert { key, .. } if *key == now.to_le_bytes()));
            let ids: BTreeSet<_> = left.iter().map(|event| event.position.transaction_id).collect();
            assert_eq!(ids.len(), 1);
        }
    }
}

#[test]
fn what_is_logged_of_a_table_is_looked_up_beside_who_writes_the_log() {
    for cache in [0, 1 << 20] {
        let mut builder = Builder::new();
        builder.set_page_size(512).set_cache_size(cache).set_cdc(CdcConfig::new(CdcMode::OldAndNew));
        let db = builder.set_history_retention(10).create_with_backend(RecordingBackend::new()).unwrap();
        let mut txn = db.begin_write().unwrap();
        let names: Vec<_> = (0..40).map(|nth| format!("table {nth}")).collect();
        names.iter().for_each(|name| txn.set_table_cdc(name, Some(CdcMode::Keys)).unwrap());
        txn.set_table_cdc("log", Some(CdcMode::OldAndNew)).unwrap();
        txn.commit().unwrap();
        let past = db.transaction_history().unwrap()[0].transaction_id;
        let txn = db.begin_write().unwrap();
        std::thread::scope(|scope| {
            let (txn, names) = (&txn, &names);
            scope.spawn(move || {
                let mut rows = txn.open_table(table("log")).unwrap();
                for nth in 0..4000_u32 {
                    rows.insert(&nth.to_be_bytes()[..], &[nth as u8; 300][..]).unwrap();
                }
            });
            scope.spawn(move || {
                for nth in 0..4000 {
                    let name = &names[nth % names.len()];
                    txn.open_table(table(name)).unwrap().insert(&b"key"[..], &b"value"[..]).unwrap();
                    txn.pin_history(&format!("pin {}", nth % 30), past).unwrap();
                    if nth % 5 == 0 {
                        assert!(txn.delete_table(table(name)).unwrap());
                        txn.open_table(table(name)).unwrap();
                    }
                }
            });
        });
        txn.commit().unwrap();
        db.verify().unwrap();
    }
}
