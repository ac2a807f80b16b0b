//! Past commits against a model, with crashes and reopening in between; what they cost; and their errors.

mod common;

use common::clock::Hand;
use common::crash::RecordingBackend;
use common::rng::Rng;
use common::scale;
use sapwood::{Builder, Clock, CompactOptions, Database, Durability, HistoryRetention, ReadTransaction};
use sapwood::{Error, ReadableDatabase, ReadableTable, StorageError, TableDefinition, WriteTransaction};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");

type Model = BTreeMap<u64, Vec<u8>>;

fn model_of(txn: &ReadTransaction) -> Model {
    let Ok(table) = txn.open_table(ROWS) else { return Model::new() };
    let rows = table.iter().unwrap().map(|row| row.unwrap());
    rows.map(|(key, value)| (key.value(), value.value().to_vec())).collect()
}

#[derive(Clone, Debug, Default)]
struct State {
    rows: Model,
    /// By id, the time and the rows of each commit that may be there.
    past: BTreeMap<u64, (u64, Model)>,
    pins: BTreeMap<String, u64>,
    /// Pins when a commit was recorded last. What a commit without durability unpins goes with the next one.
    pinned: u64,
}

struct Session {
    rng: Rng,
    page: usize,
    cache: usize,
    clock: Hand,
    /// Newest commits, and age.
    retention: (u64, u64),
    backend: RecordingBackend,
    committed: State,
    durable: State,
    readers: Vec<(ReadTransaction, Model)>,
}

impl Session {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            page: *rng.pick(&[512, 512, 1024, 4096]),
            cache: *rng.pick(&[0, 20_000, 1 << 24]),
            clock: Hand::default(),
            retention: (*rng.pick(&[1, 3, 10, 40, u64::MAX]), *rng.pick(&[300, u64::MAX, u64::MAX])),
            rng,
            backend: RecordingBackend::new(),
            committed: State::default(),
            durable: State::default(),
            readers: Vec::new(),
        }
    }

    /// The retention is told now and then only: the file knows it.
    fn open(&mut self) -> Database {
        let mut builder = Builder::new();
        builder.set_page_size(self.page).set_cache_size(self.cache).set_clock(self.clock.clone());
        if self.committed.past.is_empty() || self.rng.chance(128) {
            let (commits, age) = self.retention;
            let age = Duration::from_millis(age);
            builder.set_history_retention(HistoryRetention::UNLIMITED.with_max_commits(commits).with_max_age(age));
        }
        builder.create_with_backend(self.backend.clone()).unwrap()
    }

    fn run(&mut self, transactions: usize) {
        let mut db = self.open();
        for _ in 0..transactions {
            self.transaction(&db);
            self.look(&db);
            match self.rng.below(24) {
                0 => drop(db.verify().unwrap()),
                1 => {
                    self.readers.clear();
                    drop(db);
                    self.durable = self.committed.clone();
                    self.backend = RecordingBackend::from_image(self.backend.contents());
                    db = self.open();
                    self.check_past(&db);
                }
                2 => {
                    self.readers.clear();
                    self.backend = RecordingBackend::from_state(self.backend.kill());
                    drop(db);
                    self.committed = self.durable.clone();
                    db = self.open();
                    assert_eq!(model_of(&db.begin_read().unwrap()), self.committed.rows);
                    self.check_past(&db);
                }
                3 => {
                    db.compact_online(CompactOptions::new(), |_| ControlFlow::Continue(())).unwrap();
                    self.durable = self.committed.clone();
                    self.check_past(&db);
                }
                _ => {}
            }
        }
        self.readers.clear();
        self.let_all_go(db);
    }

    /// Without history nothing is kept.
    fn let_all_go(&mut self, db: Database) {
        drop(db);
        let mut builder = Builder::new();
        builder.set_page_size(self.page).set_cache_size(self.cache).set_history_retention(HistoryRetention::OFF);
        let db = builder.create_with_backend(RecordingBackend::from_image(self.backend.contents())).unwrap();
        let txn = db.begin_write().unwrap();
        for name in self.committed.pins.keys() {
            assert!(txn.unpin_history(name).unwrap());
        }
        txn.commit().unwrap();
        assert_eq!(db.transaction_history().unwrap(), []);
        (0..3).for_each(|_| db.begin_write().unwrap().commit().unwrap());
        let report = db.verify().unwrap();
        assert!(report.kept_pages <= 8, "{report:?}");
    }

    fn check_past(&mut self, db: &Database) {
        let listed = db.transaction_history().unwrap();
        let past = &self.committed.past;
        let (commits, age) = self.retention;
        let newest = past.len().saturating_sub(usize::try_from(commits).unwrap_or(usize::MAX));
        let now = past.values().next_back().map_or(0, |(time, _)| *time);
        for (nth, (id, (time, _))) in past.iter().enumerate() {
            let pinned = self.committed.pins.values().any(|pin| pin == id);
            if pinned || (nth >= newest && now - time <= age) {
                assert!(listed.iter().any(|info| info.transaction_id == *id), "{id} of {listed:?}");
            }
        }
        let most = commits.saturating_add(commits / 16).saturating_add(self.committed.pinned);
        assert!(listed.len() as u64 <= most, "{} of {commits}", listed.len());
        for info in &listed {
            let (time, rows) = &past[&info.transaction_id];
            assert_eq!(info.timestamp_ms, *time);
            if self.rng.chance(64) {
                let txn = db.begin_read_at(info.transaction_id).unwrap();
                assert_eq!((model_of(&txn), txn.timestamp_ms()), (rows.clone(), Some(*time)));
                if self.rng.chance(32) {
                    self.readers.push((txn, rows.clone()));
                }
            }
        }
        let time = self.rng.below(now + 20);
        let expected = listed.iter().rev().find(|info| info.timestamp_ms <= time);
        match (db.begin_read_at_time(time), expected) {
            (Ok(txn), Some(info)) => assert_eq!(txn.transaction_id(), info.transaction_id),
            (Err(err), None) => assert!(matches!(Error::from(err), Error::HistoryTimeNotFound(_))),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
        assert!(db.history_pins().unwrap().into_iter().eq(self.committed.pins.clone()));
    }

    fn look(&mut self, db: &Database) {
        if self.rng.chance(64) {
            self.check_past(db);
        }
        for (txn, model) in &self.readers {
            assert_eq!(model_of(txn), *model);
        }
        if self.readers.len() > 3 || self.rng.chance(32) {
            self.readers.pop();
        }
    }

    fn transaction(&mut self, db: &Database) {
        self.clock.advance(self.rng.below(40));
        let mut txn = db.begin_write().unwrap();
        let durable = !self.rng.chance(80);
        txn.set_durability(if durable { Durability::Immediate } else { Durability::None }).unwrap();
        txn.set_quick_repair(durable && self.rng.chance(60));
        txn.set_two_phase_commit(self.rng.chance(60));
        let mut state = self.committed.clone();
        let mut mark = None;
        for _ in 0..self.rng.below(6) {
            match self.rng.below(10) {
                0 => self.revert(&mut txn, &mut state),
                1 => self.pin(&txn, &mut state),
                2 => mark = Some((txn.checkpoint().unwrap(), state.clone())),
                3 if mark.is_some() => {
                    let (checkpoint, then) = mark.as_ref().unwrap();
                    txn.rollback_to(checkpoint).unwrap();
                    state = then.clone();
                }
                _ => self.change(&txn, &mut state.rows),
            }
        }
        if self.rng.chance(30) {
            return;
        }
        txn.commit().unwrap();
        if durable {
            // What was let go is not in the list, which says how the commit is called and dated.
            let listed = db.transaction_history().unwrap();
            let newest = listed.last().unwrap();
            let now = self.clock.now_ms();
            let before = state.past.values().next_back().map_or(0, |(time, _)| *time);
            assert!(newest.timestamp_ms >= now && newest.timestamp_ms > before, "{newest:?} after {before} at {now}");
            state.past.retain(|id, _| listed.iter().any(|info| info.transaction_id == *id));
            assert_eq!(state.past.len() + 1, listed.len());
            state.pinned = state.pins.len() as u64;
            state.past.insert(newest.transaction_id, (newest.timestamp_ms, state.rows.clone()));
        }
        self.committed = state;
        if durable {
            self.durable = self.committed.clone();
        }
    }

    fn change(&mut self, txn: &WriteTransaction, rows: &mut Model) {
        let mut table = txn.open_table(ROWS).unwrap();
        for _ in 0..self.rng.below(40) {
            let key = self.rng.below(200);
            if self.rng.chance(80) {
                assert_eq!(table.remove(key).unwrap().is_some(), rows.remove(&key).is_some());
            } else {
                let length = if self.rng.chance(20) { self.rng.below(3000) } else { self.rng.below(60) };
                let value = vec![self.rng.next_u64() as u8; length as usize];
                table.insert(key, &*value).unwrap();
                rows.insert(key, value);
            }
        }
    }

    fn a_past(&mut self, state: &State) -> Option<u64> {
        let nth = self.rng.below(state.past.len().max(1) as u64);
        state.past.keys().nth(nth as usize).copied()
    }

    fn revert(&mut self, txn: &mut WriteTransaction, state: &mut State) {
        let Some(id) = self.a_past(state) else {
            let missing = txn.revert_to(1).unwrap_err();
            return assert!(matches!(Error::from(missing), Error::HistorySnapshotNotFound(1)));
        };
        txn.revert_to(id).unwrap();
        state.rows = state.past[&id].1.clone();
    }

    fn pin(&mut self, txn: &WriteTransaction, state: &mut State) {
        let name = self.rng.pick(&["one", "two", ""]).to_string();
        let Some(id) = self.a_past(state).filter(|_| self.rng.chance(160)) else {
            assert_eq!(txn.unpin_history(&name).unwrap(), state.pins.remove(&name).is_some());
            return;
        };
        txn.pin_history(&name, id).unwrap();
        state.pins.insert(name, id);
    }
}

#[test]
fn past_commits_are_what_they_were() {
    for seed in 0..40 * scale() {
        println!("seed {seed}");
        Session::new(seed).run(60);
    }
}

fn with_history(retention: impl Into<HistoryRetention>) -> (Database, RecordingBackend) {
    let backend = RecordingBackend::new();
    (reopened(retention, &backend), backend)
}

fn reopened(retention: impl Into<HistoryRetention>, backend: &RecordingBackend) -> Database {
    Builder::new().set_history_retention(retention).create_with_backend(backend.clone()).unwrap()
}

fn put(db: &Database, keys: impl Iterator<Item = u64>, value: &[u8], durability: Durability) {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(durability).unwrap();
    let mut table = txn.open_table(ROWS).unwrap();
    keys.for_each(|key| drop(table.insert(key, value).unwrap()));
    drop(table);
    txn.commit().unwrap();
}

fn settled(db: &Database) -> u64 {
    (0..3).for_each(|_| db.begin_write().unwrap().commit().unwrap());
    db.verify().unwrap().kept_pages
}

#[test]
fn a_thousand_commits_cost_what_they_changed() {
    let commits = 1000;
    let mut cost = Vec::new();
    for retention in [0, commits] {
        let (db, backend) = with_history(retention);
        put(&db, 0..20_000, &[1; 100], Durability::Immediate);
        // As many are there already as stay, so that each new one lets an old one go.
        (0..2 * commits).for_each(|nth| put(&db, nth..nth + 1, &[2; 100], Durability::Immediate));
        let pages_of = |nth: u64| {
            backend.take_counters();
            put(&db, nth * 97..nth * 97 + 1, &[3; 100], Durability::Immediate);
            backend.take_counters().bytes_written / 4096
        };
        let pages: Vec<_> = (0..200).map(pages_of).collect();
        let report = db.verify().unwrap();
        println!("{retention} retained: {} pages in 200 commits, {report:?}", pages.iter().sum::<u64>());
        cost.push((pages, report.kept_pages));
    }
    let [(without, few), (with, kept)] = &cost[..] else { panic!() };
    let more: Vec<_> = with.iter().zip(without).map(|(with, without)| with - without).collect();
    assert!(more.iter().all(|pages| *pages <= 2), "{more:?}");
    assert!(more.iter().sum::<u64>() <= 200 + 200 / 10, "{more:?}");
    // Root, branch, leaf, catalog; nothing of the system tree.
    assert!(*kept - *few <= 4 * (commits + commits / 16), "{kept} pages, and {few} without history");
}

#[test]
fn past_commits_take_no_memory_until_they_are_read() {
    let used = |retention| {
        let (db, _) = with_history(retention);
        put(&db, 0..1000, &[1; 100], Durability::Immediate);
        (0..500).for_each(|nth| put(&db, nth..nth + 1, &[2; 100], Durability::Immediate));
        (db.cache_stats().used_bytes(), db)
    };
    let ((without, _), (with, db)) = (used(0), used(500));
    assert!(with <= without + without / 4, "{with} bytes, and {without} without history");
    let past = db.transaction_history().unwrap();
    past.iter().for_each(|info| assert_eq!(model_of(&db.begin_read_at(info.transaction_id).unwrap()).len(), 1000));
    assert!(db.cache_stats().used_bytes() > 3 * with);
}

#[test]
fn what_is_let_go_comes_back_after_opening_again() {
    let (db, backend) = with_history(1000);
    put(&db, 0..1000, &[1; 100], Durability::Immediate);
    let length = backend.contents().len();
    for round in 0..1000 {
        put(&db, round..round + 1, &[2; 100], Durability::Immediate);
    }
    let full = backend.contents().len();
    assert!(full > 10 * length, "{full} bytes, {length} at first");
    drop(db);
    let backend = RecordingBackend::from_image(backend.contents());
    let db = reopened(3, &backend);
    assert_eq!(db.transaction_history().unwrap().len(), 1001, "a sixteenth more may stay");
    assert!(settled(&db) <= 12);
    assert_eq!(db.transaction_history().unwrap().len(), 3);
    for round in 0..1000 {
        put(&db, round..round + 1, &[3; 100], Durability::Immediate);
    }
    drop(db);
    let last = backend.contents().len();
    assert!(last <= 2 * length, "{last} bytes, {length} at first, {full} in between");
}

#[test]
fn commits_without_durability_are_no_history_and_cost_nothing_beside_one() {
    let (db, backend) = with_history(10);
    for round in 0..12 {
        put(&db, 0..500, &[round; 100], Durability::Immediate);
    }
    let (length, history) = (backend.contents().len(), db.transaction_history().unwrap());
    for round in 0..10_000 * scale() {
        put(&db, round % 500..round % 500 + 1, &[7; 100], Durability::None);
    }
    assert_eq!(db.transaction_history().unwrap(), history);
    assert!(backend.contents().len() <= 2 * length, "{} bytes, {length} at first", backend.contents().len());
    let oldest = db.begin_read_at(history[0].transaction_id).unwrap();
    assert!(model_of(&oldest).values().all(|value| *value == [2; 100]));
}

#[test]
fn a_past_commit_is_read_whole_or_not_at_all_while_it_is_let_go() {
    let (db, _) = with_history(4);
    let (done, seen) = (AtomicBool::new(false), Mutex::new((0_u64, 0_u64)));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let Some(oldest) = db.transaction_history().unwrap().first().copied() else { continue };
                    let found = db.begin_read_at(oldest.transaction_id);
                    let mut seen = seen.lock().unwrap();
                    match found {
                        Ok(txn) => {
                            let rows = model_of(&txn);
                            assert!(rows.len() == 100 && rows.values().all(|value| *value == rows[&0]));
                            seen.0 += 1;
                        }
                        Err(err) => {
                            let id = oldest.transaction_id;
                            let gone = StorageError::HistorySnapshotNotFound(id).to_string();
                            assert_eq!(Error::from(err).to_string(), gone);
                            seen.1 += 1;
                        }
                    }
                }
            });
        }
        for round in 0..500 * scale() {
            put(&db, 0..100, &[round as u8; 50], Durability::Immediate);
        }
        done.store(true, Ordering::Relaxed);
    });
    let (read, gone) = *seen.lock().unwrap();
    println!("{read} read, {gone} gone");
    assert!(read > 0);
    assert!(settled(&db) < 40);
}

#[test]
fn times_ascend_whatever_the_clock_says() {
    let (clock, backend) = (Hand::default(), RecordingBackend::new());
    let mut builder = Builder::new();
    builder.set_clock(clock.clone()).set_history_retention(100);
    let mut expected = Vec::new();
    let mut db = builder.create_with_backend(backend.clone()).unwrap();
    for (time, dated) in [(1000, 1000), (1000, 1001), (5, 1002), (2000, 2000), (0, 2001)] {
        clock.set(time);
        put(&db, 0..1, &time.to_le_bytes(), Durability::Immediate);
        expected.push(dated);
        let times: Vec<_> = db.transaction_history().unwrap().iter().map(|info| info.timestamp_ms).collect();
        assert_eq!(times, expected);
        assert_eq!(db.begin_read().unwrap().timestamp_ms(), Some(dated));
        drop(db);
        db = builder.create_with_backend(RecordingBackend::from_image(backend.contents())).unwrap();
        assert_eq!(db.begin_read().unwrap().timestamp_ms(), Some(dated), "the file says so");
        drop(db);
        db = builder.create_with_backend(backend.clone()).unwrap();
    }
    for (time, dated) in
        [(999, None), (1000, Some(1000)), (1001, Some(1001)), (1999, Some(1002)), (u64::MAX, Some(2001))]
    {
        let found = db.begin_read_at_time(time).ok().and_then(|txn| txn.timestamp_ms());
        assert_eq!(found, dated, "at {time}");
    }
}

#[test]
fn without_history_there_is_no_past_and_no_date() {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    put(&db, 0..10, &[1], Durability::Immediate);
    assert_eq!(db.begin_read().unwrap().timestamp_ms(), None);
    let id = db.begin_read().unwrap().transaction_id();
    let not_found = |id: u64| {
        let err = Error::from(db.begin_read_at(id).unwrap_err());
        matches!(err, Error::HistorySnapshotNotFound(missing) if missing == id)
    };
    assert!(not_found(id) && not_found(0) && not_found(u64::MAX));
    assert!(matches!(Error::from(db.begin_read_at_time(u64::MAX).unwrap_err()), Error::HistoryTimeNotFound(_)));
    let txn = db.begin_write().unwrap();
    assert!(matches!(txn.pin_history("name", id), Err(StorageError::HistorySnapshotNotFound(_))));
    assert!(!txn.unpin_history("name").unwrap());
}

#[test]
fn equal_runs_write_equal_bytes_where_nothing_is_dated() {
    let run = || {
        let backend = RecordingBackend::new();
        let db = Builder::new().create_with_backend(backend.clone()).unwrap();
        put(&db, 0..10, &[1], Durability::Immediate);
        drop(db);
        backend.contents()
    };
    assert!(run() == run());
}

#[test]
fn a_pin_keeps_its_commit_until_it_is_taken_back() {
    let (db, backend) = with_history(2);
    put(&db, 0..100, &[0], Durability::Immediate);
    let first = db.transaction_history().unwrap()[0].transaction_id;
    let txn = db.begin_write().unwrap();
    let long = "n".repeat(5000);
    assert!(matches!(txn.pin_history(&long, first), Err(StorageError::ValueTooLarge(5000))));
    txn.pin_history("release", first).unwrap();
    txn.commit().unwrap();
    let aborted = db.begin_write().unwrap();
    assert!(aborted.unpin_history("release").unwrap());
    drop(aborted);
    for round in 1..20 {
        put(&db, 0..100, &[round], Durability::Immediate);
    }
    drop(db);
    let db = Builder::new().create_with_backend(RecordingBackend::from_image(backend.contents())).unwrap();
    assert_eq!(db.history_pins().unwrap(), [("release".to_string(), first)]);
    assert!(model_of(&db.begin_read_at(first).unwrap()).values().all(|value| *value == [0]));
    let mut txn = db.begin_write().unwrap();
    txn.revert_to(first).unwrap();
    assert!(txn.unpin_history("release").unwrap());
    txn.commit().unwrap();
    assert!(model_of(&db.begin_read().unwrap()).values().all(|value| *value == [0]));
    let ids: Vec<_> = db.transaction_history().unwrap().iter().map(|info| info.transaction_id).collect();
    assert!(ids.len() == 2 && !ids.contains(&first), "{ids:?}");
    db.verify().unwrap();
}

#[test]
fn a_file_is_compacted_beside_its_history() {
    let (db, backend) = with_history(3);
    put(&db, 0..20_000, &[1; 100], Durability::Immediate);
    let txn = db.begin_write().unwrap();
    txn.open_table(ROWS).unwrap().retain(|key, _| key % 4 == 0).unwrap();
    txn.commit().unwrap();
    (0..3).for_each(|key| put(&db, key..key + 1, &[2; 100], Durability::Immediate));
    let (before, history) = (backend.contents().len(), db.transaction_history().unwrap());
    db.compact_online(CompactOptions::new().set_pages_per_step(1000), |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(db.transaction_history().unwrap(), history, "what was moved is no commit of its own");
    for info in history {
        let rows = model_of(&db.begin_read_at(info.transaction_id).unwrap());
        assert!(rows.len() >= 5000 && rows.values().all(|value| value.len() == 100));
    }
    db.verify().unwrap();
    // What the past commits keep in its place bounds the file's end until they are let go.
    (0..6).for_each(|key| put(&db, key..key + 1, &[3; 100], Durability::Immediate));
    db.compact_online(CompactOptions::new(), |_| ControlFlow::Continue(())).unwrap();
    let after = backend.contents().len();
    assert!(after < before / 2, "{before} bytes, then {after}");
    db.verify().unwrap();
}

#[test]
fn a_key_has_a_version_for_each_commit_that_changed_it() {
    let (db, _) = with_history(100);
    let versions = |key: u64| -> Vec<Option<u8>> {
        let versions = db.key_history(ROWS, key).unwrap().map(|version| version.unwrap());
        versions.map(|version| version.value.map(|value| value.value()[0])).collect()
    };
    assert_eq!(versions(1), []);
    put(&db, 5..6, &[9], Durability::Immediate);
    for value in [1, 1, 2] {
        put(&db, 1..3, &[value], Durability::Immediate);
    }
    let txn = db.begin_write().unwrap();
    txn.open_table(ROWS).unwrap().remove(1).unwrap();
    txn.commit().unwrap();
    put(&db, 1..2, &[2], Durability::Immediate);
    let txn = db.begin_write().unwrap();
    txn.delete_table(ROWS).unwrap();
    txn.commit().unwrap();
    assert_eq!(versions(1), [Some(1), Some(2), None, Some(2), None]);
    assert_eq!(versions(2), [Some(1), Some(2), None]);
    assert_eq!((versions(5), versions(7)), (vec![Some(9), None], vec![]));
    let history = db.transaction_history().unwrap();
    let [first, .., last] = history[..] else { panic!("{history:?}") };
    let tables: Vec<_> =
        db.diff(first.transaction_id, last.transaction_id).unwrap().map(|table| table.unwrap()).collect();
    assert_eq!((tables.len(), tables[0].rows().count()), (1, 1));
    assert!(matches!(db.diff(first.transaction_id, 0), Err(Error::HistorySnapshotNotFound(0))));
}

#[test]
fn commits_that_are_let_go_meanwhile_are_no_versions() {
    let (db, _) = with_history(3);
    (1..4).for_each(|value| put(&db, 1..2, &[value], Durability::Immediate));
    let mut versions = db.key_history(ROWS, 1).unwrap();
    let value = |version: sapwood::KeyVersion<&[u8]>| version.value.map(|value| value.value()[0]);
    assert_eq!(versions.next().map(|version| value(version.unwrap())), Some(Some(1)));
    (4..6).for_each(|value| put(&db, 1..2, &[value], Durability::Immediate));
    let rest: Vec<_> = versions.map(|version| value(version.unwrap())).collect();
    assert_eq!(rest, [Some(3)]);
}

#[test]
fn a_pin_that_outlives_its_history_keeps_no_commit_once_it_is_taken_back() {
    let (db, backend) = with_history(2);
    put(&db, 0..100, &[0], Durability::Immediate);
    let first = db.transaction_history().unwrap()[0];
    let txn = db.begin_write().unwrap();
    txn.pin_history("release", first.transaction_id).unwrap();
    txn.commit().unwrap();
    drop(db);
    let db = reopened(HistoryRetention::OFF, &backend);
    put(&db, 0..100, &[1], Durability::Immediate);
    assert_eq!(db.transaction_history().unwrap(), [first]);
    let txn = db.begin_write().unwrap();
    assert!(txn.unpin_history("release").unwrap());
    assert!(!txn.unpin_history("release").unwrap());
    txn.commit().unwrap();
    put(&db, 0..100, &[2], Durability::Immediate);
    assert_eq!(db.transaction_history().unwrap(), []);
    db.verify().unwrap();
}

#[test]
fn versions_of_a_key_go_on_behind_a_table_of_another_type() {
    let (db, _) = with_history(100);
    put(&db, 1..2, &[1], Durability::Immediate);
    let txn = db.begin_write().unwrap();
    txn.delete_table(ROWS).unwrap();
    txn.open_table(TableDefinition::<u64, u64>::new("rows")).unwrap().insert(1, 1).unwrap();
    txn.commit().unwrap();
    let txn = db.begin_write().unwrap();
    txn.delete_table(TableDefinition::<u64, u64>::new("rows")).unwrap();
    txn.open_table(ROWS).unwrap().insert(1, &[2_u8][..]).unwrap();
    txn.commit().unwrap();
    let versions: Vec<_> = db.key_history(ROWS, 1).unwrap().collect();
    let [Ok(first), Err(Error::TableTypeMismatch { .. }), Ok(last)] = &versions[..] else { panic!("{versions:?}") };
    let value = |version: &sapwood::KeyVersion<&[u8]>| version.value.as_ref().map(|value| value.value()[0]);
    assert_eq!((value(first), value(last)), (Some(1), Some(2)));
}
