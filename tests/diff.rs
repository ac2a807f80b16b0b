//! What differs between two read transactions: against models, how much is read for it, and what damage does.

mod common;

use common::image::Image;
use common::rng::Rng;
use sapwood::{
    Builder, CompactOptions, Database, DiffError, Durability, Error, Key, MultimapTableDefinition, ReadTransaction,
    ReadableDatabase, ReadableTableMetadata, StorageBackend, StorageError, TableChange, TableDefinition, TableError,
    TableKind, TypeName, Value, WriteTransaction,
};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Key, old value, new value.
type Difference = (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);
/// By key, and of multimaps by member, which is then the value as well.
type Rows = BTreeMap<(Vec<u8>, Vec<u8>), Vec<u8>>;
type Model = BTreeMap<String, (usize, Rows)>;

/// Numbers, the greatest first; nobody but this type knows.
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
        u64::from_le_bytes(data.try_into().unwrap())
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a u64) -> [u8; 8]
    where
        Self: 'b,
    {
        value.to_le_bytes()
    }

    fn type_name() -> TypeName {
        TypeName::new("diff::Descending")
    }
}

impl Key for Descending {
    fn compare(data1: &[u8], data2: &[u8]) -> Ordering {
        Self::from_bytes(data2).cmp(&Self::from_bytes(data1))
    }
}

/// A kind of table that the models have.
struct Kind {
    multimap: bool,
    key: fn(u64) -> Vec<u8>,
    value: fn(&mut Rng) -> Vec<u8>,
    change: fn(&WriteTransaction, &str, &Kind, &mut Rows, &mut Rng),
    typed: fn(&ReadTransaction, &ReadTransaction, &str) -> Result<Vec<Difference>, DiffError>,
    /// Whether rows come in order without types.
    ordered: Option<fn(&Difference, &Difference) -> Ordering>,
}

fn word(n: u64) -> Vec<u8> {
    format!("{n:05}{}", "k".repeat(if n.is_multiple_of(11) { 300 } else { n as usize % 9 })).into_bytes()
}

fn number(n: u64) -> Vec<u8> {
    n.to_le_bytes().to_vec()
}

fn bytes(rng: &mut Rng) -> Vec<u8> {
    let length = *rng.pick(&[0, 3, 20, 20, 20, 90, 700, 3000]);
    let mut value = vec![rng.below(3) as u8; length];
    let random = length / 4;
    rng.fill(&mut value[..random]);
    value
}

const KINDS: [Kind; 7] = [
    Kind {
        multimap: false,
        key: number,
        value: |rng| number(rng.below(4)),
        change: change_table::<u64, u64>,
        typed: typed_table::<u64, u64>,
        ordered: Some(|one, other| u64::compare(&one.0, &other.0)),
    },
    Kind {
        multimap: false,
        key: word,
        value: bytes,
        change: change_table::<&str, &[u8]>,
        typed: typed_table::<&str, &[u8]>,
        ordered: Some(|one, other| one.0.cmp(&other.0)),
    },
    Kind {
        multimap: false,
        key: number,
        value: bytes,
        change: change_table::<Descending, &[u8]>,
        typed: typed_table::<Descending, &[u8]>,
        ordered: None,
    },
    Kind {
        multimap: false,
        key: |n| <(u64, &[u8])>::as_bytes(&(n / 8, &*word(n))).to_vec(),
        value: |rng| number(rng.below(4)),
        change: change_table::<(u64, &[u8]), u64>,
        typed: typed_table::<(u64, &[u8]), u64>,
        ordered: None,
    },
    Kind {
        multimap: true,
        key: |n| number(n / 40),
        value: |rng| number(rng.below(120)),
        change: change_multimap::<u64, u64>,
        typed: typed_multimap::<u64, u64>,
        ordered: Some(|one, other| u64::compare(&one.0, &other.0).then(u64::compare(member(one), member(other)))),
    },
    Kind {
        multimap: true,
        key: |n| word(n / 40),
        value: |rng| word(rng.below(60)),
        change: change_multimap::<&str, &str>,
        typed: typed_multimap::<&str, &str>,
        ordered: Some(|one, other| (&one.0, member(one)).cmp(&(&other.0, member(other)))),
    },
    Kind {
        multimap: true,
        key: |n| number(n / 40),
        value: |rng| number(rng.below(120)),
        change: change_multimap::<Descending, Descending>,
        typed: typed_multimap::<Descending, Descending>,
        ordered: None,
    },
];

/// The value of a difference of a multimap, which has one.
fn member((_, old, new): &Difference) -> &[u8] {
    old.as_ref().xor(new.as_ref()).expect("a pair went, or came")
}

/// Packed values where there is a codec.
fn table<K: Key + 'static, V: Value + 'static>(name: &str) -> TableDefinition<'_, K, V> {
    let table = TableDefinition::new(name);
    #[cfg(feature = "lz4")]
    let table = table.with_compression(sapwood::Compression::Lz4);
    table
}

fn change_table<K: Key + 'static, V: Value + 'static>(
    txn: &WriteTransaction,
    name: &str,
    kind: &Kind,
    rows: &mut Rows,
    rng: &mut Rng,
) {
    let mut table = txn.open_table(table::<K, V>(name)).unwrap();
    let sorted = |rows: &Rows| {
        let mut sorted: Vec<_> = rows.iter().map(|((key, _), value)| (key.clone(), value.clone())).collect();
        sorted.sort_by(|(one, _), (other, _)| K::compare(one, other));
        sorted
    };
    match rng.below(8) {
        0 => {
            let (one, other) = ((kind.key)(rng.below(400)), (kind.key)(rng.below(400)));
            let (low, high) = if K::compare(&one, &other).is_le() { (one, other) } else { (other, one) };
            table.delete_range(K::from_bytes(&low)..K::from_bytes(&high)).unwrap();
            rows.retain(|(key, _), _| K::compare(key, &low).is_lt() || K::compare(key, &high).is_ge());
        }
        1 => {
            // The same rows on other pages, some changed.
            table.delete_range::<K::SelfType<'_>>(..).unwrap();
            for value in rows.values_mut() {
                if rng.chance(20) {
                    *value = (kind.value)(rng);
                }
            }
            let rows = sorted(rows);
            let rows = rows.iter().map(|(key, value)| (K::from_bytes(key), V::from_bytes(value)));
            table.bulk_load(rows).unwrap();
        }
        _ => {
            for _ in 0..*rng.pick(&[1, 3, 100]) {
                let key = (kind.key)(rng.below(400));
                if rng.chance(150) {
                    let value = (kind.value)(rng);
                    table.insert(K::from_bytes(&key), V::from_bytes(&value)).unwrap();
                    rows.insert((key, Vec::new()), value);
                } else {
                    table.remove(K::from_bytes(&key)).unwrap();
                    rows.remove(&(key, Vec::new()));
                }
            }
        }
    }
    assert_eq!(table.len().unwrap(), rows.len() as u64);
}

fn change_multimap<K: Key + 'static, V: Key + 'static>(
    txn: &WriteTransaction,
    name: &str,
    kind: &Kind,
    rows: &mut Rows,
    rng: &mut Rng,
) {
    let mut table = txn.open_multimap_table(MultimapTableDefinition::<K, V>::new(name)).unwrap();
    let grows = *rng.pick(&[60, 128, 200]);
    for _ in 0..*rng.pick(&[1, 3, 60, 300]) {
        let (key, value) = ((kind.key)(rng.below(400)), (kind.value)(rng));
        if rng.chance(grows) {
            table.insert(K::from_bytes(&key), V::from_bytes(&value)).unwrap();
            rows.insert((key, value.clone()), value);
        } else {
            table.remove(K::from_bytes(&key), V::from_bytes(&value)).unwrap();
            rows.remove(&(key, value));
        }
    }
    if rng.chance(60) {
        let gone = (kind.key)(rng.below(400));
        table.remove_all(K::from_bytes(&gone)).unwrap();
        rows.retain(|(key, _), _| *key != gone);
    }
    assert_eq!(table.len().unwrap(), rows.len() as u64);
}

/// What differs, as a program sees it that knows the types; it must be in order.
fn typed_rows<K: Key + 'static, V: Value + 'static>(
    rows: sapwood::TypedDiffRows<K, V>,
    order: fn(&Difference, &Difference) -> Ordering,
) -> Vec<Difference> {
    let value = |value: Option<V::SelfType<'_>>| value.map(|value| V::as_bytes(&value).as_ref().to_vec());
    let rows = rows.map(|row| {
        let row = row.unwrap();
        (K::as_bytes(&row.key()).as_ref().to_vec(), value(row.old_value()), value(row.new_value()))
    });
    let rows: Vec<Difference> = rows.collect();
    assert!(rows.is_sorted_by(|one, next| order(one, next).is_lt()));
    rows
}

fn typed_table<K: Key + 'static, V: Value + 'static>(
    older: &ReadTransaction,
    newer: &ReadTransaction,
    name: &str,
) -> Result<Vec<Difference>, DiffError> {
    let rows = older.diff_table(newer, table::<K, V>(name))?;
    Ok(typed_rows(rows, |one, other| K::compare(&one.0, &other.0)))
}

fn typed_multimap<K: Key + 'static, V: Key + 'static>(
    older: &ReadTransaction,
    newer: &ReadTransaction,
    name: &str,
) -> Result<Vec<Difference>, DiffError> {
    let rows = older.diff_multimap_table(newer, MultimapTableDefinition::<K, V>::new(name))?;
    Ok(typed_rows(rows, |one, other| K::compare(&one.0, &other.0).then_with(|| V::compare(member(one), member(other)))))
}

/// What differs between the rows of two models, in the order of bytes.
fn expected(multimap: bool, old: Option<&Rows>, new: Option<&Rows>) -> Vec<Difference> {
    let empty = Rows::new();
    let (old, new) = (old.unwrap_or(&empty), new.unwrap_or(&empty));
    let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let differs = keys.into_iter().filter(|key| old.get(key) != new.get(key));
    let rows = differs.map(|key| (key.0.clone(), old.get(key).cloned(), new.get(key).cloned()));
    let mut rows: Vec<_> = rows.inspect(|row| assert!(!multimap || row.1.is_some() != row.2.is_some())).collect();
    rows.sort();
    rows
}

fn kind_of(state: Option<&(usize, Rows)>) -> Option<TableKind> {
    state.map(|(kind, _)| if KINDS[*kind].multimap { TableKind::Multimap } else { TableKind::Table })
}

fn untyped_rows(table: &sapwood::TableDiff) -> Result<Vec<Difference>, StorageError> {
    let bytes = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    table
        .rows()
        .map(|row| row.map(|row| (row.key().to_vec(), bytes(row.old_value()), bytes(row.new_value()))))
        .collect()
}

/// Compares what one table's difference says with the models.
fn check_table(table: &sapwood::TableDiff, old: Option<&(usize, Rows)>, new: Option<&(usize, Rows)>) {
    assert_eq!((table.old_kind(), table.new_kind()), (kind_of(old), kind_of(new)));
    let mut rows = untyped_rows(table).unwrap();
    let (change, mut wanted) = match (old, new) {
        (Some((kind, old)), None) => (TableChange::Deleted, expected(KINDS[*kind].multimap, Some(old), None)),
        (None, Some((kind, new))) => (TableChange::Created, expected(KINDS[*kind].multimap, None, Some(new))),
        (Some((before, old)), Some((kind, new))) if before == kind => {
            let multimap = KINDS[*kind].multimap;
            if let Some(order) = KINDS[*kind].ordered {
                assert!(rows.is_sorted_by(|one, next| order(one, next).is_lt()));
            }
            (TableChange::Kept, expected(multimap, Some(old), Some(new)))
        }
        (Some((_, old)), Some((_, new))) => {
            (TableChange::Retyped, [expected(false, Some(old), None), expected(false, None, Some(new))].concat())
        }
        (None, None) => panic!("{} never was", table.name()),
    };
    assert_eq!(table.change(), change);
    rows.sort();
    wanted.sort();
    assert!(rows == wanted, "{} {change:?}", table.name());
}

/// Compares all that the difference of two states says with that of their models. Gives what became of tables.
fn check(older: &(ReadTransaction, Model), newer: &(ReadTransaction, Model)) -> Vec<TableChange> {
    let (mut listed, mut changes) = (Vec::new(), Vec::new());
    for table in older.0.diff(&newer.0).unwrap() {
        let table = table.unwrap();
        check_table(&table, older.1.get(table.name()), newer.1.get(table.name()));
        listed.push(table.name().to_string());
        changes.push(table.change());
    }
    let count = listed.len();
    listed.sort();
    listed.dedup();
    assert_eq!(listed.len(), count, "each is listed once");
    for name in NAMES {
        let (old, new) = (older.1.get(*name), newer.1.get(*name));
        assert!(old == new || listed.iter().any(|listed| listed == name), "{name}");
        let Some((kind, _)) = old.or(new) else { continue };
        let rows = (KINDS[*kind].typed)(&older.0, &newer.0, name);
        if old.zip(new).is_some_and(|(old, new)| old.0 != new.0) {
            assert!(matches!(rows, Err(DiffError::Table(_))));
            continue;
        }
        let (old, new) = (old.map(|(_, rows)| rows), new.map(|(_, rows)| rows));
        let mut rows = rows.unwrap();
        rows.sort();
        assert!(rows == expected(KINDS[*kind].multimap, old, new), "{name}, of kind {kind}");
    }
    changes
}

/// Some of them have what the catalog puts between two rows of one table.
const NAMES: &[&str] = &["a", "a\0", "a\0\u{1}", "b", "ash", "ash and oak", "oak", "yew"];

fn handle(name: &str) -> TableDefinition<'_, u64, u64> {
    TableDefinition::new(name)
}

fn multimap_handle(name: &str) -> MultimapTableDefinition<'_, u64, u64> {
    MultimapTableDefinition::new(name)
}

/// One change of one table, or of what tables there are.
fn change(txn: &WriteTransaction, model: &mut Model, rng: &mut Rng) {
    let name = *rng.pick(NAMES);
    let exists = model.get(name).map(|(kind, _)| *kind);
    match (exists, rng.below(16)) {
        (Some(kind), 0) => {
            let deleted = match KINDS[kind].multimap {
                true => txn.delete_multimap_table(multimap_handle(name)),
                false => txn.delete_table(handle(name)),
            };
            assert!(deleted.unwrap());
            model.remove(name);
        }
        (Some(kind), 1) => {
            let to = *rng.pick(NAMES);
            if model.contains_key(to) {
                return;
            }
            match KINDS[kind].multimap {
                true => txn.rename_multimap_table(multimap_handle(name), multimap_handle(to)),
                false => txn.rename_table(handle(name), handle(to)),
            }
            .unwrap();
            let state = model.remove(name).unwrap();
            model.insert(to.to_string(), state);
        }
        (exists, _) => {
            let kind = exists.unwrap_or_else(|| rng.below(KINDS.len() as u64) as usize);
            let (_, rows) = model.entry(name.to_string()).or_insert((kind, Rows::new()));
            (KINDS[kind].change)(txn, name, &KINDS[kind], rows, rng);
        }
    }
}

fn small() -> Builder {
    let mut builder = Builder::new();
    builder.set_page_size(512).set_block_size(512).set_cache_size(64 << 10);
    builder
}

fn run_model(seed: u64) -> Vec<TableChange> {
    let mut rng = Rng::new(seed);
    let db = small().create_with_backend(Image::default()).unwrap();
    let mut model = Model::new();
    let mut changes = Vec::new();
    let mut states = vec![(db.begin_read().unwrap(), model.clone())];
    for round in 0..30 {
        let mut txn = db.begin_write().unwrap();
        txn.set_durability(*rng.pick(&[Durability::Immediate, Durability::None])).unwrap();
        let before = model.clone();
        for _ in 0..*rng.pick(&[1, 2, 12]) {
            change(&txn, &mut model, &mut rng);
        }
        if rng.chance(20) {
            txn.abort().unwrap();
            model = before;
        } else {
            txn.commit().unwrap();
        }
        if rng.chance(20) {
            db.compact_online(CompactOptions::new(), |_| ControlFlow::Continue(())).unwrap();
        }
        states.push((db.begin_read().unwrap(), model.clone()));
        if states.len() > 5 {
            states.swap_remove(rng.below(5) as usize);
        }
        if round % 3 == 2 {
            for (older, newer) in states.iter().flat_map(|older| states.iter().map(move |newer| (older, newer))) {
                changes.extend(check(older, newer));
            }
        }
    }
    changes
}

#[test]
fn the_difference_of_any_two_states_is_that_of_their_models() {
    let changes: Vec<_> = (0..12 * common::scale()).flat_map(run_model).collect();
    for change in [TableChange::Created, TableChange::Deleted, TableChange::Kept, TableChange::Retyped] {
        let count = changes.iter().filter(|seen| **seen == change).count();
        assert!(count > 100, "{count} times {change:?}");
    }
}

const NUMBERS: TableDefinition<u64, u64> = TableDefinition::new("numbers");
const DESCENDING: TableDefinition<Descending, u64> = TableDefinition::new("descending");
const TAGS: MultimapTableDefinition<u64, u64> = MultimapTableDefinition::new("tags");
const ROWS: u64 = 200_000;
/// Pages on the way to a row of a table of so many.
const HEIGHT: u64 = 3;
/// Pages that are looked at for the catalogs, and for the definition and the root of one table in both.
const CATALOG: u64 = 2 + 2 * 2;

/// How many pages `look` looks at, in memory or not.
fn pages_seen<T>(db: &Database, look: impl FnOnce() -> T) -> (T, u64) {
    let seen = || db.cache_stats().read_hits() + db.cache_stats().read_misses();
    let before = seen();
    let found = look();
    (found, seen() - before)
}

/// A small cache, and two big tables, one of keys that nobody can order but their type.
fn big() -> Database {
    let mut builder = Builder::new();
    builder.set_cache_size(256 << 10);
    let db = builder.create_with_backend(Image::default()).unwrap();
    commit(&db, |txn| {
        let (mut numbers, mut descending) = (txn.open_table(NUMBERS).unwrap(), txn.open_table(DESCENDING).unwrap());
        numbers.bulk_load((0..ROWS).map(|key| (key * 10, key))).unwrap();
        descending.bulk_load((0..ROWS).rev().map(|key| (key * 10, key))).unwrap();
        assert_eq!(u64::from(numbers.stats().unwrap().tree_height()), HEIGHT);
    });
    db
}

fn commit<T>(db: &Database, change: impl FnOnce(&WriteTransaction) -> T) -> T {
    let txn = db.begin_write().unwrap();
    let made = change(&txn);
    txn.commit().unwrap();
    made
}

/// Rows and pages of the difference that a change makes, by types, and without them in a table of another order.
fn cost(db: &Database, change: impl Fn(u64) -> Vec<(u64, Option<u64>)>) -> [(usize, u64); 2] {
    let older = db.begin_read().unwrap();
    commit(db, |txn| {
        let (mut numbers, mut descending) = (txn.open_table(NUMBERS).unwrap(), txn.open_table(DESCENDING).unwrap());
        for (key, value) in change(ROWS) {
            match value {
                Some(value) => {
                    numbers.insert(key, value).unwrap();
                    descending.insert(key, value).unwrap();
                }
                None => {
                    numbers.remove(key).unwrap();
                    descending.remove(key).unwrap();
                }
            }
        }
    });
    costs(db, &older)
}

fn costs(db: &Database, older: &ReadTransaction) -> [(usize, u64); 2] {
    let newer = db.begin_read().unwrap();
    let typed = pages_seen(db, || older.diff_table(&newer, NUMBERS).unwrap().map(Result::unwrap).count());
    let untyped = pages_seen(db, || {
        let table = older.diff(&newer).unwrap().map(Result::unwrap).find(|table| table.name() == "descending");
        table.unwrap().rows().map(Result::unwrap).count()
    });
    let backwards = pages_seen(db, || newer.diff_table(older, NUMBERS).unwrap().map(Result::unwrap).count());
    assert_eq!(typed, backwards);
    [typed, untyped]
}

#[test]
fn a_difference_takes_reads_for_what_changed_whatever_is_around_it() {
    let db = big();
    let show = |what: &str, costs: [(usize, u64); 2]| println!("{what}: rows and pages {costs:?}");
    let within = |costs: [(usize, u64); 2], rows: usize, pages: u64| {
        for (found, seen) in costs {
            assert_eq!(found, rows);
            assert!(seen <= pages + 2 * CATALOG, "{seen} pages");
        }
    };

    let one = cost(&db, |rows| vec![(rows * 5, Some(1))]);
    show("one row changed", one);
    within(one, 1, 2 * HEIGHT);

    let split = cost(&db, |rows| vec![(rows * 3 + 1, Some(1))]);
    show("one row that splits a leaf", split);
    within(split, 1, 3 * HEIGHT);

    let scattered = cost(&db, |rows| (0..100).map(|nth| (rows / 10 * nth + 70, Some(nth + 7_000_000))).collect());
    show("a hundred rows changed", scattered);
    within(scattered, 100, 100 * 2 * HEIGHT);

    let removed = cost(&db, |rows| (0..100).map(|nth| (rows / 10 * nth + 90, None)).collect());
    show("a hundred rows removed", removed);
    within(removed, 100, 100 * 2 * HEIGHT);

    let added = cost(&db, |rows| (0..100).map(|nth| (rows / 10 * nth + 95, Some(nth))).collect());
    show("a hundred rows added", added);
    within(added, 100, 100 * 3 * HEIGHT);

    let inserted =
        cost(&db, |rows| (0..9).flat_map(|nth| (1..300).map(move |at| (nth * rows + at * 10 + 3, Some(at)))).collect());
    show("nine runs of rows added", inserted);
    within(inserted, 9 * 299, 9 * 299 / 10);
}

#[test]
fn a_difference_of_a_deleted_range_reads_that_range() {
    let db = big();
    let older = db.begin_read().unwrap();
    commit(&db, |txn| {
        let range = ROWS * 10 / 4..ROWS * 10 * 3 / 4;
        txn.open_table(NUMBERS).unwrap().delete_range(range.clone()).unwrap();
        txn.open_table(DESCENDING).unwrap().delete_range(range.end..range.start).unwrap();
    });
    let all = older.open_table(NUMBERS).unwrap().stats().unwrap();
    let half = (all.leaf_pages() + all.branch_pages()) / 2;
    let [typed, untyped] = costs(&db, &older);
    println!("half of the rows deleted: rows and pages {typed:?} {untyped:?}, of {half} pages");
    assert_eq!((typed.0, untyped.0), (ROWS as usize / 2, ROWS as usize / 2));
    assert!(typed.1 <= half + 4 * HEIGHT + CATALOG);
    // What comes next in the newer state is looked for as far ahead as rows are gone.
    assert!(untyped.1 <= 2 * half + 4 * HEIGHT + 2 * CATALOG);
}

#[test]
fn what_did_not_change_beside_what_did_is_not_read() {
    const LONG: TableDefinition<&str, &[u8]> = TableDefinition::new("long");
    let db = small().create_with_backend(Image::default()).unwrap();
    // Keys and values in runs, and a set in a tree beside others in leaves.
    let key = |nth: u64| format!("{}{nth:04}", "k".repeat(300));
    commit(&db, |txn| {
        let mut long = txn.open_table(LONG).unwrap();
        (0..500).for_each(|nth| drop(long.insert(&*key(nth), &[7; 2000][..]).unwrap()));
        let mut tags = txn.open_multimap_table(TAGS).unwrap();
        (0..10_000).for_each(|nth| assert!(!tags.insert(5, nth).unwrap()));
        (0..100).for_each(|nth| assert_eq!(tags.insert(nth, nth).unwrap(), nth == 5));
    });
    let older = db.begin_read().unwrap();
    commit(&db, |txn| {
        txn.open_table(LONG).unwrap().insert(&*key(250), &[8; 2000][..]).unwrap();
        txn.open_multimap_table(TAGS).unwrap().remove(5, 7_777).unwrap();
    });
    let newer = db.begin_read().unwrap();
    let (rows, long) = pages_seen(&db, || older.diff_table(&newer, LONG).unwrap().map(Result::unwrap).count());
    let (pairs, tags) = pages_seen(&db, || older.diff_multimap_table(&newer, TAGS).unwrap().count());
    println!("{long} pages and runs for one long row, {tags} for one of many values");
    assert_eq!((rows, pairs), (1, 1));
    assert!(long < 30 && tags < 40, "{long} {tags}");
}

#[test]
fn equal_states_and_unchanged_tables_cost_nothing() {
    let db = small().create_with_backend(Image::default()).unwrap();
    commit(&db, |txn| {
        for nth in 0..10_000 {
            let name = format!("table {nth}");
            let mut table = txn.open_table(TableDefinition::<u64, u64>::new(&name)).unwrap();
            table.insert(nth, nth).unwrap();
        }
    });
    let (older, same) = (db.begin_read().unwrap(), db.begin_read().unwrap());
    let (tables, pages) = pages_seen(&db, || older.diff(&same).unwrap().count());
    assert_eq!((tables, pages), (0, 0));

    commit(&db, |txn| {
        txn.open_table(TableDefinition::<u64, u64>::new("table 77")).unwrap().insert(1, 1).unwrap();
    });
    let newer = db.begin_read().unwrap();
    let (tables, pages) = pages_seen(&db, || {
        let tables = older.diff(&newer).unwrap().map(Result::unwrap);
        tables.map(|table| (table.name().to_string(), table.rows().count())).collect::<Vec<_>>()
    });
    println!("one of 10,000 tables changed: {pages} pages");
    assert_eq!(tables, [("table 77".to_string(), 1)]);
    assert!(pages < 60, "{pages}");
}

#[test]
fn a_long_difference_takes_little_memory() {
    let db = big();
    let older = db.begin_read().unwrap();
    commit(&db, |txn| {
        let mut numbers = txn.open_table(NUMBERS).unwrap();
        numbers.delete_range::<u64>(..).unwrap();
        numbers.bulk_load((0..ROWS).map(|key| (key * 10 + key % 2, key))).unwrap();
    });
    let newer = db.begin_read().unwrap();
    let limit = db.cache_stats().used_bytes().max(256 << 10) + (64 << 10);
    let (mut rows, mut most) = (0, 0);
    for row in older.diff_table(&newer, NUMBERS).unwrap() {
        row.unwrap();
        rows += 1;
        most = most.max(db.cache_stats().used_bytes());
    }
    assert_eq!(rows, ROWS);
    assert!(most <= limit, "{most} of {limit} bytes");
}

#[test]
fn states_of_two_databases_are_not_compared() {
    let [one, other] = [(); 2].map(|()| small().create_with_backend(Image::default()).unwrap());
    let (one, other) = (one.begin_read().unwrap(), other.begin_read().unwrap());
    assert!(matches!(one.diff(&other), Err(DiffError::OtherDatabase)));
    assert!(matches!(one.diff_table(&other, NUMBERS), Err(DiffError::OtherDatabase)));
    let err = one.diff_multimap_table(&other, TAGS).unwrap_err();
    assert_eq!(err.to_string(), "the transactions are of two databases");
    assert!(matches!(Error::from(err), Error::OtherDatabase));
}

#[test]
fn a_table_must_be_what_it_is_asked_for_as_and_be_somewhere() {
    let db = small().create_with_backend(Image::default()).unwrap();
    let empty = db.begin_read().unwrap();
    assert_eq!(empty.diff(&empty).unwrap().count(), 0);
    let missing = empty.diff_table(&empty, NUMBERS).unwrap_err();
    assert!(matches!(missing, DiffError::Table(TableError::TableDoesNotExist(name)) if name == "numbers"));
    commit(&db, |txn| drop(txn.open_table(NUMBERS).unwrap().insert(1, 2).unwrap()));
    let newer = db.begin_read().unwrap();
    let wrong = TableDefinition::<u64, &str>::new("numbers");
    for (one, other) in [(&empty, &newer), (&newer, &empty)] {
        let mistyped = one.diff_table(other, wrong).unwrap_err();
        assert!(matches!(mistyped, DiffError::Table(TableError::TableTypeMismatch { .. })));
        let multimap = one.diff_multimap_table(other, MultimapTableDefinition::<u64, u64>::new("numbers"));
        assert!(matches!(multimap, Err(DiffError::Table(TableError::TableIsNotMultimap(_)))));
        assert_eq!(one.diff_table(other, NUMBERS).unwrap().count(), 1);
    }
    let long = "n".repeat(5_000);
    let long = empty.diff_table(&newer, TableDefinition::<u64, u64>::new(&long));
    assert!(matches!(long, Err(DiffError::Storage(StorageError::ValueTooLarge(5_000)))));
}

#[test]
fn a_difference_outlives_its_transactions_and_may_be_dropped_half_way() {
    let db = small().create_with_backend(Image::default()).unwrap();
    let older = db.begin_read().unwrap();
    commit(&db, |txn| {
        let mut numbers = txn.open_table(NUMBERS).unwrap();
        (0..1000).for_each(|key| drop(numbers.insert(key, key).unwrap()));
    });
    let newer = db.begin_read().unwrap();
    let mut typed = older.diff_table(&newer, NUMBERS).unwrap();
    let table = older.diff(&newer).unwrap().next().unwrap().unwrap();
    assert!(older.close().is_err());
    drop(newer);
    assert_eq!(typed.by_ref().take(10).count(), 10);
    let mut rows = table.rows();
    drop(table);
    let kept = rows.next().unwrap().unwrap();
    drop((typed, rows));
    assert_eq!((kept.key(), kept.new_value()), (&[0; 8][..], Some(&[0; 8][..])));
    assert!(db.snapshots().is_empty());
    assert!(db.close().is_ok());
}

#[test]
fn a_closed_database_is_not_compared() {
    let db = small().create_with_backend(Image::default()).unwrap();
    let txn = db.begin_read().unwrap();
    db.close().unwrap();
    assert!(matches!(txn.diff(&txn), Err(DiffError::Storage(StorageError::DatabaseClosed))));
}

/// All that differs, or the first error. After an error there is nothing more.
fn everything(
    older: &ReadTransaction,
    newer: &ReadTransaction,
) -> Result<Vec<(String, Vec<Difference>)>, StorageError> {
    let mut tables = older.diff(newer).map_err(|err| match err {
        DiffError::Storage(err) => err,
        other => panic!("{other}"),
    })?;
    let mut all = Vec::new();
    while let Some(table) = tables.next() {
        let Ok(table) = table else {
            assert!(tables.next().is_none());
            return Err(table.unwrap_err());
        };
        let mut rows = table.rows();
        if let Some(Err(err)) = rows.find(Result::is_err) {
            assert!(rows.next().is_none());
            return Err(err);
        }
        all.push((table.name().to_string(), untyped_rows(&table)?));
    }
    Ok(all)
}

/// Two states of every kind of row, behind a cache that keeps next to nothing.
fn two_states(image: &Image) -> (Database, ReadTransaction, ReadTransaction) {
    let mut builder = small();
    builder.set_cache_size(1);
    let db = builder.create_with_backend(image.clone()).unwrap();
    let mut rng = Rng::new(7);
    common::kinds::fill(&db, &mut rng, 120, 256);
    let older = db.begin_read().unwrap();
    common::kinds::thin_out(&db, &mut rng, 230);
    common::kinds::fill(&db, &mut rng, 140, 60);
    let newer = db.begin_read().unwrap();
    (db, older, newer)
}

#[test]
fn damaged_pages_are_told_of() {
    let image = Image::default();
    let (_db, older, newer) = two_states(&image);
    let whole = everything(&older, &newer).unwrap();
    let bytes = image.bytes();
    let mut told = 0;
    for page in 3..bytes.len() / 512 {
        let place = page * 512 + 100;
        image.write(place as u64, &[!bytes[place]]).unwrap();
        match everything(&older, &newer) {
            Ok(all) => assert!(all == whole, "page {page}"),
            Err(StorageError::Corrupted(_)) => told += 1,
            Err(err) => panic!("{err}"),
        }
        image.write(place as u64, &bytes[place..=place]).unwrap();
    }
    assert!(told > 50, "{told}");
    assert!(everything(&older, &newer).unwrap() == whole);
}

#[test]
fn reads_that_fail_are_told_of() {
    let image = Image::default();
    let (_db, older, newer) = two_states(&image);
    let whole = everything(&older, &newer).unwrap();
    let mut told = 0;
    for nth in 1.. {
        image.fail_read(nth);
        let all = everything(&older, &newer);
        if !image.read_failed() {
            image.fail_read(0);
            break;
        }
        assert!(matches!(all, Err(StorageError::Io(_))), "read {nth}");
        told += 1;
    }
    assert!(told > 50, "{told}");
    assert!(everything(&older, &newer).unwrap() == whole);
}
