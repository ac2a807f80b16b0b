//! How often the storage is asked, and for what.

mod common;

use common::crash::{Counters, Op, RecordingBackend};
use sapwood::{
    Builder, ContentType, Database, Durability, OpenOutcome, ReadableBlobs, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, StoreOptions, TableDefinition,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::ops::Range;

const PAGE: usize = 4096;
/// First page after header and slots.
const FIRST_PAGE: usize = 3;
const LEAF: u8 = 1;
const HOLDS_POINTERS: u8 = 8;
const PLAIN: TableDefinition<u64, &[u8]> = TableDefinition::new("plain");
const RUNS: TableDefinition<u64, &[u8]> = TableDefinition::new("runs");

fn put(db: &Database, table: TableDefinition<u64, &[u8]>, keys: impl Iterator<Item = u64>, value: &[u8]) {
    let txn = db.begin_write().unwrap();
    {
        let mut rows = txn.open_table(table).unwrap();
        for key in keys {
            rows.insert(key, value).unwrap();
        }
    }
    txn.commit().unwrap();
}

fn read_all(db: &Database) -> usize {
    let txn = db.begin_read().unwrap();
    let plain = txn.open_table(PLAIN).unwrap();
    let rows = plain.iter().unwrap().filter(|row| row.as_ref().unwrap().1.value().len() == 100).count();
    assert_eq!(rows, 20_000);
    (0..20_000).step_by(7).for_each(|key| assert_eq!(plain.get(key).unwrap().unwrap().value().len(), 100));
    rows
}

/// Pages that were read whole, and how often.
fn pages_read(counters: &Counters) -> BTreeMap<usize, usize> {
    let mut pages = BTreeMap::new();
    for (offset, len) in &counters.reads {
        let page = *offset as usize / PAGE;
        if page >= FIRST_PAGE && *len == PAGE {
            *pages.entry(page).or_default() += 1;
        }
    }
    pages
}

fn page_of(image: &[u8], page: usize) -> &[u8] {
    image.get(page * PAGE..(page + 1) * PAGE).unwrap_or_default()
}

fn is_leaf(image: &[u8], page: usize) -> bool {
    page_of(image, page).first() == Some(&LEAF)
}

fn holds_pointers(image: &[u8], page: usize) -> bool {
    page_of(image, page).get(1).is_some_and(|flags| flags & HOLDS_POINTERS != 0)
}

/// A big table of inline rows, and one with values out of line.
fn build(db: &Database) {
    put(db, PLAIN, 0..20_000, &[0xEE; 100]);
    put(db, RUNS, 0..1000, &[0xEE; 20]);
    put(db, RUNS, (0..100).map(|key| key * 3), &[0xEE; 9000]);
}

#[test]
fn a_durable_commit_of_one_row_makes_few_writes() {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    build(&db);
    let mut most = 0;
    for round in 0..50 {
        backend.take_counters();
        put(&db, PLAIN, round * 397..round * 397 + 1, &[1; 100]);
        let counters = backend.take_counters();
        assert_eq!(counters.syncs, 1);
        most = most.max(counters.writes);
    }
    println!("at most {most} writes");
    assert!(most <= 7, "{most}");
}

#[test]
fn a_commit_of_a_small_blob_writes_few_pieces() {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    let pages = |op: &Op| match op {
        Op::Write { offset, data } => Some(*offset as usize / PAGE..(*offset as usize + data.len()).div_ceil(PAGE)),
        _ => None,
    };
    let pieces_of = |times: Range<u64>| {
        backend.restart();
        let txn = db.begin_write().unwrap();
        for time in times {
            let options = StoreOptions::new().with_time_ms(time);
            txn.store_blob(&[time as u8; PAGE], ContentType::OctetStream, "", options).unwrap();
        }
        txn.commit().unwrap();
        let written: BTreeSet<_> = backend.recording().log.iter().filter_map(pages).flatten().collect();
        written.iter().filter(|page| !written.contains(&(*page - 1))).count()
    };
    pieces_of(0..2048);
    let pieces: usize = (2048..2448).map(|time| pieces_of(time..time + 1)).sum();
    println!("{pieces} pieces by 400 commits");
    assert!(pieces <= 400 * 9 / 2, "{pieces}");
}

#[test]
fn a_commit_without_durability_writes_nothing() {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    build(&db);
    backend.take_counters();
    for round in 0..50 {
        let mut txn = db.begin_write().unwrap();
        txn.set_durability(Durability::None).unwrap();
        txn.open_table(PLAIN).unwrap().insert(round, &[1; 100][..]).unwrap();
        txn.commit().unwrap();
    }
    let counters = backend.take_counters();
    assert_eq!((counters.writes, counters.syncs), (0, 0));
}

#[test]
fn a_long_value_is_written_once_and_at_once() {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    build(&db);
    let txn = db.begin_write().unwrap();
    let mut runs = txn.open_table(RUNS).unwrap();
    for (length, writes) in [((1 << 15) - 1, 0), (1 << 15, 1), (1 << 20, 1)] {
        backend.take_counters();
        runs.insert(1, &vec![7; length][..]).unwrap();
        assert_eq!(backend.take_counters().writes, writes, "{length} bytes");
    }
    assert_eq!(runs.get(1).unwrap().unwrap().value(), vec![7; 1 << 20]);
    drop(runs);
    txn.commit().unwrap();
    assert!(backend.take_counters().writes < 10);
    db.verify().unwrap();
}

#[test]
fn a_long_blob_is_read_past_the_cache_and_some_chunks_at_once() {
    const CHUNK: usize = 1 << 16;
    let backend = RecordingBackend::new();
    let content: Vec<u8> = (0..4_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let open = |backend| Builder::new().set_cache_size(4 << 20).create_with_backend(backend).unwrap();
    let db = open(backend.clone());
    put(&db, PLAIN, 0..5_000, &[0xEE; 100]);
    let txn = db.begin_write().unwrap();
    let id = txn.store_blob(&content, ContentType::OctetStream, "", StoreOptions::new()).unwrap();
    txn.commit().unwrap();
    drop(db);

    let backend = backend.reopened();
    let db = open(backend.clone());
    let txn = db.begin_read().unwrap();
    let table = txn.open_table(PLAIN).unwrap();
    assert_eq!(table.iter().unwrap().count(), 5_000);
    txn.get_blob_meta(id).unwrap();
    let before = db.cache_stats();
    backend.take_counters();
    assert!(txn.get_blob(id).unwrap().unwrap().0 == content);
    let counters = backend.take_counters();
    let chunks = content.len().div_ceil(CHUNK);
    assert!((chunks / 4..chunks.div_ceil(4) + 8).contains(&counters.reads.len()), "{:?}", counters.reads);
    assert!(counters.bytes_read() < (content.len() + 8 * PAGE) as u64);
    let misses = db.cache_stats().read_misses() - before.read_misses();
    assert!((chunks..chunks + 8).contains(&(misses as usize)), "{misses}");

    let mut reader = txn.blob_reader(id).unwrap();
    let mut read = Vec::new();
    while let bytes @ [_, ..] = reader.next_bytes().unwrap() {
        read.extend_from_slice(bytes);
        let length = bytes.len();
        reader.skip(length);
    }
    assert!(read == content);
    let reads = backend.take_counters().reads;
    assert!(reads.len() <= chunks.div_ceil(4) + 2, "{reads:?}");
    assert!(reads[0].1 == CHUNK && reads[1].1 == 2 * CHUNK && reads[2].1 == 4 * CHUNK, "{reads:?}");
    reader.set_position(70_000);
    assert_eq!(*reader.next_bytes().unwrap(), content[70_000..2 * CHUNK]);
    let mut direct = vec![0; 10 * CHUNK];
    reader.set_position(CHUNK as u64);
    reader.skip(CHUNK);
    reader.read_exact(&mut direct).unwrap();
    assert!(direct == content[2 * CHUNK..12 * CHUNK]);
    let lengths: Vec<_> = backend.take_counters().reads.iter().map(|(_, length)| length / CHUNK).collect();
    assert_eq!(lengths, [1, 4, 4, 2]);

    let after = db.cache_stats();
    assert_eq!(after.evictions(), before.evictions());
    assert_eq!(table.iter().unwrap().count(), 5_000);
    assert_eq!(backend.take_counters().reads, []);
}

#[test]
fn an_aborted_transaction_writes_nothing() {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    build(&db);
    backend.take_counters();
    let txn = db.begin_write().unwrap();
    txn.open_table(PLAIN).unwrap().insert(1, &[1; 100][..]).unwrap();
    txn.abort().unwrap();
    let counters = backend.take_counters();
    assert_eq!((counters.writes, counters.syncs), (0, 0));
}

/// The storage as it was while a session was open, and the pages that its last commit wrote.
fn crashed(last: impl FnOnce(&Database)) -> (Vec<u8>, BTreeSet<usize>) {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    build(&db);
    let before = backend.contents();
    last(&db);
    let after = backend.contents();
    let pages = after.len() / PAGE;
    let changed = (FIRST_PAGE..pages).filter(|page| page_of(&before, *page) != page_of(&after, *page)).collect();
    (after, changed)
}

#[test]
fn opening_after_a_crash_reads_no_leaf_that_it_need_not() {
    let (image, last) = crashed(|db| put(db, PLAIN, 77..78, &[0xEE; 99]));
    let leaves = (FIRST_PAGE..image.len() / PAGE).filter(|page| is_leaf(&image, *page)).count();
    let backend = RecordingBackend::from_image(image.clone());
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    assert_eq!(*db.open_outcome(), OpenOutcome::Recovered);
    // The walk that finds the free pages is made before the first write.
    drop(db.begin_write().unwrap());
    let read = pages_read(&backend.take_counters());
    let needless: Vec<_> = read
        .keys()
        .filter(|page| is_leaf(&image, **page) && !holds_pointers(&image, **page) && !last.contains(page))
        .collect();
    println!("{} of {} pages read, {leaves} leaves", read.len(), image.len() / PAGE);
    assert!(needless.is_empty(), "leaves {needless:?}");
    assert!(leaves > 500 && read.len() < 100, "{} of {leaves}", read.len());
}

#[test]
fn opening_after_a_clean_close_reads_no_leaf_that_it_need_not() {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    build(&db);
    drop(db);
    let image = backend.contents();
    let backend = RecordingBackend::from_image(image.clone());
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    assert_eq!(*db.open_outcome(), OpenOutcome::Clean);
    let opening = backend.take_counters();
    assert!(pages_read(&opening).is_empty(), "{opening:?}");
    assert!(opening.reads.len() <= 4 && opening.writes == 0, "{opening:?}");
    drop(db.begin_write().unwrap());
    let read = pages_read(&backend.take_counters());
    let needless: Vec<_> =
        read.keys().filter(|page| is_leaf(&image, **page) && !holds_pointers(&image, **page)).collect();
    assert!(needless.is_empty(), "leaves {needless:?}");
}

#[test]
fn deleting_reads_no_leaf_that_holds_no_pointers() {
    let backend = RecordingBackend::new();
    build(&Builder::new().create_with_backend(backend.clone()).unwrap());
    let image = backend.contents();
    let backend = RecordingBackend::from_image(image.clone());
    let db = Builder::new().set_cache_size(0).create_with_backend(backend.clone()).unwrap();
    let txn = db.begin_write().unwrap();
    // One leaf is changed, and is then in memory.
    txn.open_table(PLAIN).unwrap().insert(7, &[1; 100][..]).unwrap();
    backend.take_counters();
    for table in [PLAIN, RUNS] {
        assert!(txn.delete_table(table).unwrap());
    }
    let read = pages_read(&backend.take_counters());
    let needless: Vec<_> =
        read.keys().filter(|page| is_leaf(&image, **page) && !holds_pointers(&image, **page)).collect();
    println!("{} of {} pages read", read.len(), image.len() / PAGE);
    // The catalog's leaf holds pointers; of the tables' leaves 20,000 rows fill more than 500.
    assert!(needless.is_empty(), "leaves {needless:?}");
    assert!(read.len() < 60, "{} pages", read.len());
    txn.commit().unwrap();
    assert_eq!(db.verify().unwrap().linked_pages, 0);
}

#[test]
fn reading_what_is_cached_asks_the_storage_for_nothing() {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    build(&db);
    drop(db);
    let backend = RecordingBackend::from_image(backend.contents());
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    read_all(&db);
    assert!(!backend.take_counters().reads.is_empty());
    read_all(&db);
    assert_eq!(backend.take_counters(), Counters::default());
}

#[test]
fn what_was_just_written_is_read_from_the_cache() {
    let backend = RecordingBackend::new();
    let db = Builder::new().create_with_backend(backend.clone()).unwrap();
    backend.take_counters();
    build(&db);
    read_all(&db);
    assert_eq!(backend.take_counters().reads, []);
}

#[test]
fn a_scan_through_a_tiny_cache_reads_each_leaf_once() {
    let backend = RecordingBackend::new();
    build(&Builder::new().create_with_backend(backend.clone()).unwrap());
    let image = backend.contents();
    let backend = RecordingBackend::from_image(image.clone());
    let db = Builder::new().set_cache_size(8 * PAGE).create_with_backend(backend.clone()).unwrap();
    let txn = db.begin_read().unwrap();
    let plain = txn.open_table(PLAIN).unwrap();
    for backwards in [false, true] {
        backend.take_counters();
        let mut rows = plain.iter().unwrap();
        let mut count = 0;
        while let Some(row) = if backwards { rows.next_back() } else { rows.next() } {
            row.unwrap();
            count += 1;
        }
        assert_eq!(count, 20_000);
        let read = pages_read(&backend.take_counters());
        let again: Vec<_> = read.iter().filter(|(page, times)| is_leaf(&image, **page) && **times > 1).collect();
        println!("{} pages read", read.len());
        assert!(again.is_empty(), "{again:?}");
        assert!(read.len() > 500);
    }
}

#[test]
fn a_scan_does_not_push_the_branches_out() {
    let backend = RecordingBackend::new();
    build(&Builder::new().create_with_backend(backend.clone()).unwrap());
    let image = backend.contents();
    let backend = RecordingBackend::from_image(image.clone());
    let db = Builder::new().set_cache_size(64 * PAGE).create_with_backend(backend.clone()).unwrap();
    read_all(&db);
    backend.take_counters();
    read_all(&db);
    let read = pages_read(&backend.take_counters());
    let branches: Vec<_> = read.keys().filter(|page| !is_leaf(&image, **page)).collect();
    assert!(branches.is_empty(), "branches {branches:?} were read again");
}

/// The file of [`build`], opened with no cache.
fn uncached() -> (Vec<u8>, RecordingBackend, Database) {
    let backend = RecordingBackend::new();
    build(&Builder::new().create_with_backend(backend.clone()).unwrap());
    let image = backend.contents();
    let backend = RecordingBackend::from_image(image.clone());
    let db = Builder::new().set_cache_size(0).create_with_backend(backend.clone()).unwrap();
    (image, backend, db)
}

#[test]
fn deleting_a_range_reads_the_leaves_at_its_ends_and_those_with_pointers() {
    let (image, backend, db) = uncached();
    let txn = db.begin_write().unwrap();
    for (name, range, most) in [(PLAIN, 100..19_000, 4), (PLAIN, 0..50, 2), (RUNS, 500..900, 4), (RUNS, 10..990, 4)] {
        let mut table = txn.open_table(name).unwrap();
        backend.take_counters();
        table.delete_range(range.clone()).unwrap();
        let read = pages_read(&backend.take_counters());
        let plain: Vec<_> =
            read.keys().filter(|page| is_leaf(&image, **page) && !holds_pointers(&image, **page)).collect();
        println!("{} pages read for {range:?}, leaves {plain:?}", read.len());
        assert!(plain.len() <= most, "{plain:?}");
        assert_eq!(table.count(range).unwrap(), 0);
    }
    txn.commit().unwrap();
    db.verify().unwrap();
}

#[test]
fn counting_reads_one_way_down_for_each_end() {
    let (image, backend, db) = uncached();
    let height = {
        let stats = db.begin_read().unwrap().open_table(PLAIN).unwrap().stats().unwrap();
        stats.tree_height() as usize
    };
    let txn = db.begin_write().unwrap();
    let written = txn.open_table(PLAIN).unwrap();
    let read = db.begin_read().unwrap().open_table(PLAIN).unwrap();
    backend.take_counters();
    assert_eq!(read.count(5_000..15_000).unwrap(), 10_000);
    let pages = pages_read(&backend.take_counters());
    assert!(pages.len() < 2 * height && pages.keys().filter(|page| is_leaf(&image, **page)).count() == 2, "{pages:?}");
    assert_eq!(written.count(5_000..15_000).unwrap(), 10_000);
    assert!(pages_read(&backend.take_counters()).len() < 2 * height);
    assert_eq!(read.count::<u64>(..).unwrap(), 20_000);
    assert!(pages_read(&backend.take_counters()).is_empty());
}

#[test]
fn many_look_ups_at_once_read_no_page_twice() {
    let (_, backend, db) = uncached();
    let table = db.begin_read().unwrap().open_table(PLAIN).unwrap();
    backend.take_counters();
    let keys = (0..20_000).map(|number| number * 7_919 % 20_000);
    let found = table.get_many(keys).unwrap();
    assert_eq!(found.iter().flatten().count(), 20_000);
    let read = pages_read(&backend.take_counters());
    assert!(read.values().all(|times| *times == 1), "{read:?}");
}
