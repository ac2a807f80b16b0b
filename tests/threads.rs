//! Many threads, and things that outlive what they came from.

mod common;

use common::blobs::{Blobs, blobs_of, change_blobs};
use common::crash::RecordingBackend;
use common::rng::Rng;
use common::scale;
use sapwood::{Builder, CompactOptions, Database, Durability, OpenOutcome, ReadTransaction, ReadableDatabase};
use sapwood::{ReadableTable, ReadableTableMetadata, StorageError, TableDefinition, TransactionError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");

fn small_cache(backend: &RecordingBackend) -> Database {
    Builder::new().set_cache_size(200_000).create_with_backend(backend.clone()).unwrap()
}

/// Gives every row the number of the commit.
fn put(db: &Database, round: u64, rows: u64, durability: Durability) {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(durability).unwrap();
    {
        let mut table = txn.open_table(ROWS).unwrap();
        for key in 0..rows {
            let mut value = vec![round as u8; 8 + (key as usize % 10) * 30 + if key % 100 == 0 { 6000 } else { 0 }];
            value[..8].copy_from_slice(&round.to_le_bytes());
            table.insert(key, &value[..]).unwrap();
        }
    }
    txn.commit().unwrap();
}

fn round_of(value: &[u8]) -> u64 {
    let round = u64::from_le_bytes(value[..8].try_into().unwrap());
    assert!(value[8..].iter().all(|byte| *byte == round as u8));
    round
}

#[test]
fn readers_see_their_snapshot_while_a_writer_goes_on() {
    let db = small_cache(&RecordingBackend::new());
    put(&db, 0, 1000, Durability::Immediate);
    let (done, newest) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for reader in 0..4_u64 {
            let (db, done, newest) = (&db, &done, &newest);
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    let low = newest.load(Ordering::Acquire);
                    let table = db.begin_read().unwrap().open_table(ROWS).unwrap();
                    let round = round_of(table.get(reader).unwrap().unwrap().value());
                    assert!(round >= low, "{round} after {low} was committed");
                    let rows = table.range(reader * 100..).unwrap();
                    for row in rows.take(300) {
                        assert_eq!(round_of(row.unwrap().1.value()), round);
                    }
                    for row in table.range(..500).unwrap().rev().take(100) {
                        assert_eq!(round_of(row.unwrap().1.value()), round);
                    }
                }
            });
        }
        for round in 1..=60 * scale() {
            put(&db, round, 1000, if round % 5 == 0 { Durability::Immediate } else { Durability::None });
            newest.store(round, Ordering::Release);
        }
        done.store(true, Ordering::Release);
    });
    assert!(db.cache_stats().evictions() > 0);
    db.verify().unwrap();
}

fn digest(blobs: &Blobs) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    blobs.hash(&mut hasher);
    hasher.finish().to_le_bytes()
}

/// The blobs of a snapshot, which are what a row of the same commit says.
fn blobs_of_snapshot(txn: &ReadTransaction) -> Blobs {
    let blobs = blobs_of(txn).unwrap();
    let said = txn.open_table(ROWS).unwrap().get(0).unwrap().unwrap();
    assert_eq!(said.value(), digest(&blobs));
    blobs
}

#[test]
fn readers_see_blobs_with_all_that_they_are_found_by_while_they_change_and_the_file_is_compacted() {
    let db = small_cache(&RecordingBackend::new());
    let (mut blobs, mut rng, done) = (Blobs::new(), Rng::new(7), AtomicBool::new(false));
    let mut commit = |durability| {
        let mut txn = db.begin_write().unwrap();
        txn.set_durability(durability).unwrap();
        (0..6).for_each(|_| change_blobs(&txn, &mut blobs, &mut rng).unwrap());
        txn.open_table(ROWS).unwrap().insert(0, &digest(&blobs)[..]).unwrap();
        txn.commit().unwrap();
    };
    commit(Durability::Immediate);
    let seen = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let txn = db.begin_read().unwrap();
                    let first = blobs_of_snapshot(&txn);
                    seen.fetch_add(1, Ordering::Relaxed);
                    // Others have committed meanwhile, and taken what this one does not need.
                    assert!(blobs_of_snapshot(&txn) == first);
                }
            });
        }
        let compacting = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                db.compact_online(CompactOptions::new(), |_| ControlFlow::Continue(())).unwrap();
            }
        });
        for round in 0..60 * scale() {
            commit(if round % 5 == 0 { Durability::Immediate } else { Durability::None });
        }
        while seen.load(Ordering::Relaxed) < 10 {
            commit(Durability::None);
        }
        done.store(true, Ordering::Release);
        compacting.join().unwrap();
    });
    println!("{} snapshots of blobs", seen.into_inner());
    assert!(blobs_of_snapshot(&db.begin_read().unwrap()) == blobs);
    db.verify().unwrap();
}

#[test]
fn guards_and_ranges_outlive_their_transaction_and_the_reuse_of_their_pages() {
    let db = small_cache(&RecordingBackend::new());
    put(&db, 1, 1000, Durability::Immediate);
    let guards: Vec<_> = {
        let table = db.begin_read().unwrap().open_table(ROWS).unwrap();
        (0..1000).step_by(50).map(|key| table.get(key).unwrap().unwrap()).collect()
    };
    let mut range = db.begin_read().unwrap().open_table(ROWS).unwrap().range(10..).unwrap();
    let mut seen = Vec::new();
    for round in 2..30 {
        put(&db, round, 1000, if round % 2 == 0 { Durability::None } else { Durability::Immediate });
        seen.extend(range.by_ref().take(20).map(|row| row.unwrap()));
        seen.extend(range.next_back().map(Result::unwrap));
    }
    assert!(guards.iter().all(|guard| round_of(guard.value()) == 1));
    assert!(seen.iter().all(|(_, value)| round_of(value.value()) == 1));
    assert_eq!(seen.len(), 28 * 21);
    drop(range);
    put(&db, 99, 10, Durability::Immediate);
    assert!(guards.iter().all(|guard| round_of(guard.value()) == 1));
    db.verify().unwrap();
}

#[test]
fn guards_of_a_table_that_is_being_changed_keep_their_bytes() {
    let db = small_cache(&RecordingBackend::new());
    put(&db, 1, 300, Durability::Immediate);
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(ROWS).unwrap();
        for key in 0..300 {
            let first = table.insert(key, &[2; 8][..]).unwrap().map(|old| round_of(old.value()));
            assert_eq!(first, Some(1));
            let old = table.remove(key).unwrap().unwrap();
            assert_eq!(old.value(), [2; 8]);
        }
        for key in 0..300 {
            table.insert(key, &[key as u8; 50][..]).unwrap();
        }
        let (one, two) = (table.get(5).unwrap().unwrap(), table.get(200).unwrap().unwrap());
        let row = table.range(7..).unwrap().next().unwrap().unwrap();
        assert_eq!((one.value(), two.value(), row.1.value()), (&[5; 50][..], &[200; 50][..], &[7; 50][..]));
    }
    txn.commit().unwrap();
    db.verify().unwrap();
}

#[test]
fn begin_write_waits_for_the_other_transaction() {
    let db = small_cache(&RecordingBackend::new());
    for commit in [true, false] {
        let txn = db.begin_write().unwrap();
        let (send, receive) = mpsc::channel();
        std::thread::scope(|scope| {
            let db = &db;
            scope.spawn(move || {
                let txn = db.begin_write().unwrap();
                send.send(()).unwrap();
                txn.commit().unwrap();
            });
            assert!(receive.recv_timeout(Duration::from_millis(100)).is_err(), "two writers at once");
            if commit {
                txn.commit().unwrap()
            } else {
                drop(txn)
            }
            receive.recv_timeout(Duration::from_secs(20)).unwrap();
        });
    }
}

#[test]
fn a_write_transaction_can_be_ended_by_another_thread() {
    let db = small_cache(&RecordingBackend::new());
    let txn = db.begin_write().unwrap();
    txn.open_table(ROWS).unwrap().insert(1, &[1; 10][..]).unwrap();
    std::thread::spawn(move || txn.commit().unwrap()).join().unwrap();
    assert_eq!(db.begin_read().unwrap().open_table(ROWS).unwrap().len().unwrap(), 1);
    drop(db.begin_write().unwrap());
}

#[test]
fn a_write_transaction_outlives_its_database() {
    for end in ["commit", "abort", "drop"] {
        let backend = RecordingBackend::new();
        let db = small_cache(&backend);
        put(&db, 1, 100, Durability::Immediate);
        let txn = db.begin_write().unwrap();
        txn.open_table(ROWS).unwrap().insert(500, &[7; 3000][..]).unwrap();
        drop(db);
        assert_eq!(backend.counters().closes, 0);
        txn.open_table(ROWS).unwrap().insert(501, &[7; 30][..]).unwrap();
        match end {
            "commit" => txn.commit().unwrap(),
            "abort" => txn.abort().unwrap(),
            _ => drop(txn),
        }
        assert_eq!(backend.counters().closes, 1);
        assert_eq!(backend.violations(), [""; 0]);
        let db = small_cache(&RecordingBackend::from_image(backend.contents()));
        assert_eq!(*db.open_outcome(), OpenOutcome::Clean);
        let rows = db.begin_read().unwrap().open_table(ROWS).unwrap().len().unwrap();
        assert_eq!(rows, if end == "commit" { 102 } else { 100 });
        db.verify().unwrap();
    }
}

#[test]
fn a_panic_with_a_live_write_transaction_leaks_nothing() {
    let db = small_cache(&RecordingBackend::new());
    put(&db, 1, 100, Durability::Immediate);
    let before = db.verify().unwrap();
    let panics = std::panic::AssertUnwindSafe(|| {
        let txn = db.begin_write().unwrap();
        txn.open_table(ROWS).unwrap().insert(500, &[7; 30_000][..]).unwrap();
        panic!("on purpose");
    });
    assert!(std::panic::catch_unwind(panics).is_err());
    let after = db.verify().unwrap();
    assert_eq!((before.linked_pages, before.kept_pages), (after.linked_pages, after.kept_pages));
}

#[test]
fn readers_that_outlive_the_database_get_an_error_or_what_is_cached() {
    let backend = RecordingBackend::new();
    let db = small_cache(&backend);
    put(&db, 1, 2000, Durability::Immediate);
    put(&db, 2, 2000, Durability::Immediate);
    let txn = db.begin_read().unwrap();
    let table = txn.open_table(ROWS).unwrap();
    let guard = table.get(3).unwrap().unwrap();
    let mut range = table.range(100..).unwrap();
    assert_eq!(round_of(range.next().unwrap().unwrap().1.value()), 2);
    drop(db);
    assert_eq!(round_of(guard.value()), 2);
    let (mut found, mut closed) = (0, 0);
    for key in 0..2000 {
        match table.get(key) {
            Ok(Some(value)) => {
                assert_eq!(round_of(value.value()), 2);
                found += 1;
            }
            Err(StorageError::DatabaseClosed) => closed += 1,
            other => panic!("{other:?}"),
        }
    }
    println!("{found} found, {closed} closed");
    assert!(closed > 0);
    let error = range.by_ref().find_map(Result::err);
    assert!(matches!(error, Some(StorageError::DatabaseClosed)), "{error:?}");
    assert!(range.next().is_none() && range.next_back().is_none(), "an iterator went on after an error");
    assert!(txn.open_table(ROWS).is_err());
    drop((table, guard, range, txn));
    assert_eq!(backend.violations(), [""; 0]);
}

#[test]
fn closing_a_read_transaction_that_is_in_use_gives_it_back() {
    let db = small_cache(&RecordingBackend::new());
    put(&db, 1, 10, Durability::Immediate);
    let txn = db.begin_read().unwrap();
    let table = txn.open_table(ROWS).unwrap();
    let txn = match txn.close() {
        Err(TransactionError::ReadTransactionStillInUse(txn)) => txn,
        other => panic!("{other:?}"),
    };
    let range = table.range::<u64>(..).unwrap();
    drop(table);
    let txn = match txn.close() {
        Err(TransactionError::ReadTransactionStillInUse(txn)) => txn,
        other => panic!("{other:?}"),
    };
    drop(range);
    txn.close().unwrap();
}

#[test]
fn dropping_many_readers_in_any_order_frees_what_they_kept() {
    let db = small_cache(&RecordingBackend::new());
    put(&db, 1, 300, Durability::Immediate);
    let settle = || {
        (0..3).for_each(|_| put(&db, 7, 1, Durability::Immediate));
        db.verify().unwrap()
    };
    let base = settle();
    let readers: Vec<_> = (0..20)
        .map(|round| {
            put(&db, round, 300, if round % 3 == 0 { Durability::Immediate } else { Durability::None });
            (round, db.begin_read().unwrap())
        })
        .collect();
    std::thread::scope(|scope| {
        for (round, reader) in readers {
            scope.spawn(move || {
                let table = reader.open_table(ROWS).unwrap();
                assert!(table.iter().unwrap().all(|row| round_of(row.unwrap().1.value()) == round));
            });
        }
    });
    let after = settle();
    assert_eq!((base.linked_pages, base.kept_pages), (after.linked_pages, after.kept_pages));
}

/// Who commits all the time must not keep others from writing, which they would if each took the lock that they find free.
#[test]
fn a_writer_has_its_turn_beside_one_who_commits_all_the_time() {
    let db = small_cache(&RecordingBackend::new());
    let written = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20 {
                db.begin_write().unwrap().commit().unwrap();
                written.fetch_add(1, Ordering::Relaxed);
            }
        });
        while written.load(Ordering::Relaxed) < 20 {
            db.begin_write().unwrap().commit().unwrap();
        }
    });
    assert!(db.try_begin_write().unwrap().is_some());
}

#[test]
fn who_does_not_wait_for_long_leaves_the_line() {
    let db = small_cache(&RecordingBackend::new());
    let first = db.begin_write().unwrap();
    let start = Instant::now();
    assert!(db.begin_write_timeout(Duration::from_millis(30)).unwrap().is_none());
    assert!(start.elapsed() >= Duration::from_millis(30));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| drop(db.begin_write().unwrap()));
        assert!(db.begin_write_timeout(Duration::ZERO).unwrap().is_none());
        first.commit().unwrap();
        waiting.join().unwrap();
    });
    assert!(db.begin_write_timeout(Duration::from_secs(60)).unwrap().is_some());
}
