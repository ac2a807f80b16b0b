//! Tables of other kinds are not mixed up with TTL tables; limits and storages that fail.

use crate::Hand;
use crate::common::crash::{Fault, RecordingBackend, Target};
use sapwood::backends::InMemoryBackend;
use sapwood::{
    Builder, CommitError, Database, Error, MultimapTableDefinition, ReadableDatabase, ReadableTtlTable, StorageError,
    TableDefinition, TableError, TtlTableDefinition,
};
use std::time::Duration;

const PLAIN: TableDefinition<u64, u64> = TableDefinition::new("plain");
const SETS: MultimapTableDefinition<u64, u64> = MultimapTableDefinition::new("sets");
const TTL: TtlTableDefinition<u64, u64> = TtlTableDefinition::new("ttl");

/// The same names, taken for those of other kinds.
const TTL_AS_PLAIN: TableDefinition<u64, u64> = TableDefinition::new("ttl");
const TTL_AS_SETS: MultimapTableDefinition<u64, u64> = MultimapTableDefinition::new("ttl");
const PLAIN_AS_TTL: TtlTableDefinition<u64, u64> = TtlTableDefinition::new("plain");
const SETS_AS_TTL: TtlTableDefinition<u64, u64> = TtlTableDefinition::new("sets");

fn all_kinds() -> Database {
    let db = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(PLAIN).unwrap().insert(1, 1).unwrap();
    txn.open_multimap_table(SETS).unwrap().insert(1, 1).unwrap();
    txn.open_ttl_table(TTL).unwrap().insert_with_ttl(1, 1, Duration::from_secs(60)).unwrap();
    txn.commit().unwrap();
    db
}

fn assert_ttl<T>(outcome: Result<T, TableError>) {
    let err = outcome.err().unwrap();
    assert_eq!(err.to_string(), "table 'ttl' is a TTL table");
    assert!(matches!(Error::from(err), Error::TableIsTtl(name) if name == "ttl"));
}

fn assert_not_ttl<T>(outcome: Result<T, TableError>) {
    let err = outcome.err().unwrap();
    assert_eq!(err.to_string(), "table 'plain' is not a TTL table");
    assert!(matches!(Error::from(err), Error::TableIsNotTtl(name) if name == "plain"));
}

fn assert_sets<T>(outcome: Result<T, TableError>) {
    assert!(matches!(outcome, Err(TableError::TableIsMultimap(name)) if name == "sets"));
}

#[test]
fn kinds_are_not_mixed_up_when_writing() {
    let db = all_kinds();
    let txn = db.begin_write().unwrap();
    assert_ttl(txn.open_table(TTL_AS_PLAIN));
    assert_ttl(txn.open_multimap_table(TTL_AS_SETS));
    assert_ttl(txn.delete_table(TTL_AS_PLAIN));
    assert_ttl(txn.rename_table(PLAIN, TTL_AS_PLAIN));
    assert_ttl(txn.delete_multimap_table(TTL_AS_SETS));
    assert_not_ttl(txn.open_ttl_table(PLAIN_AS_TTL));
    assert_not_ttl(txn.delete_ttl_table(PLAIN_AS_TTL));
    assert_not_ttl(txn.rename_ttl_table(TTL, PLAIN_AS_TTL));
    assert_sets(txn.open_ttl_table(SETS_AS_TTL));
    assert_sets(txn.delete_ttl_table(SETS_AS_TTL));
    let rows = txn.open_ttl_table(TTL).unwrap();
    assert!(matches!(txn.open_ttl_table(TTL), Err(TableError::TableAlreadyOpen(..))));
    assert!(matches!(txn.delete_ttl_table(TTL), Err(TableError::TableAlreadyOpen(..))));
    assert_eq!(rows.len_live().unwrap(), 1);
    assert!(txn.delete_ttl_table(rows).unwrap());
    txn.commit().unwrap();
    db.verify().unwrap();
}

#[test]
fn kinds_are_not_mixed_up_when_reading() {
    let db = all_kinds();
    let txn = db.begin_read().unwrap();
    assert_ttl(txn.open_table(TTL_AS_PLAIN));
    assert_ttl(txn.open_untyped_table(TTL_AS_PLAIN));
    assert_ttl(txn.open_multimap_table(TTL_AS_SETS));
    assert_ttl(txn.open_untyped_multimap_table(TTL_AS_SETS));
    assert_not_ttl(txn.open_ttl_table(PLAIN_AS_TTL));
    assert_sets(txn.open_ttl_table(SETS_AS_TTL));
    let missing = txn.open_ttl_table(TtlTableDefinition::<u64, u64>::new("missing"));
    assert!(matches!(missing, Err(TableError::TableDoesNotExist(name)) if name == "missing"));
    let other = txn.open_ttl_table(TtlTableDefinition::<u64, u32>::new("ttl"));
    assert!(matches!(other, Err(TableError::TableTypeMismatch { table, .. }) if table == "ttl"));
}

#[test]
fn reports_name_ttl_tables_and_count_their_rows_once() {
    let report = all_kinds().verify_integrity(sapwood::VerifyLevel::Rows).unwrap();
    assert!(report.is_clean());
    assert_eq!((report.tables, report.rows), (3, 3));
}

#[test]
fn a_change_that_stops_half_way_can_only_be_aborted() {
    let clock = Hand::default();
    let backend = RecordingBackend::new();
    let open = |backend: RecordingBackend| {
        Builder::new()
            .set_cache_size(0)
            .set_page_size(512)
            .set_clock(clock.clone())
            .create_with_backend(backend)
            .unwrap()
    };
    let db = open(backend.clone());
    let txn = db.begin_write().unwrap();
    {
        let mut rows = txn.open_ttl_table(TTL).unwrap();
        (0..2_000).for_each(|key| drop(rows.insert_with_ttl(key, key, Duration::from_millis(10 + key % 7)).unwrap()));
    }
    txn.commit().unwrap();
    drop(db);
    let image = backend.contents();
    clock.set(13);
    let mut broken = 0;
    for nth in 0..60 {
        let backend = RecordingBackend::from_image(image.clone());
        let db = open(backend.clone());
        let txn = db.begin_write().unwrap();
        let mut rows = txn.open_ttl_table(TTL).unwrap();
        backend.inject(Fault::once(Target::Read, nth));
        let purged = rows.purge_expired(50);
        backend.heal();
        drop(rows);
        match (purged, txn.commit()) {
            (Ok(purged), Ok(())) => assert_eq!(purged, 50),
            // What was removed until then is removed from both.
            (Err(StorageError::Io(_)), Ok(())) => {}
            (Err(StorageError::Io(_)), Err(CommitError::TransactionPoisoned)) => broken += 1,
            (purged, committed) => panic!("{purged:?}, {committed:?}"),
        }
        db.verify().unwrap();
    }
    assert!(broken > 0);
}
