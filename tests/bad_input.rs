//! Wrong arguments, wrong files, storages that fail: each has its error, and harms nothing else.

mod common;

use common::image::Image;
use common::rng::Rng;
use sapwood::limits::{MAX_KEY_LENGTH, MAX_NAME_LENGTH, MAX_VALUE_LENGTH};
use sapwood::{
    Builder, CommitError, Database, DatabaseError, Error, Key, OpenOutcome, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, StorageError, TableDefinition, TableError, TransactionError, TypeName, Value,
};
use std::cell::Cell;
use std::cmp::Ordering;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

const BYTES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("bytes");
const NUMBERS: TableDefinition<u64, &[u8]> = TableDefinition::new("numbers");
const PAGE: usize = 512;

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_page_size(PAGE).set_block_size(PAGE).set_cache_size(1 << 20);
    builder
}

fn create(image: &Image) -> Database {
    builder().create_with_backend(image.clone()).unwrap()
}

fn insert(db: &Database, keys: std::ops::Range<u64>, length: usize) -> Result<(), Error> {
    let txn = db.begin_write()?;
    {
        let mut numbers = txn.open_table(NUMBERS)?;
        for key in keys {
            numbers.insert(key, &vec![key as u8; length][..])?;
        }
    }
    Ok(txn.commit()?)
}

/// All keys, every value having been checked.
fn keys(db: &Database, length: usize) -> Result<Vec<u64>, Error> {
    let numbers = match db.begin_read()?.open_table(NUMBERS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        numbers => numbers?,
    };
    let mut keys = Vec::new();
    for row in numbers.iter()? {
        let (key, value) = row?;
        assert_eq!(value.value(), vec![key.value() as u8; length]);
        keys.push(key.value());
    }
    assert_eq!(keys.len() as u64, numbers.len()?);
    Ok(keys)
}

fn is_io(err: &DatabaseError, kind: ErrorKind) -> bool {
    matches!(err, DatabaseError::Storage(StorageError::Io(err)) if err.kind() == kind)
}

/// The bytes of a small closed database.
fn closed_file() -> Vec<u8> {
    let image = Image::default();
    let db = create(&image);
    insert(&db, 0..300, 20).unwrap();
    insert(&db, 300..320, 900).unwrap_or_else(|err| panic!("{err}"));
    drop(db);
    image.bytes()
}

#[test]
fn keys_and_values_over_the_limit() {
    let db = create(&Image::default());
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(BYTES).unwrap();
        table.insert(&b"before"[..], &b"1"[..]).unwrap();
        // Zeros that nobody touches take address space, not memory.
        let long = vec![0; MAX_VALUE_LENGTH + 1];
        let inserted = table.insert(&b"key"[..], &long[..]);
        assert!(matches!(inserted, Err(StorageError::ValueTooLarge(length)) if length == MAX_VALUE_LENGTH + 1));
        drop(inserted);
        let long = vec![0; MAX_KEY_LENGTH + 1];
        let inserted = table.insert(&long[..], &b"value"[..]);
        assert!(matches!(inserted, Err(StorageError::ValueTooLarge(length)) if length == MAX_KEY_LENGTH + 1));
        drop(inserted);
        let reserved = table.insert_reserve(&b"key"[..], MAX_VALUE_LENGTH + 1);
        assert!(matches!(reserved, Err(StorageError::ValueTooLarge(_))));
        drop(reserved);
        let mut guard = table.get_mut(&b"before"[..]).unwrap().unwrap();
        assert!(matches!(guard.insert(&long[..]), Err(StorageError::ValueTooLarge(_))));
        assert_eq!(guard.value(), b"1");
        drop(guard);
        // Such a key can be asked for: it is not there.
        assert!(table.get(&long[..]).unwrap().is_none());
        assert!(table.remove(&long[..]).unwrap().is_none());
        assert_eq!(table.range(&long[..]..).unwrap().count(), 1);
        table.insert(&b"after"[..], &b"2"[..]).unwrap();
        assert_eq!(table.len().unwrap(), 2);
    }
    txn.commit().unwrap();
    let table = db.begin_read().unwrap().open_table(BYTES).unwrap();
    assert_eq!(table.get(&b"before"[..]).unwrap().unwrap().value(), b"1");
    assert_eq!(table.get(&b"after"[..]).unwrap().unwrap().value(), b"2");
    assert_eq!(table.len().unwrap(), 2);
    db.verify().unwrap();
}

/// Each prefix of what creation writes, made by a storage that fails after so many operations.
#[test]
fn a_creation_that_stopped_is_finished() {
    #[derive(Debug)]
    struct Stops(Image, std::sync::atomic::AtomicUsize);
    impl Stops {
        fn step(&self) -> Result<(), std::io::Error> {
            let left = &self.1;
            let took = |left: usize| left.checked_sub(1);
            let order = std::sync::atomic::Ordering::Relaxed;
            left.fetch_update(order, order, took).map(drop).map_err(|_| ErrorKind::Other.into())
        }
    }
    impl sapwood::StorageBackend for Stops {
        fn len(&self) -> Result<u64, std::io::Error> {
            self.0.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), std::io::Error> {
            self.0.read(offset, out)
        }
        fn set_len(&self, length: u64) -> Result<(), std::io::Error> {
            self.step()?;
            self.0.set_len(length)
        }
        fn sync_data(&self) -> Result<(), std::io::Error> {
            self.step()
        }
        fn write(&self, offset: u64, data: &[u8]) -> Result<(), std::io::Error> {
            self.step()?;
            self.0.write(offset, data)
        }
    }
    let mut refused = 0;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("half.sapwood");
    for steps in 0.. {
        let image = Image::default();
        let backend = Stops(image.clone(), std::sync::atomic::AtomicUsize::new(steps));
        let created = builder().create_with_backend(backend);
        if created.is_ok() {
            break;
        }
        refused += 1;
        std::fs::write(&path, image.bytes()).unwrap();
        // Opening does not create; it says so, or finds what is complete but for a sync.
        match Database::open(&path) {
            Ok(db) => assert_eq!(keys(&db, 1).unwrap(), []),
            Err(err) => assert!(is_io(&err, ErrorKind::InvalidData), "{steps}: {err}"),
        }
        let db = create(&image);
        insert(&db, 0..10, 3).unwrap();
        drop(db);
        assert_eq!(keys(&create(&image), 3).unwrap(), (0..10).collect::<Vec<_>>(), "{steps}");
    }
    assert!(refused >= 6, "{refused}");
}

#[test]
fn paths_that_are_no_files() {
    let dir = tempfile::tempdir().unwrap();
    assert!(is_io(&Database::create(dir.path()).unwrap_err(), ErrorKind::InvalidInput));
    assert!(is_io(&Database::open(dir.path()).unwrap_err(), ErrorKind::InvalidInput));
    let missing = dir.path().join("missing");
    assert!(is_io(&Database::open(&missing).unwrap_err(), ErrorKind::NotFound));
    assert!(!missing.exists());
    assert!(is_io(&Database::create(missing.join("below")).unwrap_err(), ErrorKind::NotFound));
    assert!(is_io(&Database::create("").unwrap_err(), ErrorKind::NotFound));
    if cfg!(unix) {
        assert!(Database::create("/dev/null").is_err());
        assert!(Database::open("/dev/zero").is_err());
    }
}

fn assert_refused(path: &Path, create: bool) {
    let before = std::fs::metadata(path).unwrap().len();
    let opened = if create { Database::create(path) } else { Database::open(path) };
    let err = opened.unwrap_err();
    assert!(is_io(&err, ErrorKind::InvalidData), "{err:?}");
    assert_eq!(std::fs::metadata(path).unwrap().len(), before);
}

#[test]
fn files_of_other_programs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other");
    let mut rng = Rng::new(4);
    let mut contents: Vec<Vec<u8>> = vec![b"x".to_vec(), b"Sapwood is the living wood.".repeat(100)];
    contents.extend([1, 63, 64, 65, 511, 512, 4096, 70_000, 1 << 20].map(|length| rng.bytes(length)));
    contents.push(b"SQLite format 3\0".repeat(512));
    for content in contents {
        std::fs::write(&path, &content).unwrap();
        for create in [false, true] {
            assert_refused(&path, create);
        }
        assert!(std::fs::read(&path).unwrap() == content);
    }
    for length in [1, 63, 64, 65, 511, 512, 4095, 4096, 65_536, 262_144, 262_145, 1 << 20] {
        std::fs::write(&path, vec![0; length]).unwrap();
        assert_refused(&path, false);
    }
    // Zeros alone may be a creation that stopped, but not at any length.
    for length in [1, 63, 262_145, 1 << 20] {
        std::fs::write(&path, vec![0; length]).unwrap();
        assert_refused(&path, true);
    }
    // Holes of a terabyte.
    let file = std::fs::File::create(&path).unwrap();
    if file.set_len(1 << 40).is_ok() {
        assert_refused(&path, false);
        assert_refused(&path, true);
    }
    std::fs::write(&path, b"").unwrap();
    assert_refused(&path, false);
    drop(Database::create(&path).unwrap());
    Database::open(&path).unwrap();
}

#[test]
fn truncated_files() {
    let whole = closed_file();
    let expected: Vec<u64> = (0..300).collect();
    let lengths = (0..whole.len()).filter(|length| length % PAGE == 0 || length % 613 == 0 || *length < 70);
    for length in lengths {
        let image = Image::new(whole[..length].to_vec());
        match builder().create_with_backend(image.clone()) {
            Err(err) => assert!(!matches!(err, DatabaseError::DatabaseAlreadyOpen), "{err}"),
            // Nothing, or too little to hold anything: that is how a file begins.
            Ok(db) if length == 0 => assert_eq!(keys(&db, 20).unwrap(), []),
            Ok(db) => {
                // Rows may be missing, with an error, and no others may be there.
                let table = db.begin_read().unwrap().open_table(NUMBERS);
                let mut broken = table.is_err();
                let mut found = 0;
                for (row, key) in table.iter().flat_map(|table| table.iter()).flatten().zip(0..) {
                    match row {
                        Ok((found_key, value)) => {
                            found += 1;
                            assert_eq!(found_key.value(), key);
                            assert_eq!(value.value(), vec![key as u8; if key < 300 { 20 } else { 900 }]);
                        }
                        Err(_) => broken = true,
                    }
                }
                assert!(broken || found == 320, "{length}: {found} rows and no error");
                let verified = db.verify();
                assert_eq!(verified.is_ok(), !broken && found == 320, "{length}: {verified:?}");
                if verified.is_ok() {
                    insert(&db, 0..expected.len() as u64, 20).unwrap();
                    db.verify().unwrap();
                }
            }
        }
    }
}

/// Only the mirror may be missing without harm.
#[test]
fn a_file_without_its_last_page() {
    let whole = closed_file();
    let image = Image::new(whole[..whole.len() - PAGE].to_vec());
    let db = create(&image);
    db.verify().unwrap();
    insert(&db, 1000..1010, 20).unwrap();
    db.verify().unwrap();
    drop(db);
    let db = create(&image);
    assert_eq!(*db.open_outcome(), OpenOutcome::Clean);
    db.verify().unwrap();
}

#[test]
fn over_long_files() {
    let whole = closed_file();
    let mut rng = Rng::new(8);
    let stale = whole[whole.len() - PAGE..].to_vec();
    let mut tails: Vec<Vec<u8>> = [1, 511, 512, 513, 5120, 100_000].map(|length| rng.bytes(length)).into();
    tails.extend([1, 512, 5000, 1 << 20].map(|length| vec![0; length]));
    // An image of the mirror where it does not belong.
    tails.push(stale.repeat(5));
    for tail in tails {
        let image = Image::new([&whole[..], &tail].concat());
        let db = create(&image);
        let rows = db.begin_read().unwrap().open_table(NUMBERS).unwrap();
        assert_eq!(rows.iter().unwrap().map(Result::unwrap).count(), 320);
        db.verify().unwrap();
        insert(&db, 1000..1010, 20).unwrap();
        db.verify().unwrap();
        drop(db);
        let db = create(&image);
        assert_eq!(*db.open_outcome(), OpenOutcome::Clean);
        db.verify().unwrap();
        // The tail is cut, and with it goes the damage.
        assert!(image.bytes().len() < whole.len() + 40 * PAGE, "{} of {}", image.bytes().len(), whole.len());
        // Without a slot and behind a tail, the mirror is still found.
        let mut bytes = [&whole[..], &tail].concat();
        bytes[PAGE + 10] ^= 1;
        let db = create(&Image::new(bytes));
        assert_eq!(*db.open_outcome(), OpenOutcome::Recovered);
        assert_eq!(db.begin_read().unwrap().open_table(NUMBERS).unwrap().len().unwrap(), 320);
    }
}

#[test]
fn a_storage_that_cannot_be_written() {
    let image = Image::new(closed_file());
    image.fail_write(Some(ErrorKind::PermissionDenied));
    let db = create(&image);
    assert_eq!(db.begin_read().unwrap().open_table(NUMBERS).unwrap().len().unwrap(), 320);
    let denied = db.begin_write();
    let Err(TransactionError::Storage(StorageError::Io(err))) = denied else { panic!("{denied:?}") };
    assert_eq!(err.kind(), ErrorKind::PermissionDenied);
    assert!(matches!(db.begin_write(), Err(TransactionError::Storage(StorageError::PreviousIo))));
    // Reading goes on.
    assert_eq!(db.begin_read().unwrap().open_table(NUMBERS).unwrap().iter().unwrap().count(), 320);
}

#[test]
fn a_full_disk_while_growing() {
    let image = Image::default();
    let db = create(&image);
    insert(&db, 0..100, 50).unwrap();
    for _ in 0..2 {
        image.fail_set_len(Some(ErrorKind::StorageFull));
        for length in [100, 5000] {
            let err = insert(&db, 1000..3000, length).unwrap_err();
            assert!(matches!(&err, Error::Io(err) if err.kind() == ErrorKind::StorageFull), "{err:?}");
            assert_eq!(keys(&db, 50).unwrap(), (0..100).collect::<Vec<_>>());
            db.verify().unwrap();
        }
        // What was committed can still be read, removed and replaced in the space that there is.
        image.fail_set_len(None);
        insert(&db, 0..100, 50).unwrap();
        db.verify().unwrap();
    }
    insert(&db, 100..900, 50).unwrap();
    assert_eq!(keys(&db, 50).unwrap(), (0..900).collect::<Vec<_>>());
    drop(db);
    let db = create(&image);
    assert_eq!(*db.open_outcome(), OpenOutcome::Clean);
    assert_eq!(keys(&db, 50).unwrap(), (0..900).collect::<Vec<_>>());
    db.verify().unwrap();
}

/// An operation that failed half-way leaves a transaction that can only be undone, whatever is tried with it.
#[test]
fn a_transaction_that_ran_out_of_space_commits_nothing() {
    let image = Image::default();
    let db = create(&image);
    insert(&db, 0..100, 50).unwrap();
    image.fail_set_len(Some(ErrorKind::StorageFull));
    let txn = db.begin_write().unwrap();
    {
        let mut numbers = txn.open_table(NUMBERS).unwrap();
        let failed = (1000..9000).any(|key| numbers.insert(key, &[1; 50][..]).is_err());
        assert!(failed);
    }
    image.fail_set_len(None);
    assert!(txn.commit().is_err());
    assert_eq!(keys(&db, 50).unwrap(), (0..100).collect::<Vec<_>>());
    db.verify().unwrap();
    insert(&db, 100..200, 50).unwrap();
    db.verify().unwrap();
}

#[test]
fn writes_and_syncs_that_fail() {
    for sync in [false, true] {
        let image = Image::default();
        let db = create(&image);
        insert(&db, 0..100, 50).unwrap();
        let fail = |kind| if sync { image.fail_sync(kind) } else { image.fail_write(kind) };
        fail(Some(ErrorKind::StorageFull));
        let err = insert(&db, 100..200, 50).unwrap_err();
        assert!(matches!(&err, Error::Io(err) if err.kind() == ErrorKind::StorageFull), "{err:?}");
        fail(None);
        // What is on the disk is unknown: nothing more is written, though it would go well.
        for _ in 0..2 {
            assert!(matches!(insert(&db, 100..200, 50), Err(Error::PreviousIo)));
        }
        assert!(matches!(db.verify(), Err(DatabaseError::Storage(StorageError::PreviousIo))));
        assert_eq!(keys(&db, 50).unwrap(), (0..100).collect::<Vec<_>>());
        drop(db);
        let db = create(&image);
        assert_ne!(*db.open_outcome(), OpenOutcome::Clean);
        let found = keys(&db, 50).unwrap().len();
        assert!(found == 100 || found == 200, "{found}");
        db.verify().unwrap();
        insert(&db, 200..300, 50).unwrap();
        db.verify().unwrap();
    }
}

/// A read that fails says nothing of what is in the file: no commit is given up for it.
#[test]
fn reads_that_fail_while_opening() {
    let image = Image::default();
    let db = create(&image);
    insert(&db, 0..100, 50).unwrap();
    insert(&db, 100..200, 50).unwrap();
    let unclean = image.bytes();
    drop(db);
    let mut failed = 0;
    for nth in 1.. {
        let image = Image::new(unclean.clone());
        image.fail_read(nth);
        let opened = builder().create_with_backend(image.clone());
        if !image.read_failed() {
            break;
        }
        failed += 1;
        match opened {
            Err(err) => assert!(is_io(&err, ErrorKind::TimedOut), "read {nth}: {err:?}"),
            Ok(db) => panic!("read {nth}: {:?}", db.open_outcome()),
        }
        let db = create(&image);
        assert_eq!(*db.open_outcome(), OpenOutcome::Recovered);
        assert_eq!(keys(&db, 50).unwrap().len(), 200);
    }
    assert!(failed > 5, "{failed}");
}

/// A storage is let go once, whether or not opening went well.
#[test]
fn storages_are_closed() {
    let image = Image::new(closed_file());
    let db = create(&image);
    assert_eq!(image.closes(), 0);
    drop(db);
    assert_eq!(image.closes(), 1);
    let other = Image::new(vec![9; 5000]);
    builder().create_with_backend(other.clone()).unwrap_err();
    assert_eq!(other.closes(), 1);
    let failing = Image::default();
    failing.fail_set_len(Some(ErrorKind::StorageFull));
    builder().create_with_backend(failing.clone()).unwrap_err();
    assert_eq!(failing.closes(), 1);
    let mut broken = closed_file();
    broken[PAGE..3 * PAGE].fill(1);
    let last = broken.len() - PAGE;
    broken[last..].fill(1);
    let broken = Image::new(broken);
    builder().create_with_backend(broken.clone()).unwrap_err();
    assert_eq!(broken.closes(), 1);
}

#[test]
fn settings_that_no_file_can_have() {
    for size in [0, 1, 511, 513, 1000, 65_537, 131_072, usize::MAX] {
        let image = Image::default();
        let made = Builder::new().set_page_size(size).create_with_backend(image.clone());
        assert!(is_io(&made.unwrap_err(), ErrorKind::InvalidInput));
        let made = Builder::new().set_block_size(size).create_with_backend(image.clone());
        assert!(is_io(&made.unwrap_err(), ErrorKind::InvalidInput));
        assert_eq!(image.bytes(), []);
    }
}

#[test]
fn a_second_opener() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("once.sapwood");
    let db = Database::create(&path).unwrap();
    assert!(matches!(Database::open(&path), Err(DatabaseError::DatabaseAlreadyOpen)));
    assert!(matches!(Database::create(&path), Err(DatabaseError::DatabaseAlreadyOpen)));
    insert(&db, 0..10, 5).unwrap();
    drop(db);
    assert_eq!(keys(&Database::open(&path).unwrap(), 5).unwrap().len(), 10);
}

#[derive(Debug)]
struct Wide;

impl Value for Wide {
    type SelfType<'a> = u32;
    type AsBytes<'a> = [u8; 4];

    fn fixed_width() -> Option<usize> {
        Some(4)
    }
    fn from_bytes<'a>(data: &'a [u8]) -> u32
    where
        Self: 'a,
    {
        u32::from_le_bytes(data.try_into().unwrap())
    }
    fn as_bytes<'a, 'b: 'a>(value: &'a u32) -> [u8; 4]
    where
        Self: 'b,
    {
        value.to_le_bytes()
    }
    fn type_name() -> TypeName {
        TypeName::new("test::Number")
    }
}

/// Has the name of [`Wide`] and another width.
#[derive(Debug)]
struct Narrow;

impl Value for Narrow {
    type SelfType<'a> = u8;
    type AsBytes<'a> = [u8; 1];

    fn fixed_width() -> Option<usize> {
        Some(1)
    }
    fn from_bytes<'a>(data: &'a [u8]) -> u8
    where
        Self: 'a,
    {
        data[0]
    }
    fn as_bytes<'a, 'b: 'a>(value: &'a u8) -> [u8; 1]
    where
        Self: 'b,
    {
        [*value]
    }
    fn type_name() -> TypeName {
        TypeName::new("test::Number")
    }
}

#[test]
fn tables_of_other_types() {
    let db = create(&Image::default());
    insert(&db, 0..5, 5).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(TableDefinition::<u64, Wide>::new("wide")).unwrap().insert(1, 2).unwrap();
    txn.commit().unwrap();
    let other_key = TableDefinition::<u32, &[u8]>::new("numbers");
    let other_value = TableDefinition::<u64, &str>::new("numbers");
    let narrow = TableDefinition::<u64, Narrow>::new("wide");
    let read = db.begin_read().unwrap();
    let write = db.begin_write().unwrap();
    let is_mismatch = |err: TableError| match err {
        TableError::TableTypeMismatch { table, key, value } => {
            assert_eq!((&*table, key, value), ("numbers", u64::type_name(), <&[u8]>::type_name()));
        }
        other => panic!("{other:?}"),
    };
    is_mismatch(read.open_table(other_key).map(drop).unwrap_err());
    is_mismatch(read.open_table(other_value).map(drop).unwrap_err());
    is_mismatch(write.open_table(other_key).map(drop).unwrap_err());
    is_mismatch(write.open_table(other_value).map(drop).unwrap_err());
    for err in [read.open_table(narrow).map(drop), write.open_table(narrow).map(drop)] {
        let Err(TableError::TypeDefinitionChanged { name, width, .. }) = err else { panic!("{err:?}") };
        assert_eq!((name, width), (Wide::type_name(), Some(4)));
    }
    let missing = TableDefinition::<u64, u64>::new("missing");
    assert!(matches!(read.open_table(missing), Err(TableError::TableDoesNotExist(name)) if name == "missing"));
    // None of the errors has taken the tables from the transaction.
    write.open_table(NUMBERS).unwrap().insert(5, &[5; 5][..]).unwrap();
    write.commit().unwrap();
    assert_eq!(keys(&db, 5).unwrap().len(), 6);
    db.verify().unwrap();
}

#[test]
fn a_table_opened_twice() {
    let db = create(&Image::default());
    let txn = db.begin_write().unwrap();
    let line = line!() + 1;
    let table = txn.open_table(NUMBERS).unwrap();
    for _ in 0..2 {
        let Err(TableError::TableAlreadyOpen(name, place)) = txn.open_table(NUMBERS) else { panic!() };
        assert_eq!((&*name, place.file(), place.line()), ("numbers", file!(), line));
    }
    drop(table);
    txn.open_table(NUMBERS).unwrap().insert(1, &[1][..]).unwrap();
    txn.commit().unwrap();
    assert_eq!(keys(&db, 1).unwrap(), [1]);
}

#[test]
fn table_names_over_the_limit() {
    let db = create(&Image::default());
    let longest = "n".repeat(MAX_NAME_LENGTH);
    let too_long = "n".repeat(MAX_NAME_LENGTH + 1);
    let txn = db.begin_write().unwrap();
    let opened = txn.open_table(TableDefinition::<u64, u64>::new(&too_long)).map(drop);
    assert!(
        matches!(opened, Err(TableError::Storage(StorageError::ValueTooLarge(n))) if n == MAX_NAME_LENGTH + 1),
        "{opened:?}"
    );
    txn.open_table(TableDefinition::<u64, u64>::new(&longest)).unwrap().insert(1, 2).unwrap();
    txn.commit().unwrap();
    let txn = db.begin_read().unwrap();
    let opened = txn.open_table(TableDefinition::<u64, u64>::new(&too_long)).map(drop);
    assert!(matches!(opened, Err(TableError::Storage(StorageError::ValueTooLarge(_)))), "{opened:?}");
    let table = txn.open_table(TableDefinition::<u64, u64>::new(&longest)).unwrap();
    assert_eq!(table.get(1).unwrap().unwrap().value(), 2);
    db.verify().unwrap();
}

#[test]
#[should_panic(expected = "must not be empty")]
fn an_empty_table_name() {
    let _ = TableDefinition::<u64, u64>::new("");
}

#[test]
fn ranges_that_end_before_they_start() {
    use std::ops::Bound::{Excluded, Included};
    let db = create(&Image::default());
    insert(&db, 0..2000, 20).unwrap();
    let write = db.begin_write().unwrap();
    let table = write.open_table(NUMBERS).unwrap();
    let read = db.begin_read().unwrap().open_table(NUMBERS).unwrap();
    // In one leaf, in neighbouring ones, and far apart.
    for (start, end) in [(5, 4), (5, 5), (30, 10), (1999, 0), (1500, 20), (u64::MAX, 0), (u64::MAX, 1990)] {
        for bounds in
            [(Included(start), Excluded(end)), (Excluded(start), Excluded(end)), (Excluded(start), Included(end))]
        {
            assert_eq!(read.range::<u64>(bounds).unwrap().count(), 0, "{bounds:?}");
            assert_eq!(read.range::<u64>(bounds).unwrap().rev().count(), 0, "{bounds:?}");
            assert_eq!(table.range::<u64>(bounds).unwrap().count(), 0, "{bounds:?}");
            assert_eq!(table.range::<u64>(bounds).unwrap().rev().count(), 0, "{bounds:?}");
        }
        let inclusive = usize::from(start == end);
        assert_eq!(read.range(start..=end).unwrap().count(), inclusive);
        assert_eq!(table.range(start..=end).unwrap().rev().count(), inclusive);
    }
}

thread_local! {
    /// Comparisons until one panics.
    static FUSE: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// A key whose order panics when [`FUSE`] has burnt down.
#[derive(Debug)]
struct Fragile;

impl Value for Fragile {
    type SelfType<'a> = u64;
    type AsBytes<'a> = Vec<u8>;

    fn fixed_width() -> Option<usize> {
        None
    }
    fn from_bytes<'a>(data: &'a [u8]) -> u64
    where
        Self: 'a,
    {
        u64::from_le_bytes(data[..8].try_into().unwrap())
    }
    fn as_bytes<'a, 'b: 'a>(value: &'a u64) -> Vec<u8>
    where
        Self: 'b,
    {
        // Some are long enough for a run.
        let mut bytes = value.to_le_bytes().to_vec();
        bytes.resize(if value % 10 == 3 { 400 } else { 8 }, 0);
        bytes
    }
    fn type_name() -> TypeName {
        TypeName::new("test::Fragile")
    }
}

impl Key for Fragile {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        FUSE.set(FUSE.get().checked_sub(1).expect("the comparison panics"));
        Self::from_bytes(data1).cmp(&Self::from_bytes(data2))
    }
}

#[test]
fn a_comparison_that_panics_poisons_its_transaction_only() {
    const FRAGILE: TableDefinition<Fragile, &[u8]> = TableDefinition::new("fragile");
    let image = Image::default();
    let db = create(&image);
    insert(&db, 0..50, 5).unwrap();
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(FRAGILE).unwrap();
        for key in 0..200 {
            table.insert(key * 2, &[key as u8; 30][..]).unwrap();
        }
    }
    txn.commit().unwrap();
    let mut poisoned = 0;
    for fuse in (0..40).chain([60, 100, 300, 1000]) {
        let txn = db.begin_write().unwrap();
        let inserting = Cell::new(false);
        let panicked = {
            let mut table = txn.open_table(FRAGILE).unwrap();
            FUSE.set(fuse);
            let changes = AssertUnwindSafe(|| -> Result<(), StorageError> {
                for key in 0..40 {
                    inserting.set(true);
                    table.insert(key * 9 + 1, &vec![1; if key % 4 == 0 { 2000 } else { 60 }][..])?;
                    inserting.set(false);
                    drop(table.remove(key * 4)?);
                    drop(table.get(key)?);
                    table.range(key..key + 9)?.try_for_each(|row| row.map(drop))?;
                }
                Ok(())
            });
            let panicked = catch_unwind(changes).is_err();
            FUSE.set(u64::MAX);
            panicked
        };
        // A panic while something is looked for leaves nothing half done.
        match txn.commit() {
            Err(CommitError::TransactionPoisoned) => {
                assert!(panicked);
                poisoned += 1;
            }
            other => {
                other.unwrap();
                assert!(!panicked || !inserting.get(), "fuse {fuse}");
            }
        }
        db.verify().unwrap_or_else(|err| panic!("fuse {fuse}: {err}"));
        let table = db.begin_read().unwrap().open_table(FRAGILE).unwrap();
        let keys: Vec<u64> = table.iter().unwrap().map(|row| row.unwrap().0.value()).collect();
        assert!(keys.is_sorted());
        assert_eq!(keys.len() as u64, table.len().unwrap());
        insert(&db, 0..50, 5).unwrap();
    }
    assert!(poisoned > 10, "{poisoned}");
    // A reader's comparison may panic too.
    let table = db.begin_read().unwrap().open_table(FRAGILE).unwrap();
    FUSE.set(3);
    assert!(catch_unwind(AssertUnwindSafe(|| table.get(77).map(drop))).is_err());
    FUSE.set(u64::MAX);
    drop(table);
    db.verify().unwrap();
    drop(db);
    let db = create(&image);
    assert_eq!(*db.open_outcome(), OpenOutcome::Clean);
    assert_eq!(keys(&db, 5).unwrap().len(), 50);
    db.verify().unwrap();
}
