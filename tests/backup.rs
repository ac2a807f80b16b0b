//! Backups: a copy is one commit, whole and compact, whatever happens meanwhile; or there is none.
#![cfg(feature = "std")]

mod common;

use common::crash::RecordingBackend;
use common::forge::{self, Forge};
use common::image::Image;
use common::kinds::{ROWS, WORDS, contents, fill, thin_out};
use common::rng::Rng;
use common::scale;
use sapwood::{BackupError, Builder, Database, Durability, OpenOutcome, ReadOnlyDatabase, ReadableDatabase};
use sapwood::{MultimapTableDefinition, ReadableTable, ReadableTableMetadata, TableDefinition};
use sapwood::{StorageBackend, StorageError};
use std::fs;
use std::io::{Error, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

const EMPTY: TableDefinition<u64, u64> = TableDefinition::new("empty");
const BARE: MultimapTableDefinition<&str, &str> = MultimapTableDefinition::new("bare");
const LEFT: TableDefinition<u64, u64> = TableDefinition::new("left");
const RIGHT: TableDefinition<u64, u64> = TableDefinition::new("right");

fn builder(page: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_page_size(page).set_block_size(512).set_cache_size(4 << 20);
    builder
}

/// Half the rows of every kind, in pages from which the other half was removed, and two tables without rows.
fn thinned(page: usize, backend: RecordingBackend) -> Database {
    let db = builder(page).create_with_backend(backend).unwrap();
    let mut rng = Rng::new(page as u64);
    fill(&db, &mut rng, 1200 * scale(), 256);
    thin_out(&db, &mut rng, 128);
    let txn = db.begin_write().unwrap();
    txn.open_table(EMPTY).unwrap();
    txn.open_multimap_table(BARE).unwrap();
    txn.commit().unwrap();
    db
}

fn streamed(db: &Database) -> Vec<u8> {
    let mut bytes = Vec::new();
    let report = db.backup_to(&mut bytes).unwrap();
    assert_eq!(report.bytes, bytes.len() as u64);
    bytes
}

fn open(bytes: &[u8]) -> (RecordingBackend, Database) {
    let backend = RecordingBackend::from_image(bytes.to_vec());
    let db = Builder::new().set_cache_size(4 << 20).create_with_backend(backend.clone()).unwrap();
    (backend, db)
}

/// Opens a copy, which must be clean, and looks through it.
fn open_whole(bytes: &[u8]) -> (RecordingBackend, Database) {
    let (backend, mut db) = open(bytes);
    assert_eq!(*db.open_outcome(), OpenOutcome::Clean);
    assert!(db.check_integrity().unwrap());
    let report = db.verify().unwrap();
    // What is free is the place of the map that the copy brought, and what the file grew by for the opening commits.
    assert!(report.free_pages <= 24, "{report:?}");
    (backend, db)
}

#[test]
fn a_copy_has_every_row_and_is_as_short_as_a_compacted_file() {
    for page in [512, 4096, 65536] {
        let backend = RecordingBackend::new();
        let mut db = thinned(page, backend.clone());
        let rows = contents(&db.begin_read().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy");
        let report = db.backup(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!((report.bytes, report.pages * page as u64), (bytes.len() as u64, report.bytes));
        {
            let read_only = ReadOnlyDatabase::open(&path).unwrap();
            assert_eq!(*read_only.open_outcome(), OpenOutcome::Clean);
            assert_eq!(contents(&read_only.begin_read().unwrap()), rows);
            let mut again = Vec::new();
            assert_eq!(read_only.backup_to(&mut again).unwrap(), report);
            read_only.backup(dir.path().join("again")).unwrap();
            assert!(fs::read(dir.path().join("again")).unwrap() == bytes, "a copy of a copy is another");
            let memory = Image::default();
            read_only.backup_with_backend(memory.clone()).unwrap();
            assert!(memory.bytes() == bytes && memory.closes() == 1);
        }
        assert!(fs::read(&path).unwrap() == bytes, "reading wrote");
        let (_, copy) = open_whole(&bytes);
        let txn = copy.begin_read().unwrap();
        assert_eq!(contents(&txn), rows);
        assert_eq!((txn.list_tables().unwrap().count(), txn.list_multimap_tables().unwrap().count()), (3, 2));
        assert!(txn.open_table(EMPTY).unwrap().is_empty().unwrap());
        assert!(txn.open_multimap_table(BARE).unwrap().is_empty().unwrap());
        let table = txn.open_table(ROWS).unwrap();
        assert_eq!(table.len().unwrap(), table.iter().unwrap().count() as u64);
        db.compact().unwrap();
        drop(db);
        let compacted = backend.contents().len();
        assert!(bytes.len() * 20 <= compacted * 21, "{} bytes, compacted {compacted}", bytes.len());
    }
}

#[test]
fn a_stream_opens_clean_and_becomes_a_file_like_any_other() {
    let mut sources = vec![builder(4096).create_with_backend(Image::default()).unwrap()];
    sources.extend([512, 4096, 65536].map(|page| thinned(page, RecordingBackend::new())));
    let dir = tempfile::tempdir().unwrap();
    for (nth, db) in sources.iter().enumerate() {
        let bytes = streamed(db);
        let path = dir.path().join(nth.to_string());
        fs::write(&path, &bytes).unwrap();
        assert_eq!(*ReadOnlyDatabase::open(&path).unwrap().open_outcome(), OpenOutcome::Clean);
        assert!(fs::read(&path).unwrap() == bytes);
        let (backend, copy) = open_whole(&bytes);
        let txn = copy.begin_write().unwrap();
        txn.open_table(EMPTY).unwrap().insert(1, 2).unwrap();
        txn.commit().unwrap();
        drop(copy);
        let (_, copy) = open_whole(&backend.contents());
        assert_eq!(copy.begin_read().unwrap().open_table(EMPTY).unwrap().len().unwrap(), 1);
    }
}

#[test]
fn empty_databases_are_copied() {
    let db = builder(512).create_with_backend(Image::default()).unwrap();
    let (_, copy) = open_whole(&streamed(&db));
    assert_eq!(copy.begin_read().unwrap().list_tables().unwrap().count(), 0);
    let txn = db.begin_write().unwrap();
    txn.open_table(EMPTY).unwrap().insert(1, 1).unwrap();
    txn.commit().unwrap();
    let txn = db.begin_write().unwrap();
    txn.delete_table(EMPTY).unwrap();
    txn.commit().unwrap();
    let image = Image::default();
    let report = db.backup_with_backend(image.clone()).unwrap();
    assert!(report.pages <= 5 && report.transaction_id > 1, "{report:?}");
    let (_, copy) = open_whole(&image.bytes());
    assert_eq!(copy.begin_read().unwrap().list_tables().unwrap().count(), 0);
}

#[test]
fn a_stream_that_was_cut_off_does_not_open() {
    for (page, rows) in [(512, 40), (4096, 10)] {
        let db = builder(page).create_with_backend(Image::default()).unwrap();
        fill(&db, &mut Rng::new(1), rows, 256);
        let bytes = streamed(&db);
        let step = if bytes.len() < 100_000 { 1 } else { 97 };
        // A file without a byte is a new one to `create`.
        for length in (1..bytes.len()).step_by(step) {
            let cut = RecordingBackend::from_image(bytes[..length].to_vec());
            assert!(Builder::new().set_cache_size(0).create_with_backend(cut).is_err(), "{length} bytes");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(builder(page).create_with_backend(Image::new(longer)).is_err());
        open_whole(&bytes);
    }
}

#[test]
fn a_copy_is_exactly_one_commit_of_those_who_write_meanwhile() {
    const SUM: u64 = 1 << 40;
    let db = builder(512).create_with_backend(Image::default()).unwrap();
    let put = |round: u64| {
        let mut txn = db.begin_write().unwrap();
        if round % 3 == 1 {
            txn.set_durability(Durability::None).unwrap();
        }
        {
            let (mut left, mut right) = (txn.open_table(LEFT).unwrap(), txn.open_table(RIGHT).unwrap());
            let mut rng = Rng::new(round);
            for key in 0..if round == 0 { 2000 } else { 40 } {
                let key = if round == 0 { key } else { rng.below(2000) };
                let value = rng.below(SUM);
                left.insert(key, value).unwrap();
                right.insert(key, SUM - value).unwrap();
            }
            left.insert(u64::MAX, round).unwrap();
        }
        txn.commit().unwrap();
    };
    put(0);
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1.. {
                put(round);
                if ends.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let mut last = 0;
        for _ in 0..20 * scale() {
            let round_of = |db: &Database| {
                let left = db.begin_read().unwrap().open_table(LEFT).unwrap();
                left.get(u64::MAX).unwrap().unwrap().value()
            };
            let before = round_of(&db);
            let (_, copy) = open_whole(&streamed(&db));
            let round = round_of(&copy);
            assert!(before <= round && round <= round_of(&db) && last <= round);
            last = round;
            let txn = copy.begin_read().unwrap();
            let (left, right) = (txn.open_table(LEFT).unwrap(), txn.open_table(RIGHT).unwrap());
            assert_eq!((left.len().unwrap(), right.len().unwrap()), (2001, 2000));
            for row in right.iter().unwrap() {
                let (key, value) = row.unwrap();
                assert_eq!(left.get(key.value()).unwrap().unwrap().value() + value.value(), SUM);
            }
        }
        ends.store(true, Ordering::Relaxed);
    });
    db.verify().unwrap();
}

#[test]
fn commits_without_durability_are_in_it() {
    let image = Image::default();
    let db = thinned(4096, RecordingBackend::new());
    let mut txn = db.begin_write().unwrap();
    txn.set_durability(Durability::None).unwrap();
    for key in 0..500 {
        txn.open_table(EMPTY).unwrap().insert(key, key).unwrap();
        txn.open_table(WORDS).unwrap().insert(&*format!("new {key}"), &[7; 5000][..]).unwrap();
    }
    txn.commit().unwrap();
    // One that is under way is not.
    let txn = db.begin_write().unwrap();
    txn.open_table(EMPTY).unwrap().insert(1000, 1).unwrap();
    let report = db.backup_with_backend(image.clone()).unwrap();
    drop(txn);
    let (_, copy) = open_whole(&image.bytes());
    assert_eq!(copy.begin_read().unwrap().open_table(EMPTY).unwrap().len().unwrap(), 500);
    assert_eq!(contents(&copy.begin_read().unwrap()), contents(&db.begin_read().unwrap()));
    let later = db.begin_write().unwrap();
    later.open_table(EMPTY).unwrap().insert(1000, 1).unwrap();
    later.commit().unwrap();
    assert!(db.backup_to(&mut Vec::new()).unwrap().transaction_id > report.transaction_id);
}

#[test]
fn savepoints_are_not_copied() {
    let db = thinned(512, RecordingBackend::new());
    let txn = db.begin_write().unwrap();
    let id = txn.persistent_savepoint().unwrap();
    let ephemeral = txn.ephemeral_savepoint().unwrap();
    txn.commit().unwrap();
    fill(&db, &mut Rng::new(5), 300, 256);
    let rows = contents(&db.begin_read().unwrap());
    let (_, copy) = open_whole(&streamed(&db));
    assert_eq!(contents(&copy.begin_read().unwrap()), rows);
    assert_eq!(copy.begin_write().unwrap().list_persistent_savepoints().unwrap().count(), 0);
    drop(ephemeral);
    let mut txn = db.begin_write().unwrap();
    let savepoint = txn.get_persistent_savepoint(id).unwrap();
    txn.restore_savepoint(&savepoint).unwrap();
    txn.commit().unwrap();
    assert_ne!(contents(&db.begin_read().unwrap()), rows);
    open_whole(&streamed(&db));
}

/// The free map and the trees of a copy are those of any file: the same changes give the same rows.
#[test]
fn a_copy_is_written_to_as_the_original() {
    for page in [512, 4096] {
        let db = thinned(page, RecordingBackend::new());
        let (backend, mut copy) = open_whole(&streamed(&db));
        for round in 0..4 * scale() {
            for db in [&db, &copy] {
                let mut rng = Rng::new(round);
                fill(db, &mut rng, 1500, 40);
                thin_out(db, &mut rng, 200);
                let txn = db.begin_write().unwrap();
                let gone = rng.below(1000);
                txn.open_table(ROWS).unwrap().delete_range(gone..gone + 150).unwrap();
                txn.open_table(WORDS).unwrap().retain(|word, _| !word.starts_with(&gone.to_string()[..1])).unwrap();
                txn.commit().unwrap();
                db.verify().unwrap();
            }
            assert_eq!(contents(&copy.begin_read().unwrap()), contents(&db.begin_read().unwrap()));
        }
        copy.compact().unwrap();
        copy.verify().unwrap();
        drop(copy);
        let (_, copy) = open(&backend.contents());
        assert_eq!(*copy.open_outcome(), OpenOutcome::Clean);
        assert_eq!(contents(&copy.begin_read().unwrap()), contents(&db.begin_read().unwrap()));
    }
}

/// A target of which one call fails, and those after it that would make it longer or write to it.
#[derive(Clone, Debug, Default)]
struct Failing {
    image: Image,
    left: Arc<AtomicUsize>,
}

impl Failing {
    fn after(calls: usize) -> Self {
        Self { image: Image::default(), left: Arc::new(AtomicUsize::new(calls)) }
    }

    fn count(&self) -> Result<(), Error> {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| Error::new(ErrorKind::StorageFull, "the target is full"))
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> Result<u64, Error> {
        self.image.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.image.read(offset, out)
    }
    fn set_len(&self, len: u64) -> Result<(), Error> {
        if len > 0 {
            self.count()?;
        }
        self.image.set_len(len)
    }
    fn sync_data(&self) -> Result<(), Error> {
        self.count()
    }
    fn write(&self, offset: u64, data: &[u8]) -> Result<(), Error> {
        self.count()?;
        self.image.write(offset, data)
    }
    fn close(&self) -> Result<(), Error> {
        self.image.close()
    }
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.count()?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> Result<(), Error> {
        self.count()
    }
}

fn is_full<T: std::fmt::Debug>(outcome: Result<T, BackupError>) -> bool {
    matches!(outcome, Err(BackupError::Target(err)) if err.kind() == ErrorKind::StorageFull)
}

#[test]
fn a_target_that_fails_at_any_call_is_told_apart_and_left_empty() {
    let db = thinned(4096, RecordingBackend::new());
    let mut calls = 0;
    loop {
        let target = Failing::after(calls);
        let outcome = db.backup_with_backend(target.clone());
        assert_eq!(target.image.closes(), 1);
        if outcome.is_ok() {
            break;
        }
        assert!(is_full(outcome), "call {calls}");
        assert_eq!(target.image.len().unwrap(), 0);
        calls += 1;
    }
    assert!(calls > 8, "{calls} calls");
    let mut calls = 0;
    while let outcome = db.backup_to(Failing::after(calls))
        && outcome.is_err()
    {
        assert!(is_full(outcome), "call {calls}");
        calls += 1;
    }
    assert!(calls > 4, "{calls} calls");
    // Neither is the database's fault.
    db.verify().unwrap();
    let err = sapwood::Error::from(db.backup_to(Failing::after(0)).unwrap_err());
    assert!(err.is_retryable() && matches!(err, sapwood::Error::Io(_)));
}

#[test]
fn what_is_in_the_way_stays() {
    let db = thinned(4096, RecordingBackend::new());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("there");
    fs::write(&path, b"something").unwrap();
    let kind = |path: &Path| match db.backup(path) {
        Err(BackupError::Target(err)) => err.kind(),
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(&path), ErrorKind::AlreadyExists);
    assert_eq!(kind(dir.path()), ErrorKind::AlreadyExists);
    assert_eq!(kind(&dir.path().join("no/such/folder")), ErrorKind::NotFound);
    assert_eq!(fs::read(&path).unwrap(), b"something");
    let full = Image::new(vec![0]);
    assert!(matches!(db.backup_with_backend(full.clone()), Err(BackupError::Target(_))));
    assert_eq!(full.bytes(), [0]);
}

#[test]
fn damage_of_the_source_leaves_no_copy() {
    let whole = Forge::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("copy");
    let mut told = 0;
    for at in whole.pointers() {
        let mut bytes = whole.bytes.clone();
        bytes[whole.target(at).unwrap() + 3] ^= 0x10;
        let Ok(db) = forge::builder().create_with_backend(Image::new(bytes)) else { continue };
        match db.backup(&path) {
            // Only a savepoint needs it.
            Ok(_) => fs::remove_file(&path).unwrap(),
            Err(BackupError::Storage(StorageError::Corrupted(what))) => {
                assert!(!path.exists(), "{what}");
                told += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(told > 40, "{told}");
    let source = Image::new(whole.bytes);
    let db = forge::builder().create_with_backend(source.clone()).unwrap();
    source.fail_read(3);
    assert!(matches!(db.backup(&path), Err(BackupError::Storage(StorageError::Io(_)))));
    assert!(!path.exists());
    let text = BackupError::Storage(StorageError::DatabaseClosed).to_string();
    assert!(text.contains("closed"), "{text}");
}

/// A page that is linked from everywhere has more ways to it than a copy has room.
#[test]
fn a_page_that_is_linked_many_times_ends_the_copy() {
    let mut forge = Forge::without_savepoints();
    let branch = forge.find(|forge, at, target| !forge.is_run(at) && forge.bytes[target + 5] == 2).pop().unwrap();
    let page = forge.target(branch).unwrap();
    let (first, count) = (forge.child(page, 0), forge::u16_at(&forge.bytes, page + 2));
    for nth in 1..count {
        forge.copy_pointer(first, forge.child(page, nth));
    }
    forge.fix();
    let db = forge::builder().create_with_backend(Image::new(forge.bytes)).unwrap();
    let target = Image::default();
    assert!(matches!(db.backup_with_backend(target.clone()), Err(BackupError::Storage(StorageError::Corrupted(_)))));
    assert!(target.bytes().is_empty());
}
