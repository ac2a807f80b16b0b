//! Ranges that are counted, deleted and drained, prefixes, look-ups of many keys, and bulk loading.
#![cfg(feature = "std")]

mod common;

use common::crash::{Fault, RecordingBackend, Target};
use common::rng::Rng;
use sapwood::backends::InMemoryBackend;
use sapwood::{
    BulkLoadError, CommitError, Database, Error, Key, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    StorageError, Table, TableDefinition, TypeName, Value, WriteTransaction,
};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};

const BLOBS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("blobs");
const NUMBERS: TableDefinition<u64, u64> = TableDefinition::new("numbers");
const NAMES: TableDefinition<&str, u64> = TableDefinition::new("names");

type Blobs = BTreeMap<Vec<u8>, Vec<u8>>;

fn database(page: usize, cache: usize) -> Database {
    let mut builder = Database::builder();
    builder.set_page_size(page).set_cache_size(cache).create_with_backend(InMemoryBackend::new()).unwrap()
}

fn verified(db: &Database, txn: WriteTransaction) {
    txn.commit().unwrap();
    db.verify().unwrap();
}

/// Some keys do not fit a page of 512 bytes, and some values fill several. Many begin alike, some with 0xFF.
fn blob(rng: &mut Rng) -> (Vec<u8>, Vec<u8>) {
    let mut key = vec![0xFF; rng.below(3) as usize];
    key.extend((rng.below(5_000) as u16).to_be_bytes());
    if rng.chance(16) {
        key.resize(300, b'k');
    }
    let length = if rng.chance(16) { 1_500 } else { rng.below(40) };
    (key, rng.bytes(length as usize))
}

fn bound(rng: &mut Rng) -> Bound<Vec<u8>> {
    match rng.below(6) {
        0 => Bound::Unbounded,
        1 | 2 => Bound::Excluded(blob(rng).0),
        _ => Bound::Included(blob(rng).0),
    }
}

fn bounds(rng: &mut Rng) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    (bound(rng), bound(rng))
}

fn lent((start, end): &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice))
}

fn contains((start, end): &(Bound<Vec<u8>>, Bound<Vec<u8>>), key: &[u8]) -> bool {
    let above = match start {
        Bound::Unbounded => true,
        Bound::Included(start) => &**start <= key,
        Bound::Excluded(start) => &**start < key,
    };
    let below = match end {
        Bound::Unbounded => true,
        Bound::Included(end) => key <= &**end,
        Bound::Excluded(end) => key < &**end,
    };
    above && below
}

fn rows_of(table: &impl ReadableTable<&'static [u8], &'static [u8]>) -> Blobs {
    let rows = table.iter().unwrap().map(|row| row.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())));
    let rows: Blobs = rows.collect::<Result<_, _>>().unwrap();
    assert_eq!(table.len().unwrap(), rows.len() as u64);
    rows
}

fn insert_some(table: &mut Table<&'static [u8], &'static [u8]>, model: &mut Blobs, rng: &mut Rng, count: u64) {
    for _ in 0..count {
        let (key, value) = blob(rng);
        table.insert(&*key, &*value).unwrap();
        model.insert(key, value);
    }
}

#[test]
fn what_is_deleted_and_drained_is_what_a_model_deletes() {
    for (seed, (page, cache)) in [(512, 0), (512, 1 << 20), (4_096, 0), (1_024, 30_000)].into_iter().enumerate() {
        let (db, mut model, mut rng) = (database(page, cache), Blobs::new(), Rng::new(seed as u64));
        for _ in 0..12 {
            let txn = db.begin_write().unwrap();
            {
                let mut table = txn.open_table(BLOBS).unwrap();
                for _ in 0..6 {
                    let count = rng.below(700);
                    insert_some(&mut table, &mut model, &mut rng, count);
                    let bounds = bounds(&mut rng);
                    let doomed = model.keys().filter(|key| contains(&bounds, key)).count() as u64;
                    assert_eq!(table.count::<&[u8]>(lent(&bounds)).unwrap(), doomed);
                    if rng.chance(128) {
                        assert_eq!(table.delete_range::<&[u8]>(lent(&bounds)).unwrap(), doomed);
                    } else {
                        let mut doomed = model.iter().filter(|(key, _)| contains(&bounds, key));
                        let mut rows = table.drain::<&[u8]>(lent(&bounds)).unwrap();
                        for step in 0..rng.below(40) {
                            let front = step % 3 == 0;
                            let row = if front { rows.next() } else { rows.next_back() };
                            let expected = if front { doomed.next() } else { doomed.next_back() };
                            let row =
                                row.map(|row| row.map(|(k, v)| (k.value().to_vec(), v.value().to_vec())).unwrap());
                            assert_eq!(row.as_ref().map(|(key, value)| (key, value)), expected);
                        }
                        if rng.chance(128) { rows.close().unwrap() } else { drop(rows) }
                    }
                    model.retain(|key, _| !contains(&bounds, key));
                    assert_eq!(rows_of(&table), model);
                }
            }
            if rng.chance(64) {
                txn.abort().unwrap();
                let txn = db.begin_read().unwrap();
                model = txn.open_table(BLOBS).map(|table| rows_of(&table)).unwrap_or_default();
            } else {
                verified(&db, txn);
                let table = db.begin_read().unwrap().open_table(BLOBS).unwrap();
                let bounds = bounds(&mut rng);
                let expected = model.keys().filter(|key| contains(&bounds, key)).count() as u64;
                assert_eq!(table.count::<&[u8]>(lent(&bounds)).unwrap(), expected);
            }
        }
    }
}

#[test]
fn an_early_end_of_drain_removes_the_rest_and_a_leak_keeps_it() {
    let db = database(512, 1 << 20);
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(NUMBERS).unwrap();
        table.bulk_load((0..1_000).map(|number| (number, number))).unwrap();
        drop(table.drain(900..).unwrap());
        assert_eq!(table.len().unwrap(), 900);
        let mut rows = table.drain(..100).unwrap();
        let (first, last) = (rows.next().unwrap().unwrap(), rows.next_back().unwrap().unwrap());
        drop(rows);
        assert_eq!((first.0.value(), last.1.value(), table.len().unwrap()), (0, 99, 800));
        let mut rows = table.drain(200..300).unwrap();
        assert_eq!(rows.by_ref().take(10).count(), 10);
        std::mem::forget(rows);
        assert_eq!(table.count(200..300).unwrap(), 90);
        assert_eq!(table.drain::<u64>(..).unwrap().count(), 790);
        assert!(table.is_empty().unwrap());
    }
    verified(&db, txn);
}

#[test]
fn a_range_in_the_wrong_order_has_no_rows() {
    let db = database(512, 1 << 20);
    let txn = db.begin_write().unwrap();
    let mut table = txn.open_table(NUMBERS).unwrap();
    table.bulk_load((0..1_000).map(|number| (number, number))).unwrap();
    #[expect(clippy::reversed_empty_ranges)]
    let reversed = 700..300;
    assert_eq!(table.count(reversed.clone()).unwrap(), 0);
    assert_eq!(table.delete_range(reversed.clone()).unwrap(), 0);
    assert_eq!(table.drain(reversed).unwrap().count(), 0);
    assert_eq!(table.delete_range(300..300).unwrap(), 0);
    assert_eq!(table.delete_range((Bound::Excluded(300), Bound::Excluded(301))).unwrap(), 0);
    assert_eq!(table.len().unwrap(), 1_000);
}

#[test]
fn a_deletion_that_fails_half_way_breaks_its_transaction() {
    let backend = RecordingBackend::new();
    let open =
        || Database::builder().set_page_size(512).set_cache_size(0).create_with_backend(backend.clone()).unwrap();
    let (mut model, mut rng) = (Blobs::new(), Rng::new(5));
    {
        let db = open();
        let txn = db.begin_write().unwrap();
        insert_some(&mut txn.open_table(BLOBS).unwrap(), &mut model, &mut rng, 3_000);
        txn.commit().unwrap();
    }
    let db = open();
    let mut broken = 0;
    for nth in (0..400).step_by(7) {
        let txn = db.begin_write().unwrap();
        let deleted = {
            let mut table = txn.open_table(BLOBS).unwrap();
            backend.inject(Fault::once(Target::Read, nth));
            table.delete_range::<&[u8]>(&[1][..]..&[200][..])
        };
        backend.heal();
        match deleted {
            Ok(rows) => assert!(rows > 100),
            Err(_) => match txn.commit() {
                Err(CommitError::TransactionPoisoned) => broken += 1,
                // It failed before anything was changed.
                Ok(()) => {}
                Err(err) => panic!("{err}"),
            },
        }
        assert_eq!(rows_of(&db.begin_read().unwrap().open_table(BLOBS).unwrap()), model);
    }
    assert!(broken > 5, "{broken}");
    db.verify().unwrap();
}

#[test]
fn a_prefix_has_the_keys_that_begin_with_it() {
    let (db, mut model, mut rng) = (database(512, 1 << 20), Blobs::new(), Rng::new(1));
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(BLOBS).unwrap();
        insert_some(&mut table, &mut model, &mut rng, 3_000);
        for key in [&[][..], &[0xFF], &[0xFF; 4], &[0xFF; 5], &[0xFE, 0xFF], &[0xFF, 0xFE]] {
            table.insert(key, &[][..]).unwrap();
            model.insert(key.to_vec(), Vec::new());
        }
        let prefixes = model.keys().flat_map(|key| [&key[..key.len().min(2)], &key[..key.len().min(3)], &key[..]]);
        for prefix in prefixes.chain([&[][..], &[0xFF], &[0xFF, 0xFF], &[0xFF; 3], &[0xFF; 6], &[0, 0xFF]]) {
            let found = table.prefix(prefix).unwrap().map(|row| row.unwrap().0.value().to_vec());
            let expected = model.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
            assert!(found.eq(expected.map(|(key, _)| key.clone())), "{prefix:?}");
        }
        let mut names = txn.open_table(NAMES).unwrap();
        let texts = ["a", "a\u{10FFFF}", "a\u{10FFFF}b", "b", "\u{10FFFF}", "\u{10FFFF}\u{10FFFF}", "é", "éa", "ê", ""];
        for name in texts {
            names.insert(name, name.len() as u64).unwrap();
        }
        for prefix in texts {
            let found = names.prefix(prefix).unwrap().count();
            assert_eq!(found, texts.iter().filter(|name| name.starts_with(prefix)).count(), "{prefix:?}");
        }
    }
    txn.commit().unwrap();
    let txn = db.begin_read().unwrap();
    let names = txn.open_table(NAMES).unwrap();
    let mut backwards = names.prefix("a").unwrap().rev();
    assert_eq!(backwards.next().unwrap().unwrap().0.value(), "a\u{10FFFF}b");
}

/// Bytes in descending order, known to their `compare` alone.
#[derive(Debug)]
struct Descending;

impl Value for Descending {
    type SelfType<'a> = u64;
    type AsBytes<'a> = [u8; 8];

    fn fixed_width() -> Option<usize> {
        Some(8)
    }
    fn from_bytes<'a>(data: &'a [u8]) -> u64
    where
        Self: 'a,
    {
        u64::from_bytes(data)
    }
    fn as_bytes<'a, 'b: 'a>(value: &'a u64) -> [u8; 8]
    where
        Self: 'b,
    {
        value.to_le_bytes()
    }
    fn type_name() -> TypeName {
        TypeName::new("ranges::Descending")
    }
}

impl Key for Descending {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        u64::from_bytes(data2).cmp(&u64::from_bytes(data1))
    }
}

#[test]
fn many_keys_are_found_as_one_by_one() {
    let (db, mut model, mut rng) = (database(512, 0), Blobs::new(), Rng::new(1));
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(BLOBS).unwrap();
        assert!(table.get_many([&b"none"[..]; 3]).unwrap().iter().all(Option::is_none));
        insert_some(&mut table, &mut model, &mut rng, 4_000);
        assert!(table.get_many::<&[u8]>([]).unwrap().is_empty());
    }
    check_many(&txn.open_table(BLOBS).unwrap(), &model, &mut rng);
    txn.commit().unwrap();
    check_many(&db.begin_read().unwrap().open_table(BLOBS).unwrap(), &model, &mut rng);
}

fn check_many(table: &impl ReadableTable<&'static [u8], &'static [u8]>, model: &Blobs, rng: &mut Rng) {
    for count in [1, 2, 3, 10, 100, 2_000] {
        let keys: Vec<_> = (0..count).map(|_| blob(rng).0).collect();
        let found = table.get_many(keys.iter().map(Vec::as_slice)).unwrap();
        let found: Vec<_> = found.into_iter().map(|value| value.map(|value| value.value().to_vec())).collect();
        let expected: Vec<_> = keys.iter().map(|key| model.get(key).cloned()).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn keys_of_an_order_of_their_own_are_counted_cut_loaded_and_found_too() {
    const TABLE: TableDefinition<Descending, u64> = TableDefinition::new("descending");
    let db = database(512, 1 << 20);
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(TABLE).unwrap();
        table.bulk_load((0..5_000).rev().map(|number| (number, number * 2))).unwrap();
        assert_eq!(table.count((Bound::Included(4_000), Bound::Included(1_000))).unwrap(), 3_001);
        assert_eq!(table.delete_range((Bound::Included(3_999), Bound::Excluded(2_000))).unwrap(), 1_999);
        let found = table.get_many([7, 3_000, 2_000, 4_999]).unwrap();
        let found: Vec<_> = found.iter().map(|value| value.as_ref().map(|value| value.value())).collect();
        assert_eq!(found, [Some(14), None, Some(4_000), Some(9_998)]);
        assert!(matches!(table.bulk_load([(0, 0)]), Err(BulkLoadError::Unordered { row: 0 })));
    }
    verified(&db, txn);
}

/// The rows that a leaf of 512 bytes takes: heads of 8 bytes, slots of 2, rows of 16.
const PER_LEAF: u64 = 18;

#[test]
fn loaded_pages_are_full() {
    let db = database(512, 20_000);
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(NUMBERS).unwrap();
        assert_eq!(table.bulk_load((0..100_000).map(|number| (number, number))).unwrap(), 100_000);
        let stats = table.stats().unwrap();
        assert_eq!(stats.leaf_pages(), 100_000_u64.div_ceil(PER_LEAF));
        // Nine children fit a branch; when it is full, its last goes on to the next one.
        let (mut pages, mut branches) = (stats.leaf_pages(), 0);
        while pages > 1 {
            pages = pages.div_ceil(8);
            branches += pages;
        }
        assert!(stats.branch_pages() <= branches, "{} branches, not {branches}", stats.branch_pages());
        // Behind the last row pages go on being filled.
        table.bulk_load((100_000..200_000).map(|number| (number, number))).unwrap();
        assert!(table.stats().unwrap().leaf_pages() <= 200_000_u64.div_ceil(PER_LEAF) + 1);
        assert!(table.iter().unwrap().map(|row| row.unwrap().0.value()).eq(0..200_000));
    }
    verified(&db, txn);
}

#[test]
fn loads_behind_tables_of_any_height_are_followed_by_any_program() {
    let mut rng = Rng::new(4);
    for before in [0, 1, 18, 19, 400, 3_000, 20_000_u64] {
        for loaded in [0, 1, 18, 19, 400, 3_000, 20_000_u64] {
            let db = database(512, 1 << 20);
            let txn = db.begin_write().unwrap();
            {
                let mut table = txn.open_table(NUMBERS).unwrap();
                for number in 0..before {
                    table.insert(number, number).unwrap();
                }
            }
            let commits = rng.chance(128);
            let txn = if commits {
                txn.commit().unwrap();
                db.begin_write().unwrap()
            } else {
                txn
            };
            {
                let mut table = txn.open_table(NUMBERS).unwrap();
                let end = before + loaded;
                assert_eq!(table.bulk_load((before..end).map(|number| (number, number))).unwrap(), loaded);
                assert_eq!(table.len().unwrap(), end);
                assert_eq!(table.count::<u64>(..).unwrap(), end);
                let mut model: BTreeMap<_, _> = (0..end).map(|number| (number, number)).collect();
                for _ in 0..300 {
                    let number = rng.below(end + end / 10 + 2);
                    if rng.chance(128) {
                        assert_eq!(table.remove(number).unwrap().map(|old| old.value()), model.remove(&number));
                    } else {
                        assert_eq!(table.insert(number, 1).unwrap().map(|old| old.value()), model.insert(number, 1));
                    }
                }
                let rows =
                    table.iter().unwrap().map(|row| row.map(|(key, value)| (key.value(), value.value())).unwrap());
                assert!(rows.eq(model));
            }
            verified(&db, txn);
        }
    }
}

#[test]
fn a_load_that_is_not_sorted_says_where_and_changes_nothing() {
    for cache in [0, 1 << 20] {
        let (db, mut model, mut rng) = (database(512, cache), Blobs::new(), Rng::new(9));
        let txn = db.begin_write().unwrap();
        insert_some(&mut txn.open_table(BLOBS).unwrap(), &mut model, &mut rng, 500);
        txn.commit().unwrap();
        let pages = db.verify().unwrap().linked_pages;
        let txn = db.begin_write().unwrap();
        {
            let mut table = txn.open_table(BLOBS).unwrap();
            let key = |number: u32| [&[0xFF; 9][..], &number.to_be_bytes(), &[7; 200]].concat();
            let value = [1; 700];
            for (bad, wrong) in [
                (0, vec![1]),
                (1, key(0)),
                (700, key(698)),
                (2_000, key(1_999)),
                (5, model.last_key_value().unwrap().0.clone()),
            ] {
                let rows = (0..3_000).map(|number| (if number == bad { wrong.clone() } else { key(number) }, value));
                let rows: Vec<_> = rows.collect();
                let loaded = table.bulk_load(rows.iter().map(|(key, value)| (&**key, &value[..])));
                assert!(matches!(loaded, Err(BulkLoadError::Unordered { row }) if row == u64::from(bad)), "{loaded:?}");
            }
            assert_eq!(rows_of(&table), model);
        }
        verified(&db, txn);
        assert_eq!(db.verify().unwrap().linked_pages, pages);
    }
}

#[test]
fn an_iterator_that_panics_or_meets_an_error_leaves_no_pages_behind() {
    let db = database(512, 0);
    let txn = db.begin_write().unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut table = txn.open_table(NUMBERS).unwrap();
        table.bulk_load((0..9_000).map(|number| if number < 8_000 { (number, number) } else { panic!("on purpose") }))
    }));
    assert!(panicked.is_err());
    assert!(matches!(txn.commit(), Err(CommitError::TransactionPoisoned)));
    assert_eq!(db.verify().unwrap().linked_pages, 0);
}

#[test]
fn what_feeds_a_load_may_use_other_tables_of_the_transaction() {
    let db = database(512, 0);
    let txn = db.begin_write().unwrap();
    {
        let mut table = txn.open_table(NUMBERS).unwrap();
        let mut names = txn.open_table(NAMES).unwrap();
        let rows = (0..3_000).map(|number| {
            names.insert(&*format!("name {number}"), number).unwrap();
            assert!(txn.stats().is_ok());
            (number, number)
        });
        table.bulk_load(rows).unwrap();
        assert_eq!(names.len().unwrap(), 3_000);
    }
    verified(&db, txn);
}

#[test]
fn errors_of_loads_convert() {
    let err: Error = BulkLoadError::Unordered { row: 3 }.into();
    assert!(matches!(err, Error::UnorderedKey));
    assert!(matches!(Error::from(BulkLoadError::Storage(StorageError::PreviousIo)), Error::PreviousIo));
    assert_eq!(
        BulkLoadError::Unordered { row: 3 }.to_string(),
        "the key of row 3 is not greater than the one before it"
    );
}
