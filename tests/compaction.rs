//! Compaction: what is in the file stays, and the file becomes short; beside readers, writers, savepoints and crashes.

mod common;

use common::crash::{CrashImages, RecordingBackend};
use common::kinds::{SETS, contents, fill, thin_out};
use common::rng::Rng;
use common::scale;
use sapwood::{Builder, CompactOptions, CompactionError, Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn builder(page: usize, cache: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_page_size(page).set_block_size(512).set_cache_size(cache);
    builder
}

#[test]
fn a_compacted_file_is_as_short_as_a_new_one() {
    for (page, cache) in [(512, 0), (512, 1 << 24), (4096, 100_000), (4096, 1 << 26)] {
        let backend = RecordingBackend::new();
        let mut db = builder(page, cache).create_with_backend(backend.clone()).unwrap();
        let mut rng = Rng::new(page as u64 + cache as u64);
        fill(&db, &mut rng, 1500, 256);
        thin_out(&db, &mut rng, 60);
        let before = contents(&db.begin_read().unwrap());
        assert!(db.compact().unwrap());
        db.verify().unwrap();
        assert_eq!(contents(&db.begin_read().unwrap()), before);
        let short = backend.contents().len();
        let report = db.verify().unwrap();
        let linked = report.linked_pages as usize * page;
        assert!(short < linked + linked / 10 + 16 * page, "{short} bytes for {linked}, {report:?}");
        db.compact().unwrap();
        drop(db);
        let db = builder(page, cache).create_with_backend(RecordingBackend::from_image(backend.contents())).unwrap();
        assert_eq!(contents(&db.begin_read().unwrap()), before);
        db.verify().unwrap();
    }
}

#[test]
fn exclusive_compaction_refuses_what_redb_refuses() {
    let mut db = builder(512, 1 << 20).create_with_backend(RecordingBackend::new()).unwrap();
    let reader = db.begin_read().unwrap();
    assert!(matches!(db.compact(), Err(CompactionError::TransactionInProgress)));
    drop(reader);
    let txn = db.begin_write().unwrap();
    let savepoint = txn.ephemeral_savepoint().unwrap();
    let id = txn.persistent_savepoint().unwrap();
    txn.commit().unwrap();
    assert!(matches!(db.compact(), Err(CompactionError::PersistentSavepointExists)));
    let txn = db.begin_write().unwrap();
    txn.delete_persistent_savepoint(id).unwrap();
    txn.commit().unwrap();
    assert!(matches!(db.compact(), Err(CompactionError::EphemeralSavepointExists)));
    drop(savepoint);
    db.compact().unwrap();
    let text = sapwood::Error::from(CompactionError::EphemeralSavepointExists).to_string();
    assert!(text.contains("savepoint"), "{text}");
}

/// What a reader and a savepoint see stays, and the file becomes short when they are gone.
#[test]
fn what_others_need_stays_where_it_is() {
    let backend = RecordingBackend::new();
    let db = builder(512, 1 << 22).create_with_backend(backend.clone()).unwrap();
    let mut rng = Rng::new(3);
    fill(&db, &mut rng, 1000, 256);
    let txn = db.begin_write().unwrap();
    let id = txn.persistent_savepoint().unwrap();
    txn.commit().unwrap();
    let full = contents(&db.begin_read().unwrap());
    thin_out(&db, &mut rng, 128);
    let (reader, half) = (db.begin_read().unwrap(), contents(&db.begin_read().unwrap()));
    thin_out(&db, &mut rng, 40);
    let few = contents(&db.begin_read().unwrap());
    let options = CompactOptions::new().set_pages_per_step(20);
    db.compact_online(options, |_| ControlFlow::Continue(())).unwrap();
    db.verify().unwrap();
    assert_eq!(contents(&reader), half);
    assert_eq!(contents(&db.begin_read().unwrap()), few);
    let long = backend.contents().len();
    let mut txn = db.begin_write().unwrap();
    let checkpoint = txn.checkpoint().unwrap();
    let savepoint = txn.get_persistent_savepoint(id).unwrap();
    txn.restore_savepoint(&savepoint).unwrap();
    drop(savepoint);
    txn.commit().unwrap();
    assert_eq!(contents(&db.begin_read().unwrap()), full);
    let mut txn = db.begin_write().unwrap();
    assert!(txn.rollback_to(&checkpoint).is_err());
    assert!(txn.delete_persistent_savepoint(id).unwrap());
    txn.commit().unwrap();
    drop(reader);
    thin_out(&db, &mut rng, 20);
    let few = contents(&db.begin_read().unwrap());
    let done = db.compact_online(CompactOptions::default(), |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(contents(&db.begin_read().unwrap()), few);
    let short = backend.contents().len();
    assert!(short * 3 < long && done.pages_now as usize * 512 == short, "{short} of {long}, {done:?}");
    db.verify().unwrap();
}

/// Other writers wait while a step lasts, also one that finds nothing to do.
#[test]
fn a_step_reads_few_pages() {
    let backend = RecordingBackend::new();
    let db = builder(512, 1 << 20).create_with_backend(backend.clone()).unwrap();
    fill(&db, &mut Rng::new(1), 3000, 256);
    let options = CompactOptions::new().set_pages_per_step(1000);
    db.compact_online(options, |_| ControlFlow::Continue(())).unwrap();
    let (mut most, mut all, mut steps) = (0, 0, 0);
    drop(backend.take_counters());
    let done = db.compact_online(options, |_| {
        let reads = backend.take_counters().reads.len();
        (most, all, steps) = (most.max(reads), all + reads, steps + 1);
        ControlFlow::Continue(())
    });
    assert_eq!(done.unwrap().moved_pages, 0);
    assert!(all > 1500, "{all} reads: the whole file does not fit the cache");
    assert!(most < 150, "{most} reads in one of {steps} steps, {all} in all");
}

/// The tree of the last set ends where the multimap's ends, and that where the catalog's ends.
#[test]
fn a_walk_gets_past_trees_that_end_together() {
    let db = builder(512, 1 << 20).create_with_backend(RecordingBackend::new()).unwrap();
    let txn = db.begin_write().unwrap();
    for table in 0..20 {
        txn.open_table(TableDefinition::<u64, u64>::new(&format!("a{table}"))).unwrap().insert(0, 0).unwrap();
    }
    {
        let mut sets = txn.open_multimap_table(SETS).unwrap();
        for (key, values) in (0..100).map(|key| (key, if key == 99 { 200 } else { 1 })) {
            for value in 0_u64..values {
                sets.insert(key, &value.to_be_bytes()[..]).unwrap();
            }
        }
    }
    txn.commit().unwrap();
    for pages in [1, 2, 8, 1_000] {
        let mut steps = 0;
        let done = db.compact_online(CompactOptions::new().set_pages_per_step(pages), |_| {
            steps += 1;
            if steps < 1_000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert!(steps < 1_000, "{:?} after {steps} steps", done.unwrap());
    }
}

#[test]
fn a_compaction_can_be_ended_at_each_step() {
    let db = builder(512, 1 << 22).create_with_backend(RecordingBackend::new()).unwrap();
    let mut rng = Rng::new(9);
    fill(&db, &mut rng, 600, 256);
    thin_out(&db, &mut rng, 100);
    let before = contents(&db.begin_read().unwrap());
    for most in 0..12 {
        let mut steps = 0;
        let done = db.compact_online(CompactOptions::new().set_pages_per_step(7), |progress| {
            // A value of six pages is moved at once.
            assert!(progress.moved_pages <= 12 * steps, "{progress:?} after {steps}");
            steps += 1;
            if steps > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(done.is_ok() && steps <= most + 1);
        db.verify().unwrap();
        assert_eq!(contents(&db.begin_read().unwrap()), before);
    }
}

/// Nothing but where pages lie may depend on whether a compaction was under way when the power went.
#[test]
fn a_crash_while_compacting_loses_nothing() {
    for seed in 0..2 * scale() {
        let backend = RecordingBackend::new();
        let db = builder(512, 1 << 20).create_with_backend(backend.clone()).unwrap();
        let mut rng = Rng::new(seed);
        fill(&db, &mut rng, 120, 256);
        thin_out(&db, &mut rng, 90);
        let before = contents(&db.begin_read().unwrap());
        backend.restart();
        db.compact_online(CompactOptions::new().set_pages_per_step(9), |_| ControlFlow::Continue(())).unwrap();
        let recording = backend.recording();
        let mut images = CrashImages::new(&recording);
        while images.advance() {
            if !rng.chance(128) {
                continue;
            }
            let image = images.power_loss(&mut rng);
            let db = builder(512, 1 << 20).create_with_backend(RecordingBackend::from_image(image)).unwrap();
            assert_eq!(contents(&db.begin_read().unwrap()), before, "seed {seed}");
            db.verify().unwrap();
        }
    }
}

const BIG: TableDefinition<u64, &[u8]> = TableDefinition::new("big");
const OTHER: TableDefinition<u64, u64> = TableDefinition::new("other");

/// So many rows of 150 bytes, their keys in no order.
fn load(db: &Database, count: u64) {
    let txn = db.begin_write().unwrap();
    {
        let mut rows = txn.open_table(BIG).unwrap();
        for nth in 0..count {
            let key = nth.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            rows.insert(key, &[key as u8; 150][..]).unwrap();
        }
    }
    txn.commit().unwrap();
}

fn is_left(key: u64) -> bool {
    key.count_ones().is_multiple_of(2)
}

/// Commits small changes until told to stop. Gives how long each took.
fn write_until(db: &Database, stop: &AtomicBool, least: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    while times.len() < least || !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        let txn = db.begin_write().unwrap();
        {
            let mut other = txn.open_table(OTHER).unwrap();
            (0..200).for_each(|key| drop(other.insert(key * 7919 % 10_007, times.len() as u64).unwrap()));
        }
        txn.commit().unwrap();
        times.push(start.elapsed());
    }
    times.sort();
    times
}

/// A file of 20 MB, or 200 at scale 10, half of it deleted row by row, beside a reader that iterates and a writer.
#[test]
fn a_large_file_is_compacted_beside_a_reader_and_a_writer() {
    let count = 110_000 * scale();
    let folder = tempfile::tempdir().unwrap();
    let create = |name: &str| Builder::new().set_cache_size(24 << 20).create(folder.path().join(name)).unwrap();
    let length = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
    let db = create("db");
    load(&db, count);
    let txn = db.begin_write().unwrap();
    txn.open_table(BIG).unwrap().retain(|key, _| is_left(key)).unwrap();
    txn.commit().unwrap();
    let before = length("db");
    let reader = db.begin_read().unwrap();
    let left = reader.open_table(BIG).unwrap().iter().unwrap().count() as u64;
    let (done, read) = (AtomicBool::new(false), AtomicBool::new(false));
    let (alone, beside, most) = thread::scope(|scope| {
        let iterating = scope.spawn(|| {
            let table = reader.open_table(BIG).unwrap();
            while !read.load(Ordering::Relaxed) {
                let rows = table.iter().unwrap().map(|row| row.unwrap());
                let right = rows.filter(|(key, value)| {
                    let key = key.value();
                    is_left(key) && value.value() == [key as u8; 150]
                });
                assert_eq!(right.count() as u64, left);
            }
        });
        let alone = write_until(&db, &AtomicBool::new(true), 1000);
        let writer = scope.spawn(|| write_until(&db, &done, 1000));
        let mut most = 0;
        let compacted = db.compact_online(CompactOptions::new(), |_| {
            most = most.max(db.cache_stats().used_bytes());
            ControlFlow::Continue(())
        });
        done.store(true, Ordering::Relaxed);
        read.store(true, Ordering::Relaxed);
        compacted.unwrap();
        iterating.join().unwrap();
        (alone, writer.join().unwrap(), most)
    });
    assert!(most <= 24 << 20, "{most} bytes of memory");
    let p99 = |times: &[Duration]| times[times.len() * 99 / 100];
    let (alone, beside) = (p99(&alone), p99(&beside));
    drop(reader);
    db.compact_online(CompactOptions::new(), |_| ControlFlow::Continue(())).unwrap();
    db.verify().unwrap();
    let after = length("db");
    let fresh = create("fresh");
    let txn = fresh.begin_write().unwrap();
    {
        let mut rows = txn.open_table(BIG).unwrap();
        let keys = (0..count).map(|nth| nth.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        keys.filter(|key| is_left(*key)).for_each(|key| drop(rows.insert(key, &[key as u8; 150][..]).unwrap()));
        let mut other = txn.open_table(OTHER).unwrap();
        (0..200).for_each(|key| drop(other.insert(key * 7919 % 10_007, key).unwrap()));
    }
    txn.commit().unwrap();
    drop(fresh);
    let new = length("fresh");
    println!("{before} bytes, then {after}, a fresh load {new}; p99 of commits {alone:?}, beside it {beside:?}");
    assert!(after <= new + new / 10, "{after} bytes, and a fresh load takes {new}");
    // The rest is for what else the machine may be doing: two figures of a few hundred commits each say no more.
    assert!(beside <= 3 * alone + Duration::from_millis(50), "p99 {beside:?}, and without it {alone:?}");
}
