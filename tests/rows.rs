//! Entries, removals by a predicate and cursors, at their limits. Random programs of them are in `tests/model`.
#![cfg(feature = "std")]

mod common;

use common::crash::RecordingBackend;
use common::rng::Rng;
use sapwood::backends::InMemoryBackend;
use sapwood::{
    CommitError, CursorError, Database, Entry, Key, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    StorageError, TableDefinition, TypeName, Value, WriteTransaction,
};
use std::cmp::Ordering;
use std::ops::{Bound, RangeInclusive};
use std::panic::{AssertUnwindSafe, catch_unwind};

const BLOBS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("blobs");
const NUMBERS: TableDefinition<u64, u64> = TableDefinition::new("numbers");

fn database(page: usize) -> Database {
    let mut builder = Database::builder();
    builder.set_page_size(page).set_cache_size(1 << 20).create_with_backend(InMemoryBackend::new()).unwrap()
}

fn verified(db: &Database, txn: WriteTransaction) {
    txn.commit().unwrap();
    db.verify().unwrap();
}

/// Some keys do not fit a page of 512 bytes, and some values fill several.
fn blob(number: u64) -> (Vec<u8>, Vec<u8>) {
    let mut key = number.to_be_bytes().to_vec();
    key.resize(if number.is_multiple_of(11) { 300 } else { 8 }, b'k');
    (key, vec![number as u8; if number.is_multiple_of(7) { 1_500 } else { 20 }])
}

fn fill(txn: &WriteTransaction, count: u64) {
    let mut table = txn.open_table(BLOBS).unwrap();
    for number in 0..count {
        let (key, value) = blob(number);
        table.insert(&*key, &*value).unwrap();
    }
}

#[test]
fn leaves_that_empty_while_one_iterates_from_both_ends() {
    let db = database(512);
    for commits_first in [false, true] {
        let mut txn = db.begin_write().unwrap();
        fill(&txn, 2_000);
        if commits_first {
            txn.commit().unwrap();
            txn = db.begin_write().unwrap();
        }
        {
            let mut table = txn.open_table(BLOBS).unwrap();
            let mut rows = table.extract_if(|_, _| true).unwrap();
            let (mut low, mut high, mut rng) = (0, 2_000, Rng::new(3));
            while low < high {
                let number = if rng.chance(128) {
                    low += 1;
                    let (key, value) = rows.next().unwrap().unwrap();
                    assert_eq!((key.value(), value.value()), (&*blob(low - 1).0, &*blob(low - 1).1));
                    low - 1
                } else {
                    high -= 1;
                    let (key, _) = rows.next_back().unwrap().unwrap();
                    assert_eq!(key.value(), blob(high).0);
                    high
                };
                assert!(number < 2_000);
            }
            assert!(rows.next().is_none() && rows.next_back().is_none());
            rows.close().unwrap();
            assert!(table.is_empty().unwrap());
        }
        verified(&db, txn);
    }
}

#[test]
fn what_was_not_yielded_stays_and_what_is_held_keeps_its_bytes() {
    let db = database(512);
    let txn = db.begin_write().unwrap();
    fill(&txn, 3_000);
    {
        let mut table = txn.open_table(BLOBS).unwrap();
        let held: Vec<_> = table.extract_if(|key, _| key[7] % 2 == 0).unwrap().take(700).map(Result::unwrap).collect();
        for (at, (key, value)) in held.iter().enumerate() {
            assert_eq!((key.value(), value.value()), (&*blob(2 * at as u64).0, &*blob(2 * at as u64).1));
        }
        drop(held);
        assert_eq!(table.len().unwrap(), 2_300);
        let left: Vec<_> = table.iter().unwrap().map(|row| row.unwrap().0.value().to_vec()).collect();
        let stays = |number: &u64| *number >= 1_400 || number % 2 == 1;
        assert_eq!(left, (0..3_000).filter(stays).map(|number| blob(number).0).collect::<Vec<_>>());
    }
    verified(&db, txn);
}

#[test]
fn a_panic_of_a_predicate_poisons_the_transaction() {
    let db = database(512);
    let txn = db.begin_write().unwrap();
    fill(&txn, 100);
    verified(&db, txn);
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(BLOBS).unwrap();
        let mut rows = table.extract_if(|key, _| if key[7] == 50 { panic!("as planned") } else { true }).unwrap();
        assert_eq!(rows.by_ref().take(50).filter(Result::is_ok).count(), 50);
        assert!(catch_unwind(AssertUnwindSafe(|| rows.next().is_some())).is_err());
        assert!(matches!(rows.next(), Some(Err(StorageError::PreviousIo))));
        assert!(matches!(rows.next_back(), Some(Err(StorageError::PreviousIo))));
        assert!(matches!(rows.close(), Err(StorageError::PreviousIo)));
    }
    assert!(matches!(txn.commit(), Err(CommitError::TransactionPoisoned)));
    assert_eq!(db.begin_read().unwrap().open_table(BLOBS).unwrap().len().unwrap(), 100);
    db.verify().unwrap();
}

#[test]
fn retain_leaves_few_pages() {
    let db = database(512);
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(NUMBERS).unwrap();
        for number in 0..100_000 {
            table.insert(number, number).unwrap();
        }
    }
    verified(&db, txn);
    let full = db.verify().unwrap();
    let txn = db.begin_write().unwrap();
    let mut seen = 0;
    txn.open_table(NUMBERS)
        .unwrap()
        .retain(|number, _| {
            seen += 1;
            number % 10 == 0
        })
        .unwrap();
    verified(&db, txn);
    assert_eq!(seen, 100_000);
    let thin = db.verify().unwrap();
    assert!(thin.linked_pages * 5 < full.linked_pages, "{thin:?} of {full:?}");
}

#[test]
fn cursors_fill_a_large_table_in_every_order() {
    let db = database(512);
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(BLOBS).unwrap();
        let mut cursor = table.upper_bound_mut(Bound::<&[u8]>::Unbounded).unwrap();
        for number in (0..4_000).step_by(2) {
            let (key, value) = blob(number);
            cursor.insert_before(&*key, &*value).unwrap();
        }
        // Each odd key between its neighbours, on the way back.
        for number in (0..2_000).rev().map(|half| 2 * half + 1) {
            let (key, value) = blob(number);
            cursor.insert_after(&*key, &*value).unwrap();
            assert!(matches!(cursor.insert_before(&*key, &*value), Err(CursorError::UnorderedKey)));
            assert_eq!(cursor.prev().unwrap().unwrap().0.value(), blob(number - 1).0);
        }
        cursor.close().unwrap();
        assert_eq!(table.len().unwrap(), 4_000);
        for (number, row) in table.iter().unwrap().enumerate() {
            assert_eq!(row.unwrap().0.value(), blob(number as u64).0);
        }
    }
    verified(&db, txn);
}

#[test]
fn a_cursor_that_removes_what_it_sees_sees_every_row_once() {
    let db = database(512);
    let txn = db.begin_write().unwrap();
    fill(&txn, 50);
    {
        let mut table = txn.open_table(BLOBS).unwrap();
        let mut cursor = table.lower_bound_mut(Bound::<&[u8]>::Unbounded).unwrap();
        let mut kept = Vec::new();
        while let Some((key, value)) = cursor.peek_next().unwrap() {
            kept.push((key.value().to_vec(), value.value().to_vec()));
            cursor.remove_next().unwrap();
        }
        assert_eq!(kept, (0..50).map(blob).collect::<Vec<_>>());
    }
    verified(&db, txn);
}

#[test]
fn a_value_is_measured_where_it_is_not_read() {
    let backend = RecordingBackend::new();
    let open = || Database::builder().set_page_size(512).create_with_backend(backend.clone()).unwrap();
    let db = open();
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(BLOBS).unwrap();
        for number in 0..30_u64 {
            table.insert(number.to_be_bytes().as_slice(), vec![1; 100_000].as_slice()).unwrap();
        }
    }
    txn.commit().unwrap();
    drop(db);
    let db = open();
    let table = db.begin_read().unwrap().open_table(BLOBS).unwrap();
    backend.take_counters();
    let mut cursor = table.lower_bound(Bound::<&[u8]>::Unbounded).unwrap();
    for number in 0..30 {
        let key = u64::to_be_bytes(number);
        assert_eq!(table.value_len(key.as_slice()).unwrap(), Some(100_000));
        assert_eq!(cursor.value_len().unwrap(), Some(100_000));
        cursor.seek(Bound::Excluded(key.as_slice())).unwrap();
    }
    assert_eq!((table.value_len(b"".as_slice()).unwrap(), cursor.value_len().unwrap()), (None, None));
    assert!(backend.take_counters().bytes_read() < 100_000);
    db.verify().unwrap();
}

#[test]
fn a_cursor_seeks_in_both_directions() {
    let db = database(512);
    let txn = db.begin_write().unwrap();
    fill(&txn, 5_000);
    txn.commit().unwrap();
    let table = db.begin_read().unwrap().open_table(BLOBS).unwrap();
    let mut cursor = table.lower_bound(Bound::<&[u8]>::Unbounded).unwrap();
    let mut rng = Rng::new(9);
    let mut number = 0;
    for _ in 0..5_000 {
        number = (number + if rng.chance(200) { rng.below(40) } else { rng.below(5_000) }) % 5_000;
        let (key, _) = blob(number);
        cursor.seek(Bound::Included(&*key)).unwrap();
        assert_eq!(cursor.peek_next().unwrap().unwrap().0.value(), key);
        cursor.seek(Bound::Excluded(&*key)).unwrap();
        assert_eq!(cursor.prev().unwrap().unwrap().0.value(), key);
    }
    cursor.seek(Bound::<&[u8]>::Unbounded).unwrap();
    assert!(cursor.prev().unwrap().is_none());
    db.verify().unwrap();
}

/// Numbers with the greatest first.
#[derive(Debug)]
struct Falling;

impl Value for Falling {
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
        TypeName::new("rows::Falling")
    }
}

impl Key for Falling {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        Self::from_bytes(data2).cmp(&Self::from_bytes(data1))
    }
}

#[test]
fn keys_of_a_users_own_type() {
    const FALLING: TableDefinition<Falling, &str> = TableDefinition::new("falling");
    let db = database(512);
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(FALLING).unwrap();
        for number in 0..2_000 {
            let Entry::Vacant(entry) = table.entry(number).unwrap() else { panic!("{number} is there") };
            entry.insert("a value").unwrap();
        }
        let mut cursor = table.lower_bound_mut(Bound::Excluded(1_000)).unwrap();
        assert_eq!(cursor.remove_next().unwrap().unwrap().0.value(), 999);
        assert!(matches!(cursor.insert_before(1_001, "x"), Err(CursorError::UnorderedKey)));
        cursor.insert_after(999, "back").unwrap();
        drop(cursor);
        table.retain_in(RangeInclusive::new(1_500, 500), |number, _| number % 100 == 99).unwrap();
        assert_eq!(table.len().unwrap(), 2_000 - 1_001 + 10);
        let last = table.extract_if(|_, _| true).unwrap().next_back().unwrap().unwrap();
        assert_eq!(last.0.value(), 0);
    }
    verified(&db, txn);
}

#[test]
fn limits_are_checked_before_anything_changes() {
    const LONG: TableDefinition<u64, &[u8]> = TableDefinition::new("long");
    let db = database(4_096);
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(LONG).unwrap();
        let long = vec![0_u8; 1 << 20];
        table.entry(1).unwrap().or_insert(long.as_slice()).unwrap().insert(b"short".as_slice()).unwrap();
        assert_eq!(table.value_len(1).unwrap(), Some(5));
        let mut cursor = table.lower_bound_mut(Bound::Included(2)).unwrap();
        cursor.insert_before(2, long.as_slice()).unwrap();
        assert_eq!(cursor.remove_prev().unwrap().unwrap().1.value().len(), 1 << 20);
    }
    verified(&db, txn);
}
