//! An index that is not that of its rows is noticed.

use super::read::TtlParts;
use super::row::NEVER;
use super::{ReadableTtlTable, TtlTable};
use crate::backend::InMemoryBackend;
use crate::btree::{NewValue, Target};
use crate::clock::Clock;
use crate::error::{CommitError, DatabaseError, StorageError};
use crate::txn::TtlTableDefinition;
use crate::{Builder, Database, VerifyLevel};
use alloc::vec::Vec;
use core::time::Duration;

const ROWS: TtlTableDefinition<u64, u64> = TtlTableDefinition::new("rows");

/// It is always 100.
#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now_ms(&self) -> u64 {
        100
    }
}

type Rows<'t> = TtlTable<'t, u64, u64>;

/// A database whose row 1 expires at 110, row 2 at 100, and row 3 never, after `forge` changed its index.
fn forged(forge: impl FnOnce(&Rows<'_>)) -> Database {
    let db = Builder::new().set_clock(Stopped).create_with_backend(InMemoryBackend::new()).unwrap();
    let txn = db.begin_write().unwrap();
    {
        let mut rows = txn.open_ttl_table(ROWS).unwrap();
        rows.insert_with_ttl(1, 10, Duration::from_millis(10)).unwrap();
        rows.insert_with_ttl(2, 20, Duration::ZERO).unwrap();
        rows.insert(3, 30).unwrap();
        forge(&rows);
    }
    txn.commit().unwrap();
    db
}

fn entry(time: u64, key: u64) -> Vec<u8> {
    [time.to_be_bytes(), key.to_le_bytes()].concat()
}

fn add(rows: &Rows<'_>, time: u64, key: u64) {
    let index = rows.rows().open().expiries().unwrap();
    index.edit(|editor| editor.insert(&entry(time, key), NewValue::Bytes(&[]))).unwrap();
}

fn take(rows: &Rows<'_>, time: u64, key: u64) {
    let index = rows.rows().open().expiries().unwrap();
    index.edit(|editor| editor.remove(&Target::Key(&entry(time, key)))).unwrap().unwrap();
}

fn assert_found(db: &Database) {
    assert!(matches!(db.verify(), Err(DatabaseError::Storage(StorageError::Corrupted(_)))));
    let report = db.verify_integrity(VerifyLevel::Rows).unwrap();
    assert_eq!((report.finding_count, report.findings[0].table.as_deref()), (1, Some("rows")), "{report:?}");
    assert!(db.verify_integrity(VerifyLevel::Pages).unwrap().is_clean());
}

#[test]
fn an_index_that_is_right_is_not_complained_of() {
    let db = forged(|_| {});
    db.verify().unwrap();
    assert!(db.verify_integrity(VerifyLevel::Rows).unwrap().is_clean());
}

#[test]
fn an_entry_without_a_row_is_found_and_ends_a_purge() {
    for (time, key) in [(90, 7), (90, 1), (NEVER, 3)] {
        let db = forged(|rows| add(rows, time, key));
        assert_found(&db);
        let txn = db.begin_write().unwrap();
        let purged = txn.open_ttl_table(ROWS).unwrap().purge_expired(10);
        if time == NEVER {
            assert_eq!(purged.unwrap(), 1);
            continue;
        }
        assert!(matches!(purged, Err(StorageError::Corrupted(_))), "{purged:?}");
        assert!(matches!(txn.commit(), Err(CommitError::TransactionPoisoned)));
    }
}

#[test]
fn a_row_that_is_missing_in_the_index_is_found_and_cannot_be_changed() {
    let db = forged(|rows| take(rows, 110, 1));
    assert_found(&db);
    let txn = db.begin_write().unwrap();
    let removed = txn.open_ttl_table(ROWS).unwrap().remove(1).map(|_| ());
    assert!(matches!(removed, Err(StorageError::Corrupted(_))), "{removed:?}");
    assert!(matches!(txn.commit(), Err(CommitError::TransactionPoisoned)));
}

#[test]
fn an_index_with_other_times_is_found() {
    let db = forged(|rows| {
        take(rows, 110, 1);
        add(rows, 111, 1);
    });
    assert_found(&db);
    let txn = db.begin_write().unwrap();
    let live = txn.open_ttl_table(ROWS).unwrap().len_live().unwrap();
    assert_eq!(live, 2);
}
