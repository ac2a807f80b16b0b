//! Handles of a database: clones, closing, and transactions as closures.

mod common;

use common::image::Image;
use sapwood::{Builder, CloseError, CompactionError, Database, DatabaseError, Error, ReadableDatabase};
use sapwood::{ReadableTableMetadata, StorageError, TableDefinition};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

const ROWS: TableDefinition<u64, u64> = TableDefinition::new("rows");

fn put(db: &Database, key: u64) -> Result<(), Error> {
    db.update(|txn| {
        txn.open_table(ROWS)?.insert(key, key)?;
        Ok(())
    })
}

fn count(db: &Database) -> u64 {
    db.view(|txn| Ok::<_, Error>(txn.open_table(ROWS)?.len()?)).unwrap()
}

#[test]
fn changes_are_made_as_a_whole_or_not_at_all() {
    let db = Builder::new().create_with_backend(Image::default()).unwrap();
    put(&db, 1).unwrap();
    let failed = db.update(|txn| {
        txn.open_table(ROWS)?.insert(2, 2)?;
        Err::<(), _>(Error::DatabaseClosed)
    });
    assert!(matches!(failed, Err(Error::DatabaseClosed)));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        db.update(|txn| {
            txn.open_table(ROWS)?.insert(3, 3)?;
            panic!("a change that panics");
            #[expect(unreachable_code, reason = "it says what the closure gives")]
            Ok::<(), Error>(())
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(count(&db), 1);
    put(&db, 4).unwrap();
    assert_eq!(count(&db), 2);
}

#[test]
fn the_last_handle_closes_and_exclusive_calls_want_to_be_alone() {
    let image = Image::default();
    let mut db = Builder::new().create_with_backend(image.clone()).unwrap();
    let other = db.clone();
    put(&other, 1).unwrap();
    assert!(matches!(db.check_integrity(), Err(DatabaseError::TransactionInProgress)));
    assert!(matches!(db.compact(), Err(CompactionError::TransactionInProgress)));
    let Err(CloseError::InUse(mut db)) = db.close() else { panic!("there is another handle") };
    assert_eq!(image.closes(), 0);
    drop(other);
    assert!(db.check_integrity().unwrap());
    let reader = db.begin_read().unwrap();
    let table = reader.open_table(ROWS).unwrap();
    db.close().unwrap();
    assert_eq!(image.closes(), 1);
    assert!(table.get(1).is_ok_and(|row| row.is_some()) || matches!(table.get(1), Err(StorageError::DatabaseClosed)));
    drop((table, reader));
    assert_eq!(image.closes(), 1, "once");
    let db = Builder::new().create_with_backend(Image::new(image.bytes())).unwrap();
    assert_eq!(*db.open_outcome(), sapwood::OpenOutcome::Clean);
    assert_eq!(count(&db), 1);
}

#[test]
fn closing_says_what_went_wrong() {
    let image = Image::default();
    let db = Builder::new().create_with_backend(image.clone()).unwrap();
    put(&db, 1).unwrap();
    image.fail_sync(Some(ErrorKind::Other));
    let err = db.close().unwrap_err();
    assert!(matches!(&err, CloseError::Storage(StorageError::Io(_))), "{err}");
    assert_eq!(image.closes(), 1);
    let db = Builder::new().create_with_backend(Image::new(image.bytes())).unwrap();
    assert_eq!(count(&db), 1);
}

#[test]
fn what_may_pass_is_told_from_what_does_not() {
    let io = |kind: ErrorKind| Error::Io(kind.into());
    assert!(io(ErrorKind::StorageFull).is_retryable() && io(ErrorKind::Interrupted).is_retryable());
    assert!(!io(ErrorKind::PermissionDenied).is_retryable() && !io(ErrorKind::InvalidData).is_retryable());
    assert!(Error::DatabaseAlreadyOpen.is_retryable() && !Error::PreviousIo.is_retryable());
    assert!(!Error::Corrupted(String::from("page 7")).is_retryable());
}
