//! Multimap tables: what they take and give back, values that are read while they are removed, and misuse.

mod common;

use common::image::Image;
use common::rng::Rng;
use sapwood::{
    Builder, CommitError, Database, Key, MultimapTable, MultimapTableDefinition, MultimapValue, ReadableDatabase,
    ReadableMultimapTable, ReadableTableMetadata, StorageError, TableDefinition, TypeName, Value, WriteTransaction,
};
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

const SETS: MultimapTableDefinition<u64, u64> = MultimapTableDefinition::new("sets");
const TEXTS: MultimapTableDefinition<&str, &[u8]> = MultimapTableDefinition::new("texts");
const ROWS: TableDefinition<u64, &[u8]> = TableDefinition::new("rows");
const OTHERS: [MultimapTableDefinition<u64, u64>; 2] =
    [MultimapTableDefinition::new("one"), MultimapTableDefinition::new("two")];
const PAGE: usize = 512;

fn create(image: &Image, page: usize, cache: usize) -> Database {
    Builder::new().set_page_size(page).set_cache_size(cache).create_with_backend(image.clone()).unwrap()
}

fn database() -> Database {
    create(&Image::default(), PAGE, 1 << 20)
}

fn write<T>(db: &Database, work: impl FnOnce(&WriteTransaction) -> T) -> T {
    let txn = db.begin_write().unwrap();
    let result = work(&txn);
    txn.commit().unwrap();
    result
}

fn numbers(values: MultimapValue<u64>) -> Vec<u64> {
    values.map(|value| value.unwrap().value()).collect()
}

/// Values of `texts` of any length, of which some have pages to themselves.
fn text(number: u64) -> Vec<u8> {
    let length = match number % 11 {
        0 => 0,
        1 => 400,
        2 => 2000,
        _ => number as usize % 30,
    };
    let mut text = number.to_be_bytes()[5..].to_vec();
    text.resize(3 + length, b't');
    text
}

/// Keys with small sets, with large ones, with one of thousands, and long keys.
fn fill(txn: &WriteTransaction) {
    let mut sets = txn.open_multimap_table(SETS).unwrap();
    let mut texts = txn.open_multimap_table(TEXTS).unwrap();
    for key in 0..60 {
        for value in 0..if key == 7 { 3000 } else { 1 + key } {
            assert!(!sets.insert(key, value * 3).unwrap());
        }
        let name = format!("{key}{}", "k".repeat(if key % 5 == 0 { 300 } else { 3 }));
        for value in 0..if key == 5 { 400 } else { 1 + key % 13 } {
            assert!(!texts.insert(&*name, &*text(value)).unwrap());
        }
    }
}

fn empty_by_values<K: Key, V: Key>(table: &mut MultimapTable<K, V>) {
    let mut pairs = Vec::new();
    for entry in table.iter().unwrap() {
        let (key, values) = entry.unwrap();
        let key = K::as_bytes(&key.value()).as_ref().to_vec();
        let own = |value: sapwood::AccessGuard<V>| V::as_bytes(&value.value()).as_ref().to_vec();
        pairs.extend(values.map(|value| (key.clone(), own(value.unwrap()))));
    }
    // Neither ascending nor descending.
    let mut rng = Rng::new(9);
    while !pairs.is_empty() {
        let (key, value) = pairs.swap_remove(rng.below(pairs.len() as u64) as usize);
        assert!(table.remove(K::from_bytes(&key), V::from_bytes(&value)).unwrap());
    }
}

fn empty_by_keys<K: Key, V: Key>(table: &mut MultimapTable<K, V>) {
    let key = |entry: Result<(sapwood::AccessGuard<K>, MultimapValue<V>), StorageError>| {
        K::as_bytes(&entry.unwrap().0.value()).as_ref().to_vec()
    };
    let keys: Vec<Vec<u8>> = table.iter().unwrap().map(key).collect();
    for (nth, key) in keys.into_iter().enumerate() {
        let values = table.remove_all(K::from_bytes(&key)).unwrap();
        let count = values.len();
        match nth % 3 {
            0 => assert_eq!(values.map(Result::unwrap).count() as u64, count),
            1 => assert_eq!(values.rev().take(2).map(Result::unwrap).count() as u64, count.min(2)),
            _ => drop(values),
        }
    }
}

#[test]
fn what_is_emptied_leaves_no_page_behind() {
    for (page, cache) in [(512, 0), (512, 1 << 20), (4096, 0), (65_536, 1 << 22)] {
        for by_values in [true, false] {
            let image = Image::default();
            let db = create(&image, page, cache);
            // The list of tables stays.
            write(&db, |txn| {
                drop((txn.open_multimap_table(SETS).unwrap(), txn.open_multimap_table(TEXTS).unwrap()));
            });
            let before = db.verify().unwrap().linked_pages;
            for same_transaction in [false, true] {
                let txn = db.begin_write().unwrap();
                fill(&txn);
                let txn = if same_transaction {
                    txn
                } else {
                    txn.commit().unwrap();
                    assert!(page == 65_536 || db.verify().unwrap().linked_pages > before + 20);
                    db.begin_write().unwrap()
                };
                {
                    let mut sets = txn.open_multimap_table(SETS).unwrap();
                    let mut texts = txn.open_multimap_table(TEXTS).unwrap();
                    if by_values {
                        empty_by_values(&mut sets);
                        empty_by_values(&mut texts);
                    } else {
                        empty_by_keys(&mut sets);
                        empty_by_keys(&mut texts);
                    }
                    assert!(sets.is_empty().unwrap() && texts.is_empty().unwrap());
                    assert_eq!((sets.iter().unwrap().count(), texts.iter().unwrap().count()), (0, 0));
                }
                txn.commit().unwrap();
                assert_eq!(db.verify().unwrap().linked_pages, before);
            }
            // What the other slot needs goes with the next commits.
            (0..2).for_each(|_| write(&db, |_| ()));
            assert_eq!(db.verify().unwrap().kept_pages, 0);
        }
    }
}

#[test]
fn a_deleted_multimap_leaves_no_page_behind() {
    let db = database();
    write(&db, fill);
    for changed in [false, true] {
        write(&db, |txn| {
            if changed {
                fill(txn);
                drop(txn.open_multimap_table(SETS).unwrap().remove_all(7).unwrap());
            }
            for table in txn.list_multimap_tables().unwrap() {
                assert!(txn.delete_multimap_table(table).unwrap());
            }
        });
        assert_eq!(db.verify().unwrap().linked_pages, 0);
    }
}

#[test]
fn values_that_were_removed_are_read_while_the_transaction_goes_on() {
    for cache in [0, 1 << 20] {
        for committed in [true, false] {
            let db = create(&Image::default(), PAGE, cache);
            let mut txn = db.begin_write().unwrap();
            fill(&txn);
            if committed {
                txn.commit().unwrap();
                txn = db.begin_write().unwrap();
            }
            {
                let mut sets = txn.open_multimap_table(SETS).unwrap();
                let mut rows = txn.open_table(ROWS).unwrap();
                let mut values = sets.remove_all(7).unwrap();
                let mut guards = Vec::new();
                for row in 0..1500 {
                    // More than the cache holds, so that pages are sealed, written and would be used again.
                    rows.insert(row, &[row as u8; 100][..]).unwrap();
                    guards.push(values.next().unwrap().unwrap());
                    guards.push(values.next_back().unwrap().unwrap());
                }
                assert!(values.next().is_none());
                let mut got: Vec<u64> = guards.iter().map(|guard| guard.value()).collect();
                got.sort_unstable();
                assert!(got.into_iter().eq((0..3000).map(|value| value * 3)));
            }
            txn.commit().unwrap();
            db.verify().unwrap();
        }
    }
}

#[test]
fn removed_values_that_are_forgotten_lose_no_page() {
    let db = database();
    for further in [false, true] {
        write(&db, |txn| {
            drop(txn.open_multimap_table(SETS).unwrap().remove_all(7).unwrap());
            fill_key_seven(txn);
        });
        write(&db, |txn| {
            let mut sets = txn.open_multimap_table(SETS).unwrap();
            std::mem::forget(sets.remove_all(7).unwrap());
            if further {
                sets.insert(8, 8).unwrap();
            }
        });
        db.verify().unwrap();
    }
    write(&db, |txn| {
        fill_key_seven(txn);
        std::mem::forget(txn.open_multimap_table(SETS).unwrap().remove_all(7).unwrap());
        assert!(txn.delete_multimap_table(SETS).unwrap());
    });
    assert_eq!(db.verify().unwrap().linked_pages, 0);
}

fn fill_key_seven(txn: &WriteTransaction) {
    let mut sets = txn.open_multimap_table(SETS).unwrap();
    (0..500).for_each(|value| assert!(!sets.insert(7, value).unwrap()));
}

#[test]
fn removed_values_come_back_with_an_abort() {
    let db = database();
    write(&db, fill);
    let before = db.verify().unwrap();
    let txn = db.begin_write().unwrap();
    empty_by_keys(&mut txn.open_multimap_table(SETS).unwrap());
    txn.abort().unwrap();
    assert_eq!(db.verify().unwrap(), before);
    let sets = db.begin_read().unwrap().open_multimap_table(SETS).unwrap();
    assert_eq!(numbers(sets.get(7).unwrap()).len(), 3000);
}

#[test]
fn a_reader_sees_the_sets_of_its_commit() {
    let db = database();
    write(&db, fill);
    let reader = db.begin_read().unwrap();
    let sets = reader.open_multimap_table(SETS).unwrap();
    let (mut early, length) = (sets.get(7).unwrap(), sets.len().unwrap());
    assert_eq!(early.next().unwrap().unwrap().value(), 0);
    write(&db, |txn| {
        let mut sets = txn.open_multimap_table(SETS).unwrap();
        for value in 0..3000 {
            assert!(sets.remove(7, value * 3).unwrap());
            assert!(!sets.insert(3, value * 3 + 100_000).unwrap());
        }
    });
    assert_eq!(numbers(early).len(), 2999);
    assert_eq!(numbers(sets.get(3).unwrap()), [0, 3, 6, 9]);
    assert_eq!((numbers(sets.get(7).unwrap()).len(), sets.len().unwrap()), (3000, length));
    let now = db.begin_read().unwrap().open_multimap_table(SETS).unwrap();
    assert_eq!((now.get(3).unwrap().len(), now.get(7).unwrap().len()), (3004, 0));
}

/// Several tables under pressure, one of them lent out: what is sealed, and when, must not show.
#[test]
fn pressure_neither_loses_nor_doubles_a_page() {
    [0, 1 << 17].into_iter().for_each(under_pressure);
}

fn under_pressure(cache: usize) {
    let db = create(&Image::default(), PAGE, cache);
    let mut model: [BTreeSet<(u64, u64)>; 2] = Default::default();
    for round in 0..4 {
        let txn = db.begin_write().unwrap();
        fill(&txn);
        {
            let lent = txn.open_multimap_table(SETS).unwrap();
            let mut values = lent.get(7).unwrap();
            let [mut one, mut two] = OTHERS.map(|table| txn.open_multimap_table(table).unwrap());
            for step in 0..3000_u64 {
                let number = (step + round * 7919).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let pair = (number >> 62, number >> 52 & 0x3FF);
                let (table, model) = if step % 2 == 0 { (&mut one, &mut model[0]) } else { (&mut two, &mut model[1]) };
                if number >> 32 & 3 == 0 {
                    assert_eq!(table.remove(pair.0, pair.1).unwrap(), model.remove(&pair));
                } else {
                    assert_eq!(table.insert(pair.0, pair.1).unwrap(), !model.insert(pair));
                }
                assert_eq!(values.next().unwrap().unwrap().value(), step * 3);
            }
        }
        txn.delete_multimap_table(SETS).unwrap();
        txn.delete_multimap_table(TEXTS).unwrap();
        txn.commit().unwrap();
        db.verify().unwrap();
        let reader = db.begin_read().unwrap();
        for (table, model) in OTHERS.iter().zip(&model) {
            let table = reader.open_multimap_table(*table).unwrap();
            let mut found = BTreeSet::new();
            for entry in table.iter().unwrap() {
                let (key, values) = entry.unwrap();
                found.extend(numbers(values).into_iter().map(|value| (key.value(), value)));
            }
            assert!(found == *model);
            assert_eq!(table.len().unwrap(), model.len() as u64);
        }
    }
}

#[test]
fn statistics_add_up() {
    let db = database();
    write(&db, fill);
    let txn = db.begin_read().unwrap();
    let sets = txn.open_multimap_table(SETS).unwrap();
    let stats = sets.stats().unwrap();
    assert_eq!(stats.stored_bytes(), 60 * 8 + sets.len().unwrap() * 8);
    let pages = stats.leaf_pages() + stats.branch_pages();
    let bytes = stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes();
    assert_eq!(bytes, pages * PAGE as u64);
    assert!(stats.tree_height() >= 4, "{stats:?}");
    let texts = txn.open_multimap_table(TEXTS).unwrap();
    let mut stored = 0;
    for entry in texts.iter().unwrap() {
        let (key, values) = entry.unwrap();
        stored += key.value().len() + values.map(|value| value.unwrap().value().len()).sum::<usize>();
    }
    let stats = texts.stats().unwrap();
    assert_eq!(stats.stored_bytes(), stored as u64);
    // A value of 2,000 bytes lies in pages that count.
    assert!(stats.leaf_pages() * PAGE as u64 > stats.stored_bytes());
    let untyped = txn.open_untyped_multimap_table(TEXTS).unwrap();
    assert_eq!(
        (untyped.len().unwrap(), untyped.stats().unwrap().stored_bytes()),
        (texts.len().unwrap(), stored as u64)
    );
    drop(txn);
    let whole = db.begin_write().unwrap().stats().unwrap();
    assert_eq!(whole.stored_bytes(), stored as u64 + 60 * 8 + sets.len().unwrap() * 8);
}

#[test]
fn small_sets_share_leaves() {
    let db = create(&Image::default(), 4096, 1 << 24);
    write(&db, |txn| {
        let mut sets = txn.open_multimap_table(SETS).unwrap();
        for key in 0..20_000 {
            (0..8).for_each(|value| assert!(!sets.insert(key, value).unwrap()));
        }
    });
    let stats = db.begin_read().unwrap().open_multimap_table(SETS).unwrap().stats().unwrap();
    let pages = stats.leaf_pages() + stats.branch_pages();
    // Head, slot, key and eight values are 84 bytes: 48 keys to a page of 4,096.
    assert!(pages < 20_000 / 48 * 105 / 100, "{pages}");
}

thread_local! {
    /// Comparisons until one panics.
    static FUSE: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// A value that says it has four bytes and may have more, and whose comparison may panic.
#[derive(Debug)]
struct Odd;

impl Value for Odd {
    type SelfType<'a> = u32;
    type AsBytes<'a> = Vec<u8>;

    fn fixed_width() -> Option<usize> {
        Some(4)
    }
    fn from_bytes<'a>(data: &'a [u8]) -> u32
    where
        Self: 'a,
    {
        u32::from_le_bytes(data[..4].try_into().unwrap())
    }
    fn as_bytes<'a, 'b: 'a>(value: &'a u32) -> Vec<u8>
    where
        Self: 'b,
    {
        let mut bytes = value.to_le_bytes().to_vec();
        bytes.resize(if *value == 666 { 5 } else { 4 }, 0);
        bytes
    }
    fn type_name() -> TypeName {
        TypeName::new("test::Odd")
    }
}

impl Key for Odd {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        FUSE.set(FUSE.get().checked_sub(1).expect("the comparison panics"));
        Self::from_bytes(data1).cmp(&Self::from_bytes(data2))
    }
}

const ODD: MultimapTableDefinition<u8, Odd> = MultimapTableDefinition::new("odd");

#[test]
fn a_value_of_another_width_than_its_type_is_refused() {
    let db = database();
    for before in [0, 3, 100] {
        let txn = db.begin_write().unwrap();
        {
            let mut odd = txn.open_multimap_table(ODD).unwrap();
            (0..before).for_each(|value| assert!(!odd.insert(1, value).unwrap()));
            assert!(matches!(odd.insert(1, 666), Err(StorageError::Corrupted(_))));
        }
        assert!(matches!(txn.commit(), Err(CommitError::TransactionPoisoned)));
    }
}

#[test]
fn a_comparison_of_values_that_panics_poisons_its_transaction_only() {
    let db = database();
    let pairs = |table: &dyn Fn(u8) -> Vec<u32>| (0..4).flat_map(table).collect::<Vec<u32>>();
    write(&db, |txn| {
        let mut odd = txn.open_multimap_table(ODD).unwrap();
        for value in 0..190 {
            odd.insert(if value < 100 { 0 } else { 1 + value as u8 % 3 }, value).unwrap();
        }
    });
    let read = |key: u8| -> Vec<u32> {
        let odd = db.begin_read().unwrap().open_multimap_table(ODD).unwrap();
        odd.get(key).unwrap().map(|value| value.unwrap().value()).collect()
    };
    let before = pairs(&read);
    let mut poisoned = 0;
    for fuse in (0..40).chain([100, 1000]) {
        let txn = db.begin_write().unwrap();
        {
            let mut odd = txn.open_multimap_table(ODD).unwrap();
            FUSE.set(fuse);
            let changes = AssertUnwindSafe(|| {
                for value in 0..60 {
                    odd.insert((value % 4) as u8, value + 1000).unwrap();
                    odd.remove((value % 4) as u8, value).unwrap();
                }
            });
            let panicked = catch_unwind(changes).is_err();
            FUSE.set(u64::MAX);
            assert!(panicked);
        }
        if matches!(txn.commit(), Err(CommitError::TransactionPoisoned)) {
            poisoned += 1;
        }
        db.verify().unwrap();
    }
    assert_eq!(poisoned, 42);
    assert_eq!(pairs(&read), before);
    // A reader's comparison may panic too.
    FUSE.set(1);
    assert!(catch_unwind(AssertUnwindSafe(|| read(1))).is_err());
    FUSE.set(u64::MAX);
    assert_eq!(pairs(&read), before);
}
