//! How much is read for what has expired, and for what has not.

use crate::Hand;
use crate::common::crash::RecordingBackend;
use sapwood::{Builder, Database, ReadableDatabase, ReadableTableMetadata, ReadableTtlTable, TtlTableDefinition};
use std::time::Duration;

const ROWS: TtlTableDefinition<u64, u64> = TtlTableDefinition::new("rows");
const MANY: u64 = 1_000_000;

/// A million rows, of which row `n` expires at `1000 + n`, behind a cache that keeps next to nothing.
fn million(clock: &Hand) -> (Database, RecordingBackend) {
    let backend = RecordingBackend::new();
    let db = Builder::new().set_clock(clock.clone()).create_with_backend(backend.clone()).unwrap();
    let txn = db.begin_write().unwrap();
    {
        let mut rows = txn.open_ttl_table(ROWS).unwrap();
        for number in 0..MANY {
            rows.insert_with_ttl(number, number, Duration::from_millis(1_000 + number)).unwrap();
        }
    }
    txn.commit().unwrap();
    drop(db);
    let backend = RecordingBackend::from_image(backend.contents());
    let db = Builder::new().set_clock(clock.clone()).set_cache_size(0).create_with_backend(backend.clone()).unwrap();
    // The opening commit.
    db.begin_write().unwrap().commit().unwrap();
    (db, backend)
}

/// Pages that are read meanwhile.
fn reads<T>(backend: &RecordingBackend, run: impl FnOnce() -> T) -> (T, usize) {
    backend.take_counters();
    let result = run();
    (result, backend.take_counters().reads.len())
}

#[test]
fn what_has_not_expired_costs_nothing() {
    let clock = Hand::default();
    let (db, backend) = million(&clock);
    let txn = db.begin_write().unwrap();
    let mut rows = txn.open_ttl_table(ROWS).unwrap();
    let (purged, read) = reads(&backend, || rows.purge_expired(MANY).unwrap());
    assert!(purged == 0 && read < 10, "{purged} rows, {read} pages");
    let (live, read) = reads(&backend, || rows.len_live().unwrap());
    assert!(live == MANY && read < 10, "{live} rows, {read} pages");
    let (_, read) = reads(&backend, || rows.first().unwrap().unwrap());
    assert!(read < 10, "{read} pages");
    drop(rows);
    drop(txn);

    // All but one have expired.
    clock.set(1_000 + MANY - 2);
    let rows = db.begin_read().unwrap().open_ttl_table(ROWS).unwrap();
    let (live, read) = reads(&backend, || (rows.len_live().unwrap(), rows.is_empty().unwrap()));
    assert!(live == (1, false) && read < 20, "{live:?}, {read} pages");
    let (last, read) = reads(&backend, || rows.last().unwrap().unwrap().0.value());
    assert!(last == MANY - 1 && read < 10, "{last}, {read} pages");
}

#[test]
fn a_purge_costs_what_it_removes() {
    let clock = Hand::default();
    let (db, backend) = million(&clock);
    clock.set(1_000 + 4_999);
    let mut left = 5_000;
    for limit in [100, 1_000, MANY] {
        let txn = db.begin_write().unwrap();
        let mut rows = txn.open_ttl_table(ROWS).unwrap();
        let expected = left.min(limit);
        let (purged, read) = reads(&backend, || rows.purge_expired(limit).unwrap());
        assert_eq!(purged, expected);
        // Neighbours in time are neighbours by key here. Next to nothing is kept in memory.
        assert!(read as u64 <= 20 + expected / 4, "{read} pages for {expected} rows");
        left -= purged;
        assert_eq!((rows.len().unwrap(), rows.len_live().unwrap()), (MANY - 5_000 + left, MANY - 5_000));
        assert_eq!(rows.first().unwrap().unwrap().0.value(), 5_000);
        drop(rows);
        txn.commit().unwrap();
    }
}

#[test]
fn purged_pages_come_back() {
    let clock = Hand::default();
    let backend = RecordingBackend::new();
    let db = Builder::new().set_clock(clock.clone()).create_with_backend(backend.clone()).unwrap();
    let mut length = 0;
    for round in 0..20 {
        let txn = db.begin_write().unwrap();
        {
            let mut rows = txn.open_ttl_table(ROWS).unwrap();
            assert_eq!(rows.purge_expired(u64::MAX).unwrap(), if round == 0 { 0 } else { 10_000 });
            (0..10_000).for_each(|key| {
                drop(rows.insert_with_ttl(round * 10_000 + key * 7 % 10_000, key, Duration::from_millis(5)).unwrap())
            });
        }
        txn.commit().unwrap();
        clock.advance(5);
        if round == 3 {
            length = backend.contents().len();
        }
    }
    assert!(backend.contents().len() <= length + length / 4, "{} after {length}", backend.contents().len());
    let report = db.verify().unwrap();
    assert!(report.kept_pages < 500, "{report:?}");
}
