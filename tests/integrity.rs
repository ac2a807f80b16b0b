//! Checks that put right what they find, callbacks of opening, and files that are only read.
#![cfg(feature = "std")]

mod common;

use common::crash::RecordingBackend;
use common::forge::{At, Forge, NAMES, NUMBERS, PAGE, SLOT_SIZE, SLOTS, TAGS, TEXTS, builder, u32_at};
use sapwood::backends::FileBackend;
use sapwood::{
    Builder, Database, DatabaseError, Durability, OpenOutcome, ReadOnlyDatabase, ReadableDatabase,
    ReadableMultimapTable, ReadableTable, StorageBackend, StorageError,
};
use std::cell::RefCell;
use std::fs::{self, File};
use std::path::Path;
use std::rc::Rc;
use xxhash_rust::xxh3::xxh3_128;

/// Place of the pointer to the saved free map in a slot.
const SAVED: usize = 128;

fn open(bytes: &[u8]) -> (RecordingBackend, Database) {
    let backend = RecordingBackend::from_image(bytes.to_vec());
    let db = builder().create_with_backend(backend.clone()).unwrap();
    (backend, db)
}

fn put(db: &Database, keys: std::ops::Range<u64>, durability: Durability) {
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(durability).unwrap();
    {
        let mut numbers = txn.open_table(NUMBERS).unwrap();
        for key in keys {
            numbers.insert(key, &[1; 40][..]).unwrap();
        }
    }
    txn.commit().unwrap();
}

fn rows(db: &impl ReadableDatabase) -> usize {
    let txn = db.begin_read().unwrap();
    txn.open_table(NUMBERS).unwrap().iter().unwrap().map(Result::unwrap).count()
}

fn is_corrupted<T: std::fmt::Debug>(outcome: Result<T, DatabaseError>) -> bool {
    matches!(outcome, Err(DatabaseError::Storage(StorageError::Corrupted(_))))
}

#[test]
fn a_sound_file_passes_in_every_state() {
    let mut db = builder().create_with_backend(RecordingBackend::new()).unwrap();
    assert!(db.check_integrity().unwrap());
    let (backend, mut db) = open(&Forge::new().bytes);
    assert!(db.check_integrity().unwrap());
    for durability in [Durability::Immediate, Durability::None] {
        put(&db, 1000..1300, durability);
        assert!(db.check_integrity().unwrap());
        assert!(db.check_integrity().unwrap());
    }
    // What was not durable is now.
    let (_, mut crashed) = open(&backend.contents());
    assert_eq!((crashed.open_outcome(), rows(&crashed)), (&OpenOutcome::Recovered, 750));
    // The second time it was prepared for writing by the first.
    assert!(crashed.check_integrity().unwrap());
    assert!(crashed.check_integrity().unwrap());
    drop(crashed);
    drop(db);
    let (_, mut closed) = open(&backend.contents());
    assert_eq!(*closed.open_outcome(), OpenOutcome::Clean);
    assert!(closed.check_integrity().unwrap());
    closed.verify().unwrap();
}

#[test]
fn copies_that_are_damaged_meanwhile_are_written_again() {
    let (backend, mut db) = open(&Forge::new().bytes);
    put(&db, 0..10, Durability::Immediate);
    assert!(db.check_integrity().unwrap());
    let whole = backend.contents();
    let mirror = whole.len() - PAGE;
    for offset in [0, 9, SLOTS[0], SLOTS[0] + 60, SLOTS[1] + 3, mirror, mirror + 300] {
        backend.write(offset as u64, &[!whole[offset]]).unwrap();
        assert!(!db.check_integrity().unwrap(), "byte {offset}");
        assert!(db.check_integrity().unwrap(), "byte {offset}");
        let (_, reopened) = open(&backend.contents());
        assert_eq!(rows(&reopened), rows(&db));
    }
    backend.set_len(backend.len().unwrap() + 3 * PAGE as u64).unwrap();
    assert!(!db.check_integrity().unwrap());
    assert_eq!(backend.len().unwrap() % PAGE as u64, 0);
    assert!(db.check_integrity().unwrap());
    drop(db);
    let (_, db) = open(&backend.contents());
    assert_eq!(*db.open_outcome(), OpenOutcome::Clean);
}

#[test]
fn copies_that_opening_found_damaged_are_written_again() {
    let mirror = Forge::new().bytes.len() - PAGE;
    for offset in [3, SLOTS[0] + 10, SLOTS[1] + 10, mirror + 20] {
        let mut bytes = Forge::new().bytes;
        bytes[offset] ^= 0xFF;
        let (_, mut db) = open(&bytes);
        assert!(!db.check_integrity().unwrap());
        assert!(db.check_integrity().unwrap());
    }
}

/// A closed file whose saved free map has the bit of one page changed, its checksum right.
fn with_saved_bit(page: impl Fn(&[u8], usize) -> Option<usize>) -> Vec<u8> {
    let mut forge = Forge::without_savepoints();
    let saved = At::Whole(SLOTS[0] + SAVED);
    let start = u32_at(&forge.bytes, saved.number()) as usize * PAGE;
    let length = forge.number_at(saved.size()) as usize;
    let page = page(&forge.bytes[start + 16..start + length], forge.bytes.len() / PAGE).unwrap();
    forge.bytes[start + 16 + page / 8] ^= 1 << (page % 8);
    let checksum = xxh3_128(&forge.bytes[start..start + length]).to_le_bytes();
    for slot in SLOTS {
        forge.put(At::Whole(slot + SAVED).checksum(), &checksum);
    }
    forge.fix();
    assert_eq!(forge.bytes[SLOTS[0]..SLOTS[0] + SLOT_SIZE], forge.bytes[SLOTS[1]..SLOTS[1] + SLOT_SIZE]);
    forge.bytes
}

fn is_used(map: &[u8], page: usize) -> bool {
    map[page / 8] >> (page % 8) & 1 != 0
}

#[test]
fn free_pages_are_found_again() {
    let lost = with_saved_bit(|map, pages| (3..pages).find(|page| !is_used(map, *page)));
    let given_away = with_saved_bit(|map, pages| (3..pages - 1).rev().find(|page| is_used(map, *page)));
    for (bytes, writes) in [(&lost, false), (&lost, true), (&given_away, false)] {
        let (_, mut db) = open(bytes);
        assert_eq!(*db.open_outcome(), OpenOutcome::Clean);
        if writes {
            // The wrong map is in use by now.
            put(&db, 0..1, Durability::Immediate);
            assert!(is_corrupted(db.verify()));
        }
        assert!(!db.check_integrity().unwrap());
        db.verify().unwrap();
        assert!(db.check_integrity().unwrap());
        put(&db, 2000..3000, Durability::Immediate);
        db.verify().unwrap();
        assert_eq!(rows(&db), 1450);
    }
}

#[test]
fn a_damaged_page_is_not_repaired_even_if_it_is_in_memory() {
    let (backend, mut db) = open(&Forge::new().bytes);
    assert!(db.check_integrity().unwrap());
    rows(&db);
    let forge = Forge { bytes: backend.contents() };
    let leaf = forge.find(|forge, at, target| !forge.is_run(at) && forge.bytes[target] == 1).pop().unwrap();
    let place = forge.target(leaf).unwrap() + 100;
    backend.write(place as u64, &[!forge.bytes[place]]).unwrap();
    assert!(is_corrupted(db.check_integrity()));
    assert!(is_corrupted(db.check_integrity()));
}

#[test]
fn a_check_refuses_to_run_beside_transactions() {
    let (_, mut db) = open(&Forge::new().bytes);
    let refused = |db: &mut Database| matches!(db.check_integrity(), Err(DatabaseError::TransactionInProgress));
    let txn = db.begin_write().unwrap();
    assert!(refused(&mut db));
    drop(txn);
    assert!(db.check_integrity().unwrap());
    let txn = db.begin_read().unwrap();
    assert!(refused(&mut db));
    let table = txn.open_table(TEXTS).unwrap();
    drop(txn);
    assert!(refused(&mut db));
    let range = table.range_owned::<&str>(..).unwrap();
    let guard = table.get_owned("10kkkkkkkkkk").unwrap();
    drop(table);
    assert!(refused(&mut db));
    drop(range);
    assert_eq!(guard.is_some(), refused(&mut db));
    drop(guard);
    assert!(db.check_integrity().unwrap());
}

type Heard = Rc<RefCell<Vec<f64>>>;

/// Notes what it is told, and aborts at the call of that number.
fn watched(abort: usize) -> (Builder, Heard) {
    let (heard, mut builder) = (Heard::default(), builder());
    let notes = heard.clone();
    builder.set_repair_callback(move |session| {
        notes.borrow_mut().push(session.progress());
        if notes.borrow().len() == abort {
            session.abort();
        }
    });
    (builder, heard)
}

/// The storage as a crash leaves it behind a commit of many pages.
fn crashed(quick: bool) -> Vec<u8> {
    let backend = RecordingBackend::new();
    let db = builder().create_with_backend(backend.clone()).unwrap();
    let mut txn = db.begin_write().unwrap();
    txn.set_quick_repair(quick);
    {
        let mut numbers = txn.open_table(NUMBERS).unwrap();
        for key in 0..10_000 {
            numbers.insert(key, &[7; 40][..]).unwrap();
        }
    }
    txn.commit().unwrap();
    backend.contents()
}

#[test]
fn the_check_of_an_unclean_file_is_told_of_and_can_be_aborted() {
    let image = crashed(false);
    let (builder, heard) = watched(0);
    let db = builder.create_with_backend(RecordingBackend::from_image(image.clone())).unwrap();
    assert_eq!(rows(&db), 10_000);
    let heard = heard.take();
    assert_eq!(heard[0], 0.0);
    assert!(heard.len() >= 4 && heard.is_sorted() && heard.iter().all(|progress| *progress < 1.0), "{heard:?}");
    for abort in 1..=heard.len() {
        let backend = RecordingBackend::from_image(image.clone());
        let outcome = watched(abort).0.create_with_backend(backend.clone());
        assert!(matches!(outcome, Err(DatabaseError::RepairAborted)));
        let counters = backend.take_counters();
        assert_eq!((counters.writes, counters.closes), (0, 1));
        assert_eq!(backend.contents(), image);
    }
}

#[test]
fn nothing_is_told_of_files_in_which_nothing_need_be_found_out() {
    let empty = RecordingBackend::new();
    drop(builder().create_with_backend(empty.clone()).unwrap());
    for image in [Vec::new(), empty.contents(), Forge::new().bytes, crashed(true)] {
        let (builder, heard) = watched(1);
        drop(builder.create_with_backend(RecordingBackend::from_image(image)).unwrap());
        assert_eq!(heard.take(), []);
    }
}

fn already_open<T>(outcome: Result<T, DatabaseError>) -> bool {
    matches!(outcome, Err(DatabaseError::DatabaseAlreadyOpen))
}

fn in_file(bytes: &[u8], test: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, bytes).unwrap();
    test(&path);
}

#[test]
fn readers_share_a_file_and_shut_writers_out() {
    in_file(&Forge::new().bytes, |path| {
        let one = ReadOnlyDatabase::open(path).unwrap();
        let another = builder().open_read_only(path).unwrap();
        assert_eq!((rows(&one), rows(&another)), (450, 450));
        assert!(one.cache_stats().read_misses() > 0);
        assert!(already_open(Database::open(path)));
        assert!(already_open(Database::create(path)));
        drop(one);
        assert!(already_open(Database::open(path)));
        let txn = another.begin_read().unwrap();
        drop(another);
        assert!(txn.open_table(NUMBERS).is_err());
        let writer = Database::open(path).unwrap();
        assert!(already_open(ReadOnlyDatabase::open(path)));
        drop(writer);
        ReadOnlyDatabase::open(path).unwrap();
    });
}

#[test]
fn reading_only_leaves_a_crashed_file_as_it_is() {
    let image = crashed(false);
    in_file(&image, |path| {
        let db = ReadOnlyDatabase::open(path).unwrap();
        assert_eq!((db.open_outcome(), rows(&db)), (&OpenOutcome::Recovered, 10_000));
        drop(db);
        assert_eq!(fs::read(path).unwrap(), image);
        let (builder, heard) = watched(2);
        assert!(matches!(builder.open_read_only(path), Err(DatabaseError::RepairAborted)));
        assert_eq!(heard.take().len(), 2);
        let file = File::options().read(true).write(true).open(path).unwrap();
        FileBackend::new(file).expect("an opening that failed lets go of its lock");
    });
    // The newest commit lost a page.
    let (backend, db) = open(&Forge::new().bytes);
    put(&db, 5000..5001, Durability::Immediate);
    let forge = Forge { bytes: backend.contents() };
    put(&db, 6000..6100, Durability::Immediate);
    let mut torn = backend.contents();
    let changed = (3..forge.bytes.len() / PAGE - 1).find(|page| {
        let page = page * PAGE..(page + 1) * PAGE;
        torn[page.clone()] != forge.bytes[page]
    });
    torn[changed.unwrap() * PAGE + 40] ^= 1;
    in_file(&torn, |path| {
        let db = ReadOnlyDatabase::open(path).unwrap();
        assert!(matches!(db.open_outcome(), OpenOutcome::RolledBack(_)));
        assert_eq!(rows(&db), 451);
        drop(db);
        assert_eq!(fs::read(path).unwrap(), torn);
    });
}

#[test]
fn files_that_cannot_be_read() {
    let kind = |path: &Path| match ReadOnlyDatabase::open(path) {
        Err(DatabaseError::Storage(StorageError::Io(err))) => err.kind(),
        other => panic!("{other:?}"),
    };
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(kind(&directory.path().join("missing")), std::io::ErrorKind::NotFound);
    assert_eq!(kind(directory.path()), std::io::ErrorKind::InvalidInput);
    in_file(&[], |path| {
        assert_eq!(kind(path), std::io::ErrorKind::InvalidData);
        assert_eq!(fs::read(path).unwrap(), []);
    });
    in_file(&[7; 20_000], |path| assert_eq!(kind(path), std::io::ErrorKind::InvalidData));
    let mut damaged = Forge::new();
    let leaf = damaged.find(|forge, at, target| !forge.is_run(at) && forge.bytes[target] == 1).pop().unwrap();
    let place = damaged.target(leaf).unwrap() + 100;
    damaged.bytes[place] ^= 1;
    in_file(&damaged.bytes, |path| {
        let db = ReadOnlyDatabase::open(path).unwrap();
        let txn = db.begin_read().unwrap();
        let numbers = txn.open_table(NUMBERS).unwrap();
        let texts = txn.open_table(TEXTS).unwrap();
        let tables = numbers.iter().unwrap().any(|row| row.is_err()) || texts.iter().unwrap().any(|row| row.is_err());
        let tags = txn.open_multimap_table(TAGS).unwrap();
        let names = txn.open_multimap_table(NAMES).unwrap();
        let mut tags =
            tags.iter().unwrap().map(|entry| entry.map_or(1, |(_, values)| values.filter(Result::is_err).count()));
        let mut names =
            names.iter().unwrap().map(|entry| entry.map_or(1, |(_, values)| values.filter(Result::is_err).count()));
        assert!(tables || tags.any(|errors| errors > 0) || names.any(|errors| errors > 0));
    });
}
