//! Tables that are listed, renamed and deleted, whatever was done to them before, and that no page is lost by it.

mod common;

use common::crash::{Fault, RecordingBackend, Target};
use sapwood::{
    Builder, CommitError, Database, Error, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    StorageError, TableDefinition, TableError, TableHandle, UntypedTableHandle, WriteTransaction,
};

const PAGE: usize = 512;
/// Rows in the page, values out of line, and keys that are.
const PLAIN: TableDefinition<u64, &[u8]> = TableDefinition::new("plain");
const RUNS: TableDefinition<u64, &[u8]> = TableDefinition::new("runs");
const LONG: TableDefinition<&str, &[u8]> = TableDefinition::new("long");
const OTHER: TableDefinition<u64, &[u8]> = TableDefinition::new("other");

fn create(backend: &RecordingBackend, cache: usize) -> Database {
    Builder::new().set_page_size(PAGE).set_cache_size(cache).create_with_backend(backend.clone()).unwrap()
}

fn database() -> Database {
    create(&RecordingBackend::new(), 1 << 20)
}

fn fill(txn: &WriteTransaction, rows: std::ops::Range<u64>) {
    let mut plain = txn.open_table(PLAIN).unwrap();
    let mut runs = txn.open_table(RUNS).unwrap();
    let mut long = txn.open_table(LONG).unwrap();
    for row in rows {
        plain.insert(row, &[row as u8; 30][..]).unwrap();
        runs.insert(row, &vec![row as u8; if row % 3 == 0 { 2000 } else { 10 }][..]).unwrap();
        let key = format!("{row:05}{}", "k".repeat(if row % 2 == 0 { 700 } else { 5 }));
        long.insert(&*key, &[1][..]).unwrap();
    }
}

/// Four transactions, so that pages of several births are in each tree.
fn build(db: &Database) {
    for step in 0..4 {
        let txn = db.begin_write().unwrap();
        fill(&txn, step * 100..step * 100 + 130);
        txn.commit().unwrap();
    }
}

fn delete_all(txn: &WriteTransaction) {
    for table in txn.list_tables().unwrap() {
        assert!(txn.delete_table(table).unwrap());
    }
}

fn listed(tables: impl Iterator<Item = UntypedTableHandle>) -> Vec<String> {
    tables.map(|table| table.name().to_string()).collect()
}

fn names(txn: &WriteTransaction) -> Vec<String> {
    listed(txn.list_tables().unwrap())
}

fn linked(db: &Database) -> u64 {
    db.verify().unwrap().linked_pages
}

fn rows(txn: &ReadTransaction, table: TableDefinition<u64, &'static [u8]>) -> u64 {
    let table = txn.open_table(table).unwrap();
    assert_eq!(table.iter().unwrap().map(Result::unwrap).count() as u64, table.len().unwrap());
    table.len().unwrap()
}

#[test]
fn a_deleted_table_leaves_no_page_behind() {
    let db = database();
    build(&db);
    assert!(linked(&db) > 400);
    let txn = db.begin_write().unwrap();
    delete_all(&txn);
    assert_eq!(names(&txn), [""; 0]);
    txn.commit().unwrap();
    assert_eq!(linked(&db), 0);
    assert_eq!(db.begin_read().unwrap().list_tables().unwrap().count(), 0);
    // What the other slot needs goes with the next commits.
    for _ in 0..2 {
        db.begin_write().unwrap().commit().unwrap();
    }
    assert_eq!(db.verify().unwrap().kept_pages, 0);
}

#[test]
fn deleting_is_undone_by_an_abort() {
    let db = database();
    build(&db);
    let before = linked(&db);
    for abort in [true, false] {
        let txn = db.begin_write().unwrap();
        fill(&txn, 1000..1100);
        delete_all(&txn);
        if abort {
            txn.abort().unwrap()
        } else {
            drop(txn)
        }
        assert_eq!(linked(&db), before);
        assert_eq!(rows(&db.begin_read().unwrap(), RUNS), 430);
    }
}

#[test]
fn a_reader_keeps_what_is_deleted_and_renamed() {
    let db = database();
    build(&db);
    let reader = db.begin_read().unwrap();
    let txn = db.begin_write().unwrap();
    delete_all(&txn);
    fill(&txn, 0..50);
    txn.rename_table(PLAIN, OTHER).unwrap();
    txn.commit().unwrap();
    assert_eq!((rows(&reader, PLAIN), rows(&reader, RUNS)), (430, 430));
    assert_eq!(listed(reader.list_tables().unwrap()), ["long", "plain", "runs"]);
    assert!(matches!(reader.open_table(OTHER), Err(TableError::TableDoesNotExist(name)) if name == "other"));
    assert!(db.verify().unwrap().kept_pages > 400);
    let now = db.begin_read().unwrap();
    assert_eq!((rows(&now, OTHER), rows(&now, RUNS)), (50, 50));
    assert_eq!(listed(now.list_tables().unwrap()), ["long", "other", "runs"]);
    drop(reader);
    db.verify().unwrap();
}

/// With a cache of nothing the transaction's pages were sealed and written before they are deleted.
#[test]
fn uncommitted_changes_are_deleted_with_the_table() {
    for cache in [0, 40_000, 1 << 20] {
        let db = create(&RecordingBackend::new(), cache);
        build(&db);
        let before = linked(&db);
        let txn = db.begin_write().unwrap();
        fill(&txn, 50..700);
        delete_all(&txn);
        fill(&txn, 0..3);
        txn.rename_table(RUNS, OTHER).unwrap();
        fill(&txn, 0..300);
        assert!(txn.delete_table(OTHER).unwrap());
        txn.commit().unwrap();
        assert!(linked(&db) < before);
        let txn = db.begin_read().unwrap();
        assert_eq!((rows(&txn, PLAIN), rows(&txn, RUNS)), (300, 300));
    }
}

#[test]
fn pages_of_a_deleted_table_serve_again_at_once() {
    let backend = RecordingBackend::new();
    let db = create(&backend, 1 << 20);
    let txn = db.begin_write().unwrap();
    fill(&txn, 0..1000);
    delete_all(&txn);
    let length = backend.contents().len();
    for _ in 0..5 {
        fill(&txn, 0..900);
        delete_all(&txn);
    }
    assert_eq!(backend.contents().len(), length);
    txn.commit().unwrap();
    assert_eq!(linked(&db), 0);
}

#[test]
fn a_renamed_table_keeps_its_rows_and_changes() {
    let db = database();
    build(&db);
    let before = linked(&db);
    let txn = db.begin_write().unwrap();
    txn.rename_table(PLAIN, OTHER).unwrap();
    txn.commit().unwrap();
    assert_eq!(linked(&db), before);
    let txn = db.begin_write().unwrap();
    txn.open_table(OTHER).unwrap().insert(5000, &[5][..]).unwrap();
    // Back, over a name that was freed in this transaction, with the change.
    assert!(txn.delete_table(RUNS).unwrap());
    txn.rename_table(OTHER, RUNS).unwrap();
    txn.open_table(RUNS).unwrap().insert(5001, &[5][..]).unwrap();
    txn.rename_table(RUNS, PLAIN).unwrap();
    // An empty table has no row for a root.
    txn.open_table(RUNS).unwrap();
    txn.rename_table(RUNS, OTHER).unwrap();
    txn.commit().unwrap();
    let txn = db.begin_read().unwrap();
    assert_eq!((rows(&txn, PLAIN), rows(&txn, OTHER)), (432, 0));
    assert_eq!(listed(txn.list_tables().unwrap()), ["long", "other", "plain"]);
    db.verify().unwrap();
}

#[test]
fn names_that_begin_alike_are_told_apart() {
    let db = database();
    let all = ["a", "a\0", "a\0\0", "a\0\u{1}", "a\u{1}", "a\u{1}\0", "b", &"n".repeat(4096)];
    let txn = db.begin_write().unwrap();
    for (at, name) in all.iter().enumerate() {
        let table: TableDefinition<u64, &[u8]> = TableDefinition::new(name);
        txn.open_table(table).unwrap().insert(at as u64, &[1][..]).unwrap();
    }
    assert_eq!(names(&txn), all);
    txn.commit().unwrap();
    let txn = db.begin_write().unwrap();
    for name in ["a", "a\0\u{1}", "a\u{1}\0"] {
        assert!(txn.delete_table(TableDefinition::<u64, &[u8]>::new(name)).unwrap());
    }
    txn.commit().unwrap();
    let left: Vec<_> = [1, 2, 4, 6, 7].iter().map(|at| all[*at]).collect();
    let txn = db.begin_read().unwrap();
    assert_eq!(listed(txn.list_tables().unwrap()), left);
    for table in txn.list_tables().unwrap() {
        assert_eq!(txn.open_untyped_table(table).unwrap().len().unwrap(), 1);
    }
    db.verify().unwrap();
}

#[test]
fn open_tables_are_neither_deleted_nor_renamed() {
    let db = database();
    let txn = db.begin_write().unwrap();
    let line = line!() + 1;
    let table = txn.open_table(PLAIN).unwrap();
    let refused = |outcome: Result<(), TableError>| match outcome {
        Err(TableError::TableAlreadyOpen(name, place)) => {
            assert_eq!((&*name, place.file(), place.line()), ("plain", file!(), line));
        }
        other => panic!("{other:?}"),
    };
    refused(txn.delete_table(PLAIN).map(drop));
    refused(txn.rename_table(PLAIN, OTHER));
    refused(txn.rename_table(PLAIN, PLAIN));
    txn.open_table(RUNS).unwrap();
    assert!(matches!(txn.rename_table(RUNS, PLAIN), Err(TableError::TableExists(name)) if name == "plain"));
    // Given itself, it is closed first.
    txn.rename_table(table, OTHER).unwrap();
    assert!(txn.delete_table(txn.open_table(OTHER).unwrap()).unwrap());
    assert_eq!(names(&txn), ["runs"]);
    txn.commit().unwrap();
    db.verify().unwrap();
}

#[test]
fn names_that_cannot_be() {
    let db = database();
    let txn = db.begin_write().unwrap();
    txn.open_table(PLAIN).unwrap();
    assert!(matches!(txn.rename_table(OTHER, PLAIN), Err(TableError::TableDoesNotExist(name)) if name == "other"));
    assert!(matches!(txn.rename_table(OTHER, OTHER), Err(TableError::TableDoesNotExist(_))));
    assert!(!txn.delete_table(OTHER).unwrap());
    txn.rename_table(PLAIN, PLAIN).unwrap();
    let name = "n".repeat(4097);
    let long: TableDefinition<u64, &[u8]> = TableDefinition::new(&name);
    let too_long = |outcome| matches!(outcome, Err(TableError::Storage(StorageError::ValueTooLarge(4097))));
    assert!(too_long(txn.delete_table(long).map(drop)));
    assert!(too_long(txn.rename_table(long, PLAIN)));
    assert!(too_long(txn.rename_table(PLAIN, long)));
    txn.commit().unwrap();
    let txn = db.begin_read().unwrap();
    assert!(too_long(txn.open_untyped_table(long).map(drop)));
    assert!(matches!(txn.open_untyped_table(OTHER), Err(TableError::TableDoesNotExist(_))));
    db.verify().unwrap();
}

#[test]
fn a_name_is_free_for_other_types_once_its_table_is_gone() {
    const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("plain");
    let db = database();
    build(&db);
    let txn = db.begin_write().unwrap();
    assert!(matches!(txn.open_table(NUMBERS), Err(TableError::TableTypeMismatch { .. })));
    // Neither name need say the types.
    txn.rename_table(NUMBERS, TableDefinition::<bool, bool>::new("other")).unwrap();
    txn.open_table(NUMBERS).unwrap().insert("one", 1).unwrap();
    assert_eq!(txn.open_table(OTHER).unwrap().len().unwrap(), 430);
    txn.commit().unwrap();
    db.verify().unwrap();
}

#[test]
fn half_of_a_deletion_is_not_committed() {
    let backend = RecordingBackend::new();
    build(&create(&backend, 1 << 20));
    let mut failed = 0;
    for nth in 0..40 {
        let backend = RecordingBackend::from_image(backend.contents());
        let db = create(&backend, 0);
        let txn = db.begin_write().unwrap();
        backend.inject(Fault::once(Target::Read, nth));
        let outcome = txn.delete_table(RUNS);
        backend.heal();
        if let Err(err) = &outcome {
            assert!(matches!(err, TableError::Storage(StorageError::Io(_))), "{err:?}");
            failed += 1;
        }
        match txn.commit() {
            Ok(()) => {}
            Err(CommitError::TransactionPoisoned) => assert!(outcome.is_err()),
            Err(err) => panic!("{err:?}"),
        }
        let txn = db.begin_read().unwrap();
        match txn.open_table(RUNS) {
            Ok(table) => assert_eq!(table.iter().unwrap().map(Result::unwrap).count(), 430),
            Err(TableError::TableDoesNotExist(_)) => assert!(outcome.is_ok()),
            Err(err) => panic!("{err:?}"),
        }
        db.verify().unwrap();
    }
    assert!(failed > 10, "{failed} reads failed");
}

#[test]
fn a_closed_database_lists_nothing() {
    let db = database();
    let txn = db.begin_read().unwrap();
    drop(db);
    assert!(matches!(txn.list_tables().map(drop), Err(StorageError::DatabaseClosed)));
    let err: Error = txn.open_untyped_table(PLAIN).map(drop).unwrap_err().into();
    assert!(matches!(err, Error::DatabaseClosed));
}
