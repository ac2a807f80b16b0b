//! How large the file becomes, and that every page that nobody needs can be used again.

mod common;
#[path = "common/shared.rs"]
mod shared;

use common::scale;
use sapwood::{Builder, Database, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};
use sapwood::{OpenOutcome, ReadTransaction, StorageBackend, VerifyReport};
use shared::shared_memory;

shared_memory!(StorageBackend);

const PAGE: u64 = 4096;
const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
const NAMES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("names");

fn create(memory: &SharedMemory) -> Database {
    Builder::new().create_with_backend(memory.clone()).unwrap()
}

fn put(db: &Database, keys: impl Iterator<Item = u64>, value: &[u8], durability: Durability) {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(durability).unwrap();
    {
        let mut rows = txn.open_table(ROWS).unwrap();
        for key in keys {
            rows.insert(key, value).unwrap();
        }
    }
    txn.commit().unwrap();
}

fn touch(db: &Database, times: u64) {
    for time in 0..times {
        put(db, u64::MAX - 1..u64::MAX, &time.to_le_bytes(), Durability::Immediate);
    }
}

/// Pages in use: those that the head links and those kept for older states.
fn used(report: &VerifyReport) -> u64 {
    report.linked_pages + report.kept_pages
}

/// The books, with only as much kept as the two newest commits, which differ by little, need.
fn settled(db: &Database) -> VerifyReport {
    touch(db, 3);
    db.verify().unwrap()
}

#[test]
fn a_reader_that_stays_costs_what_it_sees_and_no_more() {
    let memory = SharedMemory::default();
    let db = create(&memory);
    put(&db, 0..1000, &[0; 150], Durability::Immediate);
    let reader = db.begin_read().unwrap();
    let start = memory.len().unwrap();
    let mut most = 0;
    for round in 1..=100 * scale() {
        put(&db, 0..1000, &[round as u8; 150], Durability::Immediate);
        most = most.max(memory.len().unwrap());
    }
    println!("{start} bytes at the start, {most} at most, {:.2} times", most as f64 / start as f64);
    let rows = reader.open_table(ROWS).unwrap();
    assert!(rows.iter().unwrap().all(|row| row.unwrap().1.value() == [0; 150]));
    db.verify().unwrap();
    assert!(most <= 5 * start, "{most} is more than 5 times {start}");
}

#[test]
fn two_readers_with_commits_between_them_cost_what_they_see() {
    let memory = SharedMemory::default();
    let db = create(&memory);
    put(&db, 0..1000, &[0; 150], Durability::Immediate);
    let linked = db.verify().unwrap().linked_pages;
    let older = db.begin_read().unwrap();
    put(&db, 0..1000, &[1; 150], Durability::Immediate);
    let newer = db.begin_read().unwrap();
    for round in 0..20 {
        put(&db, 0..1000, &[round; 150], Durability::None);
    }
    touch(&db, 3);
    assert!(db.verify().unwrap().kept_pages <= 2 * linked + 8, "{:?}", db.verify().unwrap());
    drop(older);
    touch(&db, 1);
    assert!(db.verify().unwrap().kept_pages <= linked + 8, "{:?}", db.verify().unwrap());
    drop(newer);
    assert!(settled(&db).kept_pages <= 8, "{:?}", db.verify().unwrap());
}

/// The sets of what older readers need take no more memory than their share of the cache's budget: beyond that they are
/// forgotten, and found again before the file grows. Row by page, so that they are many pages.
fn what_readers_kept_comes_back(page: usize, cache: usize, rows: u64, value: usize) {
    let memory = SharedMemory::default();
    let open = || Builder::new().set_page_size(page).set_cache_size(cache).create_with_backend(memory.clone()).unwrap();
    let db = open();
    let write = |version: u8| put(&db, 0..rows, &vec![version; value], Durability::Immediate);
    let is_whole = |txn: &ReadTransaction, version: u8| {
        let table = txn.open_table(ROWS).unwrap();
        (0..rows).step_by(97).all(|row| table.get(row).unwrap().unwrap().value().iter().all(|byte| *byte == version))
    };
    write(0);
    let oldest = db.begin_read().unwrap();
    write(1);
    let older = db.begin_read().unwrap();
    write(2);
    write(3);
    let (report, length) = (db.verify().unwrap(), memory.len().unwrap());
    assert!(report.kept_pages > 2 * report.linked_pages - 10, "{report:?}");
    assert!(db.cache_stats().used_bytes() <= cache.max(64 << 10), "{:?}", db.cache_stats());
    assert!(is_whole(&oldest, 0) && is_whole(&older, 1));
    drop(older);
    write(4);
    assert!(is_whole(&oldest, 0));
    drop(oldest);
    (5..8).for_each(write);
    assert!(memory.len().unwrap() <= length, "{length} grew to {}", memory.len().unwrap());
    let report = settled(&db);
    assert!(report.kept_pages < 16, "{report:?}");
    drop(db);
    let db = open();
    assert_eq!(*db.open_outcome(), OpenOutcome::Clean);
    assert!(settled(&db).linked_pages >= rows * value as u64 / PAGE);
}

#[test]
fn what_readers_kept_comes_back_from_a_cache_without_memory() {
    what_readers_kept_comes_back(4096, 0, 1000, 1500);
}

#[test]
fn what_readers_kept_comes_back_from_a_small_cache() {
    what_readers_kept_comes_back(512, 1 << 20, 25_000 * scale().max(5), 400);
}

#[test]
fn many_commits_without_durability_keep_the_file_small() {
    let memory = SharedMemory::default();
    let db = create(&memory);
    put(&db, 0..100, &[0; 100], Durability::Immediate);
    let start = memory.len().unwrap();
    let mut most = start;
    for round in 0..10_000 * scale() {
        put(&db, round % 100..round % 100 + 1, &[round as u8; 100], Durability::None);
        most = most.max(memory.len().unwrap());
    }
    println!("{start} bytes at the start, {most} at most");
    db.verify().unwrap();
    assert!(most <= start + 16 * PAGE, "{most}");
    drop(db);
    assert!(memory.len().unwrap() <= most);
}

#[test]
fn a_fresh_database_with_a_small_table_is_under_40_kib() {
    let memory = SharedMemory::default();
    let db = create(&memory);
    put(&db, 0..10, b"small", Durability::Immediate);
    drop(db);
    println!("{} bytes", memory.len().unwrap());
    assert!(memory.len().unwrap() < 40 << 10, "{}", memory.len().unwrap());
}

#[test]
fn the_file_shrinks_after_most_rows_are_deleted() {
    let memory = SharedMemory::default();
    let db = create(&memory);
    put(&db, 0..20_000, &[7; 100], Durability::Immediate);
    let full = memory.len().unwrap();
    let txn = db.begin_write().unwrap();
    {
        let mut rows = txn.open_table(ROWS).unwrap();
        for key in 100..20_000 {
            rows.remove(key).unwrap();
        }
    }
    txn.commit().unwrap();
    touch(&db, 4);
    let left = memory.len().unwrap();
    println!("{full} bytes before, {left} after");
    db.verify().unwrap();
    assert!(left < full / 4, "{left} of {full}");
    drop(db);
    let closed = memory.len().unwrap();
    assert!(closed < full / 16, "{closed} of {full} after closing");
    create(&memory).verify().unwrap();
}

#[test]
fn aborting_gives_all_pages_back() {
    for cache in [0, 1 << 26] {
        let memory = SharedMemory::default();
        let db = Builder::new().set_cache_size(cache).create_with_backend(memory.clone()).unwrap();
        put(&db, 0..1000, &[1; 150], Durability::Immediate);
        put(&db, 0..10, &[1; 9000], Durability::Immediate);
        let before = settled(&db);
        for round in 0..4 {
            let txn = db.begin_write().unwrap();
            {
                let mut rows = txn.open_table(ROWS).unwrap();
                for key in 0..2000 {
                    rows.insert(key, &[2; 200][..]).unwrap();
                    if key % 7 == 0 {
                        rows.remove(key / 2).unwrap();
                    }
                }
                rows.insert(5, &[3; 100_000][..]).unwrap();
                txn.open_table(NAMES).unwrap().insert(&[7; 5000][..], &[1; 5][..]).unwrap();
            }
            if round % 2 == 0 {
                txn.abort().unwrap()
            } else {
                drop(txn)
            }
            let after = db.verify().unwrap();
            assert_eq!((before.linked_pages, before.kept_pages), (after.linked_pages, after.kept_pages));
        }
    }
}

#[test]
fn long_values_that_are_replaced_or_removed_leak_nothing() {
    let memory = SharedMemory::default();
    let db = create(&memory);
    let base = settled(&db);
    for round in 0..6_usize {
        for length in [3_000, 4_096, 4_097, 9_000, 70_000, 1_000_000] {
            put(&db, 0..5, &vec![round as u8; length + round], Durability::Immediate);
        }
        put(&db, 0..5, &[], if round % 2 == 0 { Durability::None } else { Durability::Immediate });
        db.verify().unwrap();
    }
    let txn = db.begin_write().unwrap();
    {
        let mut rows = txn.open_table(ROWS).unwrap();
        for _ in 0..3 {
            // In one transaction, so that the runs are its own.
            rows.insert(1, &[1; 50_000][..]).unwrap();
            rows.insert_reserve(2, 60_000).unwrap().as_mut().fill(3);
            rows.get_mut(1).unwrap().unwrap().insert(&[9; 10_000][..]).unwrap();
        }
        for key in 0..5 {
            rows.remove(key).unwrap();
        }
    }
    txn.commit().unwrap();
    let after = settled(&db);
    assert!(used(&after) <= used(&base) + 2, "{base:?} became {after:?}");
}

fn long_key(at: u64) -> Vec<u8> {
    let mut key = vec![b'k'; 1500 + (at as usize * 37) % 8000];
    let end = key.len();
    key[80..88].copy_from_slice(&(at.wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_be_bytes());
    key[end - 8..].copy_from_slice(&at.to_be_bytes());
    key
}

#[test]
fn long_keys_that_come_and_go_leak_nothing() {
    let memory = SharedMemory::default();
    let db = create(&memory);
    let base = settled(&db);
    for round in 0..3 {
        let txn = db.begin_write().unwrap();
        {
            let mut names = txn.open_table(NAMES).unwrap();
            for at in 0..500 {
                names.insert(&long_key(at)[..], &[round; 50][..]).unwrap();
            }
        }
        txn.commit().unwrap();
        db.verify().unwrap();
        let txn = db.begin_write().unwrap();
        {
            let mut names = txn.open_table(NAMES).unwrap();
            for at in (0..500).filter(|at| at % 3 != u64::from(round)) {
                assert!(names.remove(&long_key(at)[..]).unwrap().is_some());
            }
            assert_eq!(names.iter().unwrap().count() as u64, names.len().unwrap());
        }
        txn.commit().unwrap();
        db.verify().unwrap();
    }
    let txn = db.begin_write().unwrap();
    {
        let mut names = txn.open_table(NAMES).unwrap();
        while names.pop_first().unwrap().is_some() {}
        assert!(names.is_empty().unwrap());
    }
    txn.commit().unwrap();
    let after = settled(&db);
    assert!(used(&after) <= used(&base) + 2, "{base:?} became {after:?}");
}

#[test]
fn a_table_whose_rows_are_all_deleted_takes_no_pages() {
    for page in [512, 4096, 65_536] {
        let memory = SharedMemory::default();
        let db = Builder::new().set_page_size(page).create_with_backend(memory.clone()).unwrap();
        put(&db, 0..5_000, &[7; 100], Durability::Immediate);
        put(&db, (0..5_000).step_by(100), &[7; 10_000], Durability::Immediate);
        let txn = db.begin_write().unwrap();
        {
            let mut rows = txn.open_table(ROWS).unwrap();
            for at in 0..5_000 {
                rows.remove(at * 2_731 % 5_000).unwrap();
            }
        }
        txn.commit().unwrap();
        assert!(settled(&db).linked_pages <= 3, "{:?}", db.verify().unwrap());
    }
}
